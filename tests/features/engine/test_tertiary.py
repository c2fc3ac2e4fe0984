"""Cytoplasm is the cell without the nucleus, whose outline it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features.engine import tertiary


def test_it_is_that_of_plain_loops():
    rng = np.random.default_rng(0)
    larger = np.kron(rng.integers(0, 4, (4, 5)), np.ones((8, 8), int)).astype(np.int32)
    smaller = np.kron(rng.integers(0, 3, (8, 10)), np.ones((4, 4), int)).astype(np.int32)
    padded = np.pad(smaller, 1, constant_values=-1)
    expected = larger.copy()
    for row, column in np.argwhere(smaller > 0):
        if (padded[row : row + 3, column : column + 3] == smaller[row, column]).all():
            expected[row, column] = 0
    found = tertiary.subtract(larger, smaller)
    assert found.dtype == np.int32 and np.array_equal(found, expected) and (expected != larger).any()
    assert np.array_equal(tertiary.subtract(larger, smaller, shrink_smaller=False), np.where(smaller > 0, 0, larger))


def test_a_cell_that_is_all_nucleus_keeps_its_outline():
    nucleus = np.zeros((12, 12), np.int32)
    nucleus[3:8, 3:8] = 1
    found = tertiary.subtract(nucleus, nucleus)
    assert found.sum() == 16 and (found[4:7, 4:7] == 0).all()


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="expected two label images of one size"):
        tertiary.subtract(np.zeros((3, 4), np.int32), np.zeros((4, 3), np.int32))
