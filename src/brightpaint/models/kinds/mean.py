"""A floor that a painted image must beat: the mean training image, the same for every field."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Callable

import numpy as np
import pandas as pd
import torch

from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.kinds import floors


def fit(data: TrainingImages) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """Take the mean of the training fields.

    Returns
    -------
    tensors : {"mean": (C_target, H, W) float32}
    history : one line, the mean squared error on the training fields
    """
    mean, energy = 0.0, 0.0
    for _, stains in floors.fields(data):
        energy += (stains**2).sum()
        mean = mean + stains / len(data)
    error = (energy - len(data) * (mean**2).sum()) / (len(data) * mean.size)
    return {"mean": torch.from_numpy(mean.astype(np.float32))}, floors.history(data, error)


def predict(tensors: dict[str, torch.Tensor], x: np.ndarray) -> np.ndarray:
    """Paint one field: (C_input, H, W) brightfield -> (C_target, H, W) float32 z-scores."""
    mean = tensors["mean"].numpy()
    if mean.shape[-2:] != x.shape[-2:]:
        raise ValueError(
            f"the mean training image is {mean.shape[-2:]} px but the field {x.shape[-2:]} px;"
            " train kind mean on fields of the same size"
        )
    return mean


def tensor_problems(tensors: dict, channels: dict) -> Iterator[str]:
    """Yield what is wrong with the one tensor of this floor."""
    targets = len(channels["target"])
    shape = floors.shape_of(tensors, "mean")
    fits = len(shape) == 3 and shape[0] == targets
    yield from floors.tensor_problems(tensors, "mean", fits, f"({targets}, height, width)")


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Fit the floor and write it."""
    floors.write(args, data, fit)


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)` of the mean training image."""
    return floors.painter(lambda x: predict(tensors, x))
