"""The cells that the classifier looks at: scores joined by key, medians of kept cells alone, none where there is no lift."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.features.embedders import lifted
from brightpaint.profiles import median_activations
from brightpaint.study.spaces import SPACES
from cells_fixture import plate_wells, write_cells

SPACE, NAMES = SPACES["cellnet_lifted"], ["CellNet_000", "CellNet_001"]


def prepared(folder, least_lift=1.0, wells="held_out"):
    """Write a plate's activations, and scores of all but one cell in another order; return the tables that are made of them."""
    crops = store.open_crops(write_cells(folder / "P1.tif", wells=plate_wells(1), cells=4))
    table, rng = crops.table(), np.random.default_rng(0)
    cells = table.assign(
        Metadata_cellnet_role="test", **{name: rng.normal(0, 1, len(table)).astype("float32") for name in NAMES}
    )
    store.write_table(cells, folder / "activations.parquet")
    numbers = {name: rng.uniform(0, 1, len(table)) for name in lifted.SCORES}
    scores = table[store.CROP_KEYS].assign(
        **{**numbers, "lift_predicted": np.arange(len(table)) % 4 * 0.6, "lift": 5.0}
    )
    scores.loc[3, "lift_predicted"] = np.nan  # an empty map
    scores = scores.drop(index=7).sample(frac=1, random_state=0)
    store.write_table(scores, folder / "scores.parquet")
    wells_of = table.drop_duplicates("group")
    roles = ["train", *["test"] * (len(wells_of) - 1)]
    store.write_table(pd.DataFrame({"group": wells_of["group"], "plate": "P1", "role": roles}), folder / "split.tsv")
    rows = table[
        [*store.FIELD_KEYS, "Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
    ].drop_duplicates()
    store.write_table(rows.reset_index(drop=True), folder / "rows.parquet")
    words = ["--settings", json.dumps({"least_lift": least_lift, "wells": wells})]
    for name in ("activations", "scores", "rows"):
        words += [f"--{name}", folder / f"{name}.parquet"]
    words += ["--split", folder / "split.tsv", "--cells", folder / "c.parquet", "--medians", folder / "P1.parquet"]
    lifted.main([str(word) for word in words])
    return cells, scores, store.read_table(folder / "c.parquet"), median_activations.read(folder / "P1.parquet", SPACE)


def test_cells_get_their_own_scores_and_medians_are_of_those_above_the_limit(tmp_path):
    cells, scores, joined, medians = prepared(tmp_path)
    pd.testing.assert_frame_equal(joined[list(cells.columns)], cells, check_dtype=False)
    for place in (0, 2, 20, 31):
        own = scores.loc[place]
        assert joined.loc[place, lifted.SCORES].astype(float).tolist() == own[lifted.SCORES].astype(float).tolist()
    expected = (np.arange(32) % 4 * 0.6 >= 1.0).astype(int)
    expected[[3, 7]] = 0  # without a lift, and without a score
    assert joined["kept"].tolist() == expected.tolist() and np.isnan(joined.loc[7, "camo"])
    assert len(medians) == 7  # the well that was trained on is not among them
    well = medians.iloc[1]
    own = cells[(cells["Metadata_Well"] == well["Metadata_Well"]) & (joined["kept"] == 1)]
    np.testing.assert_allclose(well[NAMES].astype(float), own[NAMES].median(), rtol=1e-6)
    assert well["Metadata_cells"] == len(own) == 2


def test_a_field_all_of_whose_cells_are_left_out_has_none(tmp_path):
    _, _, joined, medians = prepared(tmp_path, least_lift=9.0, wells="all")
    assert joined["kept"].sum() == 0 and (medians["Metadata_cells"] == 0).all() and medians[NAMES].isna().all(axis=None)
    assert len(medians) == 8
