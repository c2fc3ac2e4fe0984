"""How far the features of painted fields lie from those of real ones, as distributions: pure functions.

Two distances of field medians (rows: fields; columns: the selected features), after each feature was put on the scale of
the real fields (their median and median absolute deviation, MAD):

feature distance : mean over features of |median of the painted fields - median of the real ones| / MAD of the real ones
MMD^2 : the squared maximum mean discrepancy with a Gaussian kernel, the unbiased estimate of Gretton et al. 2012,
    eq. 3 (eq. 4 where the painted fields are the real ones' own), k(x, y) = exp(-|x - y|^2 / (2 sigma^2)). sigma is the
    median distance between real fields, so that every prediction is measured with one and the same kernel.

Unbiased means about 0 for two draws of one distribution, and now and then below 0. A Frechet distance of a few dozen fields
would be noise: its covariance has more entries than there are numbers to fit it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist, pdist

from brightpaint.base import resampling


@dataclass(frozen=True)
class Scale:
    """The real fields' median and MAD of each feature that can be used.

    Attributes
    ----------
    features : names
    median, mad : (F,) float64
    constant : features left out because their MAD is 0
    """

    features: list[str]
    median: np.ndarray
    mad: np.ndarray
    constant: list[str]


def scale_of(real: pd.DataFrame, features: Sequence[str]) -> Scale:
    """Fit the scale of `features` on real fields (NaN ignored); features whose MAD is 0 are left out and named."""
    values = real.loc[real["Metadata_cells"] > 0, list(features)].to_numpy(np.float64)
    if not len(values):
        raise ValueError(
            "feature distances: no real field has a cell; look at the plate's montage and its quality flags"
        )
    median = np.nanmedian(values, axis=0)
    mad = np.nanmedian(np.abs(values - median), axis=0)
    usable = mad > 1e-9 * np.maximum(np.abs(median), 1e-9)
    named = np.array(list(features), dtype=object)
    return Scale(list(named[usable]), median[usable], mad[usable], list(named[~usable]))


def scaled(frame: pd.DataFrame, scale: Scale) -> np.ndarray:
    """Put fields on the real fields' scale: (n, F) float64; a field without cells is a row of NaN."""
    values = (frame[scale.features].to_numpy(np.float64) - scale.median) / scale.mad
    return np.where(frame["Metadata_cells"].to_numpy()[:, None] > 0, values, np.nan)


def feature_distance(real: np.ndarray, painted: np.ndarray) -> float:
    """Return the mean over features of the difference of medians: two (n, F) from `scaled`, in MADs; NaN without fields.

    A feature that no painted field has is left out.
    """
    kept = [values[np.isfinite(values).any(axis=1)] for values in (real, painted)]
    if not (len(kept[0]) and len(kept[1])):
        return float("nan")
    said = np.isfinite(kept[0]).any(axis=0) & np.isfinite(kept[1]).any(axis=0)
    left, right = (np.nanmedian(values[:, said], axis=0) for values in kept)
    return float(np.mean(np.abs(left - right))) if said.any() else float("nan")


def complete(*sets: np.ndarray) -> list[np.ndarray]:
    """Drop the columns in which any field with cells of any set has a gap: kernels need whole rows."""
    whole = [np.isfinite(values[np.isfinite(values).any(axis=1)]).all(axis=0) for values in sets]
    kept = np.logical_and.reduce(whole)
    return [values[:, kept] for values in sets]


def bandwidth(real: np.ndarray) -> float:
    """Return sigma, the median distance between real fields: (n, F) without NaN.

    Raises
    ------
    ValueError
        for fewer than two fields, or fields that are all the same
    """
    distances = pdist(real) if len(real) > 1 else np.zeros(1)
    sigma = float(np.median(distances))
    if not sigma > 0:
        raise ValueError(f"MMD: {len(real)} real fields have no median distance above 0; score more fields")
    return sigma


