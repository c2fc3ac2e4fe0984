"""The variety of cells: known spreads, distances of known distributions, and that nothing depends on how cells are cut in wells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp

from brightpaint import store
from brightpaint.scores.calibration import cell_variety

FEATURES = ["Cells_a", "Cells_b", "Cells_c"]


def wells_of(values, wells=10):
    return [(f"A{place:02d}", part) for place, part in enumerate(np.array_split(values, wells))]


def drawn(seed, n=2000, sd=(1.0, 2.0, 30.0), at=0.0):
    return 100 + np.array(sd) * (at + np.random.default_rng(seed).normal(size=(n, 3)))


def compared(real, painted, wells=10):
    limits = cell_variety.limits_of(wells_of(real, wells), FEATURES)
    places = [FEATURES.index(name) for name in limits.features]
    sides = [cell_variety.tally(wells_of(values[:, places], wells), limits) for values in (real, painted)]
    rows, table = cell_variety.compare(*sides, limits, "P")
    return {row["metric"]: row for row in rows}, table


def test_cells_of_one_distribution_have_one_spread_and_no_distance():
    rows, table = compared(drawn(0), drawn(1))
    assert rows["cell_sd"]["value"] == pytest.approx(1, abs=0.05)
    assert rows["cell_sd"]["low"] < 1 < rows["cell_sd"]["high"] and rows["cell_sd"]["n"] == 10
    assert rows["cell_distribution"]["value"] < 0.05 and rows["cell_distribution"]["null"] < 0.08
    np.testing.assert_allclose(table["real_sd"], [1, 2, 30], rtol=0.05)


def test_mean_cells_and_wide_cells_are_told_by_sign():
    same, wide = compared(drawn(0), drawn(1, sd=(0.2, 0.4, 6.0))), compared(drawn(0), drawn(1, sd=(2.0, 4.0, 60.0)))
    assert same[0]["cell_sd"]["value"] == pytest.approx(0.2, rel=0.05) and same[0]["cell_sd"]["high"] < 1
    assert wide[0]["cell_sd"]["value"] == pytest.approx(2.0, rel=0.05) and wide[0]["cell_sd"]["low"] > 1
    np.testing.assert_allclose(same[1]["ratio"], 0.2, rtol=0.06)
    assert (same[1]["distance"] > 0.25).all()


def test_the_spread_is_numpy_s_and_the_distance_kolmogorov_s_within_a_twentieth():
    real, painted = drawn(0), drawn(1, sd=(1.5, 1.0, 30.0), at=0.3)
    _, table = compared(real, painted)
    np.testing.assert_allclose(table["painted_sd"], painted.std(axis=0, ddof=1), rtol=1e-4)
    for place in range(3):
        exact = ks_2samp(real[:, place], painted[:, place]).statistic
        assert exact - 0.05 <= table["distance"][place] <= exact + 1e-3


def test_gaps_count_in_no_feature_and_a_constant_one_is_left_out():
    real, painted = drawn(0, 200), drawn(1, 200)
    real[:, 1], painted[::2, 2] = 7.0, np.nan
    rows, table = compared(real, painted)
    assert table["feature"].tolist() == ["Cells_a", "Cells_c"]
    assert table["painted_sd"][1] == pytest.approx(np.nanstd(painted[:, 2], ddof=1), rel=1e-4)
    assert np.isfinite(rows["cell_sd"]["value"])


def test_a_well_in_several_pieces_is_one_well():
    limits = cell_variety.limits_of(wells_of(drawn(0)), FEATURES)
    whole = cell_variety.tally(wells_of(drawn(1), 2), limits)
    pieces = [(well, part) for well, values in wells_of(drawn(1), 2) for part in np.array_split(values, 7)]
    found = cell_variety.tally(pieces, limits)
    for name in ("below", "known", "sums", "squares"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-9, atol=1e-9)


def test_without_cells_nothing_is_said():
    assert cell_variety.limits_of([], FEATURES) is None
    assert cell_variety.limits_of(wells_of(np.ones((20, 3))), FEATURES) is None
    limits = cell_variety.limits_of(wells_of(drawn(0)), FEATURES)
    real, none = cell_variety.tally(wells_of(drawn(0)), limits), cell_variety.tally([], limits)
    rows, table = cell_variety.compare(real, none, limits, "P")
    assert [row["n"] for row in rows] == [0, 0] and np.isnan([row["value"] for row in rows]).all()
    assert table["ratio"].isna().all()


def test_only_the_cells_of_the_fields_asked_for_are_read(tmp_path):
    frame = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": ["A01", "A01", "A02"], "Metadata_Site": [1, 2, 1],
                          "Metadata_Tile": 1, "Cells_a": [1.0, 2.0, np.inf], "Cells_b": 3.0})  # fmt: skip
    tables = [pa.Table.from_pandas(rows, preserve_index=False) for _, rows in frame.groupby("Metadata_Well")]
    store.write_groups(tables, tmp_path / "cells.parquet", tables[0].schema)
    found = dict(cell_variety.cells_of(tmp_path / "cells.parquet", ["Cells_a"], frame.iloc[[1, 2]]))
    assert found["A01"].tolist() == [[2.0]] and np.isnan(found["A02"]).all()
