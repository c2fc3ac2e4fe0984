"""Whether doses and places on a plate go together: then what looks like a dose may be an edge.

Serial dilutions are often pipetted along a row, so that a column of wells holds one dose throughout. A phenotype that rises with
the dose then rises with the column too, and no table can tell them apart: it can only be said.
"""

from __future__ import annotations

import re
from zlib import crc32

import numpy as np
import pandas as pd

WELL_NAME = re.compile(r"([A-Za-z]+)0*(\d+)")
SHUFFLES = 200
FIRM = 0.5  # of the way from chance to every well: what a reader should be told of


def place_of_well(name: str, axis: str) -> str:
    """Return the row or the column of a well such as B07; "" where its name says none."""
    found = WELL_NAME.fullmatch(name)
    return found.group(1 if axis == "row" else 2) if found else ""


def told_share(dose: np.ndarray, place: np.ndarray) -> float:
    """Return the share of wells whose dose is the commonest of their place: 1 where a place holds one dose."""
    counts = np.zeros((place.max() + 1, dose.max() + 1))
    np.add.at(counts, (place, dose), 1)
    return float(counts.max(axis=1).sum() / len(dose))


def dose_places(wells: pd.DataFrame) -> pd.DataFrame:
    """Say for every plate how far the column, and the row, of a well tells its dose.

    Doses are taken by their rank among those of their compound, since one column may hold the third dose of several.

    Parameters
    ----------
    wells : Metadata_Plate, Metadata_Well, Metadata_perturbation, Metadata_dose; wells without a dose, and compounds of one dose
        on a plate, are left out

    Returns
    -------
    one row a plate and axis (column, row): wells, told (share of wells whose dose is the commonest in their column), chance (the
    same for shuffled doses), together (1 where told lies halfway or more from chance to 1, beyond 95% of the shuffles)
    """
    rows, keys = [], ["Metadata_Plate", "Metadata_perturbation"]
    dosed = wells.loc[wells["Metadata_dose"] > 0, [*keys, "Metadata_Well", "Metadata_dose"]]
    dosed = dosed[dosed.groupby(keys)["Metadata_dose"].transform("nunique") > 1]
    dosed = dosed.assign(rank=dosed.groupby(keys)["Metadata_dose"].rank(method="dense").astype(int))
    for plate, own in dosed.groupby("Metadata_Plate"):
        dose = own["rank"].to_numpy()
        for axis in ("column", "row"):
            place = np.unique([place_of_well(name, axis) for name in own["Metadata_Well"]], return_inverse=True)[1]
            rng = np.random.default_rng(crc32(f"{plate}/{axis}".encode()))
            shuffled = np.array([told_share(rng.permutation(dose), place) for _ in range(SHUFFLES)])
            told, chance = told_share(dose, place), float(shuffled.mean())
            firm = chance < 1 and (told - chance) / (1 - chance) >= FIRM and told > np.quantile(shuffled, 0.95)
            rows.append({"Metadata_Plate": plate, "axis": axis, "wells": len(own), "told": told, "chance": chance,
                         "together": int(firm)})  # fmt: skip
    columns = ["Metadata_Plate", "axis", "wells", "told", "chance", "together"]
    return pd.DataFrame(rows, columns=columns)


def in_words(places: pd.DataFrame) -> dict[str, str]:
    """Return {plate: a sentence} of the plates where dose and column, or row, go together."""
    words: dict[str, list[str]] = {}
    for row in places[places["together"] == 1].itertuples():
        said = f"dose and {row.axis} go together on plate {row.Metadata_Plate} (the {row.axis} tells the dose of "
        said += f"{100 * row.told:.0f}% of wells, by chance {100 * row.chance:.0f}%)"
        words.setdefault(row.Metadata_Plate, []).append(said)
    return {plate: "; ".join(parts) for plate, parts in words.items()}
