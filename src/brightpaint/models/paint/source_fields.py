"""Draw the source fields of a translation on one plate, and list the rows that it will show: each field as each class.

The source class is the first row of each field: the reconstruction, beside which every other class stands.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.conditions.labels import label_names
from brightpaint.models.paint.class_choice import check_wells, listed, source_of, targets_of
from brightpaint.models.paint.sweep_fields import draw_fields
from brightpaint.models.trained import read_model
from brightpaint.study.choice import parse_wells
from brightpaint.study.kinds import KINDS

log = logging.getLogger(__name__)
TRANSLATING = tuple(name for name, kind in KINDS.items() if kind.translates)


def drawn(fields: pd.DataFrame, classes: pd.Series, source: str, wanted: int | str | None, where: str) -> pd.DataFrame:
    """Return the source fields of a plate, in the order of their names.

    Parameters
    ----------
    fields : the plate's field table, with `stack_row`
    classes : the class of each field
    wanted : how many, spread evenly; wells, whose fields are all taken; or None for all

    Raises
    ------
    ValueError
        for a well that the plate has not, and for one of another class
    """
    own = fields[(classes == source).to_numpy()]
    if isinstance(wanted, str):
        wells = parse_wells(wanted)
        check_wells(wells, fields["Metadata_Well"], classes, source, where)
        own, wanted = own[own["Metadata_Well"].isin(wells)], None
    return draw_fields(own, len(own) if wanted is None else wanted)


def rows_of(fields: pd.DataFrame, shown: list[str]) -> pd.DataFrame:
    """Return the rows of the translated stack: each field as often as there are classes, field by field."""
    rows = fields.loc[fields.index.repeat(len(shown))].reset_index(drop=True)
    return rows.assign(Metadata_painted_as=np.tile(np.array(shown, dtype=object), len(fields)), Metadata_draw=0)


def source_rows(fields: pd.DataFrame, meta: dict, chosen: dict, where: str) -> pd.DataFrame:
    """Return the rows of a translation of one plate by a model that says of itself `meta`."""
    label, known = meta["settings"]["label"], list(meta["label_map"])
    if label == "none":
        raise ValueError(f"{where}: the model is told no class to translate between; train it with a label")
    classes = label_names(fields, label)
    controls = fields.get("Metadata_control_type", pd.Series("", index=fields.index))
    source = source_of(chosen, label, classes, controls, known, where)
    targets = targets_of(chosen["targets"], source, known, where)
    located = fields if "stack_row" in fields else fields.assign(stack_row=np.arange(len(fields)))
    return rows_of(drawn(located, classes, source, chosen["fields"], where), [source, *targets])


def main(argv=None) -> None:
    """List the rows of a translation of one plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: source, targets, fields")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="the table to write")
    args = parser.parse_args(argv)
    fields, (_, meta) = store.read_fields(args.fields), read_model(args.weights, TRANSLATING)
    plates = ", ".join(sorted(set(fields["Metadata_Plate"])))
    rows = source_rows(fields, meta, args.settings, f"arm {args.arm}, plate {plates}")
    shown = list(dict.fromkeys(rows["Metadata_painted_as"]))
    log.info("%d source fields of %s, shown as %s", len(rows) // len(shown), shown[0], listed(shown[1:]))
    store.write_table(rows, args.rows)


if __name__ == "__main__":
    run(main)
