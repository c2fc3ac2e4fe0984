"""Energy and variogram scores: naive forms, known answers, and that a right distribution is never worse than a wrong one."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.calibration import proper_scores


def naive_energy(samples, truth):
    away = np.mean([np.linalg.norm(one - truth) for one in samples])
    apart = np.mean([np.linalg.norm(a - b) for a, b in itertools.permutations(samples, 2)])
    return away - apart / 2


def naive_variogram(samples, truth):
    found = []
    for i, j in itertools.combinations(range(len(truth)), 2):
        drawn = [abs(one[i] - one[j]) ** 0.5 for one in samples]
        found.append((abs(truth[i] - truth[j]) ** 0.5 - np.mean(drawn)) ** 2 - np.var(drawn, ddof=1) / len(drawn))
    return np.mean(found)


def test_both_scores_are_their_naive_forms():
    rng = np.random.default_rng(0)
    samples, truth = rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 4))
    for place in range(3):
        assert proper_scores.energy_score(samples, truth)[place] == pytest.approx(
            naive_energy(samples[place], truth[place])
        )
        expected = naive_variogram(samples[place], truth[place])
        assert proper_scores.variogram_score(samples, truth)[place] == pytest.approx(expected)


def test_a_painter_without_noise_is_scored_by_its_distance():
    one, truth = np.array([[[3.0, 4.0]]]), np.zeros((1, 2))
    assert proper_scores.energy_score(one, truth)[0] == 5
    assert proper_scores.variogram_score(one, truth)[0] == pytest.approx(1.0)  # |3 - 4|^(1/2) against 0
    assert np.isnan(proper_scores.variogram_score(one[..., :1], truth[:, :1])).all()


def fields(rng, count, mix):
    return rng.normal(size=(*count, 6)) @ mix


@pytest.mark.parametrize("score, wrong", [("energy_score", "narrow"), ("energy_score", "wide"), ("energy_score", "moved"),
                                          ("variogram_score", "uncorrelated"), ("variogram_score", "wide")])  # fmt: skip
def test_a_right_distribution_scores_best(score, wrong):
    rng = np.random.default_rng(0)
    mix = np.linalg.cholesky(0.8 + 0.2 * np.eye(6)).T
    measure, n = getattr(proper_scores, score), 3000
    truth = fields(rng, (n,), mix)
    right = measure(fields(rng, (n, 4), mix), truth)
    samples = {
        "narrow": 0.5 * fields(rng, (n, 4), mix), "wide": 2 * fields(rng, (n, 4), mix),
        "moved": fields(rng, (n, 4), mix) + 1, "uncorrelated": rng.normal(size=(n, 4, 6)),
    }[wrong]  # fmt: skip
    lost = measure(samples, truth) - right
    assert lost.mean() > 4 * lost.std() / np.sqrt(n)


@pytest.mark.parametrize("score", ["energy_score", "variogram_score"])
def test_the_number_of_samples_moves_no_score(score):
    rng = np.random.default_rng(0)
    measure, truth = getattr(proper_scores, score), rng.normal(size=(6000, 5))
    few, many = (measure(rng.normal(size=(6000, count, 5)), truth) for count in (2, 12))
    assert abs(few.mean() - many.mean()) < 4 * np.hypot(few.std(), many.std()) / np.sqrt(6000)


def training(n=60, seed=0, features=8):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 2)) @ rng.normal(size=(2, features))
    values = 5 + shared + 0.3 * rng.normal(size=(n, features))
    return pd.DataFrame(values, columns=[f"F{n}" for n in range(features)]).assign(Metadata_cells=10)


def test_training_fields_have_components_of_unit_variance_without_correlation():
    frame = training()
    by = proper_scores.whitening_of(frame, [f"F{n}" for n in range(8)], 5)
    found = proper_scores.whitened(frame, by)
    assert found.shape == (60, 5)
    np.testing.assert_allclose(np.cov(found.T), np.eye(5), atol=1e-9)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)


def test_components_are_no_more_than_a_third_of_the_fields_nor_than_the_features():
    few = training(10)
    assert proper_scores.whitening_of(few, list(few.columns[:-1])).axes.shape == (8, 3)
    twins = training().assign(F8=lambda frame: frame["F0"])
    assert proper_scores.whitening_of(twins, [f"F{n}" for n in range(9)]).axes.shape == (9, 8)


def test_features_with_a_gap_or_no_spread_are_left_out_and_fields_without_cells_have_no_components():
    frame = training()
    frame.loc[3, "F1"], frame["F2"] = np.nan, 1.0
    by = proper_scores.whitening_of(frame, [f"F{n}" for n in range(8)], 4)
    assert by.features == ["F0", "F3", "F4", "F5", "F6", "F7"]
    painted = training(5, seed=1)
    painted.loc[1, "Metadata_cells"], painted.loc[2, "F4"] = 0, np.nan
    found = proper_scores.whitened(painted, by)
    assert np.isnan(found[[1, 2]]).all() and np.isfinite(found[[0, 3, 4]]).all()


def test_too_few_fields_and_features_that_never_vary_are_refused():
    frame = training(5).assign(Metadata_cells=[1, 1, 1, 0, 0])
    with pytest.raises(
        ValueError, match="3 real training fields have cells; expected 4 or more.*take more training plates"
    ):
        proper_scores.whitening_of(frame, ["F0"])
    with pytest.raises(ValueError, match="none of 1 features varies among 60 real training fields"):
        proper_scores.whitening_of(training().assign(F0=2.0), ["F0"])
