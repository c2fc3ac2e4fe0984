"""Explain cells by Grad-CAM, each by its own class and by the class answered, and score the maps on the cells' masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from brightpaint.base.seeds import seed_of
from brightpaint.models.erasing import cycle
from brightpaint.models.grad_cam import class_maps, upsampled
from brightpaint.models.networks.cell_network import build_cell_network
from brightpaint.models.see_cells import BATCH, CellReader, TrainedCells
from brightpaint.scores.cells.camo import camo_scores

UNKNOWN = -1  # a cell without a class that was learnt
OWN, PREDICTED, OTHER_CELL = "own", "predicted", "other_cell"
SCORES = ["camo", "area", "lift", "neighbours", "neighbours_lift"]


def untrained(trained: TrainedCells) -> TrainedCells:
    """Return the network as it was before it was trained."""
    torch.manual_seed(seed_of(trained.settings["seed"], "weights"))
    network = build_cell_network(trained.settings, {"target": trained.channels}, len(trained.labels))
    return replace(trained, network=network.to(trained.device).eval().requires_grad_(False))


def scored(maps: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """Score maps on the own cells, and on all others in their crops.

    Parameters
    ----------
    maps : (n, D, H, W)
    masks : (n, 2, D, H, W), own cell and all cells

    Returns
    -------
    One row a crop, SCORES: those of `camo_scores`, then `neighbours`, the share of attention on other cells (0 to 1, 0 where
    there are none), and `neighbours_lift`, over their share of the crop (NaN where there are none)
    """
    others = camo_scores(maps, (masks[:, 1] > 0) & (masks[:, 0] == 0))
    return camo_scores(maps, masks[:, 0]).assign(neighbours=others["camo"], neighbours_lift=others["lift"])[SCORES]


def maps_of(reader: CellReader, crops: torch.Tensor, classes: torch.Tensor, layer: int, count: int) -> np.ndarray:
    """Return the maps of the first `count` crops at the crops' size, (count, D, H, W) float32."""
    network = reader.trained.network
    maps = class_maps(network, crops, classes, layer)[:count]
    return upsampled(maps, network.size, network.strides_of(layer)).cpu().numpy()


def explain(reader: CellReader, cells: Sequence[int], truth: Sequence[int], layer: int) -> dict[str, pd.DataFrame]:
    """Explain cells.

    Parameters
    ----------
    cells : (n,) which, counted through all files
    truth : (n,) their classes from 0; UNKNOWN cells have no own class

    Returns
    -------
    {OWN, PREDICTED, OTHER_CELL: one row a cell, SCORES and `answer`, the class answered, from 0}. OTHER_CELL lays the map of
    another cell, for that one's class, on this cell's mask (NaN where there is but one cell); an UNKNOWN cell is explained by
    its answer there, and its OWN scores are NaN.
    """
    cells, truth = np.asarray(cells, np.int64), np.asarray(truth, np.int64)
    order, last = cycle(len(cells), "gradcamo"), None
    found = {what: [] for what in (OWN, PREDICTED, OTHER_CELL)}
    shown = np.concatenate([order[-1:], order])  # the last one first: its map is laid on the first one's mask
    for number, (crops, count) in enumerate(
        tqdm(reader.batches(cells[shown]), total=-(-len(shown) // BATCH), unit="batch", disable=None)
    ):
        places = shown[number * BATCH : number * BATCH + count]
        masks = reader.crops.masks(cells[places])
        with torch.no_grad():
            answers = reader.trained.network(crops).argmax(dim=1)
        known = torch.from_numpy(truth[places]).to(answers.device)
        own = answers.clone()  # of what fills a batch up too
        own[:count] = torch.where(known == UNKNOWN, own[:count], known)
        maps = {
            what: maps_of(reader, crops, classes, layer, count) for what, classes in ((OWN, own), (PREDICTED, answers))
        }
        before = np.concatenate([maps[OWN][:1] if last is None else last, maps[OWN][:-1]])
        last = maps[OWN][-1:]
        for what, laid in {**maps, OTHER_CELL: before if len(cells) > 1 else 0 * before}.items():
            scores = scored(laid, masks).assign(answer=answers[:count].cpu().numpy(), place=places)
            found[what].append(scores.iloc[1:] if number == 0 else scores)
    tables = {what: pd.concat(parts).set_index("place").sort_index() for what, parts in found.items()}
    tables[OWN].loc[truth == UNKNOWN, [name for name in SCORES if name != "area"]] = np.nan
    return tables


def spread_evenly(reader: CellReader, cells: Sequence[int]) -> pd.DataFrame:
    """Score attention that is the same everywhere on these cells' masks: SCORES, whose lift is 1."""
    cells = np.asarray(cells, np.int64)
    parts = [reader.crops.masks(cells[first : first + BATCH]) for first in range(0, len(cells), BATCH)]
    return pd.concat([scored(np.ones_like(masks[:, 0]), masks) for masks in parts], ignore_index=True)
