"""Cells and features are counted, and those missing or constant are named."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.report.tables import cell_table


def medians():
    frame = pd.DataFrame({
        "Metadata_Plate": "P", "Metadata_Well": ["A01", "A01", "A02", "A03"], "Metadata_Site": [1, 2, 1, 1], "Metadata_Tile": 1,
        "Metadata_cells": [5, 3, 0, 2], "Cells_a": [1.0, 2, np.nan, 3], "Cells_flat": [4.0, 4, np.nan, 4],
        "Cells_gap": [1.0, np.nan, np.nan, 2], "Cells_Location_Center_X": [0.0, 1, 2, 3],
    })  # fmt: skip
    return frame


def test_missing_and_constant_features_are_counted_over_fields_with_cells_and_named():
    counts, named = cell_table.count_features(medians(), ["Cells_gap"])
    assert (counts["fields"], counts["fields without cells"], counts["wells without cells"], counts["cells"]) == (
        4,
        1,
        1,
        10,
    )
    assert (counts["features"], counts["features missing somewhere"], counts["constant features"]) == (3, 1, 1)
    assert counts["missing, selected"] == 1 and counts["constant, selected"] == 0 and counts["values missing"] == 1
    assert named == {"Cells_flat": "constant", "Cells_gap": "missing in 1 fields"}


def test_a_plate_without_any_cell_is_counted_too(tmp_path):
    empty = medians().assign(Metadata_cells=0)
    store.write_table(empty, tmp_path / "real" / "P.parquet")
    store.write_table(medians(), tmp_path / "pert" / "P.parquet")
    selection = pd.DataFrame(
        {"feature": ["Cells_a", "Cells_flat"], "kept": [1, 0], "reason": ["", "variance_threshold"]}
    )
    store.write_table(selection, tmp_path / "selection.tsv")
    paths = [str(tmp_path / arm / "P.parquet") for arm in ("real", "pert")]
    cell_table.main(["--medians", *paths, "--selection", str(tmp_path / "selection.tsv"),
                      "--html", str(tmp_path / "c.html"), "--tsv", str(tmp_path / "c.tsv")])  # fmt: skip
    tidy = pd.read_csv(tmp_path / "c.tsv", sep="\t").set_index("arm")
    assert (
        tidy.at["real", "fields without cells"] == 4
        and tidy.at["pert", "named"] == "Cells_flat: constant; Cells_gap: missing in 1 fields"
    )
    assert "1 by variance_threshold" in (tmp_path / "c.html").read_text()
