"""Score how far an arm's images, taken together, lie from the real ones: FID and KID, of `real` against the other plates."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.scores.images import frechet
from brightpaint.scores.rows import one_of, parser, read_active, write_rows


def distance_rows(args: argparse.Namespace, plate: str, active: set[str] | None) -> Iterator[dict]:
    """Give FID and KID of an arm on one plate; of `real`, against the other plates."""
    if args.arm == "real":
        others = {path.stem: store.read_table(path) for path in args.real}
        return frechet.replicate_rows(plate, others, active)
    named = {"real": args.real, args.arm: args.painted}
    named |= {"brightfield": args.brightfield} if args.brightfield else {}
    real, painted, *others = [
        store.read_table(one_of(plate, arm, paths, "Inception features")) for arm, paths in named.items()
    ]
    brightfield = others[0] if others else real[:0]
    return frechet.plate_rows(plate, real, painted, brightfield, active)


def main(argv: Sequence[str] | None = None) -> None:
    """Score FID and KID of an arm."""
    line = parser(__doc__)
    line.add_argument("--real", type=Path, nargs="+", required=True, help="real Inception features, one table a plate")
    line.add_argument("--painted", type=Path, nargs="*", default=[], help="the arm's, likewise; none for real")
    line.add_argument(
        "--brightfield", type=Path, nargs="*", default=[], help="brightfield's, likewise, if there is any"
    )
    args = line.parse_args(argv)
    active = read_active(args.active)
    rows = [row for plate in args.plates for row in distance_rows(args, plate, active)]
    write_rows(rows, args.arm, args.table)


if __name__ == "__main__":
    run(main)
