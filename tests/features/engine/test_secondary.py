"""Cells grown from nuclei, against a plain walk by distance."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import secondary, thresholds


def _field(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.random((30, 40)), 2).astype(np.float32)
    seeds = np.zeros((30, 40), np.int32)
    for number in range(1, 7):
        row, column = rng.integers(2, (27, 37))
        seeds[row : row + 3, column : column + 3] = number
    return seeds, image


def _naive(seeds: np.ndarray, image: np.ndarray, mask: np.ndarray, weight: float) -> np.ndarray:
    heights = np.pad(image.astype(float), 1, mode="edge")
    labels, best = np.zeros_like(seeds), np.where(seeds > 0, 0.0, np.inf)
    heap = [(0.0, seeds[at], *at) for at in zip(*np.nonzero((seeds > 0) & mask), strict=True)]
    heapq.heapify(heap)
    while heap:
        distance, label, row, column = heapq.heappop(heap)
        if labels[row, column]:
            continue
        labels[row, column] = label
        for i in range(max(row - 1, 0), min(row + 2, 30)):
            for j in range(max(column - 1, 0), min(column + 2, 40)):
                if mask[i, j] and not labels[i, j]:
                    unlike = np.abs(heights[row : row + 3, column : column + 3] - heights[i : i + 3, j : j + 3]).sum()
                    far = distance + np.sqrt(unlike**2 + (abs(row - i) + abs(column - j)) * weight**2)
                    if far < best[i, j]:
                        best[i, j] = far
                        heapq.heappush(heap, (far, label, i, j))
    return np.where(seeds > 0, seeds, labels)


@pytest.mark.parametrize("weight", [0.05, 1.0])
def test_growth_is_that_of_a_plain_walk(weight):
    seeds, image = _field()
    threshold = thresholds.minimum_cross_entropy(image)
    grown = secondary.grow(seeds, image, regularization=weight, fill_holes=False)
    expected = _naive(seeds, image, image >= np.float32(threshold.final), weight)
    assert grown.labels.dtype == np.int32 and np.array_equal(grown.labels, expected)
    assert grown.threshold == threshold and (grown.labels > 0).sum() > 2 * (seeds > 0).sum()


def test_what_touches_the_border_takes_its_share_and_is_left_out():
    image = np.full((20, 60), 0.5, np.float32)
    image[0, 0] = 0.1
    seeds, uncut = np.zeros((2, 20, 60), np.int32)
    seeds[9:12, 20:23] = 1
    uncut[9:12, 20:23], uncut[9:12, 57:60], uncut[9:12, 30:33] = 5, 7, 3  # the last was dropped by its size
    alone = secondary.grow(seeds, image).labels
    beside = secondary.grow(seeds, image, uncut=uncut).labels
    assert (alone[:, 59] == 1).all() and set(np.unique(beside)) == {0, 1}
    assert (beside[:, 45:] == 0).all() and (beside[1:, 1:35] == 1).all()


def test_holes_are_filled_and_seeds_outside_the_foreground_stay():
    image = np.full((21, 21), 0.1, np.float32)
    image[5:16, 5:16] = 0.9
    image[11:13, 11:13] = 0.1
    seeds = np.zeros((21, 21), np.int32)
    seeds[7:9, 7:9], seeds[1:3, 1:3] = 1, 2
    whole, hollow = (secondary.grow(seeds, image, fill_holes=fill).labels for fill in (True, False))
    assert (whole[5:16, 5:16] == 1).all() and (hollow[11:13, 11:13] == 0).all()
    assert np.array_equal(np.argwhere(whole == 2), np.argwhere(seeds == 2))


def test_no_seed_grows_nothing_and_other_sizes_are_refused():
    seeds, image = _field()
    assert secondary.grow(np.zeros_like(seeds), image).labels.max() == 0
    with pytest.raises(ValueError, match="expected seeds and image of one size"):
        secondary.grow(seeds[:20], image)
