"""Train a classifier of single cells on the crops of some wells, and write which wells it has not seen.

Real cells alone are trained on. The split of wells (`models.cell_split`) is drawn from names, so that every variant has the
same: `cells`, and its controls: `shuffled`, whose labels are dealt out among the wells, and `floor`, whose crops lack the cell.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.cell_split import TEST, TRAIN, UNSEEN, VALIDATE, shuffled_names, split_groups
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.labels import label_names
from brightpaint.models.crop_images import CropImages, label_columns, open_all, rows_of, with_masks
from brightpaint.models.erasing import CELL, Erasing
from brightpaint.models.fit import describe, finish, fit
from brightpaint.models.grad_cam import layer_number
from brightpaint.models.networks.cell_network import CellNetwork, build_cell_network
from brightpaint.models.networks.unet import parameter_count
from brightpaint.models.objectives.cell_classes import MASK, Attention, CellClassification, class_weights
from brightpaint.models.objectives.updates import MODEL
from brightpaint.models.steps import Training
from brightpaint.models.validation import Validation
from brightpaint.study.kinds import CELLNET
from brightpaint.study.single_cells import FLOOR, SHUFFLED, VARIANTS

VALIDATION_CELLS = 1024
SPLIT = ("label", "test_share", "test_plates", "validation_share")  # settings that say which wells are seen
log = logging.getLogger(__name__)


def labelled_cells(paths: Sequence[Path], label: str) -> pd.DataFrame:
    """Return one row a crop, counted through all files: `group`, `plate`, and its class `name`, "" where it has none."""
    crops = open_all(paths)
    known = [name.removeprefix("Metadata_") for name in crops[0].table_columns() if name.startswith("Metadata_")]
    if label not in known:
        raise ValueError(f"{crops[0].path}: the cells have no annotation {label}, which cellnet.label names; there are: "
                         f"{', '.join(known)}")  # fmt: skip
    table = rows_of(crops, ["group", "Metadata_Plate", *label_columns(crops, label)])
    if not len(table):
        raise ValueError(f"{crops[0].path}: none of the {len(crops)} files holds a crop; there is nothing to train on")
    names = label_names(table, label)
    return pd.DataFrame({"group": table["group"], "plate": table["Metadata_Plate"], "name": names})


def roles_of(cells: pd.DataFrame, split: pd.DataFrame) -> np.ndarray:
    """Return the role of each cell's group, (N,)."""
    return cells["group"].map(dict(zip(split["group"], split["role"]))).to_numpy(object)


