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
def _swap(values: np.ndarray, order: np.ndarray, i: int, j: int) -> None:
    values[i], values[j] = values[j], values[i]
    order[i], order[j] = order[j], order[i]


@numba.njit(cache=True, nogil=True)
def _insertion(values: np.ndarray, order: np.ndarray, low: int, high: int) -> None:
    for at in range(low + 1, high + 1):
        value, moved, free = values[at], order[at], at
        while free > low and value < values[free - 1]:
            values[free], order[free] = values[free - 1], order[free - 1]
            free -= 1
        values[free], order[free] = value, moved


@numba.njit(cache=True, nogil=True)
def _sift(values: np.ndarray, order: np.ndarray, low: int, root: int, size: int) -> None:
    """Let the element at a heap's root, counted from 1, sink to its place."""
    base = low - 1
    value, moved, child = values[base + root], order[base + root], 2 * root
    while child <= size:
        if child < size and values[base + child] < values[base + child + 1]:
            child += 1
        if not value < values[base + child]:
            break
        values[base + root], order[base + root] = values[base + child], order[base + child]
        root, child = child, 2 * child
    values[base + root], order[base + root] = value, moved


@numba.njit(cache=True, nogil=True)
def _heap(values: np.ndarray, order: np.ndarray, low: int, high: int) -> None:
    size = high - low + 1
    for root in range(size // 2, 0, -1):
        _sift(values, order, low, root, size)
    for end in range(size, 1, -1):
        _swap(values, order, low, low + end - 1)
        _sift(values, order, low, 1, end - 1)


@numba.njit(cache=True, nogil=True)
def _partition(values: np.ndarray, order: np.ndarray, low: int, high: int) -> int:
    middle = low + ((high - low) >> 1)
    if values[middle] < values[low]:
        _swap(values, order, middle, low)
    if values[high] < values[middle]:
        _swap(values, order, high, middle)
    if values[middle] < values[low]:
        _swap(values, order, middle, low)
    pivot, i, j = values[middle], low, high - 1
    _swap(values, order, middle, j)
    while True:
        i += 1
        while values[i] < pivot:
            i += 1
        j -= 1
        while pivot < values[j]:
            j -= 1
        if i >= j:
            break
        _swap(values, order, i, j)
    _swap(values, order, i, high - 1)
    return i


def argsort(numbers: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the order that numpy 1.24's `argsort` gives finite numbers: (n,) float64 -> (n,) int64.

    Only what equals one of `among`, sorted, is certain to be at its place: stretches without any stay unsorted.
    """
    values, order = numbers.copy(), np.arange(numbers.size)
    _sort(values, order, among)
    return order


@numba.njit(cache=True, nogil=True)
def _holds(among: np.ndarray, least: float, most: float) -> bool:
    for number in among:
        if least <= number <= most:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _sort(values: np.ndarray, order: np.ndarray, among: np.ndarray) -> None:
    depth, rest = 0, values.size
    while rest > 1:
        rest >>= 1
        depth += 2
    put_by, bounds = np.empty((130, 3), np.int64), np.empty((130, 2))
    waiting, low, high, least, most = 0, 0, values.size - 1, -np.inf, np.inf
    while True:
        while _holds(among, least, most):
            if depth < 0:
                _heap(values, order, low, high)
                break
            if high - low <= SMALL:
                _insertion(values, order, low, high)
                break
            at = _partition(values, order, low, high)
            pivot = values[at]
            depth -= 1
            put_by[waiting, 2] = depth
            if at - low < high - at:
                put_by[waiting, 0], put_by[waiting, 1] = at + 1, high
                bounds[waiting, 0], bounds[waiting, 1] = pivot, most
                high, most = at - 1, pivot
            else:
                put_by[waiting, 0], put_by[waiting, 1] = low, at - 1
                bounds[waiting, 0], bounds[waiting, 1] = least, pivot
                low, least = at + 1, pivot
            waiting += 1
        if waiting == 0:
            break
        waiting -= 1
        low, high, depth = put_by[waiting, 0], put_by[waiting, 1], put_by[waiting, 2]
        least, most = bounds[waiting, 0], bounds[waiting, 1]


@numba.njit(cache=True, nogil=True)
def _last_of_each(labels: np.ndarray, values: np.ndarray, order: np.ndarray, largest: np.ndarray) -> np.ndarray:
    last = np.zeros(largest.size, np.int64)
    for at in order:
        if values[at] == largest[labels[at]]:
            last[labels[at]] = at
    return last


@numba.njit(cache=True, nogil=True)
def _largest(labels: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the largest value of each label, 0 to `count`, the first place that holds it, and how many do."""
    largest, place, holders = np.full(count + 1, -np.inf), np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    for at in range(labels.size):
        label = labels[at]
        if values[at] > largest[label]:
            largest[label], place[label], holders[label] = values[at], at, 1
        elif values[at] == largest[label]:
            holders[label] += 1
    return largest, place, holders


def maximum_places(labels: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Return where the largest value of each object lies, as CellProfiler's scipy.ndimage.maximum_position finds it.

    Parameters
    ----------
    labels : (n,) int32, 0 to `count`
    values : (n,) float64, finite; what is sorted, so that those of label 0 may decide between equals of others

    Returns
    -------
    (count,) int64, places in `values`; 0 of an object that is not there
    """
    largest, place, holders = _largest(labels, values, count)
    shared = holders > 1
    shared[0] = False
    if shared.any():
        last = _last_of_each(labels, values, argsort(values, np.unique(largest[shared])), largest)
        place[shared] = last[shared]
    return place[1:]
