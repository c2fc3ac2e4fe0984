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
    return np.sqrt(squares_within(objects, beyond=True).astype(np.float64))


def squares_within(objects: Objects, *, beyond: bool) -> np.ndarray:
    """Return the squares of these distances, (n,) int64; without `beyond` what lies beyond the image is no edge.

    An object that fills the image has none then: -1.
    """
    return _squares_within(objects.labels.shape, objects.pixels, objects.starts, objects.boxes, beyond)


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
def _squares_within(
    shape: tuple[int, int], pixels: np.ndarray, starts: np.ndarray, boxes: np.ndarray, beyond: bool
) -> np.ndarray:
    height, width = shape
    found = np.empty(pixels.size, np.int64)
    for k in range(starts.size - 1):
        first, last = starts[k], starts[k + 1]
        top, left, bottom, right = boxes[k, 0] - 1, boxes[k, 1] - 1, boxes[k, 2] + 1, boxes[k, 3] + 1
        if not beyond:
            top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
        if last - first == (bottom - top) * (right - left):
            found[first:last] = -1
        elif last > first:
            mask = np.zeros((bottom - top, right - left), np.bool_)
            for at in pixels[first:last]:
                mask[at // width - top, at % width - left] = True
            squares = _squares(mask)
            for n in range(first, last):
                found[n] = squares[pixels[n] // width - top, pixels[n] % width - left]
    return found
