"""Correlation over doses: known answers, and why doses are shuffled in one order for all numbers."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.scores.translation import dose_correlation

LOADINGS = np.random.default_rng(99).choice([-1, 1], 400) * np.random.default_rng(98).uniform(0.5, 2, 400)


def means(seed, doses=8, own=0.3):
    """Return condition means of numbers that move together, as the same features do in real and translated cells, and
    follow no dose: (doses, 400)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(doses, 1)) * LOADINGS + own * rng.normal(size=(doses, 400))


def test_a_correlation_is_pearsons_and_a_constant_number_has_none():
    real = np.array([[1.0, 5, 0], [2, 5, 1], [4, 5, 0], [8, 5, 1]])
    other = np.array([[2.0, 1, 1], [1, 2, 1], [3, 3, 1], [9, 4, 1]])
    found = dose_correlation.dose_correlations(real, other)
    assert found[0] == pytest.approx(np.corrcoef(real[:, 0], other[:, 0])[0, 1])
    assert np.isnan(found[1]) and np.isnan(found[2])  # the real means are constant; the source, untouched, is as well
    assert np.isnan(dose_correlation.dose_correlations(real[:3], other[:3])).all()  # too few doses
    gap = real.copy()
    gap[0, 0] = np.nan
    assert np.isnan(dose_correlation.dose_correlations(gap, other)[0])


def test_the_null_shuffles_all_numbers_in_one_order():
    """At eight doses and correlated numbers 5% of medians reach 0.6; shuffled number by number it would seem 0.06."""
    bounds, separate = [], []
    for seed in range(12):
        pair = means(seed), means(seed + 100)
        row = dose_correlation.dose_row([pair], f"seed {seed}")
        assert row["n"] == 400 and abs(row["null"]) < 0.15
        bounds.append(row["null_bound"])
        rng, sides = np.random.default_rng(seed), [dose_correlation.standardised(side) for side in pair]
        shuffled = [np.median((sides[0] * rng.permuted(sides[1], axis=0)).sum(axis=0)) for _ in range(200)]
        separate.append(np.quantile(shuffled, 0.95))
    assert np.mean(bounds) == pytest.approx(0.57, abs=0.06) and np.mean(separate) < 0.08


def test_one_factor_with_one_sign_reaches_pearsons_own_bound():
    rng = np.random.default_rng(0)
    pair = [rng.normal(size=(8, 1)) + 0.1 * rng.normal(size=(8, 300)) for _ in range(2)]
    row = dose_correlation.dose_row([tuple(pair)], "one factor")
    assert row["null_bound"] == pytest.approx(0.59, abs=0.07)


def test_no_dose_is_found_in_noise_oftener_than_promised():
    """The median of translations that follow no dose passes the bound one time in twenty."""
    passed = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        pair = tuple(rng.normal(size=(8, 1)) + 0.3 * rng.normal(size=(8, 40)) for _ in range(2))
        null = dose_correlation.joint_null([pair], rng, draws=200)
        passed.append(dose_correlation.median_of([dose_correlation.dose_correlations(*pair)]) > np.quantile(null, 0.95))
    assert np.mean(passed) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(passed))


def test_resamples_draw_source_wells_together():
    rng = np.random.default_rng(1)
    steps = np.linspace(0, 3, 6)
    real = [rng.normal(step, 1, size=(3, 5)) for step in steps]
    wells = rng.normal(size=(6, 5))
    tied = [wells + step for step in steps]  # every source well moves alike: drawn together, the means keep their order
    single = [side[:1] for side in real]
    same = dose_correlation.resampled_medians([(single, tied)], tied=True, seed="a")
    loose = dose_correlation.resampled_medians([(single, tied)], tied=False, seed="a")
    assert np.ptp(same) < 1e-9 < np.ptp(loose)
    assert np.ptp(dose_correlation.resampled_medians([(real, tied)], tied=True, seed="a")) > 0.01
