"""FID and KID: analytic distances, no difference, shuffled wells, the network's structure, the floors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import sqrtm

from brightpaint.features.embedders import inception
from brightpaint.scores.images import frechet as distances


def naive_frechet(first, second):
    root = sqrtm(np.cov(first, rowvar=False) @ np.cov(second, rowvar=False)).real
    shift = ((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum()
    return shift + np.trace(np.cov(first, rowvar=False) + np.cov(second, rowvar=False) - 2 * root)


def naive_kid(first, second):
    kernel = lambda x, y: (x @ y / len(x) + 1) ** 3  # noqa: E731
    within = [
        np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (first, second)
    ]
    return sum(within) - 2 * np.mean([kernel(x, y) for x in first for y in second])


@pytest.mark.parametrize("n, m", [(200, 150), (12, 9), (12, 60)])
def test_the_frechet_distance_is_that_of_the_textbook_with_more_and_with_fewer_images_than_features(n, m):
    rng = np.random.default_rng(n)
    first = rng.normal(size=(n, 20)) @ rng.normal(size=(20, 20))
    second = rng.normal(size=(m, 20)) + 0.5
    assert distances.frechet_distance(first, second) == pytest.approx(naive_frechet(first, second), rel=1e-5)
    assert distances.frechet_distance(first, first) == pytest.approx(0, abs=1e-6 * np.sum(np.var(first, axis=0)))
    assert distances.frechet_distance(first, first + 2) == pytest.approx(4 * 20, rel=1e-6)  # moved by 2 in each of 20
    assert distances.frechet_distance(second, first) == pytest.approx(distances.frechet_distance(first, second))
    assert np.isnan(distances.frechet_distance(first[:1], second))


def test_of_gaussians_it_is_the_analytic_distance_and_few_images_make_it_larger():
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 2.0, 3.0])
    draw = lambda n: (rng.normal(size=(n, 3)), rng.normal(size=(n, 3)) * scale + 1)  # noqa: E731
    truth = 3 + ((1 - scale) ** 2).sum()
    assert distances.frechet_distance(*draw(200_000)) == pytest.approx(truth, rel=0.02)
    alike = lambda n: np.mean([distances.frechet_distance(*rng.normal(size=(2, n, 3))) for _ in range(20)])  # noqa: E731
    assert alike(10) > 3 * alike(100) > 0


def test_kid_is_the_naive_unbiased_estimate_and_about_zero_for_one_distribution():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(8, 5)), rng.normal(size=(6, 5)) + 0.3
    wells = np.array([f"A{n // 2}" for n in range(8)]), np.array([f"A{n // 2}" for n in range(6)])
    assert distances.kernel_distance(first, second, wells)["value"] == pytest.approx(naive_kid(first, second))
    own = np.array([f"A{n}" for n in range(30)])
    values = [distances.kernel_distance(*rng.normal(size=(2, 30, 5)), (own, own))["value"] for _ in range(200)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error and min(values) < 0 < max(values)


def test_intervals_hold_the_value_and_shrink_with_wells():
    rng, widths = np.random.default_rng(2), []
    for count in (8, 64):
        wells = np.repeat([f"A{n:02d}" for n in range(count)], 2)
        first, second = rng.normal(size=(2 * count, 4)), rng.normal(size=(2 * count, 4)) + 1
        row = distances.kernel_distance(first, second, (wells, wells), np.random.default_rng(0))
        assert row["low"] < row["value"] < row["high"]
        widths.append(row["high"] - row["low"])
    assert widths[1] < widths[0]
    low, high = distances.jackknife_interval(2.0, [1.9, 2.1, 2.0, 2.0])
    assert high - 2 == pytest.approx(1.96 * np.sqrt(3 * 0.005)) and low == pytest.approx(4 - high)
    assert np.isnan(distances.jackknife_interval(2.0, [2.0])).all()


def test_a_bootstrap_of_wells_would_raise_the_frechet_distance_itself():
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 40, 10))
    value = distances.frechet_distance(first, second)
    drawn = [rng.integers(0, 40, 40) for _ in range(200)]
    resampled = [distances.frechet_distance(first[rows], second[rows]) for rows in drawn]
    assert np.quantile(resampled, 0.05) > value


def features(shift=0.0, wells=10, channels=("DNA", "ER"), seed=0, noise=1.0, plate="P"):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({
        "Metadata_Plate": plate, "Metadata_Well": np.repeat([f"A{n + 1:02d}" for n in range(wells)], 2),
        "Metadata_Site": np.tile([1, 2], wells), "Metadata_Tile": 1,
        "Metadata_perturbation": np.repeat([f"c{n}" for n in range(wells)], 2),
    })  # fmt: skip
    found = np.zeros((len(rows), len(channels), 2048), np.float32)
    found[..., :6] = shift + noise * rng.normal(size=(*found.shape[:2], 6))
    return inception.feature_table(rows, found, list(channels))


def test_rows_give_each_channel_and_their_mean_with_floor_and_what_sampling_alone_gives():
    real, painted = features(), features(seed=1)
    far = features(3.0, seed=2, channels=("BF_L", "BF"))
    rows = pd.DataFrame(distances.plate_rows("P", real, painted, far, {"c0", "c1", "c2"}))
    assert set(rows["metric"]) == {"fid", "fid_sampling", "kid"} and set(rows["subset"]) == {"full", "active"}
    full = rows[rows["subset"] == "full"].set_index(["metric", "channel"])
    assert full.loc[("fid", "all"), "value"] == pytest.approx(full.loc[[("fid", "DNA"), ("fid", "ER")], "value"].mean())
    assert full.loc[("fid", "all"), "n"] == 20
    # painted images of the same distribution: all that is left of FID is sampling, and KID is about 0
    assert full.loc[("fid", "all"), "value"] < 1.5 * full.loc[("fid_sampling", "all"), "value"]
    assert full.loc[("kid", "all"), "low"] < 0.001
    assert full.loc[("fid", "all"), "floor"] > 5 * full.loc[("fid", "all"), "value"]
    moved = pd.DataFrame(distances.plate_rows("P", real, features(3.0, seed=3), far, None))
    moved = moved.set_index(["metric", "channel"])["value"]
    assert moved["fid", "all"] > 5 * moved["fid_sampling", "all"] and moved["kid", "all"] > 0.01


def test_no_distance_sees_which_well_an_image_shows():
    real = features()
    order = np.random.default_rng(0).permutation(20)
    values = real.copy()
    names = [name for name in real if name.startswith("Inception_")]
    for channel in ("DNA", "ER"):
        rows = np.flatnonzero(real["Channel"] == channel)
        values.loc[rows, names] = real.loc[rows[order], names].to_numpy()
    found = pd.DataFrame(distances.plate_rows("P", real, values, features(3.0), None)).set_index(["metric", "channel"])
    assert found.loc[("fid", "all"), "value"] == pytest.approx(0, abs=1e-4)  # a copy in the wrong wells looks perfect


def test_an_arm_of_the_active_subset_has_no_full_row_and_an_unknown_channel_is_an_error():
    real = features()
    few = real[real["Metadata_perturbation"].isin(["c0", "c1", "c2"])]
    rows = list(distances.plate_rows("P", real, few, features(3.0), {"c0", "c1", "c2"}))
    assert {row["subset"] for row in rows} == {"active"}
    with pytest.raises(ValueError, match=r"plate P: real images have no features of \['Odd'\]"):
        list(distances.plate_rows("P", real, features(channels=("Odd",)), real, None))


def test_the_reference_is_the_mean_over_other_plates():
    plates = {"P": features(), "Q": features(1.0, seed=1), "R": features(2.0, seed=2)}
    rows = pd.DataFrame(distances.replicate_rows("P", plates, None)).set_index(["metric", "channel"])["value"]
    one = [pd.DataFrame(distances.replicate_rows("P", {"P": plates["P"], name: plates[name]}, None)) for name in "QR"]
    each = [frame.set_index(["metric", "channel"])["value"]["fid", "DNA"] for frame in one]
    assert rows["fid", "DNA"] == pytest.approx(np.mean(each)) and each[0] < each[1]
