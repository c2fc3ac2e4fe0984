"""Distances of feature distributions: against naive versions, known answers, and over many seeds."""

import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.profiles import discrepancy


def naive_mmd2(x, y, sigma, paired):
    """Gretton et al. 2012, eq. 3 (paired: eq. 4), pair by pair."""
    k = lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2))  # noqa: E731
    n, m = len(x), len(y)
    within = [
        np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)
    ]  # fmt: skip
    cross = np.mean([k(x[i], y[j]) for i in range(n) for j in range(m) if not (paired and i == j)])
    return within[0] + within[1] - 2 * cross


def draw(seed, n=8, shift=0.0, features=5):
    return np.random.default_rng(seed).normal(shift, 1, (n, features))


@pytest.mark.parametrize("paired, m", [(True, 8), (False, 8), (False, 5)])
def test_mmd2_equals_the_sum_over_pairs(paired, m):
    x, y = draw(1), draw(2, m, 0.5)
    found = discrepancy.mmd2(discrepancy.kernels(x, y, 1.7, paired=paired))
    assert found == pytest.approx([naive_mmd2(x, y, 1.7, paired)])


def test_weights_count_different_fields_only():
    x, y = draw(1), draw(2, shift=0.5)
    found = discrepancy.kernels(x, y, 2.0, paired=True)
    ones = np.ones((1, 8))
    assert discrepancy.mmd2(found, 3 * ones) == pytest.approx(discrepancy.mmd2(found))
    without = np.array([[1, 1, 0, 1, 1, 1, 0, 1.0]])
    kept = without[0] > 0
    assert discrepancy.mmd2(found, without) == pytest.approx([naive_mmd2(x[kept], y[kept], 2.0, True)])
    assert np.isnan(discrepancy.mmd2(found, np.eye(1, 8) * 8)).all()  # one field, drawn eight times


def test_two_draws_of_one_distribution_are_0_in_the_mean_also_when_they_are_pairs():
    """400 draws of 12 fields: the mean's standard error is 0.0012 (unpaired) and 0.0007 (paired)."""
    unpaired, paired, biased = [], [], []
    for seed in range(400):
        x, own = draw(seed, 12), draw(seed + 10_000, 12)
        mixed = (x + own) / np.sqrt(2)  # the same distribution, correlated with x
        unpaired += [discrepancy.mmd2(discrepancy.kernels(x, own, 3.0, paired=False))[0]]
        paired += [discrepancy.mmd2(discrepancy.kernels(x, mixed, 3.0, paired=True))[0]]
        biased += [discrepancy.mmd2(discrepancy.kernels(x, mixed, 3.0, paired=False))[0]]
    assert abs(np.mean(unpaired)) < 0.005 and abs(np.mean(paired)) < 0.005
    assert np.mean(biased) < -0.01  # what the pairs would do if they were counted
    assert min(unpaired) < 0


def test_shifted_gaussians_have_the_analytic_value():
    """E k(x, y) of normals with means apart by d: (s / (s + 2))^(F/2) exp(-d^2 / (2 (s + 2))), s = sigma^2."""
    features, sigma, shift = 3, 1.5, 0.8
    s = sigma**2
    same = (s / (s + 2)) ** (features / 2)
    wanted = 2 * same * (1 - np.exp(-features * shift**2 / (2 * (s + 2))))
    found = [
        discrepancy.mmd2(
            discrepancy.kernels(draw(n, 60, features=features), draw(n + 999, 60, shift, features), sigma, paired=False)
        )[0]
        for n in range(60)
    ]  # fmt: skip
    assert np.mean(found) == pytest.approx(wanted, abs=4 * np.std(found) / np.sqrt(60))
    assert np.std(found) / np.sqrt(60) < 0.05 * wanted


