"""Distances between populations of fields: nothing between draws of one distribution, known values between others."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.scores.generation import populations
from brightpaint.scores.images.frechet import kernel_distance

RNG = np.random.default_rng(0)


def test_two_draws_of_one_distribution_are_near_and_a_shift_is_measured_in_s_d():
    real, same = RNG.normal(size=(200, 6)), RNG.normal(size=(200, 6))
    near, far = populations.distances(real, same, 3.0), populations.distances(real, same + 1.0, 3.0)
    assert near["feature_distance"] < 0.2 and far["feature_distance"] == pytest.approx(1.0, abs=0.2)
    assert abs(near["mmd2"]) < 0.01 and far["mmd2"] > 0.1
    assert abs(near["kernel_distance"]) < 0.2 < far["kernel_distance"]


def test_the_unbiased_estimate_is_that_of_a_sum_over_pairs_and_kid_is_the_house_s():
    first, second = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 3)) + 0.5
    found = populations.distances(first, second, 1.5)["mmd2"]

    def gauss(one, two):
        return np.exp(-((one - two) ** 2).sum() / (2 * 1.5**2))

    def within(side):
        return np.mean([gauss(one, two) for i, one in enumerate(side) for j, two in enumerate(side) if i != j])

    across = np.mean([gauss(one, two) for one in first for two in second])
    assert found == pytest.approx(within(first) + within(second) - 2 * across)
    wells = [f"A{number}" for number in range(5)], [f"B{number}" for number in range(4)]
    kid = kernel_distance(first, second, wells)["value"]
    assert populations.distances(first, second, 1.5)["kernel_distance"] == pytest.approx(kid)


def test_one_field_has_a_distance_and_no_discrepancy_and_none_has_nothing():
    one = populations.distances(np.zeros((1, 2)), np.ones((3, 2)), 1.0)
    assert one["feature_distance"] == 1.0 and np.isnan(one["mmd2"]) and np.isnan(one["kernel_distance"])
    assert all(np.isnan(value) for value in populations.distances(np.zeros((0, 2)), np.ones((3, 2)), 1.0).values())


def test_the_sliced_distance_of_a_shift_is_its_mean_length_along_the_directions():
    directions = populations.directions_of(4, "test")
    real = RNG.normal(size=(100, 4))
    shift = np.array([2.0, 0.0, -1.0, 0.5])
    wanted = np.abs(shift @ directions).mean()
    assert populations.sliced_distance(real, real + shift, directions) == pytest.approx(wanted)
    assert populations.sliced_distance(real, real[::-1], directions) == 0.0
    np.testing.assert_array_equal(directions, populations.directions_of(4, "test"))
    assert np.isnan(populations.sliced_distance(real, real[:0], directions))
    at = (np.arange(populations.QUANTILES) + 0.5) / populations.QUANTILES
    np.testing.assert_allclose(populations.quantiles(real), np.quantile(real, at, axis=0))


def test_pooled_distances_leave_out_treatments_that_a_side_lacks():
    real = [RNG.normal(size=(20, 3)), RNG.normal(size=(20, 3)) + 50]
    shown = [real[0].copy(), np.empty((0, 3))]
    found = populations.pooled(real, shown, populations.directions_of(3, "test"))
    assert found["frechet_distance"] == pytest.approx(0, abs=1e-6) and found["sliced_distance"] == 0
    assert np.isnan(populations.pooled(real, [shown[1]] * 2, populations.directions_of(3, "test"))["frechet_distance"])


def test_components_are_no_more_than_a_third_of_the_fields_and_fields_are_drawn_from_names():
    centre, directions = populations.components_of(RNG.normal(size=(12, 9)))
    assert directions.shape == (9, 4) and centre.shape == (9,)
    np.testing.assert_allclose(directions.T @ directions, np.eye(4), atol=1e-12)
    fields = np.arange(10.0)[:, None]
    one = populations.drawn(fields, 4, "plate", "a")
    np.testing.assert_array_equal(one, populations.drawn(fields, 4, "plate", "a"))
    assert len(set(one.ravel())) == 4 and len(populations.drawn(fields, 20, "x")) == 10
