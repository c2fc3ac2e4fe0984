"""From a plate in the gallery to a stack of normalised fields."""
