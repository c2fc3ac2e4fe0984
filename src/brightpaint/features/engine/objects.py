"""Labelled objects, visited once: what every group of features reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one label image.

    Attributes
    ----------
    labels : (H, W) int32; 0 is background, an object's pixels bear its number, 1 to `count`
    count : number of objects; one may be without a pixel, as a cytoplasm that its nucleus fills
    """

    labels: np.ndarray
    count: int

    def __post_init__(self):
        if self.labels.dtype != np.int32 or self.labels.ndim != 2:
            raise ValueError(f"expected labels of (H, W) int32, found {self.labels.shape} {self.labels.dtype}")
        if self.labels.size and not 0 <= int(self.labels.min()) <= int(self.labels.max()) <= self.count:
            raise ValueError(
                f"expected labels from 0 to {self.count}, found {self.labels.min()} to {self.labels.max()}"
            )

    @cached_property
    def _ordered(self) -> tuple[np.ndarray, np.ndarray]:
        return _by_object(np.ascontiguousarray(self.labels).ravel(), self.count)

    @property
    def pixels(self) -> np.ndarray:
        """Flat places of the pixels, object after object, in row-major order within each: (n,) int64."""
        return self._ordered[0]

    @property
    def starts(self) -> np.ndarray:
        """Object k's pixels are `pixels[starts[k - 1]:starts[k]]`: (count + 1,) int64."""
        return self._ordered[1]

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each object: (count,) int64."""
        return np.diff(self.starts)

    @cached_property
    def boxes(self) -> np.ndarray:
        """First row, first column, and the row and column after the last, of each object: (count, 4) int64; 0 if empty."""
        return _boxes(self.pixels, self.starts, self.labels.shape[1])


@numba.njit(cache=True, nogil=True)
def _by_object(flat: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    starts = np.zeros(count + 1, np.int64)
    for label in flat:
        if label > 0:
            starts[label] += 1
    starts = np.cumsum(starts)
    places, pixels = starts[:-1].copy(), np.empty(starts[-1], np.int64)
    for at in range(flat.size):
        label = flat[at]
        if label > 0:
            pixels[places[label - 1]] = at
            places[label - 1] += 1
    return pixels, starts


@numba.njit(cache=True, nogil=True)
def _boxes(pixels: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    boxes = np.zeros((starts.size - 1, 4), np.int64)
    for k in range(starts.size - 1):
        first = True
        for at in pixels[starts[k] : starts[k + 1]]:
            row, column = at // width, at % width
            if first:
                boxes[k] = (row, column, row + 1, column + 1)
                first = False
            boxes[k, 1] = min(boxes[k, 1], column)
            boxes[k, 2] = max(boxes[k, 2], row + 1)
            boxes[k, 3] = max(boxes[k, 3], column + 1)
    return boxes
