"""Draw how near translations come to their target class against dose, and against what they keep of their source.

Above, a panel a compound (after PhenDiff's Table 1): the distance of the translation from the real class at each dose, with every
reference as a line of its own: the untouched source, the reconstruction, fresh noise, real training fields, and one half of the
real fields against the other. Below, distance against preservation, all classes together: neither is worth a look alone.
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
from brightpaint.report.style import LINES, STYLE, as_text, save
from brightpaint.scores.translation.class_distance import FRESH, HALF, IDENTITY, RECONSTRUCTION, TRAINING, TRANSLATION
from brightpaint.study.spaces import SPACES

# What is drawn of each row: colour, line, marker, and its name for people.
KINDS = {
    TRANSLATION: (LINES[1], "-", "o", "translation"),
    IDENTITY: (LINES[6], "--", "s", "identity: the untouched source"),
    RECONSTRUCTION: (LINES[5], "--", "^", "reconstruction"),
    FRESH: (LINES[2], "-.", "D", "fresh noise, no source"),
    TRAINING: (LINES[3], ":", "v", "real training fields of the class"),
    HALF: (LINES[0], "-", "", "one half of the real class against the other"),
}
PANELS, COLUMNS, NAMES = 12, 4, 12


def over_plates(classes: pd.DataFrame) -> pd.DataFrame:
    """Take the mean over plates of each class and reference; intervals where there is one plate alone."""
    numbers = ["distance", "low", "high", "kept", "kept_low", "kept_high", "dose"]
    table = classes.reindex(columns=[*classes.columns, *(name for name in numbers if name not in classes)])
    keys = ["class", "reference"]
    means = table.groupby(keys, sort=False)[numbers].mean()
    several = (table.groupby(keys, sort=False)["plate"].nunique() > 1).to_numpy()
    for name in ("low", "high", "kept_low", "kept_high"):
        means[name] = means[name].where(~several)
    said = table.drop_duplicates(keys).set_index(keys)[["control", "perturbation"]]
    return means.join(said).reset_index()


def series(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return (heading, rows with a place `x`) of each panel: compounds with two doses or more, then all other classes."""
    own = table[table["control"] != "A/A"]
    doses = own[np.isfinite(own["dose"]) & (own["perturbation"] != "")].groupby("perturbation")["dose"].nunique()
    dosed = [name for name in dict.fromkeys(own["perturbation"]) if doses.get(name, 0) > 1]
    panels = []
    for name in dosed:
        rows = own[own["perturbation"] == name].sort_values("dose")
        inert = " (inert)" if (rows["control"] == "inert").all() else ""
        panels.append((f"{as_text(name, 24)}{inert}", rows.assign(x=rows["dose"])))
    rest = table[~table["perturbation"].isin(dosed) | (table["control"] == "A/A")]
    if len(rest):
        place = {name: n for n, name in enumerate(dict.fromkeys(rest["class"]))}
        rest = rest[rest["class"].map(place) < NAMES]
        panels.append(("other classes", rest.assign(x=rest["class"].map(place).astype(float))))
    return panels


def distance_figure(classes: pd.DataFrame, *, arm: str, space: str) -> plt.Figure:
    """Draw one translation in one space, from its table of classes; `space` is its title for people."""
    table = over_plates(classes)
    panels = series(table)
    shown = panels[:PANELS]
    rows = int(np.ceil(len(shown) / COLUMNS))
    figure = plt.figure(figsize=(13, 2.8 * rows + 5.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[2.8 * rows + 0.4, 4.0])
    axes = above.subplots(rows, COLUMNS, squeeze=False, sharey=True)
    for axis, (heading, own) in zip(axes.flat, shown):
        _panel(axis, heading, own)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("distance (s.d. of source fields)", fontsize=8)
    _joint(below.subplots(1, 1), table)
    left = f"; {len(panels) - len(shown)} more compounds stand in the table" if len(panels) > len(shown) else ""
    figure.suptitle(f"{as_text(arm)}: distance to the real target class, in the space of {space}{left}", fontsize=11)
    return figure


def _panel(axis: plt.Axes, heading: str, own: pd.DataFrame) -> None:
    """Draw distance by dose, or by class, with every reference."""
    named = heading == "other classes"
    for kind, (colour, line, marker, _) in KINDS.items():
        rows = own[(own["reference"] == kind) & own["distance"].notna()]
        if not len(rows):
            continue
        strong = kind == TRANSLATION
        style = {
            "color": colour,
            "linestyle": "" if named else line,
            "marker": (marker or "_"),
            "markersize": 6 if strong else 4,
        }
        axis.plot(rows["x"], rows["distance"], linewidth=2 if strong else 1.1, zorder=3 if strong else 2, **style)
        if strong and rows["low"].notna().any():
            ends = [(rows["distance"] - rows["low"]).clip(lower=0), (rows["high"] - rows["distance"]).clip(lower=0)]
            axis.errorbar(rows["x"], rows["distance"], yerr=ends, color=colour, linestyle="", linewidth=1.2, capsize=2)
    axis.set_title(heading, fontsize=9, loc="left")
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=8)
    if named:
        places = own.drop_duplicates("x")
        axis.set_xticks(
            places["x"], [as_text(name, 16) for name in places["class"]], rotation=35, ha="right", fontsize=7
        )
    else:
        axis.set_xscale("log")
        axis.set_xlabel("dose (µM)", fontsize=8)


def _joint(axis: plt.Axes, table: pd.DataFrame) -> None:
    """Draw distance against preservation, a point a class and reference; half-against-half as a band, it has no source."""
    for kind, (colour, _, marker, words) in KINDS.items():
        rows = table[(table["reference"] == kind) & table["distance"].notna()]
        if kind == HALF:
            if len(rows):
                ends = rows["distance"].min(), rows["distance"].max()
                axis.axvspan(*ends, color=colour, alpha=0.15, linewidth=0, label=words)
            continue
        rows = rows[rows["kept"].notna()]
        if len(rows):
            axis.scatter(rows["distance"], rows["kept"], s=32 if kind == TRANSLATION else 18, color=colour, marker=marker,
                         alpha=0.8, linewidths=0, label=words, zorder=3 if kind == TRANSLATION else 2)  # fmt: skip
    axis.axhline(0, color="0.8", linewidth=0.8)
    axis.set_xlabel("distance to the real target class (s.d. of source fields): nearer is left", fontsize=9)
    axis.set_ylabel("of the source field kept (r)", fontsize=9)
    axis.set_xlim(left=0)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a translation's distances in a space."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--classes", type=Path, required=True, help="the table of classes, as `score_shifts` writes it")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    classes = store.read_table(args.classes, required=["class", "reference", "kept"])
    with plt.rc_context(STYLE):
        figure = distance_figure(classes, arm=args.arm, space=SPACES[args.space].title)
        save(figure, args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
