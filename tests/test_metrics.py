"""Metrics against naive versions, known answers and hostile input."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.base.intensity import standardise
from brightpaint.scores import measures


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(2, 3, 24, 20))


def test_standardise_brings_each_image_to_mean_0_and_sd_1_and_clips(images):
    images[0, 0, 3, 4] = 5000.0
    out = standardise(images * 7 + 1000, cutoff=15)
    np.testing.assert_allclose(out[1].mean(axis=(-2, -1)), 0, atol=1e-5)
    np.testing.assert_allclose(out[1].std(axis=(-2, -1)), 1, atol=1e-4)
    assert out[0, 0].max() == 15
    assert (standardise(np.full((8, 8), 1234.5)) == 0).all()


def test_pcc_equals_numpy_and_is_blind_to_gain_and_offset(images):
    value = measures.pcc(images[0], images[1])
    naive = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(*images)]
    np.testing.assert_allclose(value, naive)
    np.testing.assert_allclose(measures.pcc(images[0], -3 * images[0] + 2), -1)


def test_a_constant_prediction_counts_nothing_and_a_constant_real_image_says_nothing(images):
    for value in (1.0, 0.1):  # the mean of many tenths is not a tenth
        flat = np.full_like(images[0], value)
        assert (measures.pcc(images[0], flat) == 0).all()
        assert np.isnan(measures.pcc(flat, images[0])).all()


def test_mse_is_twice_one_minus_pcc_on_standardised_images(images):
    left, right = standardise(images[0]), standardise(images[1] + 0.5 * images[0])
    np.testing.assert_allclose(measures.mse(left, right), 2 * (1 - measures.pcc(left, right)), rtol=1e-5)
    assert measures.mae(left, left + 0.25) == pytest.approx(0.25, abs=1e-6)


def test_ssim_is_1_for_a_copy_falls_with_noise_and_depends_on_the_range(images):
    image = images[0, 0]
    assert measures.ssim(image, image, data_range=15) == pytest.approx(1)
    rng = np.random.default_rng(0)
    noisy = [measures.ssim(image, image + sd * rng.normal(size=image.shape), data_range=15) for sd in (0.1, 0.5, 2)]
    assert noisy[0] > noisy[1] > noisy[2]
    worse = image + 0.5 * rng.normal(size=image.shape)
    assert measures.ssim(image, worse, data_range=2) < measures.ssim(image, worse, data_range=15)
    with pytest.raises(ValueError, match="7 pixels a side.*prepare.size_px"):
        measures.ssim(image[:5], image[:5], data_range=2)


def test_local_sd_equals_the_naive_one_inside(images):
    image = images[0, 0]
    naive = image[5:12, 6:13].std()
    assert measures.local_sd(image)[8, 9] == pytest.approx(naive)


def test_largest_pcc_takes_the_best_plane_of_either_sign(images):
    real = images[0, :1]
    planes = np.stack([images[1, 0], -2 * real[0] + 1])
    assert measures.largest_pcc(planes, real) == pytest.approx(1)


def test_targets_are_sets_and_a_match_is_an_intersection():
    shared = measures.shared_targets(["A|B", "B", "C", "", "C|A"])
    expected = {(0, 1), (0, 4), (2, 4)}
    assert {tuple(pair) for pair in np.argwhere(np.triu(shared))} == expected
    assert not shared.diagonal().any() and (shared == shared.T).all()


def naive_matches(profiles, targets, k):
    count = 0
    for query in range(len(profiles)):
        distance = []
        for other in range(len(profiles)):
            a, b = profiles[query], profiles[other]
            distance.append(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) if other != query else np.inf)
        count += any(targets[query] & targets[other] for other in np.argsort(distance, kind="stable")[:k])
    return count


@pytest.mark.parametrize("k", [1, 5, 50])
def test_neighbour_hits_equal_the_naive_count(k):
    rng = np.random.default_rng(3)
    profiles = rng.normal(size=(20, 6))
    targets = [f"T{n // 2}" for n in range(20)]
    nearest = measures.nearest_neighbours(measures.cosine_similarity(profiles), k)
    hits = measures.neighbour_hits(nearest, measures.shared_targets(targets))
    assert (hits > 0).sum() == naive_matches(profiles, measures.target_sets(targets), min(k, 19))


def test_a_permutation_gives_row_i_the_targets_of_row_order_i():
    rng = np.random.default_rng(4)
    targets = np.array([f"T{n // 2}" for n in range(12)])
    nearest = measures.nearest_neighbours(measures.cosine_similarity(rng.normal(size=(12, 4))), 3)
    order = rng.permutation(12)
    by_order = measures.neighbour_hits(nearest, measures.shared_targets(targets), order)
    np.testing.assert_array_equal(by_order, measures.neighbour_hits(nearest, measures.shared_targets(targets[order])))


def test_duplicated_profiles_all_match_and_shuffled_targets_are_at_chance():
    rng = np.random.default_rng(5)
    n = 60
    profiles = np.repeat(rng.normal(size=(n // 2, 30)), 2, axis=0) + 1e-6 * rng.normal(size=(n, 30))
    targets = np.repeat([f"T{i}" for i in range(n // 2)], 2)
    shared = measures.shared_targets(targets)
    for k in (1, 5):
        nearest = measures.nearest_neighbours(measures.cosine_similarity(profiles), k)
        assert (measures.neighbour_hits(nearest, shared) > 0).all()
        shuffled = [(measures.neighbour_hits(nearest, shared, rng.permutation(n)) > 0).sum() for _ in range(2000)]
        chance = measures.chance_matches(shared, k)
        assert chance == pytest.approx(k * n / (n - 1))
        assert np.mean(shuffled) == pytest.approx(chance, abs=5 * np.std(shuffled) / np.sqrt(2000))


def test_chance_holds_for_targets_of_many_members():
    shared = measures.shared_targets(["A"] * 4 + ["B"] * 3 + [""])
    rng = np.random.default_rng(6)
    drawn = []
    for _ in range(3000):
        nearest = measures.nearest_neighbours(rng.random((8, 8)), 2)
        drawn.append((measures.neighbour_hits(nearest, shared) > 0).sum())
    assert measures.chance_matches(shared, 2) == pytest.approx(np.mean(drawn), abs=0.1)
    assert measures.chance_matches(shared[:1, :1], 5) == 0


def test_mtdist_takes_every_pair_and_the_published_one_the_last():
    similarity = np.array([[1, 0.9, 0.1, 0], [0.9, 1, 0.5, 0], [0.1, 0.5, 1, 0], [0, 0, 0, 1]])
    targets = ["A", "A", "A", "B"]
    sums, counts = measures.matching_distances(similarity, measures.shared_targets(targets))
    assert sums.sum() / counts.sum() == pytest.approx((0.1 + 0.9 + 0.5) / 3)
    assert measures.mtdist_paper(similarity, targets) == pytest.approx(0.5)
    assert np.isnan(measures.mtdist_paper(similarity, ["A", "B", "C", "D"]))


def test_cosine_similarity_refuses_gaps():
    with pytest.raises(ValueError, match="not finite"):
        measures.cosine_similarity(np.array([[1.0, np.nan], [1.0, 2.0]]))


def test_feature_correlations_equal_numpy_also_when_weighted():
    rng = np.random.default_rng(7)
    real, predicted = rng.normal(size=(2, 15, 4)) + 1000
    predicted[:, 1] = real[:, 1]
    naive = [np.corrcoef(real[:, f], predicted[:, f])[0, 1] for f in range(4)]
    np.testing.assert_allclose(measures.feature_correlations(real, predicted)[0], naive, atol=1e-9)
    counts = measures.resample_counts(15, rng, 3)
    for row, drawn in zip(counts, measures.feature_correlations(real, predicted, counts)):
        rows = np.repeat(np.arange(15), row.astype(int))
        expected = [np.corrcoef(real[rows, f], predicted[rows, f])[0, 1] for f in range(4)]
        np.testing.assert_allclose(drawn, expected, atol=1e-9)


def test_constant_features_count_0_when_predicted_and_nothing_when_real():
    rng = np.random.default_rng(8)
    real, predicted = rng.normal(size=(2, 9, 2))
    predicted[:, 0], real[:, 1] = 3.7, 1e6 + 0.1
    values = measures.feature_correlations(real, predicted)[0]
    assert values[0] == 0 and np.isnan(values[1])


def test_bootstrap_draws_groups_and_covers_the_truth():
    covered = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        values = np.repeat(rng.normal(size=30), 4)  # four equal fields a well: 30 independent values, not 120
        low, high = measures.bootstrap_ratio(values, np.ones(120), np.repeat(np.arange(30), 4), rng)
        covered.append(low < 0 < high)
    assert 0.86 <= np.mean(covered) <= 1.0
    assert np.isnan(measures.bootstrap_ratio(np.ones(5), np.ones(5), ["A01"] * 5, np.random.default_rng(0))).all()


def test_seeds_follow_names():
    assert measures.seeded("a", 1).random() == measures.seeded("a", 1).random() != measures.seeded("a", 2).random()
