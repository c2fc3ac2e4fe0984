"""What floors share: models with a closed form that read the training fields one by one and paint without a network."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Callable

import numpy as np
from tqdm import tqdm

from brightpaint import store
from brightpaint.models import compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import describe


def fields(data: TrainingImages) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield brightfield (C_input, H, W) and stains (C_target, H, W) of each training field, float64 z-scores."""
    for number in tqdm(range(len(data)), disable=None, unit="field"):
        image = data.field(number).astype(np.float64)
        yield image[: data.inputs], image[data.inputs :]


def history(data: TrainingImages, error: float) -> list[dict]:
    """Return the one line of a floor's history: its mean squared error on the training fields."""
    return [{"images": len(data), "loss": float(error), "learning_rate": 0.0}]


def write(args: argparse.Namespace, data: TrainingImages, fit: Callable) -> None:
    """Fit a floor, `fit(data) -> (tensors, history)`, and write it."""
    if compute.first():
        tensors, lines = fit(data)
        store.write_json_lines(lines, args.history)
        store.write_weights(args.weights, tensors, describe(args.settings, data.labels))


def painter(predict: Callable) -> Callable:
    """Return `paint(x, rows)` of a floor that paints field by field."""
    return lambda x, rows: np.stack([predict(field) for field in x])


def shape_of(tensors: dict, name: str) -> tuple[int, ...]:
    """Return the shape of a tensor, () where there is none."""
    return tuple(tensors[name].shape) if name in tensors else ()


def tensor_problems(tensors: dict, name: str, fits: bool, wanted: str) -> Iterator[str]:
    """Yield that a floor's one tensor is missing, does not fit, or is not alone."""
    if not fits or len(tensors) != 1:
        yield (
            f"expected the one tensor {name} of shape {wanted}, found {name} {shape_of(tensors, name) or None} "
            f"among {sorted(tensors)[:5]}"
        )
