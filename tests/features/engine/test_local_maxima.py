"""Local maxima, against plain loops; blobs shrink to a pixel without changing what is connected."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import euler_number

from brightpaint.features.engine import local_maxima


def test_a_point_is_the_highest_of_its_label_within_the_disk():
    rng = np.random.default_rng(0)
    heights = rng.random((30, 35)) - 0.05
    labels = np.kron(rng.integers(0, 4, (6, 7)), np.ones((5, 5), int)).astype(np.int32)
    radius = 2.4
    expected = np.zeros(heights.shape, bool)
    for row, column in zip(*np.nonzero(labels), strict=True):
        rows, columns = np.mgrid[:30, :35]
        near = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        near &= (abs(rows - row) <= 2) & (abs(columns - column) <= 2) & (labels == labels[row, column])
        expected[row, column] = heights[row, column] > 0 and heights[row, column] >= heights[near].max()
    found = local_maxima.points(heights, labels, radius)
    assert expected.sum() > 20 and np.array_equal(found, local_maxima.shrunk(expected)) and (found <= expected).all()


def test_a_reduced_image_gives_one_point_an_object():
    rows, columns = np.mgrid[:80, :90]
    labels = np.zeros((80, 90), np.int32)
    heights = np.zeros((80, 90))
    for number, (row, column) in enumerate([(20, 20), (22, 60), (60, 45)], 1):
        far = 15 - np.hypot(rows - row, columns - column)
        labels[far > 0] = number
        heights = np.maximum(heights, far)
    found = local_maxima.points(heights, labels, 6.5, reduced=0.6)
    assert sorted(labels[found]) == [1, 2, 3]
    for number, (row, column) in enumerate([(20, 20), (22, 60), (60, 45)], 1):
        assert np.hypot(*(np.argwhere(found & (labels == number))[0] - (row, column))) < 2.5


def test_blobs_shrink_to_what_is_as_connected():
    mask = ndimage.binary_opening(np.random.default_rng(1).random((60, 60)) < 0.7)
    shrunk = local_maxima.shrunk(mask)
    assert (shrunk <= mask).all() and shrunk.sum() < mask.sum() / 2
    assert euler_number(shrunk, 2) == euler_number(mask, 2)
    solid = ndimage.binary_fill_holes(mask)
    labels, count = ndimage.label(solid, np.ones((3, 3)))
    assert np.array_equal(np.bincount(labels[local_maxima.shrunk(solid)], minlength=count + 1)[1:], np.ones(count))
