"""The montage: the same bytes whatever the order of rows, plates without stains, fields that every arm has."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import montage, shown_fields

CHANNELS = {"input": ["BF_L", "BF", "BF_H"], "target": ["DNA", "Odd"]}
SETTINGS = {"channels": CHANNELS, "fields": 2, "dpi": 60, "pixel_size_um": 0.5}


def field_table(plate="P", wells=6):
    rows = [
        {
            "Metadata_Plate": plate, "Metadata_Well": f"A{n + 1:02d}", "Metadata_Site": 1, "Metadata_Tile": 1,
            "Metadata_perturbation": ["c0", "DMSO", "c1", "c1", "c2", ""][n], "Metadata_target": ["T0", "", "T1", "T1", "", ""][n],
            "Metadata_control_type": "negcon" if n == 1 else "", "height_px": 100, "width_px": 100,
        }
        for n in range(wells)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def write(folder, arm, channels, rows=None, seed=0):
    table = field_table() if rows is None else field_table().iloc[rows].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    with store.StackWriter(folder / f"{arm}.tif", (len(table), len(channels), 32, 32), channels, key="x") as writer:
        for row in range(len(table)):
            writer.write(row, rng.normal(size=(len(channels), 32, 32)))
    store.write_table(table, folder / f"{arm}.parquet")


def draw(folder, arms, name="montage.png"):
    montage.main(
        ["--settings", json.dumps(SETTINGS), "--real", str(folder / "real.tif")]
        + ["--fields", str(folder / "real.parquet"), "--predicted", *(str(folder / f"{arm}.tif") for arm in arms)]
        + ["--arms", *arms, "--figure", str(folder / name)]
    )
    return folder / name


def test_a_montage_is_the_same_every_time_and_survives_shuffled_rows(tmp_path):
    write(tmp_path, "real", CHANNELS["input"] + CHANNELS["target"])
    write(tmp_path, "one", CHANNELS["target"], seed=1)
    first = draw(tmp_path, ["one"]).read_bytes()
    assert draw(tmp_path, ["one"], "again.png").read_bytes() == first
    stack, order = store.open_stack(tmp_path / "one.tif"), [5, 3, 1, 0, 2, 4]
    with store.StackWriter(tmp_path / "two.tif", stack.images.shape, stack.channels, key="x") as writer:
        for row, source in enumerate(order):
            writer.write(row, stack.images[source])
    store.write_table(field_table().iloc[order].reset_index(drop=True), tmp_path / "two.parquet")
    arms = {name: (store.open_stack(tmp_path / f"{name}.tif"), store.read_fields(tmp_path / f"{name}.parquet"))
            for name in ("one", "two")}  # fmt: skip
    field = field_table().iloc[4]
    left, right = (shown_fields.standardised_stains(*source, field, CHANNELS["target"]) for source in arms.values())
    np.testing.assert_array_equal(left, right)


def test_a_predict_plate_has_no_real_row_and_an_arm_of_few_fields_limits_the_choice(tmp_path, caplog):
    write(tmp_path, "real", CHANNELS["input"])
    write(tmp_path, "one", CHANNELS["target"], rows=[2, 4])
    with caplog.at_level("INFO"):
        assert plt.imread(draw(tmp_path, ["one"])).shape[0] > 200
    assert "well A03" in caplog.text and "well A05" in caplog.text and "well A02" not in caplog.text
    with pytest.raises(ValueError, match="neither stains nor predictions"):
        draw(tmp_path, [])


def test_arms_without_a_common_field_are_an_error(tmp_path):
    write(tmp_path, "real", CHANNELS["input"] + CHANNELS["target"])
    write(tmp_path, "one", CHANNELS["target"], rows=[0])
    write(tmp_path, "two", CHANNELS["target"], rows=[1])
    with pytest.raises(ValueError, match="no field is predicted by every arm of one, two"):
        draw(tmp_path, ["one", "two"])
