"""Score how far a space's numbers move without the cell and without all but the cell, and how alike its channels are.

An image is shown whole, with its cell erased, and with all but its cell (`models.erasing`; in a space of fields: with all cells,
or all but the cells), and the distance of its numbers from those of the whole image is taken. Distances are Euclidean, each number
over its s.d. among whole images, and in one unit for all spaces: the mean distance of two images of different wells. So 1 is as far
as another well's cell. The null is what erasing does wherever it is done: the same number of pixels, half an image away.

How alike channels are is the mean, over the space's numbers, of their correlation across images between one channel shown alone
and another; the null is another image's. A classifier is also asked what it tells with each channel left out (0, the plate's mean).
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.seeds import seed_of
from brightpaint.features.embedders import vectors
from brightpaint.features.embedders.seer import Seer
from brightpaint.models.cell_split import TEST
from brightpaint.models.crop_images import CropImages, open_all, rows_of
from brightpaint.models.erasing import (
    BACKGROUND,
    BACKGROUND_ELSEWHERE,
    CELL,
    CELL_ELSEWHERE,
    Erasing,
    background_of,
    donors_of,
    erased,
)
from brightpaint.models.train_cellnet import labelled_cells, roles_of
from brightpaint.scores.cells.cellnet_accuracy import confusions, scores
from brightpaint.scores.rows import one_of, parser, write_rows
from brightpaint.study.erased import seeing_module
from brightpaint.study.spaces import SPACES

SHIFTS = {"shift_no_cell": (CELL, CELL_ELSEWHERE), "shift_no_background": (BACKGROUND, BACKGROUND_ELSEWHERE)}
ALIKE, TOLD = "channels_alike", "told_without"
CHANNELS = ["plate", "what", "channel", "value", "low", "high", "null", "n"]
CELL_LABELS = "Cells"  # of the label images
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pictures:
    """Images of a plate that a network is shown.

    Attributes
    ----------
    shown : what is erased, or None -> (n, C, D, H, W) float32
    wells : (n,) of each
    classes : (n,) names, where a classifier is asked
    """

    shown: Callable[[str | None], np.ndarray]
    wells: np.ndarray
    classes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.wells)


def drawn(candidates: np.ndarray, most: int, *names: object) -> np.ndarray:
    """Return which of these are shown, in order: all, or `most` of them drawn by names."""
    order = np.random.default_rng(seed_of("erased pictures", *names)).permutation(len(candidates))
    return np.sort(candidates[order[:most]])


def cell_pictures(path: Path, seer: Seer, split: Sequence[Path], most: int, *names: object) -> Pictures:
    """Return cells of a plate: all, or those of test wells and of a class that was learnt, where a classifier sees them."""
    groups = rows_of(open_all([path]), ["group"])["group"].to_numpy(str)
    candidates, classes = np.arange(len(groups)), None
    if seer.labels:
        cells = labelled_cells([path], seer.label)
        roles = roles_of(cells, store.read_table(split[0], required=["group", "role"]))
        classes = cells["name"].to_numpy(object)
        candidates = np.flatnonzero((roles == TEST) & cells["name"].isin(seer.labels).to_numpy())
    chosen = drawn(candidates, most, *names)

    def shown(what: str | None) -> np.ndarray:
        changed = Erasing(what, [path], seer.channels, chosen) if what else None
        return CropImages([path], channels=seer.channels, masked=seer.masked, shown=changed).take(chosen)

    return Pictures(shown, groups[chosen], None if classes is None else classes[chosen])


def field_pictures(stack: Path, rows: Path, labels: Path, seer: Seer, settings: dict, most: int, *names) -> Pictures:
    """Return fields of a plate with the outlines of all their cells; those that were not measured are left out."""
    opened, table = vectors.open_rows(stack, rows)
    with store.open_masks(labels) as masks:
        known = masks.fields.assign(place=np.arange(len(masks)))
        joined = table.merge(known, on=store.row_keys(known), how="left", validate="one_to_one")
        chosen = drawn(np.flatnonzero(joined["place"].notna()), most, *names)
        inside = [masks.read(int(joined["place"].iloc[row]), CELL_LABELS) > 0 for row in chosen]
    images = [vectors.z_scores(opened, int(row), seer.channels, settings, table.iloc[row])[:, None] for row in chosen]
    donors = donors_of(np.arange(len(chosen)), "erased fields")[:, 0] if len(chosen) else []

    def one(what: str, place: int, donor: int) -> np.ndarray:
        own, other = (np.stack([inside[number][None]] * 2) for number in (place, donor))
        rng = np.random.default_rng(seed_of("erased", what, *names, int(chosen[place])))
        return erased(what, images[place], own, [], background_of(images[donor], *other), rng)

    def shown(what: str | None) -> np.ndarray:
        every = [one(what, place, int(donor)) for place, donor in enumerate(donors)] if what else images
        return np.stack(every).astype(np.float32)

    return Pictures(shown, (table["Metadata_Plate"] + "/" + table["Metadata_Well"]).to_numpy(str)[chosen])


def standardised(numbers: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return numbers over their s.d. among whole images, float64; those that don't vary there are left out."""
    sd = whole.astype(np.float64).std(axis=0)
    varies = sd > 1e-6 * max(float(sd.max(initial=0)), 1e-30)
    return numbers[:, varies].astype(np.float64) / sd[varies]


