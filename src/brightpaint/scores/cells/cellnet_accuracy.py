"""Score the classifier of single cells on an arm's cells in wells that it was not trained on, beside its controls.

One row a number: `accuracy`, `balanced_accuracy` (the mean of the classes' recalls) and `macro_f1` over all cells, and the
`recall` of each class, of every network (`variant`). Intervals are 95% bootstrap over wells, whose cells are alike: cells
are no replicates. `chance` is what an answer gets that knows the classes' shares among the test's cells and nothing of the
cell: the largest share for accuracy, one over the number of classes for balanced accuracy, the share for recall.

Where each treatment has one well a plate, a test well lies where a training well of its class lies on another plate:
`same_position` is the share of a number's test wells of which that is so, NaN where groups of cells are no wells of their
plate (movies of one's own, say). Accuracy there may be the plate position's.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base import cli, resampling
from brightpaint.base.device import pick_device
from brightpaint.models.cell_split import TEST, TRAIN
from brightpaint.models.crop_images import open_all, rows_of
from brightpaint.models.see_cells import CellReader, read_network
from brightpaint.models.train_cellnet import labelled_cells, roles_of

COLUMNS = ["arm", "variant", "metric", "class", "value", "low", "high", "chance", "cells", "wells", "same_position"]
log = logging.getLogger(__name__)


def confusions(truth: np.ndarray, answer: np.ndarray, wells: Sequence, classes: int) -> np.ndarray:
    """Count each well's cells by class and answer: (N,) numbers from 0 each -> (W, K, K)."""
    names, codes = np.unique(np.asarray(wells, dtype=str), return_inverse=True)
    counted = np.zeros((len(names), classes, classes))
    np.add.at(counted, (codes, truth, answer), 1)
    return counted


def recalls(counts: np.ndarray) -> np.ndarray:
    """Return the share of each class's cells that are told right, NaN of a class without cells: (..., K, K) -> (..., K)."""
    totals, right = counts.sum(axis=-1), np.diagonal(counts, axis1=-2, axis2=-1)
    return np.divide(right, totals, out=np.full(right.shape, np.nan), where=totals > 0)


def f1_scores(counts: np.ndarray) -> np.ndarray:
    """Return each class's F1, NaN of a class that is neither there nor answered: (..., K, K) -> (..., K)."""
    both, right = counts.sum(axis=-1) + counts.sum(axis=-2), np.diagonal(counts, axis1=-2, axis2=-1)
    return np.divide(2 * right, both, out=np.full(right.shape, np.nan), where=both > 0)


