"""The intensity above which a pixel is foreground: one for a whole image, by minimum cross-entropy.

Li and Lee 1993 (Pattern Recognition 26, 617), by the iteration of Li and Tam 1998 (Pattern Recognition Letters 19, 771),
as CellProfiler 4.2.8 calls it: on the logarithm of the image, which is given a floor of a 256th of its range.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

LEAST_STEP = 0.5 / 65536  # the iteration ends when the threshold moves by no more, nor by half the least difference
SCALE_OF_SIGMA = 0.6744 * 2.0  # half of a Gaussian's weight lies within 0.6744 s.d.


@dataclass(frozen=True)
class Threshold:
    """What Image.csv writes: `original` as it was found, `final` corrected and held within its bounds."""

    original: float
    final: float


def minimum_cross_entropy(
    image: np.ndarray,
    *,
    log_transform: bool = True,
    correction_factor: float = 1.0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Threshold:
    """Return the threshold of a whole image, in two classes.

    Parameters
    ----------
    image : (H, W) float32 or float64, intensities without NaN
    log_transform, correction_factor, bounds : settings of CellProfiler's Threshold of those names

    Notes
    -----
    Means are of running sums in float64. CellProfiler sums in the dtype of what it is given, which is float64 of a
    logarithm (thresholds agree to 1e-12) and the image's own without one (of a float32 image, to 1e-6).
    """
    values = np.sort(image, axis=None)
    if not values.size:
        found = 0.0
    elif log_transform:
        found = _of_logarithm(values)
    else:
        found = _iterated(values.astype(np.float64))
    return Threshold(found, min(max(found * correction_factor, bounds[0]), bounds[1]))


def _of_logarithm(values: np.ndarray) -> float:
    """Return the threshold of sorted values, found on their logarithm stretched to [0, 1]."""
    least = float(values[0]) + float(values[-1] - values[0]) / 256.0 + float(np.finfo(values.dtype).eps)
    logs = np.log(np.maximum(values, values.dtype.type(least))).astype(np.float64)
    low, high = logs[0], logs[-1]
    if low < high:
        stretched = (logs - low) / (high - low)
    elif low < 0:
        stretched = np.zeros_like(logs)
    else:
        stretched = np.minimum(logs, 1.0)
    return float(np.exp(_iterated(stretched) * np.float64(values.dtype.type(high) - values.dtype.type(low)) + low))


def _iterated(values: np.ndarray) -> float:
    """Return the threshold of sorted float64 values."""
    if values[0] == values[-1]:
        return float(values[0])
    low = values[0]
    values = values - low
    steps = np.diff(values)
    tolerance = max(steps[steps > 0].min() / 2, LEAST_STEP)
    sums = np.cumsum(values)
    total, count = sums[-1], values.size
    before, after = -2 * tolerance, total / count
    with np.errstate(divide="ignore", invalid="ignore"):
        while abs(after - before) > tolerance:
            before = after
            below = int(np.searchsorted(values, before, side="right"))
            mean_below = sums[below - 1] / below
            mean_above = (total - sums[below - 1]) / np.float64(count - below)
            after = (mean_below - mean_above) / (np.log(mean_below) - np.log(mean_above))
    return float(after + low)


def foreground(image: np.ndarray, threshold: float, *, smoothing_scale: float = 0.0) -> np.ndarray:
    """Return the pixels at or above a threshold, of the image smoothed by a Gaussian: (H, W) bool.

    Half of a smoothed pixel comes from within `smoothing_scale`, a diameter in pixels; 0 smooths nothing. Near the
    border the Gaussian is divided by what of it lies within the image.
    """
    if smoothing_scale == 0:
        return image >= image.dtype.type(threshold)
    sigma = smoothing_scale / SCALE_OF_SIGMA
    smoothed = ndimage.gaussian_filter(image, sigma, mode="constant", cval=0) / _within(image.shape, sigma)
    return smoothed >= threshold


@lru_cache(maxsize=4)
def _within(shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Return the share of a Gaussian that lies within the image, at each pixel."""
    return ndimage.gaussian_filter(np.ones(shape), sigma, mode="constant", cval=0) + np.finfo(float).eps
