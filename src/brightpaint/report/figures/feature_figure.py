"""Draw where an arm's features are right: CPcor by feature group and channel (the paper's Figure 5)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.image import AxesImage

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.profiles import similarity
from brightpaint.profiles.feature_parts import cell_channels, cell_group
from brightpaint.report.style import STYLE, as_text, save
from brightpaint.scores.profiles.matching import by_plate, feature_names, joined_values
from brightpaint.scores.rows import read_active

NO_CHANNEL = "no stain"
DIVERGING = "RdBu_r"  # red and blue are told apart by colour-blind readers; the number stands in each cell besides
GROUPS = (
    "AreaShape",
    "Neighbors",
    "Location",
    "Correlation",
    "Granularity",
    "Intensity",
    "RadialDistribution",
    "Texture",
)
COLUMNS = 3  # panels side by side


def feature_channels(name: str, channels: Sequence[str]) -> list[str]:
    """Return the channels that a feature speaks of; two for a correlation of channels, `no stain` for a shape."""
    return cell_channels(name, channels) or [NO_CHANNEL]


def feature_scores(real: Mapping[str, pd.DataFrame], arm: Mapping[str, pd.DataFrame], names: set | None) -> pd.Series:
    """Correlate every feature with the real one across perturbations: the mean over plates, by feature.

    Parameters
    ----------
    real, arm : {plate: treated profiles, indexed by perturbation}; plates that only one of them has are left out
    names : the perturbations to take; None for all

    Returns
    -------
    one value a feature, NaN where the real feature is constant; empty where no plate has three common perturbations
    """
    plates = []
    for plate in sorted(set(real) & set(arm)):
        pair = [frame if names is None else frame[frame.index.isin(names)] for frame in (real[plate], arm[plate])]
        left, right = joined_values(*pair)
        if len(left) >= 3:
            features = [name for name in feature_names(pair[0]) if name in pair[1]]
            plates.append(pd.Series(similarity.feature_correlations(left, right)[0], index=features))
    return pd.concat(plates, axis=1).mean(axis=1) if plates else pd.Series(dtype=np.float64)


def group_means(scores: pd.Series, channels: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Average features by group and channel.

    Returns
    -------
    means, counts : groups in rows, channels and `no stain` in columns, without rows or columns that hold no feature
    """
    said = scores.dropna()
    rows = [(cell_group(name), channel, value) for name, value in said.items()
            for channel in feature_channels(name, channels)]  # fmt: skip
    long = pd.DataFrame(rows, columns=["group", "channel", "value"])
    known = [group for group in GROUPS if (long["group"] == group).any()]
    order = known + sorted(set(long["group"]) - set(known)), [*channels, NO_CHANNEL]
    tables = [
        long.pivot_table(index="group", columns="channel", values="value", aggfunc=how) for how in ("mean", "count")
    ]
    means, counts = (table.reindex(index=order[0], columns=order[1]).dropna(axis=1, how="all") for table in tables)
    return means, counts.fillna(0).astype(int)


def feature_figure(arms: Mapping[str, pd.Series], channels: Sequence[str]) -> plt.Figure:
    """Draw one heat map an arm (after the paper's Figure 5), all in one colour scale.

    Parameters
    ----------
    arms : {name: one correlation a feature}, from `feature_scores`
    channels : the stains, in order
    """
    columns = min(COLUMNS, len(arms))
    rows = -(-len(arms) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns + 0.9, 3.9 * rows), layout="constrained", squeeze=False
    )
    shown = None
    for place, (name, scores) in zip(axes.flat, arms.items()):
        shown = _heat_map(place, name, scores, channels) or shown
    for place in axes.flat[len(arms) :]:
        place.set_axis_off()
    if shown is not None:
        figure.colorbar(shown, ax=axes, shrink=0.6, label="mean correlation with the real feature")
    return figure


def tick_names(names: Sequence[str], most: int = 10) -> dict:
    """Return the labels below an axis, slanted where one is long."""
    slanted = {"rotation": 30, "ha": "right"} if max(map(len, names), default=0) > most else {}
    return {"labels": [as_text(name, 16) for name in names], **slanted}


def _heat_map(place: plt.Axes, name: str, scores: pd.Series, channels: Sequence[str]) -> AxesImage | None:
    """Draw one arm's heat map; None where there is nothing to compare."""
    if not scores.notna().any():
        place.set_title(as_text(name), fontsize=11)
        place.text(0.5, 0.5, "fewer than three\nperturbations to compare", ha="center", transform=place.transAxes)
        place.set_axis_off()
        return None
    means, counts = group_means(scores, channels)
    shown = place.imshow(means.to_numpy(), cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto")
    place.set_xticks(range(len(means.columns)), **tick_names(means.columns))
    place.set_yticks(range(len(means)), [as_text(group, 20) for group in means.index])
    place.tick_params(length=0)
    place.set_title(
        f"{as_text(name, 20)}: mean {scores.mean():.2f} of {int(scores.notna().sum())} features", fontsize=11
    )
    place.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(means.to_numpy()):
        if np.isfinite(value):
            words = f"{value:.2f}\n({counts.iat[row, column]})"
            colour = "white" if abs(value) > 0.6 else "black"
            place.text(column, row, words, ha="center", va="center", fontsize=8, color=colour)
    return shown


def main(argv: Sequence[str] | None = None) -> None:
    """Draw correlations with the real features by feature group and channel."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, dpi")
    parser.add_argument("--subset", choices=["full", "active"], required=True)
    parser.add_argument("--real", type=Path, required=True, help="real perturbation profiles")
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--profiles", type=Path, nargs="+", required=True, help="perturbation profiles, one an arm")
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    store.one_engine([args.real, *args.profiles])
    real = by_plate(args.real, "real")
    names = read_active(args.active) if args.subset == "active" else None
    arms = {arm: feature_scores(real, by_plate(path, arm), names) for arm, path in zip(args.arms, args.profiles)}
    with plt.rc_context(STYLE):
        save(feature_figure(arms, args.settings["channels"]["target"]), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
