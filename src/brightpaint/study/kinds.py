"""The kinds of model."""

NETWORKS = ("diffusion", "regression")  # kinds of model that are trained step by step; the others are floors
