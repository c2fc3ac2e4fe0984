"""What kinds share that stand on a base, which paints without noise, and learn by steps what its image leaves open.

The base's error is measured twice: where the base was trained, where it is smaller, for what is learnt there; and on wells that
validate, for what is validated and painted. Else a model would learn to be as sure as its base is of what it has seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Callable

import numpy as np
import pandas as pd
import torch
from torch import nn

from brightpaint.base.device import pick_device
from brightpaint.base.seeds import seed_of
from brightpaint.models import kinds
from brightpaint.models.certain_base import BASE, base_of, check_told
from brightpaint.models.compute import Compute
from brightpaint.models.conditions import vocabulary
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import train_networks
from brightpaint.models.kinds import floors
from brightpaint.models.kinds.residual_noise import painted_pairs, validated
from brightpaint.models.networks.unet import UNet
from brightpaint.models.objectives.on_base import BASE_NETWORK
from brightpaint.models.objectives.updates import MODEL
from brightpaint.models.trained import load_module
from brightpaint.study.certain_bases import TRAINED_FIELDS
from brightpaint.study.conditions import shares
from brightpaint.study.kinds import KINDS
from brightpaint.study.presets import spec_of

UNIT = "unit"  # name of the tensor that holds the root mean square of the error


def build_unet(settings: dict, channels: dict, labels: int, parts: dict) -> UNet:
    """Build the U-Net that training settings describe: shown beside what it walks what its kind is."""
    inputs, targets = len(channels["input"]), len(channels["target"])
    planes = KINDS[settings["kind"]].planes(inputs, targets)
    return UNet(spec_of(settings["preset"], settings["width"]), planes, targets, labels, parts)


def new_unet(args: argparse.Namespace, data: TrainingImages) -> UNet:
    """Build the network that is trained, from its own seed."""
    torch.manual_seed(seed_of(args.settings["seed"], "weights"))
    parts = vocabulary.parts(data.vocabulary)
    return build_unet(args.settings, args.settings["channels"], len(data.labels), parts)


def errors(args: argparse.Namespace, data: TrainingImages) -> tuple[Callable, Callable]:
    """Return what yields the base's images and the real stains of fields that it was trained on, and of those that validate."""
    if not args.stands:
        raise ValueError(f"{args.weights}: its settings name no base to stand on; set base in its entry of models")
    check_told(args.settings["base"], data.labels, data.vocabulary)
    how = Compute(pick_device(args.device), **args.compute)
    held = validated(args, data, how)
    shown, _ = data.split(args.settings["validation_share"])
    return painted_pairs(args, shown, how, "that it was trained on", TRAINED_FIELDS), held


def root_mean_square(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> torch.Tensor:
    """Return the root mean square of y - m of each channel, (C,) float32; pairs of (C, H, W) each."""
    squares = [np.mean((y - painted.astype(np.float64)) ** 2, axis=(-2, -1)) for painted, y in pairs]
    return torch.from_numpy(np.sqrt(np.mean(squares, axis=0))).float()


def dropouts(settings: dict) -> tuple[dict, dict]:
    """Return what an objective drops of the conditions in training, and in validation, in which all are shown."""
    return {"dropout": settings["label_dropout"], "others": shares(settings.get("conditions", {}))}, {}


def train(
    args: argparse.Namespace, data: TrainingImages, model: nn.Module, objective, blind, kept: dict[str, torch.Tensor]
) -> None:
    """Train a network beside its frozen base. The untrained network is the first that is validated, and kept if none is better.

    Parameters
    ----------
    kept : tensors that painting needs, beside the network's and the base's
    """
    tensors, meta = base_of(args.stands, {"settings": args.settings, "channels": args.settings["channels"]})
    base = kinds.of(meta["settings"]["kind"]).certain(args.weights, tensors, meta).eval().requires_grad_(False)
    args.stands = {**args.stands, **kept}
    train_networks(args, data, {MODEL: model, BASE_NETWORK: base}, objective, blind, untrained=True)


def loaded(
    args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute, wrap: Callable, kept: tuple[str, ...]
) -> tuple[Callable, Callable]:  # fmt: skip
    """Return what paints a model's base, as a kind's painter does, and its own network, as it is called to paint.

    Parameters
    ----------
    wrap : the U-Net -> the module whose weights are kept, by the meaning of its output
    kept : names of the tensors beside the network's and the base's
    """
    own, base = base_of(tensors, meta)
    certain = kinds.of(base["settings"]["kind"]).painter(args, own, base, fields, how)
    parts = vocabulary.parts(meta.get("conditions", {}))
    module = wrap(build_unet(meta["settings"], meta["channels"], len(meta["label_map"]), parts))
    alone = {name: value for name, value in tensors.items() if not name.startswith(BASE) and name not in kept}
    return certain, how.painting(load_module(args.weights, module, alone, how.device))


def unit_problems(tensors: dict, channels: dict) -> Iterator[str]:
    """Yield what is wrong with the tensors beside a network's whose base's error is told by its root mean square."""
    wanted = (len(channels["target"]),)
    if floors.shape_of(tensors, UNIT) != wanted:
        found = floors.shape_of(tensors, UNIT) or None
        yield f"expected the tensor {UNIT} of shape {wanted}, found {found} among {sorted(tensors)[:5]}"
    if not any(name.startswith(BASE) for name in tensors):
        yield f"expected the tensors of a base model, {BASE}..., found {sorted(tensors)[:5]}"
