"""Paint plates with trained models."""
