"""The figure of distances by the command, from tables of a simulated translation; and what it makes of other tables."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import translation_distance
from translation_fixture import scored_translation  # noqa: F401


def test_the_command_draws_every_reference(shifts, tmp_path):
    words = ["--settings", json.dumps({"dpi": 60}), "--space", "cellprofiler", "--arm", "moved",
             "--classes", str(shifts / "arm.classes.parquet"), "--figure", str(tmp_path / "a.png")]  # fmt: skip
    translation_distance.main(words)
    assert plt.imread(tmp_path / "a.png").shape[1] == 13 * 60
    first = (tmp_path / "a.png").read_bytes()
    translation_distance.main(words)
    assert (tmp_path / "a.png").read_bytes() == first


def test_panels_are_compounds_by_dose_then_the_other_classes(shifts):
    table = translation_distance.over_plates(store.read_table(shifts / "arm.classes.parquet"))
    panels = translation_distance.series(table)
    assert [heading for heading, _ in panels] == ["drug", "inert (inert)", "other classes"]
    own = panels[0][1]
    moved = own[own["reference"] == "translation"]
    assert moved["x"].is_monotonic_increasing and len(moved) == moved["dose"].nunique()
    assert set(panels[2][1]["class"]) == {"DMSO_twin"}


def test_plates_are_averaged_and_then_have_no_interval_of_one():
    rows = [{"plate": plate, "class": "x", "reference": "translation", "control": "", "perturbation": "x", "dose": np.nan,
             "distance": value, "low": 0.0, "high": 9.0, "kept": 0.5} for plate, value in (("P", 1.0), ("Q", 3.0))]  # fmt: skip
    table = translation_distance.over_plates(pd.DataFrame(rows))
    assert table["distance"].tolist() == [2] and table["low"].isna().all()


@pytest.mark.parametrize("lacking", ["fresh noise", "real half", "distance"])
def test_a_reference_that_is_not_there_is_no_error(shifts, lacking):
    table = store.read_table(shifts / "arm.classes.parquet")
    table = table.assign(distance=np.nan) if lacking == "distance" else table[table["reference"] != lacking]
    plt.close(translation_distance.distance_figure(table, arm="a", space="b"))
