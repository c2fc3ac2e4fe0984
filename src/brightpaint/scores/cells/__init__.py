"""Scores of cells: how many, and where."""
