"""Score an arm's images against the real ones, field by field, and where it paints several samples what their spread foretells.

The scores of single fields go into a table beside, so that figures need no second pass over the images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.scores.images import risk_coverage
from brightpaint.scores.images.field_scores import field_table, image_rows, plate_scores
from brightpaint.scores.rows import parser, read_active, write_rows


def main(argv: Sequence[str] | None = None) -> None:
    """Score an arm's images."""
    line = parser(__doc__)
    line.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, cutoff")
    line.add_argument("--real", type=Path, nargs="+", required=True, help="real stacks, one a plate")
    line.add_argument("--predicted", type=Path, nargs="+", required=True, help="the arm's stacks, one a plate")
    line.add_argument("--fields", type=Path, nargs="+", required=True)
    line.add_argument("--uncertainty", type=Path, nargs="*", default=[], help="uncertainty stacks, one a plate")
    line.add_argument("--by-field", type=Path, required=True, help="the table of single fields to write")
    args = line.parse_args(argv)
    if not len(args.plates) == len(args.real) == len(args.predicted) == len(args.fields):
        raise ValueError("score: --plates, --real, --predicted and --fields must name as many plates each")
    if len(args.uncertainty) not in (0, len(args.plates)):
        raise ValueError("score: --uncertainty must name a stack for every plate, or none")
    active, targets, rows, tables = read_active(args.active), args.settings["channels"]["target"], [], []
    for place, plate in enumerate(args.plates):
        predicted = None if args.arm == "real" else args.predicted[place]
        fields = store.read_fields(args.fields[place])
        joined, scores = plate_scores(args.real[place], predicted, args.fields[place], args.settings)
        if args.uncertainty:
            scores["uncertainty"] = risk_coverage.read_uncertainty(args.uncertainty[place], joined, targets)
            rows += risk_coverage.risk_rows(plate, fields, joined, scores, active, targets)
        rows += image_rows(plate, fields, joined, scores, active, targets)
        tables.append(field_table(joined, scores, targets))
    write_rows(rows, args.arm, args.table)
    store.write_table(pd.concat(tables, ignore_index=True), args.by_field)


if __name__ == "__main__":
    run(main)
