"""Score an arm's samples as a distribution: beside each other, beside the real fields, and beside what needs no generative model.

Of an arm that paints without noise the one image of a field is scored, as a painter that is sure of everything. Scores of
single fields go into a table beside, by which other arms are compared field by field.
"""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.median import read_medians
from brightpaint.models.paint.draw_rows import calibrated_fields
from brightpaint.profiles.select import read_selection
from brightpaint.scores.calibration import calibration_rows, cell_variety, drawn
from brightpaint.scores.rows import Active, is_active, one_of, parser, read_active, write_rows
from brightpaint.study.spaces import MAIN

log = logging.getLogger(__name__)


def tables_of(args: Namespace, place: int, fields: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return what the samples of one plate show: of images, and of cells where they are measured."""
    settings, plate = args.settings, args.plates[place]
    stack, places = drawn.open_drawn(args.drawn[place], fields, settings["samples"])
    real = store.open_stack(args.real[place]).select(fields)
    how = settings["channels"]["target"], settings["cutoff"]
    images = drawn.image_table(real, stack, places, fields, *how)
    if not args.medians:
        return images, None
    where = one_of(plate, args.arm, args.medians, "field medians")
    truth = read_medians(one_of(plate, "real", args.real_medians, "field medians"))
    training = [path for path in args.real_medians if path.stem in settings["training"][plate]]
    if not training:
        raise ValueError(f"{plate}: no real medians of its training plates {settings['training'][plate]}; rerun median")
    known = pd.concat([read_medians(path) for path in training], ignore_index=True)
    kept = read_selection(args.selection[0])
    cells = drawn.cell_table(
        truth, read_medians(where), fields, settings["samples"], kept, known, settings["components"], str(where)
    )
    return images, cells


def variety_of(args: Namespace, place: int, fields: pd.DataFrame) -> tuple[list[dict], pd.DataFrame]:
    """Compare the single cells of one plate's samples with those of the real fields: rows, and a table of features."""
    plate = args.plates[place]
    paths = [one_of(plate, arm, given, "cells") for arm, given in (("real", args.real_cells), (args.arm, args.cells))]
    columns = [set(store.read_schema(path).names) for path in paths]
    features = [name for name in read_selection(args.selection[0]) if all(name in found for found in columns)]
    limits = cell_variety.limits_of(cell_variety.cells_of(paths[0], features, fields), features)
    if limits is None:
        log.info("%s: too few real cells to compare the variety of", plate)
        return [], pd.DataFrame()
    real, painted = (cell_variety.tally(cell_variety.cells_of(path, limits.features, fields), limits) for path in paths)
    return cell_variety.compare(real, painted, limits, f"{plate}/calibration")


def subsets_of(fields: pd.DataFrame, active: Active | None, whole: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the subsets that the fields are of: all that the arm paints, and the active ones among them."""
    yield whole, fields
    if active is not None and whole != "active" and (chosen := is_active(fields, active)).any():
        yield "active", fields[chosen]


def within(table: pd.DataFrame | None, fields: pd.DataFrame) -> pd.DataFrame | None:
    """Return the rows of these fields."""
    return None if table is None else table.merge(fields[store.FIELD_KEYS], on=store.FIELD_KEYS)


def arguments(argv: Sequence[str] | None) -> Namespace:
    """Read the command line."""
    line = parser(__doc__)
    line.add_argument("--settings", type=json.loads, required=True,
                      help="JSON: channels, cutoff, fields, samples, components, subset, training, references")  # fmt: skip
    line.add_argument("--real", type=Path, nargs="+", required=True, help="real stacks, one a plate")
    line.add_argument("--fields", type=Path, nargs="+", required=True)
    line.add_argument("--drawn", type=Path, nargs="+", required=True, help="stacks of the samples, one a plate")
    line.add_argument("--medians", type=Path, nargs="*", default=[], help="field medians of the samples, one a plate")
    line.add_argument("--real-medians", type=Path, nargs="*", default=[], help="of test and training plates")
    line.add_argument("--cells", type=Path, nargs="*", default=[], help="cells of the samples, one a plate")
    line.add_argument("--real-cells", type=Path, nargs="*", default=[], help="one a plate")
    line.add_argument("--selection", type=Path, nargs="*", default=[], help="the selected features")
    line.add_argument(
        "--references", type=Path, nargs="*", default=[], help="fields of the arms compared, as settings name them"
    )
    line.add_argument("--by-field", type=Path, required=True, help="the table of single fields to write")
    line.add_argument("--by-feature", type=Path, required=True, help="the table of features to write")
    args = line.parse_args(argv)
    if not len(args.plates) == len(args.real) == len(args.fields) == len(args.drawn):
        raise ValueError("score: --plates, --real, --fields and --drawn must name as many plates each")
    if len(args.references) != len(args.settings["references"]):
        raise ValueError(f"score: --references must name a table for each of {args.settings['references']}")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Score an arm's samples."""
    args = arguments(argv)
    store.one_engine([*args.real_medians, *args.medians, *args.real_cells, *args.cells])
    settings, active = args.settings, read_active(args.active)
    others = {word: store.read_table(path) for word, path in zip(settings["references"], args.references)}
    rows, tables, features = [], [], []
    whole = "active" if settings["subset"] == "active" else "full"
    for place, plate in enumerate(args.plates):
        painted = args.active if whole == "active" else []
        fields = calibrated_fields(store.read_fields(args.fields[place]), painted, settings["fields"])
        images, cells = tables_of(args, place, fields)
        for subset, chosen in subsets_of(fields, active, whole):
            found = (within(table, chosen) for table in (images, cells))
            rows += calibration_rows.plate_rows(
                plate, subset, *found, others, settings["samples"], settings["channels"]["target"]
            )
        tables += [images] if cells is None else [images, cells]
        if args.cells:
            varied, by_feature = variety_of(args, place, fields)
            rows += [{**row, "plate": plate, "subset": whole, "space": MAIN.name, "channel": "all"} for row in varied]
            features += [by_feature.assign(plate=plate)] if len(by_feature) else []
    write_rows(rows, args.arm, args.table)
    store.write_table(pd.concat(tables, ignore_index=True), args.by_field)
    empty = pd.DataFrame(columns=["feature", "real_sd", "painted_sd", "ratio", "distance", "plate"])
    store.write_table(pd.concat(features, ignore_index=True) if features else empty, args.by_feature)


if __name__ == "__main__":
    run(main)
