"""Costes' thresholds of two images: above them, what is bright in both correlates; below, nothing does.

Costes et al. 2004 (https://doi.org/10.1529/biophysj.103.038422), searched for as CellProfiler 4.2 does: along the line of
orthogonal regression of the two images, for the threshold where the pixels below it in either image cease to correlate.
`Faster` narrows a window by bisection over whole grey levels; `Fast` and `Accurate` step down from the brightest pixel. It
is a property of the whole images, and the same for all their objects.

What makes it fast: pixels are sorted by each image once, and sums of those above both thresholds are kept. A new threshold
adds or takes away the pixels between it and the last; the correlation of the rest follows from the sums. Where those sums
cannot tell the sign for sure, the correlation is taken anew from the pixels themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np

from brightpaint.features.engine.rounding import mean, variance

METHODS = ("Faster", "Fast", "Accurate")
STEPS = ((0.45, 10), (0.35, 5), (0.25, 2))  # Fast: above this correlation, so many grey levels at once


def thresholds(first: Sorted, second: Sorted, method: str, scale: int) -> tuple[float, float]:
    """Return the thresholds of two images, in their units; the second may be NaN, where no line can be drawn.

    Raises
    ------
    ValueError
        an unknown method
    """
    if method not in METHODS:
        raise ValueError(f"Costes' thresholds: expected the method {', '.join(METHODS)}, found {method!r}")
    slope, intercept = _line(first.values, second.values)
    below = _Below(first, second)
    if method == "Faster":
        found = _bisected(below, slope, intercept, scale)
    else:
        found = _stepped(below, slope, intercept, scale, method == "Fast")
    return found, slope * found + intercept


@dataclass(frozen=True, eq=False)
class Sorted:
    """An image's pixels, (n,) float, and their places from the brightest to the darkest, (n,) int."""

    values: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> Sorted:
        """Sort an image; which of equal pixels comes first changes nothing."""
        values = np.ascontiguousarray(image).ravel()
        return cls(values, np.argsort(-values))

    @cached_property
    def falling(self) -> np.ndarray:
        """The pixels from the brightest to the darkest: (n,) float."""
        return self.values.take(self.order)

    def ranks(self) -> np.ndarray:
        """Each pixel's place among the image's different values, from 0, the darkest: (n,) int64."""
        return _ranks(self.falling, self.order)


