"""Fit Hill curves: score = bottom + (top - bottom) * dose^slope / (dose^slope + half^slope) (Hill 1910).

The bottom is DMSO's 0 (`fit`) or as free as the top, which may then lie below it (`fit_free`).

A grid of half-effect doses and slopes, on which the best top is a quotient, finds the starts; scipy goes on from the best ones.
The grid alone serves the bootstrap, where its step of 12% is no matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

PER_DECADE = 20  # half-effect doses of the grid
BEYOND = 1.0  # decades beyond the tested doses that the grid goes on, to know what lies outside
SLOPES = 25
STARTS = 2
SLOPE_SPREAD = 0.5  # natural logarithms about slope 1: what few wells leave open is decided by what slopes are like


def hill(dose: np.ndarray, top: float, half: float, slope: float) -> np.ndarray:
    """Return the curve at positive doses."""
    return top / (1 + (half / np.asarray(dose, dtype=np.float64)) ** slope)


@dataclass(frozen=True)
class Fit:
    """A fitted curve.

    Attributes
    ----------
    top, half, slope : of the curve
    explained : share of the wells' weighted squares about 0 (of a free bottom: about their mean) that it takes away
    rise : by how much smaller its chi-square is than that of one score at all doses
    bottom : 0 where it was not fitted
    left : the wells' chi-square about the curve
    """

    top: float
    half: float
    slope: float
    explained: float
    rise: float
    bottom: float = 0.0
    left: float = float("nan")


@dataclass(frozen=True)
class Grid:
    """Half-effect doses and slopes, and their curves of top 1 at some doses.

    Attributes
    ----------
    half, slope : (m,)
    curves : (m, D)
    """

    half: np.ndarray
    slope: np.ndarray
    curves: np.ndarray


def grid(doses: np.ndarray, slopes: Sequence[float], *, coarse: int = 1) -> Grid:
    """Return the grid for D doses and slopes between two limits, with so many times wider steps both ways."""
    low, high = np.log10(doses.min()) - BEYOND, np.log10(doses.max()) + BEYOND
    halves = np.logspace(low, high, int(np.ceil((high - low) * PER_DECADE / coarse)) + 1)
    half, slope = (part.ravel() for part in np.meshgrid(halves, np.geomspace(*slopes, -(-SLOPES // coarse))))
    return Grid(half, slope, 1 / (1 + (half[:, None] / doses) ** slope[:, None]))


def _losses(chosen: Grid, means: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what each point of the grid leaves of sets of means, and the best top (at least 0) there: both (B, m)."""
    power = np.maximum(weights @ (chosen.curves**2).T, 1e-300)
    product = (weights * means) @ chosen.curves.T
    tops = np.maximum(product / power, 0.0)
    squares = (weights * means**2).sum(axis=1, keepdims=True)
    return squares - tops * product + (np.log(chosen.slope) / SLOPE_SPREAD) ** 2, tops


