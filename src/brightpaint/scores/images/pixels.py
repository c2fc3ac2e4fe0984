"""Compare the pixels of real and predicted images: correlation, errors, structural similarity, and what brightfield reaches.

Pure functions of arrays. Definitions follow Cross-Zamirski et al. 2023 (class-guided image-to-image diffusion), section 5.1;
where the published code does something else than the text says, the function computes what the text says.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.metrics import structural_similarity

# Side of the window in which the local s.d. of brightfield is taken: wide enough for a speck of texture.
LOCAL_SD_PX = 7


def pcc(real: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson correlation over the pixels of each pair of images.

    Parameters
    ----------
    real, predicted : (..., H, W) any unit

    Returns
    -------
    (...) float64 in [-1, 1]. A constant prediction carries nothing and counts 0; against a constant
    real image nothing can be said: NaN.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (real, predicted)]
    left, right = (side - side.mean(axis=(-2, -1), keepdims=True) for side in sides)
    powers = [np.sqrt(np.sum(side**2, axis=(-2, -1))) for side in (left, right)]
    varies = [power > 1e-12 * np.sqrt(np.sum(side**2, axis=(-2, -1))) for power, side in zip(powers, sides)]
    product = np.where(varies[0] & varies[1], powers[0] * powers[1], 1.0)
    value = np.where(varies[1], np.sum(left * right, axis=(-2, -1)) / product, 0.0)
    return np.where(varies[0], np.clip(value, -1, 1), np.nan)


def mse(real: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean squared error of each pair of images: (..., H, W) -> (...) float64."""
    return np.mean((np.asarray(real, np.float64) - predicted) ** 2, axis=(-2, -1))


def mae(real: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean absolute error of each pair of images: (..., H, W) -> (...) float64."""
    return np.mean(np.abs(np.asarray(real, np.float64) - predicted), axis=(-2, -1))


def ssim(real: np.ndarray, predicted: np.ndarray, *, data_range: float) -> float:
    """Structural similarity of two images: scikit-image's, uniform 7 x 7 window.

    Parameters
    ----------
    real, predicted : (H, W) z-scores
    data_range : the span of values that its two constants are scaled by. It decides the number: on one
        pair of real images 2 gave 0.43 and 15 gave 0.68. The published values were computed at 2.

    Raises
    ------
    ValueError
        for images under 7 pixels a side
    """
    if min(real.shape) < 7:
        raise ValueError(
            f"SSIM needs images of 7 pixels a side at least, found {real.shape}; set prepare.size_px higher"
        )
    real, predicted = (np.asarray(image, dtype=np.float32) for image in (real, predicted))
    return float(structural_similarity(real, predicted, data_range=data_range))


def local_sd(images: np.ndarray, size_px: int = LOCAL_SD_PX) -> np.ndarray:
    """Standard deviation in a square window around each pixel: (..., H, W) -> (..., H, W) float64.

    Cells are rough where background is smooth, so that the local s.d. of brightfield is a cell mask of a
    kind: a prediction must beat it.
    """
    images = np.asarray(images, dtype=np.float64)
    size = (1,) * (images.ndim - 2) + (size_px, size_px)
    images = images - images.mean(axis=(-2, -1), keepdims=True)
    variance = uniform_filter(images**2, size) - uniform_filter(images, size) ** 2
    return np.sqrt(np.maximum(variance, 0.0))


def largest_pcc(candidates: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Largest |PCC| that any one of several images reaches with each real image.

    Parameters
    ----------
    candidates : (C, H, W), e.g. brightfield planes
    real : (S, H, W), e.g. stains

    Returns
    -------
    (S,) float64 in [0, 1]; NaN for a constant real image
    """
    return np.abs(np.stack([pcc(real, candidate[None]) for candidate in candidates])).max(axis=0)
