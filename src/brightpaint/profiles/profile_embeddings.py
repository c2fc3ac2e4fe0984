"""Take the median embedding of each well and perturbation of an arm: profiles in the space of a network.

As published, embeddings of length 1 are used as they are (`normalise: none`): cosine distances between them are small,
for every picture of cells has much in common. `plate` standardises each number over the fields of a plate, as
CellProfiler's features are.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base import cli
from brightpaint.profiles.profile import PERTURBATION, WELL, median_of

log = logging.getLogger(__name__)


def embedding_names(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a table that are no metadata."""
    return [name for name in frame.columns if not name.startswith("Metadata_")]


def standardise_plate(fields: pd.DataFrame) -> pd.DataFrame:
    """Bring each number to mean 0 and s.d. 1 over the fields of one plate; a constant one becomes 0."""
    names = embedding_names(fields)
    values = fields[names].astype("float64")
    sd = values.std(ddof=0)
    scaled = (values - values.mean()) / sd.where(sd > 1e-12, 1.0)
    return pd.concat([fields.drop(columns=names), scaled], axis=1)[list(fields.columns)]


def embedding_profiles(plates: list[pd.DataFrame], normalise: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the profiles of wells and of perturbations.

    Parameters
    ----------
    plates : embeddings of one plate each, one row a field
    normalise : none or plate

    Returns
    -------
    wells : keys, annotations, Metadata_fields, the median of each number over the well's fields
    perturbations : likewise, the median of the wells; wells whose perturbation is unknown ("") have none
    """
    names = embedding_names(plates[0])
    for plate in plates:
        if embedding_names(plate) != names:
            raise ValueError("embeddings of plates differ in their columns; delete the embeddings and rerun `embed`")
    scaled = [standardise_plate(plate) if normalise == "plate" else plate for plate in plates]
    fields = pd.concat(scaled, ignore_index=True).assign(Metadata_fields=1)
    wells = median_of(fields, WELL, names, ["Metadata_fields"])
    known = wells[wells["Metadata_perturbation"] != ""]
    return wells, median_of(known, PERTURBATION, names, ["Metadata_fields"])


def main(argv: list[str] | None = None) -> None:
    """Make an arm's profiles from its embeddings."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: normalise")
    parser.add_argument("--embeddings", type=Path, nargs="+", required=True, help="one table a plate")
    parser.add_argument("--wells", type=Path, required=True)
    parser.add_argument("--perturbations", type=Path, required=True)
    args = parser.parse_args(argv)
    plates = [store.read_fields(path) for path in args.embeddings]
    wells, perturbations = embedding_profiles(plates, args.settings["normalise"])
    log.info("%d wells, %d perturbations, %d numbers", len(wells), len(perturbations), len(embedding_names(wells)))
    store.write_table(wells, args.wells)
    store.write_table(perturbations, args.perturbations)


if __name__ == "__main__":
    cli.run(main)