def halves(chosen: Grid, means: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the best half-effect dose of the grid for each of B sets of D means with weights (1 / variance): (B,)."""
    return chosen.half[_losses(chosen, means, weights)[0].argmin(axis=1)]


def interval_beyond(low: float, high: float, dose: np.ndarray) -> str:
    """Return words to end a reason with where a half effect's interval reaches beyond the doses (uM, > 0); "" where it does not.

    A compound that begins to act at the last doses can pass for one that has come to its plateau; its interval tells.
    """
    ends = [f"above the highest dose, {dose.max():.3g} uM"] * bool(high > dose.max())
    ends += [f"below the lowest dose, {dose.min():.3g} uM"] * bool(low < dose.min())
    return f"; its interval reaches {' and '.join(ends)}: half of the effect may lie there" if ends else ""


def _search(
    dose: np.ndarray, scores: np.ndarray, noise: np.ndarray, slopes: Sequence[float]
) -> tuple[Grid, np.ndarray, np.ndarray]:
    """Return a grid, what each of its points leaves of the wells, and the best top there: (m,) each."""
    doses, means, weights = dose_means(dose, scores, noise)
    chosen = grid(doses, slopes)
    losses, tops = _losses(chosen, means[None], weights[None])
    return chosen, losses[0], tops[0]


def rough_fit(
    dose: np.ndarray, scores: np.ndarray, noise: np.ndarray, *, slopes: Sequence[float]
) -> tuple[float, float]:
    """Return half-effect dose and slope of the best point of the grid; see `fit`."""
    chosen, losses, _ = _search(dose, scores, noise, slopes)
    best = losses.argmin()
    return float(chosen.half[best]), float(chosen.slope[best])


def fit(dose: np.ndarray, scores: np.ndarray, noise: np.ndarray, *, slopes: Sequence[float]) -> Fit:
    """Fit a curve to wells.

    Parameters
    ----------
    dose, scores, noise : (n,) positive doses, scores, and the s.d. of each
    slopes : the least and the largest
    """
    chosen, losses, tops = _search(dose, scores, noise, slopes)
    low = [0.0, np.log(chosen.half.min()), np.log(slopes[0])]
    high = [np.inf, np.log(chosen.half.max()), np.log(slopes[1])]

    def residuals(parameters: np.ndarray) -> np.ndarray:
        top, half, slope = parameters[0], *np.exp(parameters[1:])
        return np.append((scores - hill(dose, top, half, slope)) / noise, parameters[2] / SLOPE_SPREAD)

    best = None
    for place in _starts(losses, chosen):
        start = np.clip([tops[place], np.log(chosen.half[place]), np.log(chosen.slope[place])], low, high)
        found = least_squares(residuals, start, bounds=(low, high), x_scale=[max(tops[place], 1e-3), 1.0, 1.0])
        best = found if best is None or found.cost < best.cost else best
    top, half, slope = best.x[0], *np.exp(best.x[1:])
    left, whole = (residuals(best.x)[:-1] ** 2).sum(), ((scores / noise) ** 2).sum()
    level = np.average(scores, weights=noise**-2.0)
    rise = (((scores - level) / noise) ** 2).sum() - left
    return Fit(
        float(top), float(half), float(slope), float(1 - left / max(whole, 1e-300)), float(rise), left=float(left)
    )


def free_losses(chosen: Grid, means: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what each point of the grid leaves of sets of means with a free bottom, and the best bottom and height there.

    Parameters
    ----------
    means : (B, D)
    weights : (D,) 1 / variance

    Returns
    -------
    (B, m) each
    """
    total = weights.sum()
    middle = (chosen.curves @ weights) / total  # (m,)
    centred = chosen.curves - middle[:, None]
    level = (means @ weights) / total  # (B,)
    apart = means - level[:, None]
    power = np.maximum((centred**2) @ weights, 1e-9 * total)
    product = (apart * weights) @ centred.T
    heights = product / power
    left = (apart**2) @ weights
    losses = left[:, None] - heights * product + (np.log(chosen.slope) / SLOPE_SPREAD) ** 2
    return losses, level[:, None] - heights * middle, heights


def dose_means(dose: np.ndarray, scores: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the D doses, the mean score of each, and its weight, 1 / variance."""
    doses, member = np.unique(dose, return_inverse=True)
    weights = np.bincount(member, noise**-2.0)
    return doses, np.bincount(member, scores * noise**-2.0) / weights, weights


def fit_free(dose: np.ndarray, scores: np.ndarray, noise: np.ndarray, *, slopes: Sequence[float]) -> Fit:
    """Fit a curve of four parameters to wells; see `fit`."""
    doses, means, weights = dose_means(dose, scores, noise)
    chosen = grid(doses, slopes)
    losses, bottoms, heights = (each[0] for each in free_losses(chosen, means[None], weights))
    low = [-np.inf, -np.inf, np.log(chosen.half.min()), np.log(slopes[0])]
    high = [np.inf, np.inf, np.log(chosen.half.max()), np.log(slopes[1])]

    def residuals(parameters: np.ndarray) -> np.ndarray:
        bottom, height, half, slope = *parameters[:2], *np.exp(parameters[2:])
        return np.append((scores - bottom - hill(dose, height, half, slope)) / noise, parameters[3] / SLOPE_SPREAD)

    best = None
    for place in _starts(losses, chosen):
        start = [bottoms[place], heights[place], np.log(chosen.half[place]), np.log(chosen.slope[place])]
        size = max(float(np.ptp(means)), 1e-3)
        found = least_squares(residuals, np.clip(start, low, high), bounds=(low, high), x_scale=[size, size, 1.0, 1.0])
        best = found if best is None or found.cost < best.cost else best
    bottom, height, half, slope = *best.x[:2], *np.exp(best.x[2:])
    left = float((residuals(best.x)[:-1] ** 2).sum())
    level = np.average(scores, weights=noise**-2.0)
    whole = float((((scores - level) / noise) ** 2).sum())
    explained = 1 - left / max(whole, 1e-300)
    return Fit(float(bottom + height), float(half), float(slope), float(explained), whole - left, float(bottom), left)


def _starts(losses: np.ndarray, chosen: Grid) -> list[int]:
    """Return the best point of the grid, and the best of those a half decade and more away, STARTS in all."""
    places, open_ = [], np.ones(len(losses), dtype=bool)
    while len(places) < STARTS and open_.any():
        places.append(int(np.flatnonzero(open_)[losses[open_].argmin()]))
        open_ &= np.abs(np.log10(chosen.half / chosen.half[places[-1]])) >= 0.5
    return places
