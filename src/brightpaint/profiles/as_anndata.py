"""Write a table of profiles as AnnData, for scanpy and what else reads it: the same rows and numbers as its parquet.

X holds the numbers, of the type they have there; obs the columns Metadata_*; var what a feature's name says
(compartment, group, channel), as the profiler of its space reads it; uns["brightpaint"] what made the table.
"""

from __future__ import annotations

import argparse
import json
import logging
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import __version__, store
from brightpaint.base import cli
from brightpaint.study.annotations import unit_column
from brightpaint.study.spaces import SPACES, Space

log = logging.getLogger(__name__)


def row_names(profiles: pd.DataFrame) -> pd.Series:
    """Return a name for each row: `plate/well`, or `plate/perturbation` (or treatment) where a row is one of these."""
    named = "Metadata_Well" if "Metadata_Well" in profiles else unit_column(profiles)
    return profiles["Metadata_Plate"] + "/" + profiles[named]


def annotated(
    profiles: pd.DataFrame, space: Space, channels: list[str]
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Return (X, obs, var) of a table of profiles.

    Parameters
    ----------
    profiles : one row a plate and well, perturbation or treatment: Metadata_* and the space's numbers
    channels : all that a feature's name may speak of

    Returns
    -------
    values : (N, F) float32 or float64, as the table has them
    rows : the columns Metadata_*, under `row_names`
    columns : compartment, group, channel of each number, under its name
    """
    profiler = import_module(space.profiler)
    names = profiler.numbers_of(list(profiles.columns), space)
    metadata = [name for name in profiles.columns if name.startswith("Metadata_")]
    if lost := sorted(set(profiles.columns) - {*names, *metadata}):
        raise ValueError(f"columns {lost[:5]} are neither Metadata_* nor numbers of the space {space.name}")
    types = {dtype if dtype.kind == "f" else np.dtype("float64") for dtype in profiles[names].dtypes}
    values = profiles[names].to_numpy(np.result_type(*types) if types else np.float64)
    return values, profiles[metadata].set_axis(row_names(profiles)), profiler.parts_of(names, space, channels)


def main(argv: list[str] | None = None) -> None:
    """Write a table of profiles as AnnData."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--arm", required=True)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: channels, and made, how profiles were"
    )
    parser.add_argument("--profiles", type=Path, required=True)
    parser.add_argument("--h5ad", type=Path, required=True)
    args = parser.parse_args(argv)
    space, channels = SPACES[args.space], args.settings["channels"]
    profiles = store.read_table(args.profiles, required=["Metadata_Plate", "Metadata_perturbation"])
    try:
        values, rows, columns = annotated(profiles, space, channels)
    except ValueError as error:
        raise ValueError(f"{args.profiles}: {error}; delete it and rerun profile") from None
    made = {
        "version": __version__, "arm": args.arm, "space": space.name, "rows": args.profiles.stem, "channels": channels,
        "settings": json.dumps(args.settings["made"], sort_keys=True),
    }  # fmt: skip
    store.write_annotated(args.h5ad, values, rows, columns, made)
    log.info("%s: %d rows, %d features", args.h5ad, *values.shape)


if __name__ == "__main__":
    cli.run(main)
