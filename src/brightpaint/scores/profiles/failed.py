"""On simulated wells whose compound failed: how often does an arm paint the phenotype that is not there?

An arm that is told the perturbation can paint what it looked like in training, whatever the cells before it did. A
simulated plate knows which wells failed. For each active perturbation the axis a from the DMSO wells to its own wells is
taken on the real training plates, from wells that did not fail, and P, the precision of wells about their mean, there
too (shrunk as by Ledoit and Wolf 2004). A test well lies at

    t = d P a / (a P a),    d = its profile - the arm's own DMSO wells

that is along the best linear discriminant of DMSO and perturbation: without P what varies between wells anyway hides
which compounds worked (docs/decisions.md). An axis drawn
through noise is too long, so half-way is measured on the test plate: a well is *painted* if t is beyond half of the median
that real wells reach there whose compound worked.

Beside the rate in failed wells stands the rate in wells whose compound worked: an arm that paints no phenotype
anywhere has none to paint wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.covariance import LedoitWolf

from brightpaint import store
from brightpaint.study.annotations import named, unit_column

HALF_WAY = 0.5
METRICS = {1: "failed_painted", 0: "working_painted"}


def with_truth(profiles: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return well profiles with `active` and `failed` (0/1) from the simulator's truth, joined by plate and well.

    Raises
    ------
    ValueError
        where a well of the profiles is not in the truth
    """
    known = truth[[*store.WELL_KEYS, "active", "failed"]].astype({"active": int, "failed": int})
    joined = profiles.merge(known, on=store.WELL_KEYS, how="left", validate="one_to_one")
    unknown = joined[joined["failed"].isna()]
    if len(unknown):
        place = unknown.iloc[0]
        raise ValueError(
            f"plate {place['Metadata_Plate']}, well {place['Metadata_Well']}: has a profile but no row in the truth "
            "table; delete the truth table and rerun `simulate`"
        )
    return joined


def in_wells(profiles: pd.DataFrame, wells: pd.DataFrame) -> pd.DataFrame:
    """Return profiles by well; those of perturbations (a look-up has no others) are given to each of their wells.

    Parameters
    ----------
    profiles : well profiles, or perturbation profiles without Metadata_Well
    wells : the plate's wells, with Metadata_perturbation
    """
    if "Metadata_Well" in profiles:
        return profiles
    unit = unit_column(profiles)
    keys, kept = (
        ["Metadata_Plate", unit],
        dict.fromkeys([*store.WELL_KEYS, unit, "Metadata_perturbation", "Metadata_control_type"]),
    )
    features = [name for name in profiles if not name.startswith("Metadata_")]
    own = wells.assign(**{unit: named(wells, unit)})[list(kept)]
    return own.merge(profiles[keys + features], on=keys, how="inner", validate="many_to_one")


def without_gaps(frames: list[pd.DataFrame], features: list[str]) -> list[str]:
    """Return the features that no well lacks, wells without cells (which lack all) apart."""
    measured = [frame[~frame[features].isna().all(axis=1)] for frame in frames]
    return [name for name in features if not any(frame[name].isna().any() for frame in measured)]


def phenotype_axes(training: pd.DataFrame, features: list[str]) -> dict[str, np.ndarray]:
    """Return {perturbation: (F,) axis} from DMSO to each active perturbation that worked in some training well.

    Parameters
    ----------
    training : real well profiles of the training plates, from `with_truth`
    """
    controls = training[training["Metadata_control_type"] == "negcon"]
    worked = training[(training["active"] == 1) & (training["failed"] == 0)]
    origin = controls[features].mean()
    centres = worked.groupby("Metadata_perturbation")[features].mean()
    return {name: (row - origin).to_numpy(dtype=np.float64) for name, row in centres.iterrows()}


def noise_precision(training: pd.DataFrame, features: list[str]) -> np.ndarray:
    """Return (F, F) P, the precision of wells about the mean of those like them: no effect, or the same perturbation."""
    acts = (training["active"] == 1) & (training["failed"] == 0)
    groups = training[features].groupby(training["Metadata_perturbation"].where(acts, ""))
    size = groups.transform("size").to_numpy()
    spread = np.sqrt(size / np.maximum(size - 1, 1))  # a mean of few follows them
    residuals = (training[features] - groups.transform("mean")).to_numpy(np.float64) * spread[:, None]
    kept = residuals[(size > 1) & np.isfinite(residuals).all(axis=1)]
    return LedoitWolf(assume_centered=True).fit(kept).precision_


def positions(test: pd.DataFrame, axes: dict[str, np.ndarray], precision: np.ndarray, features: list[str]) -> pd.Series:
    """Return t, how far along its perturbation's axis each well lies: 0 where the arm's DMSO is.

    Parameters
    ----------
    test : the arm's well profiles of the test plate, from `with_truth`

    Returns
    -------
    indexed as `test`; wells of other perturbations, and without cells, are left out
    """
    origin = test.loc[test["Metadata_control_type"] == "negcon", features].mean()
    rows = test[(test["active"] == 1) & test["Metadata_perturbation"].isin(list(axes))]
    shifts = (rows[features] - origin).to_numpy(dtype=np.float64)  # (n, F)
    along = np.array([axes[name] for name in rows["Metadata_perturbation"]]).reshape(shifts.shape)
    weights = along @ precision
    return pd.Series((shifts * weights).sum(axis=1) / (along * weights).sum(axis=1), index=rows.index).dropna()


def rate(painted: np.ndarray) -> dict:
    """Return the share of True with Wilson's 95% interval: value, low, high, n; NaN where there is nothing to count."""
    n = len(painted)
    if not n:
        return {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0}
    count = int(np.sum(painted))
    bounds = binomtest(count, n).proportion_ci(method="wilson")
    return {"value": count / n, "low": float(bounds.low), "high": float(bounds.high), "n": n}


def painted_rows(
    plate: str, training_plates: list[str], real: pd.DataFrame, predicted: pd.DataFrame, truth: pd.DataFrame
) -> Iterator[dict]:
    """Give the share of wells of `plate` that an arm paints with their perturbation's phenotype: failed, and working.

    Parameters
    ----------
    real : real well profiles of the training plates (and others)
    predicted : the arm's well profiles, or perturbation profiles without wells
    truth : the simulator's truth of these plates
    """
    wells = real[real["Metadata_Plate"] == plate]
    own = with_truth(in_wells(predicted[predicted["Metadata_Plate"] == plate], wells), truth)
    training, wells = (
        with_truth(real[real["Metadata_Plate"].isin(names)], truth) for names in (training_plates, [plate])
    )
    features = [name for name in real if not name.startswith("Metadata_") and name in own]
    features = without_gaps([training, wells, own], features)
    axes, precision = phenotype_axes(training, features), noise_precision(training, features)
    there, where = (positions(test, axes, precision, features) for test in (wells, own))
    reached = there[wells.loc[there.index, "failed"] == 0].median()
    where = where if reached > 0 else where[:0]  # real cells show no phenotype: nothing tells painted from not
    failed = own.loc[where.index, "failed"].to_numpy()
    for flag, metric in METRICS.items():
        yield {"metric": metric, **rate(where.to_numpy()[failed == flag] > HALF_WAY * reached)}
