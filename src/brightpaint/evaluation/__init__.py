"""What the predicted images are worth: actives, metrics, figures."""
