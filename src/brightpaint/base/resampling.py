"""Intervals, nulls and p-values: random generators seeded by name, the bootstrap, and the false discovery rate.

Every interval is a bootstrap within one plate: it says how far the number depends on the wells at hand, not how it
varies between batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brightpaint.base.seeds import seed_of

RESAMPLES = 1000


def seeded(*names: object) -> np.random.Generator:
    """Return a random generator that depends on names alone, never on order or process."""
    return np.random.default_rng(seed_of(*names))


def resample_counts(n: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """Draw bootstrap weights: (resamples, n), how often each of n units is drawn; rows sum to n."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)


def bootstrap_ratio(
    sums: np.ndarray, counts: np.ndarray, groups: Sequence, rng: np.random.Generator, *, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of `sums.sum() / counts.sum()` when whole groups are drawn anew.

    Parameters
    ----------
    sums, counts : (n,) of fields, queries or pairs
    groups : (n,) what is drawn together, e.g. the wells of fields or the targets of queries

    Returns
    -------
    low, high; NaN when there are fewer than two groups
    """
    _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    n_groups = codes.max() + 1 if len(codes) else 0
    if n_groups < 2:
        return float("nan"), float("nan")
    grouped = [np.bincount(codes, weights=side, minlength=n_groups) for side in (sums, counts)]
    drawn = resample_counts(n_groups, rng)
    numerator, denominator = drawn @ grouped[0], drawn @ grouped[1]
    return interval(numerator[denominator > 0] / denominator[denominator > 0], level=level)


def interval(values: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Return the central interval of resampled values, ignoring NaN."""
    if not np.isfinite(values).any():
        return float("nan"), float("nan")
    tail = 100 * (1 - level) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


def mean_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of what is not NaN; NaN where all is."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def weighted_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the means of rows, weighted as each of B resamples has it: (n, F), (B, n) -> (B, F).

    A row without a number (NaN) has no part in its mean; NaN where no row has it.
    """
    known = np.isfinite(values)
    total, count = weights @ np.where(known, values, 0.0), weights @ known.astype(np.float64)
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)
