"""The figure of the axis: what its head says, which panels there are, wells without a dose and an axis that there is none of."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.profiles import axis
from brightpaint.report.figures import axis_figure

ENTRY = {"name": "effect", "positive": ["mock"], "negative": ["infected"]}


def placed_wells(doses=(0.1, 1.0, 10.0)):
    rng, rows = np.random.default_rng(0), []
    rows += [("mock", np.nan, "+", 1.0)] * 8 + [("infected", np.nan, "-", -1.0)] * 8 + [("other", np.nan, "", 0.0)] * 2
    rows += [
        (name, dose, "", on)
        for name, rise in (("inert", 0.0), ("riser", 0.8))
        for dose, on in zip(doses, (-1, -1 + rise, -1 + 2 * rise))
    ]
    frame = pd.DataFrame(rows, columns=["Metadata_perturbation", "Metadata_dose", "class", "on"])
    frame["off_1"] = rng.normal(size=len(frame))
    wells = {
        "Metadata_Plate": "P1",
        "Metadata_Well": [f"A{n + 1:02d}" for n in range(len(frame))],
        "Metadata_cell_line": "U2OS",
    }
    return frame.assign(**wells).reindex(columns=axis.PLACED).assign(on=frame["on"], reason="")


def told_rows(protocol="strict", seen_by=""):
    row = {"cell_line": "", "value": 0.9, "low": 0.8, "high": 0.95, "null": 0.5, "p": 0.005, "wells": 16, "protocol": protocol,
           "seen_by": seen_by, "reason": ""}  # fmt: skip
    return pd.DataFrame([{**row, "metric": metric} for metric in ("accuracy", "balanced_accuracy", "auc")]).reindex(
        columns=axis.TOLD
    )


def test_the_head_tells_accuracy_chance_and_protocol_and_compounds_have_a_panel_the_largest_change_first():
    figure = axis_figure.axis_figure(
        placed_wells(), told_rows("test images seen", "the selection of features"), arm="real", space="x", entry=ENTRY
    )
    head = figure._suptitle.get_text().splitlines()
    assert "16 control wells: accuracy 0.90 (0.80 to 0.95; shuffled 0.50, p 0.005), AUC 0.90" in head[1]
    assert head[2] == "protocol: test images seen by the selection of features"
    titles = [axes.get_title() for axes in figure.axes]
    assert [title for title in titles if title in ("riser", "inert")] == ["riser", "inert"]
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["C+ mock, U2OS (8)", "C- infected, U2OS (8)"]
    figure.canvas.draw()
    panel = figure.axes[0]
    lowest = panel.get_legend().get_window_extent().y0
    wells = np.concatenate([panel.transData.transform(points.get_offsets()) for points in panel.collections])
    assert wells[:, 1].max() < lowest  # no well lies under the legend
    colours = figure.axes[1].collections[-1].get_array()
    assert colours.min() == 0.1 and colours.max() == 10.0
    plt.close(figure)


def test_an_axis_no_better_than_chance_says_so():
    told = told_rows()
    for p, beware in ((0.3, True), (0.01, False), (np.nan, False)):
        lines = axis_figure.head(told.assign(p=np.where(told["metric"] == "auc", p, 0.005)))
        assert any("told apart no better than shuffled ones" in line for line in lines) == beware


def test_without_doses_or_without_an_axis_it_says_so(tmp_path):
    plain = placed_wells().assign(Metadata_dose=np.nan)
    figure = axis_figure.axis_figure(plain, told_rows(), arm="real", space="x", entry=ENTRY)
    assert len(figure.axes) == 2 and "without a dose (8)" in figure.axes[1].get_legend().get_texts()[0].get_text()
    plt.close(figure)
    nowhere = placed_wells().assign(on=np.nan, reason="there is no axis")
    store.write_table(store.as_text(nowhere), tmp_path / "placed.tsv")
    store.write_table(store.as_text(told_rows()), tmp_path / "told.tsv")
    axis_figure.main(["--settings", json.dumps({**ENTRY, "dpi": 50}), "--space", "dino", "--arm", "real", "--placed",
                      str(tmp_path / "placed.tsv"), "--accuracy", str(tmp_path / "told.tsv"), "--figure",
                      str(tmp_path / "x.png")])  # fmt: skip
    assert (tmp_path / "x.png").stat().st_size > 1000
