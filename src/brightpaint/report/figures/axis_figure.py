"""Draw wells on the axis between two control classes and off it: the controls, all treated wells by their dose, then compounds.

Every control is where a machine that it was held out of placed it. The compounds shown are those whose on-score changes most from
the lowest dose to the highest; their doses go from light to dark, as in GAN-DL's figure 4.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report.style import LINES, STYLE, as_text, headed, save
from brightpaint.study.spaces import SPACES

CLASSES = {"+": LINES[0], "-": LINES[1]}
MARKERS = "os^Dv"
PANELS, COLUMNS = 12, 4
CHANCE = 0.05  # p above which classes are not told apart
LEGEND_LINE = 0.06  # of the height of the panel of controls
DOSES = plt.get_cmap("YlOrRd")


def axis_figure(placed: pd.DataFrame, told: pd.DataFrame, *, arm: str, space: str, entry: Mapping) -> plt.Figure:
    """Draw one arm's wells in one space, from the tables that `axis` writes; `space` is its title for people."""
    shown = placed[np.isfinite(placed["on"])]
    dosed = shown[(shown["Metadata_dose"] > 0) & (shown["class"] == "")]
    names = most_changed(dosed)
    rows = -(-len(names) // COLUMNS)
    figure = plt.figure(figsize=(12, 5.2 + 2.5 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, COLUMNS, height_ratios=[1.9, *[1.0] * rows])
    left, right = figure.add_subplot(grid[0, : COLUMNS // 2]), figure.add_subplot(grid[0, COLUMNS // 2 :])
    scale = (
        LogNorm(dosed["Metadata_dose"].min(), dosed["Metadata_dose"].max())
        if dosed["Metadata_dose"].nunique() > 1
        else None
    )
    _controls(left, shown, entry)
    others = shown[(shown["class"] == "") & ~(shown["Metadata_dose"] > 0)]
    _behind(right, shown)
    right.scatter(
        others["on"], others["off_1"], s=12, color="0.45", linewidths=0, label=f"without a dose ({len(others)})"
    )
    points = _doses(right, dosed, scale)
    if scale:
        figure.colorbar(points, ax=right, label="dose (µM)")
    if len(others):
        right.legend(fontsize=7, frameon=False)
    right.set_title(f"the other wells ({len(shown) - (shown['class'] != '').sum()}); controls behind", fontsize=9)
    for axes in (left, right):
        axes.set(xlabel=f"on the axis ({as_text(entry['name'], 20)})", ylabel="off it, first component")
    for number, name in enumerate(names):
        axes = figure.add_subplot(grid[1 + number // COLUMNS, number % COLUMNS], sharex=right, sharey=right)
        _behind(axes, shown)
        _doses(axes, dosed[dosed["Metadata_perturbation"] == name], scale)
        axes.set_title(as_text(name, 26), fontsize=8)
        axes.tick_params(labelsize=7)
    if not len(shown):
        left.text(
            0.5, 0.5, as_text(next(iter(placed["reason"]), ""), 70), ha="center", transform=left.transAxes, fontsize=8
        )
    title = f"{as_text(arm)} wells on the axis {as_text(entry['name'])}, in the space of {space}"
    headed(figure, [title, *head(told)])
    return figure


def most_changed(dosed: pd.DataFrame) -> list[str]:
    """Return the compounds of several doses, those whose mean on-score changes most from the lowest to the highest first."""
    means = dosed.groupby(["Metadata_perturbation", "Metadata_dose"])["on"].mean().reset_index()
    change = {
        name: abs(own["on"].iloc[-1] - own["on"].iloc[0])
        for name, own in means.groupby("Metadata_perturbation")
        if len(own) > 1
    }
    return sorted(change, key=lambda name: (-change[name], name))[:PANELS]


def head(told: pd.DataFrame) -> list[str]:
    """Return the lines above the panels: how well the classes are told apart held out, and by which protocol."""
    own = told[(told["cell_line"].fillna("") == "") & told["metric"].notna()].set_index("metric")
    if not len(own):
        return []
    words = [
        f"{metric.replace('_', ' ').replace('auc', 'AUC')} {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f}; shuffled "
        f"{row['null']:.2f}, p {row['p']:.2g})"
        for metric, row in own.iterrows()
    ]
    first = own.iloc[0]
    saw = f" by {first['seen_by']}" if isinstance(first["seen_by"], str) and first["seen_by"] else ""
    lines = [
        f"held out, {int(first['wells'])} control wells: " + ", ".join(words[:1] + words[2:]),
        f"protocol: {first['protocol']}{saw}",
    ]
    if "auc" in own.index and own.loc["auc", "p"] > CHANCE:
        lines.append(
            "Beware: held out, the classes are told apart no better than shuffled ones; places on this axis say little."
        )
    return lines + ([as_text(first["reason"], 110)] if isinstance(first["reason"], str) and first["reason"] else [])


def _controls(axes: plt.Axes, shown: pd.DataFrame, entry: Mapping) -> None:
    lines = sorted(set(shown.loc[shown["class"] != "", "Metadata_cell_line"].fillna("")))
    for line, marker in zip(lines, MARKERS * len(lines)):
        for name, colour in CLASSES.items():
            own = shown[(shown["class"] == name) & (shown["Metadata_cell_line"].fillna("") == line)]
            values = as_text(", ".join(entry["positive" if name == "+" else "negative"]), 18)
            label = f"C{name} {values}{f', {as_text(line, 12)}' if line else ''} ({len(own)})"
            axes.scatter(
                own["on"], own["off_1"], s=18, marker=marker, color=colour, alpha=0.8, linewidths=0, label=label
            )
    for place in (-1, 1):
        axes.axvline(place, color="0.7", linewidth=0.8, linestyle=":", zorder=0)
    axes.set_title("controls, each placed held out; their means are at -1 and +1", fontsize=9)
    if lines:  # above the wells, not over them
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + LEGEND_LINE * (high - low) * len(lines))
        axes.legend(fontsize=7, frameon=False, loc="upper left", ncols=2)


def _behind(axes: plt.Axes, shown: pd.DataFrame) -> None:
    """Draw the controls faintly."""
    for name, colour in CLASSES.items():
        own = shown[shown["class"] == name]
        axes.scatter(own["on"], own["off_1"], s=8, color=colour, alpha=0.15, linewidths=0, zorder=0)


def _doses(axes: plt.Axes, own: pd.DataFrame, scale: LogNorm | None):
    own = own.sort_values("Metadata_dose", kind="stable")
    colours = {"c": own["Metadata_dose"], "cmap": DOSES, "norm": scale} if scale else {"color": LINES[2]}
    return axes.scatter(own["on"], own["off_1"], s=16, edgecolors="0.35", linewidths=0.3, zorder=2, **colours)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw an arm's wells on an axis and off it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: name, positive and negative of the axis; dpi"
    )
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--placed", type=Path, required=True, help="the wells, as `axis` places them")
    parser.add_argument("--accuracy", type=Path, required=True, help="how well its classes are told apart, likewise")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    placed, told = store.read_table(args.placed, required=["on", "off_1", "class"]), store.read_table(args.accuracy)
    with plt.rc_context(STYLE):
        figure = axis_figure(placed, told, arm=args.arm, space=SPACES[args.space].title, entry=args.settings)
        save(figure, args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
