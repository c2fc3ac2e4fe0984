"""Matches, distances and correlations of profiles against naive versions, known answers and hostile input."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.base import resampling
from brightpaint.profiles.similarity import (
    chance_matches,
    cosine_similarity,
    feature_correlations,
    matching_distances,
    mtdist_paper,
    nearest_neighbours,
    neighbour_hits,
    shared_targets,
    target_sets,
)


def test_targets_are_sets_and_a_match_is_an_intersection():
    shared = shared_targets(["A|B", "B", "C", "", "C|A"])
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
    nearest = nearest_neighbours(cosine_similarity(profiles), k)
    hits = neighbour_hits(nearest, shared_targets(targets))
    assert (hits > 0).sum() == naive_matches(profiles, target_sets(targets), min(k, 19))


def test_a_permutation_gives_row_i_the_targets_of_row_order_i():
    rng = np.random.default_rng(4)
    targets = np.array([f"T{n // 2}" for n in range(12)])
    nearest = nearest_neighbours(cosine_similarity(rng.normal(size=(12, 4))), 3)
    order = rng.permutation(12)
    by_order = neighbour_hits(nearest, shared_targets(targets), order)
    np.testing.assert_array_equal(by_order, neighbour_hits(nearest, shared_targets(targets[order])))


def test_duplicated_profiles_all_match_and_shuffled_targets_are_at_chance():
    rng = np.random.default_rng(5)
    n = 60
    profiles = np.repeat(rng.normal(size=(n // 2, 30)), 2, axis=0) + 1e-6 * rng.normal(size=(n, 30))
    targets = np.repeat([f"T{i}" for i in range(n // 2)], 2)
    shared = shared_targets(targets)
    for k in (1, 5):
        nearest = nearest_neighbours(cosine_similarity(profiles), k)
        assert (neighbour_hits(nearest, shared) > 0).all()
        shuffled = [(neighbour_hits(nearest, shared, rng.permutation(n)) > 0).sum() for _ in range(2000)]
        chance = chance_matches(shared, k)
        assert chance == pytest.approx(k * n / (n - 1))
        assert np.mean(shuffled) == pytest.approx(chance, abs=5 * np.std(shuffled) / np.sqrt(2000))


def test_chance_holds_for_targets_of_many_members():
    shared = shared_targets(["A"] * 4 + ["B"] * 3 + [""])
    rng = np.random.default_rng(6)
    drawn = []
    for _ in range(3000):
        nearest = nearest_neighbours(rng.random((8, 8)), 2)
        drawn.append((neighbour_hits(nearest, shared) > 0).sum())
    assert chance_matches(shared, 2) == pytest.approx(np.mean(drawn), abs=0.1)
    assert chance_matches(shared[:1, :1], 5) == 0


def test_mtdist_takes_every_pair_and_the_published_one_the_last():
    similarity = np.array([[1, 0.9, 0.1, 0], [0.9, 1, 0.5, 0], [0.1, 0.5, 1, 0], [0, 0, 0, 1]])
    targets = ["A", "A", "A", "B"]
    sums, counts = matching_distances(similarity, shared_targets(targets))
    assert sums.sum() / counts.sum() == pytest.approx((0.1 + 0.9 + 0.5) / 3)
    assert mtdist_paper(similarity, targets) == pytest.approx(0.5)
    assert np.isnan(mtdist_paper(similarity, ["A", "B", "C", "D"]))


def test_cosine_similarity_refuses_gaps():
    with pytest.raises(ValueError, match="not finite"):
        cosine_similarity(np.array([[1.0, np.nan], [1.0, 2.0]]))


def test_feature_correlations_equal_numpy_also_when_weighted():
    rng = np.random.default_rng(7)
    real, predicted = rng.normal(size=(2, 15, 4)) + 1000
    predicted[:, 1] = real[:, 1]
    naive = [np.corrcoef(real[:, f], predicted[:, f])[0, 1] for f in range(4)]
    np.testing.assert_allclose(feature_correlations(real, predicted)[0], naive, atol=1e-9)
    counts = resampling.resample_counts(15, rng, 3)
    for row, drawn in zip(counts, feature_correlations(real, predicted, counts)):
        rows = np.repeat(np.arange(15), row.astype(int))
        expected = [np.corrcoef(real[rows, f], predicted[rows, f])[0, 1] for f in range(4)]
        np.testing.assert_allclose(drawn, expected, atol=1e-9)


def test_constant_features_count_0_when_predicted_and_nothing_when_real():
    rng = np.random.default_rng(8)
    real, predicted = rng.normal(size=(2, 9, 2))
    predicted[:, 0], real[:, 1] = 3.7, 1e6 + 0.1
    values = feature_correlations(real, predicted)[0]
    assert values[0] == 0 and np.isnan(values[1])