def kernel(left: np.ndarray, right: np.ndarray, sigma: float) -> np.ndarray:
    """Return exp(-|x - y|^2 / (2 sigma^2)): (n, F), (m, F) -> (n, m)."""
    return np.exp(-cdist(left, right, "sqeuclidean") / (2 * sigma**2))


@dataclass(frozen=True)
class Kernels:
    """Kernels between real fields, painted ones, and both; whether row i of both is the same field.

    Attributes
    ----------
    real : (n, n)
    painted : (m, m)
    cross : (n, m)
    paired : painted field i was painted from real field i. These two are not independent, so the pair is left out
    """

    real: np.ndarray
    painted: np.ndarray
    cross: np.ndarray
    paired: bool


def kernels(real: np.ndarray, painted: np.ndarray, sigma: float, *, paired: bool) -> Kernels:
    """Take every kernel that MMD^2 needs; a row of NaN (a field without cells) has kernels of NaN."""
    return Kernels(kernel(real, real, sigma), kernel(painted, painted, sigma), kernel(real, painted, sigma), paired)


def mmd2(found: Kernels, weights: np.ndarray | None = None, painted_weights: np.ndarray | None = None) -> np.ndarray:
    """Return the unbiased MMD^2, or that of each of B resamples.

    Copies of one field are no independent draws: within a set each pair of *different* fields counts with the
    product of its weights, so that a resample is not pushed up by fields that meet themselves.

    Parameters
    ----------
    weights : (B, n) how often each real field counts; once if None
    painted_weights : (B, m) likewise; those of the real fields where they are paired

    Returns
    -------
    (B,) float64, may be below 0; NaN where fewer than two fields are left
    """
    n, m = found.cross.shape
    weights = np.ones((1, n)) if weights is None else np.asarray(weights, np.float64)
    if painted_weights is None:
        painted_weights = weights if found.paired else np.ones((len(weights), m))
    within = [_pairs(found.real, weights, weights, True), _pairs(found.painted, painted_weights, painted_weights, True)]
    return within[0] + within[1] - 2 * _pairs(found.cross, weights, painted_weights, found.paired)


def _pairs(values: np.ndarray, left: np.ndarray, right: np.ndarray, distinct: bool) -> np.ndarray:
    """Return the weighted mean of a kernel over pairs: (n, m), (B, n), (B, m) -> (B,); `distinct` leaves i = j out."""
    counted = np.isfinite(values)
    if distinct:
        counted &= ~np.eye(*values.shape, dtype=bool)
    total = np.einsum("bi,ij,bj->b", left, np.where(counted, values, 0.0), right, optimize=True)
    count = np.einsum("bi,ij,bj->b", left, counted.astype(np.float64), right, optimize=True)
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)


def field_weights(wells: Sequence[str], rng: np.random.Generator, resamples: int = resampling.RESAMPLES) -> np.ndarray:
    """Draw whole wells anew: (resamples, n), how often each field counts."""
    _, codes = np.unique(np.asarray(wells, dtype=str), return_inverse=True)
    return resampling.resample_counts(int(codes.max()) + 1, rng, resamples)[:, codes]


def rows(found: dict[str, tuple[float, np.ndarray]], nulls: Sequence[dict[str, float]], n: int) -> Iterator[dict]:
    """Give a row of the metrics table for each distance, without its place: value, interval, and the other real plates' mean.

    Parameters
    ----------
    found : {metric: (value, its (B,) resamples)}
    nulls : {metric: value} of each other real plate
    n : fields
    """
    for metric, (value, drawn) in found.items():
        low, high = resampling.interval(drawn)
        null = np.mean([each[metric] for each in nulls]) if nulls else np.nan
        yield {"metric": metric, "value": value, "low": low, "high": high, "null": null, "n": n}


def resampled_distance(real: np.ndarray, painted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the feature distance of each of B resamples of the same fields: two (n, F), (B, n) -> (B,)."""
    places = np.arange(len(real))
    drawn = (np.repeat(places, row.astype(int)) for row in weights)
    return np.array([feature_distance(real[rows], painted[rows]) for rows in drawn])
