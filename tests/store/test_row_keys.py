"""Tables with several images of a field: keys, defaults, messages, and how they meet the real fields."""

from __future__ import annotations

import pandas as pd
import pytest

from brightpaint import store
from brightpaint.scores.pairing import join_rows


def fields(count=3):
    wells = [f"A{n + 1:02d}" for n in range(count)]
    return pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": wells, "Metadata_Site": 1, "Metadata_Tile": 1})


def test_a_table_of_fields_is_filled_with_the_defaults_and_keeps_its_own_keys():
    assert store.row_keys(fields()) == store.FIELD_KEYS
    filled = store.with_row_keys(fields().assign(Metadata_draw=2))
    assert filled["Metadata_draw"].tolist() == [2] * 3 and filled["Metadata_painted_as"].tolist() == [""] * 3
    assert store.row_keys(filled) == store.ROW_KEYS
    plain = {"Metadata_Plate": "P", "Metadata_Well": "A01", "Metadata_painted_as": "", "Metadata_draw": 0}
    assert store.describe_field(plain) == "plate P, well A01"
    assert store.describe_field({**plain, "Metadata_painted_as": "c1"}) == "plate P, well A01, painted as c1"


def test_draws_of_a_field_are_rows_of_their_own_and_each_meets_its_field(tmp_path):
    drawn = pd.concat([fields().assign(Metadata_draw=n) for n in (1, 0)], ignore_index=True)
    store.write_table(drawn, tmp_path / "P.parquet")
    assert len(store.read_fields(tmp_path / "P.parquet")) == 6
    assert store.place_of(drawn.iloc[4], drawn) == 4 and store.place_of(fields().iloc[1], drawn) == 4
    joined = join_rows(fields(), drawn, "x.tif")
    assert joined["real_row"].tolist() == [0, 0, 1, 1, 2, 2] and joined["predicted_row"].tolist() == [0, 3, 1, 4, 2, 5]
    assert joined["Metadata_draw"].tolist() == [1, 0] * 3
    twice = pd.concat([drawn, drawn.iloc[:1]])
    store.write_table(twice, tmp_path / "Q.parquet")
    with pytest.raises(ValueError, match="plate P, well A01, site 1, tile 1, draw 1 occurs twice"):
        store.read_fields(tmp_path / "Q.parquet")
    with pytest.raises(ValueError, match="x.tif: plate P, well A01, site 1, tile 1, draw 1 is predicted twice"):
        join_rows(fields(), twice, "x.tif")
