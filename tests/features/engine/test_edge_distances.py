"""Distances to the edge, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import edge_distances
from brightpaint.features.engine.objects import Objects


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_distances_of_a_mask_are_those_of_scipy(share):
    mask = np.random.default_rng(int(100 * share)).random((37, 53)) < share
    assert np.array_equal(edge_distances.to_background(mask), ndimage.distance_transform_edt(mask))


def test_one_pixel_outside_is_enough_and_none_is_refused():
    mask = np.ones((7, 11), bool)
    with pytest.raises(ValueError, match="expected a mask with a pixel outside it, found none"):
        edge_distances.to_background(mask)
    mask[3, 10] = False
    assert np.array_equal(edge_distances.to_background(mask), ndimage.distance_transform_edt(mask))


def test_objects_are_taken_each_by_itself():
    labels = np.random.default_rng(0).integers(0, 3, (30, 40)).astype(np.int32)
    labels[5:20, 8:30] = 3
    labels[10:12, 15:17] = 0  # a hole
    labels[:, 39] = 5  # along the border; 4 is without a pixel
    objects = Objects(labels, 5)
    found = edge_distances.within(objects)
    for number in range(1, 6):
        alone = np.pad(labels == number, 1)
        expected = ndimage.distance_transform_edt(alone)[alone]
        assert np.array_equal(found[objects.starts[number - 1] : objects.starts[number]], expected)


def test_what_lies_beyond_the_image_may_be_no_edge():
    labels = np.zeros((20, 25), np.int32)
    labels[:12, :15] = 1
    labels[3, 4] = 0
    labels[15:, 20:] = 2
    objects = Objects(labels, 3)  # 3 is without a pixel
    squares = edge_distances.squares_within(objects, beyond=False)
    for number in (1, 2):
        alone = labels == number
        own = squares[objects.starts[number - 1] : objects.starts[number]]
        assert np.array_equal(own, np.rint(ndimage.distance_transform_edt(alone)[alone] ** 2))


def test_an_object_that_fills_the_image_has_no_edge_within_it():
    whole = Objects(np.ones((4, 5), np.int32), 1)
    assert list(edge_distances.squares_within(whole, beyond=False)) == [-1] * 20
    assert edge_distances.squares_within(whole, beyond=True).min() == 1
