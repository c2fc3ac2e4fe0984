"""Read a model's weights for use: whole, finite, and describing themselves in a way that a network can be built from.

A weights file may come from somebody else (`models.weights`), so nothing in it is believed unseen.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from brightpaint import store
from brightpaint.base.intensity import CUTOFF
from brightpaint.study.presets import PRESETS

KINDS = ("diffusion", "regression", "mean", "pixel")
CHOICES = {"preset": tuple(PRESETS), "objective": ("eps", "v"), "label": ("none", "perturbation", "target")}
NEEDED = {
    "diffusion": ("preset", "objective", "label"), "regression": ("preset", "label"), "classifier": ("label",),
    "mean": (), "pixel": (),
}  # fmt: skip
LARGEST_WIDTH = 1024  # as in the config's schema


def read_model(path: str | Path, kinds: tuple[str, ...] = KINDS) -> tuple[dict, dict]:
    """Read `(tensors, meta)` of a model of one of `kinds`.

    Raises
    ------
    ValueError
        naming the file and what is wrong with what it says of itself, or the tensor that is not finite
    """
    tensors, meta = store.read_weights(path)
    for problem in problems(tensors, meta, kinds):
        raise ValueError(f"{path}: {problem}; train it again, or set models.weights to a file that brightpaint wrote")
    return tensors, meta


def cutoff_of(settings: dict) -> float:
    """Return the largest |z-score| of the images that these settings, a model's or an arm's, are about."""
    return settings.get("cutoff", CUTOFF)


def check_cutoff(trained: dict, settings: dict, path: Path) -> None:
    """Raise ValueError unless the weights were trained on images cut off where the study's are.

    Brighter stains than the weights know would be painted too dark, and the scores would blame the model.
    """
    own, here = cutoff_of(trained), cutoff_of(settings)
    if own != here:
        raise ValueError(
            f"{path} was trained on images cut off at {own:g} s.d., but the study's at {here:g}; "
            f"set prepare.cutoff to {own:g}, or train on these images"
        )


def problems(tensors: dict, meta: dict, kinds: tuple[str, ...]):
    """Yield what is wrong with a weights file, the reason of the others first."""
    settings, channels, labels = (meta.get(key) for key in ("settings", "channels", "label_map"))
    if not all(isinstance(part, dict) for part in (settings, channels, labels)):
        yield f"expected settings, channels and label_map in its metadata, found {sorted(meta)}"
        return
    kind = settings.get("kind")
    if kind not in kinds:
        yield f"it holds a model of kind {kind}; expected {' or '.join(kinds)}"
        return
    for key in NEEDED[kind]:
        if settings.get(key) not in CHOICES[key]:
            yield f"its {key} is {settings.get(key)!r}; expected one of {', '.join(CHOICES[key])}"
    width = settings.get("width")
    if width is not None and not (isinstance(width, int) and 1 <= width <= LARGEST_WIDTH):
        yield f"its width is {width!r}; expected a number of channels from 1 to {LARGEST_WIDTH}"
    cutoff = cutoff_of(settings)
    if type(cutoff) not in (int, float) or not (cutoff > 0 and math.isfinite(cutoff)):
        yield f"its cutoff is {cutoff!r}; expected a number of s.d. above 0"
    yield from channel_problems(channels)
    if sorted(map(str, labels.values())) != sorted(str(n) for n in range(1, len(labels) + 1)):
        yield f"its label_map numbers {len(labels)} labels {sorted(map(str, labels.values()))[:8]}; expected 1 to n, each once"
    for name, tensor in sorted(tensors.items()):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            yield f"its tensor {name} holds values that are not finite"
    yield from floor_problems(kind, tensors, channels)


def channel_problems(channels: dict):
    """Yield what is wrong with the channels of a weights file."""
    for key in ("input", "target"):
        names = channels.get(key)
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            yield f"its {key} channels are {names!r}; expected a list of names"
            return
    if len(set(channels["input"] + channels["target"])) != len(channels["input"] + channels["target"]):
        yield f"a channel occurs twice in {channels['input']} and {channels['target']}; expected each once"


def floor_problems(kind: str, tensors: dict, channels: dict):
    """Yield what is wrong with the one tensor of a model that has a closed form."""
    if kind not in ("mean", "pixel"):
        return
    name = {"mean": "mean", "pixel": "coefficients"}[kind]
    inputs, targets = len(channels["input"]), len(channels["target"])
    terms = 1 + inputs + inputs * (inputs + 1) // 2
    shape = tuple(tensors[name].shape) if name in tensors else None
    fits = shape and (len(shape) == 3 and shape[0] == targets if kind == "mean" else shape == (terms, targets))
    if not fits or len(tensors) != 1:
        wanted = f"({targets}, height, width)" if kind == "mean" else f"({terms}, {targets})"
        yield f"expected the one tensor {name} of shape {wanted}, found {name} {shape} among {sorted(tensors)[:5]}"
