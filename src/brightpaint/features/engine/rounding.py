"""Sum, mean and variance of an image in its own precision, rounded as NumPy 1.24 rounds them, in which CellProfiler 4.2 runs.

A mean of 32-bit pixels has seven digits, of which the last depends on the order of the sum: NumPy 1.24 adds up buffers of
8192 values, each in pairs; later versions add in pairs throughout. It shows in an image's granularity, in Costes'
thresholds and in the numbers of whole images.
"""

from __future__ import annotations

import numpy as np

BUFFER = 8192


def total(values: np.ndarray) -> np.floating:
    """Return the sum of values, (n,) float, in their precision; 0 of none."""
    found = values.dtype.type(0)
    for start in range(0, values.size, BUFFER):
        found += values[start : start + BUFFER].sum()
    return found


def mean(values: np.ndarray) -> np.floating:
    """Return the mean of values, (n,) float, in their precision; NaN of none."""
    kind = values.dtype.type
    return kind(total(values) / kind(values.size)) if values.size else kind(np.nan)


def variance(values: np.ndarray) -> np.floating:
    """Return the variance of a sample, (n,) float, in its precision; NaN of fewer than two values."""
    kind = values.dtype.type
    if values.size < 2:
        return kind(np.nan)
    apart = values - mean(values)
    return kind(np.float64(total(apart * apart)) / (values.size - 1))