def metrics_of(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return {metric: values} of counts (..., K, K)."""
    right, total = np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1))
    accuracy = np.divide(right, total, out=np.full(np.shape(right), np.nan), where=total > 0)
    present = counts.sum(axis=-1) > 0
    macro = resampling.mean_known(np.where(present, f1_scores(counts), np.nan))
    return {"accuracy": accuracy, "balanced_accuracy": resampling.mean_known(recalls(counts)), "macro_f1": macro}


def scores(counted: np.ndarray, names: Sequence[str], rng: np.random.Generator) -> Iterator[dict]:
    """Yield the numbers of one network: metric, class, value, low, high, chance, cells, wells.

    Parameters
    ----------
    counted : (W, K, K), from `confusions`
    names : of the K classes
    """
    whole = counted.sum(axis=0)
    drawn = np.einsum("rw,wij->rij", resampling.resample_counts(len(counted), rng), counted)
    cells, share = int(whole.sum()), whole.sum(axis=1) / max(whole.sum(), 1)
    chance = {"accuracy": share.max(), "balanced_accuracy": 1 / max((share > 0).sum(), 1), "macro_f1": np.nan}
    several = len(counted) > 1
    for metric, value in metrics_of(whole).items():
        low, high = resampling.interval(metrics_of(drawn)[metric]) if several else (np.nan, np.nan)
        yield {"metric": metric, "class": "", "value": float(value), "low": low, "high": high, "chance": chance[metric],
               "cells": cells, "wells": len(counted)}  # fmt: skip
    found, resampled = recalls(whole), recalls(drawn)
    for place, name in enumerate(names):
        wells = int((counted[:, place].sum(axis=1) > 0).sum())
        low, high = resampling.interval(resampled[:, place]) if wells > 1 else (np.nan, np.nan)
        yield {"metric": "recall", "class": name, "value": float(found[place]), "low": low, "high": high,
               "chance": float(share[place]), "cells": int(whole[place].sum()), "wells": wells}  # fmt: skip


def same_positions(cells: pd.DataFrame, roles: np.ndarray, tested: np.ndarray) -> dict[str, float]:
    """Return {class: share of its test wells whose place on the plate a training well of the class has on another}; "" is all.

    Parameters
    ----------
    cells : one row a cell: `group` (of a well its plate and place joined by a stroke), `plate` and `name`
    roles, tested : of the cells, their wells' roles, and which are tested on

    Returns
    -------
    Nothing where a group is no place on its plate
    """
    place = [group.removeprefix(f"{plate}/") for group, plate in zip(cells["group"], cells["plate"])]
    if not all(len(own) < len(group) for own, group in zip(place, cells["group"])):
        return {}
    place = pd.Series(place, cells.index, dtype=object)
    known = set(zip(cells["name"][roles == TRAIN], place[roles == TRAIN]))
    wells = cells.assign(place=place)[tested].drop_duplicates(["group", "name"])
    wells["same"] = [pair in known for pair in zip(wells["name"], wells["place"])]
    return {"": float(wells["same"].mean()) if len(wells) else np.nan, **wells.groupby("name")["same"].mean().to_dict()}


def tested_cells(args: argparse.Namespace, numbers: dict[str, int]) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return an arm's cells, their wells' roles, and which test: of test wells, and of a class that was learnt.

    Raises
    ------
    ValueError
        where none of them tests
    """
    cells = labelled_cells(args.crops, args.settings["label"])
    roles = roles_of(cells, store.read_table(args.split, required=["group", "role"]))
    tested = (roles == TEST) & cells["name"].isin(numbers).to_numpy()
    if not tested.any():
        raise ValueError(
            f"{args.split}: none of the {len(cells)} cells of arm {args.arm} lies in a test well of a class that was learnt; "
            "give cellnet.test_plates that the arm paints, or a larger cellnet.test_share"
        )
    return cells, roles, tested


def networks_parser(does: str | None, settings: str, written: Sequence[str]) -> argparse.ArgumentParser:
    """Return the command line of what asks networks about an arm's cells; `settings` says which keys, `written` what is made."""
    parser = argparse.ArgumentParser(description=does)
    parser.add_argument("--settings", type=json.loads, required=True, help=f"JSON: {settings}")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arm", required=True)
    parser.add_argument(
        "--variants", nargs="+", required=True, help="names of the networks, in the order of their weights"
    )
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    for name in ("split", *written):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--crops", type=Path, nargs="+", required=True)
    return parser


def main(argv=None) -> None:
    """Score the classifier of single cells."""
    args = networks_parser(main.__doc__, "label", ["table", "cells"]).parse_args(argv)
    torch.set_num_threads(args.threads)
    networks = [read_network(path, pick_device(args.device)) for path in args.weights]
    numbers = networks[0].labels
    cells, roles, tested = tested_cells(args, numbers)
    chosen, names = np.flatnonzero(tested), sorted(numbers, key=numbers.get)
    truth = cells["name"].iloc[chosen].map(numbers).to_numpy() - 1
    known, rows, answers = same_positions(cells, roles, tested), [], {}
    for variant, network in zip(args.variants, networks):
        answer = CellReader(args.crops, network).logits(chosen).argmax(axis=1)
        answers[f"answer_{variant}"] = np.array(names, object)[answer]
        counted = confusions(truth, answer, cells["group"].iloc[chosen], len(names))
        rng = resampling.seeded("cellnet accuracy", args.arm)
        rows += [{"arm": args.arm, "variant": variant, **row, "same_position": known.get(row["class"], np.nan)}
                 for row in scores(counted, names, rng)]  # fmt: skip
    table = pd.DataFrame(rows)[COLUMNS]
    for row in table[table["class"] == ""].itertuples(index=False):
        same = (
            ""
            if np.isnan(row.same_position)
            else f", {100 * row.same_position:.0f}% of these at a training well's place"
        )
        log.info("%s, %s: %s %.3f (%.3f to %.3f), chance %.3f, %d cells of %d wells%s", row.arm, row.variant, row.metric,
                 row.value, row.low, row.high, row.chance, row.cells, row.wells, same)  # fmt: skip
    store.write_table(store.as_text(table), args.table)
    keys = rows_of(open_all(args.crops), [*store.CROP_KEYS, "group"])
    frame = keys.iloc[chosen].reset_index(drop=True).assign(**{"class": cells["name"].to_numpy()[chosen]}, **answers)
    store.write_table(frame, args.cells)


if __name__ == "__main__":
    cli.run(main)
