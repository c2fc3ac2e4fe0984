"""Annotations: their one list, names of treatments, and tables that were written before there were doses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.store.names import is_text
from brightpaint.study.annotations import ANNOTATIONS, NUMBERS, annotated, treatment_name, treatments


@pytest.mark.parametrize(
    ("perturbation", "dose", "name"),
    [
        ("BRD-1", 9.99999999999999999, "BRD-1@10uM"),
        ("BRD-1", 0.0411522633769230769, "BRD-1@0.0412uM"),
        ("BRD-1", np.nan, "BRD-1"),
        ("DMSO", 3.0, "DMSO"),
        ("", 3.0, ""),
    ],
)
def test_a_treatment_is_a_perturbation_at_its_dose(perturbation, dose, name):
    assert treatment_name(perturbation, dose) == name


def test_dose_and_time_are_numbers_and_all_else_is_text():
    assert [name for name in ANNOTATIONS if not is_text(name)] == NUMBERS == ["Metadata_dose", "Metadata_time_h"]


def test_a_row_of_an_older_table_says_nothing_of_doses():
    row = annotated({"Metadata_perturbation": "BRD-1", "Metadata_target": "AKT1", "Metadata_control_type": "", "x": 1})
    assert list(row) == ANNOTATIONS and row["Metadata_treatment"] == "BRD-1" and row["Metadata_smiles"] == ""
    assert np.isnan(row["Metadata_dose"]) and np.isnan(row["Metadata_time_h"])
    old = pd.DataFrame({"Metadata_perturbation": ["BRD-1", "DMSO"]})
    assert treatments(old).tolist() == ["BRD-1", "DMSO"]
    assert treatments(old.assign(Metadata_treatment=["BRD-1@1uM", "DMSO"])).tolist() == ["BRD-1@1uM", "DMSO"]


@pytest.mark.parametrize("suffix", ["parquet", "tsv"])
def test_a_table_whose_first_rows_have_no_dose_reads_back(tmp_path, suffix):
    doses = [np.nan] * (store.BATCH_ROWS + 3) + [0.5]
    rows = [{"Metadata_Plate": "P1", "Metadata_dose": dose, "Metadata_cell_line": ""} for dose in doses]
    store.write_rows(rows, tmp_path / f"t.{suffix}", columns=list(rows[0]))
    read = store.read_table(tmp_path / f"t.{suffix}")
    assert read["Metadata_dose"].dtype == np.float64 and (read["Metadata_cell_line"] == "").all()
    np.testing.assert_array_equal(read["Metadata_dose"], doses)
    if suffix == "parquet":  # rows read one by one say None where a table says NaN
        again = list(store.Rows(tmp_path / "t.parquet", list(rows[0])))
        assert again[0]["Metadata_dose"] is None and np.isnan(annotated(again[0])["Metadata_dose"])
