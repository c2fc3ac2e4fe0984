"""Floors that a painted image must beat: the mean training image, and a regression on each pixel alone.

Both have a closed form and read the training fields one by one. `pixel` knows nothing of a pixel's
neighbourhood: what it cannot do and the U-Net can is owed to shape and context.
"""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from brightpaint.models.data import TrainingImages

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


def fit(kind: str, data: TrainingImages) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """Fit `mean` or `pixel` on the training fields.

    Returns
    -------
    tensors : {"mean": (C_target, H, W) float32} or {"coefficients": (P, C_target) float64}
    history : one line, the mean squared error on the training fields
    """
    mean, gram, moments, energy = 0.0, 0.0, 0.0, 0.0
    for number in tqdm(range(len(data)), disable=None, unit="field"):
        image = data.field(number).astype(np.float64)
        stains = image[data.inputs :]
        energy += (stains**2).sum()
        if kind == "mean":
            mean = mean + stains / len(data)
        else:
            terms, flat = polynomial(image[: data.inputs]), stains.reshape(len(stains), -1)
            gram, moments = gram + terms @ terms.T, moments + terms @ flat.T
    values, pixels = len(data) * stains.size, len(data) * stains[0].size
    if kind == "mean":
        tensors = {"mean": torch.from_numpy(mean.astype(np.float32))}
        error = (energy - len(data) * (mean**2).sum()) / values
    else:
        coefficients = ridge(gram, moments, pixels)
        tensors = {"coefficients": torch.from_numpy(coefficients)}
        error = (energy - 2 * (coefficients * moments).sum() + (coefficients * (gram @ coefficients)).sum()) / values
    return tensors, [{"images": len(data), "loss": float(error), "learning_rate": 0.0}]


def predict(kind: str, tensors: dict[str, torch.Tensor], x: np.ndarray) -> np.ndarray:
    """Paint one field.

    Parameters
    ----------
    x : (C_input, H, W) brightfield, z-scores

    Returns
    -------
    (C_target, H, W) float32 z-scores
    """
    if kind == "mean":
        mean = tensors["mean"].numpy()
        if mean.shape[-2:] != x.shape[-2:]:
            raise ValueError(
                f"the mean training image is {mean.shape[-2:]} px but the field {x.shape[-2:]} px;"
                " train kind mean on fields of the same size"
            )
        return mean
    painted = tensors["coefficients"].numpy().T @ polynomial(x)
    return painted.reshape(-1, *x.shape[-2:]).astype(np.float32)
