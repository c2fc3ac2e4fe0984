"""Nuclei, cells and cytoplasm become one row a cell; parts become a plate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from brightpaint import store
from brightpaint.features import cells
from features_fixture import annotated, rows_of, write_tables


def part(folder, name, rows, tables):
    rows_path, path = folder / f"{name}.rows.parquet", folder / f"{name}.parquet"
    store.write_table(rows, rows_path)
    cells.main(["part", "--tables", str(tables), "--rows", str(rows_path), "--cells", str(path)])
    return path


def gather(folder, *parts):
    cells.main(["gather", "--parts", *map(str, parts), "--cells", str(folder / "cells.parquet")])
    return folder / "cells.parquet"


@pytest.mark.parametrize("plate", ["007", "NA", "1e5"])
def test_compartments_are_joined_by_parent_and_fields_by_file_name(tmp_path, plate):
    rows = write_tables(tmp_path / "t", [3, 0, 4], plate=plate, order=-1)
    frame = store.read_table(part(tmp_path, "p", rows.iloc[::-1], tmp_path / "t"))
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
    frame = store.read_table(part(tmp_path, "p", rows.iloc[::-1], tmp_path / "t"))
    assert frame["Metadata_Well"].tolist() == ["A02"] * 2 + ["A01"] * 3  # the rows' order
    assert frame["ObjectNumber"].tolist() == [1, 2, 1, 2, 3]
    metadata = [column for column in rows.columns if column.startswith("Metadata_")]
    assert list(frame.columns[: len(metadata) + 1]) == [*metadata, "ObjectNumber"]
    assert all(column.startswith(("Nuclei_", "Cells_", "Cytoplasm_")) for column in frame.columns[len(metadata) + 1 :])
    assert set(frame.dtypes[len(metadata) + 1 :].astype(str)) == {"float32"}
    assert "height_px" not in frame


def test_one_row_group_a_well_through_part_and_gather(tmp_path):
    first = write_tables(tmp_path / "a", [3, 2, 1], wells=["A01", "A01", "A02"])
    second = write_tables(tmp_path / "b", [2], wells=["B07"])
    paths = [part(tmp_path, "a", first, tmp_path / "a"), part(tmp_path, "b", second, tmp_path / "b")]
    whole = gather(tmp_path, *paths)
    groups = [table.column("Metadata_Well").to_pylist() for table in store.read_groups(whole)]
    assert groups == [["A01"] * 5, ["A02"], ["B07"] * 2]


def test_any_split_into_parts_gives_the_same_file(tmp_path):
    rows = write_tables(tmp_path / "all", [3, 2, 4, 1])
    whole = gather(tmp_path, part(tmp_path, "all", rows, tmp_path / "all")).read_bytes()
    halves = []
    for name, chosen in (("one", slice(0, 1)), ("two", slice(1, 4))):
        counts, wells = [3, 2, 4, 1][chosen], rows["Metadata_Well"].tolist()[chosen]
        write_tables(tmp_path / name, counts, wells=wells)
        for table in ("Nuclei", "Cells", "Cytoplasm"):  # the same cells, numbered as another part's images
            whole_table = pd.read_csv(tmp_path / "all" / f"{table}.csv")
            numbers = range(chosen.start + 1, chosen.start + 1 + len(counts))
            piece = whole_table[whole_table["ImageNumber"].isin(numbers)]
            piece = piece.assign(ImageNumber=piece["ImageNumber"] - chosen.start)
            piece.to_csv(tmp_path / name / f"{table}.csv", index=False)
        halves.append(part(tmp_path, name, rows, tmp_path / name))
    assert gather(tmp_path, *halves).read_bytes() == whole


def test_parts_without_fields_or_without_cells_go_along(tmp_path):
    no_fields = write_tables(tmp_path / "a", [])
    no_cells = write_tables(tmp_path / "b", [0, 0])
    some = write_tables(tmp_path / "c", [2], wells=["C01"])
    empty = [
        part(tmp_path, "a", annotated(rows_of(["A01"])), tmp_path / "a"),
        part(tmp_path, "b", no_cells, tmp_path / "b"),
    ]
    assert len(no_fields) == 0
    assert [len(store.read_table(path)) for path in empty] == [0, 0]
    full = part(tmp_path, "c", some, tmp_path / "c")
    frame = store.read_table(gather(tmp_path, empty[0], full, empty[1]))
    assert len(frame) == 2 and list(frame.columns) == pq.read_schema(full).names
    assert pq.read_schema(empty[1]).equals(pq.read_schema(full))
    nothing = store.read_table(gather(tmp_path, empty[0]))
    assert len(nothing) == 0 and "Metadata_Well" in nothing


def test_objects_without_a_whole_cell_are_left_out_and_counted(tmp_path, caplog):
    rows = write_tables(tmp_path / "t", [3])
    path = tmp_path / "t" / "Cytoplasm.csv"
    frame = pd.read_csv(path)
    frame[frame["Parent_Nuclei"] != 2].to_csv(path, index=False)
    with caplog.at_level("INFO"):
        found = store.read_table(part(tmp_path, "p", rows, tmp_path / "t"))
    assert found["Nuclei_Intensity_F0_DNA"].tolist() == [103, 101]  # by the cell's number
    assert "1 of 3 Nuclei belong to no whole cell" in caplog.text


def test_two_cells_of_one_nucleus_are_refused(tmp_path):
    rows = write_tables(tmp_path / "t", [3])
    path = tmp_path / "t" / "Cells.csv"
    frame = pd.read_csv(path)
    frame.loc[0, "Parent_Nuclei"] = frame.loc[1, "Parent_Nuclei"]
    frame.to_csv(path, index=False)
    with pytest.raises(ValueError, match="Cells.csv: object 2 of image 1 has two Cells, expected one"):
        part(tmp_path, "p", rows, tmp_path / "t")


def test_a_table_without_parents_or_with_words_is_refused(tmp_path):
    rows = write_tables(tmp_path / "t", [3])
    path = tmp_path / "t" / "Cells.csv"
    whole = pd.read_csv(path)
    whole.drop(columns="Parent_Nuclei").to_csv(path, index=False)
    with pytest.raises(ValueError, match="Cells.csv has no column Parent_Nuclei"):
        part(tmp_path, "p", rows, tmp_path / "t")
    whole.assign(Metadata_Well="A01").to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"Cells.csv: columns \['Metadata_Well'\] hold words"):
        part(tmp_path, "p", rows, tmp_path / "t")


def test_a_measured_field_that_the_plate_does_not_have_is_refused(tmp_path):
    rows = write_tables(tmp_path / "t", [3, 2])
    with pytest.raises(ValueError, match="well A02, site 1, tile 1: measured, but not among the rows"):
        part(tmp_path, "p", rows.iloc[:1], tmp_path / "t")


def test_images_that_do_not_match_load_data_are_refused():
    image = pd.DataFrame({"ImageNumber": [1, 2], "FileName_OrigDNA": ["a.tif", "x.tif"]})
    load_data = rows_of(["A01", "A02"])[store.FIELD_KEYS].assign(FileName_OrigDNA=["a.tif", "b.tif"])
    with pytest.raises(ValueError, match="do not match load_data.csv"):
        cells.image_keys(image, load_data)


def test_parts_with_other_features_are_not_mixed(tmp_path):
    paths = []
    for name, features in (("a", 3), ("b", 4)):
        rows = write_tables(tmp_path / name, [2], features=features)
        paths.append(part(tmp_path, name, rows, tmp_path / name))
    with pytest.raises(ValueError, match="b.parquet: columns differ from those of .*Cells_Intensity_F3_DNA"):
        gather(tmp_path, *paths)


def test_float32_keeps_what_cellprofiler_repeats():
    values = np.random.default_rng(0).lognormal(0, 5, 10_000)
    assert np.abs(values.astype(np.float32) / values - 1).max() < 1e-6
