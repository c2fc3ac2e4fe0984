"""Does a translation follow the dose as real cells do? Condition means correlated over a compound's doses, number by number.

After PhenDiff (Bourou et al. 2024), which shows a histogram of these correlations and no null. Numbers are correlated, so
that at eight doses half of them may reach 0.5 by luck, all at once: the null shuffles the doses *jointly*, one order for
all numbers, and its 95th percentile of the median is then near 0.6; shuffled number by number it would seem 0.06. An
untouched source has no correlation: its means are constant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brightpaint.base import resampling
from brightpaint.base.resampling import weighted_means

FEWEST_DOSES = 4  # of three, one order of six is the right one
DRAWS = 1000
RESAMPLES = 200
CHUNK = 100  # shuffles at once, for memory's sake


def standardised(means: np.ndarray) -> np.ndarray:
    """Bring each column of (D, F) to mean 0 and length 1; one that is constant, or has a gap, is NaN."""
    left = means - means.mean(axis=0)
    length = np.sqrt((left**2).sum(axis=0))
    scale = np.abs(means).max(axis=0, initial=0.0)
    usable = length > 1e-9 * np.where(scale > 0, scale, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(usable, left / length, np.nan)


def dose_correlations(real: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of each number over doses: (D, F) condition means of both, row by row one dose -> (F,).

    NaN for a number that is constant on either side, or lacks a dose; all NaN below four doses.
    """
    if len(real) < FEWEST_DOSES:
        return np.full(real.shape[1], np.nan)
    found = (standardised(real) * standardised(other)).sum(axis=0)
    return np.clip(found, -1, 1)


def median_of(values: Sequence[np.ndarray]) -> float:
    """Return the median of all numbers that are not NaN; NaN without any."""
    joined = np.concatenate(list(values)) if len(values) else np.zeros(0)
    return float(np.nanmedian(joined)) if np.isfinite(joined).any() else np.nan


def joint_null(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator, draws: int = DRAWS
) -> np.ndarray:
    """Return medians over the numbers of every compound with its doses shuffled, in one order for all its numbers.

    Parameters
    ----------
    pairs : (real, other) (D, F) condition means of each compound

    Returns
    -------
    (draws,)
    """
    sides = []
    for pair in pairs:
        real, other = map(standardised, pair)
        known = np.isfinite(real + other).all(axis=0)
        if len(real) >= FEWEST_DOSES and known.any():
            sides.append((real[:, known], other[:, known]))
    found = np.full(draws, np.nan)
    for first in range(0, draws if sides else 0, CHUNK):
        chosen = range(first, min(first + CHUNK, draws))
        orders = [np.stack([rng.permutation(len(real)) for _ in chosen]) for real, _ in sides]
        shuffled = [np.einsum("df,bdf->bf", real, other[order]) for (real, other), order in zip(sides, orders)]
        found[chosen.start : chosen.stop] = np.median(np.concatenate(shuffled, axis=1), axis=1)
    return found


def dose_row(pairs: Sequence[tuple[np.ndarray, np.ndarray]], seed: str) -> dict:
    """Return the median correlation over numbers and compounds: `value, null, null_bound` (what 5% of joint shuffles reach), `n`.

    n counts correlations.
    """
    own = [dose_correlations(*pair) for pair in pairs]
    count = int(sum(np.isfinite(values).sum() for values in own))
    row = {"value": median_of(own), "null": np.nan, "null_bound": np.nan, "n": count}
    if count:
        null = joint_null(pairs, resampling.seeded(seed, "doses"))
        row |= {"null": float(np.nanmean(null)), "null_bound": float(np.nanquantile(null, 0.95))}
    return row


def resampled_medians(
    compounds: Sequence[tuple[Sequence[np.ndarray], Sequence[np.ndarray]]], *, tied: bool, seed: str
) -> np.ndarray:
    """Return the median correlation of resamples of wells.

    Parameters
    ----------
    compounds : of each the (n_d, F) real wells of every dose, and the other side's
    tied : the other side's wells are the same source wells at every dose, and drawn together

    Returns
    -------
    (RESAMPLES,); real doses of one well keep it, so that the interval leaves out how that well varies
    """
    rng, drawn = resampling.seeded(seed, "dose wells"), []
    for real, other in compounds:
        draw = lambda wells: resampling.resample_counts(len(wells), rng, RESAMPLES)  # noqa: E731
        shared = draw(other[0]) if tied else None
        drawn.append([np.stack([weighted_means(wells, draw(wells)) for wells in real]),
                      np.stack([weighted_means(wells, shared if tied else draw(wells)) for wells in other])])  # fmt: skip
    medians = [[dose_correlations(real[:, row], other[:, row]) for real, other in drawn] for row in range(RESAMPLES)]
    return np.array([median_of(values) for values in medians])
