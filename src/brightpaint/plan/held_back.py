"""What a fold will hold out of training, as far as the wells of its plates are known before anything runs."""

from __future__ import annotations

import importlib.util

import pandas as pd

from brightpaint.models.given_split import read_split
from brightpaint.models.hold_out import hold_out
from brightpaint.models.split import held_out_rows, listed_in, split_keys
from brightpaint.study.fold_splits import FILE, by_molecule, tabled, word_of
from brightpaint.study.study import Study


def joined(study: Study, plates: list[str], wells) -> pd.DataFrame | None:
    """Return the wells of several plates (`plan.translating.Wells`); None where those of one are not known."""
    tables = [wells.of(plate) for plate in plates]
    if any(table is None for table in tables):
        return None
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def held_table(study: Study, fold: str, wells) -> pd.DataFrame | None:
    """Return what the rule `hold_out` will write; None where that is not known yet, or RDKit is only where jobs run.

    Raises
    ------
    ValueError
        where the fold can't hold out what it says
    """
    entry = study.entry("folds", fold)
    held = entry["held_out"]
    training, tested = (joined(study, plates, wells) for plates in (study.training_plates(fold), entry["test"]))
    if by_molecule(held) and importlib.util.find_spec("rdkit") is None:
        return None
    try:
        if training is None or tested is None or not len(training):
            if word_of(held) == FILE:  # what is wrong with the table itself needs no well
                read_split(held["path"], held["key"])
            return None
        return hold_out(training, tested, held)
    except ValueError as error:
        raise ValueError(f"fold {fold}: {error}") from None


def trained_wells(study: Study, fold: str, wells) -> pd.DataFrame | None:
    """Return the wells that a fold trains on; None where they are not known yet."""
    held, training = study.entry("folds", fold)["held_out"], joined(study, study.training_plates(fold), wells)
    if training is None or not len(training):
        return None
    if not tabled(held):
        return training[~held_out_rows(training, held)]
    table = held_table(study, fold, wells)
    if table is None:
        return None
    return training[~listed_in(split_keys(training), table[table["held_out"] == 1])]
