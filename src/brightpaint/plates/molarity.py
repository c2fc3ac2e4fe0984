"""Which dose a well holds, in micromolar, by the column of a table that says it.

The Cell Painting Gallery's platemaps call it `mmoles_per_liter` and write micromolar (0.04 to 20 for drugs:
broadinstitute/lincs-cell-painting bins the column at 0.04, 0.12, 0.37, 1.11, 3.33, 10 and 20 uM). CDRP rounds it in
`mmoles_per_liter2`. Other tables name the unit: `dose_uM`, `concentration_nM`, `Metadata_conc_mM`. Masses (`mg_per_ml`)
say nothing without a structure and are not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

# A unit in lower case: micromoles a litre. A column of units may say `M`; a column's own name may not (dose_m).
MICROMOLAR = {
    **dict.fromkeys(("um", "µm", "μm", "micromolar"), Decimal(1)),
    **dict.fromkeys(("pm", "picomolar"), Decimal("1e-6")),
    **dict.fromkeys(("nm", "nanomolar"), Decimal("1e-3")),
    **dict.fromkeys(("mm", "millimolar"), Decimal("1e3")),
    **dict.fromkeys(("m", "molar"), Decimal("1e6")),
}
UNITS = {unit: float(factor) for unit, factor in MICROMOLAR.items() if unit not in ("m", "molar")}
GALLERY = ["mmoles_per_liter", "mmoles_per_liter2"]  # the second is the first, rounded
WORDS = r"(?:metadata_)?(?:(?:pert|compound|drug|final)[_ ])?(?:dose|doses|conc|conc\.|concentration|concentrations)"
UNIT = rf"[-_ ]?(?:in[_ ])?[(\[]?({'|'.join(UNITS)})[)\]]?"  # dose_uM, Conc (nM), concentration [mM], dose in uM


def is_dose(column: str) -> bool:
    """Return whether a column's name says that it holds a dose, with or without a unit."""
    return re.fullmatch(f"{WORDS}(?:{UNIT})?", column.strip().lower()) is not None


def scale_of(column: str) -> float | None:
    """Return what brings a column's numbers to micromolar; None where its name says no unit or it holds no dose."""
    name = column.strip().lower()
    if name.removeprefix("metadata_") in GALLERY:
        return 1.0
    match = re.fullmatch(f"{WORDS}{UNIT}", name)
    return UNITS[match[1]] if match else None


def dose_column(columns: Sequence[str], name: str, unit: str | None) -> tuple[str, float] | None:
    """Return (column, factor to micromolar) of a table's doses; None where it has none.

    Parameters
    ----------
    columns : of the table
    name : the table, for messages
    unit : of a column that does not say its own (`source.dose_unit`): uM, nM or mM

    Raises
    ------
    ValueError
        for two columns of doses, and for one of which nobody says the unit
    """
    scales = {column: scale_of(column) for column in columns if scale_of(column)}
    gallery = sorted(column for column in scales if column.lower().removeprefix("metadata_") in GALLERY)
    scales = {column: scale for column, scale in scales.items() if column not in gallery[1:]}
    if len(scales) > 1:
        raise ValueError(f"{name}: expected one column of doses, found {', '.join(scales)}; take all but one out")
    if scales:
        return next(iter(scales.items()))
    unknown = [column for column in columns if is_dose(column)]
    if not unknown:
        return None
    if unit is None or len(unknown) > 1:
        raise ValueError(
            f"{name}: the column {' and '.join(unknown)} holds doses of no known unit; set source.dose_unit to uM, nM or mM"
            + (", and keep one of them" if len(unknown) > 1 else " (a column dose_uM would say it itself)")
        )
    return unknown[0], UNITS[unit.lower()]


def dose_of(text: str, scale: float, where: str) -> float:
    """Return a dose in micromolar: NaN for an empty cell.

    Raises
    ------
    ValueError
        naming `where` and the text, for what is no finite number above 0
    """
    if text == "":
        return np.nan
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not (np.isfinite(number) and number > 0):
        raise ValueError(
            f"{where}: expected a dose above 0, found {text!r}; correct the number, leave its cell empty where no dose is "
            "known, or name the well DMSO where it holds no compound"
        )
    return number * scale


def doses(
    table: pd.DataFrame, treated: Sequence[bool], wells: Sequence[str], name: str, unit: str | None
) -> np.ndarray:
    """Return (N,) float64 doses in micromolar of a platemap's wells, NaN where there is none.

    A well that is not `treated` (DMSO, empty) has no dose, whatever its cell says: the solvent's, or a 0.
    """
    treated = np.asarray(treated, bool)
    filled = [column for column in table.columns if (table.loc[treated, column] != "").any()]
    known = dose_column(filled, name, unit)
    if known is None:
        return np.full(len(table), np.nan)
    column, scale = known
    cells = zip(table[column], treated, wells)
    return np.array(
        [dose_of(text, scale, f"{name}, well {well}, {column}") if own else np.nan for text, own, well in cells]
    )


def time_of(text: str, where: str) -> float:
    """Return a time in hours: NaN for an empty cell; what is no finite number from 0 on is an error."""
    number = float(text) if re.fullmatch(r"\d+([.]\d*)?|[.]\d+", text) else np.nan
    if text and not np.isfinite(number):
        raise ValueError(f"{where}: expected hours, such as 48, found {text!r}; correct it, or leave it empty")
    return number
