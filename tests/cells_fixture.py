"""Crops of simulated single cells whose class shows within the cell, outside it, or nowhere; small enough for seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from brightpaint import store
from models_fixture import made

SIDE = 16
LARGE = (1, 32, 32)  # large enough that a map tells the cell from its surroundings


def cell_masks(count: int, rng: np.random.Generator, size=(1, SIDE, SIDE)) -> np.ndarray:
    """Return (count, 2, D, H, W) masks of discs (balls) about the middle, the second with a neighbour at the border."""
    depth, height, width = size
    z, y, x = np.mgrid[:depth, :height, :width].astype(float)
    masks = np.zeros((count, 2, *size), np.uint8)
    for mask in masks:
        radius = rng.uniform(0.22, 0.3) * height
        far = ((y - (height - 1) / 2) / radius) ** 2 + ((x - (width - 1) / 2) / radius) ** 2
        far += ((z - (depth - 1) / 2) / max(radius * depth / height, 1)) ** 2
        mask[:] = far <= 1
        mask[1, :, : height // 8] = 1
    return masks


def cell_images(masks: np.ndarray, classes: np.ndarray, where: str, rng: np.random.Generator) -> np.ndarray:
    """Return (count, 2, D, H, W) crops: class 1 has stripes in the cell (`inside`), in its surroundings (`outside`), or none.

    With `both` it has those in the cell, and others, of another direction and channel, around it.
    """
    count, _, depth, height, width = masks.shape
    images = rng.normal(0, 0.3, (count, 2, depth, height, width)) + masks[:, :1]
    stripes = np.where(np.arange(width) % 4 < 2, 1.5, -1.5)
    inside, shown = masks[:, 0] == 1, (classes == 1)[:, None, None, None]
    place = {"inside": inside, "both": inside, "outside": ~inside, "nowhere": np.zeros_like(inside)}[where]
    images[:, 1] += np.where(place & shown, stripes, 0)
    if where == "both":
        images[:, 0] += np.where(~inside & shown, np.where(np.arange(height) % 6 < 3, 1.0, -1.0)[:, None], 0)
    return images


def write_cells(
    path: Path,
    *,
    wells: dict[str, str],
    cells: int = 12,
    where: str = "inside",
    seed: int = 0,
    size=(1, SIDE, SIDE),
    **more,
) -> Path:
    """Write a plate's crops: {well: class}, `a` or `b`, with so many cells in each; `more` are columns of the table."""
    rng, plate, classes = np.random.default_rng(seed), path.stem, np.repeat(list(wells.values()), cells)
    masks = cell_masks(len(classes), rng, size)
    images = cell_images(masks, (classes == "b").astype(int), where, rng)
    rows = [
        {"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": 1, "Metadata_Tile": 1, **store.ROW_DEFAULTS,
         "Metadata_perturbation": name, "Metadata_target": "", "Metadata_control_type": "negcon" if name == "a" else "",
         "Metadata_label": name, **more, "ObjectNumber": number + 1, "border": 0, "group": f"{plate}/{well}"}
        for well, name in wells.items() for number in range(cells)
    ]  # fmt: skip
    store.write_rows(rows, path.with_suffix(".parquet"))
    with store.CropWriter(path, len(rows), ["DNA", "RNA"], size, key="test", meta={"pixel_um": 1.0}) as writer:
        for number in range(len(rows)):
            writer.write(number, images[number], masks[number])
    return path


def plate_wells(plate: int, count: int = 4) -> dict[str, str]:
    """Return {well: class} of a plate: so many wells of each class, at other places on every plate."""
    names = [f"{'ABCDEFGH'[place // 6]}{place % 6 + 1:02d}" for place in range(2 * count)]
    return {well: "ab"[(place + plate) % 2] for place, well in enumerate(names)}


SETTINGS = {
    "label": "perturbation", "test_share": 0.25, "test_plates": [], "validation_share": 0.15, "masked": False,
    "brightness": 0.0, "class_weights": "balanced", "width": 4, "blocks": 1, "dropout": 0.1, "images": 64, "batch": 16,
    "learning_rate": 4e-3, "warmup_images": 16, "decay": "cosine", "clip_norm": 1.0, "ema_images": 64,
    "validate_every_images": 32, "seed": 0,
}  # fmt: skip
LEARNT = {"images": 2560, "batch": 32, "learning_rate": 1e-2, "validate_every_images": 1280, "ema_images": 100}


def plates(folder, **more):
    """Write two plates of eight wells."""
    return [write_cells(folder / f"P{n}.tif", wells=plate_wells(n), seed=n, **more) for n in (1, 2)]


def arguments(folder, paths, variant="cells", name="weights", how=None, **changes):
    """Return the command line of train_cellnet."""
    words = ["--settings", json.dumps({**SETTINGS, **changes}), "--variant", variant, "--device", "cpu"]
    words += ["--compute", json.dumps(how or {}), "--crops", *paths, "--weights", folder / f"{name}.safetensors"]
    words += ["--history", folder / f"{name}.jsonl", "--split", folder / f"{name}.tsv"]
    return [str(word) for word in words]


LOCAL = {"local": True, "images": 1280, "validate_every_images": 640}


def learnt(variant="cells", where="inside", size=(1, SIDE, SIDE)):
    """Return the folder of a network that was trained long enough, with its plates: weights.safetensors, .jsonl and .tsv.

    On LARGE crops it is a local network, whose maps say where evidence lies.
    """
    from brightpaint.models import train_cellnet

    more = LOCAL if size == LARGE else {}

    def train(folder: Path):
        train_cellnet.main(arguments(folder, plates(folder, where=where, size=size), variant, **LEARNT | more))

    return made(f"cellnet-{variant}-{where}{'-large' if more else ''}", train)
