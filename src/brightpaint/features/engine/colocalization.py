"""Colocalization of channels within objects: CellProfiler's MeasureColocalization.

Pearson's correlation, Manders' coefficients above a share of each object's brightest pixel, the same weighted by how near
the two channels' ranks are (Singan et al. 2011, https://doi.org/10.1186/1471-2105-12-407), the overlap with K1 and K2, and
Manders' coefficients above Costes' thresholds (`costes`), for each pair of channels. Definitions are CellProfiler 4.2's:
ranks are taken over the pixels of all objects of a set together, products for the overlap are in the precision of the
images, sums in double precision.

What makes it fast: channels are sorted once a field for all object sets, Costes' thresholds are found once a pair, and one
pass over an object's pixels gives all that is asked of a pair.

Agreement: equal to CellProfiler's numbers, to the last bit; but where the correlation below one of Costes' thresholds is 0
to rounding, its sign, and with it the threshold, may differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import combinations

import numba
import numpy as np

from brightpaint.features.engine.costes import Sorted, thresholds
from brightpaint.features.engine.objects import Objects

SCALE = 65535  # what CellProfiler divides a 16-bit image by


class Shared:
    """The channels of one field, and what all its object sets share: ranks, and Costes' thresholds of each pair.

    Attributes
    ----------
    images : (H, W) float, by channel, all of one precision
    costes_method : `Faster`, `Fast` or `Accurate`
    scale : what the files' counts were divided by; Costes' thresholds are tried at whole counts
    """

    def __init__(self, images: dict[str, np.ndarray], *, costes_method: str = "Faster", scale: int = SCALE):
        for channel, image in images.items():
            if not np.isfinite(image).all():
                raise ValueError(f"colocalization of {channel}: expected finite intensities, found NaN or infinity")
        self.images, self.costes_method, self.scale = images, costes_method, scale

    def is_of(self, images: dict[str, np.ndarray], costes_method: str, scale: int) -> bool:
        """Tell whether this was made of these very images, in their order, and settings."""
        same = list(images) == list(self.images) and all(self.images[channel] is images[channel] for channel in images)
        return same and (costes_method, scale) == (self.costes_method, self.scale)

    @cached_property
    def sorted(self) -> dict[str, Sorted]:
        return {channel: Sorted.of(image) for channel, image in self.images.items()}

    @cached_property
    def ranks(self) -> dict[str, np.ndarray]:
        return {channel: pixels.ranks() for channel, pixels in self.sorted.items()}

    @cached_property
    def thresholds(self) -> dict[tuple[str, str], tuple[float, float]]:
        return {
            (first, second): thresholds(self.sorted[first], self.sorted[second], self.costes_method, self.scale)
            for first, second in combinations(self.images, 2)
        }


def measure(
    objects: Objects,
    images: dict[str, np.ndarray],
    *,
    threshold_percent: float = 15.0,
    correlation: bool = True,
    manders: bool = True,
    rank_weighted: bool = True,
    overlap: bool = True,
    costes: bool = True,
    costes_method: str = "Faster",
    scale: int = SCALE,
    shared: Shared | None = None,
) -> dict[str, np.ndarray]:
    """Measure how the channels of a field lie within each object, for every pair in the order of `images`.

    Parameters
    ----------
    images : (H, W) float, by channel, all of one precision
    threshold_percent : of an object's brightest pixel, above which Manders, ranks and overlap count; percent
    shared : `Shared(images, costes_method=..., scale=...)`, made once where several object sets of a field are measured

    Returns
    -------
    {`Correlation_<measure>_<channel>_<channel>`: (count,) float64}; measures are Correlation and Overlap of a pair, and
    Manders, RWC, K and Costes of both its orders. NaN where an object is constant (Correlation) or has no pixel to
    divide by; 0 in all objects where none has a pixel above both thresholds.

    Raises
    ------
    ValueError
        fewer than two channels, an image of another shape than the labels or not finite, an unknown method of Costes'
        thresholds, or `shared` of other images or settings
    """
    if len(images) < 2:
        raise ValueError(f"colocalization: expected two channels and more, found {', '.join(images) or 'none'}")
    for channel, image in images.items():
        if image.shape != objects.labels.shape:
            raise ValueError(
                f"colocalization of {channel}: expected an image of {objects.labels.shape}, found {image.shape}"
            )
    field = Shared(images, costes_method=costes_method, scale=scale) if shared is None else shared
    if not field.is_of(images, costes_method, scale):
        raise ValueError("colocalization: what is shared was made of other images or settings")
    values = {channel: image.ravel()[objects.pixels] for channel, image in images.items()}
    means = {channel: _means(pixels, objects.starts, threshold_percent / 100) for channel, pixels in values.items()}
    ranks = {channel: np.zeros(objects.pixels.size, np.int64) for channel in values}
    if rank_weighted:
        ranks = {channel: _among(field.ranks[channel][objects.pixels]) for channel in values}
    columns = {}
    for pair in combinations(images, 2):
        first, second = pair
        limits = field.thresholds[pair] if costes else (0.0, 0.0)
        limits = [values[channel].dtype.type(limit) for channel, limit in zip(pair, limits, strict=True)]
        of_both = [part[channel] for part in (values, ranks) for channel in pair]
        highest = 1 + max(int(ranks[channel].max(initial=0)) for channel in pair)
        sums = _pair(*of_both, *means[first], *means[second], objects.starts, highest, *limits)
        asked = {"Correlation": correlation, "Manders": manders, "RWC": rank_weighted, "Overlap": overlap, "K": overlap}
        for name, channels, column in _coefficients(pair, sums, objects.areas):
            if (asked | {"Costes": costes})[name]:
                columns[f"Correlation_{name}_{channels}"] = column
    return dict(sorted(columns.items()))


def _coefficients(pair: tuple[str, str], sums: np.ndarray, areas: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (measure, channels, column) of the sums that `_pair` returns."""
    forth, back = "_".join(pair), "_".join(reversed(pair))
    yield "Correlation", forth, np.where(areas > 0, sums[0], np.nan)
    none = np.zeros(areas.size)
    both, both_costes = sums[1].any(), sums[11].any()
    with np.errstate(divide="ignore", invalid="ignore"):
        for channels, at in ((forth, 0), (back, 1)):
            yield "Manders", channels, sums[4 + at] / sums[2 + at] if both else none
            yield "RWC", channels, sums[6 + at] / sums[2 + at] if both else none
            yield "K", channels, sums[8] / sums[9 + at] if both else none
            yield "Costes", channels, sums[14 + at] / sums[12 + at] if both_costes else none
        yield "Overlap", forth, sums[8] / np.sqrt(sums[9] * sums[10]) if both else none


