"""The second recipe of profiles: what image-based profiling does as a standard, by pycytominer.

Median of a well's fields; each plate against its own DMSO wells by median and MAD (mad_robustize); then sphering
(whitening, ZCA-cor), which takes away what varies and correlates among DMSO wells alone. The sphering map is fitted once, on the
normalised DMSO wells of the real plates that `select` was fitted on, and is the same for every arm: real and
predicted profiles stay in one space, and no test plate shapes it unless `select.plates: all` says so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pycytominer
from pycytominer.operations.transform import Spherize
from scipy.stats import median_abs_deviation

CONTROL = "Metadata_control_type"
FEWEST_DMSO = 3
log = logging.getLogger(__name__)


def measured_wells(wells: pd.DataFrame) -> pd.Series:
    """Tell which wells hold cells: all, where cells are not counted."""
    return wells["Metadata_cells"] > 0 if "Metadata_cells" in wells else pd.Series(True, wells.index)


def control_wells(wells: pd.DataFrame) -> pd.Series:
    """Tell which wells are DMSO and hold cells."""
    return (wells[CONTROL] == "negcon") & measured_wells(wells)


def without_spread(wells: pd.DataFrame, features: Sequence[str]) -> list[str]:
    """Return the features whose MAD among a plate's DMSO wells is 0 or not known: they cannot be normalised."""
    values = wells.loc[control_wells(wells), list(features)].to_numpy(dtype=np.float64)
    spread = median_abs_deviation(values, axis=0, nan_policy="omit") if len(values) else np.zeros(len(features))
    spread = np.asarray(np.ma.filled(spread, np.nan), dtype=np.float64)
    # A feature that is equal but for rounding is constant too: pycytominer would make 1e9 of it.
    scale = np.abs(np.nan_to_num(values)).max(axis=0, initial=0)
    return [name for name, mad, size in zip(features, spread, scale) if not mad > 1e-9 * size]


def robustize_plate(wells: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Normalise one plate's wells against its DMSO wells: (x - median) / MAD.

    Parameters
    ----------
    wells : one row a well of one plate: Metadata_* and `features`, not normalised

    Returns
    -------
    The same rows; a feature without spread among the DMSO wells becomes 0, wells without cells stay NaN

    Raises
    ------
    ValueError
        for a plate with fewer than three DMSO wells with cells
    """
    features, metadata = list(features), [name for name in wells.columns if name.startswith("Metadata_")]
    kept = wells[metadata + features].reset_index(drop=True)
    measured = (kept["Metadata_cells"] > 0).to_numpy()
    if not measured.any() or not features:
        return kept
    plate, controls = kept["Metadata_Plate"].iloc[0], int(control_wells(kept).sum())
    if controls < FEWEST_DMSO:
        raise ValueError(
            f"plate {plate}: {controls} DMSO wells with cells (control_type negcon), expected {FEWEST_DMSO} at least for "
            "profile.recipe: standard; check the platemap, or set profile.recipe: paper"
        )
    flat = without_spread(kept, features)
    if flat:
        first = ", ".join(flat[:5])
        log.info("%s: %d features do not vary among DMSO wells and become 0 (%s)", plate, len(flat), first)
    scaled = pycytominer.normalize(
        kept[measured].reset_index(drop=True), features=features, meta_features=metadata,
        samples=f"{CONTROL} == 'negcon'", method="mad_robustize", mad_robustize_epsilon=0,
    )  # fmt: skip
    values = scaled[features].to_numpy(dtype=np.float64, copy=True)
    values[:, [features.index(name) for name in flat]] = 0.0
    kept[features] = kept[features].astype(np.float64)
    kept.loc[measured, features] = values
    return kept


def fit_sphering(reference: Sequence[pd.DataFrame], features: Sequence[str]) -> Spherize:
    """Fit the sphering map on the DMSO wells of real plates, normalised plate by plate.

    Raises
    ------
    ValueError
        where pycytominer finds features that depend on one another
    """
    wells = pd.concat([plate[control_wells(plate)] for plate in reference], ignore_index=True)
    values = wells[list(features)].fillna(0.0)  # what is missing is taken to be DMSO's median
    log.info(
        "sphering: fitted on %d DMSO wells of %d real plates, %d features", len(values), len(reference), len(features)
    )
    try:
        return Spherize(method="ZCA-cor").fit(values)
    except ValueError as error:
        raise ValueError(
            f"sphering of {len(features)} features on {len(values)} DMSO wells failed: {error} "
            "Lower select.correlation, give more plates to select.plates, or set profile.recipe: paper"
        ) from None


def sphere(
    wells: pd.DataFrame, features: Sequence[str], sphering: Spherize, middle: float | pd.Series = 0.0
) -> pd.DataFrame:
    """Apply the map to wells with cells; a value missing there is taken to be DMSO's median, `middle`, and counted in the log."""
    features, sphered = list(features), wells.copy()
    measured = measured_wells(wells).to_numpy()
    chosen = wells.loc[measured, features].astype(np.float64)
    gaps = int(chosen.isna().to_numpy().sum())
    if gaps:
        log.info("sphering: %d values missing in wells with cells are taken to be DMSO's median", gaps)
    if measured.any():
        sphered[features] = sphered[features].astype(np.float64)
        sphered.loc[measured, features] = sphering.transform(chosen.fillna(middle)).to_numpy()
    return sphered
