"""Draw whether a translation follows the dose: the histogram of dose correlations with its joint null, and curves of features.

The null is that of the median over all numbers and compounds when doses are shuffled in one order for all numbers; the
curves are of the numbers that change most in real cells, real wells beside translated ones, in s.d. between real wells.
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
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.report.style import LINES, STYLE, as_text, save
from brightpaint.scores.translation.class_distance import FRESH, TRANSLATION
from brightpaint.scores.translation.shift_tables import REAL
from brightpaint.study.spaces import SPACES

KINDS = {REAL: (LINES[0], "real wells"), TRANSLATION: (LINES[1], "translation"), FRESH: (LINES[2], "fresh noise")}
CURVES, BINS = 6, np.linspace(-1, 1, 33)


def chosen_curves(changes: pd.DataFrame, classes: pd.DataFrame, count: int = CURVES) -> list[tuple[str, str]]:
    """Return (compound, number) pairs to draw: the surest changes of real cells, two of a compound at most, none of a control.

    Parameters
    ----------
    changes, classes : as `score_shifts` writes them
    """
    doses = classes.drop_duplicates("class").set_index("class")
    dosed = doses[np.isfinite(doses["dose"]) & (doses["perturbation"] != "")]
    several = dosed.groupby("perturbation")["dose"].nunique()
    own = changes[changes["class"].isin(dosed.index)].assign(perturbation=changes["class"].map(dosed["perturbation"]))
    own = own[(own["control"] == "") & own["perturbation"].map(several).ge(2) & own["real_p"].notna()]
    pairs = own.sort_values(["real_p", "number"]).drop_duplicates(["perturbation", "number"])
    pairs = pairs.assign(place=pairs.groupby("perturbation").cumcount())
    few = 2 if pairs["perturbation"].nunique() * 2 >= count else count
    return list(pairs[pairs["place"] < few][["perturbation", "number"]].itertuples(index=False, name=None))[:count]


def curve(wells: pd.DataFrame, doses: pd.Series, number: str, seed: str) -> pd.DataFrame:
    """Return `dose, mean, low, high` of one number's wells by dose; intervals over wells (NaN of one well).

    Parameters
    ----------
    wells : of one kind, with `class`
    doses : {class: dose} of one compound
    """
    rows = []
    for name, dose in doses.sort_values().items():
        values = wells.loc[wells["class"] == name, number].dropna().to_numpy(np.float64)
        if len(values):
            names = np.arange(len(values)).astype(str)
            low, high = resampling.bootstrap_ratio(values, np.ones(len(values)), names, resampling.seeded(seed, name))
            rows.append({"dose": dose, "mean": values.mean(), "low": low, "high": high})
    return pd.DataFrame(rows, columns=["dose", "mean", "low", "high"])


def doses_figure(
    correlations: pd.DataFrame, metrics: pd.DataFrame, wells: pd.DataFrame, changes: pd.DataFrame, classes: pd.DataFrame,
    *, arm: str, space: str,
) -> plt.Figure:  # fmt: skip
    """Draw one translation in one space, from the tables that `score_shifts` writes; `space` is its title for people."""
    pairs = chosen_curves(changes, classes)
    figure = plt.figure(figsize=(13, 8.5), layout="constrained")
    grid = figure.add_gridspec(3, 4)
    _histogram(figure.add_subplot(grid[0, :2]), correlations, metrics, "dose_r", "all numbers")
    _histogram(figure.add_subplot(grid[0, 2:]), correlations[correlations["real"] == 1], metrics, "dose_r_real",
               "numbers that change in real cells")  # fmt: skip
    plate = classes["plate"].iloc[0]
    doses = classes.drop_duplicates("class").set_index("class")
    source = [name for name in wells["class"].unique() if name not in doses.index]
    for place in range(CURVES):
        axis = figure.add_subplot(grid[1 + place // 3, place % 3])
        if place >= len(pairs):
            axis.set_axis_off()
            continue
        name, number = pairs[place]
        own = doses.loc[doses["perturbation"] == name, "dose"].dropna()
        _curves(axis, wells[wells["Metadata_Plate"] == plate], own, number, source)
        axis.set_title(f"{as_text(name, 18)}\n{as_text(number, 44)}", fontsize=7.5, loc="left")
    legend = figure.add_subplot(grid[1:, 3])
    legend.set_axis_off()
    for colour, words in KINDS.values():
        legend.plot([], [], color=colour, marker="o", label=words)
    legend.plot([], [], color="0.6", linewidth=6, label="real wells of the source class, mean ± 2 s.d.")
    legend.legend(fontsize=8, frameon=False, loc="upper left")
    more = f" (curves of plate {as_text(plate)})" if classes["plate"].nunique() > 1 else ""
    figure.suptitle(f"{as_text(arm)}: dose by dose, in the space of {space}{more}", fontsize=11)
    return figure


def _histogram(axis: plt.Axes, table: pd.DataFrame, metrics: pd.DataFrame, metric: str, words: str) -> None:
    """Draw the correlations, their median, and the bound that the median of joint shuffles passes one time in twenty."""
    axis.set_title(f"correlation over doses, {words}", fontsize=9, loc="left")
    axis.set_xlim(-1, 1)
    for kind, style in ((TRANSLATION, {"alpha": 0.75}), (FRESH, {"histtype": "step", "linewidth": 1.3})):
        values = table.loc[table["kind"] == kind, "r"].dropna()
        colour, name = KINDS[kind]
        if len(values):
            axis.hist(values, BINS, color=colour, label=f"{name}, median {values.median():.2f}", **style)
            axis.axvline(values.median(), color=colour, linewidth=1.5, linestyle="-" if kind == TRANSLATION else "-.")
    bounds = metrics.loc[metrics["metric"] == metric, "null_bound"].dropna()
    if len(bounds):
        bound = bounds.mean()
        axis.axvline(bound, color="black", linewidth=1.3, linestyle="--",
                     label=f"doses shuffled jointly: 5% of medians reach {bound:.2f}")  # fmt: skip
        axis.legend(fontsize=7.5, frameon=False, loc="upper left")
    else:
        axis.text(0, 0.5, "no number has a correlation:\nconstant over doses, or too few doses", ha="center", va="center",
                  fontsize=8, transform=axis.get_xaxis_transform())  # fmt: skip
    axis.set_ylabel("numbers", fontsize=8)
    axis.tick_params(labelsize=8)


def _curves(axis: plt.Axes, wells: pd.DataFrame, doses: pd.Series, number: str, source: list[str]) -> None:
    """Draw one number's wells by dose, in s.d. of the real wells of the source class about their mean."""
    base = wells.loc[(wells["kind"] == REAL) & wells["class"].isin(source), number].dropna().to_numpy(np.float64)
    sd = base.std(ddof=1) if len(base) > 1 else 1.0
    sd = sd if sd > 0 else 1.0
    middle = base.mean() if len(base) else 0.0
    axis.axhspan(-2, 2, color="0.9", zorder=0)
    for kind, (colour, _) in KINDS.items():
        found = curve(wells[wells["kind"] == kind], doses, number, f"{kind}/{number}")
        if not len(found):
            continue
        scaled = (found[["mean", "low", "high"]] - middle) / sd
        axis.plot(found["dose"], scaled["mean"], color=colour, marker="o", markersize=4, linewidth=1.3)
        known = scaled["low"].notna().to_numpy()
        axis.vlines(found["dose"][known], scaled["low"][known], scaled["high"][known], color=colour, linewidth=1.3)
    axis.set_xscale("log")
    axis.set_xlabel("dose (µM)", fontsize=7.5)
    axis.set_ylabel("s.d. of source wells", fontsize=7.5)
    axis.tick_params(labelsize=7)
    axis.minorticks_off()


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a translation's dose correlations and curves in a space."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--arm", required=True)
    for name in ("correlations", "metrics", "wells", "changes", "classes"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="as `score_shifts` writes it")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    named = ("correlations", "metrics", "wells", "changes", "classes")
    tables = [store.read_table(getattr(args, name)) for name in named]
    with plt.rc_context(STYLE):
        save(doses_figure(*tables, arm=args.arm, space=SPACES[args.space].title), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
