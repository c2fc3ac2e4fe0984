"""Draw dose-response curves, one panel a compound, the largest effect first; what is not fitted is named, with why.

A panel shows every well's score along its compound's direction, the mean of each dose, DMSO's two standard deviations, and, where
a curve was fitted, the curve with its half-effect dose and that dose's interval.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.profiles.dose_series import SERIES
from brightpaint.profiles.hill import hill
from brightpaint.report.style import LINES, STYLE, as_text, save
from brightpaint.study.spaces import SPACES

KEYS = ["Metadata_perturbation", *SERIES]
PANELS, COLUMNS = 40, 5
BAND = 2  # standard deviations of DMSO that are shaded
LONGEST, HEAD_LETTERS = 26, 150  # letters of a name above a panel, and of a line above all of them
# What is said of each status: in the head of the page and above a panel; in which colour.
STATUSES = {
    "fitted": ("fitted", LINES[0]),
    "toxic": ("fitted, toxic", LINES[1]),
    "censored_above": ("half above the doses", LINES[4]),
    "censored_below": ("no rise within the doses", LINES[3]),
    "non_monotone": ("comes down again", LINES[1]),
    "weak": ("too weak to fit", LINES[6]),
    "inactive": ("not told from DMSO", "0.5"),
    "too_few_doses": ("too few doses", "0.5"),
    "too_few_dmso": ("too few DMSO wells", "0.5"),
    "no_dose": ("no dose known", "0.5"),
}


def dose_figure(table: pd.DataFrame, points: pd.DataFrame, *, arm: str, space: str) -> plt.Figure:
    """Draw the curves of one arm in one space, from the two tables that `doses` writes; `space` is its title for people."""
    table, points = with_text_keys(table), with_text_keys(points)
    scored = points.groupby(KEYS).size().reset_index()[KEYS] if len(points) else table.iloc[:0][KEYS]
    shown = table.merge(scored, on=KEYS).head(PANELS)
    rows = max(1, int(np.ceil(len(shown) / COLUMNS)))
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(13, 1.6 + 2.3 * rows), layout="constrained", squeeze=False)
    for place, (axis, (_, row)) in enumerate(zip(axes.flat, shown.iterrows())):
        own = points[(points[KEYS] == row[KEYS]).all(axis=1)]
        panel(axis, row, own, several=table["Metadata_perturbation"].duplicated().any())
        if place % COLUMNS == 0:
            axis.set_ylabel("score (s.d. of DMSO)", fontsize=8)
        if place >= len(shown) - COLUMNS:
            axis.set_xlabel("dose (µM)", fontsize=8)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    figure.suptitle(
        f"Dose-response curves of {as_text(arm)} wells, in the space of {space}\n"
        + "\n".join(_head(table, len(shown))),
        fontsize=10,
    )
    return figure


def with_text_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with keys that can be compared: a missing time is "", and equals another."""
    return frame.assign(**{key: ["" if str(value) == "nan" else str(value) for value in frame[key]] for key in KEYS})


def _head(table: pd.DataFrame, shown: int) -> list[str]:
    """Return the lines above the panels: how many compounds have which status, and where dose and place go together."""
    if not (table["doses"] > 0).any():
        return [
            "No well of these plates has a dose, or no plate has DMSO wells enough: there is nothing to fit.",
            *_counts(table),
        ]
    left = int((table["doses"] > 0).sum()) - shown
    lines = _counts(table) + (
        [f"The {shown} of largest effect are shown, {left} more stand in the table."] if left > 0 else []
    )
    layouts = sorted({part for text in table["layout"].fillna("") for part in text.split("; ") if part})
    lines += [f"Beware: {as_text(text, HEAD_LETTERS)}." for text in layouts[:2]]
    return lines + ([f"... and so on {len(layouts) - 2} more plates or axes."] if len(layouts) > 2 else [])


def _counts(table: pd.DataFrame) -> list[str]:
    counts = table["status"].value_counts()
    return (
        [", ".join(f"{STATUSES[name][0]}: {counts[name]}" for name in STATUSES if name in counts)]
        if len(counts)
        else []
    )


def panel(axis: plt.Axes, row: pd.Series, own: pd.DataFrame, *, several: bool) -> None:
    """Draw one compound; `several` says that its cell line and time must be named."""
    words, colour = STATUSES[row["status"]]
    dose, score = own["dose_um"].to_numpy(), own["score"].to_numpy()
    axis.axhspan(-BAND, BAND, color="0.92", zorder=0)
    axis.axhline(0, color="0.7", linewidth=0.6, zorder=1)
    means = own.groupby("dose_um")["score"].mean()
    if len(own) > len(means):
        axis.scatter(dose, score, s=7, color=colour, alpha=0.45, linewidths=0, zorder=2)
    curved = np.isfinite(row["half_um"])
    style = "" if curved else ":"
    axis.plot(means.index, means, linestyle=style, linewidth=1, marker="o", markersize=4, color=colour, zorder=3)
    axis.set_xscale("log")
    if curved:
        _curve(axis, row, np.geomspace(dose.min(), dose.max(), 100), colour)
        words = f"{words}: {amount(row['half_um'])}{interval_words(row)}"
    name = as_text(row["Metadata_perturbation"], LONGEST)
    line, time = row[SERIES]
    series = [*([as_text(line, 12)] if line else []), *([f"{float(time):g} h"] if time else [])] if several else []
    axis.set_title("\n".join([" ".join([name, *series]), words]), fontsize=7.5, loc="left", color="black")
    low, high = min(-BAND - 0.5, score.min()), max(BAND + 1.5, score.max())
    axis.set_ylim(low - 0.06 * (high - low), high + 0.08 * (high - low))
    axis.tick_params(labelsize=7)
    axis.minorticks_off()


def _curve(axis: plt.Axes, row: pd.Series, dose: np.ndarray, colour: str) -> None:
    axis.plot(dose, hill(dose, row["top"], row["half_um"], row["slope"]), color=colour, linewidth=1.6, zorder=2)
    axis.vlines(row["half_um"], 0, row["top"] / 2, color=colour, linewidth=1, linestyle="--")
    if np.isfinite(row["half_low_um"]):
        ends = np.clip([row["half_low_um"], row["half_high_um"]], dose.min(), dose.max())
        axis.hlines(row["top"] / 2, *ends, color=colour, linewidth=4, alpha=0.35)


def amount(dose_um: float) -> str:
    """Return a dose in the unit in which it is read easily."""
    return f"{1000 * dose_um:.3g} nM" if dose_um < 0.1 else f"{dose_um:.3g} µM"


def interval_words(row: pd.Series) -> str:
    """Return the half effect's interval in words; beyond the doses nothing was tested, and it ends there."""
    if not np.isfinite(row["half_low_um"]):
        return ""
    least, largest = row.get("dose_min_um", np.nan), row.get("dose_max_um", np.nan)
    low = f"below {amount(least)}" if row["half_low_um"] < least else amount(row["half_low_um"])
    high = f"above {amount(largest)}" if row["half_high_um"] > largest else amount(row["half_high_um"])
    return f" ({low} to {high})"


def main(argv: Sequence[str] | None = None) -> None:
    """Draw an arm's dose-response curves in a space."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--table", type=Path, required=True, help="the compounds, as `doses` writes them")
    parser.add_argument("--points", type=Path, required=True, help="their wells, likewise")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    table, points = store.read_table(args.table, required=["status", "layout"]), store.read_table(args.points)
    with plt.rc_context(STYLE):
        figure = dose_figure(table, points, arm=args.arm, space=SPACES[args.space].title)
        save(figure, args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
