"""Texture of objects: CellProfiler's MeasureTexture, the 13 features of Haralick in four directions at each scale.

Haralick, Shanmugam & Dinstein 1973 (https://doi.org/10.1109/TSMC.1973.4309314), as mahotas 1.4 computes them for
CellProfiler 4.2: grey levels are 0 to 255 of the whole intensity range 0 to 1, level 0 counts as background, each pair of
pixels is counted both ways.

What makes it fast: a pair of pixels is counted once. All but two features follow from sums along the matrix of
co-occurrence (of the levels, of their sums and differences), so the matrix is neither normalised nor walked through;
the other two visit only its cells that hold a pair. Counts are whole numbers, so their logarithms come from a table.

Agreement: within 1e-10 relative, most within 1e-15; what is 0 or as good as 0 (a Correlation below 1e-6, an entropy of one
level) within 1e-11, since CellProfiler's own sums leave a rounding error there. InfoMeas2 is the root of a difference: where
a level tells nothing of its neighbour, a rounding error of 1e-16 becomes 1e-8 in either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from brightpaint.features.engine.objects import Objects

FEATURES = (
    "AngularSecondMoment",
    "Contrast",
    "Correlation",
    "Variance",
    "InverseDifferenceMoment",
    "SumAverage",
    "SumVariance",
    "SumEntropy",
    "Entropy",
    "DifferenceVariance",
    "DifferenceEntropy",
    "InfoMeas1",
    "InfoMeas2",
)
DIRECTIONS = np.array(
    [(0, 1), (1, 1), (1, 0), (1, -1)]
)  # rows down and columns right to a pixel's neighbour, in scales


def measure(
    objects: Objects, images: dict[str, np.ndarray], *, scales: Sequence[int], gray_levels: int = 256
) -> dict[str, np.ndarray]:
    """Measure the texture of each object.

    Parameters
    ----------
    images : (H, W) float, 0 to 1, by channel
    scales : distances of a pair, in pixels
    gray_levels : 2 to 256

    Returns
    -------
    {`Texture_<feature>_<channel>_<scale>_<direction>_<gray_levels>`: (count,) float64}. All features of a scale are 0
    where one of the four directions has no pair of pixels above level 0, and NaN where the object has no pixel.

    Raises
    ------
    ValueError
        gray levels outside 2 to 256, a scale below 1, an image outside -1 to 1 or of another shape than the labels
    """
    distances = np.array(scales, np.int64)
    if distances.size == 0 or distances.min() < 1:
        raise ValueError(f"texture: expected scales of 1 pixel and more, found {list(scales)}")
    counts = np.arange(2 * int(objects.areas.max(initial=0)) + 1, dtype=np.float64)
    clogc = counts * np.log2(np.maximum(counts, 1))
    columns = {}
    for channel, image in images.items():
        if image.shape != objects.labels.shape:
            raise ValueError(f"texture of {channel}: expected an image of {objects.labels.shape}, found {image.shape}")
        levels = quantised(image, gray_levels, channel).ravel()
        width = objects.labels.shape[1]
        values = _haralick(levels, width, objects.pixels, objects.starts, objects.boxes, distances, DIRECTIONS, clogc)
        for at, feature in enumerate(FEATURES):
            for step, scale in enumerate(scales):
                for direction in range(len(DIRECTIONS)):
                    name = f"Texture_{feature}_{channel}_{scale}_{direction:02d}_{gray_levels}"
                    columns[name] = np.ascontiguousarray(values[at, step, direction])
    return dict(sorted(columns.items()))


def quantised(image: np.ndarray, gray_levels: int, channel: str) -> np.ndarray:
    """Return the grey levels of an image of 0 to 1: (H, W) uint8, below `gray_levels`; negative values are level 0.

    As skimage's img_as_ubyte and rescale_intensity: rounded to the nearest of 256 levels in the image's own precision,
    then cut (not rounded) to fewer.
    """
    if not 2 <= gray_levels <= 256:
        raise ValueError(f"texture of {channel}: expected 2 to 256 gray levels, found {gray_levels}")
    if image.size and not (image.min() >= -1 and image.max() <= 1):
        raise ValueError(
            f"texture of {channel}: expected intensities between -1 and 1, found {image.min():g} to {image.max():g}"
        )
    levels = np.clip(np.rint(image * image.dtype.type(255)), 0, 255).astype(np.uint8)
    fewer = (np.arange(256) / 255.0 * (gray_levels - 1)).astype(np.uint8)
    return np.ascontiguousarray(levels if gray_levels == 256 else fewer[levels])


@numba.njit(cache=True, nogil=True)
def _haralick(levels, width, pixels, starts, boxes, scales, directions, clogc):
    """Return the features of all objects: (13, scales, directions, count) float64."""
    count = starts.size - 1
    values = np.full((13, scales.size, directions.shape[0], count), np.nan)
    largest = 0
    for k in range(count):
        largest = max(largest, (boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1]))
    grid, pairs = np.zeros(largest, np.uint8), np.empty(largest, np.uint16)
    matrix = np.zeros(65536, np.int64)
    ends, sums, differences = np.zeros(256, np.int64), np.zeros(511, np.int64), np.zeros(256, np.int64)
    features = np.empty(13)
    for k in range(count):
        if starts[k] == starts[k + 1]:
            continue
        top, left = boxes[k, 0], boxes[k, 1]
        rows, columns = boxes[k, 2] - top, boxes[k, 3] - left
        for at in range(rows * columns):
            grid[at] = 0
        highest = 0
        for at in pixels[starts[k] : starts[k + 1]]:
            level = levels[at]
            grid[(at // width - top) * columns + at % width - left] = level
            highest = max(highest, level)
        for s in range(scales.size):
            empty = False
            for d in range(directions.shape[0]):
                found = _pair(grid, rows, columns, directions[d, 0] * scales[s], directions[d, 1] * scales[s], pairs)
                if found == 0:
                    empty = True
                    break
                _describe(pairs[:found], highest, matrix, ends, sums, differences, clogc, features)
                for f in range(13):
                    values[f, s, d, k] = features[f]
            if empty:
                for f in range(13):
                    for d in range(directions.shape[0]):
                        values[f, s, d, k] = 0.0
    return values


@numba.njit(cache=True, nogil=True)
def _pair(grid, rows, columns, down, right, pairs):
    """Write the levels of each pair of pixels above level 0, as lower * 256 + higher; return how many."""
    found = 0
    for row in range(rows - down):
        for column in range(max(0, -right), columns - max(0, right)):
            here = grid[row * columns + column]
            there = grid[(row + down) * columns + column + right]
            if here > 0 and there > 0:
                pairs[found] = min(here, there) * 256 + max(here, there)
                found += 1
    return found


@numba.njit(cache=True, nogil=True)
def _describe(pairs, highest, matrix, ends, sums, differences, clogc, features):
    """Write the 13 features of one matrix of co-occurrence; the four tables of counts are zero before and after."""
    lowest = highest
    products = 0
    for pair in pairs:
        low, high = pair >> 8, pair & 255
        matrix[pair] += 1
        ends[low] += 1
        ends[high] += 1
        sums[low + high] += 1
        differences[high - low] += 1
        products += low * high
        lowest = min(lowest, low)
    once, both = pairs.size, 2 * pairs.size  # of the pairs, and of the symmetric matrix
    squares, logs = 0.0, 0.0
    for pair in pairs:
        cell = matrix[pair]
        if cell > 0:
            if pair >> 8 == pair & 255:
                squares += 4.0 * cell * cell
                logs += clogc[2 * cell]
            else:
                squares += 2.0 * cell * cell
                logs += 2 * clogc[cell]
            matrix[pair] = 0
    entropy = (clogc[both] - logs) / both

    total, logs = 0, 0.0
    for level in range(lowest, highest + 1):
        total += level * ends[level]
        logs += clogc[ends[level]]
    mean = total / both
    level_entropy = (clogc[both] - logs) / both
    variance = 0.0
    for level in range(lowest, highest + 1):
        variance += (level - mean) ** 2 * ends[level]
        ends[level] = 0
    variance /= both
    covariance = products / once - mean * mean

    sum_variance, logs = 0.0, 0.0
    for level in range(2 * lowest, 2 * highest + 1):
        sum_variance += (level - 2 * mean) ** 2 * sums[level]
        logs += clogc[sums[level]]
        sums[level] = 0
    sum_entropy = (clogc[once] - logs) / once

    contrast, homogeneity, difference_squares, logs = 0.0, 0.0, 0.0, 0.0
    for level in range(highest - lowest + 1):
        cell = differences[level]
        contrast += float(level * level) * cell
        homogeneity += cell / (1.0 + level * level)
        difference_squares += float(cell) * cell
        logs += clogc[cell]
        differences[level] = 0

    features[0] = squares / (float(both) * both)
    features[1] = contrast / once
    features[2] = covariance / variance if variance > 0 else 1.0
    features[3] = variance
    features[4] = homogeneity / once
    features[5] = 2 * mean
    features[6] = sum_variance / once
    features[7] = sum_entropy
    features[8] = entropy
    # The variance of the probabilities of a difference, as mahotas has it, not of the difference.
    features[9] = difference_squares / (float(once) * once) / (highest + 1) - 1.0 / (highest + 1) ** 2
    features[10] = (clogc[once] - logs) / once
    # The two cross entropies of Haralick are equal in a symmetric matrix: twice the entropy of its levels.
    features[11] = (entropy - 2 * level_entropy) / level_entropy if level_entropy > 0 else 0.0
    features[12] = np.sqrt(max(0.0, 1 - np.exp(-2 * (2 * level_entropy - entropy))))
