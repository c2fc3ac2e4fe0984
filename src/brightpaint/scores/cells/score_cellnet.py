"""Score how well a classifier of real cells tells an arm's cells, and whether it looks at them, plate by plate.

Of a painted arm this asks whether the treatment is there in the painted cells as a network knows it from real ones; the real
arm's numbers, on the same wells, are what a perfect prediction would reach. `cell_told` is the balanced accuracy over the
classes of a plate's test wells, `cell_lift` the mean lift of Grad-CAMO for the cells' own classes. Intervals are over wells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.scores.cells.cellnet_accuracy import confusions, scores
from brightpaint.scores.rows import parser, write_rows
from brightpaint.study.single_cells import CELLS

SPACE = "cellnet"


def told_row(cells: pd.DataFrame, seed: str) -> dict:
    """Return the row `cell_told` of a plate's cells: `class`, `answer_cells`, `Metadata_Well`."""
    names = sorted(set(cells["class"]) | set(cells[f"answer_{CELLS}"]))
    truth, answer = (cells[name].map(names.index).to_numpy() for name in ("class", f"answer_{CELLS}"))
    counted = confusions(truth, answer, cells["Metadata_Well"], len(names))
    rows = scores(counted, names, resampling.seeded("cell_told", seed))
    row = next(row for row in rows if row["metric"] == "balanced_accuracy")
    return {"metric": "cell_told", **{key: row[key] for key in ("value", "low", "high")}, "null": row["chance"],
            "n": row["cells"]}  # fmt: skip


def lift_row(cells: pd.DataFrame, seed: str) -> dict:
    """Return the row `cell_lift` of a plate's cells: `lift`, NaN where the map is empty, and `Metadata_Well`."""
    known = cells[cells["lift"].notna()]
    row = {"metric": "cell_lift", "value": np.nan, "null": 1.0, "n": len(known)}
    if not len(known):
        return row
    lift, rng = known["lift"].to_numpy(), resampling.seeded("cell_lift", seed)
    low, high = resampling.bootstrap_ratio(lift, np.ones(len(lift)), known["Metadata_Well"], rng)
    return {**row, "value": float(lift.mean()), "low": low, "high": high}


def plate_rows(told: pd.DataFrame, looked: pd.DataFrame | None, plates: Sequence[str], subset: str) -> Iterator[dict]:
    """Yield the rows of an arm, without `arm`; a plate without test cells has none.

    Parameters
    ----------
    told : from `cellnet_accuracy`, one row a cell
    looked : from `gradcamo`, one row a cell, where it was asked for
    """
    for plate in plates:
        own = told[told["Metadata_Plate"] == plate]
        where = {"plate": plate, "subset": subset, "space": SPACE, "channel": "all"}
        if len(own):
            yield {**told_row(own, plate), **where}
        if looked is not None:
            tested = looked[(looked["Metadata_Plate"] == plate) & (looked["tested"] == 1)]
            if len(tested):
                yield {**lift_row(tested, plate), **where}


def main(argv: Sequence[str] | None = None) -> None:
    """Score an arm's cells by the classifier of real ones."""
    line = parser(__doc__)
    line.add_argument("--subset", choices=["full", "active"], required=True, help="what the arm predicts")
    line.add_argument("--cells", type=Path, required=True, help="from cellnet_accuracy")
    line.add_argument("--looked", type=Path, nargs="*", default=[], help="from gradcamo, where it was asked for")
    args = line.parse_args(argv)
    told = store.read_table(args.cells, required=["Metadata_Plate", "Metadata_Well", "class", f"answer_{CELLS}"])
    wanted = ["Metadata_Plate", "Metadata_Well", "tested", "lift"]
    looked = store.read_table(args.looked[0], wanted) if args.looked else None
    write_rows(list(plate_rows(told, looked, args.plates, args.subset)), args.arm, args.table)


if __name__ == "__main__":
    run(main)
