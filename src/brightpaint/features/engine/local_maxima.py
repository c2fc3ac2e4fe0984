"""Local maxima within labelled regions, each shrunk to a point: the seeds of declumping."""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np
from scipy import ndimage

REDUCED_DIAMETER = 10.0  # CellProfiler looks for maxima in an image whose least objects are as many pixels across
EDGES = (  # what is kept beyond the erodible: an end of a line or of a diagonal, in the four directions in turn
    (((1, 0), (1, 1)), ((1, 2),), ((0, 0), (1, 1)), ((1, 2), (2, 1), (2, 2))),
    (((0, 1), (1, 1)), ((2, 1),), ((0, 2), (1, 1)), ((1, 0), (2, 0), (2, 1))),
    (((1, 1), (1, 2)), ((1, 0),), ((1, 1), (2, 2)), ((0, 0), (0, 1), (1, 0))),
    (((1, 1), (2, 1)), ((0, 1),), ((1, 1), (2, 0)), ((0, 1), (0, 2), (1, 2))),
)


def points(heights: np.ndarray, labels: np.ndarray, radius: float, reduced: float = 1.0) -> np.ndarray:
    """Return the maxima of heights within a disk, each as one pixel.

    Parameters
    ----------
    heights : (H, W) float64; a maximum is above 0
    labels : (H, W) int32; only pixels of one label are compared
    radius : of the disk, in pixels of the image in which the maxima are looked for
    reduced : size of that image, over the size of the given one

    Returns
    -------
    (H, W) bool
    """
    small, regions = (heights, labels) if reduced >= 1 else _reduced(heights, labels, reduced)
    maxima = _maxima(np.ascontiguousarray(small), np.ascontiguousarray(regions), _disk(radius)) & (small > 0)
    if reduced < 1:
        places = np.mgrid[: heights.shape[0], : heights.shape[1]] / (heights.shape[0] / maxima.shape[0])
        maxima = ndimage.map_coordinates(maxima.astype(float), places) > 0.5
    return shrunk(maxima)


def _reduced(heights: np.ndarray, labels: np.ndarray, by: float) -> tuple[np.ndarray, np.ndarray]:
    places = np.mgrid[0 : heights.shape[0] * by, 0 : heights.shape[1] * by] / by
    return ndimage.map_coordinates(heights, places), ndimage.map_coordinates(labels, places, order=0)


def _disk(radius: float) -> np.ndarray:
    """Return the steps to a disk's pixels, the nearest first: (n, 2) int64."""
    whole = int(radius)
    steps = np.mgrid[-whole : whole + 1, -whole : whole + 1].reshape(2, -1).T
    squares = (steps**2).sum(1)
    chosen = (squares > 0) & (squares <= radius * radius)
    return np.ascontiguousarray(steps[chosen][np.argsort(squares[chosen], kind="stable")])


@numba.njit(cache=True, nogil=True)
def _maxima(heights: np.ndarray, labels: np.ndarray, steps: np.ndarray) -> np.ndarray:
    rows, columns = heights.shape
    found = np.zeros((rows, columns), np.bool_)
    for row in range(rows):
        for column in range(columns):
            label = labels[row, column]
            if label == 0:
                continue
            highest = True
            for n in range(steps.shape[0]):
                i, j = row + steps[n, 0], column + steps[n, 1]
                if 0 <= i < rows and 0 <= j < columns and labels[i, j] == label:
                    if heights[row, column] < heights[i, j]:
                        highest = False
                        break
            found[row, column] = highest
    return found


def shrunk(mask: np.ndarray) -> np.ndarray:
    """Return the mask, each blob shrunk to a pixel, or to a ring around its holes: (H, W) bool."""
    kept = np.pad(mask, 1)
    _shrink(kept, np.flatnonzero(kept), _tables())
    return kept[1:-1, 1:-1].copy()


@numba.njit(cache=True, nogil=True)
def _shrink(kept: np.ndarray, places: np.ndarray, tables: np.ndarray) -> None:
    width = kept.shape[1]
    flat = kept.ravel()
    around = np.array([-width - 1, -width, -width + 1, -1, 0, 1, width - 1, width, width + 1])
    gone = np.empty(places.size, np.int64)
    left = places.size
    while True:
        before = left
        for table in range(tables.shape[0]):
            lost, still = 0, 0
            for n in range(left):
                pattern = 0
                for bit in range(9):
                    if flat[places[n] + around[bit]]:
                        pattern |= 1 << bit
                if tables[table, pattern]:
                    places[still] = places[n]
                    still += 1
                else:
                    gone[lost] = places[n]
                    lost += 1
            for n in range(lost):
                flat[gone[n]] = False
            left = still
        if left == before:
            return


@lru_cache(maxsize=1)
def _tables() -> np.ndarray:
    """Return whether the middle pixel of each of 512 patterns of 3 by 3 stays, in each direction: (4, 512) bool."""
    patterns = ((np.arange(512)[:, None] >> np.arange(9)) & 1).astype(bool).reshape(512, 3, 3)
    stays = np.zeros(512, bool)
    for number, pattern in enumerate(patterns):
        if pattern[1, 1]:
            rest = pattern.copy()
            rest[1, 1] = False
            stays[number] = ndimage.label(rest)[1] != 1
    stays[511] = True
    tables = []
    for line_on, line_off, corner_on, corner_off in EDGES:
        line = _matches(patterns, line_on, line_off)
        corner = _matches(patterns, corner_on, corner_off)
        tables.append(stays | ~(line | corner))
    return np.array(tables)


def _matches(patterns: np.ndarray, on: tuple, off: tuple) -> np.ndarray:
    found = np.ones(len(patterns), bool)
    for row, column in on:
        found &= patterns[:, row, column]
    for row, column in off:
        found &= ~patterns[:, row, column]
    return found
