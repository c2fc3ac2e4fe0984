"""The interval of a half-effect dose.

Where the scores' direction is the compound's own, a bootstrap over wells, treated ones within their dose and DMSO within its plate;
of scores along an axis that others gave, the doses that the curve's likelihood does not exclude.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from brightpaint.profiles.hill import Fit, dose_means, free_losses, grid, halves
from brightpaint.profiles.projection import Controls, Scores, products, scales


def half_interval(
    points: np.ndarray, plate: np.ndarray, dose: np.ndarray, weights: np.ndarray, controls: Controls, scores: Scores, *,
    slopes: Sequence[float], draws: int, seed: int,
) -> tuple[float, float]:  # fmt: skip
    """Return the 95% interval of a half-effect dose, no further than a decade beyond the tested doses.

    Parameters
    ----------
    points, plate, dose, weights, controls : as `projection.score` takes them, which gave `scores`
    slopes : limits of the curve's slope
    draws : of the bootstrap

    Returns
    -------
    low, high; NaN where less than half of the doses have replicates: nothing tells their spread then
    """
    doses, member, counts = np.unique(dose, return_inverse=True, return_counts=True)
    if (counts > 1).mean() < 0.5 or not draws:
        return np.nan, np.nan
    rng, chosen = np.random.default_rng(seed), grid(doses, slopes)
    means, precisions = np.empty((draws, len(doses))), np.empty((draws, len(doses)))
    groups = [np.flatnonzero(member == number) for number in range(len(doses))]
    plates = [np.flatnonzero(controls.plate == number) for number in range(len(controls.shared))]
    for draw in range(draws):
        times = np.bincount(np.concatenate([rng.choice(own, len(own)) for own in groups]), minlength=len(dose))
        if (weights * times > 0).sum() < 2:  # one well alone is no direction
            times = np.ones(len(dose))
        shift = np.stack([
            controls.points[rng.choice(own, len(own))].mean(axis=0) if len(own) else np.zeros(points.shape[1]) for own in plates
        ])  # fmt: skip
        # The mean of DMSO is wrong twice: as it was measured, and by what was drawn of it.
        raw = products(points - shift[plate], plate, weights * times, 2 * controls.shared)
        values = raw / scales(raw, weights * times, dose) / scores.unit
        precision = times * scores.noise**-2.0
        precisions[draw] = np.bincount(member, precision)
        means[draw] = np.bincount(member, precision * values) / precisions[draw]
    low, high = np.percentile(halves(chosen, means, precisions), [2.5, 97.5])
    return float(low), float(high)


def profile_interval(
    dose: np.ndarray, scores: np.ndarray, noise: np.ndarray, curve: Fit, *, slopes: Sequence[float], level: float = 0.95,
    freedom: float = np.inf,
) -> tuple[float, float]:  # fmt: skip
    """Return the interval of a half-effect dose by the profile likelihood of a curve of four parameters.

    It holds the doses of the grid at which the best curve leaves no more than the `level` quantile of chi-square more than the
    best of all, or that of F where the noise is known from few wells. Noise that turns out larger than it was taken for, by the
    wells' own scatter about the curve, widens it.

    Parameters
    ----------
    dose, scores, noise : (n,) as `hill.fit_free` takes them, which gave `curve`
    slopes : limits of the curve's slope
    freedom : degrees of freedom from which the noise is known
    """
    doses, means, weights = dose_means(dose, scores, noise)
    chosen = grid(doses, slopes)
    losses = free_losses(chosen, means[None], weights)[0][0]
    spare = len(dose) - 4
    excess = max(1.0, curve.left / spare) if spare > 0 else 1.0
    inside = chosen.half[losses <= losses.min() + excess * student.ppf((1 + level) / 2, freedom) ** 2]
    return float(min(inside.min(), curve.half)), float(max(inside.max(), curve.half))
