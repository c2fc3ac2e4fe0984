"""Curves along an axis: what a panel says, and the curve of `doses` beside it where there is one."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from test_dose_figure import points_of, row

from brightpaint import store
from brightpaint.profiles import axis_doses
from brightpaint.report.figures import axis_dose_figure

DOSES = np.geomspace(0.01, 10, 6)


def tables():
    said = {"Metadata_cell_line": "", "wells": 6, "doses": 6, "layout": ""}
    fitted = {"half_um": 0.5, "half_low_um": 0.2, "half_high_um": 1.0, "slope": 1.0, "bottom": -1.0, "top": 1.0}
    rows = [
        {"Metadata_perturbation": "a", "status": "fitted", **said, **fitted},
        {"Metadata_perturbation": "b", "status": "flat", **said},
    ]
    table = pd.DataFrame(rows).reindex(columns=axis_doses.COLUMNS)
    means = [
        {
            "Metadata_perturbation": name,
            "Metadata_cell_line": "",
            "dose_um": dose,
            "on": on,
            "on_low": on - 0.2,
            "on_high": on + 0.2,
            "wells": 2,
        }
        for name in "ab"
        for dose, on in zip(DOSES, np.linspace(-1, 1, 6) if name == "a" else np.full(6, -1.0))
    ]
    return table, pd.DataFrame(means).reindex(columns=axis_doses.MEANS)


def test_panels_name_the_half_effect_or_none_and_those_of_doses_stand_beside():
    table, means = tables()
    other = pd.DataFrame([row("a")])
    figure = axis_dose_figure.axis_dose_figure(
        table, means, (other, points_of(other)), arm="real", space="x", name="effect"
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["a\nfitted, half effect 0.5 µM (0.2 µM to 1 µM)", "a\nfitted: 0.5 µM (0.3 µM to 0.75 µM)",
                      "b\nno change with the dose; half effect: none", ""]  # fmt: skip
    assert figure._suptitle.get_text().splitlines()[1] == "fitted: 1, no change with the dose: 1"
    curve = figure.axes[0].get_lines()
    drawn = next(line for line in curve if len(line.get_xdata()) == 100)
    assert np.isclose(np.interp(0.5, drawn.get_xdata(), drawn.get_ydata()), 0.0, atol=0.01)
    plt.close(figure)


def test_an_interval_ends_where_the_doses_do():
    row = tables()[0].iloc[0]
    beyond = {"half_low_um": 0.001, "half_high_um": 100.0, "dose_min_um": 0.01, "dose_max_um": 10.0}
    assert axis_dose_figure.interval_words(pd.Series({**row, **beyond})) == " (below 10 nM to above 10 µM)"
    assert (
        axis_dose_figure.interval_words(pd.Series({**row, **beyond, "half_high_um": 2.0})) == " (below 10 nM to 2 µM)"
    )
    assert axis_dose_figure.interval_words(row) == " (0.2 µM to 1 µM)"


def test_every_column_says_its_doses_unit_and_what_is_not_shown_is_counted():
    table, means = tables()
    names = [f"c{number:02d}" for number in range(axis_dose_figure.PANELS + 3)]
    many = pd.concat([table[1:].assign(Metadata_perturbation=name) for name in names], ignore_index=True)
    points = pd.concat([means[-6:].assign(Metadata_perturbation=name) for name in names], ignore_index=True)
    figure = axis_dose_figure.axis_dose_figure(many, points, None, arm="real", space="x", name="effect")
    assert "The 20 of largest change are shown, 3 more stand in the table." in figure._suptitle.get_text()
    plt.close(figure)
    for count, labelled in ((1, [0]), (2, [0, 1]), (3, [1, 2])):
        figure = axis_dose_figure.axis_dose_figure(many[:count], points, None, arm="real", space="x", name="effect")
        drawn = [axes for axes in figure.axes if axes.axison]
        assert [n for n, axes in enumerate(drawn) if axes.get_xlabel() == "dose (µM)"] == labelled
        assert {axes.get_ylabel() for axes in drawn} == {"on-score (C- at -1, C+ at 1)"}
        plt.close(figure)


def test_a_long_title_stays_on_the_picture_and_no_point_lies_off_its_panel():
    table, means = tables()
    means = means.assign(on=means["on"] * 7, on_low=-40.0, on_high=40.0)  # an axis of noise: intervals beyond all
    space = "the features of a network trained on photographs, channels collapsed to colours"
    figure = axis_dose_figure.axis_dose_figure(table, means, None, arm="real", space=space, name="effect")
    figure.canvas.draw()
    box, width = figure._suptitle.get_window_extent(), figure.bbox.width
    assert 0 <= box.x0 and box.x1 <= width
    for axes, name in zip(figure.axes, "ab"):
        low, high = axes.get_ylim()
        on = means.loc[means["Metadata_perturbation"] == name, "on"]
        assert low < on.min() and on.max() < high and high - low < 20
    plt.close(figure)


def test_without_curves_beside_there_is_one_panel_a_compound_and_without_doses_none(tmp_path):
    table, means = tables()
    figure = axis_dose_figure.axis_dose_figure(table, means, None, arm="real", space="x", name="effect")
    assert sum(axes.axison for axes in figure.axes) == 2
    plt.close(figure)
    store.write_table(store.as_text(table[:0]), tmp_path / "table.tsv")
    store.write_table(store.as_text(means[:0]), tmp_path / "means.tsv")
    axis_dose_figure.main(["--settings", json.dumps({"dpi": 50}), "--axis", "effect", "--space", "dino", "--arm", "real", "--table",
                           str(tmp_path / "table.tsv"), "--means", str(tmp_path / "means.tsv"), "--figure",
                           str(tmp_path / "x.png")])  # fmt: skip
    assert (tmp_path / "x.png").stat().st_size > 1000
