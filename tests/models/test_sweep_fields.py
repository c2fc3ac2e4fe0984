"""The fields that a sweep paints are drawn evenly, by name."""

from __future__ import annotations

import pandas as pd
from test_sweep import WELLS, field_table

from brightpaint import store
from brightpaint.models.paint import sweep_fields


def test_fields_are_drawn_evenly_by_name_whatever_their_order(tmp_path):
    fields = field_table()
    drawn = sweep_fields.draw_fields(fields.sample(frac=1, random_state=0), 4)
    assert drawn["Metadata_Well"].tolist() == ["A01", "A04", "A07", "A10"] and drawn["stack_row"].tolist() == [
        0,
        3,
        6,
        9,
    ]
    assert len(sweep_fields.draw_fields(fields, 99)) == WELLS
    store.write_table(fields.drop(columns="stack_row"), tmp_path / "fields.parquet")
    store.write_table(pd.DataFrame({"Metadata_perturbation": ["x", "y"], "active": [0, 1]}), tmp_path / "active.tsv")
    words = ["--fields", "fields.parquet", "--active", "active.tsv", "--count", "2", "--drawn", "drawn.parquet"]
    sweep_fields.main([str(tmp_path / word) if "." in word else word for word in words])
    assert store.read_fields(tmp_path / "drawn.parquet")["stack_row"].tolist() == [1, 9]
    words += ["--samples", "3"]
    sweep_fields.main([str(tmp_path / word) if "." in word else word for word in words])
    rows = store.read_fields(tmp_path / "drawn.parquet")
    assert rows["stack_row"].tolist() == [1, 1, 1, 9, 9, 9] and rows["Metadata_draw"].tolist() == [0, 1, 2] * 2
