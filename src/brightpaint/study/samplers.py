"""Samplers by name: which a kind of model walks by, and how often sampling asks its network for one field."""

from __future__ import annotations

SAMPLERS = ("ddpm", "ddim", "dpmpp", "heun")
PUTS_NOISE_BACK = ("ddpm",)  # whatever its eta; ddim does with eta above 0
UNDOABLE = ("ddim", "heun")  # whose step depends on where it begins alone; dpmpp's on the one before too


def steps_walked(arm: dict) -> int:
    """Return how often sampling asks for eps for one field: Heun's rule twice a step but for the last, and a mean of
    samples for each of them."""
    once = 2 * arm["steps"] - 1 if arm["sampler"] == "heun" else arm["steps"]
    return once * arm.get("mean_of", 1)


def steps_inverted(arm: dict) -> int:
    """Return how often a translation's inversion of one field asks for eps at most: once to guess each step, and by each
    iteration as often as the step down does; never where it starts from noise."""
    chosen = arm["translate"]
    if chosen["from_noise"]:
        return 0
    once, steps = (2 if arm["sampler"] == "heun" else 1), walked_share(arm)
    if not chosen["inner"]:
        return once * steps
    return steps + chosen["inner"] * (once * steps - (once - 1))  # Heun's rule asks once on the step from gamma 1


def walked_share(arm: dict) -> int:
    """Return the steps that a translation walks up and down again: `strength` of all, one at least."""
    return max(1, arm["steps"] - round((1 - arm["translate"]["strength"]) * arm["steps"]))


def asked_at_once(arm: dict) -> int:
    """Return how often the network is given each field in one pass: once, and for the label and each condition that guides without
    a classifier once more, without it."""
    scales = [1 if arm["label_scale"] is None else arm["label_scale"], *arm.get("condition_scales", {}).values()]
    return 1 + sum(scale != 1 for scale in scales)


def evaluations(arm: dict) -> int:
    """Return how often sampling evaluates the network for one field."""
    return steps_walked(arm) * asked_at_once(arm)
