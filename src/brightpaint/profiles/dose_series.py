"""Lay wells out for dose-response curves: what is measured of them, and which of them are one series.

Wells of one cell line and time are one series, whatever plates they lie on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.profiles.projection import FEWEST_DMSO, principal

SERIES = ["Metadata_cell_line", "Metadata_time_h"]
FEW = 5  # compounds of a series, of which one may be most of what varies
log = logging.getLogger(__name__)


def completed(wells: pd.DataFrame) -> pd.DataFrame:
    """Return wells with every column that is read here: a table of before doses were known has none of them.

    Doses have three significant digits, as treatments have: platemaps hold one dose with several last digits.
    """
    lacking = {"Metadata_dose": np.nan, "Metadata_time_h": np.nan, "Metadata_cell_line": ""}
    filled = wells.copy().assign(**{name: value for name, value in lacking.items() if name not in wells.columns})
    filled = filled.astype({"Metadata_dose": np.float64, "Metadata_time_h": np.float64})
    return filled.assign(Metadata_dose=[float(f"{dose:.3g}") for dose in filled["Metadata_dose"]])


def measured(wells: pd.DataFrame, numbers: Sequence[str], *, where: str = "doses") -> tuple[pd.DataFrame, np.ndarray]:
    """Leave out wells without a number, then numbers that some well lacks; say how many, and `where` it is an error.

    Returns
    -------
    wells : the rows kept
    values : (n, p) finite
    """
    values = wells[list(numbers)].to_numpy(dtype=np.float64)
    kept = np.isfinite(values).any(axis=1)
    whole = np.isfinite(values[kept]).all(axis=0)
    log.info("wells: %d, without cells and left out: %d", len(wells), int((~kept).sum()))
    log.info("numbers: %d, missing in some well and left out: %d", len(whole), int((~whole).sum()))
    if kept.any() and not whole.any():
        raise ValueError(f"{where}: none of {len(whole)} numbers is known of all {int(kept.sum())} wells; look at the cell counts "
                         "in <results>/medians, and leave plates out that have next to none")  # fmt: skip
    return wells[kept].reset_index(drop=True), values[kept][:, whole]


def series_of(wells: pd.DataFrame) -> Iterator[tuple[tuple, np.ndarray]]:
    """Yield cell line and time with a mask of their wells, the DMSO wells of the same plates among them.

    A DMSO well of no cell line or time belongs to all.
    """
    control = (wells["Metadata_control_type"] == "negcon").to_numpy()
    treated = wells[~control & (wells["Metadata_perturbation"] != "")]
    for line, time in treated[SERIES].drop_duplicates().itertuples(index=False):
        lines, times = wells["Metadata_cell_line"], wells["Metadata_time_h"]
        own = (lines == line) & (times.isna() if np.isnan(time) else times == time)
        near = ((lines == line) | (lines == "")) & ((times == time) | times.isna())
        plates = wells.loc[own & ~control, "Metadata_Plate"].unique()
        dmso = control & (own | near) & wells["Metadata_Plate"].isin(plates)
        yield (line, time), ((own & ~control & (wells["Metadata_perturbation"] != "")) | dmso).to_numpy()


@dataclass(frozen=True)
class Series:
    """The wells of one cell line and time.

    Attributes
    ----------
    wells : (n rows)
    points : (n, r) principal components
    plate : (n,) numbers of the plates
    control : (n,) whether a well is DMSO
    usable : (n,) whether it has a dose and lies on a plate with DMSO wells enough
    cells : (n,) cells of a well (of a field, where fields are counted) as a share of its plate's DMSO wells; NaN where not counted
    condition : see `conditions`
    """

    wells: pd.DataFrame
    points: np.ndarray
    plate: np.ndarray
    control: np.ndarray
    usable: np.ndarray
    cells: np.ndarray
    condition: np.ndarray | None


def conditions(wells: pd.DataFrame, plate: np.ndarray, control: np.ndarray) -> np.ndarray | None:
    """Return (n,) numbers of what each well was given on its plate, where there are few compounds; None for one, or many.

    Beside few others, one that does the same as a compound would be most of what varies, and whitening would take its effect
    away: then wells vary about the mean of their dose. Of many compounds none is, and lone wells tell as much as replicates.
    """
    given = wells["Metadata_perturbation"].where(~control, "")
    if not 1 < given[~control].nunique() <= FEW:
        return None
    keys = pd.DataFrame(
        {"plate": plate, "given": given.to_numpy(), "dose": wells["Metadata_dose"].where(~control).to_numpy()}
    )
    return keys.groupby(list(keys), dropna=False).ngroup().to_numpy()


def prepare_series(wells: pd.DataFrame, values: np.ndarray) -> Series:
    """Lay out the wells of one series; `values` (n, p) are their numbers."""
    control = (wells["Metadata_control_type"] == "negcon").to_numpy()
    plate = np.unique(wells["Metadata_Plate"], return_inverse=True)[1]
    cells = np.full(len(wells), np.nan)
    if "Metadata_cells" in wells:
        counted = wells["Metadata_cells"] / wells.get("Metadata_fields", 1)
        cells = (counted / counted.where(control).groupby(plate).transform("mean")).to_numpy()
    enough = np.bincount(plate[control], minlength=plate.max() + 1) >= FEWEST_DMSO
    usable = ~control & (wells["Metadata_dose"] > 0).to_numpy() & enough[plate]
    return Series(wells, principal(values), plate, control, usable, cells, conditions(wells, plate, control))
