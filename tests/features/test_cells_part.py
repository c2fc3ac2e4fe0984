"""Nuclei, cells and cytoplasm of a part become one row a cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.features import cells_part
from features_fixture import part_cells, rows_of, write_tables


@pytest.mark.parametrize("plate", ["007", "NA", "1e5"])
def test_compartments_are_joined_by_parent_and_fields_by_file_name(tmp_path, plate):
    rows = write_tables(tmp_path / "t", [3, 0, 4], plate=plate, order=-1)
    frame = store.read_table(part_cells(tmp_path, "p", rows.iloc[::-1], tmp_path / "t"))
    assert len(frame) == 7 and set(frame["Metadata_Plate"]) == {plate}
    for name in ("F0", "F2"):
        nuclei = frame[f"Nuclei_Intensity_{name}_DNA"]
        assert (nuclei == frame[f"Cells_Intensity_{name}_DNA"]).all()
        assert (nuclei == frame[f"Cytoplasm_Intensity_{name}_DNA"]).all()
    image = frame["Nuclei_Intensity_F0_DNA"] // 100
    assert (frame["Metadata_Well"] == image.map({1: "A01", 2: "A02", 3: "A03"})).all()
    assert (frame["ObjectNumber"] == frame["Cells_Number_Object_Number"]).all()


def test_order_types_and_columns(tmp_path):
    rows = write_tables(tmp_path / "t", [3, 2])
    frame = store.read_table(part_cells(tmp_path, "p", rows.iloc[::-1], tmp_path / "t"))
    assert frame["Metadata_Well"].tolist() == ["A02"] * 2 + ["A01"] * 3  # the rows' order
    assert frame["ObjectNumber"].tolist() == [1, 2, 1, 2, 3]
    metadata = [column for column in rows.columns if column.startswith("Metadata_")]
    assert list(frame.columns[: len(metadata) + 1]) == [*metadata, "ObjectNumber"]
    assert all(column.startswith(("Nuclei_", "Cells_", "Cytoplasm_")) for column in frame.columns[len(metadata) + 1 :])
    assert set(frame.dtypes[len(metadata) + 1 :].astype(str)) == {"float32"}
    assert "height_px" not in frame


def test_dose_and_time_stay_numbers_and_other_annotations_text(tmp_path):
    rows = write_tables(tmp_path / "t", [3, 2])
    rows = rows.assign(Metadata_dose=[0.25, np.nan], Metadata_time_h=np.nan, Metadata_cell_line="007")
    frame = store.read_table(part_cells(tmp_path, "p", rows, tmp_path / "t"))
    assert frame["Metadata_dose"].tolist()[:3] == [0.25] * 3 and frame["Metadata_dose"].isna().sum() == 2
    assert frame["Metadata_time_h"].dtype == np.float64 and set(frame["Metadata_cell_line"]) == {"007"}


def test_objects_without_a_whole_cell_are_left_out_and_counted(tmp_path, caplog):
    rows = write_tables(tmp_path / "t", [3])
    path = tmp_path / "t" / "Cytoplasm.csv"
    frame = pd.read_csv(path)
    frame[frame["Parent_Nuclei"] != 2].to_csv(path, index=False)
    with caplog.at_level("INFO"):
        found = store.read_table(part_cells(tmp_path, "p", rows, tmp_path / "t"))
    assert found["Nuclei_Intensity_F0_DNA"].tolist() == [103, 101]  # by the cell's number
    assert "1 of 3 Nuclei belong to no whole cell" in caplog.text


def test_two_cells_of_one_nucleus_are_refused(tmp_path):
    rows = write_tables(tmp_path / "t", [3])
    path = tmp_path / "t" / "Cells.csv"
    frame = pd.read_csv(path)
    frame.loc[0, "Parent_Nuclei"] = frame.loc[1, "Parent_Nuclei"]
    frame.to_csv(path, index=False)
    with pytest.raises(ValueError, match="Cells.csv: object 2 of image 1 has two Cells, expected one"):
        part_cells(tmp_path, "p", rows, tmp_path / "t")


def test_a_table_without_parents_or_with_words_is_refused(tmp_path):
    rows = write_tables(tmp_path / "t", [3])
    path = tmp_path / "t" / "Cells.csv"
    whole, other = pd.read_csv(path), tmp_path / "t" / "Cytoplasm.csv"
    whole.drop(columns="Parent_Nuclei").to_csv(path, index=False)
    pd.read_csv(other).drop(columns="Parent_Nuclei").to_csv(other, index=False)
    with pytest.raises(ValueError, match="Cells.csv has no column Parent_Nuclei .*has no Parent column.*RelateObjects"):
        part_cells(tmp_path, "p", rows, tmp_path / "t")
    whole.assign(Metadata_Well="A01").to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"Cells.csv: columns \['Metadata_Well'\] hold words"):
        part_cells(tmp_path, "p", rows, tmp_path / "t")


def test_a_measured_field_that_the_plate_does_not_have_is_refused(tmp_path):
    rows = write_tables(tmp_path / "t", [3, 2])
    with pytest.raises(ValueError, match="well A02, site 1, tile 1: measured, but not among the rows"):
        part_cells(tmp_path, "p", rows.iloc[:1], tmp_path / "t")


def test_images_that_do_not_match_load_data_are_refused():
    image = pd.DataFrame({"ImageNumber": [1, 2], "FileName_OrigDNA": ["a.tif", "x.tif"]})
    load_data = rows_of(["A01", "A02"])[store.FIELD_KEYS].assign(FileName_OrigDNA=["a.tif", "b.tif"])
    with pytest.raises(ValueError, match="do not match load_data.csv"):
        cells_part.image_keys(image, load_data)


def test_float32_keeps_what_cellprofiler_repeats():
    values = np.random.default_rng(0).lognormal(0, 5, 10_000)
    assert np.abs(values.astype(np.float32) / values - 1).max() < 1e-6
