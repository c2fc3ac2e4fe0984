"""Profile a plate without looking at it: each perturbation's mean real profile on the fold's training plates.

Every perturbation of a test plate was stained on the training plates, so a label can replay what it looked like
there. An arm that is shown labels has learnt to look, and not only to remember, where it does better than this.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base import cli
from brightpaint.study.annotations import unit_column

COUNTS = ("Metadata_cells",)
log = logging.getLogger(__name__)


def lookup(profiles: pd.DataFrame, plate: str, training: list[str]) -> pd.DataFrame:
    """Return the looked-up profiles of one plate.

    Parameters
    ----------
    profiles : real profiles, one row a plate and perturbation (or treatment)
    plate : the plate to profile; which perturbations it holds is known, none of its features is used
    training : plates whose profiles are averaged

    Returns
    -------
    one row a perturbation of `plate` that some training plate holds: the annotations of `plate`, Metadata_cells of
    the training plates together, and the mean of each feature over the training plates that have it

    Raises
    ------
    ValueError
        where a plate has no profiles, or is among its own training plates
    """
    if plate in training or not training:
        raise ValueError(f"lookup: plate {plate} would be looked up on {training}; expected other plates, at least one")
    missing = sorted({plate, *training} - set(profiles["Metadata_Plate"]))
    if missing:
        raise ValueError(f"lookup: no real profiles of plates {missing}; delete the real profiles and rerun `profile`")
    features = [name for name in profiles.columns if not name.startswith("Metadata_")]
    counts = [name for name in COUNTS if name in profiles.columns]  # no cells are counted in embeddings
    unit = unit_column(profiles)
    elsewhere = profiles[profiles["Metadata_Plate"].isin(training)].groupby(unit)
    known = profiles[profiles["Metadata_Plate"] == plate].drop(columns=[*features, *counts])
    summed = pd.concat([elsewhere[counts].sum(), elsewhere[features].mean()], axis=1).reset_index()
    found = known.merge(summed, on=unit, how="inner", validate="one_to_one")
    log.info("%s: %d of %d %ss found on %d training plates", plate, len(found), len(known), unit[9:], len(training))
    return found[list(profiles.columns)]


def main(argv: list[str] | None = None) -> None:
    """Look up the profiles of every test plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: plates, {test plate: training plates}"
    )
    parser.add_argument("--profiles", type=Path, required=True, help="real perturbation profiles")
    parser.add_argument("--perturbations", type=Path, required=True, help="the table to write")
    args = parser.parse_args(argv)
    profiles = store.read_table(args.profiles, required=["Metadata_Plate", "Metadata_perturbation"])
    plates = args.settings["plates"]
    found = pd.concat([lookup(profiles, plate, plates[plate]) for plate in sorted(plates)], ignore_index=True)
    store.write_measured(found, args.perturbations, store.engine_of(args.profiles))


if __name__ == "__main__":
    cli.run(main)
