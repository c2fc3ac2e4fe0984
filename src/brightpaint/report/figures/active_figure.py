"""Draw how the actives were found: the five panels of the paper's Figure 4, and what brightpaint adds.

A: cosine similarities of wells to DMSO wells; B: targets in three clusters; C: Grit against similarity; D: Grit by
cluster; E: t-SNE of all wells. F: similarities perturbation by perturbation; G: each target's shift against its null;
H: how far the ways of finding actives agree.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.profiles.agreement import CALLS
from brightpaint.profiles.similarity import cosine_similarity, target_sets
from brightpaint.profiles.treatments import TOGETHER
from brightpaint.report.style import STYLE, as_text, save
from brightpaint.study.annotations import PERTURBATION, unit_column

# Okabe and Ito's colours, told apart by colour-blind readers; clusters differ in marker too.
CLUSTERS = {"active": ("#d55e00", "o"), "partially active": ("#e69f00", "s"), "inactive": ("#0072b2", "^"),
            "control": ("#333333", "D"), "no cells": ("#999999", "v")}  # fmt: skip
PERPLEXITY = 30  # scikit-learn's default; less where there are few wells
NAMED, NAMED_LETTERS = 40, 24  # perturbations whose names can be read below an axis, and their letters


def active_figure(table: pd.DataFrame, wells: pd.DataFrame, agreement: pd.DataFrame) -> plt.Figure:
    """Draw how the actives were found, from the three tables that `active` writes."""
    column = unit_column(table)
    table = table.sort_values(["score_paper", column], ignore_index=True)
    figure, axes = plt.subplots(4, 2, figsize=(12, 18), layout="constrained")
    units = target_table(table)
    _distributions(axes[0, 0], wells)
    _clusters(axes[0, 1], units)
    _grit_scatter(axes[1, 0], units)
    _grit_boxes(axes[1, 1], units)
    _tsne(axes[2, 0], wells)
    _similarities(axes[2, 1], table)
    _null(axes[3, 0], units)
    _agreement(axes[3, 1], agreement)
    treated = int((table["Metadata_control_type"] != "negcon").sum())
    title = f"{int(table['active'].sum())} of {treated} {column.removeprefix('Metadata_')}s are active"
    if (table["active"] != table["found"]).any():
        title += f", by the list of targets in the config; {int(table['found'].sum())} were found"
    figure.suptitle("\n".join([title, *treatment_notes(table)]), fontsize=12)
    return figure


def treatment_notes(table: pd.DataFrame) -> list[str]:
    """Say of treatments how many have one well, and whether their doses follow the columns or rows of plates."""
    if unit_column(table) == PERTURBATION:
        return []
    alone = int(((table["wells"] == 1) & (table["Metadata_control_type"] != "negcon")).sum())
    notes = [f"{alone} have one well: their distance is set against DMSO wells left out, without replicates"] * bool(
        alone
    )
    for way in ("column", "row"):
        share = table.get(f"dose_by_{way}", pd.Series(dtype=float)).max()
        if share >= TOGETHER:
            notes.append(f"dose and {way} go together ({share:.0%} of the doses' variance lies between {way}s)")
    return notes


def target_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a target (a perturbation without one is its own), with the mean grit of its perturbations.

    Treatments are judged one by one: each is a row.
    """
    treated = table[table["cluster"].isin(["active", "partially active", "inactive"])]
    if unit_column(table) != PERTURBATION:
        return treated.assign(unit=treated[unit_column(table)])
    rows = []
    for names, (_, row) in zip(target_sets(treated["Metadata_target"]), treated.iterrows()):
        rows += [{**row, "unit": name} for name in sorted(names) or [f"perturbation {row['Metadata_perturbation']}"]]
    if not rows:
        return treated.assign(unit="")
    frame = pd.DataFrame(rows)
    grit = frame.groupby("unit")["grit"].mean()
    frame = frame.drop_duplicates("unit", ignore_index=True)
    return frame.assign(grit=grit.reindex(frame["unit"]).to_numpy())


def components(wells: pd.DataFrame) -> np.ndarray:
    """Return the wells' principal components: (n, D) float64."""
    return wells[[name for name in wells.columns if name.startswith("PC")]].to_numpy(dtype=np.float64)


