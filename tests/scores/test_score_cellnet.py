"""The classifier of real cells as a score of an arm: known answers and lifts, by plate, with intervals over wells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.scores.cells import score_cellnet
from brightpaint.scores.rows import KEYS, NUMBERS


def tables():
    """Two plates: on P1 all of a and half of b are told right, on P2 nothing is."""
    wells = ["A01", "A01", "A02", "A02", "B01", "B01"]
    answers = ["a", "a", "b", "a", "b", "a"]
    first = pd.DataFrame(
        {"Metadata_Plate": "P1", "Metadata_Well": wells, "class": list("aabbbb"), "answer_cells": answers}
    )
    second = first.assign(Metadata_Plate="P2", answer_cells=list("bbaaaa"))
    told = pd.concat([first, second], ignore_index=True)
    lift = [1.0, 3.0, np.nan, 2.0, 2.0, 9.0]
    looked = told.assign(lift=lift * 2, tested=[1, 1, 1, 1, 1, 0] * 2)
    return told, looked


def run(folder, *more, plates=("P1", "P2", "P3"), subset="full"):
    told, looked = tables()
    store.write_table(told, folder / "told.parquet")
    store.write_table(looked, folder / "looked.parquet")
    words = ["--arm", "pert", "--plates", *plates, "--subset", subset, "--cells", str(folder / "told.parquet"), *more]
    score_cellnet.main([*words, "--table", str(folder / "t.parquet")])
    return store.read_table(folder / "t.parquet")


def test_every_plate_with_test_cells_has_its_numbers(tmp_path):
    table = run(tmp_path, "--looked", str(tmp_path / "looked.parquet"))
    assert list(table.columns) == [*KEYS, *NUMBERS, "n"] and set(table["plate"]) == {"P1", "P2"}
    first = table[table["plate"] == "P1"].set_index("metric")
    assert first.loc["cell_told", "value"] == 0.75 and first.loc["cell_told", ["null", "n"]].tolist() == [0.5, 6]
    assert first.loc["cell_told", "low"] <= 0.75 <= first.loc["cell_told", "high"]
    assert first.loc["cell_lift", "value"] == 2 and first.loc["cell_lift", ["null", "n"]].tolist() == [1, 4]
    assert table.set_index(["plate", "metric"]).loc[("P2", "cell_told"), "value"] == 0
    assert set(table["space"]) == {"cellnet"} and set(table["subset"]) == {"full"} and set(table["arm"]) == {"pert"}


def test_without_grad_camo_there_is_no_lift_and_without_cells_no_row(tmp_path):
    table = run(tmp_path, plates=("P1",), subset="active")
    assert table["metric"].tolist() == ["cell_told"] and table["subset"].tolist() == ["active"]
    assert len(run(tmp_path, plates=("P9",))) == 0
