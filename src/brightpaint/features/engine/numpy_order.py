"""The order into which CellProfiler's numpy sorts equal numbers: which of several equal maxima counts as an object's.

scipy.ndimage.maximum_position sorts all values by `numpy.argsort`, which is unstable, and takes the last of each object.
CellProfiler 4.2.8 runs on numpy below 1.25, whose argsort is the scalar introsort written out here: median of three,
the larger part put by, insertion up to 16 elements, heapsort past twice the binary logarithm's depth. Later numpy
sorts by vector instructions, and its order of equals depends on the CPU.
"""

from __future__ import annotations

import numba
import numpy as np

SMALL = 15


@numba.njit(cache=True, nogil=True)
def _insertion(values: np.ndarray, order: np.ndarray, low: int, high: int) -> None:
    for at in range(low + 1, high + 1):
        moved = order[at]
        value, free = values[moved], at
        while free > low and value < values[order[free - 1]]:
            order[free] = order[free - 1]
            free -= 1
        order[free] = moved


@numba.njit(cache=True, nogil=True)
def _sift(values: np.ndarray, order: np.ndarray, low: int, root: int, size: int) -> None:
    """Let the element at a heap's root, counted from 1, sink to its place."""
    moved = order[low + root - 1]
    value, child = values[moved], 2 * root
    while child <= size:
        if child < size and values[order[low + child - 1]] < values[order[low + child]]:
            child += 1
        if not value < values[order[low + child - 1]]:
            break
        order[low + root - 1] = order[low + child - 1]
        root, child = child, 2 * child
    order[low + root - 1] = moved


@numba.njit(cache=True, nogil=True)
def _heap(values: np.ndarray, order: np.ndarray, low: int, high: int) -> None:
    size = high - low + 1
    for root in range(size // 2, 0, -1):
        _sift(values, order, low, root, size)
    for end in range(size, 1, -1):
        order[low], order[low + end - 1] = order[low + end - 1], order[low]
        _sift(values, order, low, 1, end - 1)


@numba.njit(cache=True, nogil=True)
def _partition(values: np.ndarray, order: np.ndarray, low: int, high: int) -> int:
    middle = low + ((high - low) >> 1)
    if values[order[middle]] < values[order[low]]:
        order[middle], order[low] = order[low], order[middle]
    if values[order[high]] < values[order[middle]]:
        order[high], order[middle] = order[middle], order[high]
    if values[order[middle]] < values[order[low]]:
        order[middle], order[low] = order[low], order[middle]
    pivot, i, j = values[order[middle]], low, high - 1
    order[middle], order[j] = order[j], order[middle]
    while True:
        i += 1
        while values[order[i]] < pivot:
            i += 1
        j -= 1
        while pivot < values[order[j]]:
            j -= 1
        if i >= j:
            break
        order[i], order[j] = order[j], order[i]
    order[i], order[high - 1] = order[high - 1], order[i]
    return i


@numba.njit(cache=True, nogil=True)
def argsort(values: np.ndarray) -> np.ndarray:
    """Return the order that numpy 1.24's `argsort` gives finite numbers: (n,) float64 -> (n,) int64."""
    order = np.arange(values.size)
    depth, rest = 0, values.size
    while rest > 1:
        rest >>= 1
        depth += 2
    put_by = np.empty((130, 3), np.int64)
    waiting, low, high = 0, 0, values.size - 1
    while True:
        if depth < 0:
            _heap(values, order, low, high)
        else:
            while high - low > SMALL:
                at = _partition(values, order, low, high)
                depth -= 1
                if at - low < high - at:
                    put_by[waiting, 0], put_by[waiting, 1], put_by[waiting, 2] = at + 1, high, depth
                    high = at - 1
                else:
                    put_by[waiting, 0], put_by[waiting, 1], put_by[waiting, 2] = low, at - 1, depth
                    low = at + 1
                waiting += 1
            _insertion(values, order, low, high)
        if waiting == 0:
            return order
        waiting -= 1
        low, high, depth = put_by[waiting, 0], put_by[waiting, 1], put_by[waiting, 2]


@numba.njit(cache=True, nogil=True)
def last_of_each(labels: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Return the place that comes last of each label, 1 to `count`; 0 for a label that is not there: (count,) int64."""
    last = np.zeros(count + 1, np.int64)
    for at in range(labels.size):
        last[labels[at]] = places[at]
    return last[1:]