def _distributions(axes: plt.Axes, wells: pd.DataFrame) -> None:
    """Panel A: densities of the cosine similarity of pairs of wells."""
    points, control = components(wells), (wells["Metadata_control_type"] == "negcon").to_numpy()
    similarity = cosine_similarity(points, points[control])
    similarity[np.flatnonzero(control), np.arange(control.sum())] = np.nan  # a well and itself
    edges = np.linspace(-1, 1, 61)
    groups = {"DMSO with DMSO": ("#333333", "-", similarity[control])}
    for cluster, line in (("inactive", "--"), ("partially active", "-."), ("active", "-")):
        chosen = (wells["cluster"] == cluster).to_numpy()
        groups[f"{cluster} with DMSO"] = (CLUSTERS[cluster][0], line, similarity[chosen])
    for label, (colour, line, values) in groups.items():
        values = values[np.isfinite(values)]
        if len(values):
            height, _ = np.histogram(values, bins=edges, density=True)
            axes.stairs(
                height, edges, color=colour, linestyle=line, linewidth=1.6, label=f"{label} ({len(values):,} pairs)"
            )
    axes.set(xlabel="cosine similarity of two wells", ylabel="density", xlim=(-1, 1))
    axes.set_ylim(top=1.3 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_title("A  similarity of wells to DMSO wells", fontsize=10, loc="left")


def _by_cluster(axes: plt.Axes, units: pd.DataFrame, x: str, y: str) -> None:
    """Draw targets by cluster, the active ones filled."""
    for cluster, (colour, marker) in CLUSTERS.items():
        part = units[units["cluster"] == cluster]
        filled = part["active"].astype(bool).to_numpy()
        for face, chosen in ((colour, filled), ("white", ~filled)):
            axes.scatter(part[x][chosen], part[y][chosen], c=face, edgecolors=colour, marker=marker, s=30)


def _grit_scatter(axes: plt.Axes, units: pd.DataFrame) -> None:
    """Panel C: Grit of each target against its similarity to DMSO."""
    axes.set_title("C  Grit of targets against similarity", fontsize=10, loc="left")
    if not units["grit"].notna().any():
        return _nothing(axes, "no Grit: it needs two wells of a perturbation and two of DMSO")
    _by_cluster(axes, units, "target_score", "grit")
    _grit_bound(axes, units)
    axes.set(xlabel="cosine similarity of mean profiles to DMSO's", ylabel="Grit, mean of a target's perturbations")


def _grit_boxes(axes: plt.Axes, units: pd.DataFrame) -> None:
    """Panel D: Grit by cluster."""
    axes.set_title("D  Grit by cluster", fontsize=10, loc="left")
    if not units["grit"].notna().any():
        return _nothing(axes, "no Grit")
    names = ["active", "partially active", "inactive"]
    groups = [units.loc[(units["cluster"] == name) & units["grit"].notna(), "grit"].to_numpy() for name in names]
    shown = [place for place, values in enumerate(groups) if len(values)]
    drawn = axes.boxplot(
        [groups[place] for place in shown], positions=shown, widths=0.5, showfliers=False, patch_artist=True
    )
    for place, box, line in zip(shown, drawn["boxes"], drawn["medians"]):
        box.set(facecolor="none", edgecolor=CLUSTERS[names[place]][0], linewidth=1.5)
        line.set(color=CLUSTERS[names[place]][0], linewidth=2)
        values = np.sort(groups[place])
        spread = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(
            place + spread, values, s=12, c=CLUSTERS[names[place]][0], marker=CLUSTERS[names[place]][1], alpha=0.7
        )
    _grit_bound(axes, units)
    axes.set_xticks(range(3), [f"{name}\n({len(values)})" for name, values in zip(names, groups)])
    axes.set(ylabel="Grit, mean of a target's perturbations", xlim=(-0.6, 2.6))


def _grit_bound(axes: plt.Axes, units: pd.DataFrame) -> None:
    bound = units["grit_null"].dropna()
    if len(bound):
        axes.axhline(bound.iloc[0], color="0.4", linewidth=0.9, linestyle=":", label="what DMSO alone seldom exceeds")
        axes.legend(frameon=False, fontsize=8)


def _tsne(axes: plt.Axes, wells: pd.DataFrame) -> None:
    """Panel E: t-SNE of all wells."""
    axes.set_title("E  t-SNE of all wells of all plates", fontsize=10, loc="left")
    if len(wells) < 5:
        return _nothing(axes, "too few wells")
    perplexity = min(PERPLEXITY, (len(wells) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(
        components(wells).astype(np.float32)
    )
    for cluster in ("control", "inactive", "no cells", "partially active", "active"):
        colour, marker = CLUSTERS[cluster]
        chosen = (wells["cluster"] == cluster).to_numpy()
        if chosen.any():
            axes.scatter(
                *places[chosen].T,
                c=colour,
                marker=marker,
                s=14,
                alpha=0.75,
                linewidths=0,
                label=f"{cluster} ({chosen.sum()})",
            )
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
    axes.legend(frameon=False, fontsize=8)


def _agreement(axes: plt.Axes, agreement: pd.DataFrame) -> None:
    """Panel H: Cohen's kappa of every two ways, and in how many perturbations they differ."""
    axes.set_title("H  agreement: Cohen's kappa", fontsize=10, loc="left")
    names = [name for name in CALLS if name in set(agreement["first"]) | set(agreement["second"])]
    if not names:
        return _nothing(axes, "nothing to compare")
    grid = np.full((len(names), len(names)), np.nan)
    for row in agreement.itertuples():
        place = names.index(row.second), names.index(row.first)
        grid[place] = row.kappa
        differ = row.first_only + row.second_only
        words = (
            f"{row.kappa:.2f}\n" if np.isfinite(row.kappa) else "same answer\nthroughout\n"
        ) + f"{differ} of {row.n} differ"
        axes.text(place[1], place[0], words, ha="center", va="center", fontsize=9,
                  color="white" if np.isfinite(row.kappa) and row.kappa < 0.5 else "black")  # fmt: skip
    axes.imshow(np.ma.masked_invalid(grid), cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), [CALLS[name] for name in names], rotation=20, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), [CALLS[name] for name in names], fontsize=8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _nothing(axes: plt.Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, ha="center", transform=axes.transAxes)
    axes.set_axis_off()


def _similarities(axes: plt.Axes, table: pd.DataFrame) -> None:
    for cluster, (colour, marker) in CLUSTERS.items():
        rows = table.index[(table["cluster"] == cluster) & table["score_paper"].notna()]
        if not len(rows):
            continue
        part = table.loc[rows]
        axes.vlines(rows, part["similarity_05"], part["similarity_95"], color=colour, linewidth=0.8)
        axes.vlines(rows, part["similarity_25"], part["similarity_75"], color=colour, linewidth=2.5)
        filled = part["active"].astype(bool).to_numpy() | (cluster == "control")
        for face, chosen in ((colour, filled), ("white", ~filled)):
            axes.scatter(
                rows[chosen], part["score_paper"][chosen], c=face, edgecolors=colour, marker=marker, zorder=3, s=26
            )
    control = table[table["cluster"] == "control"]
    if len(control):
        axes.axhline(control["score_paper"].iloc[0], color="0.3", linewidth=0.8, linestyle=":")
    unit = unit_column(table).removeprefix("Metadata_")
    axes.set(xlabel=f"{unit}s, in order of their mean similarity", ylabel="cosine similarity to DMSO wells")
    axes.set_title(f"F  {unit}s against DMSO wells (bars: 25-75%, lines: 5-95%)", fontsize=10, loc="left")
    if len(table) <= NAMED:
        names = [as_text(name, NAMED_LETTERS) for name in table[unit_column(table)]]
        axes.set_xticks(range(len(table)), names, rotation=90, fontsize=7)


def _clusters(axes: plt.Axes, units: pd.DataFrame) -> None:
    names = ["active", "partially active", "inactive"]
    for place, cluster in enumerate(names):
        colour, marker = CLUSTERS[cluster]
        part = units[units["cluster"] == cluster].sort_values("target_score")
        spread = np.linspace(-0.25, 0.25, len(part)) if len(part) > 1 else np.zeros(len(part))
        filled = part["active"].astype(bool).to_numpy()
        for face, chosen in ((colour, filled), ("white", ~filled)):
            axes.scatter(
                place + spread[chosen], part["target_score"][chosen], c=face, edgecolors=colour, marker=marker, s=30
            )
    counts = [int((units["cluster"] == cluster).sum()) for cluster in names]
    axes.set_xticks(range(3), [f"{name}\n({count})" for name, count in zip(names, counts)])
    axes.set(ylabel="cosine similarity of mean profiles to DMSO's", xlim=(-0.6, 2.6))
    axes.set_title("B  targets in three clusters (filled: active)", fontsize=10, loc="left")


def _null(axes: plt.Axes, units: pd.DataFrame) -> None:
    axes.set_title("G  shift from DMSO against the null", fontsize=10, loc="left")
    if units["null_p"].isna().all():
        return _nothing(axes, "no null was drawn")
    top = 1.08 * max(units["shift"].max(), units["null_shift"].max())
    _by_cluster(axes, units, "null_shift", "shift")
    axes.plot([0, top], [0, top], color="0.5", linewidth=0.8, linestyle="--")
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="shift that a share alpha of\nsham targets exceeds",
             ylabel="shift of the target's mean profiles")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Draw how the active perturbations were found."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    for name in ("active", "wells", "agreement"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="a table that `active` writes")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    tables = [store.read_table(path) for path in (args.active, args.wells, args.agreement)]
    with plt.rc_context(STYLE):
        save(active_figure(*tables), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
