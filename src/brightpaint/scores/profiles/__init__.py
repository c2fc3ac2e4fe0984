"""Scores of profiles: matches, correlations, distances between distributions."""
