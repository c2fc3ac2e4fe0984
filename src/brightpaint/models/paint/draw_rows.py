"""List the rows of an arm's samples on one plate: some fields, drawn evenly by their names, each as often as it is painted.

A row's `Metadata_draw` says whose noise it is painted from: draw n of a field is the sample of that number, and draw 0 what the
arm's own stack shows.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.paint.sample import selected_fields
from brightpaint.models.paint.sweep_fields import draw_fields, drawn_rows

log = logging.getLogger(__name__)


def calibrated_fields(fields: pd.DataFrame, actives: Sequence[Path], count: int) -> pd.DataFrame:
    """Return the fields of a plate on which arms are judged as distributions, with `stack_row`.

    Parameters
    ----------
    fields : the plate's field table
    actives : the table of actives, in a list, where the arm predicts the active subset only; empty otherwise
    count : at most
    """
    located = fields if "stack_row" in fields else fields.assign(stack_row=np.arange(len(fields)))
    chosen = selected_fields(located, list(actives), "active" if actives else "all")
    return draw_fields(located.iloc[chosen], count)


def main(argv=None) -> None:
    """List the samples of one plate that are to be painted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, required=True, help="fields")
    parser.add_argument("--samples", type=int, required=True, help="of each")
    parser.add_argument("--rows", type=Path, required=True, help="the table to write")
    args = parser.parse_args(argv)
    drawn = calibrated_fields(store.read_fields(args.fields), args.active, args.count)
    store.write_table(drawn_rows(drawn, args.samples), args.rows)
    log.info("%d fields, each %d times", len(drawn), args.samples)


if __name__ == "__main__":
    run(main)
