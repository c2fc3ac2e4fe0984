"""Show where the classifier of cells looks: cells with their maps, best, typical and worst of each class, and the scores of all.

A map is drawn over the mean of the cell's channels, scaled to its own largest value for the eye alone; the score is not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.models.crop_images import open_all, rows_of
from brightpaint.models.grad_cam import layer_number
from brightpaint.models.see_cells import CellReader, read_network
from brightpaint.report.style import LINES, STYLE, as_text, save
from brightpaint.scores.cells.camo import HALF
from brightpaint.scores.cells.explained import maps_of

MOST_CLASSES = 8  # that are shown; a table names the others
PLACES = {"best": 1.0, "typical": 0.5, "worst": 0.0}  # quantiles of a class's lift
PUBLISHED = "The Grad-CAMO paper: 47% of profiles overlap with their cell (abstract), 30% by more than half (text)"
SHOWN = (-1.0, 4.0)  # z-scores from black to white


def shown_classes(cells: pd.DataFrame) -> list[str]:
    """Return the classes that are shown: those with a lift, by name, MOST_CLASSES of them spread over the order of median lift."""
    order = cells.dropna(subset="lift").groupby("class")["lift"].median().sort_values().index.to_list()
    picked = (
        np.unique(np.linspace(0, len(order) - 1, min(len(order), MOST_CLASSES)).round().astype(int)) if order else []
    )
    return sorted(order[place] for place in picked)


def pick_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the cells that are shown, with `place` (of PLACES): of each class those nearest to its quantiles."""
    rows = []
    for name in shown_classes(cells):
        own = cells[cells["class"] == name].dropna(subset="lift").sort_values("lift", kind="stable")
        for place, quantile in PLACES.items():
            rows.append({**own.iloc[round(quantile * (len(own) - 1))].to_dict(), "place": place})
    return pd.DataFrame(rows)


def numbers_of(cells: pd.DataFrame, keys: pd.DataFrame) -> np.ndarray:
    """Return which crops these cells are, counted through all files: joined by CROP_KEYS.

    Parameters
    ----------
    keys : CROP_KEYS of every crop, in order
    """
    numbered = keys[store.CROP_KEYS].assign(number=np.arange(len(keys)))
    joined = cells[store.CROP_KEYS].merge(numbered, on=store.CROP_KEYS, how="left", validate="many_to_one")
    if joined["number"].isna().any():
        where = store.describe_field(joined[joined["number"].isna()].iloc[0])
        raise ValueError(f"a cell of {where} has a score and no crop; delete the scores and rerun gradcamo")
    return joined["number"].to_numpy(np.int64)


def pictures(reader: CellReader, numbers: np.ndarray, classes: np.ndarray, layer: int) -> list[tuple]:
    """Return (image, map, own mask), (H, W) each, of these cells: their thickest plane, the mean of the channels."""
    found = []
    for (crops, _), number, known in zip((next(reader.batches([n])) for n in numbers), numbers, classes):
        every = torch.full((len(crops),), int(known), dtype=torch.int64, device=crops.device)
        depth = reader.crops.masks([number])[0, 0]
        plane = int(depth.sum(axis=(1, 2)).argmax())
        cam = maps_of(reader, crops, every, layer, 1)[0, plane]
        found.append((crops[0, :, plane].mean(dim=0).cpu().numpy(), cam, depth[plane]))
    return found


def cells_figure(picked: pd.DataFrame, drawn: Sequence[tuple], arm: str) -> plt.Figure:
    """Draw each class in a row: of its best, typical and worst cell the crop with its outline, and the map over it."""
    names = list(dict.fromkeys(picked["class"]))
    figure, axes = plt.subplots(max(len(names), 1), 2 * len(PLACES), squeeze=False, layout="constrained",
                                figsize=(1.45 * 2 * len(PLACES) + 1, 1.6 * max(len(names), 1) + 1))  # fmt: skip
    for panel in axes.flat:
        panel.set_xticks([]), panel.set_yticks([])
        panel.spines[:].set_visible(False)
    columns = list(PLACES)
    for row, (image, cam, mask) in zip(picked.to_dict("records"), drawn):
        line, column = names.index(row["class"]), 2 * columns.index(row["place"])
        for panel in axes[line, column : column + 2]:
            panel.imshow(image, cmap="gray", vmin=SHOWN[0], vmax=SHOWN[1])
            if 0 < mask.mean() < 1:
                panel.contour(mask, levels=[0.5], colors=LINES[5], linewidths=0.8)
        if cam.max() > 0:
            axes[line, column + 1].imshow(cam / cam.max(), cmap="inferno", vmin=0, vmax=1, alpha=0.6)
        axes[line, column].set_title(row["place"], fontsize=8)
        axes[line, column + 1].set_title(f"lift {row['lift']:.2f}", fontsize=8)
    for line, name in enumerate(names):
        axes[line, 0].set_ylabel(as_text(name, 18), fontsize=8)
    figure.suptitle(f"Where the classifier looks in cells of {as_text(arm)}, each for its own class" if names else
                    f"No cell of {as_text(arm)} has a map", fontsize=10)  # fmt: skip
    return figure


def scores_figure(cells: pd.DataFrame, arm: str) -> plt.Figure:
    """Draw the histogram of the cells' scores, over all and by class, with the line that attention spread evenly would give."""
    names = ["", *shown_classes(cells)]
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3.4 * columns, 2.4 * lines + 0.9), squeeze=False,
                                layout="constrained")  # fmt: skip
    for panel, name in zip(axes.flat, names):
        own = cells[cells["class"] == name] if name else cells
        known = own["camo"].dropna()
        panel.hist(known, bins=np.linspace(0, 1, 26), color=LINES[5])
        panel.axvline(own["area"].mean(), color=LINES[1], label=f"even attention {own['area'].mean():.2f}")
        above = f"{(known > HALF).mean():.0%} above one half" if len(known) else "no map"
        panel.set_title(
            f"{as_text(name or 'all classes', 24)}: {above}, {own['camo'].isna().mean():.0%} without a map", fontsize=8
        )
        panel.set_xlim(0, 1)
        panel.legend(fontsize=7, frameon=False)
    for panel in axes.flat[len(names) :]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel("cells", fontsize=8)
    for panel in axes.flat[max(0, len(names) - columns) : len(names)]:
        panel.set_xlabel("share of the attention on the cell", fontsize=8)
    figure.suptitle(f"Grad-CAMO of cells of {as_text(arm)}\n{PUBLISHED}", fontsize=9)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Show where the classifier of cells looks."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi, layer")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--arm", required=True)
    parser.add_argument("--crops", type=Path, nargs="+", required=True)
    for name in ("weights", "scores", "cells", "histogram"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    table = store.read_table(args.scores, [*store.CROP_KEYS, "class", "tested", "camo", "area", "lift"])
    tested = table[table["tested"] == 1]
    picked, drawn = pick_cells(tested), []
    if len(picked):
        reader = CellReader(args.crops, read_network(args.weights, pick_device(args.device)))
        layer = layer_number(reader.trained.network, args.settings["layer"])
        numbers = numbers_of(picked, rows_of(open_all(args.crops), store.CROP_KEYS))
        drawn = pictures(reader, numbers, picked["class"].map(reader.trained.labels).to_numpy() - 1, layer)
    else:
        picked = pd.DataFrame(columns=["class", "place", "lift"])
    with plt.rc_context(STYLE):
        save(cells_figure(picked, drawn, args.arm), args.cells, args.settings["dpi"])
        save(scores_figure(tested, args.arm), args.histogram, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
