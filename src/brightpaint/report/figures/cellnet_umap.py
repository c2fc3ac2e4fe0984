"""Lay test cells out by UMAP at points of their classifier's training, and say beside each how well wells find their own class.

UMAP (McInnes et al. 2018) keeps neighbours; distances between islands, their sizes and the axes mean nothing, and another seed
draws another picture. The number is taken in the last activations themselves: mean average precision with which the median cell of
a test well finds the test wells of its class, on other plates where there are several (`retrieval.replicate_precisions`, the
workflow's replicate mAP with a class for the perturbation); its null shuffles the classes within plates.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.seeds import seed_of
from brightpaint.models.see_cells import CellReader, read_network
from brightpaint.report.style import LINES, STYLE, as_text, save
from brightpaint.scores.cells.cellnet_accuracy import tested_cells
from brightpaint.scores.profiles.retrieval import SHUFFLES, replicate_precisions, replicate_ranks

MOST_CELLS = 2000  # that are drawn
NEIGHBOURS, LEAST_CELLS = 15, 8  # UMAP's default; fewer cells are laid out by nothing
MOST_CLASSES = len(LINES)  # that have a colour; the others are grey
KEPT = "kept"  # the weights that the study uses, the best by validation
COLUMNS = ["arm", "images", "metric", "value", "low", "high", "null", "null_bound", "wells", "gallery", "seed"]
log = logging.getLogger(__name__)


def well_medians(activations: np.ndarray, cells: pd.DataFrame, normalise: str) -> pd.DataFrame:
    """Return the median cell of each well, with `Metadata_Plate`, `Metadata_group` and `Metadata_class`.

    Parameters
    ----------
    activations : (n, F)
    cells : `group`, `plate`, `name`; a group with cells of several classes has a row for each
    normalise : `plate`: each number is standardised over its plate's wells, as the space's are over fields; or `none`
    """
    frame = pd.DataFrame(activations.astype(np.float64), columns=[f"{n}" for n in range(activations.shape[1])])
    keys = cells[["plate", "group", "name"]].set_axis(["Metadata_Plate", "Metadata_group", "Metadata_class"], axis=1)
    medians = (
        pd.concat([keys.reset_index(drop=True), frame], axis=1).groupby(list(keys), sort=True).median().reset_index()
    )
    names = list(frame.columns)
    if normalise == "plate":
        by_plate = medians.groupby("Metadata_Plate")[names]
        sd = by_plate.transform(lambda column: column.std(ddof=0))
        medians[names] = (medians[names] - by_plate.transform("mean")) / sd.where(sd > 0, 1)
    return medians


def searched(wells: pd.DataFrame, seed: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return (queries (q,), who is searched (q, m), their ranks (q, m) from 1): wells of other plates, or all others of one."""
    plates, every = wells["Metadata_Plate"].to_numpy(), np.arange(len(wells))
    names = list(dict.fromkeys(plates))
    if len(names) > 1:
        sides = [(every[plates == name], every[plates != name]) for name in names]
        return [(own, np.tile(others, (len(own), 1)), replicate_ranks(wells.iloc[own], wells.iloc[others], seed))
                for own, others in sides]  # fmt: skip
    if len(wells) < 2:
        return []
    ranks, others = replicate_ranks(wells, wells, seed), ~np.eye(len(wells), dtype=bool)
    ranks = (ranks - (ranks > np.diag(ranks)[:, None]))[others].reshape(len(wells), -1)  # a well is no answer to itself
    return [(every, np.tile(every, (len(wells), 1))[others].reshape(len(wells), -1), ranks)]


def precisions(parts: list, classes: np.ndarray) -> np.ndarray:
    """Return the average precision with which each well finds those of its class, (n,), NaN where there is none.

    Parameters
    ----------
    parts : from `searched`
    """
    found = np.full(len(classes), np.nan)
    for own, others, ranks in parts:
        same = classes[others] == classes[own][:, None]
        counts = same.sum(axis=1)
        first = np.argsort(~same, axis=1, kind="stable")[:, : max(int(counts.max()), 1)]
        found[own] = replicate_precisions(ranks, np.where(np.arange(first.shape[1]) < counts[:, None], first, -1))
    return found


