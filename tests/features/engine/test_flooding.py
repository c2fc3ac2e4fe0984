"""Watershed, against scikit-image's where no two pixels are level, and its own order where they are."""

from __future__ import annotations

import numpy as np
from skimage.segmentation import watershed

from brightpaint.features.engine import flooding


def _field(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    markers = np.zeros((40, 50), np.int32)
    markers[rng.integers(0, 40, 15), rng.integers(0, 50, 15)] = np.arange(1, 16)
    return rng.random((40, 50)), markers, rng.random((40, 50)) < 0.9


def test_basins_are_those_of_scikit_image():
    for seed in range(3):
        heights, markers, mask = _field(seed)
        expected = watershed(heights, markers, connectivity=np.ones((3, 3), bool), mask=mask)
        assert np.array_equal(flooding.flooded(heights, markers, mask), expected)


def test_a_plateau_is_parted_between_its_markers():
    markers = np.zeros((5, 21), np.int32)
    markers[2, 2], markers[2, 18] = 1, 2
    basins = flooding.flooded(np.zeros((5, 21)), markers, np.ones((5, 21), bool))
    assert (basins[:, :10] == 1).all() and (basins[:, 11:] == 2).all()


def test_what_no_marker_reaches_stays_empty():
    mask = np.ones((5, 9), bool)
    mask[:, 4] = False
    markers = np.zeros((5, 9), np.int32)
    markers[0, 0], markers[2, 4] = 3, 7  # the second lies outside the mask
    basins = flooding.flooded(np.zeros((5, 9)), markers, mask)
    assert (basins[:, :4] == 3).all() and (basins[:, 4:] == 0).all()
