"""Which targets are found again by several arms: the matrices of the paper's Figures 6 and 7. Pure functions and their figure.

A target is matched on a plate if one of its perturbations has another one of it among its five nearest (cosine). Figure 6
counts the matched targets that two arms share, with their own number on the diagonal; Figure 7 is the share of the column's
own. What two arms would share by chance, were their sets independent, stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint.evaluation import metrics
from brightpaint.evaluation.profile_scores import similarities

NEIGHBOURS = 5


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
    sets = metrics.target_sets(targets)
    named = pd.Series([name for group in sets for name in group], dtype="str").value_counts()
    nearest = metrics.nearest_neighbours(similarity, NEIGHBOURS)
    matched = {
        name
        for row, near in enumerate(nearest)
        for other in near
        if shared[row, other]
        for name in sets[row] & sets[other]
    }
    return matched, set(named.index[named > 1])


def overlap_table(arms: Mapping[str, Mapping[str, pd.DataFrame]], names: set | None) -> pd.DataFrame:
    """Count the matched targets that every two arms share, on the plates that both have.

    Parameters
    ----------
    arms : {arm: {plate: treated profiles, indexed by perturbation}}
    names : the perturbations to take; None for all

    Returns
    -------
    frame: row, column (arms), plates, possible (targets), of_row, of_column, shared, share (of the column's own), chance (shared
    targets if both sets were drawn at random, in the mean)
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
            rows.append({"row": one, "column": two, "plates": len(plates), **counts, "share": share,
                         "chance": counts["shared"] if one == two else chance})  # fmt: skip
    return pd.DataFrame(rows)


def overlap_figure(table: pd.DataFrame, labels: Mapping[str, str]) -> plt.Figure:
    """Draw both matrices; `labels` gives the arms' names in words."""
    arms = list(dict.fromkeys(table["row"]))
    side = max(3.4, 0.95 * len(arms) + 1.6)
    figure, axes = plt.subplots(1, 2, figsize=(2 * side + 1.2, side + 0.6), layout="constrained")
    table = table.set_index(["row", "column"])
    for place, (key, title) in zip(
        axes, {"shared": "matched targets in common", "share": "share of the column's own, %"}.items()
    ):
        grid = table[key].unstack().loc[arms, arms].to_numpy(dtype=float)
        top = np.nanmax(grid, initial=1) if key == "shared" else 1
        place.imshow(np.ma.masked_invalid(grid), cmap="viridis", vmin=0, vmax=top)
        for (row, column), value in np.ndenumerate(grid):
            pair = table.loc[(arms[row], arms[column])]
            words = (
                "no common\nplate"
                if not pair["plates"]
                else f"{value:.0f}"
                if key == "shared"
                else f"{100 * value:.0f}"
            )
            if not np.isfinite(value) and pair["plates"]:
                words = "none"
            if key == "shared" and row != column and pair["plates"]:
                words += f"\n({pair['chance']:.1f})"
            colour = "white" if np.isfinite(value) and value < 0.55 * top else "black"
            place.text(column, row, words, ha="center", va="center", fontsize=9, color=colour)
        place.set_xticks(range(len(arms)), [labels.get(arm, arm) for arm in arms], rotation=30, ha="right")
        place.set_yticks(range(len(arms)), [labels.get(arm, arm) for arm in arms] if key == "shared" else [])
        place.tick_params(length=0)
        place.spines[:].set_visible(False)
        place.set_title(title, fontsize=11)
    own = table.loc[[(arms[0], arms[0])]].iloc[0]
    figure.suptitle(
        f"Top-five target matches, of {int(own['possible'])} targets (in brackets: in common by chance)", fontsize=11
    )
    return figure
