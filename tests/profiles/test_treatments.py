"""Profiles, actives, look-ups and matches by treatment: a perturbation at one dose."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.conditions.labels import active_rows, label_names, swapped_names
from brightpaint.profiles import active, cell_profiles, lookup, profile, treatments
from brightpaint.profiles.clusters import principal_components, units_of
from brightpaint.report.figures import active_figure
from brightpaint.scores.pairing import covered, join_rows
from brightpaint.scores.profiles import matching, retrieval
from brightpaint.scores.rows import read_active
from brightpaint.study.annotations import treatment_name, unit_column, with_unit

FEATURES = [f"Cells_Intensity_{n}" for n in range(6)]


def plate_of(series: dict[str, dict[float, float]], *, dmso=12, wells=1, plate="P1", seed=0) -> pd.DataFrame:
    """Field medians of DMSO wells and of drugs: {drug: {dose: shift in s.d. of DMSO along a direction of its own}}."""
    rng, rows, values = np.random.default_rng(seed), [], []
    directions = np.random.default_rng(5).normal(size=(len(series), len(FEATURES)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    treated = [(name, dose, shift * direction) for (name, doses), direction in zip(series.items(), directions)
               for dose, shift in doses.items() for _ in range(wells)]  # fmt: skip
    for number, (name, dose, shift) in enumerate([("DMSO", np.nan, 0 * directions[0])] * dmso + treated):
        rows.append({"Metadata_Plate": plate, "Metadata_Well": f"{'ABCDEFGH'[number % 8]}{number // 8 + 1:02d}",
                     "Metadata_Site": 1, "Metadata_Tile": 1, "Metadata_perturbation": name,
                     "Metadata_target": "" if name == "DMSO" else "T", "Metadata_dose": dose,
                     "Metadata_control_type": "negcon" if name == "DMSO" else "", "Metadata_smiles": "",
                     "Metadata_treatment": treatment_name(name, dose), "Metadata_cell_line": "", "Metadata_time_h": np.nan,
                     "Metadata_cells": 20})  # fmt: skip
        values.append(rng.normal(size=len(FEATURES)) + shift)
    return pd.concat([pd.DataFrame(rows), pd.DataFrame(values, columns=FEATURES)], axis=1)


# --- the null of one well ---


def test_the_left_out_null_equals_a_naive_one():
    points = np.random.default_rng(1).normal(size=(7, 3))
    plates, dmso = np.array(["P"] * 6 + ["Q"]), np.array([0, 1, 1, 1, 1, 0, 1], bool)
    own = np.arange(7) == 0
    distance, null = treatments.left_out_null(points, plates, own, dmso)
    assert distance == pytest.approx(np.linalg.norm(points[0] - points[1:5].mean(axis=0)))
    naive = [np.linalg.norm(points[i] - points[[j for j in range(1, 5) if j != i]].mean(axis=0)) for i in range(1, 5)]
    np.testing.assert_allclose(null, naive)  # of the well's own plate alone
    distance, null = treatments.left_out_null(points, plates, own, np.arange(7) == 1)
    assert np.isnan(distance) and len(null) == 0


def test_the_left_out_null_is_honest_for_a_dose_that_does_nothing():
    small = []
    for seed in range(300):
        points = np.random.default_rng(seed).normal(size=(20, 4))
        dmso = np.arange(20) > 0
        distance, null = treatments.left_out_null(points, np.array(["P"] * 20), ~dmso, dmso)
        small.append((1 + np.sum(null >= distance)) / (1 + len(null)) <= 0.1)
    assert np.mean(small) < 0.155  # 0.1 and three standard errors


# --- actives ---


def test_the_lowest_dose_is_not_active_because_the_highest_is():
    plate = plate_of({"X": {0.1: 0.0, 10.0: 30.0}, "Y": {1.0: 0.0}}, dmso=40)
    chosen = {"components": 6, "permutations": 200, "alpha": 0.2}
    whole = active.find_active([plate], FEATURES, **chosen).set_index("Metadata_perturbation")
    assert whole.loc[["X", "Y"], "active"].tolist() == [1, 1]  # whole targets are kept
    assert whole.loc["X", "Metadata_treatment"] == "X" and np.isnan(whole.loc["X", "Metadata_dose"])
    each = active.find_active([plate], FEATURES, **chosen, unit="treatment").set_index("Metadata_treatment")
    assert each["active"].to_dict() == {"DMSO": 0, "X@0.1uM": 0, "X@10uM": 1, "Y@1uM": 0}
    assert each.loc["X@10uM", ["Metadata_perturbation", "Metadata_dose", "wells"]].tolist() == ["X", 10.0, 1]
    assert each.loc["X@10uM", "null_p"] == pytest.approx(1 / 41)  # of forty DMSO wells
    assert each.loc["X@10uM", "shift"] > each.loc["X@10uM", "null_shift"] > each.loc["X@0.1uM", "shift"]
    assert (each["Metadata_unit"] == "treatment").all() and "Metadata_compound" not in each


def test_treatments_with_replicates_are_tested_by_them():
    plate = plate_of({"X": {0.1: 0.0, 10.0: 30.0}}, wells=4)
    table = active.find_active([plate], FEATURES, components=6, permutations=300, alpha=0.05, unit="treatment")
    p = table.set_index("Metadata_treatment")["null_p"]
    assert p["X@10uM"] < 1 / 100 and p["X@0.1uM"] > 0.05  # below what 12 DMSO wells alone could give


def test_an_older_table_has_its_perturbations_for_treatments():
    plate = plate_of({"X": {0.1: 0.0, 10.0: 30.0}}, dmso=30)
    old = plate.drop(columns=[name for name in treatments.ANNOTATIONS[3:]])
    chosen = {"components": 6, "permutations": 50, "alpha": 0.2}
    table = active.find_active([old], FEATURES, **chosen, unit="treatment")
    assert table["Metadata_treatment"].tolist() == table["Metadata_perturbation"].tolist() == ["DMSO", "X"]
    assert active.find_active([old], FEATURES, **chosen)["Metadata_perturbation"].tolist() == ["DMSO", "X"]


def test_units_by_treatment_are_alone():
    frame = pd.DataFrame({"Metadata_perturbation": ["a@1uM", "a@2uM"], "Metadata_target": ["X", "X"]})
    assert units_of(frame, "treatment") == {"a@1uM": ["a@1uM"], "a@2uM": ["a@2uM"]}


def test_dose_and_column_that_go_together_are_said():
    wells = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": [f"{row}{n:02d}" for row in "ABCD" for n in (1, 2, 3)],
                          "Metadata_dose": [0.1, 1, 10] * 4})  # fmt: skip
    places = treatments.dose_places(wells)
    assert places.loc["P", "dose_by_column"] == pytest.approx(1) and places.loc["P", "dose_by_row"] < 0.01
    assert treatments.together(places) == [
        "plate P: dose and column go together (100% of the doses' variance lies between columns): "
        "a gradient over the plate looks like an effect of the dose"
    ]
    shuffled = wells.assign(Metadata_dose=np.random.default_rng(0).permutation(wells["Metadata_dose"]))
    assert treatments.together(treatments.dose_places(shuffled)) == []
    assert np.isnan(treatments.share_between(np.arange(3.0), np.arange(3)))  # a well a column says nothing
    assert treatments.dose_places(wells.assign(Metadata_dose=np.nan)).empty


@pytest.fixture(scope="module")
def lincs(real_data) -> tuple[pd.DataFrame, list[str]]:
    """The real plate of six doses (the wells' published profiles), as field medians."""
    path = real_data / "profiles" / "lincs_dose" / "SQ00015054_normalized_feature_select.csv.gz"
    wells = pd.read_csv(path)
    features = [name for name in wells if not name.startswith("Metadata_") and wells[name].notna().all()]
    dmso, names = wells["Metadata_broad_sample"] == "DMSO", wells["Metadata_broad_sample"]
    frame = pd.DataFrame({
        "Metadata_Plate": wells["Metadata_Plate"], "Metadata_Well": wells["Metadata_Well"], "Metadata_Site": 1, "Metadata_Tile": 1,
        "Metadata_perturbation": names, "Metadata_target": wells["Metadata_target"].where(~dmso).fillna(""),
        "Metadata_control_type": np.where(dmso, "negcon", ""), "Metadata_cells": 1,
        "Metadata_dose": wells["Metadata_mmoles_per_liter"].where(~dmso),
    })  # fmt: skip
    named = zip(names, frame["Metadata_dose"])
    frame["Metadata_treatment"] = [treatment_name(*pair) for pair in named]
    return pd.concat([frame, wells[features]], axis=1).copy(), features


@pytest.mark.long
def test_on_the_real_dose_plate_distance_from_dmso_rises_with_the_dose(lincs, caplog):
    """338 treatments of 58 compounds; the median of each of six doses lies farther out than that of the dose below."""
    medians, features = lincs
    (wells,) = treatments.by_name([medians], "treatment")
    points = principal_components(wells[features].to_numpy(np.float64), 20)
    found = active.judge(wells, wells, points, permutations=20, alpha=0.05, unit="treatment")
    with caplog.at_level("WARNING"):
        table = treatments.described(found, wells, "treatment")
    treated = table[table["Metadata_control_type"] != "negcon"]
    assert len(treated) == 338 and treated["Metadata_perturbation"].nunique() == 58
    assert (treated["wells"] == 1).sum() == 336
    doses = treated.groupby("Metadata_perturbation")["Metadata_dose"]
    six = treated[doses.transform("size") == 6]
    shift = six.groupby(doses.rank().loc[six.index])["shift"].median()
    assert len(six) == 336 and shift.is_monotonic_increasing and shift.iloc[-1] > 1.2 * shift.iloc[0]
    assert six["null_p"].min() >= 1 / 25 - 1e-9  # 24 DMSO wells, each left out in turn
    assert six["dose_by_column"].between(0.7, 0.8).all() and six["dose_by_row"].abs().max() < 0.1
    assert "plate SQ00015054: dose and column go together (73% of the doses' variance" in caplog.text


# --- profiles, look-ups, matches ---


def test_profiles_by_treatment_say_so_and_keep_doses_apart():
    plate = plate_of({"X": {0.1: 0.0, 9.99999: 3.0}, "Y": {1.0: 1.0}}, wells=2)
    plate.loc[plate["Metadata_treatment"] == "X@10uM", "Metadata_dose"] = [9.99999, 10.00001]  # last digits differ
    wells, table = cell_profiles.profiles([plate], FEATURES, unit="treatment")
    assert table["Metadata_treatment"].tolist() == ["DMSO", "X@0.1uM", "X@10uM", "Y@1uM"]
    assert table["Metadata_perturbation"].tolist() == ["DMSO", "X", "X", "Y"]
    assert table["Metadata_dose"].tolist()[1:] == pytest.approx([0.1, 10, 1])
    assert unit_column(table) == "Metadata_treatment" and "Metadata_unit" not in wells
    own = wells[wells["Metadata_treatment"] == "X@10uM"]
    row = table.set_index("Metadata_treatment").loc["X@10uM", FEATURES]
    np.testing.assert_allclose(row.astype(float), own[FEATURES].median())
    _, pooled = cell_profiles.profiles([plate], FEATURES)
    assert unit_column(pooled) == "Metadata_perturbation" and pooled["Metadata_perturbation"].tolist() == [
        "DMSO",
        "X",
        "Y",
    ]


def test_a_treatment_is_looked_up_at_its_own_dose():
    series = {"X": {0.1: 0.0, 10.0: 9.0}}
    plates = [plate_of(series, plate=name, seed=n) for n, name in enumerate(("P1", "P2"))]
    _, table = cell_profiles.profiles(plates, FEATURES, unit="treatment")
    found = lookup.lookup(table, "P2", ["P1"]).set_index("Metadata_treatment")
    truth = table[table["Metadata_Plate"] == "P1"].set_index("Metadata_treatment")
    pd.testing.assert_frame_equal(found[FEATURES], truth.loc[found.index, FEATURES])
    assert list(found.index) == ["DMSO", "X@0.1uM", "X@10uM"] and (found["Metadata_unit"] == "treatment").all()


def treated(names, targets, values, perturbations=None) -> pd.DataFrame:
    frame = pd.DataFrame({"Metadata_Plate": "P", "Metadata_treatment": names, "Metadata_target": targets,
                          "Metadata_perturbation": perturbations, "Metadata_control_type": ""})  # fmt: skip
    frame = pd.concat([frame, pd.DataFrame(values, columns=FEATURES[:2])], axis=1)
    return matching.treated_profiles(with_unit(frame, "treatment"), "here")


def test_doses_of_one_compound_are_no_matches_of_one_another():
    """X's doses are alike; the nearest of another compound with the target is Z, of V's it is W."""
    profiles = treated(["V", "W", "X@1uM", "X@2uM", "Z"], ["B", "B", "A", "A", "A"],
                       np.array([[0.0, 1], [0.1, 1], [1, 0], [1, 0.01], [1, 0.1]]), ["V", "W", "X", "X", "Z"])  # fmt: skip
    fields = pd.DataFrame({"Metadata_Well": [f"A{n:02d}" for n in range(1, 6)], "Metadata_perturbation": "",
                           "Metadata_treatment": ["V", "W", "X@1uM", "X@2uM", "Z"]})  # fmt: skip
    _, _, shared = matching.similarities(profiles)
    assert not shared[2, 3] and shared[2, 4] and shared[3, 4] and shared[0, 1]
    rows = {row["metric"]: row for row in matching.match_rows(profiles, fields, "seed")}
    assert rows["nn"]["value"] == 5 and rows["nn"]["n"] == 5
    # V and W one of four others, Z two of four, either dose of X one of the three that are not its own
    assert rows["nn"]["null"] == pytest.approx(2 / 4 + 2 / 4 + 2 / 3)
    assert rows["nn"]["floor"] == pytest.approx(3.5, abs=0.2)  # V, X@2uM, Z, and W half the time: places of treatments
    assert retrieval.retrieval_row(profiles, fields, "seed")["value"] == pytest.approx(1)
    (distance,) = matching.distance_rows(profiles, "seed")
    assert distance["n"] == 3  # V-W and Z with either dose of X


def test_one_compound_in_several_doses_has_nobody_to_match():
    profiles = treated(["X@1uM", "X@2uM"], ["A", "A"], np.eye(2), ["X", "X"])
    fields = pd.DataFrame({"Metadata_Well": ["A01", "A02"], "Metadata_perturbation": "X"})
    rows = {row["metric"]: row for row in matching.match_rows(profiles, fields, "seed")}
    assert rows["nn"]["value"] == 0 and rows["nn"]["null"] == 0
    assert retrieval.retrieval_row(profiles, fields, "seed")["n"] == 0


def test_active_treatments_choose_their_own_fields(tmp_path):
    table = pd.DataFrame({"Metadata_perturbation": ["X", "X", "Y"], "Metadata_treatment": ["X@1uM", "X@2uM", "Y"],
                          "active": [0, 1, 1]})  # fmt: skip
    store.write_table(with_unit(table, "treatment"), tmp_path / "active.tsv")
    names = read_active([tmp_path / "active.tsv"])
    assert names == {"X@2uM", "Y"} and names.column == "Metadata_treatment"
    fields = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": ["A01", "A02", "A03"], "Metadata_Site": 1,
                           "Metadata_Tile": 1, "Metadata_perturbation": ["X", "X", "Y"],
                           "Metadata_treatment": ["X@1uM", "X@2uM", "Y@3uM"]})  # fmt: skip
    assert active_rows(fields, store.read_actives(tmp_path / "active.tsv")).tolist() == [
        1
    ]  # Y without a dose is another
    joined = join_rows(fields, fields[store.FIELD_KEYS], "here")
    assert covered(fields, joined, names, "here")["active"].tolist() == [False, True, False]
    store.write_table(table, tmp_path / "older.tsv")  # by perturbation, as ever
    assert read_active([tmp_path / "older.tsv"]) == {"X", "Y"}
    assert active_rows(fields, table).tolist() == [0, 1, 2]


