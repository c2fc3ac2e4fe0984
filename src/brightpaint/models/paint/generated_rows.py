"""List the fields that an arm paints of each treatment of a plate from conditions alone.

A row borrows the keys and conditions of a real field of the treatment (its dose, molecule, cell line, plate, batch, well), and none
of its pixels. Where more fields are asked for than there are, a field's keys serve again with other noise (`Metadata_draw`). A
treatment stands apart in each cell line and at each time. DMSO, against which every treatment is held, is always among them.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.paint.class_choice import in_order, listed
from brightpaint.models.paint.sweep_fields import draw_fields
from brightpaint.models.split import PLACE_KEYS, SPLIT_KEYS, listed_in, split_keys
from brightpaint.study.annotations import DMSO, PERTURBATION
from brightpaint.study.generations import CONTROLS, HELD_OUT

log = logging.getLogger(__name__)


def wanted_rows(fields: pd.DataFrame, wanted: str | Sequence[str], held_out: pd.DataFrame, where: str) -> np.ndarray:
    """Tell which treated fields are of treatments to paint: (N,) bool.

    Parameters
    ----------
    fields : field table with SPLIT_KEYS
    wanted : `all`, `held_out`, or names of treatments, or of perturbations at all of their doses
    held_out : of the plate's fold, see `models.hold_out`

    Raises
    ------
    ValueError
        where the plate has none of them; it says which it has
    """
    treated = ~fields[PERTURBATION].isin([DMSO, ""]).to_numpy()
    if wanted == HELD_OUT:
        chosen = listed_in(fields, held_out[held_out["held_out"] == 1])
    elif wanted == "all":
        chosen = treated
    else:
        named = fields["Metadata_treatment"].isin(wanted) | fields[PERTURBATION].isin(wanted)
        chosen = named.to_numpy()
    if not (chosen & treated).any():
        what = "no treatment that its fold holds out" if wanted == HELD_OUT else f"none of {listed(wanted)}"
        what = "no treated well" if wanted == "all" else what
        known = listed(in_order(set(fields.loc[treated, "Metadata_treatment"])))
        raise ValueError(
            f"{where}: the plate has {what}; treatments that it has: {known}; "
            "name some of these in generate.treatments, or leave the plate out of the fold's test"
        )
    return chosen & treated


def borrowed(fields: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return `count` rows that borrow these fields, spread evenly over them, each once before any twice (`Metadata_draw`)."""
    if count <= len(fields):
        return draw_fields(fields, count).assign(Metadata_draw=0)
    ordered = fields.sort_values(store.FIELD_KEYS, kind="stable")
    places = np.arange(count)
    return ordered.iloc[places % len(fields)].assign(Metadata_draw=places // len(fields))


def generated_rows(fields: pd.DataFrame, chosen: Mapping, held_out: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the rows that an arm generates on a plate, in the order of their fields' keys.

    Parameters
    ----------
    fields : the plate's field table
    chosen : `fields` of each treatment, and `treatments`
    held_out : of the plate's fold, see `models.hold_out`
    where : names arm and plate, for the messages

    Raises
    ------
    ValueError
        where the plate has none of the treatments, or no DMSO
    """
    located = fields if "stack_row" in fields else fields.assign(stack_row=np.arange(len(fields)))
    located = split_keys(located)
    located = located if "Metadata_time_h" in located else located.assign(Metadata_time_h=np.nan)
    treated = wanted_rows(located, chosen["treatments"], held_out, where)
    control = (located[PERTURBATION] == DMSO).to_numpy()
    if not control.any():
        raise ValueError(
            f"{where}: the plate has no well of {DMSO}, from which the effect of every treatment is measured; test a plate with "
            "some"
        )
    groups = located[treated | control].groupby(PLACE_KEYS, sort=True, dropna=False)
    rows = [
        borrowed(part, chosen["fields"] * (CONTROLS if (part[PERTURBATION] == DMSO).all() else 1)) for _, part in groups
    ]
    found = pd.concat(rows, ignore_index=True).assign(Metadata_painted_as="")
    return found.sort_values([*store.FIELD_KEYS, "Metadata_draw"], kind="stable", ignore_index=True)


def main(argv: Sequence[str] | None = None) -> None:
    """List the fields that an arm generates on a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: fields, treatments")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True, help="what the plate's fold holds out")
    parser.add_argument("--rows", type=Path, required=True, help="the table to write")
    args = parser.parse_args(argv)
    fields = store.read_fields(args.fields)
    held_out = store.read_table(args.held_out, required=[*SPLIT_KEYS, "held_out"])
    plates = ", ".join(sorted(set(fields["Metadata_Plate"])))
    rows = generated_rows(fields, args.settings, held_out, f"arm {args.arm}, plate {plates}")
    names = rows.loc[rows[PERTURBATION] != DMSO, "Metadata_treatment"].nunique()
    log.info("%d rows of %d treatments and %s", len(rows), names, DMSO)
    store.write_table(rows, args.rows)


if __name__ == "__main__":
    run(main)
