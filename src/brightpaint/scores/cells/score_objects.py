"""Score where nuclei and cells are found in an arm's images, against the real ones: overlap of label images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.scores.cells.object_overlap import plate_overlaps
from brightpaint.scores.rows import parser, read_active, write_rows


def main(argv: Sequence[str] | None = None) -> None:
    """Score the overlap of an arm's objects with the real ones."""
    line = parser(__doc__)
    line.add_argument("--masks", type=Path, nargs="+", required=True, help="the arm's label images, one file a plate")
    line.add_argument("--real", type=Path, nargs="+", required=True, help="the real ones, likewise")
    line.add_argument("--fields", type=Path, nargs="+", required=True)
    line.add_argument("--by-field", type=Path, required=True, help="the table of single fields to write")
    args = line.parse_args(argv)
    if not len(args.plates) == len(args.real) == len(args.masks) == len(args.fields):
        raise ValueError("score: --plates, --real, --masks and --fields must name as many plates each")
    store.one_engine([*args.real, *args.masks])
    active, rows, tables = read_active(args.active), [], []
    for plate, real, masks, fields in zip(args.plates, args.real, args.masks, args.fields):
        found, by_field = plate_overlaps(plate, args.arm, real, masks, store.read_fields(fields), active)
        rows += found
        tables.append(by_field)
    write_rows(rows, args.arm, args.table)
    store.write_table(pd.concat(tables, ignore_index=True), args.by_field)


if __name__ == "__main__":
    run(main)
