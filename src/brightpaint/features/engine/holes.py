"""Holes of labelled objects, and how they are filled.

A hole is a region of background, or a whole object, from which no path leads to the image's border but through one
object. CellProfiler's rule, whose walk over regions is followed in its order: what touches two objects is none.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy import ndimage


def filled(labels: np.ndarray, *, most_pixels: float = np.inf, objects_too: bool = True) -> np.ndarray:
    """Return labels whose holes bear the number of the object around them.

    Parameters
    ----------
    labels : (H, W) int32, 0 is background; or bool
    most_pixels : a region of as many pixels or more is no hole, be it background or object
    objects_too : also fill in an object that lies within another; else only background

    Returns
    -------
    (H, W) of the same dtype, new
    """
    background, count = ndimage.label(labels == 0)
    most = int(labels.max(initial=0))
    regions = np.where(background != 0, background + most, labels).astype(np.int32)
    number = most + count + 1
    pairs = np.unique(_touching(regions, number))
    outside = np.zeros(number, np.bool_)
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        outside[edge] = True
    outside[0] = False
    order = np.flatnonzero(outside)
    if pairs.size and most_pixels < np.inf:
        areas = np.bincount(regions.ravel(), minlength=number)
        large = (areas >= most_pixels) & ~outside
        large[0] = False
        outside |= large
        order = np.concatenate([order, np.flatnonzero(large)])
    if not pairs.size or outside[1:].all():
        return labels.copy()
    first, second = np.divmod(pairs, number)
    starts = np.searchsorted(first, np.arange(number + 1))
    owners = _owners(second, starts, outside, order, most)
    if not objects_too:
        owners[: most + 1] = np.arange(most + 1)
    return owners[regions].astype(labels.dtype)


@numba.njit(cache=True, nogil=True)
def _touching(regions: np.ndarray, number: int) -> np.ndarray:
    """Return the pairs of regions that share a pixel's edge, each both ways: first * number + second."""
    height, width = regions.shape
    pairs = np.empty(0, np.int64)
    for counted in (False, True):  # first how many there are, so that no more room is taken
        count = 0
        for row in range(height):
            for column in range(width):
                here = np.int64(regions[row, column])
                for down, along in ((1, 0), (0, 1)):
                    if row + down < height and column + along < width:
                        other = np.int64(regions[row + down, column + along])
                        if other != here:
                            if counted:
                                pairs[count], pairs[count + 1] = here * number + other, other * number + here
                            count += 2
        if not counted:
            pairs = np.empty(count, np.int64)
    return pairs


@numba.njit(cache=True, nogil=True)
def _owners(second: np.ndarray, starts: np.ndarray, outside: np.ndarray, order: np.ndarray, most: int) -> np.ndarray:
    """Return what each region becomes: an object itself, background 0, a hole the object around it."""
    number = outside.size
    around = np.zeros(number, np.int64)
    stack = np.empty(number, np.int64)
    height = order.size
    stack[:height] = order
    while height > 0:
        height -= 1
        region = stack[height]
        for n in range(starts[region], starts[region + 1]):
            other = second[n]
            if outside[other]:
                continue
            if region <= most:  # an object: what touches it alone may be its hole
                if around[other] == 0 or around[other] == region:
                    around[other] = region
                    continue
            elif other > most:
                continue
            outside[other] = True
            stack[height] = other
            height += 1
    for region in range(number):
        if not outside[region] and around[region] != 0:
            stack[height] = region
            height += 1
    while height > 0:  # holes within holes
        height -= 1
        region = stack[height]
        for n in range(starts[region], starts[region + 1]):
            other = second[n]
            if not outside[other] and around[other] == 0:
                around[other] = around[region]
                stack[height] = other
                height += 1
    for region in range(number):
        if outside[region]:
            around[region] = region if region <= most else 0
    return around