def test_resampling_copies_does_not_push_the_estimate_up():
    """The mean over resamples stays at the estimate; with fields that meet themselves it would rise by about 2 / n."""
    x, y = draw(3, 20), draw(4, 20)
    found = discrepancy.kernels(x, y, 3.0, paired=True)
    weights = discrepancy.field_weights([f"A{n}" for n in range(20)], np.random.default_rng(0), 2000)
    assert np.mean(discrepancy.mmd2(found, weights)) == pytest.approx(discrepancy.mmd2(found)[0], abs=0.01)


def test_whole_wells_are_drawn():
    weights = discrepancy.field_weights(["A1", "A1", "B1", "C1"], np.random.default_rng(0), 50)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()


def medians(values, cells=None):
    frame = pd.DataFrame(values, columns=[f"Nuclei_F{n}" for n in range(np.shape(values)[1])])
    return frame.assign(Metadata_cells=3 if cells is None else cells)


def test_scale_is_the_real_fields_and_leaves_out_what_is_constant():
    values = np.array([[1.0, 5, 7], [2, 5, np.nan], [4, 5, 9], [100, 5, 100]])
    real = medians(values, [1, 1, 1, 0])  # the last has no cells
    scale = discrepancy.scale_of(real, ["Nuclei_F0", "Nuclei_F1", "Nuclei_F2"])
    assert scale.features == ["Nuclei_F0", "Nuclei_F2"] and scale.constant == ["Nuclei_F1"]
    np.testing.assert_allclose(scale.median, [2, 8])
    np.testing.assert_allclose(scale.mad, [1, 1])
    np.testing.assert_allclose(discrepancy.scaled(real, scale)[:3, 0], [-1, 0, 2])
    assert np.isnan(discrepancy.scaled(real, scale)[3]).all()
    with pytest.raises(ValueError, match="no real field has a cell"):
        discrepancy.scale_of(medians(values, 0), ["Nuclei_F0"])


def test_feature_distance_is_the_mean_difference_of_medians_in_mads():
    real = np.array([[-1.0, 0], [0, 1], [1, 2], [np.nan, np.nan]])
    assert discrepancy.feature_distance(real, real) == 0
    assert discrepancy.feature_distance(real, real + [2, -0.5]) == pytest.approx(1.25)
    assert np.isnan(discrepancy.feature_distance(real, real[3:]))
    gap = np.array([[3.0, np.nan], [5, np.nan]])
    assert discrepancy.feature_distance(real, gap) == pytest.approx(4)


def test_complete_drops_columns_with_gaps_and_keeps_fields_without_cells():
    left = np.array([[1.0, 2, 3], [np.nan] * 3])
    right = np.array([[1.0, np.nan, 3], [4, 5, 6]])
    kept = discrepancy.complete(left, right)
    np.testing.assert_allclose(kept[1], [[1, 3], [4, 6]])
    found = discrepancy.kernels(
        *discrepancy.complete(draw(1, 6), np.vstack([draw(2, 5), [[np.nan] * 5]])), 2.0, paired=False
    )
    assert discrepancy.mmd2(found) == pytest.approx([naive_mmd2(draw(1, 6), draw(2, 5), 2.0, False)])


def test_bandwidth_is_the_median_distance():
    assert discrepancy.bandwidth(np.array([[0.0], [1], [3]])) == 2
    with pytest.raises(ValueError, match="2 real fields have no median distance above 0"):
        discrepancy.bandwidth(np.ones((2, 4)))


def test_a_larger_shift_is_a_larger_distance():
    x = draw(1, 30)
    sigma = discrepancy.bandwidth(x)
    far = [
        discrepancy.mmd2(discrepancy.kernels(x, x + d + draw(2, 30) / 9, sigma, paired=True))[0] for d in (0, 0.5, 1, 2)
    ]
    assert far == sorted(far) and far[0] < 0.01 < far[1]


def test_resampled_distance_has_the_estimate_for_weights_of_one():
    x, y = draw(1), draw(2, shift=0.5)
    found = discrepancy.resampled_distance(x, y, np.array([np.ones(8), [2, 0, 1, 1, 1, 1, 1, 1]]))
    assert found[0] == pytest.approx(discrepancy.feature_distance(x, y)) and found[1] != found[0]