def _line(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of the orthogonal regression of the pixels that are not 0 in both images.

    Moments are taken in the precision of the images, their combinations in double precision, as CellProfiler's are.
    """
    either = (first > 0) | (second > 0)
    first, second = first[either], second[either]
    with np.errstate(all="ignore"):
        spread, other = variance(first), variance(second)
        together = 0.5 * np.float64(variance(first + second) - (spread + other))
        gap = other - spread
        slope = (np.float64(gap) + np.sqrt(np.float64(gap * gap) + 4 * together * together)) / (2 * together)
        return float(slope), float(np.float64(mean(second)) - slope * np.float64(mean(first)))


class _Below:
    """The correlation of the pixels below one of two thresholds, for thresholds that move."""

    def __init__(self, first: Sorted, second: Sorted):
        self.first, self.second = first.values, second.values
        self.middles = np.array([np.mean(image, dtype=float) for image in (self.first, self.second)])
        # What is walked through lies in the order of the walk: an image, and the other at the same pixels.
        self.ordered = [
            (first.falling, self.second.take(first.order)),
            (second.falling, self.first.take(second.order)),
        ]
        self.places = [0, 0]  # how many pixels of each order are at its threshold or above
        self.kinds = (self.first.dtype.type, self.second.dtype.type)
        self.at = [kind(np.inf) for kind in self.kinds]
        self.sums = np.zeros(6)
        self.all = np.zeros(6)
        _shift(self.first, self.second, 0, *(-limit for limit in self.at), self.middles, 0, self.all)

    def move(self, first: float, second: float) -> int:
        """Set the thresholds and return how many pixels lie below one of them."""
        for turn, limit in enumerate((first, second)):
            values, others = self.ordered[turn]
            self.at[turn] = self.kinds[turn](limit)  # an image is compared in its own precision
            args = (self.places[turn], self.at[turn], self.at[1 - turn], self.middles, turn, self.sums)
            self.places[turn] = _shift(values, others, *args)
        return self.first.size - int(self.sums[0])

    def correlation(self) -> float:
        """Return Pearson's correlation of the pixels below; NaN where one image is constant there."""
        n, x, y, xx, yy, xy = self.all - self.sums
        xx, yy, xy = xx - x * x / n, yy - y * y / n, xy - x * y / n
        # Sums are sure to some 1e-13 of the whole image's: to 1e-8 of what is left, if that is 1e-5 of it or more.
        if xx > 1e-5 * self.all[3] and yy > 1e-5 * self.all[4]:
            r = xy / np.sqrt(xx * yy)
            if min(abs(r - limit) for limit in (0, *(step[0] for step in STEPS))) > 1e-7:
                return r
        below = (self.first < self.at[0]) | (self.second < self.at[1])
        return pearson(self.first[below], self.second[below])


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's correlation of two lists of two and more values, as scipy takes it: NaN where one is constant."""
    if (x == x[0]).all() or (y == y[0]).all():
        return np.nan
    if x.size == 2:
        return float(np.sign(x[1] - x[0]) * np.sign(y[1] - y[0]))
    x, y = x.astype(float) - np.mean(x, dtype=float), y.astype(float) - np.mean(y, dtype=float)
    return float(np.sum(x / np.sqrt(np.sum(x * x)) * (y / np.sqrt(np.sum(y * y)))))  # no BLAS: it adds by its threads


def _bisected(below: _Below, slope: float, intercept: float, scale: int) -> float:
    """Return the threshold of `Faster`: a window of grey levels that keeps five sixths of itself, or the last sixth."""
    left, right, valid = 1.0, float(scale), 1.0
    level, last = (right - left) // (6 / 5) + left, 0.0
    while level != last:
        threshold = level / scale
        if below.move(threshold, slope * threshold + intercept) <= 2:
            left = level - 1
        else:
            correlation = below.correlation()
            if correlation < 0:
                left = level - 1
            elif correlation >= 0:
                right, valid = level + 1, level
        last = level
        level = (right - left) // (6 / 5 if right - left > 6 else 2) + left
    return (valid - 1) / scale


def _stepped(below: _Below, slope: float, intercept: float, scale: int, fast: bool) -> float:
    """Return the threshold of `Fast` and `Accurate`: the first, from the brightest pixel down, without correlation."""
    step = 1 / scale
    tops = [float(image.max()) for image in (below.first, below.second)]
    threshold = found = step * (max(tops) // step + 1)
    while threshold > tops[0] and slope * threshold + intercept > tops[1]:
        threshold -= step
    correlation, counted = pearson(below.first, below.second), None
    while threshold > step:
        found = threshold
        count = below.move(threshold, slope * threshold + intercept)
        if count != counted:
            if count < 2:
                break
            correlation, counted = below.correlation(), count
        if correlation <= 0:
            break
        wide = next((many for limit, many in STEPS if correlation > limit), 1) if fast and threshold >= step * 10 else 1
        threshold -= step * wide
    return found


@numba.njit(cache=True, nogil=True)
def _ranks(falling, order):
    ranks = np.empty(order.size, np.int64)
    rank = 0
    for place in range(order.size - 1, -1, -1):
        if place + 1 < order.size and falling[place] != falling[place + 1]:
            rank += 1
        ranks[order[place]] = rank
    return ranks


@numba.njit(cache=True, nogil=True)
def _shift(values, others, place, limit, other_limit, middles, turn, sums):
    """Move one threshold and return the new place; what passes it and is not below the other enters or leaves the sums.

    Sums are of the number, each image, its square, and the product, from the images' middles; `values` are those of image
    `turn`, falling. A pixel that is not below a threshold is above it, as all are of a threshold of NaN.
    """
    n, x, y, xx, yy, xy = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    while True:
        if place < values.size and not values[place] < limit:
            at, by = place, 1
            place += 1
        elif place > 0 and values[place - 1] < limit:
            place -= 1
            at, by = place, -1
        else:
            break
        if not others[at] < other_limit:
            value, other = values[at] - middles[turn], others[at] - middles[1 - turn]
            n += by
            x += by * value
            y += by * other
            xx += by * value * value
            yy += by * other * other
            xy += by * value * other
    sums[0] += n
    sums[1 + turn] += x
    sums[2 - turn] += y
    sums[3 + turn] += xx
    sums[4 - turn] += yy
    sums[5] += xy
    return place
