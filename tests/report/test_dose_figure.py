"""The figure of dose-response curves: what a panel shows, what the head says, and a page without doses."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.profiles import doses
from brightpaint.profiles.hill import hill
from brightpaint.report.figures import dose_figure

DOSES = np.geomspace(0.01, 10, 6)
LAYOUT = "dose and column go together on plate P1 (the column tells the dose of 92% of wells, by chance 29%)"


def row(name, status="fitted", *, effect=8.0, half=0.5, **more):
    told = status in doses.TOLD
    return {
        **dict.fromkeys(doses.COLUMNS, np.nan), "Metadata_perturbation": name, "Metadata_cell_line": "", "status": status,
        "reason": "so", "effect": effect, "top": effect, "slope": 1.2, "half_um": half if told else np.nan,
        "half_low_um": 0.6 * half if told else np.nan, "half_high_um": 1.5 * half if told else np.nan,
        "wells": 12, "doses": 6, "layout": "", **more,
    }  # fmt: skip


def points_of(table, each=2):
    rng, parts = np.random.default_rng(0), []
    for _, one in table[table["doses"] > 0].iterrows():
        dose = np.repeat(DOSES, each)
        score = hill(dose, one["effect"], 0.5, 1.2) + rng.normal(size=len(dose))
        part = pd.DataFrame(
            {
                "dose_um": dose,
                "score": score,
                "noise": 1.0,
                "weight": 1.0,
                "Metadata_Plate": "P1",
                "Metadata_Well": "A01",
            }
        )
        parts.append(part.assign(**{key: one[key] for key in dose_figure.KEYS}))
    return pd.concat([pd.DataFrame(columns=doses.POINTS), *parts], ignore_index=True)


def titles(figure):
    return [axis.get_title(loc="left") for axis in figure.axes if axis.get_title(loc="left")]


def test_panels_name_the_half_effect_or_why_there_is_none_and_the_head_counts():
    table = pd.DataFrame(
        [row("a", layout=LAYOUT), row("b", "toxic", half=0.05), row("c", "non_monotone"), row("d", "inactive")]
    )
    figure = dose_figure.dose_figure(table, points_of(table), arm="real", space="some numbers")
    assert titles(figure) == ["a\nfitted: 0.5 µM (0.3 µM to 0.75 µM)", "b\nfitted, toxic: 50 nM (30 nM to 75 nM)",
                              "c\ncomes down again", "d\nnot told from DMSO"]  # fmt: skip
    head = figure._suptitle.get_text().splitlines()
    assert (
        head[1] == "fitted: 1, fitted, toxic: 1, comes down again: 1, not told from DMSO: 1"
        and head[2] == f"Beware: {LAYOUT}."
    )
    assert len(figure.axes[0].lines) == 3 and len(figure.axes[2].lines) == 2  # zero, means, and the curve
    plt.close(figure)


def test_the_strongest_fill_one_page_and_cell_lines_are_named():
    table = pd.DataFrame([row(f"c{n:02d}", effect=60 - n, Metadata_cell_line=f"L{n % 2}") for n in range(44)])
    table.loc[1, "Metadata_perturbation"] = "c00"
    table["Metadata_time_h"] = 24.0
    figure = dose_figure.dose_figure(table, points_of(table, each=1), arm="real", space="x")
    assert len(titles(figure)) == dose_figure.PANELS and titles(figure)[0].startswith("c00 L0 24 h\n")
    assert "The 40 of largest effect are shown, 4 more stand in the table." in figure._suptitle.get_text()
    plt.close(figure)


def test_a_study_without_doses_has_a_page_that_says_so(tmp_path):
    none = row("a", "no_dose", doses=0, effect=np.nan)
    for name, table in (("one", pd.DataFrame([none])), ("none", pd.DataFrame([none])[:0])):
        store.write_table(store.as_text(table), tmp_path / f"{name}.tsv")
        store.write_table(store.as_text(points_of(table)), tmp_path / f"{name}.points.tsv")
        dose_figure.main(["--settings", '{"dpi": 40}', "--space", "cellprofiler", "--arm", "real",
                          "--table", str(tmp_path / f"{name}.tsv"),
                          "--points", str(tmp_path / f"{name}.points.tsv"), "--figure", str(tmp_path / f"{name}.png")])  # fmt: skip
        assert plt.imread(tmp_path / f"{name}.png").ndim == 3
        assert dose_figure._head(table, 0)[0].startswith("No well of these plates has a dose")
