"""Score how far an arm's painted fields lie from the real ones as a distribution, in a space.

How that is measured is the space's `distances` (brightpaint.study.spaces): feature_distance, or embedding_distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.profiles.select import read_selection
from brightpaint.scores.rows import one_of, parser, read_active, write_rows
from brightpaint.study.spaces import SPACES


def main(argv: Sequence[str] | None = None) -> None:
    """Score the distances of an arm's fields from the real ones in one space."""
    line = parser(__doc__)
    line.add_argument("--space", choices=list(SPACES), required=True)
    line.add_argument("--real", type=Path, nargs="+", required=True, help="the space's tables of every real plate")
    line.add_argument("--painted", type=Path, nargs="+", required=True, help="the arm's, one a plate")
    line.add_argument(
        "--selection", type=Path, nargs="*", default=[], help="the selected numbers, where there are some"
    )
    args = line.parse_args(argv)
    store.one_engine([*args.real, *args.painted])
    space, active, rows = SPACES[args.space], read_active(args.active), []
    measure, what = import_module(space.distances), Path(space.table).parts[1]  # e.g. embeddings
    kept = read_selection(args.selection[0]) if args.selection else None
    for plate in args.plates:
        named = {"real": args.real, args.arm: args.painted}
        pair = [measure.read(one_of(plate, arm, paths, what), space) for arm, paths in named.items()]
        others = [measure.read(path, space) for path in args.real if path.stem != plate]
        rows += measure.plate_rows(plate, args.arm, *pair, others, kept, active, space)
    write_rows(rows, args.arm, args.table)


if __name__ == "__main__":
    run(main)
