"""Score how far a translation shifts the numbers of a space, and whether real cells do so; with what stays of its source."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.conditions.labels import TWIN
from brightpaint.profiles.select import read_selection
from brightpaint.scores.rows import one_of, write_rows
from brightpaint.scores.translation import shift_tables
from brightpaint.scores.translation.translated_classes import shown_classes, source_class, trained_wells, with_class
from brightpaint.scores.translation.well_shift import CLASS
from brightpaint.study.spaces import SPACES, Space

TABLES = ("classes", "changes", "correlations", "wells")
log = logging.getLogger(__name__)


def inert_classes(truth: Sequence[pd.DataFrame], label: str) -> list[str]:
    """Return the classes that the simulator's truth says do nothing in any well; DMSO is none of them."""
    if not len(truth):
        return []
    wells = pd.concat(truth, ignore_index=True)
    if f"Metadata_{label}" not in wells:
        return []
    wells = wells[wells["Metadata_control_type"] != "negcon"]
    acts = wells["active"].astype(int).groupby(with_class(wells, label)[CLASS]).max()
    return sorted(name for name in acts.index[acts == 0] if name)


def usable_numbers(frames: Sequence[pd.DataFrame], numbers: Sequence[str], where: str) -> list[str]:
    """Return the numbers that every table has with some value; how many are left out is logged.

    Raises
    ------
    ValueError
        where none is left
    """
    kept = [name for name in numbers if all(name in frame and np.isfinite(frame[name]).any() for frame in frames)]
    if not kept:
        raise ValueError(f"{where}: no number of the space is measured both in real and in translated fields; look at the "
                         "montages, and delete the tables and rerun if they are of different pipelines")  # fmt: skip
    log.info("%s: %d numbers, %d left out that some table lacks", where, len(kept), len(numbers) - len(kept))
    return kept


def plate_shifts(
    args: argparse.Namespace, plate: str, space: Space, truth: Sequence[pd.DataFrame]
) -> shift_tables.PlateShifts:
    """Read what is known of one plate."""
    label, twin = args.settings["label"], args.settings.get("twin", False)
    reader = import_module(space.distances).read
    read = lambda name, arm, paths: reader(one_of(name, arm, paths, space.name), space)  # noqa: E731
    where = f"arm {args.arm}, plate {plate}"
    rows = shown_classes(read(plate, args.arm, args.translated), where)
    fresh = shown_classes(read(plate, "fresh noise", args.fresh), f"{where}, fresh noise") if args.fresh else None
    real = with_class(read(plate, "real", args.real), label, twin)
    plates = args.settings["training"][plate]
    training = pd.concat([with_class(read(name, "real", args.real), label, twin) for name in plates], ignore_index=True)
    source = source_class(rows, label, where)
    if twin and source != TWIN.removesuffix("_twin"):
        raise ValueError(f"{where}: the model has a twin of DMSO, but {source} is translated; translate DMSO")
    kept = read_selection(args.selection[0]) if args.selection else None
    numbers = list(kept or import_module(space.profiler).numbers_of(list(real.columns), space))
    frames = [real, training, rows, *([fresh] if fresh is not None else [])]
    held = args.settings.get("held_out", {}).get(plate, 0.0)
    return shift_tables.PlateShifts(
        plate=plate, source=source, numbers=usable_numbers(frames, numbers, where), real=real, training=training,
        translated=rows, fresh=fresh, inert=inert_classes(truth, label),
        trained=trained_wells(training, args.settings["validation_share"], held),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Score a translation in one space."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    keys = "label, training {plate: its training plates}, validation_share; twin, held_out {plate: names or share}"
    line.add_argument("--settings", type=json.loads, required=True, help=f"JSON: {keys}")
    line.add_argument("--arm", required=True)
    line.add_argument("--space", choices=list(SPACES), required=True)
    line.add_argument("--plates", nargs="+", required=True, help="plates whose fields are translated")
    line.add_argument("--translated", type=Path, nargs="+", required=True, help="the arm's tables, one a plate")
    line.add_argument("--fresh", type=Path, nargs="*", default=[], help="the same rows from fresh noise, likewise")
    line.add_argument(
        "--real", type=Path, nargs="+", required=True, help="real tables of these plates and their training's"
    )
    line.add_argument(
        "--selection", type=Path, nargs="*", default=[], help="the selected numbers, where there are some"
    )
    line.add_argument("--truth", type=Path, nargs="*", default=[], help="truth of simulated plates")
    line.add_argument(
        "--table", type=Path, required=True, help="the metrics to write; tables of classes, ... beside it"
    )
    args = line.parse_args(argv)
    store.one_engine([*args.real, *args.translated, *args.fresh])
    space, rows, tables = SPACES[args.space], [], {name: [] for name in TABLES}
    truth = [store.read_table(path) for path in args.truth]
    for plate in args.plates:
        known = plate_shifts(args, plate, space, truth)
        changes = shift_tables.changes_table(known)
        classes, wells = shift_tables.class_table(known, changes), shift_tables.wells_table(known)
        correlations, medians = shift_tables.correlation_table(wells, classes, changes, known.numbers)
        for name, table in zip(TABLES, (classes, changes, correlations, wells)):
            tables[name].append(table)
        log.info("%s, %s: %d classes, %d numbers", args.arm, plate, len(known.targets), len(known.numbers))
        place = {"plate": plate, "subset": "full", "space": space.name, "channel": "all"}
        rows += [{**row, **place} for row in shift_tables.metric_rows(classes, medians)]
    write_rows(rows, args.arm, args.table)
    for name, parts in tables.items():
        store.write_table(pd.concat(parts, ignore_index=True), args.table.with_suffix(f".{name}.parquet"))


if __name__ == "__main__":
    run(main)