def unit_of(numbers: np.ndarray, wells: np.ndarray) -> float:
    """Return the mean Euclidean distance of two images of different wells, (n, F), NaN where there is one well."""
    square = np.square(numbers).sum(axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square[None] - 2 * numbers @ numbers.T, 0))
    apart = wells[:, None] != wells[None]
    return float(distance[apart].mean()) if apart.any() else float("nan")


def shift_rows(see: Callable, pictures: Pictures, whole: np.ndarray, *seed: object) -> Iterator[dict]:
    """Yield the rows of SHIFTS: value, its interval by well, null and n."""
    scaled = standardised(whole, whole)
    unit = unit_of(scaled, pictures.wells)
    for metric, (what, elsewhere) in SHIFTS.items():
        moved = [np.linalg.norm(standardised(see(pictures.shown(part)), whole) - scaled, axis=1) / unit
                 for part in (what, elsewhere)]  # fmt: skip
        rng = resampling.seeded("erased", *seed, metric)
        low, high = resampling.bootstrap_ratio(moved[0], np.ones(len(moved[0])), pictures.wells, rng)
        yield {"metric": metric, "channel": "all", "value": float(moved[0].mean()), "low": low, "high": high,
               "null": float(moved[1].mean()), "n": len(pictures)}  # fmt: skip


