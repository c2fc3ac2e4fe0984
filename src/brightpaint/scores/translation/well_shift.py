"""Shifts between classes tested by well: of real wells, and of translations, whose model has learned from few wells.

Cells and fields of a well are pseudo-replicates: the well is what was treated. A translation is worse, for it is one
deterministic map: every source well moves the same way, so that a paired test of the source wells finds every feature, in
classes that differ by nothing too. What moved them is the difference of the wells that the model was trained on, and that
difference has an error of its own. For a target class T, a source class S and one number

    shift     = mean over source wells of (translation - reconstruction)
    variance  = s_d^2 / n  +  s^2 (1 / m_T + 1 / m_S)  +  t^2 sum over plates (m_Tp / m_T - m_Sp / m_S)^2

with s_d the s.d. of the n source wells' shifts, s the s.d. of real wells of one class and plate, t that of real plates, and
m_Tp the training wells of T on plate p: the last term is 0 where both classes lie alike on the training plates. Student's
t with the degrees of freedom of Welch and Satterthwaite (Satterthwaite 1946, Biometrics Bulletin 2, 110).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from brightpaint import store

CLASS = "class"
ALPHA = 0.05
FEWEST = 2  # wells without which nothing has a spread


@dataclass(frozen=True)
class WellNoise:
    """How much real wells vary where nothing tells them apart.

    Attributes
    ----------
    variance, degrees : (F,) between wells of one class on one plate, and its degrees of freedom (0: not known)
    plate_variance : (F,) between plates, at least 0
    plate_degrees : plates with wells of the source class, less one
    residuals : (n, F) wells about the mean of their class and plate, scaled to the variance; 0 where a well lacks a number
    """

    variance: np.ndarray
    degrees: np.ndarray
    plate_variance: np.ndarray
    plate_degrees: int
    residuals: np.ndarray

    @property
    def sd(self) -> np.ndarray:
        """(F,) s.d. between wells: the unit of every shift; NaN where it is 0 or not known."""
        return np.where((self.degrees > 0) & (self.variance > 0), np.sqrt(self.variance), np.nan)


@dataclass(frozen=True)
class Shift:
    """A shift of F numbers, each with its standard error and degrees of freedom: NaN where it cannot be tested."""

    value: np.ndarray
    error: np.ndarray
    degrees: np.ndarray

    @property
    def p(self) -> np.ndarray:
        """(F,) two-sided p-values."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 2 * stats.t.sf(np.abs(self.value / self.error), self.degrees)

    def interval(self, level: float = 1 - ALPHA) -> tuple[np.ndarray, np.ndarray]:
        """Return the (F,) ends of the interval at this level."""
        half = stats.t.ppf(0.5 + level / 2, self.degrees) * self.error
        return self.value - half, self.value + half


def well_means(fields: pd.DataFrame, numbers: Sequence[str]) -> pd.DataFrame:
    """Take the mean of each well's fields, class by class; a field without a number has no part in its mean.

    Parameters
    ----------
    fields : WELL_KEYS, CLASS and `numbers`

    Returns
    -------
    one row a plate, well and class: these, and `numbers` in float64
    """
    keys = [*store.WELL_KEYS, CLASS]
    frame = fields[[*keys, *numbers]].astype(dict.fromkeys(numbers, np.float64))
    return frame.groupby(keys, sort=True)[list(numbers)].mean().reset_index()


def well_noise(wells: pd.DataFrame, numbers: Sequence[str], source: str) -> WellNoise:
    """Measure how much real wells vary: pooled over all classes within plates, and between plates by the source class.

    Parameters
    ----------
    wells : real ones, from `well_means`; without a class ("") they have no part
    """
    wells = wells[wells[CLASS] != ""]
    values = wells[list(numbers)].to_numpy(np.float64)
    groups = wells.groupby(["Metadata_Plate", CLASS], sort=True).ngroup().to_numpy()
    finite = np.isfinite(values)
    count = _grouped(finite.astype(np.float64), groups)
    means = _grouped(np.where(finite, values, 0.0), groups) / np.maximum(count, 1)
    left = np.where(finite, values - means[groups], 0.0)
    degrees = np.maximum(count - 1, 0).sum(axis=0)
    variance = np.where(degrees > 0, (left**2).sum(axis=0) / np.maximum(degrees, 1), np.nan)
    variance = np.where(
        variance > np.finfo(np.float64).eps * (means**2).max(axis=0, initial=0.0), variance, 0.0 * variance
    )
    spread = np.sqrt(count / np.maximum(count - 1, 1))[groups]  # a mean of few follows them
    plates, plate_degrees = _plate_variance(wells[wells[CLASS] == source], list(numbers), variance)
    return WellNoise(variance, degrees, plates, plate_degrees, (left * spread)[(count.max(axis=1) > 1)[groups]])