def retrieval_row(wells: pd.DataFrame, seed: str) -> dict:
    """Return value, low, high (95% by well), null, null_bound and wells of the replicate mAP of wells by class."""
    classes, parts = wells["Metadata_class"].to_numpy(str), searched(wells, seed)
    found, plates = precisions(parts, classes), wells["Metadata_Plate"].to_numpy()
    known = np.isfinite(found)
    gallery = "other plates" if len(set(plates)) > 1 else "other wells"
    row = {"metric": "map_replicate", "wells": int(known.sum()), "gallery": gallery}
    if not known.any():
        return {**row, "value": np.nan}
    groups, rng = wells["Metadata_group"].to_numpy()[known], resampling.seeded(seed, "umap wells")
    low, high = resampling.bootstrap_ratio(found[known], np.ones(known.sum()), groups, rng)
    rng = resampling.seeded(seed, "umap shuffle")
    drawn = (np.lexsort((rng.random(len(plates)), plates)) for _ in range(SHUFFLES))  # within plates
    order, null = np.argsort(plates, kind="stable"), np.full(SHUFFLES, np.nan)
    for number, shuffle in enumerate(drawn):
        shuffled = classes.copy()
        shuffled[order] = classes[shuffle]
        null[number] = np.nanmean(precisions(parts, shuffled))
    return {**row, "value": float(found[known].mean()), "low": low, "high": high, "null": float(np.mean(null)),
            "null_bound": float(np.quantile(null, 0.95))}  # fmt: skip


def layout(activations: np.ndarray, seed: int) -> np.ndarray:
    """Lay cells out by UMAP: (n, F) -> (n, 2)."""
    import umap  # here: it compiles itself as it is first asked, and only this needs it

    # With a seed it works on one thread, so that the same picture comes again; begun from principal components.
    mapped = umap.UMAP(n_neighbors=min(NEIGHBOURS, len(activations) - 1), random_state=seed, n_jobs=1, init="pca")
    return mapped.fit_transform(activations)


def umap_figure(panels: dict[str, tuple[np.ndarray, str]], classes: np.ndarray, arm: str, seed: int) -> plt.Figure:
    """Draw one panel a point of training.

    Parameters
    ----------
    panels : {title: (places (n, 2), words beneath it)}
    classes : (n,) names
    """
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure, grid = plt.subplots(
        down, across, figsize=(3.3 * across, 3.6 * down + 0.7), layout="constrained", squeeze=False
    )
    for panel in grid.flat:
        panel.set(xticks=[], yticks=[])
    for panel in grid.flat[len(panels) :]:
        panel.set_axis_off()
    names = sorted(set(classes))
    for panel, (title, (place, words)) in zip(grid.flat, panels.items()):
        for number, name in enumerate(names):
            own = classes == name
            colour, label = (LINES[number], as_text(name, 18)) if number < MOST_CLASSES else ("0.7", None)
            panel.scatter(*place[own].T, s=5, color=colour, linewidths=0, label=label)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel(words, fontsize=8)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, max(len(labels), 1)), fontsize=8, frameon=False,
                  markerscale=2)  # fmt: skip
    others = f"; {len(names) - MOST_CLASSES} further classes in grey" if len(names) > MOST_CLASSES else ""
    figure.suptitle(f"Test cells of {as_text(arm)} along the training (UMAP, seed {seed}{others})", fontsize=10)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Lay test cells out at points of training."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: label, normalise, umap_at, seed, dpi")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--points", type=Path, nargs="+", required=True, help="weights at each of umap_at")
    parser.add_argument("--crops", type=Path, nargs="+", required=True)
    for name in ("weights", "split", "figure", "table"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    settings, device = args.settings, pick_device(args.device)
    points = {f"{images}": path for images, path in zip(settings["umap_at"], args.points, strict=True)}
    labels = read_network(args.weights, device).labels
    cells, _, tested = tested_cells(args, labels)
    chosen, cells = np.flatnonzero(tested), cells[tested].reset_index(drop=True)
    seed = seed_of("umap", settings["seed"]) % 2**31
    drawn = np.sort(np.random.default_rng(seed).permutation(len(chosen))[:MOST_CELLS])
    panels, rows = {}, []
    for name, path in {**points, KEPT: args.weights}.items():
        activations = CellReader(args.crops, read_network(path, device)).activations(chosen)
        row = retrieval_row(well_medians(activations, cells, settings["normalise"]), f"{args.arm}/cellnet")
        rows.append({"arm": args.arm, "images": name, "seed": seed, **row})
        words = f"replicate mAP {row['value']:.2f} (chance {row.get('null', np.nan):.2f})"
        title = "the weights that are used" if name == KEPT else f"{int(name):,} crops seen"
        log.info("%s, %s: %s, %d wells", args.arm, title, words, row["wells"])
        if len(drawn) >= LEAST_CELLS:
            panels[title] = layout(activations[drawn], seed), words
        else:
            panels[title] = np.zeros((len(drawn), 2)), f"{words}; {len(drawn)} cells are too few to lay out"
    store.write_table(store.as_text(pd.DataFrame(rows).reindex(columns=COLUMNS)), args.table)
    with plt.rc_context(STYLE):
        save(umap_figure(panels, cells["name"].to_numpy(str)[drawn], args.arm, seed), args.figure, settings["dpi"])


if __name__ == "__main__":
    run(main)
