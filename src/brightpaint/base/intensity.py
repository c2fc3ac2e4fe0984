"""Scales of intensity that more than one stage needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

CUTOFF = 15  # largest |z-score| of prepared images, where settings and weights name none (the paper's)


def standardise(images: np.ndarray, cutoff: float = CUTOFF) -> np.ndarray:
    """Bring each image to mean 0 and s.d. 1, then clip it to [-cutoff, cutoff] (paper, section 4.2).

    Parameters
    ----------
    images : (..., H, W) any unit
    cutoff : largest absolute z-score

    Returns
    -------
    (..., H, W) float32 z-scores; an image of one constant value becomes 0 everywhere
    """
    images = np.asarray(images, dtype=np.float32)
    centred = images - images.mean(axis=(-2, -1), keepdims=True, dtype=np.float64).astype(np.float32)
    sd = np.sqrt(np.mean(np.square(centred, dtype=np.float64), axis=(-2, -1), keepdims=True))
    flat = sd <= 1e-6 * (1.0 + np.abs(images).max(axis=(-2, -1), keepdims=True))
    scaled = np.where(flat, 0.0, centred / np.where(flat, 1.0, sd))
    return np.clip(scaled, -cutoff, cutoff).astype(np.float32)


def moments(image: np.ndarray) -> tuple[float, float]:
    """Return (mean, s.d.) of an image; the s.d. of one that is constant but for rounding is 0."""
    mean, sd = float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64))
    return mean, sd if sd > 1e-6 * max(abs(mean), 1) else 0.0


def normalise(image: np.ndarray, mean: float, sd: float, *, cutoff: float) -> np.ndarray:
    """Return z-scores, cut off at +-`cutoff`; 0 everywhere where `sd` is 0.

    Parameters
    ----------
    image : (H, W) float, raw counts
    mean, sd : of the image, or of its channel over the plate
    """
    return np.clip((image - mean) / sd, -cutoff, cutoff) if sd else np.zeros_like(image)


def denormalise(z: np.ndarray, mean: float, sd: float) -> np.ndarray:
    """Undo `normalise` up to its cut-off: z-scores to raw counts."""
    return z * sd + mean


def pooled_moments(means: Sequence[float], sds: Sequence[float]) -> tuple[float, float]:
    """Return (mean, s.d.) of all pixels of equally large images, from each image's own; their order does not matter."""
    count = max(len(means), 1)
    mean = math.fsum(means) / count
    variance = math.fsum(sd**2 + (value - mean) ** 2 for value, sd in zip(means, sds)) / count
    return mean, math.sqrt(variance)


def rescaled(
    images: np.ndarray, *, cutoff: float, renormalise: bool, groups: Sequence[Sequence[int]] = ()
) -> np.ndarray:
    """Bring predicted images to the scale of the prepared ones: z-scores within +-`cutoff`.

    Where real images were normalised each by itself (the paper), predictions are standardised likewise; where they
    were normalised over the plate, a prediction's own brightness is what it says, and is only cut off.

    Parameters
    ----------
    images : (C, H, W)
    groups : places along C of channels that are planes of one stain; these share mean and s.d., as prepared ones do
    """
    images = np.asarray(images, np.float32)
    if not renormalise:
        return np.clip(images, -cutoff, cutoff)
    scaled = standardise(images, cutoff)
    for group in groups:
        planes = images[list(group)]  # (D, H, W) -> (D * H, W), for one mean and s.d.
        scaled[list(group)] = standardise(planes.reshape(-1, planes.shape[-1]), cutoff).reshape(planes.shape)
    return scaled


def in_window(z: np.ndarray, window: Sequence[float]) -> np.ndarray:
    """Map z-scores to [0, 1] by one fixed line: `window[0]` becomes 0, `window[1]` becomes 1, what lies beyond is cut off."""
    low, high = window
    return np.clip((np.asarray(z, np.float32) - low) / (high - low), 0, 1)


def eight_bit(z: np.ndarray, window: Sequence[float]) -> np.ndarray:
    """Map z-scores to 0..255 by the fixed line of `in_window`, rounded to the nearest: uint8."""
    return np.rint(255 * in_window(z, window)).astype(np.uint8)
