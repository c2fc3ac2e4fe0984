"""Distance to the target class against preservation of the source, on fields whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.base import resampling
from brightpaint.scores.translation import class_distance
from brightpaint.scores.translation.class_distance import Fields


def fields(values, wells=None):
    values = np.asarray(values, float)
    return Fields(values, np.array([f"A{n // 2:02d}" for n in range(len(values))] if wells is None else wells))


def random(seed, n=20, shift=0.0, features=6):
    return fields(np.random.default_rng(seed).normal(shift, 1, size=(n, features)))


RNG = lambda: resampling.seeded("test")  # noqa: E731


def test_the_unit_is_the_spread_of_the_source_fields():
    source = fields([[1.0, 5, np.nan], [3, 5, 1], [np.nan, np.nan, np.nan]])
    scale = class_distance.field_scale(source, "P")
    assert scale.usable.tolist() == [True, False, False] and scale.sd[0] == pytest.approx(np.sqrt(2))
    np.testing.assert_allclose(scale.of(source).values[:2, 0], [-1 / np.sqrt(2), 1 / np.sqrt(2)])
    with pytest.raises(ValueError, match="plate P: 1 real fields of the source class have numbers, expected two"):
        class_distance.field_scale(fields([[1.0], [np.nan]]), "plate P")


def test_distances_are_of_means_and_of_distributions():
    found = class_distance.mean_distance(random(0, shift=2), random(1), RNG())
    assert found["distance"] == pytest.approx(2, abs=0.5) and found["low"] < found["distance"] < found["high"]
    assert class_distance.mean_distance(random(0), random(0), RNG())["distance"] == 0
    sigma = class_distance.bandwidth_of(random(1), random(2))
    far, near = (
        class_distance.distribution_distance(random(n, shift=s), random(1), sigma, RNG()) for n, s in ((0, 2), (5, 0))
    )
    assert far["mmd2"] > 0.1 > 0.05 > abs(near["mmd2"]) and far["mmd2_low"] < far["mmd2"] < far["mmd2_high"]
    assert np.isnan(class_distance.distribution_distance(random(0, n=1), random(1), sigma, RNG())["mmd2"])
    same = fields(np.zeros((4, 2)))
    assert np.isnan(class_distance.bandwidth_of(same, same))


def test_what_is_kept_is_a_correlation_across_source_fields():
    source, moved = random(0), random(0)
    shifted = class_distance.preservation(source, Fields(moved.values + 3, moved.wells), RNG())
    assert shifted["kept"] == pytest.approx(1) and shifted["moved"] == pytest.approx(3)
    assert shifted["kept_low"] == pytest.approx(1) and shifted["moved_low"] == pytest.approx(3)
    unrelated = class_distance.preservation(source, random(7), RNG())
    assert abs(unrelated["kept"]) < 0.3 and unrelated["kept_low"] < unrelated["kept"] < unrelated["kept_high"]
    empty = Fields(np.full((20, 6), np.nan), source.wells)
    assert np.isnan(class_distance.preservation(source, empty, RNG())["kept"])


def test_halves_are_of_whole_wells_and_draws_use_each_field_once_first():
    whole = random(3, n=8)
    left, right = class_distance.halves(whole, RNG())
    assert set(left.wells) & set(right.wells) == set() and len(left) + len(right) == 8
    one = fields(np.eye(4), wells=["A01"] * 4)
    assert [len(side) for side in class_distance.halves(one, RNG())] == [2, 2]
    drawn = class_distance.drawn_fields(one, 6, RNG())
    assert len(drawn) == 6 and len({tuple(row) for row in drawn.values[:4]}) == 4


def test_a_class_without_held_out_wells_has_no_distance_but_keeps_its_source():
    source = random(0)
    images = {"translation": source, "reconstruction": source}
    rows = class_distance.class_rows(source, images, random(1, n=0), random(2, n=0), np.nan, ["P", "x"])
    assert [row["reference"] for row in rows] == ["translation", "identity", "reconstruction"]
    assert all("distance" not in row and row["kept"] == pytest.approx(1) for row in rows)
