"""The figure of doses by the command; which curves it draws, and what a curve is."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.report.figures import translation_doses
from translation_fixture import scored_translation  # noqa: F401

NAMED = ("correlations", "metrics", "wells", "changes", "classes")


def tables(folder):
    return {name: folder / ("arm.parquet" if name == "metrics" else f"arm.{name}.parquet") for name in NAMED}


def test_the_command_draws_histograms_and_curves(shifts, tmp_path):
    words = ["--settings", json.dumps({"dpi": 60}), "--space", "cellprofiler", "--arm", "moved"]
    words += [word for name, path in tables(shifts).items() for word in (f"--{name}", str(path))]
    translation_doses.main([*words, "--figure", str(tmp_path / "a.png")])
    assert plt.imread(tmp_path / "a.png").shape[1] == 13 * 60


def test_curves_are_of_the_surest_real_changes_and_of_no_control(shifts):
    changes, classes = (store.read_table(tables(shifts)[name]) for name in ("changes", "classes"))
    pairs = translation_doses.chosen_curves(changes, classes)
    assert len(pairs) == len(set(pairs)) == 6 and {name for name, _ in pairs} == {"drug"}
    sure = changes[(changes["class"].str.startswith("drug")) & (changes["real_q"] <= 0.05)]
    assert {number for _, number in pairs} <= set(sure["number"])


def test_a_curve_has_the_means_of_wells_and_no_interval_of_one():
    wells = pd.DataFrame({"class": ["x@1uM", "x@1uM", "x@3uM"], "n": [1.0, 3.0, 7.0]})
    found = translation_doses.curve(wells, pd.Series({"x@3uM": 3.0, "x@1uM": 1.0, "x@9uM": 9.0}), "n", "seed")
    assert found["dose"].tolist() == [1, 3] and found["mean"].tolist() == [2, 7]
    assert found["low"][0] == 1 and found["high"][0] == 3 and np.isnan(found["low"][1])


def test_without_doses_the_figure_says_so(shifts):
    found = {name: store.read_table(path) for name, path in tables(shifts).items()}
    found["classes"] = found["classes"].assign(dose=np.nan)
    found["correlations"] = found["correlations"].iloc[:0]
    found["metrics"] = found["metrics"][~found["metrics"]["metric"].str.startswith("dose_r")]
    figure = translation_doses.doses_figure(*(found[name] for name in NAMED), arm="a", space="b")
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert any("no number has a correlation" in text for text in texts)
    plt.close(figure)
