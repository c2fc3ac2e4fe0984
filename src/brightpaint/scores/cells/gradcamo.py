"""Say where the classifier of single cells looks: Grad-CAMO of an arm's cells, beside what knows no cells, and erasure.

Every cell of a well that no network was trained on (of all wells, where the space takes them) is explained by its own class and
by the class answered. The numbers are of test cells of classes that were learnt. Beside the network (`cells`) stand `shuffled`,
trained on labels dealt out anew; `untrained`, the network before training; `other_cell`, the map of another cell on this cell's
mask; `uniform`, attention that is the same everywhere. Cells stand in the middle of their crops, so that a lift above 1 tells
little by itself. Erasure is the second opinion (`erasure`), and `verdicts` says in words what both together allow.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base import cli
from brightpaint.base.device import pick_device
from brightpaint.models.cell_split import HELD_OUT
from brightpaint.models.crop_images import open_all, rows_of, with_masks
from brightpaint.models.erasing import CELL
from brightpaint.models.grad_cam import layer_number
from brightpaint.models.see_cells import CellReader, TrainedCells, read_network
from brightpaint.scores.cells import erasure, verdicts
from brightpaint.scores.cells.camo import camo_table
from brightpaint.scores.cells.cellnet_accuracy import networks_parser, tested_cells
from brightpaint.scores.cells.explained import (
    OTHER_CELL,
    OWN,
    PREDICTED,
    SCORES,
    UNKNOWN,
    explain,
    spread_evenly,
    untrained,
)
from brightpaint.study.single_cells import CELLS, FLOOR

UNTRAINED, UNIFORM = "untrained", "uniform"
COLUMNS = ["arm", "variant", "explained", "class", "metric", "value", "low", "high", "cells", "wells"]
ERASED = ["arm", "shown", "metric", "class", "value", "low", "high", "chance", "cells", "wells"]
log = logging.getLogger(__name__)


def explained_by_all(networks: dict[str, TrainedCells], paths: list[Path], cells: pd.DataFrame, layer: int) -> dict:
    """Return {(variant, explained): scores of the cells}, every cell by the trained network, tested ones by the others.

    Parameters
    ----------
    cells : `number` (counted through all files), `truth` (from 0, or UNKNOWN), `tested`
    """
    tested = cells["tested"].to_numpy()
    found = {}
    for variant, network in networks.items():
        some = cells if variant == CELLS else cells[tested]
        reader = CellReader(paths, network)
        tables = explain(reader, some["number"], some["truth"], layer)
        if variant == CELLS:
            found |= {(CELLS, OWN): tables[OWN], (CELLS, PREDICTED): tables[PREDICTED]}
            found[OTHER_CELL, OWN] = tables[OTHER_CELL][tested]
            found[UNIFORM, OWN] = spread_evenly(reader, cells.loc[tested, "number"])
        else:
            found[variant, OWN] = tables[OWN]
    return found


def numbers(found: dict, cells: pd.DataFrame, names: np.ndarray, arm: str) -> pd.DataFrame:
    """Return the table of mean scores, COLUMNS, of the tested cells."""
    tested = cells["tested"].to_numpy()
    some, rows = cells[tested], []
    for (variant, what), scores in found.items():
        scores = scores[tested] if variant == CELLS else scores
        classes = names[some["truth"] if what == OWN else scores["answer"]]
        rows += [{"arm": arm, "variant": variant, "explained": what, **row}
                 for row in camo_table(scores, classes, some["group"], arm)]  # fmt: skip
    return pd.DataFrame(rows)[COLUMNS]


def by_cell(found: dict, cells: pd.DataFrame, keys: pd.DataFrame, names: np.ndarray) -> pd.DataFrame:
    """Return the table of cells: keys, `group`, `class` ("" for none that was learnt), `answer`, scores by both classes."""
    own, predicted = found[CELLS, OWN], found[CELLS, PREDICTED]
    truth = cells["truth"].to_numpy()
    frame = keys.iloc[cells["number"]].reset_index(drop=True)
    frame = frame.assign(
        **{"class": np.where(truth == UNKNOWN, "", names[truth]), "answer": names[predicted["answer"]]}
    )
    frame["tested"] = cells["tested"].to_numpy().astype("int64")
    frame = frame.assign(**{name: own[name].to_numpy() for name in SCORES})
    return frame.assign(**{f"{name}_{PREDICTED}": predicted[name].to_numpy() for name in SCORES if name != "area"})


def erased_answers(paths: list[Path], trained: TrainedCells, floor: TrainedCells | None, cells: pd.DataFrame) -> dict:
    """Return {shown: answers of the tested cells}, those of the network trained on erased cells too, where there is one."""
    chosen = cells.loc[cells["tested"], "number"].to_numpy()
    found = {shown: erasure.answers_erased(paths, trained, chosen, what) for shown, what in erasure.SHOWN.items()}
    if floor:
        found[erasure.FLOOR] = erasure.answers_erased(paths, floor, chosen, CELL)
    return found


def said_of(found: dict, answers: dict, cells: pd.DataFrame, names: np.ndarray, arm: str) -> tuple[pd.DataFrame, ...]:
    """Return the tables of mean scores (COLUMNS), of what is told erased (ERASED), and of verdicts, of the tested cells.

    Parameters
    ----------
    found, answers : of `explained_by_all` and `erased_answers`
    """
    table, some = numbers(found, cells, names, arm), cells[cells["tested"]]
    counts = erasure.counts_shown(answers, some["truth"].to_numpy(), some["group"], len(names))
    erased = pd.DataFrame({"arm": arm, **row} for row in erasure.erased_rows(counts, names, arm))[ERASED]
    own = table[(table["explained"] == OWN) & (table["metric"] == "lift")].set_index("class")
    lifts, before = (own[own["variant"] == variant] for variant in (CELLS, UNTRAINED))
    said = pd.DataFrame(verdicts.verdicts(counts, lifts, before, names, arm), columns=verdicts.COLUMNS)
    return table, erased, said


def chosen_cells(args: argparse.Namespace, labels: dict[str, int]) -> pd.DataFrame:
    """Return the cells that are explained: `number`, `truth`, `tested`, `group`; an error where none of them tests."""
    cells, roles, tested = tested_cells(args, labels)
    truth = cells["name"].map(labels).fillna(UNKNOWN + 1).astype(np.int64).to_numpy() - 1
    table = pd.DataFrame({"number": np.arange(len(cells)), "truth": truth, "tested": tested, "group": cells["group"]})
    every = args.settings["wells"] == "all"
    return table[every | np.isin(roles.astype(str), HELD_OUT)].reset_index(drop=True)


def main(argv=None) -> None:
    """Say where the classifier of single cells looks."""
    written = ["table", "erased", "verdicts", "cells"]
    args = networks_parser(main.__doc__, "label, layer, wells", written).parse_args(argv)
    torch.set_num_threads(args.threads)
    with_masks(args.crops, "Grad-CAMO")
    device = pick_device(args.device)
    networks = {name: read_network(path, device) for name, path in zip(args.variants, args.weights)}
    floor, trained = networks.pop(FLOOR, None), networks[CELLS]
    layer = layer_number(trained.network, args.settings["layer"])
    networks[UNTRAINED] = untrained(trained)
    cells = chosen_cells(args, trained.labels)
    names = np.array(sorted(trained.labels, key=trained.labels.get), object)
    found = explained_by_all(networks, args.crops, cells, layer)
    answers = erased_answers(args.crops, trained, floor, cells)
    table, erased, said = said_of(found, answers, cells, names, args.arm)
    for row in said.itertuples(index=False):
        log.info("%s, %s: %s (lift %.2f, %.2f to %.2f; %s)", row.arm, row[1], row.verdict, row.lift, row.lift_low,
                 row.lift_high, row.why)  # fmt: skip
    for frame, path in ((table, args.table), (erased, args.erased), (said, args.verdicts)):
        store.write_table(store.as_text(frame), path)
    keys = rows_of(open_all(args.crops), [*store.CROP_KEYS, "group"])
    store.write_table(by_cell(found, cells, keys, names), args.cells)


if __name__ == "__main__":
    cli.run(main)
