"""Score how many cells are found in an arm's images, against the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.median import read_medians
from brightpaint.scores.cells import counts
from brightpaint.scores.rows import one_of, parser, read_active, write_rows


def main(argv: Sequence[str] | None = None) -> None:
    """Score an arm's counts of cells."""
    line = parser(__doc__)
    line.add_argument("--medians", type=Path, nargs="+", required=True, help="the arm's field medians, one a plate")
    line.add_argument("--real", type=Path, nargs="+", required=True, help="real field medians of every measured plate")
    args = line.parse_args(argv)
    store.one_engine([*args.real, *args.medians])
    active, rows = read_active(args.active), []
    for plate in args.plates:
        named = {"real": args.real, args.arm: args.medians}
        pair = [read_medians(one_of(plate, arm, paths, "field medians")) for arm, paths in named.items()]
        others = [read_medians(path) for path in args.real if path.stem != plate]
        rows += counts.plate_rows(plate, args.arm, *pair, others, active)
    write_rows(rows, args.arm, args.table)


if __name__ == "__main__":
    run(main)
