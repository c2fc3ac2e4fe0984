"""Watershed from markers, in the order of scikit-image 0.18.3, which CellProfiler 4.2.8 calls.

The lowest pixel is flooded first, of equals the one that was reached first; of markers of one height the one that the
binary heap happens to bring up, and so the heap's own steps are followed.
"""

from __future__ import annotations

import numba
import numpy as np


def flooded(heights: np.ndarray, markers: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the markers' basins within a mask, pixels that touch at a corner being neighbours.

    Parameters
    ----------
    heights : (H, W) float64
    markers : (H, W) int32, 0 is none
    mask : (H, W) bool

    Returns
    -------
    (H, W) int32; 0 outside the mask, and in a part of it without a marker
    """
    basins = np.pad(np.where(mask, markers, 0).astype(np.int32), 1)
    _flood(np.pad(np.asarray(heights, np.float64), 1).ravel(), basins.ravel(), np.pad(mask, 1).ravel(), basins.shape[1])
    return np.ascontiguousarray(basins[1:-1, 1:-1])


@numba.njit(cache=True, nogil=True)
def _flood(heights: np.ndarray, basins: np.ndarray, mask: np.ndarray, width: int) -> None:
    around = np.array([-width, -1, 1, width, -width - 1, -width + 1, width - 1, width + 1])
    room = 1
    for inside in mask:
        room += inside
    ages, places = np.empty(room, np.int64), np.empty(room, np.int64)
    values = np.empty(room, np.float64)
    size = 0
    for at in range(basins.size):
        if basins[at] != 0:
            _push(values, ages, places, size, heights[at], 0, at)
            size += 1
    age = 1
    while size > 0:
        at = places[0]
        size -= 1
        _pop(values, ages, places, size)
        for step in around:
            near = at + step
            if mask[near] and basins[near] == 0:
                age += 1
                basins[near] = basins[at]
                _push(values, ages, places, size, heights[near], age, near)
                size += 1


@numba.njit(cache=True, nogil=True)
def _push(values: np.ndarray, ages: np.ndarray, places: np.ndarray, size: int, value: float, age: int, place: int):
    child = size
    while child > 0:
        parent = (child - 1) // 2
        if value < values[parent] or (value == values[parent] and age < ages[parent]):
            values[child], ages[child], places[child] = values[parent], ages[parent], places[parent]
            child = parent
        else:
            break
    values[child], ages[child], places[child] = value, age, place


@numba.njit(cache=True, nogil=True)
def _pop(values: np.ndarray, ages: np.ndarray, places: np.ndarray, size: int) -> None:
    """Put the last of size + 1 items where it belongs, once the first is taken."""
    value, age, place = values[size], ages[size], places[size]
    at = 0
    while True:
        left, right = 2 * at + 1, 2 * at + 2
        if left >= size:
            break
        least = at
        low, young = value, age
        if values[left] < low or (values[left] == low and ages[left] < young):
            least, low, young = left, values[left], ages[left]
        if right < size and (values[right] < low or (values[right] == low and ages[right] < young)):
            least = right
        if least == at:
            break
        values[at], ages[at], places[at] = values[least], ages[least], places[least]
        at = least
    if size > 0:
        values[at], ages[at], places[at] = value, age, place
