"""Read wells and their numbers: profiles of a space, or places on an axis. What is no such table is refused before any fit."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.study.annotations import PERTURBATION
from brightpaint.study.spaces import Space

REQUIRED = [*store.WELL_KEYS, PERTURBATION, "Metadata_control_type"]
DOSE = "Metadata_dose"


def read_wells(path: Path, space: Space) -> tuple[pd.DataFrame, list[str]]:
    """Read the profiles of wells in a space.

    Returns
    -------
    wells : one row a well: Metadata_* and its numbers, NaN where there is none
    numbers : names of the space's numbers

    Raises
    ------
    ValueError
        naming the file, and the well or the column, for a table without keys or without a number of the space, for a well that
        occurs twice, for words and infinities among the numbers, and for a dose that is none
    """
    wells = store.read_table(path, required=REQUIRED)
    numbers = import_module(space.profiler).numbers_of(list(wells.columns), space)
    if not numbers:
        wanted = ", ".join(f"{prefix}*" for prefix in space.prefixes)
        raise ValueError(
            f"{path}: no column {wanted}; expected profiles in the space {space.name}; delete it and rerun profile"
        )
    return check_wells(wells, numbers, path, "profile"), numbers


def check_wells(wells: pd.DataFrame, numbers: Sequence[str], path: Path, rule: str) -> pd.DataFrame:
    """Return wells of a table, one row a well, that can be placed or fitted; see `read_wells`. `rule` made the table."""
    mend, twice = f"delete it and rerun {rule}", wells.duplicated(store.WELL_KEYS)
    if twice.any():
        raise ValueError(f"{path}: {store.describe_field(wells[twice].iloc[0])} occurs twice; {mend}")
    for name in [*numbers, *([DOSE] if DOSE in wells else [])]:
        if len(wells) and not pd.api.types.is_numeric_dtype(wells[name]):
            raise ValueError(f"{path}: {name} holds words, expected numbers; {mend}")
    infinite = np.isinf(wells[list(numbers)].to_numpy(np.float64))
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise ValueError(f"{path}: {numbers[column]} is infinite ({store.describe_field(wells.iloc[row])}); {mend}")
    if DOSE in wells:
        wrong = wells[DOSE].notna() & ~((wells[DOSE] > 0) & np.isfinite(wells[DOSE]))
        if wrong.any():
            row = wells[wrong].iloc[0]
            raise ValueError(f"{path}: {store.describe_field(row)}: a dose of {row[DOSE]:g} uM, expected one above 0 or none; "
                             "correct it in the table of images or the platemap, and rerun index")  # fmt: skip
    return wells


def refuse_lost(every: pd.DataFrame, wells: pd.DataFrame, problems: Sequence[str], where: str) -> None:
    """Raise ValueError with what is wrong with wells, and how many of `every` well were left out for want of a number, if any."""
    if not problems:
        return
    said, lost = "\n".join(problems), len(every) - len(wells)
    if lost:
        kept = set(map(tuple, wells[store.WELL_KEYS].to_numpy()))
        first = next(row for _, row in every.iterrows() if tuple(row[store.WELL_KEYS]) not in kept)
        said = (
            f"{where}: {lost} of {len(every)} wells have no number in this space, as those without cells, and are left out, the "
            f"first {store.describe_field(first)}; look at their images. Of the others: {said}"
        )
    raise ValueError(said)
