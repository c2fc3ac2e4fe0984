"""Intervals and p-values: coverage, known answers, seeds."""

from __future__ import annotations

import numpy as np

from brightpaint.base import resampling


def test_bootstrap_draws_groups_and_covers_the_truth():
    covered = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        values = np.repeat(rng.normal(size=30), 4)  # four equal fields a well: 30 independent values, not 120
        low, high = resampling.bootstrap_ratio(values, np.ones(120), np.repeat(np.arange(30), 4), rng)
        covered.append(low < 0 < high)
    assert 0.86 <= np.mean(covered) <= 1.0
    assert np.isnan(resampling.bootstrap_ratio(np.ones(5), np.ones(5), ["A01"] * 5, np.random.default_rng(0))).all()


def test_seeds_follow_names():
    assert (
        resampling.seeded("a", 1).random() == resampling.seeded("a", 1).random() != resampling.seeded("a", 2).random()
    )


def test_means_are_of_what_is_known():
    values = np.array([[1.0, np.nan, 4.0], [3.0, np.nan, np.nan]])
    assert np.array_equal(resampling.mean_known(values), [2.5, 3.0])
    assert np.isnan(resampling.mean_known(np.full((2, 3), np.nan))).all()
    weights = np.array([[1.0, 1.0], [0.0, 2.0], [2.0, 0.0]])
    found = resampling.weighted_means(values, weights)
    assert np.array_equal(found, [[2, np.nan, 4], [3, np.nan, np.nan], [1, np.nan, 4]], equal_nan=True)
