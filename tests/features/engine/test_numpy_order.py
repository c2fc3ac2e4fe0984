"""The order of equal numbers, as numpy 1.24 sorts them: orders that it gave, and what any sort must do."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features.engine import numpy_order


def test_equal_numbers_are_ordered_as_numpy_1_24_does():
    assert list(numpy_order.argsort(np.ones(16), np.ones(1))) == list(range(16))
    assert list(numpy_order.argsort(np.ones(17), np.ones(1))) == [
        0,
        14,
        13,
        12,
        11,
        10,
        9,
        15,
        8,
        6,
        5,
        4,
        3,
        2,
        1,
        7,
        16,
    ]
    assert list(numpy_order.argsort(np.ones(40), np.ones(1))) == [
        0, 22, 23, 24, 25, 26, 27, 28, 21, 29, 31, 32, 33, 34, 35, 36, 37, 30, 20, 19, 18, *range(1, 18), 38, 39,
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 2, 17, 5000])
def test_distinct_numbers_and_a_hard_case_are_sorted(count):
    values = np.random.default_rng(count).permutation(count).astype(float)
    assert list(values[numpy_order.argsort(values, np.sort(values))]) == list(range(count))
    half = count // 2  # median of three's worst case (Musser 1997), which ends in the heapsort
    hard = np.arange(1.0, 2 * half + 1)
    hard[:half:2], hard[1:half:2] = np.arange(1, half + 1, 2), half + np.arange(1, len(hard[1:half:2]) * 2, 2)
    assert list(hard[numpy_order.argsort(hard, np.sort(hard))]) == sorted(hard)


@pytest.mark.parametrize("levels", [1, 3, 40])
def test_only_what_is_asked_for_is_sorted_and_as_if_all_were(levels):
    rng = np.random.default_rng(levels)
    values, labels = rng.integers(0, levels, 4000).astype(float), rng.integers(0, 9, 4000).astype(np.int32)
    labels[labels == 5] = 0
    found = numpy_order.maximum_places(labels, values, 8)
    order = numpy_order.argsort(values, np.unique(values))
    for number in (1, 2, 3, 4, 6, 7, 8):
        assert found[number - 1] == order[labels[order] == number][-1]
    assert found[4] == 0


def test_past_its_depth_the_heap_sorts():
    values, order = np.random.default_rng(3).integers(0, 50, 300).astype(float), np.arange(300)
    before = values.copy()
    numpy_order._heap(values, order, 0, 299)
    assert list(values) == sorted(before) and list(before[order]) == list(values)
