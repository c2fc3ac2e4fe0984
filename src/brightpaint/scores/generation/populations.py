"""How far painted fields of a treatment lie from the real ones, as populations in a space: pure functions of arrays.

feature_distance   mean over numbers of the difference of the two means, in s.d.
mmd2               squared maximum mean discrepancy, Gaussian kernel, unbiased (Gretton et al. 2012, eq. 3)
kernel_distance    the same with KID's cubic kernel (Binkowski et al. 2018, section 4)
frechet_distance   FID's formula (Heusel et al. 2017, eq. 6), of all treatments together, on principal components of real training
                   fields: a full covariance has more entries than there are fields. It is no FID, and KID's kernel gives no KID:
                   those are Inception's
sliced_distance    mean over random directions of the Wasserstein distance along them (Rabin et al. 2011), of all together
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brightpaint.base import resampling
from brightpaint.scores.images.frechet import cubic, frechet_distance
from brightpaint.scores.profiles import discrepancy

MOST_COMPONENTS = 16
DIRECTIONS = 32
QUANTILES = 32
EACH = ("feature_distance", "mmd2", "kernel_distance")  # of one treatment
POOLED = ("frechet_distance", "sliced_distance")  # of all treatments together


def distances(real: np.ndarray, other: np.ndarray, sigma: float) -> dict[str, float]:
    """Return the distances EACH of two sets of fields, (n, F) and (m, F) in s.d.; NaN of a set that is too small.

    Parameters
    ----------
    sigma : of the Gaussian kernel, one for all treatments: the median distance between real training fields
    """
    if not len(real) or not len(other):
        return dict.fromkeys(EACH, float("nan"))
    gaussian = discrepancy.kernels(real, other, sigma, paired=False)
    cubed = discrepancy.Kernels(cubic(real, real), cubic(other, other), cubic(real, other), paired=False)
    return {
        "feature_distance": float(np.abs(real.mean(axis=0) - other.mean(axis=0)).mean()),
        "mmd2": float(discrepancy.mmd2(gaussian)[0]),
        "kernel_distance": float(discrepancy.mmd2(cubed)[0]),
    }


def components_of(training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centre (F,) and directions (F, K) of real training fields: no more than a third of them, and MOST_COMPONENTS."""
    centre = training.mean(axis=0)
    kept = max(1, min(MOST_COMPONENTS, len(training) // 3, training.shape[1]))
    return centre, np.linalg.svd(training - centre, full_matrices=False)[2][:kept].T


def directions_of(count: int, *names: object) -> np.ndarray:
    """Return DIRECTIONS random directions of length 1, (count, DIRECTIONS), drawn from names."""
    drawn = resampling.seeded(*names, "directions").standard_normal((count, DIRECTIONS))
    return drawn / np.linalg.norm(drawn, axis=0)


def sliced_distance(real: np.ndarray, other: np.ndarray, directions: np.ndarray) -> float:
    """Return the mean over directions of the Wasserstein distance (order 1) of two sets along them; NaN of an empty set.

    Between quantiles of the two, so that sets of different sizes can be compared.
    """
    if not len(real) or not len(other):
        return float("nan")
    sides = [quantiles(side @ directions) for side in (real, other)]
    return float(np.abs(sides[0] - sides[1]).mean())


def quantiles(values: np.ndarray) -> np.ndarray:
    """Return QUANTILES of each column, linear between its values: (n, D) -> (QUANTILES, D)."""
    ordered, at = np.sort(values, axis=0), (np.arange(QUANTILES) + 0.5) / QUANTILES * (len(values) - 1)
    low = at.astype(int)
    high, share = np.minimum(low + 1, len(values) - 1), (at - low)[:, None]
    return ordered[low] * (1 - share) + ordered[high] * share


def pooled(real: Sequence[np.ndarray], other: Sequence[np.ndarray], directions: np.ndarray) -> dict[str, float]:
    """Return the distances POOLED of two lists of sets, treatment by treatment, each list taken together."""
    pairs = [(one, two) for one, two in zip(real, other) if len(one) and len(two)]
    if not pairs:
        return dict.fromkeys(POOLED, float("nan"))
    first, second = (np.concatenate(side) for side in zip(*pairs))
    return {
        "frechet_distance": frechet_distance(first, second),
        "sliced_distance": sliced_distance(first, second, directions),
    }


def drawn(fields: np.ndarray, count: int, *names: object) -> np.ndarray:
    """Draw at most `count` fields, each once, from names."""
    if len(fields) <= count:
        return fields
    return fields[np.sort(resampling.seeded(*names).permutation(len(fields))[:count])]
