"""Draw the fields that every point of a sweep paints: evenly along the field table in the order of their names.

With several samples each field has a row a draw, see `draw_rows`.
"""

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


def drawn_rows(fields: pd.DataFrame, samples: int) -> pd.DataFrame:
    """Return each field `samples` times, field by field, with `Metadata_painted_as` "" and `Metadata_draw` 0, 1, ..."""
    rows = fields.loc[fields.index.repeat(samples)].reset_index(drop=True)
    return rows.assign(Metadata_painted_as="", Metadata_draw=np.tile(np.arange(samples), len(fields)))


def main(argv=None) -> None:
    """Draw a sweep's fields."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--drawn", type=Path, required=True, help="the table to write")
    parser.add_argument("--samples", type=int, default=1, help="rows of each, one a draw")
    args = parser.parse_args(argv)
    fields = store.read_fields(args.fields)
    located = fields if "stack_row" in fields else fields.assign(stack_row=np.arange(len(fields)))
    chosen = selected_fields(located, args.active, "active" if args.active else "all")
    drawn = draw_fields(located.iloc[chosen], args.count)
    store.write_table(drawn if args.samples == 1 else drawn_rows(drawn, args.samples), args.drawn)
    log.info("%d of %d fields", len(drawn), len(fields))


if __name__ == "__main__":
    run(main)
