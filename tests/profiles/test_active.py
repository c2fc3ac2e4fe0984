"""Actives: exact clusters, an honest null, and the truth of simulated profiles recovered."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import active
from brightpaint.profiles.clusters import CLUSTERS, kmeans_1d, principal_components, shift_null, units_of

FEATURES = [f"Cells_Intensity_{n}" for n in range(60)]
CHOSEN = {"components": 100, "permutations": 500, "alpha": 0.05}


def simulated(seed, *, plates=2, targets=9, dmso=6, active_targets=5, strength=8.0, opposite=False):
    """Return (field medians a plate, names of the active perturbations): pairs of perturbations share a direction."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(8, len(FEATURES)))
    directions = rng.normal(size=(targets, 8))
    directions *= strength / np.linalg.norm(directions, axis=1, keepdims=True)
    directions[active_targets:] = 0
    frames = []
    for plate in range(plates):
        rows, values = [], []
        for place, target in enumerate([-1] * dmso + [n // 2 for n in range(2 * targets)]):
            name = "DMSO" if target < 0 else f"c{place - dmso:02d}"
            sign = -1 if opposite and place % 2 else 1
            latent = rng.normal(size=8) + (sign * directions[target] if target >= 0 else 0)
            values.append(latent @ mixing + 2 * rng.normal(size=len(FEATURES)))
            rows.append(
                {
                    "Metadata_Plate": f"P{plate}", "Metadata_Well": f"{'ABCD'[place // 6 % 4]}{place % 6 + 1:02d}",
                    "Metadata_Site": 1 + place // 24, "Metadata_Tile": 1, "Metadata_Source": "s", "Metadata_Batch": "b",
                    "Metadata_perturbation": name, "Metadata_target": "" if target < 0 else f"T{target}",
                    "Metadata_control_type": "negcon" if target < 0 else "", "Metadata_cells": 20,
                }
            )  # fmt: skip
        frames.append(pd.concat([pd.DataFrame(rows), pd.DataFrame(values, columns=FEATURES)], axis=1))
    return frames, {f"c{n:02d}" for n in range(2 * active_targets)}


def balanced_accuracy(table, truth):
    tested = table[table["Metadata_control_type"] != "negcon"]
    real, found = tested["Metadata_perturbation"].isin(truth), tested["active"] == 1
    return (found[real].mean() + (~found[~real]).mean()) / 2


@pytest.mark.parametrize("k", [1, 2, 3])
def test_kmeans_equals_brute_force(k):
    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=9).round(1)
        labels = kmeans_1d(values, k)
        cost = sum(((values[labels == n] - values[labels == n].mean()) ** 2).sum() for n in np.unique(labels))
        ordered = np.sort(values)
        ways = (np.split(ordered, cut) for cut in combinations(range(1, 9), k - 1))
        best = min(sum(((part - part.mean()) ** 2).sum() for part in way) for way in ways)
        assert cost == pytest.approx(best, abs=1e-9)
        assert (np.diff(labels[np.argsort(values, kind="stable")]) >= 0).all()


def test_kmeans_keeps_equal_values_together_and_makes_no_empty_cluster():
    assert kmeans_1d(np.array([5.0, 1.0, 5.0]), 3).tolist() == [1, 0, 1]
    assert kmeans_1d(np.array([2.0]), 3).tolist() == [0]
    assert kmeans_1d(np.array([0, 0.1, 10, 10.1, 50, 1e9]), 3).max() == 2


def test_principal_components_keep_distances_and_drop_what_n_does_not_allow():
    values = np.random.default_rng(0).normal(size=(6, 40))
    points = principal_components(values, 100)
    assert points.shape == (6, 5)
    np.testing.assert_allclose(np.linalg.norm(points[0] - points[1]), np.linalg.norm(values[0] - values[1]), rtol=1e-9)
    assert principal_components(values, 2).shape == (6, 2)


def test_the_null_equals_an_enumeration_of_every_deal():
    rng = np.random.default_rng(2)
    points, plates = rng.normal(size=(6, 3)), np.array(["P"] * 6)
    treated, dmso = np.zeros((1, 6), dtype=bool), np.array([False] * 2 + [True] * 4)
    treated[0, :2] = True
    shift, shams = shift_null(points, plates, treated, dmso, permutations=4000, seed="x")
    every = []
    for pair in combinations(range(6), 2):
        rest = [n for n in range(6) if n not in pair]
        every.append(np.linalg.norm(points[list(pair)].mean(axis=0) - points[rest].mean(axis=0)))
    assert shift == pytest.approx(every[0])
    assert set(np.round(shams, 9)) == set(np.round(every, 9))
    np.testing.assert_allclose([np.mean(np.isclose(shams, value)) for value in every], 1 / 15, atol=0.025)


def test_the_null_is_honest_for_targets_that_do_nothing():
    small = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        points = np.exp(rng.normal(size=(16, 4)))  # skewed on purpose
        plates = np.repeat(["P", "Q"], 8)
        place = np.tile(np.arange(8), 2)
        treated = np.stack([place == 0, place == 1])
        shift, shams = shift_null(points, plates, treated, place > 1, permutations=199, seed=f"s{seed}")
        small.append((1 + np.sum(shams >= shift)) / 200 <= 0.1)
    assert np.mean(small) < 0.17  # 0.1 and three standard errors


def test_the_truth_is_recovered_over_seeds():
    accuracy = []
    for seed in range(5):
        plates, truth = simulated(seed)
        accuracy.append(balanced_accuracy(active.find_active(plates, FEATURES, **CHOSEN), truth))
    assert np.median(accuracy) >= 0.9, accuracy


def test_opposite_effects_within_a_target_do_not_cancel():
    plates, truth = simulated(1, plates=3, opposite=True)
    table = active.find_active(plates, FEATURES, **CHOSEN)
    assert (table.loc[table["Metadata_perturbation"].isin(truth), "null_q"] <= 0.05).mean() >= 0.8


@pytest.mark.long
def test_plates_without_effects_yield_no_actives_where_clusters_alone_would():
    found, clustered = [], []
    for seed in range(10):
        plates, _ = simulated(seed, active_targets=0)
        found.append(active.find_active(plates, FEATURES, **CHOSEN)["active"].sum())
        clustered.append(active.find_active(plates, FEATURES, **{**CHOSEN, "permutations": 0})["active"].sum())
    assert np.count_nonzero(found) <= 1  # alpha is 0.05 a study
    assert min(clustered) > 0


def test_a_plate_of_dmso_alone_has_nothing_to_test():
    plates = [plate.iloc[:6] for plate in simulated(0)[0]]
    table = active.find_active(plates, FEATURES, **CHOSEN)
    assert table["Metadata_perturbation"].tolist() == ["DMSO"]
    assert table["active"].sum() == 0 and table["cluster"].tolist() == ["control"]


def test_whole_targets_are_kept_or_dropped():
    plates, _ = simulated(3)
    table = active.find_active(plates, FEATURES, **CHOSEN)
    tested = table[table["Metadata_target"] != ""]
    assert (tested.groupby("Metadata_target")["active"].nunique() == 1).all()
    assert set(tested["cluster"]) <= set(CLUSTERS) and 0 < tested["active"].sum() < len(tested)


def test_units_split_sets_and_name_those_without_target():
    frame = pd.DataFrame({"Metadata_perturbation": ["a", "b", "c"], "Metadata_target": ["X|Y", "Y", ""]})
    assert units_of(frame) == {"X": ["a"], "Y": ["a", "b"], "perturbation c": ["c"]}


def test_wells_without_cells_and_features_with_gaps_are_left_out_and_counted(caplog):
    plates, _ = simulated(4)
    plates[0].loc[8, FEATURES], plates[0].loc[8, "Metadata_cells"] = np.nan, 0
    plates[1].loc[3, FEATURES[:2]] = np.nan
    for plate in plates:
        plate.loc[plate["Metadata_perturbation"] == "c05", FEATURES] = np.nan
        plate.loc[plate["Metadata_perturbation"] == "c05", "Metadata_cells"] = 0
    with caplog.at_level("INFO"):
        table = active.find_active(plates, FEATURES, **CHOSEN).set_index("Metadata_perturbation")
    assert "without cells and left out: 3" in caplog.text
    assert f"missing in some well and left out: 2 ({FEATURES[0]}, {FEATURES[1]})" in caplog.text
    assert table.at["c02", "wells_without_cells"] == 1 and table.at["c02", "wells"] == 1
    assert table.at["c05", "cluster"] == "no cells" and table.at["c05", "active"] == 0
    assert np.isnan(table.at["c05", "score"])


def test_a_plate_without_dmso_is_an_error_that_says_what_to_do():
    plates, _ = simulated(5)
    plates[1] = plates[1].iloc[6:].reset_index(drop=True)
    with pytest.raises(ValueError, match="plate P1 has no DMSO well.*active.plates"):
        active.find_active(plates, FEATURES, **CHOSEN)


def test_contradicting_annotations_are_an_error():
    plates, _ = simulated(6)
    plates[1].loc[plates[1]["Metadata_perturbation"] == "c03", "Metadata_target"] = "other"
    with pytest.raises(ValueError, match="c03 has several targets"):
        active.find_active(plates, FEATURES, **CHOSEN)


def test_the_command_writes_the_same_bytes_whatever_the_order_of_plates_and_rows(tmp_path):
    plates, _ = simulated(7)
    selection = pd.DataFrame({"feature": [*FEATURES, "Cells_dropped"], "kept": [1] * 60 + [0], "reason": ""})
    store.write_table(selection, tmp_path / "selection.tsv")
    written = []
    for turn in (0, 1):
        paths = []
        for number, plate in enumerate(plates):
            rows = plate if not turn else plate.sample(frac=1, random_state=0).reset_index(drop=True)
            paths.append(tmp_path / f"{turn}_{number}.parquet")
            store.write_table(rows, paths[-1])
        paths = paths[::-1] if turn else paths
        target = tmp_path / f"active{turn}.tsv"
        active.main(
            ["--settings", '{"plates": "all", "components": 100, "permutations": 200, "alpha": 0.05}', "--medians"]
            + [str(path) for path in paths]
            + ["--selection", str(tmp_path / "selection.tsv"), "--active", str(target)]
        )
        written.append(target.read_bytes())
    assert written[0] == written[1]
    assert list(store.read_table(tmp_path / "active0.tsv").columns[:7]) == active.FIRST


def test_no_plate_to_fit_on_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="active.plates: all"):
        active.main(["--settings", "{}", "--medians", "--selection", "x", "--active", "y"])
