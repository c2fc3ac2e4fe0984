"""Draw the fields that every point of a sweep paints: evenly along the field table in the order of their names."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.paint.sample import selected_fields

log = logging.getLogger(__name__)


def draw_fields(fields: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return `count` fields (all, where there are fewer), evenly spaced by plate, well, site and tile.

    Parameters
    ----------
    fields : with `stack_row`, by which the plate's stack is opened with the fields drawn
    """
    ordered = fields.sort_values(store.FIELD_KEYS, kind="stable")
    places = np.linspace(0, len(fields) - 1, min(count, len(fields))).round().astype(int)
    return ordered.iloc[places].reset_index(drop=True)


def main(argv=None) -> None:
    """Draw a sweep's fields."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--drawn", type=Path, required=True, help="the table to write")
    args = parser.parse_args(argv)
    fields = store.read_fields(args.fields)
    located = fields if "stack_row" in fields else fields.assign(stack_row=np.arange(len(fields)))
    chosen = selected_fields(located, args.active, "active" if args.active else "all")
    drawn = draw_fields(located.iloc[chosen], args.count)
    store.write_table(drawn, args.drawn)
    log.info("%d of %d fields", len(drawn), len(fields))


if __name__ == "__main__":
    run(main)
