"""A floor that a painted image must beat: ridge regression of the stains on each pixel's brightfield alone.

It knows nothing of a pixel's neighbourhood: what it cannot do and the U-Net can is owed to shape and context.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import numpy as np
import pandas as pd
import torch
from torch import nn

from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.data import TrainingImages
from brightpaint.models.kinds import floors

RIDGE = 1e-6  # share of each term's own variance that is added to it


def polynomial(x: np.ndarray) -> np.ndarray:
    """Return 1, the planes, their squares and their pairwise products for every pixel.

    Parameters
    ----------
    x : (C, H, W) brightfield, z-scores

    Returns
    -------
    (1 + C + C (C + 1) / 2, H * W) float64
    """
    planes = x.reshape(len(x), -1).astype(np.float64)
    first, second = np.triu_indices(len(planes))
    return np.concatenate([np.ones((1, planes.shape[1])), planes, planes[first] * planes[second]])


def ridge(gram: np.ndarray, moments: np.ndarray, pixels: int) -> np.ndarray:
    """Solve ridge regression from sums over all pixels.

    Parameters
    ----------
    gram : (P, P), sum of terms times terms
    moments : (P, C_target), sum of terms times stains
    pixels : how many were summed

    Returns
    -------
    (P, C_target) float64 coefficients; 0 for a term that is 0 everywhere
    """
    scale = np.sqrt(np.diag(gram) / pixels)
    scale[scale == 0] = 1.0
    normalised = gram / pixels / np.outer(scale, scale) + RIDGE * np.eye(len(gram))
    return np.linalg.solve(normalised, moments / pixels / scale[:, None]) / scale[:, None]


def fit(data: TrainingImages) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """Fit the regression on the training fields.

    Returns
    -------
    tensors : {"coefficients": (P, C_target) float64}
    history : one line, the mean squared error on the training fields
    """
    gram, moments, energy = 0.0, 0.0, 0.0
    for planes, stains in floors.fields(data):
        energy += (stains**2).sum()
        terms, flat = polynomial(planes), stains.reshape(len(stains), -1)
        gram, moments = gram + terms @ terms.T, moments + terms @ flat.T
    values, pixels = len(data) * stains.size, len(data) * stains[0].size
    coefficients = ridge(gram, moments, pixels)
    error = (energy - 2 * (coefficients * moments).sum() + (coefficients * (gram @ coefficients)).sum()) / values
    return {"coefficients": torch.from_numpy(coefficients)}, floors.history(data, error)


def predict(tensors: dict[str, torch.Tensor], x: np.ndarray) -> np.ndarray:
    """Paint one field: (C_input, H, W) brightfield -> (C_target, H, W) float32 z-scores."""
    painted = tensors["coefficients"].numpy().T @ polynomial(x)
    return painted.reshape(-1, *x.shape[-2:]).astype(np.float32)


class Certain(nn.Module):
    """What the regression paints of any square of a field, for what stands on it: (B, C_input, H, W) -> (B, C_target, H, W)."""

    def __init__(self, tensors: dict[str, torch.Tensor]):
        super().__init__()
        self.tensors = tensors

    def forward(self, x: torch.Tensor, condition: Condition) -> torch.Tensor:
        painted = np.stack([predict(self.tensors, image) for image in x.cpu().numpy()])
        return torch.from_numpy(painted).to(x.device)


def certain(path: Path, tensors: dict, meta: dict) -> Certain:
    """Return the regression as `Certain`."""
    return Certain(tensors)


def tensor_problems(tensors: dict, channels: dict) -> Iterator[str]:
    """Yield what is wrong with the one tensor of this floor."""
    inputs, targets = len(channels["input"]), len(channels["target"])
    wanted = (1 + inputs + inputs * (inputs + 1) // 2, targets)
    fits = floors.shape_of(tensors, "coefficients") == wanted
    yield from floors.tensor_problems(tensors, "coefficients", fits, str(wanted))


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Fit the floor and write it."""
    floors.write(args, data, fit)


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)` of the regression."""
    return floors.painter(lambda x: predict(tensors, x))