# --- labels ---


def test_a_model_can_be_told_the_treatment_and_shown_a_wrong_one():
    fields = pd.DataFrame({"Metadata_perturbation": ["DMSO", "X", "X", "Y", "Y"], "Metadata_target": ["", "A", "A", "B", "B"],
                           "Metadata_treatment": ["DMSO", "X@1uM", "X@2uM", "Y@1uM", "Y@2uM"]})  # fmt: skip
    names = label_names(fields, "treatment")
    assert names.tolist() == ["DMSO", "X@1uM", "X@2uM", "Y@1uM", "Y@2uM"]
    numbers = {name: n for n, name in enumerate(sorted(names), 1)}
    swapped = swapped_names(fields, "treatment", numbers)
    assert set(swapped) == set(names) - {"DMSO"}
    assert all(wrong[0] != own[0] for own, wrong in swapped.items())  # of another target
    assert len(set(swapped.values())) == 4


# --- the commands, from field medians to the figure ---


def test_the_commands_by_treatment_write_tables_that_say_so(tmp_path):
    plate = plate_of({"X": {0.1: 0.0, 10.0: 30.0}, "Y": {1.0: 0.0}}, dmso=40)
    store.write_table(plate, tmp_path / "P1.parquet")
    selection = pd.DataFrame({"feature": FEATURES, "kept": 1, "reason": ""})
    store.write_table(selection, tmp_path / "selection.tsv")
    paths = [str(tmp_path / name) for name in ("selection.tsv", "active.tsv", "wells.parquet", "agreement.tsv")]
    settings = '{"components": 6, "permutations": 100, "alpha": 0.2, "unit": "treatment"}'
    active.main(["--settings", settings, "--medians", str(tmp_path / "P1.parquet"), "--selection", paths[0],
                 "--active", paths[1], "--wells", paths[2], "--agreement", paths[3]])  # fmt: skip
    table, wells = store.read_actives(paths[1]), store.read_table(paths[2])
    assert dict(zip(table["Metadata_treatment"], table["active"])) == {"DMSO": 0, "X@0.1uM": 0, "X@10uM": 1, "Y@1uM": 0}
    assert table["Metadata_perturbation"].tolist() == ["DMSO", "X", "X", "Y"]
    assert table["Metadata_dose"].tolist()[1:] == [0.1, 10, 1] and table["grit"].isna().all()
    assert wells.loc[wells["Metadata_treatment"] == "X@10uM", ["Metadata_perturbation", "active"]].values.tolist() == [
        ["X", 1]
    ]
    figure = active_figure.active_figure(table, wells, store.read_table(paths[3]))
    title = figure._suptitle.get_text()
    assert title.startswith(
        "1 of 3 treatments are active\n3 have one well: their distance is set against DMSO wells left out"
    )
    units = active_figure.target_table(table)
    assert units["unit"].tolist() == ["X@0.1uM", "X@10uM", "Y@1uM"]
    plt.close(figure)
    profile.main(["--space", "cellprofiler", "--settings", '{"recipe": "paper", "unit": "treatment"}',
                  "--tables", str(tmp_path / "P1.parquet"), "--selection", paths[0],
                  "--wells", paths[2], "--perturbations", str(tmp_path / "p.parquet")])  # fmt: skip
    (frame,) = matching.by_plate(tmp_path / "p.parquet", "real").values()
    assert list(frame.index) == ["X@0.1uM", "X@10uM", "Y@1uM"] and frame.index.name == "Metadata_treatment"
