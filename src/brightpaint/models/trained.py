"""Read a model's weights for use: whole, finite, and describing themselves in a way that a network can be built from.

A weights file may come from somebody else (`models.weights`), so nothing in it is believed unseen.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from brightpaint import store
from brightpaint.base.intensity import CUTOFF
from brightpaint.models import kinds
from brightpaint.models.codecs.codec import CODECS, KEPT
from brightpaint.models.conditions import vocabulary
from brightpaint.study.annotations import is_label
from brightpaint.study.kinds import KINDS, TRAINED
from brightpaint.study.presets import CODEC_PRESETS

WITH_WEIGHTS = tuple(
    name for name, kind in KINDS.items() if not (kind.given or kind.styled or kind.outlined)
)  # which paint fields
LARGEST_WIDTH = 1024  # as in the config's schema
MOST_LATENTS = 64


def read_model(path: str | Path, expected: tuple[str, ...] = WITH_WEIGHTS) -> tuple[dict, dict]:
    """Read `(tensors, meta)` of a model of one of the `expected` kinds.

    Raises
    ------
    ValueError
        naming the file and what is wrong with what it says of itself, or the tensor that is not finite
    """
    tensors, meta = store.read_weights(path)
    for problem in problems(tensors, meta, expected):
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


def problems(tensors: dict, meta: dict, expected: tuple[str, ...]):
    """Yield what is wrong with a weights file, the reason of the others first."""
    settings, channels, labels = (meta.get(key) for key in ("settings", "channels", "label_map"))
    if not all(isinstance(part, dict) for part in (settings, channels, labels)):
        yield f"expected settings, channels and label_map in its metadata, found {sorted(meta)}"
        return
    kind = settings.get("kind")
    if kind not in expected:
        yield f"it holds a model of kind {kind}; expected {' or '.join(expected)}"
        return
    for key, choices in TRAINED[kind].needed.items():
        if settings.get(key) not in choices:
            yield f"its {key} is {settings.get(key)!r}; expected one of {', '.join(choices)}"
    if TRAINED[kind].labels and not is_label(settings.get("label")):
        yield f"its label is {settings.get('label')!r}; expected none or the name of an annotation"
    width = settings.get("width")
    if width is not None and not (isinstance(width, int) and 1 <= width <= LARGEST_WIDTH):
        yield f"its width is {width!r}; expected a number of channels from 1 to {LARGEST_WIDTH}"
    cutoff = cutoff_of(settings)
    if type(cutoff) not in (int, float) or not (cutoff > 0 and math.isfinite(cutoff)):
        yield f"its cutoff is {cutoff!r}; expected a number of s.d. above 0"
    yield from codec_problems(settings.get("codec", "identity"), channels)
    yield from channel_problems(channels, TRAINED[kind].brightfield)
    yield from vocabulary.problems(meta.get("conditions", {}), settings.get("conditions", {}))
    if sorted(map(str, labels.values())) != sorted(str(n) for n in range(1, len(labels) + 1)):
        yield f"its label_map numbers {len(labels)} labels {sorted(map(str, labels.values()))[:8]}; expected 1 to n, each once"
    for name, tensor in sorted(tensors.items()):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            yield f"its tensor {name} holds values that are not finite"
    # A network says itself whether its tensors fit, when they are loaded into it.
    if not TRAINED[kind].stepwise or TRAINED[kind].noises:
        yield from kinds.of(kind).tensor_problems(tensors, channels)


def codec_problems(described: object, channels: dict):
    """Yield what is wrong with what a weights file says of the codec that it stands on."""
    if isinstance(described, str) and described in CODECS:
        return
    known = described if isinstance(described, dict) else {}
    if known.get("codec") not in CODECS:
        yield f"its codec is {described!r}; expected one of {', '.join(CODECS)}"
    elif known.get("preset") not in CODEC_PRESETS:
        yield f"its codec is of preset {known.get('preset')!r}; expected one of {', '.join(CODEC_PRESETS)}"
    elif known.get("stains") != len(channels.get("target") or []):
        yield f"its codec is one of {known.get('stains')} stains; expected as many as it paints"
    else:
        for key, most in (("width", LARGEST_WIDTH), ("latents", MOST_LATENTS)):
            if not (known.get(key) is None or (type(known[key]) is int and 1 <= known[key] <= most)):
                yield f"its codec's {key} is {known[key]!r}; expected a number from 1 to {most}"


def channel_problems(channels: dict, brightfield: bool):
    """Yield what is wrong with the channels of a weights file, of a kind that needs brightfield or does not."""
    for key, needed in (("input", brightfield), ("target", True)):
        names = channels.get(key)
        if not (isinstance(names, list) and (names or not needed) and all(isinstance(name, str) for name in names)):
            yield f"its {key} channels are {names!r}; expected a list of names"
            return
    if len(set(channels["input"] + channels["target"])) != len(channels["input"] + channels["target"]):
        yield f"a channel occurs twice in {channels['input']} and {channels['target']}; expected each once"


def load_module(path: Path, module: torch.nn.Module, tensors: dict, device: torch.device) -> torch.nn.Module:
    """Load weights into a freshly built module, for inference; those of a codec that it stands on are no part of it."""
    try:
        module.load_state_dict({name: value for name, value in tensors.items() if not name.startswith(KEPT)})
    except RuntimeError as error:
        raise ValueError(f"{path}: its tensors do not fit its own settings ({error}); train it again") from error
    return module.to(device).eval().requires_grad_(False)