def _grouped(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the sums of each group's rows: (n, F), (n,) -> (G, F)."""
    sums = np.zeros((groups.max(initial=-1) + 1, values.shape[1]))
    np.add.at(sums, groups, values)
    return sums


def _plate_variance(wells: pd.DataFrame, numbers: list[str], variance: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the variance between plates of one class's wells, and its degrees of freedom."""
    plates = wells.groupby("Metadata_Plate")[numbers]
    means, counts = plates.mean().to_numpy(np.float64), plates.count().to_numpy(np.float64)
    if len(means) < FEWEST:
        return np.zeros(len(numbers)), 0
    with np.errstate(divide="ignore", invalid="ignore"):
        within = variance * np.mean(1 / counts, axis=0)
        found = np.var(means, axis=0, ddof=1) - within
    return np.where(np.isfinite(found), np.maximum(found, 0.0), 0.0), len(means) - 1


def training_counts(wells: pd.DataFrame, name: str) -> dict[str, int]:
    """Return {plate: training wells of a class on it}, of the training wells' WELL_KEYS and CLASS."""
    own = wells[wells[CLASS] == name].drop_duplicates(store.WELL_KEYS)
    return own.groupby("Metadata_Plate").size().to_dict()


def _summed(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Add variances, each with its degrees of freedom: (F,) sum and Satterthwaite's degrees of freedom."""
    total = sum(variance for variance, _ in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = sum(np.where(variance > 0, variance**2 / degrees, 0.0) for variance, degrees in parts)
        return total, np.where(total > 0, total**2 / below, np.nan)


def translated_shift(
    differences: np.ndarray, noise: WellNoise, target: dict[str, int], source: dict[str, int]
) -> Shift:
    """Test translations against reconstructions, by well.

    Parameters
    ----------
    differences : (n, F) of each source well, translation less reconstruction; NaN where it lacks a number
    target, source : {plate: wells that the model was trained on} of the target class and of the source class

    Returns
    -------
    Shift; it cannot be tested with fewer than two source wells, nor where no real well of either class was trained on or
    real wells have no spread
    """
    differences = np.asarray(differences, np.float64)
    n = np.isfinite(differences).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.nansum(differences, axis=0) / n
        paired = np.nansum((differences - value) ** 2, axis=0) / (n - 1) / n
        trained = [sum(counts.values()) for counts in (target, source)]
        learned = noise.variance * sum(1 / m if m else np.nan for m in trained)
        leaning = (
            [target.get(plate, 0) / trained[0] - source.get(plate, 0) / trained[1] for plate in {*target, *source}]
            if all(trained)
            else []
        )
        plates = noise.plate_variance * sum(share**2 for share in leaning)
    total, degrees = _summed(
        [(paired, n - 1), (learned, noise.degrees), (plates, np.full(len(plates), noise.plate_degrees))]
    )
    known = (n >= FEWEST) & np.isfinite(noise.sd) & np.isfinite(total) & (total > 0)
    return Shift(value, np.where(known, np.sqrt(np.where(known, total, 1.0)), np.nan), degrees)


def real_shift(target: np.ndarray, source: np.ndarray, noise: WellNoise) -> Shift:
    """Test wells of one class against those of another on the same plate: (a, F), (b, F), with the spread of all wells."""
    sides = [np.asarray(side, np.float64) for side in (target, source)]
    counts = [np.isfinite(side).sum(axis=0) for side in sides]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = [np.nansum(side, axis=0) / count for side, count in zip(sides, counts)]
        error = noise.sd * np.sqrt(1 / counts[0] + 1 / counts[1])
    known = np.isfinite(error) & np.minimum(*counts).astype(bool)
    return Shift(means[0] - means[1], np.where(known, error, np.nan), np.where(known, noise.degrees, np.nan))


def false_discovery(p: np.ndarray) -> np.ndarray:
    """Return Benjamini and Hochberg's q-values of (F,) p-values; NaN stays NaN and counts as no test."""
    q, tested = np.full(len(p), np.nan), np.isfinite(p)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested])
    return q
