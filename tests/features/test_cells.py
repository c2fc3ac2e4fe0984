"""The cells of a plate's parts become one table a plate."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

from brightpaint import store
from brightpaint.features import cells
from features_fixture import annotated, part_cells, rows_of, write_tables


def gather(folder, *parts):
    cells.main(["--parts", *map(str, parts), "--cells", str(folder / "cells.parquet")])
    return folder / "cells.parquet"


def test_one_row_group_a_well_through_part_and_gather(tmp_path):
    first = write_tables(tmp_path / "a", [3, 2, 1], wells=["A01", "A01", "A02"])
    second = write_tables(tmp_path / "b", [2], wells=["B07"])
    paths = [part_cells(tmp_path, "a", first, tmp_path / "a"), part_cells(tmp_path, "b", second, tmp_path / "b")]
    whole = gather(tmp_path, *paths)
    groups = [table.column("Metadata_Well").to_pylist() for table in store.read_groups(whole)]
    assert groups == [["A01"] * 5, ["A02"], ["B07"] * 2]


def test_any_split_into_parts_gives_the_same_file(tmp_path):
    rows = write_tables(tmp_path / "all", [3, 2, 4, 1])
    whole = gather(tmp_path, part_cells(tmp_path, "all", rows, tmp_path / "all")).read_bytes()
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
        halves.append(part_cells(tmp_path, name, rows, tmp_path / name))
    assert gather(tmp_path, *halves).read_bytes() == whole


def test_parts_without_fields_or_without_cells_go_along(tmp_path):
    no_fields = write_tables(tmp_path / "a", [])
    no_cells = write_tables(tmp_path / "b", [0, 0])
    some = write_tables(tmp_path / "c", [2], wells=["C01"])
    empty = [
        part_cells(tmp_path, "a", annotated(rows_of(["A01"])), tmp_path / "a"),
        part_cells(tmp_path, "b", no_cells, tmp_path / "b"),
    ]
    assert len(no_fields) == 0
    assert [len(store.read_table(path)) for path in empty] == [0, 0]
    full = part_cells(tmp_path, "c", some, tmp_path / "c")
    frame = store.read_table(gather(tmp_path, empty[0], full, empty[1]))
    assert len(frame) == 2 and list(frame.columns) == pq.read_schema(full).names
    assert pq.read_schema(empty[1]).equals(pq.read_schema(full))
    nothing = store.read_table(gather(tmp_path, empty[0]))
    assert len(nothing) == 0 and "Metadata_Well" in nothing


def test_parts_with_other_features_are_not_mixed(tmp_path):
    paths = []
    for name, features in (("a", 3), ("b", 4)):
        rows = write_tables(tmp_path / name, [2], features=features)
        paths.append(part_cells(tmp_path, name, rows, tmp_path / name))
    with pytest.raises(ValueError, match="b.parquet: columns differ from those of .*Cells_Intensity_F3_DNA"):
        gather(tmp_path, *paths)
