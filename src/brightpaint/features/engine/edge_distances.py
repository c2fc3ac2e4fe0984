"""Exact Euclidean distances to the nearest pixel outside: of a mask, and of each object by itself.

Squares are whole numbers, so that a distance is the same double however it is found. Meijster, Roerdink and Hesselink
2000, "A general algorithm for computing distance transforms in linear time".
"""

from __future__ import annotations

import numba
import numpy as np

from brightpaint.features.engine.objects import Objects


def to_background(mask: np.ndarray) -> np.ndarray:
    """Return each pixel's distance to the nearest pixel that is not in the mask, in pixels: (H, W) float64, 0 outside.

    The image's border is no background: a mask without a pixel outside has no such distance, and is an error.
    """
    if mask.all():
        raise ValueError("expected a mask with a pixel outside it, found none: no distance can be told")
    return np.sqrt(_squares(np.ascontiguousarray(mask)).astype(np.float64))


def within(objects: Objects) -> np.ndarray:
    """Return the distance of each of `objects.pixels` to the nearest pixel that is not its object's: (n,) float64.

    What lies beyond the image is not the object's.
    """
    labels = np.ascontiguousarray(objects.labels)
    return np.sqrt(_squares_within(labels, objects.pixels, objects.starts, objects.boxes).astype(np.float64))


@numba.njit(cache=True, nogil=True)
def _squares(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    far = height + width  # farther than any pixel is
    down = np.empty((height, width), np.int64)
    for column in range(width):
        down[0, column] = far if mask[0, column] else 0
    for row in range(1, height):
        for column in range(width):
            down[row, column] = min(far, down[row - 1, column] + 1) if mask[row, column] else 0
    for row in range(height - 2, -1, -1):
        for column in range(width):
            if down[row + 1, column] < down[row, column]:
                down[row, column] = down[row + 1, column] + 1
    squares = np.zeros((height, width), np.int64)
    at, since = np.empty(width, np.int64), np.empty(width, np.int64)
    for row in range(height):
        last = 0
        at[0] = since[0] = 0
        for column in range(1, width):
            here = down[row, column] ** 2
            while (
                last >= 0
                and (since[last] - at[last]) ** 2 + down[row, at[last]] ** 2 > (since[last] - column) ** 2 + here
            ):
                last -= 1
            if last < 0:
                last = 0
                at[0] = column
            else:
                other = at[last]
                first = 1 + (column**2 - other**2 + here - down[row, other] ** 2) // (2 * (column - other))
                if first < width:
                    last += 1
                    at[last], since[last] = column, first
        for column in range(width - 1, -1, -1):
            if mask[row, column]:
                squares[row, column] = (column - at[last]) ** 2 + down[row, at[last]] ** 2
            if column == since[last]:
                last -= 1
    return squares


@numba.njit(cache=True, nogil=True)
def _squares_within(labels: np.ndarray, pixels: np.ndarray, starts: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    width = labels.shape[1]
    found = np.empty(pixels.size, np.int64)
    for k in range(starts.size - 1):
        first_row, first_column = boxes[k, 0] - 1, boxes[k, 1] - 1
        mask = np.zeros((boxes[k, 2] - boxes[k, 0] + 2, boxes[k, 3] - boxes[k, 1] + 2), np.bool_)
        for n in range(starts[k], starts[k + 1]):
            mask[pixels[n] // width - first_row, pixels[n] % width - first_column] = True
        if starts[k + 1] > starts[k]:
            squares = _squares(mask)
            for n in range(starts[k], starts[k + 1]):
                found[n] = squares[pixels[n] // width - first_row, pixels[n] % width - first_column]
    return found
