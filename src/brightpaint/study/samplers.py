"""How often sampling asks a diffusion model for the noise of one field."""

from __future__ import annotations


def steps_walked(arm: dict) -> int:
    """Return how often sampling asks for eps for one field: Heun's rule twice a step but for the last, and a mean of
    samples for each of them."""
    once = 2 * arm["steps"] - 1 if arm["sampler"] == "heun" else arm["steps"]
    return once * arm.get("mean_of", 1)


def asked_at_once(arm: dict) -> int:
    """Return how often the network is given each field in one pass: by classifier-free guidance twice, without label too."""
    return 1 if arm["label_scale"] in (1, None) else 2


def evaluations(arm: dict) -> int:
    """Return how often sampling evaluates the network for one field."""
    return steps_walked(arm) * asked_at_once(arm)
