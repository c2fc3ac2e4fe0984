"""Draw dose-response curves along an axis between two control classes, beside those along each compound's own direction.

Two panels a compound: its on-score (C+ is 1, C- is -1), mean and interval of each dose and the curve where one was fitted; and the
score of `doses`, the distance from DMSO, where the study has it in this space.
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
from brightpaint.profiles.hill import hill
from brightpaint.report.figures import dose_figure
from brightpaint.report.figures.dose_figure import KEYS, LONGEST, amount, interval_words, panel, with_text_keys
from brightpaint.report.style import LINES, STYLE, as_text, headed, save
from brightpaint.study.spaces import SPACES

PANELS, PAIRS = 20, 2  # compounds, and pairs of panels in a row
STATUSES = dose_figure.STATUSES | {
    "flat": ("no change with the dose", "0.5"),
    "no_axis": ("no axis", "0.5"),
    "non_monotone": ("turns back at high doses", LINES[1]),  # a score may rise or fall
}


def axis_dose_figure(
    table: pd.DataFrame, means: pd.DataFrame, others: tuple[pd.DataFrame, pd.DataFrame] | None, *, arm: str, space: str, name: str
) -> plt.Figure:  # fmt: skip
    """Draw the curves of one arm, space and axis.

    Parameters
    ----------
    table, means : as `axis_doses` writes them
    others : the tables of `doses`, compounds and wells; None where the study has none in this space
    """
    table, means = with_text_keys(table), with_text_keys(means)
    shown = table[table["doses"] > 1].head(PANELS)
    across = 2 * PAIRS if others else PAIRS
    rows = max(1, -(-len(shown) // PAIRS))
    figure, axes = plt.subplots(
        rows, across, figsize=(3.2 * across, 1.6 + 2.3 * rows), layout="constrained", squeeze=False
    )
    own_axes = list(axes[:, :: 2 if others else 1].flat)
    for one in axes[-1] if len(shown) else ():
        one.set_xlabel("dose (µM)", fontsize=8)
    beside = list(axes[:, 1::2].flat) if others else []
    scored = [with_text_keys(each) for each in others] if others else []
    several = bool(table["Metadata_perturbation"].duplicated().any())
    for place, (_, row) in enumerate(shown.iterrows()):
        _on(own_axes[place], row, _of(means, row), several=several)
        if others:
            rows_of, points = (_of(each, row) for each in scored)
            if len(points):
                panel(beside[place], rows_of.iloc[0], points, several=several)
                beside[place].set_ylabel("s.d. of DMSO", fontsize=7)
            else:
                beside[place].set_axis_off()
    for one in [*own_axes[len(shown) :], *beside[len(shown) :]]:
        one.set_axis_off()
    if len(shown) % PAIRS:  # the last row is not full: the panel above has the doses
        for one in axes[-2, across // PAIRS :] if rows > 1 else ():
            one.set_xlabel("dose (µM)", fontsize=8)
    counts = table["status"].value_counts()
    lines = [f"Dose-response curves of {as_text(arm)} wells along the axis {as_text(name)}, in the space of {space}",
             ", ".join(f"{STATUSES[status][0]}: {counts[status]}" for status in STATUSES if status in counts)
             or "No well with a dose has a place on the axis."]  # fmt: skip
    if (left := int((table["doses"] > 1).sum()) - len(shown)) > 0:
        lines.append(f"The {len(shown)} of largest change are shown, {left} more stand in the table.")
    lines += ["Beside each: the score along the compound's own direction from DMSO (rule doses)."] if others else []
    layouts = sorted({part for text in table["layout"].fillna("") for part in text.split("; ") if part})
    lines += [f"Beware: {as_text(text, dose_figure.HEAD_LETTERS)}." for text in layouts[:2]]
    headed(figure, lines)
    return figure


def _of(frame: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    return frame[(frame[KEYS] == row[KEYS]).all(axis=1)]


def _on(axes: plt.Axes, row: pd.Series, means: pd.DataFrame, *, several: bool) -> None:
    """Draw one compound's on-scores."""
    words, colour = STATUSES[row["status"]]
    for place, one in ((1, LINES[0]), (-1, LINES[1])):
        axes.axhline(place, color=one, linewidth=0.8, linestyle=":", zorder=0)
    dose, on = means["dose_um"].to_numpy(), means["on"].to_numpy()
    below, above = (on - means["on_low"]).fillna(0).to_numpy(), (means["on_high"] - on).fillna(0).to_numpy()
    axes.errorbar(
        dose, on, yerr=[below, above], fmt="o", markersize=4, color=colour, elinewidth=0.8, capsize=2, zorder=2
    )
    axes.set_xscale("log")
    if np.isfinite(row["half_um"]):
        steps = np.geomspace(dose.min(), dose.max(), 100)
        height = row["top"] - row["bottom"]
        axes.plot(steps, row["bottom"] + hill(steps, height, row["half_um"], row["slope"]), color=colour, linewidth=1.6)
        axes.plot(
            row["half_um"], row["bottom"] + height / 2, marker="D", markersize=5, color=colour, markeredgecolor="white"
        )
        words = f"{words}, half effect {amount(row['half_um'])}{interval_words(row)}"
    else:
        words = f"{words}; half effect: none"
    series = [as_text(row[key], 12) for key in KEYS[1:] if row[key]] if several else []
    axes.set_title(
        "\n".join([" ".join([as_text(row["Metadata_perturbation"], LONGEST), *series]), words]),
        fontsize=7.5,
        loc="left",
    )
    axes.set_ylabel("on-score (C- at -1, C+ at 1)", fontsize=7)
    axes.tick_params(labelsize=7)
    low, high = min(-1.3, np.nanmin(on - below)), max(1.3, np.nanmax(on + above))
    # Intervals may leave the panel, means never.
    axes.set_ylim(min(max(low, -4), np.nanmin(on) - 0.3), max(min(high, 4), np.nanmax(on) + 0.3))
    axes.minorticks_off()


def main(argv: Sequence[str] | None = None) -> None:
    """Draw an arm's dose-response curves along an axis in a space."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--axis", required=True, help="its name")
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--table", type=Path, required=True, help="the compounds, as `axis_doses` writes them")
    parser.add_argument("--means", type=Path, required=True, help="their doses, likewise")
    parser.add_argument(
        "--others", type=Path, nargs="*", default=[], help="the two tables of `doses`, where the study has them"
    )
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    table, means = store.read_table(args.table, required=["status"]), store.read_table(args.means)
    others = tuple(map(store.read_table, args.others)) or None
    with plt.rc_context(STYLE):
        figure = axis_dose_figure(table, means, others, arm=args.arm, space=SPACES[args.space].title, name=args.axis)
        save(figure, args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
