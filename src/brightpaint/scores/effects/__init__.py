"""What a condition of a model does to what it paints, and what it does not."""
