"""Scores of images against the real ones."""
