"""What is left of larger objects without smaller ones, as cytoplasm: CellProfiler's IdentifyTertiaryObjects."""

from __future__ import annotations

import numba
import numpy as np


def subtract(larger: np.ndarray, smaller: np.ndarray, *, shrink_smaller: bool = True) -> np.ndarray:
    """Return the larger objects without the smaller, under the larger objects' numbers.

    Parameters
    ----------
    larger, smaller : (H, W) int32
    shrink_smaller : leave the smaller objects' outlines to the larger, so that something is left of each

    Returns
    -------
    (H, W) int32
    """
    if larger.shape != smaller.shape:
        raise ValueError(f"expected two label images of one size, found {larger.shape} and {smaller.shape}")
    inner = smaller != 0
    if shrink_smaller:
        inner &= ~_outline(np.ascontiguousarray(smaller))
    return np.where(inner, 0, larger).astype(np.int32)


@numba.njit(cache=True, nogil=True)
def _outline(labels: np.ndarray) -> np.ndarray:
    """Return the pixels that have another label among their eight neighbours, or lie at the image's border."""
    rows, columns = labels.shape
    outline = np.ones((rows, columns), np.bool_)
    for row in range(1, rows - 1):
        for column in range(1, columns - 1):
            here, alike = labels[row, column], True
            for i in range(row - 1, row + 2):
                for j in range(column - 1, column + 2):
                    alike = alike and labels[i, j] == here
            outline[row, column] = not alike
    return outline
