"""Which targets are found again by several arms: the matrices of the paper's Figures 6 and 7.

A target is matched on a plate if one of its perturbations has another one of it among its five nearest (cosine). Figure 6
counts the matched targets that two arms share, with their own number on the diagonal; Figure 7 is the share of the column's
own. What two arms would share by chance, were their sets independent, stands beside. As in the paper an arm appears once in
the space of CellProfiler's features and once more in every other space that it is in.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.profiles.similarity import nearest_neighbours, target_sets
from brightpaint.report.style import STYLE, as_text, save
from brightpaint.scores.columns import WITHOUT_PREDICTION
from brightpaint.scores.profiles.matching import by_plate, same_compound, similarities
from brightpaint.scores.rows import read_active
from brightpaint.study.spaces import SPACES

NEIGHBOURS = 5
SIDE_BY_SIDE = 8  # two matrices of more rows do not fit a page beside one another


def matched_targets(profiles: pd.DataFrame) -> tuple[set[str], set[str]]:
    """Return the targets that are matched among one plate's profiles, and all that could be.

    Parameters
    ----------
    profiles : from `treated_profiles`, of the perturbations in question

    Returns
    -------
    matched, possible : names; a target of one perturbation alone cannot be matched
    """
    similarity, targets, shared = similarities(profiles)
    sets = target_sets(targets)
    pairs = zip(*np.nonzero(shared))
    possible = {name for row, other in pairs for name in sets[row] & sets[other]}
    nearest = nearest_neighbours(np.where(same_compound(profiles), -np.inf, similarity), NEIGHBOURS)
    matched = {
        name
        for row, near in enumerate(nearest)
        for other in near
        if shared[row, other]
        for name in sets[row] & sets[other]
    }
    return matched, possible


def overlap_table(arms: Mapping[tuple[str, str], Mapping[str, pd.DataFrame]], names: set | None) -> pd.DataFrame:
    """Count the matched targets that every two arms share, on the plates that both have.

    Parameters
    ----------
    arms : {(arm, space): {plate: treated profiles, indexed by perturbation}}
    names : the perturbations to take; None for all

    Returns
    -------
    frame: row, row_space, column, column_space (arms and their spaces), plates, possible (targets), of_row, of_column, shared,
    share (of the column's own), chance (shared targets if both sets were drawn at random, in the mean)
    """
    found = {arm: {plate: matched_targets(frame if names is None else frame[frame.index.isin(names)])
                   for plate, frame in plates.items()} for arm, plates in arms.items()}  # fmt: skip
    rows = []
    for one in arms:
        for two in arms:
            plates = sorted(set(found[one]) & set(found[two]))
            counts = dict.fromkeys(("possible", "of_row", "of_column", "shared"), 0)
            chance = 0.0
            for plate in plates:
                possible = found[one][plate][1] & found[two][plate][1]
                left, right = found[one][plate][0] & possible, found[two][plate][0] & possible
                counts["possible"] += len(possible)
                counts["of_row"], counts["of_column"] = counts["of_row"] + len(left), counts["of_column"] + len(right)
                counts["shared"] += len(left & right)
                chance += len(left) * len(right) / max(len(possible), 1)
            share = counts["shared"] / counts["of_column"] if counts["of_column"] else np.nan
            rows.append({"row": one[0], "row_space": one[1], "column": two[0], "column_space": two[1], "plates": len(plates),
                         **counts, "share": share, "chance": counts["shared"] if one == two else chance})  # fmt: skip
    return pd.DataFrame(rows)


def overlap_figure(table: pd.DataFrame, labels: Mapping[str, str]) -> plt.Figure:
    """Draw both matrices, side by side or, where they are large, one above the other; `labels` gives the arms' names in words."""
    table = table.set_index(["row", "row_space", "column", "column_space"])
    arms = list(dict.fromkeys(zip(table.index.get_level_values(0), table.index.get_level_values(1))))
    said = [
        as_text(labels.get(arm, arm), 24) + (f", {SPACES[space].short}" if SPACES[space].apart else "")
        for arm, space in arms
    ]
    stacked = len(arms) > SIDE_BY_SIDE
    side = max(3.4, (0.72 if stacked else 0.95) * len(arms) + 1.6)
    size = (side + 2.2, 2 * side + 0.6) if stacked else (2 * side + 1.2, side + 0.6)
    figure, axes = plt.subplots(*((2, 1) if stacked else (1, 2)), figsize=size, layout="constrained")
    for place, (key, title) in zip(
        axes, {"shared": "matched targets in common", "share": "share of the column's own, %"}.items()
    ):
        _draw_matrix(place, table, arms, key)
        place.set_xticks(range(len(arms)), said, rotation=30, ha="right")
        place.set_yticks(range(len(arms)), said if stacked or key == "shared" else [])
        place.tick_params(length=0)
        place.spines[:].set_visible(False)
        place.set_title(title, fontsize=11)
    own = table.loc[[(*arms[0], *arms[0])]].iloc[0]
    figure.suptitle(
        f"Top-five target matches, of {int(own['possible'])} targets (in brackets: in common by chance)", fontsize=11
    )
    return figure


def _draw_matrix(place: plt.Axes, table: pd.DataFrame, arms: list[tuple[str, str]], key: str) -> None:
    """Colour a matrix of `shared` or `share` and write its numbers."""
    grid = np.array([[table.loc[(*one, *two), key] for two in arms] for one in arms], dtype=float)
    top = np.nanmax(grid, initial=1) if key == "shared" else 1
    place.imshow(np.ma.masked_invalid(grid), cmap="viridis", vmin=0, vmax=top)
    for (row, column), value in np.ndenumerate(grid):
        pair = table.loc[(*arms[row], *arms[column])]
        words = (
            "no common\nplate" if not pair["plates"] else f"{value:.0f}" if key == "shared" else f"{100 * value:.0f}"
        )
        if not np.isfinite(value) and pair["plates"]:
            words = "none"
        if key == "shared" and row != column and pair["plates"]:
            words += f"\n({pair['chance']:.1f})"
        colour = "white" if np.isfinite(value) and value < 0.55 * top else "black"
        place.text(column, row, words, ha="center", va="center", fontsize=9, color=colour)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the matched targets that arms share, and write their table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--subset", choices=["full", "active"], required=True)
    parser.add_argument("--arms", nargs="+", required=True, help="an arm once for each space that it is in")
    parser.add_argument("--spaces", nargs="+", required=True, choices=list(SPACES), help="their spaces")
    parser.add_argument("--profiles", type=Path, nargs="+", required=True, help="their perturbation profiles")
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--table", type=Path, required=True, help="the table to write")
    parser.add_argument("--figure", type=Path, required=True, help="the PNG to write")
    args = parser.parse_args(argv)
    if not len(args.arms) == len(args.spaces) == len(args.profiles):
        counts = f"{len(args.arms)}, {len(args.spaces)} and {len(args.profiles)} were given"
        raise ValueError(f"overlap: --arms, --spaces and --profiles must be as many; {counts}")
    for space in dict.fromkeys(args.spaces):
        store.one_engine(path for path, its in zip(args.profiles, args.spaces) if its == space)
    names = read_active(args.active) if args.subset == "active" else None
    paths = dict(zip(zip(args.arms, args.spaces), args.profiles))
    arms = {key: by_plate(path, f"{key[0]}, {key[1]}") for key, path in paths.items()}
    painted = {plate for (arm, _), plates in arms.items() if arm not in WITHOUT_PREDICTION for plate in plates}
    arms = {key: {plate: frame for plate, frame in plates.items() if plate in painted} for key, plates in arms.items()}
    table = overlap_table(arms, names)
    store.write_table(store.as_text(table), args.table)
    with plt.rc_context(STYLE):
        figure = overlap_figure(table, {**WITHOUT_PREDICTION, "lookup": "look-up, no image"})
        save(figure, args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
