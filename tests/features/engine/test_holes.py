"""Holes are filled with what is around them, and nothing else is."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from brightpaint.features.engine import holes


def _ring(labels: np.ndarray, row: int, column: int, number: int) -> None:
    labels[row - 3 : row + 4, column - 3 : column + 4] = number
    labels[row - 2 : row + 3, column - 2 : column + 3] = 0


def test_holes_of_a_mask_are_those_of_scipy():
    mask = np.random.default_rng(0).random((60, 70)) < 0.55
    expected = ndimage.binary_fill_holes(mask)
    found = holes.filled(mask)
    assert found.dtype == bool and np.array_equal(found, expected) and (found != mask).any()


def test_a_large_region_is_no_hole():
    mask = np.zeros((30, 30), bool)
    mask[3:20, 3:20] = True
    mask[5:8, 5:8] = mask[10:18, 10:18] = False
    found = holes.filled(mask, most_pixels=64)
    assert found[5:8, 5:8].all() and not found[10:18, 10:18].any()
    assert holes.filled(mask, most_pixels=65)[10:18, 10:18].all()


def test_an_object_within_another_is_filled_with_its_hole():
    labels = np.zeros((20, 40), np.int32)
    _ring(labels, 8, 8, 1)
    labels[8, 8] = 2
    _ring(labels, 8, 25, 3)
    _ring(labels, 8, 32, 4)  # they touch; each has its own hole
    found = holes.filled(labels)
    assert (found[5:12, 5:12] == 1).all() and (found[6:11, 23:28] == 3).all() and (found[6:11, 30:35] == 4).all()
    assert (found[:5] == 0).all() and np.array_equal(np.unique(found), [0, 1, 3, 4])
    kept = holes.filled(labels, objects_too=False)
    assert kept[8, 8] == 2 and (kept[6, 6:11] == 1).all()


def test_what_two_objects_enclose_is_no_hole():
    labels = np.zeros((12, 12), np.int32)
    labels[2:9, 2:9] = 1
    labels[2:9, 6:9] = 2
    labels[4:7, 4:7] = 0
    assert np.array_equal(holes.filled(labels), labels)


def test_an_empty_and_a_full_image_stay():
    for value in (0, 1):
        labels = np.full((5, 6), value, np.int32)
        assert np.array_equal(holes.filled(labels), labels)
