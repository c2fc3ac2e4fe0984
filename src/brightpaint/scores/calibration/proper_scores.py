"""Proper scores of several numbers at once: are samples of a field's features distributed as the real field's? Pure functions.

Features are first brought to whitened principal components of real training fields, twenty at most: in the three hundred
features themselves a distribution whose correlations are wholly wrong scores almost as a right one.

energy score : E|x - y| - E|x - x'| / 2 (Gneiting and Raftery 2007, eq. 22), by the fair estimator of K samples
variogram score : sum over pairs of components of (|y_i - y_j|^p - E|x_i - x_j|^p)^2, p = 1/2 (Scheuerer and Hamill 2015,
    eq. 3), less the variance that K samples add to it: it heeds correlations where the energy score heeds places

Both are least, on average, for samples of the true distribution, and neither falls if more samples are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

POWER = 0.5
LEAST_SHARE = 1e-6  # of the first component's variance, below which a component is rounding
FIELDS_A_COMPONENT = 3


@dataclass(frozen=True)
class Whitening:
    """What brings fields to whitened principal components.

    Attributes
    ----------
    features : names of the F features
    mean, sd : (F,) of the training fields
    axes : (F, P), so that training fields have P components of mean 0 and s.d. 1 without correlation
    """

    features: list[str]
    mean: np.ndarray
    sd: np.ndarray
    axes: np.ndarray


def whitening_of(training: pd.DataFrame, features: Sequence[str], most: int = 20) -> Whitening:
    """Fit the components on real training fields that have cells.

    There are `most` of them at most, and no more than a third of the fields: the directions of least variance are noise where
    fields are few. Features that a field lacks or that do not vary are left out.

    Raises
    ------
    ValueError
        for fewer than four fields with cells, or no feature that varies
    """
    cells = training[training["Metadata_cells"] > 0]
    values = cells[list(features)].to_numpy(np.float64)
    if len(values) < FIELDS_A_COMPONENT + 1:
        raise ValueError(
            f"calibration: {len(values)} real training fields have cells; expected {FIELDS_A_COMPONENT + 1} or more to whiten "
            "features by; take more training plates, or look at their montages"
        )
    whole = np.isfinite(values).all(axis=0)
    mean, sd = values[:, whole].mean(axis=0), values[:, whole].std(axis=0, ddof=1)
    varies = sd > 1e-9 * np.maximum(np.abs(mean), 1e-9)
    names = [name for name, kept in zip(np.array(list(features), dtype=object)[whole], varies) if kept]
    if not names:
        raise ValueError(
            f"calibration: none of {len(features)} features varies among {len(values)} real training fields; "
            "look at the selection of features"
        )
    mean, sd, values = mean[varies], sd[varies], values[:, whole][:, varies]
    _, lengths, axes = np.linalg.svd((values - mean) / sd, full_matrices=False)
    count = min(most, (len(values) - 1) // FIELDS_A_COMPONENT, int((lengths**2 > LEAST_SHARE * lengths[0] ** 2).sum()))
    scale = lengths[:count] / np.sqrt(len(values) - 1)
    return Whitening(names, mean, sd, axes[:count].T / scale)


def whitened(frame: pd.DataFrame, by: Whitening) -> np.ndarray:
    """Return the components of fields: (n, P) float64; a row of NaN for a field without cells, or that lacks a feature."""
    values = (frame[by.features].to_numpy(np.float64) - by.mean) / by.sd
    whole = np.isfinite(values).all(axis=1) & (frame["Metadata_cells"].to_numpy() > 0)
    return np.where(whole[:, None], np.where(np.isfinite(values), values, 0) @ by.axes, np.nan)


def energy_score(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the fair energy score of each field: (n, K, P), (n, P) -> (n,); of one sample the distance."""
    count = samples.shape[1]
    away = np.linalg.norm(samples - truth[:, None], axis=2).mean(axis=1)
    if count == 1:
        return away
    apart = np.linalg.norm(samples[:, :, None] - samples[:, None], axis=3).sum(axis=(1, 2))
    return away - apart / (2 * count * (count - 1))


def variogram_score(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the fair variogram score of each field, a pair: (n, K, P), (n, P) -> (n,); NaN for fewer than two components."""
    first, second = np.triu_indices(truth.shape[1], 1)
    if not len(first):
        return np.full(len(truth), np.nan)
    real = np.abs(truth[:, first] - truth[:, second]) ** POWER  # (n, pairs)
    drawn = np.abs(samples[..., first] - samples[..., second]) ** POWER  # (n, K, pairs)
    error = (real - drawn.mean(axis=1)) ** 2
    if samples.shape[1] > 1:
        error = error - drawn.var(axis=1, ddof=1) / samples.shape[1]
    return error.mean(axis=1)
