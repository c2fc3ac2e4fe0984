"""Score, on simulated plates with wells whose compound failed, how often an arm paints the phenotype that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.scores.profiles.failed import painted_rows
from brightpaint.scores.rows import paints_all, parser, read_active, write_rows
from brightpaint.study.annotations import PERTURBATION, named
from brightpaint.study.spaces import MAIN


def failed_rows(
    plate: str,
    training: Sequence[str],
    real: pd.DataFrame,
    painted: pd.DataFrame,
    truth: pd.DataFrame,
    active: set[str] | None,
) -> Iterator[dict]:
    """Say how often the arm paints a phenotype that failed, on a plate whose training plates are known.

    An arm on the active subset gives no rows: it paints no DMSO, from which the way to a phenotype is measured.
    """
    column = getattr(active, "column", PERTURBATION)
    shown = [set(named(frame[frame["Metadata_Plate"] == plate], column)) for frame in (real, painted)]
    if not paints_all(*shown, active):
        return
    for row in painted_rows(plate, training, real, painted, truth):
        yield {**row, "plate": plate, "subset": "full", "space": MAIN.name, "channel": "all"}


def main(argv: Sequence[str] | None = None) -> None:
    """Score what an arm paints in wells whose compound failed."""
    line = parser(__doc__)
    line.add_argument("--settings", type=json.loads, required=True, help="JSON: training, {plate: its training plates}")
    line.add_argument("--truth", type=Path, nargs="+", required=True, help="truth of these plates and their training's")
    line.add_argument("--real", type=Path, required=True, help="real well profiles")
    line.add_argument(
        "--profiles", type=Path, required=True, help="the arm's well profiles; of a look-up, perturbations"
    )
    args = line.parse_args(argv)
    store.one_engine([args.real, args.profiles])
    truth = pd.concat([store.read_table(path) for path in args.truth], ignore_index=True)
    real, painted = (store.read_table(path) for path in (args.real, args.profiles))
    active, rows = read_active(args.active), []
    for plate in args.plates:
        if training := args.settings["training"].get(plate):
            rows += failed_rows(plate, training, real, painted, truth, active)
    write_rows(rows, args.arm, args.table)


if __name__ == "__main__":
    run(main)
