"""What is particular to treatments, perturbations at one dose: pure functions.

A dose series often has one well a dose on a plate. Then nothing can be said from replicates, and a well is judged by its
distance from DMSO against the distances of DMSO wells from one another, each left out in turn. And doses often go
along the columns of a plate, so that a gradient over the plate looks like an effect of the dose.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from brightpaint.profiles.aggregate import with_one_dose
from brightpaint.study.annotations import ANNOTATIONS, named, with_unit

log = logging.getLogger(__name__)
TOGETHER = 0.5  # share of the doses' variance between columns (or rows) from which they are said to go together


def left_out_null(
    points: np.ndarray, plates: np.ndarray, own: np.ndarray, dmso: np.ndarray
) -> tuple[float, np.ndarray]:
    """Measure how far one well lies from its plate's DMSO wells, and how far each of these lies from the others.

    Parameters
    ----------
    points : (n, D) wells
    plates : (n,) their plates
    own, dmso : (n,) bool, the one well and the DMSO wells

    Returns
    -------
    distance : from the mean of the plate's DMSO wells; NaN with fewer than two of them
    null : (m,) of each of the m DMSO wells, from the mean of the m - 1 others
    """
    (place,) = np.flatnonzero(own)
    controls = points[dmso & (plates == plates[place])]  # (m, D)
    m = len(controls)
    if m < 2:
        return float("nan"), np.zeros(0)
    mean = controls.mean(axis=0)
    others = (m * mean - controls) / (m - 1)
    return float(np.linalg.norm(points[place] - mean)), np.linalg.norm(controls - others, axis=1)


def well_places(wells: Sequence[str]) -> np.ndarray:
    """Return row and column of wells called A01, AA02, ...: (n, 2) float64 from 1; NaN for other names."""
    parts = pd.Series(list(wells), dtype="str").str.extract(r"^([A-Za-z]+)(\d+)$")
    letters = parts[0].fillna("").str.upper()
    rows = [sum((ord(letter) - 64) * 26**power for power, letter in enumerate(text[::-1])) for text in letters]
    return np.column_stack([np.where(parts[0].isna(), np.nan, rows), parts[1].astype(float)]).reshape(-1, 2)


def share_between(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the share of the variance of values that lies between groups, corrected for their number (adjusted R2).

    NaN where values do not vary or every value has a group of its own.
    """
    frame = pd.DataFrame({"value": values, "group": groups})
    n, k = len(frame), frame["group"].nunique()
    total = ((frame["value"] - frame["value"].mean()) ** 2).sum()
    if n <= k or not total > 0:
        return float("nan")
    within = ((frame["value"] - frame.groupby("group")["value"].transform("mean")) ** 2).sum()
    return float(1 - within / (n - k) * (n - 1) / total)


def dose_places(wells: pd.DataFrame) -> pd.DataFrame:
    """Say how far doses follow columns and rows on each plate.

    Parameters
    ----------
    wells : Metadata_Plate, Metadata_Well and Metadata_dose, one row a well

    Returns
    -------
    frame indexed by plate: dose_by_column, dose_by_row, shares of the variance of log dose (see `share_between`)
    """
    dosed = wells[wells["Metadata_dose"].notna()]
    rows = {}
    for plate, part in dosed.groupby("Metadata_Plate"):
        places, doses = well_places(part["Metadata_Well"]), np.log10(part["Metadata_dose"].to_numpy(np.float64))
        known = np.isfinite(places).all(axis=1)
        by = {name: share_between(doses[known], places[known, axis]) for axis, name in enumerate(("row", "column"))}
        rows[plate] = {"dose_by_column": by["column"], "dose_by_row": by["row"]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["dose_by_column", "dose_by_row"], dtype="float64")


def together(places: pd.DataFrame) -> list[str]:
    """Return a sentence for each plate on which doses follow columns or rows (`dose_places`)."""
    said = []
    for plate, row in places.iterrows():
        for way in ("column", "row"):
            if row[f"dose_by_{way}"] >= TOGETHER:
                said.append(f"plate {plate}: dose and {way} go together ({row[f'dose_by_{way}']:.0%} of the doses' variance "
                            f"lies between {way}s): a gradient over the plate looks like an effect of the dose")  # fmt: skip
    return said


def annotations_by(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the annotations of each perturbation, or treatment, over all plates: one row a name of `column`.

    What differs between its wells is left blank (`aggregate.with_one_dose`).
    """
    frame = frame.assign(**{column: named(frame, column)})
    kept = [name for name in ANNOTATIONS if name in frame and name != column]
    return with_one_dose(frame, [column]).drop_duplicates(column)[[column, *kept]]


def by_name(plates: Sequence[pd.DataFrame], unit: str) -> list[pd.DataFrame]:
    """Let `Metadata_perturbation` name what is found active or not; by treatment `Metadata_compound` keeps the perturbation."""
    if unit == "perturbation":
        return list(plates)
    return [
        plate.assign(
            Metadata_compound=plate["Metadata_perturbation"], Metadata_perturbation=named(plate, f"Metadata_{unit}")
        )
        for plate in plates
    ]


def own_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Undo `by_name`."""
    if "Metadata_compound" not in frame:
        return frame
    names = {"Metadata_treatment": frame["Metadata_perturbation"], "Metadata_perturbation": frame["Metadata_compound"]}
    return frame.assign(**names).drop(columns="Metadata_compound")


def described(found: pd.DataFrame, medians: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Add the annotations of what was found or not; by treatment also how far doses follow columns and rows, and the unit.

    Parameters
    ----------
    found : one row a name, from `active.judge`
    medians : field medians of all plates, given `by_name`
    """
    name = "Metadata_perturbation"
    more = annotations_by(medians, name).drop(columns=["Metadata_target", "Metadata_control_type"])
    table = found.merge(more, on=name, how="left", validate="one_to_one")
    if unit == "perturbation":
        return table
    if "Metadata_dose" in medians:
        places = dose_places(medians.drop_duplicates(["Metadata_Plate", "Metadata_Well"]))
        for sentence in together(places):
            log.warning("%s", sentence)
        own = medians[[name, "Metadata_Plate"]].drop_duplicates().join(places, on="Metadata_Plate")
        table = table.join(own.groupby(name)[list(places)].mean(), on=name)
    table["Metadata_compound"] = table[name].map(medians.groupby(name)["Metadata_compound"].first())
    return with_unit(own_names(table), unit)
