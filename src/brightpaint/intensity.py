"""Scales of intensity that more than one stage needs."""

from __future__ import annotations

import numpy as np


def standardise(images: np.ndarray, cutoff: float = 15.0) -> np.ndarray:
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
