"""The annotations of a field: what its well holds, in every table from the index on; and what a model is told of it.

Dose and time are numbers (float64, NaN where there is none); every other annotation is text ("" where there is none).
A treatment is a perturbation at a dose: profiles and scores can work by either (`unit` of the config).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every job of the workflow reads this module: 0.3 s of pandas would be felt
    import pandas as pd

REQUIRED = ["Metadata_perturbation", "Metadata_target", "Metadata_control_type"]  # in tables of every version
NUMBERS = ["Metadata_dose", "Metadata_time_h"]  # micromolar; hours
ANNOTATIONS = [
    *REQUIRED,
    "Metadata_treatment",
    "Metadata_dose",
    "Metadata_smiles",
    "Metadata_cell_line",
    "Metadata_time_h",
]
UNITS = ("perturbation", "treatment")  # what profiles, actives and matches can be by (`unit`)
PERTURBATION = "Metadata_perturbation"
DMSO = "DMSO"
GIVEN = ("perturbation", "target", "treatment")  # what a well was given: among these DMSO is a class of its own
# What people and programs write where they know nothing, in capitals or not: a cell of these says nothing.
NOTHING = frozenset(
    ["", "na", "n/a", "n.a.", "<na>", "nan", "-nan", "nat", "none", "null", "<null>", "(null)", "unknown", "not available",
     "not applicable", "empty", "blank", "-", "--", "\u2013", "\u2014", "?", ".",
     "#n/a", "#n/a n/a", "#na", "#null!", "#ref!", "#value!", "#name?", "#div/0!", "#num!",  # Excel's, and its errors
     "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"]
)  # fmt: skip


def plain(cell: object) -> str:
    """Return a cell's text without blanks at its ends, "" for what stands for nothing."""
    text = "" if cell is None else str(cell).strip()
    return "" if text.casefold() in NOTHING else text


def is_label(name: object) -> bool:
    """Return whether this can be a `label`: `none`, or the name of an annotation, `Metadata_<name>` in field tables."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) is not None


def treatment_name(perturbation: str, dose: float) -> str:
    """Name a perturbation at its dose, in micromolar to three digits (platemaps differ in the last ones of one dose).

    Without a dose (NaN), and for DMSO and a well of nothing, whatever theirs, it is the perturbation.
    """
    return perturbation if perturbation in (DMSO, "") or math.isnan(dose) else f"{perturbation}@{dose:.3g}uM"


def annotated(row: Mapping) -> dict:
    """Return one row's ANNOTATIONS; those that it lacks, as rows of older tables do, say nothing."""
    blank = {name: math.nan if name in NUMBERS else "" for name in ANNOTATIONS}
    known = {name: nothing if row.get(name) is None else row[name] for name, nothing in blank.items()}
    if "Metadata_treatment" not in row:
        known["Metadata_treatment"] = treatment_name(known["Metadata_perturbation"], known["Metadata_dose"])
    return known


def column_types() -> dict[str, type]:
    """Return {annotation: the type of its column}: float or str."""
    return {name: float if name in NUMBERS else str for name in ANNOTATIONS}


def treatments(frame: pd.DataFrame) -> pd.Series:
    """Return each row's treatment: in an older table, which has none, its perturbation."""
    return named(frame, "Metadata_treatment")


def named(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return each row's unit by a column of names; rows of older tables have no treatment but their perturbation."""
    return frame[column if column in frame else PERTURBATION].rename(column)


def unit_column(frame: pd.DataFrame) -> str:
    """Return the column that names what a table of profiles or actives has one row for.

    Tables by treatment say so in a column `Metadata_unit`; tables by perturbation have none, as ever.
    """
    units = set(frame["Metadata_unit"]) if "Metadata_unit" in frame else set()
    return f"Metadata_{units.pop()}" if len(units) == 1 else PERTURBATION


def with_unit(frame: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Make a table say by which unit its rows are, where that is not the perturbation."""
    return frame if unit == UNITS[0] else frame.assign(Metadata_unit=unit)
