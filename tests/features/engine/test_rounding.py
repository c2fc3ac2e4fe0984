"""Means and variances in the precision of the image, as NumPy 1.24 rounds them."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features.engine import rounding


def in_pairs(values: np.ndarray) -> np.float32:
    """Add up as NumPy does within a buffer: eight sums side by side, halves of what is longer than 128."""
    if len(values) <= 128:
        sums = values[: len(values) // 8 * 8].reshape(-1, 8)
        total = sums[0].copy()
        for row in sums[1:]:
            total += row
        end = ((total[0] + total[1]) + (total[2] + total[3])) + ((total[4] + total[5]) + (total[6] + total[7]))
        for value in values[len(values) // 8 * 8 :]:
            end += value
        return end
    half = len(values) // 2 // 8 * 8
    return in_pairs(values[:half]) + in_pairs(values[half:])


@pytest.mark.parametrize("size", [200, 8192, 8200, 50003])
def test_buffers_are_added_one_after_the_other(size):
    values = np.random.default_rng(size).gamma(0.3, 0.1, size).astype(np.float32)
    total = np.float32(0)
    for start in range(0, size, 8192):
        total += in_pairs(values[start : start + 8192])
    assert rounding.mean(values) == total / np.float32(size)
    apart = values - rounding.mean(values)
    assert rounding.variance(values) == pytest.approx((apart.astype(float) ** 2).sum() / (size - 1), rel=1e-6)
    assert type(rounding.mean(values)) is type(rounding.variance(values)) is np.float32


def test_known_answers():
    # NumPy 1.24.4 of CellProfiler 4.2.8.1 says so of these 32-bit values; NumPy 2.4 says 0.24995683 of their mean.
    values = (np.arange(100000, dtype=np.int64) * 7919 % 10007 / 10007).astype(np.float32) ** 3
    assert float(rounding.mean(values)) == 0.2499568611383438
    assert float(rounding.variance(values)) == 0.08033589273691177


def test_of_no_values_and_of_one():
    empty = np.zeros(0, np.float32)
    assert np.isnan(rounding.mean(empty)) and np.isnan(rounding.variance(empty))
    assert rounding.mean(np.ones(1)) == 1 and np.isnan(rounding.variance(np.ones(1)))
