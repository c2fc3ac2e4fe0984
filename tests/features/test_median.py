"""The median cell of every field."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from brightpaint import store
from brightpaint.features import median
from features_fixture import annotated, rows_of

FEATURES = ["Nuclei_Intensity_Mean_DNA", "Cells_AreaShape_Area", "Cytoplasm_Texture_Contrast_DNA_3_00_64"]
OTHERS = [
    "Nuclei_Location_Center_X", "Cells_Number_Object_Number", "Cells_Parent_Nuclei", "Nuclei_Children_Cells_Count",
    "Nuclei_AreaShape_Center_X", "Nuclei_AreaShape_BoundingBoxMinimum_X", "Cells_Neighbors_FirstClosestObjectNumber_1",
]  # fmt: skip


def write_cells(path, rows, counts, seed=0):
    """Write a table of cells, `counts` a field, one row group a well; returns it."""
    generator = np.random.default_rng(seed)
    metadata = [column for column in rows.columns if column.startswith("Metadata_")]
    frame = rows.loc[rows.index.repeat(counts), metadata].reset_index(drop=True)
    frame["ObjectNumber"] = np.concatenate([np.arange(1, n + 1) for n in counts]).astype("int64")
    numbers = generator.normal(0, 1, (len(frame), len(FEATURES + OTHERS))).astype(np.float32)
    frame = pd.concat([frame, pd.DataFrame(numbers, columns=FEATURES + OTHERS)], axis=1)
    return save(path, frame)


def save(path, frame):
    schema = pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
    wells = [well for _, well in frame.groupby("Metadata_Well", sort=False)]
    tables = (pa.Table.from_pandas(well, schema=schema, preserve_index=False) for well in wells)
    store.write_groups(tables, path, schema)
    return frame


def run(folder, rows):
    store.write_table(rows, folder / "rows.parquet")
    words = ["--cells", folder / "cells.parquet", "--rows", folder / "rows.parquet", "--medians", folder / "m.parquet"]
    median.main([str(word) for word in words])
    return store.read_table(folder / "m.parquet")


@pytest.fixture
def rows():
    return annotated(rows_of(["A01", "A01", "B02", "C03"]))


def test_medians_counts_and_empty_fields_in_the_order_of_the_rows(tmp_path, rows):
    cells = write_cells(tmp_path / "cells.parquet", rows, [5, 4, 0, 1])
    found = run(tmp_path, rows)
    assert found["Metadata_Well"].tolist() == rows["Metadata_Well"].tolist()
    assert found["Metadata_Site"].tolist() == [1, 2, 1, 1]
    assert found["Metadata_cells"].tolist() == [5, 4, 0, 1]
    assert list(found.columns[-len(FEATURES) :]) == FEATURES and "ObjectNumber" not in found
    naive = np.array(
        [np.median(cells[FEATURES].to_numpy(float)[start:stop], axis=0) for start, stop in ((0, 5), (5, 9))]
    )
    assert np.allclose(found[FEATURES].to_numpy()[:2], naive, rtol=0, atol=0)
    assert found[FEATURES].iloc[2].isna().all() and found[FEATURES].iloc[3].notna().all()


def test_undefined_values_of_single_cells_are_left_out_of_the_median(tmp_path, rows):
    cells = write_cells(tmp_path / "cells.parquet", rows, [4, 1, 1, 1])
    cells.loc[:3, FEATURES[0]] = np.array([1, 3, np.nan, np.inf], np.float32)
    save(tmp_path / "cells.parquet", cells)
    assert run(tmp_path, rows)[FEATURES[0]][0] == 2


def test_places_and_numbers_are_no_features():
    assert median.features_of(["Metadata_Well", "ObjectNumber", *OTHERS, *FEATURES]) == FEATURES
    kept = [
        "Nuclei_AreaShape_BoundingBoxArea",
        "Cells_Neighbors_NumberOfNeighbors_Expanded",
        "Nuclei_AreaShape_Orientation",
    ]
    assert median.features_of(kept) == kept


def test_a_plate_without_any_cell_keeps_its_fields(tmp_path, rows):
    write_cells(tmp_path / "cells.parquet", rows, [0, 0, 0, 0])
    found = run(tmp_path, rows)
    assert found["Metadata_cells"].tolist() == [0] * 4 and found[FEATURES].isna().all().all()
    assert set(found[FEATURES].dtypes.astype(str)) == {"float64"}


def test_cells_of_a_field_that_is_not_there_are_refused(tmp_path, rows):
    write_cells(tmp_path / "cells.parquet", rows, [1, 1, 1, 1])
    with pytest.raises(ValueError, match="well C03, site 1, tile 1: has cells, but is not among the plate's rows"):
        run(tmp_path, rows.iloc[:3])


def test_a_field_in_two_row_groups_is_refused(tmp_path, rows):
    frame = write_cells(tmp_path / "cells.parquet", rows, [2, 2, 2, 2])
    schema = store.read_schema(tmp_path / "cells.parquet")
    halves = [frame.iloc[:1], frame.iloc[1:]]
    tables = (pa.Table.from_pandas(half, schema=schema, preserve_index=False) for half in halves)
    store.write_groups(tables, tmp_path / "cells.parquet", schema)
    with pytest.raises(ValueError, match="well A01, site 1, tile 1 lies in two row groups"):
        run(tmp_path, rows)
