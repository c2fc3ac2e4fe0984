"""What a prediction is worth: each number with its null, floor and interval."""
