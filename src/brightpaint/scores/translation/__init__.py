"""Scores of a translation: what it changes, what it keeps, and whether real cells change so."""
