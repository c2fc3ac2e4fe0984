"""Join Grad-CAMO to a plate's table of cells, and take every field's median of the cells that the classifier looks at.

Kept are cells whose lift is at least `least_lift` for the class answered: their own class, which would keep cells by what is to
be found again, has no part in it. A cell without a lift (an empty map, an empty mask, a well that was not explained) is not kept.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.embedders.cellnet import medians_of_plate
from brightpaint.features.embedders.vectors import vector_names

PREFIXES = ("CellNet_",)
SCORES = ["camo", "area", "lift", "neighbours", "camo_predicted", "lift_predicted", "neighbours_predicted"]
CHOSEN_BY, KEPT = "lift_predicted", "kept"
log = logging.getLogger(__name__)


def joined_groups(cells: Path, scores: pd.DataFrame, least_lift: float, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of the table of cells with their scores and `kept`, a field at a time.

    Parameters
    ----------
    scores : CROP_KEYS and SCORES of explained cells
    """
    for group in store.read_groups(cells):
        frame = group.to_pandas()
        joined = frame.merge(scores, on=store.CROP_KEYS, how="left", validate="one_to_one")
        joined[KEPT] = (joined[CHOSEN_BY] >= least_lift).astype("int64")
        yield pa.Table.from_pandas(joined[schema.names], schema=schema, preserve_index=False)


def main(argv=None) -> None:
    """Take the median of the cells that the classifier looks at."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: least_lift, wells")
    for name in ("activations", "scores", "split", "rows", "cells", "medians"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    known = store.read_schema(args.activations).remove_metadata()
    schema = known
    for name in SCORES:
        schema = schema.append(pa.field(name, pa.float64()))
    schema = schema.append(pa.field(KEPT, pa.int64()))
    scores = store.read_table(args.scores, [*store.CROP_KEYS, *SCORES])
    store.write_groups(joined_groups(args.activations, scores, args.settings["least_lift"], schema), args.cells, schema)
    split, names = store.read_table(args.split), vector_names(known.names, PREFIXES)
    roles = dict(zip(split["group"], split["role"]))
    fields = store.read_fields(args.rows)
    frame = medians_of_plate(args.cells, fields, roles, names, args.settings["wells"], kept=KEPT)
    flags = store.read_table(args.cells, [KEPT, CHOSEN_BY])
    log.info("%d of %d cells looked at (lift of %g or more), %d of them without a lift; %d fields, %d of them without such cells",
             flags[KEPT].sum(), len(flags), args.settings["least_lift"], flags[CHOSEN_BY].isna().sum(), len(frame),
             (frame["Metadata_cells"] == 0).sum())  # fmt: skip
    store.write_table(frame, args.medians)


if __name__ == "__main__":
    run(main)
