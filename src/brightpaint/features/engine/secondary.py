"""Objects grown from others over an image, as cells from nuclei: CellProfiler's IdentifySecondaryObjects, Propagation.

Jones, Carpenter and Golland 2005, "Voronoi-based segmentation of cells on image manifolds": a step to a neighbour is as
long as the two pixels' surroundings differ, and a regularisation of its length in pixels. Pixels are taken in the order
of their distance, of equals (to 2**-52 of it) the lower number first, then the upper and left pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from brightpaint.features.engine import holes, thresholds
from brightpaint.features.engine.thresholds import Threshold


@dataclass(frozen=True)
class Grown:
    """Objects, and all that was grown.

    Attributes
    ----------
    labels : (H, W) int32, an object's number is that of its seed
    whole : (H, W) int32, what grew at the border too, under the numbers of `uncut`
    threshold : what was found and used
    """

    labels: np.ndarray
    whole: np.ndarray
    threshold: Threshold


def grow(
    seeds: np.ndarray,
    image: np.ndarray,
    *,
    uncut: np.ndarray | None = None,
    regularization: float = 0.05,
    fill_holes: bool = True,
    threshold_smoothing_scale: float = 0.0,
    threshold_correction_factor: float = 1.0,
    threshold_bounds: tuple[float, float] = (0.0, 1.0),
    log_transform: bool = True,
) -> Grown:
    """Grow each seed over the image's foreground (a minimum cross-entropy threshold in two classes).

    Parameters
    ----------
    seeds : (H, W) int32, the objects to grow
    image : (H, W) float32 or float64 in [0, 1]
    uncut : (H, W) int32, `primary.Found.uncut`: what of it touches the border grows too, and is left out; None: `seeds`
    regularization, fill_holes, log_transform : settings of CellProfiler of those names
    threshold_smoothing_scale, threshold_correction_factor, threshold_bounds : as `thresholds` says
    """
    uncut = seeds if uncut is None else uncut
    if not seeds.shape == image.shape == uncut.shape:
        raise ValueError(f"expected seeds and image of one size, found {seeds.shape}, {uncut.shape} and {image.shape}")
    threshold = thresholds.minimum_cross_entropy(
        image, log_transform=log_transform, correction_factor=threshold_correction_factor, bounds=threshold_bounds
    )
    mask = thresholds.foreground(image, threshold.final, smoothing_scale=threshold_smoothing_scale)
    most = int(uncut.max(initial=0))
    at_border = np.zeros(most + 1, bool)
    for edge in (uncut[0], uncut[-1], uncut[:, 0], uncut[:, -1]):
        at_border[edge] = True
    starts = np.where(at_border[uncut] | (seeds != 0), uncut, 0).astype(np.int32)
    heights = np.pad(image.astype(np.float64), 1, mode="edge")
    grown = _propagated(heights, starts, np.ascontiguousarray(mask), float(regularization))
    if fill_holes:
        grown = holes.filled(grown, objects_too=False)
    numbers = np.zeros(most + 1, np.int32)
    np.maximum.at(numbers, grown.ravel(), seeds.ravel())
    numbers[0] = 0
    return Grown(numbers[grown], grown, threshold)


@numba.njit(cache=True, nogil=True)
def _propagated(heights: np.ndarray, starts: np.ndarray, mask: np.ndarray, weight: float) -> np.ndarray:
    """Return the labels after propagation; `heights` has a border of one pixel more than the others."""
    rows, columns = mask.shape
    labels = np.zeros((rows, columns), np.int32)
    distances = np.full((rows, columns), np.inf)
    bits = distances.view(np.int64)
    room = 1024
    keys, items = np.empty(room, np.int64), np.empty(room, np.int64)
    size = 0
    for row in range(rows):
        for column in range(columns):
            if starts[row, column] > 0:
                distances[row, column] = 0.0
                if mask[row, column]:
                    if size == room:
                        room *= 2
                        keys, items = _more(keys, room), _more(items, room)
                    _push(keys, items, size, 0, (np.int64(starts[row, column]) << 32) | (row * columns + column))
                    size += 1
    while size > 0:
        item = items[0]
        size -= 1
        _pop(keys, items, size)
        at = item & 0xFFFFFFFF
        row, column = at // columns, at % columns
        if labels[row, column] != 0:
            continue
        label = item >> 32
        labels[row, column] = label
        here = distances[row, column]
        for i in range(max(row - 1, 0), min(row + 2, rows)):
            for j in range(max(column - 1, 0), min(column + 2, columns)):
                if labels[i, j] > 0 or not mask[i, j]:
                    continue
                unlike = 0.0
                for down in range(3):
                    for along in range(3):
                        unlike += abs(heights[row + down, column + along] - heights[i + down, j + along])
                steps = float(abs(row - i) + abs(column - j))
                distance = np.sqrt(unlike * unlike + steps * weight * weight) + here
                if distances[i, j] > distance:
                    distances[i, j] = distance
                    if size == room:
                        room *= 2
                        keys, items = _more(keys, room), _more(items, room)
                    _push(keys, items, size, bits[i, j] >> 1, (label << 32) | (i * columns + j))
                    size += 1
    for row in range(rows):
        for column in range(columns):
            if starts[row, column] > 0:
                labels[row, column] = starts[row, column]
    return labels


@numba.njit(cache=True, nogil=True)
def _more(values: np.ndarray, room: int) -> np.ndarray:
    larger = np.empty(room, np.int64)
    larger[: values.size] = values
    return larger


@numba.njit(cache=True, nogil=True)
def _push(keys: np.ndarray, items: np.ndarray, size: int, key: int, item: int) -> None:
    child = size
    while child > 0:
        parent = (child - 1) // 4
        if key < keys[parent] or (key == keys[parent] and item < items[parent]):
            keys[child], items[child] = keys[parent], items[parent]
            child = parent
        else:
            break
    keys[child], items[child] = key, item


@numba.njit(cache=True, nogil=True)
def _pop(keys: np.ndarray, items: np.ndarray, size: int) -> None:
    """Put the last of size + 1 items where it belongs, once the first is taken."""
    key, item = keys[size], items[size]
    at = 0
    while True:
        first = 4 * at + 1
        if first >= size:
            break
        least = first
        for child in range(first + 1, min(first + 4, size)):
            if keys[child] < keys[least] or (keys[child] == keys[least] and items[child] < items[least]):
                least = child
        if keys[least] < key or (keys[least] == key and items[least] < item):
            keys[at], items[at] = keys[least], items[least]
            at = least
        else:
            break
    if size > 0:
        keys[at], items[at] = key, item