def _among(ranks: np.ndarray) -> np.ndarray:
    """Return ranks without those that none of these pixels has: (n,) int64."""
    held = np.zeros(int(ranks.max(initial=0)) + 1, np.int64)
    held[ranks] = 1
    return (np.cumsum(held) - 1)[ranks]


@numba.njit(cache=True, nogil=True)
def _means(values, starts, share):
    """Return the mean, the root of the squares around it, and the share of the maximum, of each object: (count,) each."""
    count = starts.size - 1
    means, roots = np.full(count, np.nan), np.full(count, np.nan)
    limits = np.zeros(count, values.dtype)
    part = np.empty(1, values.dtype)
    part[0] = share  # the share of the maximum is taken in the precision of the image
    for k in range(count):
        total, highest = 0.0, -np.inf
        for at in range(starts[k], starts[k + 1]):
            total += values[at]
            highest = max(highest, values[at])
        if starts[k] == starts[k + 1]:
            continue
        mean = total / (starts[k + 1] - starts[k])
        squares = 0.0
        for at in range(starts[k], starts[k + 1]):
            squares += (values[at] - mean) ** 2
        means[k], roots[k] = mean, np.sqrt(squares)
        limits[k] = highest
        limits[k] *= part[0]
    return means, roots, limits


@numba.njit(cache=True, nogil=True, error_model="numpy")  # 0 / 0 is NaN, as in a constant object
def _pair(
    first, second, ranks, other_ranks, mean, root, limit, other_mean, other_root, other_limit, starts, highest, t, u
):
    """Return the sums over each object's pixels that the coefficients of two channels are made of: (16, count) float64.

    0: the correlation. Of its limits: 1: pixels above both, 2, 3: each channel above its own, 4, 5: above both, 6, 7: above
    both, by nearness of ranks, 8: products above both, 9, 10: squares. Of Costes' thresholds `t` and `u`: 11: pixels above
    both, 12, 13: each channel from its own up, 14, 15: above both.
    """
    count = starts.size - 1
    sums = np.zeros((16, count))
    for k in range(count):
        norm = root[k] * other_root[k]
        s = np.zeros(16)
        for at in range(starts[k], starts[k + 1]):
            x, y = first[at], second[at]
            s[0] += (x - mean[k]) * (y - other_mean[k]) / norm
            if x >= limit[k]:
                s[2] += x
            if y >= other_limit[k]:
                s[3] += y
            if x >= limit[k] and y >= other_limit[k]:
                near = (highest - abs(ranks[at] - other_ranks[at])) * 1.0 / highest
                s[1] += 1
                s[4] += x
                s[5] += y
                s[6] += x * near
                s[7] += y * near
                s[8] += x * y
                s[9] += x * x
                s[10] += y * y
            if x >= t:
                s[12] += x
            if y >= u:
                s[13] += y
            if x > t and y > u:
                s[11] += 1
                s[14] += x
                s[15] += y
        for at in range(16):
            sums[at, k] = s[at]
    return sums
