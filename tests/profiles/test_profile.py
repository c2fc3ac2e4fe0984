"""Field medians become profiles of wells and perturbations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import cell_profiles, profile
from features_fixture import annotated, rows_of

FEATURES = ["Nuclei_Intensity_A", "Cells_Intensity_B"]
WELLS = ["A01", "A01", "A02", "A02", "B01", "B02", "C01"]
GIVEN = {"A01": "DMSO", "A02": "X", "B01": "X", "B02": "DMSO", "C01": ""}


def medians(plate="P1", seed=0, shift=0.0, scale=1.0):
    rows = annotated(rows_of(WELLS, plate=plate)).drop(columns=["height_px", "width_px"])
    rows["Metadata_perturbation"] = rows["Metadata_Well"].map(GIVEN)
    rows["Metadata_control_type"] = np.where(rows["Metadata_perturbation"] == "DMSO", "negcon", "")
    numbers = np.random.default_rng(seed).normal(0, 1, (len(rows), 2)) * scale + shift
    return rows.assign(Metadata_cells=np.arange(1, 8), **dict(zip(FEATURES, numbers.T)))


def empty(frame, *positions):
    frame = frame.copy()
    frame.loc[list(positions), FEATURES] = np.nan
    frame.loc[list(positions), "Metadata_cells"] = 0
    return frame


def test_against_a_naive_version():
    frame = empty(medians(), 1)
    wells, perturbations = cell_profiles.profiles([frame], FEATURES)
    values = frame[FEATURES].to_numpy()
    measured = values[frame["Metadata_cells"] > 0]
    scaled = (values - measured.mean(axis=0)) / measured.std(axis=0)
    naive = {w: np.nanmedian(scaled[[i for i, other in enumerate(WELLS) if other == w]], axis=0) for w in GIVEN}
    assert wells["Metadata_Well"].tolist() == list(GIVEN)
    assert np.allclose(wells[FEATURES], np.array(list(naive.values())))
    assert wells["Metadata_cells"].tolist() == [1, 7, 5, 6, 7]
    assert wells["Metadata_fields_empty"].tolist() == [1, 0, 0, 0, 0]
    assert perturbations["Metadata_perturbation"].tolist() == ["DMSO", "X"]  # the unknown well has no perturbation
    expected = [np.median([naive["A01"], naive["B02"]], axis=0), np.median([naive["A02"], naive["B01"]], axis=0)]
    assert np.allclose(perturbations[FEATURES], expected)
    assert perturbations["Metadata_control_type"].tolist() == ["negcon", ""]
    assert perturbations["Metadata_cells"].tolist() == [7, 12]


def dosed(frame):
    """The two wells of X at two doses, with the digits of real platemaps."""
    doses = frame["Metadata_Well"].map({"A02": 9.99999999999, "B01": 0.37037}).astype(float)
    names = frame["Metadata_Well"].map({"A02": "X@10uM", "B01": "X@0.37uM"}).fillna(frame["Metadata_perturbation"])
    return frame.assign(Metadata_treatment=names, Metadata_dose=doses, Metadata_smiles="", Metadata_time_h=np.nan)


def test_a_perturbation_of_several_doses_has_none():
    wells, perturbations = cell_profiles.profiles([dosed(medians())], FEATURES)
    assert wells["Metadata_treatment"].tolist() == ["DMSO", "X@10uM", "X@0.37uM", "DMSO", ""]
    assert perturbations["Metadata_treatment"].tolist() == ["DMSO", "X"] and perturbations["Metadata_dose"].isna().all()
    without, plain = cell_profiles.profiles([medians()], FEATURES)
    pd.testing.assert_frame_equal(perturbations[FEATURES], plain[FEATURES])  # medians are as they were
    pd.testing.assert_frame_equal(wells[FEATURES], without[FEATURES])


def test_each_plate_is_normalised_by_itself():
    wells, _ = cell_profiles.profiles([medians("P1"), medians("P2", shift=50, scale=9)], FEATURES)
    first, second = (wells.loc[wells["Metadata_Plate"] == plate, FEATURES].to_numpy() for plate in ("P1", "P2"))
    assert np.allclose(first, second)


def test_wells_without_any_cell_stay_with_nan():
    wells, perturbations = cell_profiles.profiles([empty(medians(), 0, 1, 5)], FEATURES)
    row = wells.set_index("Metadata_Well").loc["A01"]
    assert row["Metadata_cells"] == 0 and row[FEATURES].isna().all()
    dmso = perturbations.set_index("Metadata_perturbation").loc["DMSO"]
    assert dmso["Metadata_cells"] == 0 and dmso[FEATURES].isna().all()
    assert len(wells) == 5 and len(perturbations) == 2


def test_a_plate_without_any_cell_keeps_its_wells_even_without_the_columns():
    nothing = empty(medians("P2"), *range(7)).drop(columns=FEATURES)
    wells, perturbations = cell_profiles.profiles([medians(), nothing], FEATURES)
    assert len(wells) == 10 and wells.loc[wells["Metadata_Plate"] == "P2", FEATURES].isna().all().all()
    assert perturbations["Metadata_Plate"].tolist() == ["P1", "P1", "P2", "P2"]


def test_a_measured_plate_without_a_selected_feature_is_refused():
    with pytest.raises(ValueError, match=r"plate P1: selected features \['Cells_Intensity_B'\] were not measured"):
        cell_profiles.profiles([medians().drop(columns="Cells_Intensity_B")], FEATURES)


def test_annotations_that_disagree_are_refused():
    frame = medians()
    frame.loc[1, "Metadata_target"] = "other"
    with pytest.raises(ValueError, match=r"'A01'.*\['Metadata_target'\] differ within it"):
        cell_profiles.profiles([frame], FEATURES)


def test_a_constant_feature_becomes_zero():
    frame = medians().assign(Nuclei_Intensity_A=4.0)
    assert (cell_profiles.normalise_plate(frame, FEATURES)["Nuclei_Intensity_A"] == 0).all()


def test_the_command_writes_only_the_kept_features(tmp_path):
    store.write_table(medians(), tmp_path / "a.parquet")
    selection = pd.DataFrame({"feature": FEATURES, "kept": [0, 1], "reason": ["blocklist", ""]})
    store.write_table(selection, tmp_path / "s.tsv")
    words = ["--tables", "a.parquet", "--selection", "s.tsv", "--wells", "w.parquet", "--perturbations", "p.parquet"]
    words = [word if word.startswith("--") else str(tmp_path / word) for word in words]
    words += ["--space", "cellprofiler"]
    profile.main(words)
    first = [(tmp_path / name).read_bytes() for name in ("w.parquet", "p.parquet")]
    profile.main(words)
    assert first == [(tmp_path / name).read_bytes() for name in ("w.parquet", "p.parquet")]
    wells = store.read_table(tmp_path / "w.parquet")
    assert "Cells_Intensity_B" in wells and "Nuclei_Intensity_A" not in wells


def test_several_draws_of_a_field_are_fields_of_their_well():
    once = medians()
    twice = pd.concat([once.assign(Metadata_draw=draw, Metadata_painted_as="") for draw in (0, 1)], ignore_index=True)
    wells, perturbations = cell_profiles.profiles([twice], FEATURES)
    plain = cell_profiles.profiles([once], FEATURES)
    pd.testing.assert_frame_equal(wells[FEATURES], plain[0][FEATURES])
    assert wells["Metadata_fields"].tolist() == [4, 4, 2, 2, 2] and "Metadata_draw" not in wells
    pd.testing.assert_frame_equal(perturbations[FEATURES], plain[1][FEATURES])