def alike(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean over numbers of their correlation across images between two channels, (n, F) each; NaN where none varies."""
    sides = [side.astype(np.float64) - side.mean(axis=0) for side in (first, second)]
    norms = [np.linalg.norm(side, axis=0) for side in sides]
    varies = np.logical_and(*(norm > 1e-6 * max(float(norm.max(initial=0)), 1e-30) for norm in norms))
    if not varies.any():
        return float("nan")
    products = (sides[0] * sides[1]).sum(axis=0)[varies] / (norms[0] * norms[1])[varies]
    return float(products.mean())


def alike_rows(seer: Seer, images: np.ndarray, whole: np.ndarray, *seed: object) -> Iterator[dict]:
    """Yield the mean likeness of all pairs of channels, then each channel's to the others, beside that to another image's."""
    alone = [seer.alone(images, whole, channel) for channel in seer.channels]
    count, order = len(alone), np.random.default_rng(seed_of("alike", *seed)).permutation(len(images))
    pairs = {(a, b): (alike(alone[a], alone[b]), alike(alone[a], alone[b][order]))
             for a in range(count) for b in range(a + 1, count)}  # fmt: skip
    for place, channel in enumerate(["", *seer.channels]):
        own = [values for pair, values in pairs.items() if not channel or place - 1 in pair]
        value, null = np.mean(own, axis=0) if own else (np.nan, np.nan)
        yield {"what": ALIKE, "channel": channel, "value": float(value), "null": float(null), "n": len(images)}


def told_rows(seer: Seer, pictures: Pictures, images: np.ndarray, whole: np.ndarray, *seed: object) -> Iterator[dict]:
    """Yield a classifier's balanced accuracy on the images, then with each channel left out."""
    names = sorted(seer.labels, key=seer.labels.get)
    truth = np.array([seer.labels[name] - 1 for name in pictures.classes])
    for channel in ["", *seer.channels]:
        numbers = seer.see(seer.without(images, channel)) if channel else whole
        counted = confusions(truth, seer.answer(numbers), pictures.wells, len(names))
        rows = scores(counted, names, resampling.seeded("told without", *seed, channel))
        row = next(row for row in rows if row["metric"] == "balanced_accuracy")
        yield {"what": TOLD, "channel": channel, "null": row["chance"], "n": row["cells"],
               **{key: row[key] for key in ("value", "low", "high")}}  # fmt: skip


def plate_scores(seer: Seer, pictures: Pictures, *seed: object) -> tuple[list[dict], list[dict]]:
    """Return (rows of metrics, rows of the table of channels) of a plate, without plate, space and subset; none without images."""
    if not len(pictures):
        return [], []
    images = pictures.shown(None)
    whole = seer.see(images)
    if not np.isfinite(whole).all():
        raise ValueError(
            f"{'/'.join(map(str, seed))}: the network answers with values that are not finite; check its weights"
        )
    channels = list(alike_rows(seer, images, whole, *seed))
    every = channels[0]
    rows = [*shift_rows(seer.see, pictures, whole, *seed)]
    if len(seer.channels) > 1:
        rows.append({"metric": ALIKE, "channel": "all", **{key: every[key] for key in ("value", "null", "n")}})
    told = told_rows(seer, pictures, images, whole, *seed) if seer.answer else ()
    return rows, [*channels, *told]


def main(argv: Sequence[str] | None = None) -> None:
    """Score how far a space's numbers move without the cell."""
    line = parser(__doc__)
    line.add_argument("--space", required=True)
    line.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: most_cells, most_fields, what the space is shown"
    )
    line.add_argument("--subset", choices=["full", "active"], required=True, help="what the arm predicts")
    line.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    line.add_argument("--threads", type=int, default=1)
    line.add_argument("--weights", required=True)
    for name, what in (("images", "crops, or stacks of fields"), ("rows", "of stacks"), ("labels", "label images of the cells"),
                       ("split", "of a classifier")):  # fmt: skip
        line.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=what)
    line.add_argument("--channels", type=Path, required=True, help="the table of channels to write")
    args = line.parse_args(argv)
    torch.set_num_threads(args.threads)
    space, found, beside = SPACES[args.space], [], []
    seer = importlib.import_module(seeing_module(space)).seer(args.weights, args.settings, pick_device(args.device))
    for plate in args.plates:
        own, names = one_of(plate, args.arm, args.images, "images"), (args.arm, plate)
        if space.holds == "cells":
            pictures = cell_pictures(own, seer, args.split, args.settings["most_cells"], *names)
        else:
            rows, labels = (one_of(plate, args.arm, paths, "fields") for paths in (args.rows, args.labels))
            pictures = field_pictures(own, rows, labels, seer, args.settings, args.settings["most_fields"], *names)
        numbers, channels = plate_scores(seer, pictures, args.space, *names)
        log.info("%s, %s: %d images shown%s", args.arm, plate, len(pictures),
                 "".join(f", {row['metric']} {row['value']:.2f} ({row['null']:.2f} elsewhere)" for row in numbers[:2]))  # fmt: skip
        found += [{**row, "plate": plate, "subset": args.subset, "space": args.space} for row in numbers]
        beside += [{**row, "plate": plate} for row in channels]
    write_rows(found, args.arm, args.table)
    store.write_table(store.as_text(pd.DataFrame(beside).reindex(columns=CHANNELS)), args.channels)


if __name__ == "__main__":
    run(main)