def split_cells(cells: pd.DataFrame, settings: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells, those of classes that are left out without a name, and the table of groups."""
    split = split_groups(cells, **{key: settings[key] for key in SPLIT})
    kept = set("|".join(split["classes"]).split("|")) - {""}
    left = sorted(set(cells["name"]) - kept - {""})
    if left:
        log.info(
            "%d classes cannot be both trained and tested on, and are left out: %s", len(left), ", ".join(left[:10])
        )
    return cells.assign(name=cells["name"].where(cells["name"].isin(kept), "")), split


def taught_names(cells: pd.DataFrame, roles: np.ndarray, variant: str) -> np.ndarray:
    """Return the class that each crop is taken to show in training, "" for those of other roles."""
    seen = np.isin(roles, [TRAIN, VALIDATE])
    names = cells["name"].where(seen, "")
    if variant == SHUFFLED:
        return shuffled_names(cells.assign(name=names), np.where(seen, roles, UNSEEN))
    return names.to_numpy(object)


def of_role(names: np.ndarray, roles: np.ndarray, role: str) -> np.ndarray:
    """Return the names of cells of one role, "" for all others."""
    return np.where(roles == role, names, "")


def network_settings(settings: dict, crops: store.Crops) -> dict:
    """Return the training settings with what the crops add: their channels, size and pixels."""
    own = {
        "kind": CELLNET.name,
        "crop_px": None,
        "size": list(crops.images.shape[2:]),
        "pixel_um": crops.meta.get("pixel_um"),
    }
    return {**settings, **own, "channels": {"input": [], "target": list(crops.channels)}}


def made_of(settings: dict, paths: Sequence[Path], cells: pd.DataFrame, roles: np.ndarray) -> dict:
    """Return what an unfinished training was made from: its settings, and a digest of each input."""
    files = {f"crops {number}": store.fingerprint(path) for number, path in enumerate(sorted(paths), start=1)}
    return {**settings, **files, "cells": store.digest(cells.to_csv(index=False), roles.tolist())}


def attention_of(settings: dict, network: CellNetwork, paths: Sequence[Path]) -> Attention | None:
    """Return how attention is pulled onto the cell, None where it is not: never where the cell is erased."""
    if not settings.get("attention_weight") or settings["variant"] == FLOOR:
        return None
    with_masks(paths, "cellnet.attention_weight")
    layer = layer_number(network, settings["layer"])
    return Attention(settings["attention_weight"], layer, network.size, network.strides_of(layer))


def train(args: argparse.Namespace) -> None:
    """Train a network and write its weights, its history and the split."""
    settings, how = args.settings, Compute(pick_device(args.device), **args.compute)
    crops = next((one for one in open_all(args.crops) if len(one)), open_all(args.crops)[0])
    cells, split = split_cells(labelled_cells(args.crops, settings["label"]), settings)
    settings, roles = network_settings(settings, crops), roles_of(cells, split)
    numbers = {name: number for number, name in enumerate(sorted(set(cells["name"]) - {""}), start=1)}
    names = taught_names(cells, roles, settings["variant"])
    shown = {"masked": settings["masked"], "brightness": settings["brightness"], "numbers": numbers}
    if settings["variant"] == FLOOR:
        shown["shown"] = Erasing(CELL, args.crops, crops.channels, np.flatnonzero(names != ""))
    torch.manual_seed(seed_of(settings["seed"], "weights"))
    network = build_cell_network(settings, settings["channels"], len(numbers))
    attention = attention_of(settings, network, args.crops)
    if attention:
        shown["told_mask"], how = MASK, replace(how, compile=False)  # what is compiled has no second derivative
    data = CropImages(args.crops, named=of_role(names, roles, TRAIN), **shown)
    weights = class_weights(data.condition.labels[data.chosen].numpy(), len(numbers), settings["class_weights"])
    objective, validation = CellClassification(weights, attention), None
    if (split["role"] == VALIDATE).any():
        held = CropImages(args.crops, named=of_role(names, roles, VALIDATE), **shown)
        validation = Validation(held, objective, settings, how, images=min(VALIDATION_CELLS, len(held)))
    counted = {role: int((split["role"] == role).sum()) for role in (TRAIN, VALIDATE, TEST, UNSEEN)}
    log.info("%d classes; wells that train %d, validate %d, test %d, have no class that is told %d; %d cells to train on, "
             "%d parameters", len(numbers), *counted.values(), len(data), parameter_count(network))  # fmt: skip
    with compute.together(how.device):
        training = Training({MODEL: network}, objective, settings, how, keep_at=settings.get("umap_at", ()))
        fit(training, data, validation, args.weights, made_of(settings, args.crops, cells, roles))
    if compute.first():
        store.write_table(split, args.split)
        store.write_json_lines(training.history, args.history)
        described = describe(settings, numbers, how)
        for images, weights in training.kept.items():
            store.write_weights(args.weights.with_suffix(f".at_{images}.safetensors"), weights, described)
        store.write_weights(args.weights, training.weights(), described)
        finish(args.weights)


def main(argv=None) -> None:
    """Train a classifier of single cells."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--variant", choices=list(VARIANTS), required=True)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compute", type=json.loads, default={}, help="JSON: precision, compile, prefetch, ...")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--crops", type=Path, nargs="+", required=True)
    for name in ("weights", "history", "split"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    if args.settings["batch"] < compute.world():
        raise ValueError(
            f"cellnet.batch {args.settings['batch']}: expected {compute.world()} or more, one crop a process"
        )
    args.settings["variant"] = args.variant
    with store.locked(args.weights) if compute.first() else contextlib.nullcontext():
        train(args)


if __name__ == "__main__":
    run(main)
