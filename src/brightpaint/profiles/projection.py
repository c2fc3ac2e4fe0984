"""Score wells by how far they lie from DMSO along a compound's own direction: signed, and cross-fitted over wells.

The direction runs from DMSO to the compound's top doses. Three things keep a score unbiased, so that DMSO lies at 0 and
a half effect at a half:

- A score is signed and linear in the well. The squared distance from DMSO goes with the square of the effect (and grows by the
  noise of every feature): it reaches its half where the effect has reached 0.71, at 2.4 times the dose where the slope is 1.
- The direction that scores a well is fitted without that well.
- A well and the direction that scores it are never measured from the same DMSO wells. Their mean has an error, which
  would pull both the same way and push wells of nothing up; what it adds is known (its expected square) and taken off. It is
  the mean over all splits of the DMSO wells into those that centre the well and those that centre the direction.

Products are taken in principal components of all wells, whitened by all wells but the compound's own (`whiten`):
docs/decisions.md says what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

COMPONENTS = 256  # at most: the rest is noise, and whitening takes the cube of their number
FEWEST_DMSO = 3  # of a plate: one is scored from the others, whose own mean must have a spread
ROUNDS = 5  # of the scale of the top doses' scores, which settles in three
LEAST_SHARE = 0.2  # of the strongest dose: no dose counts for less where scales are made, so that none is divided by 0


def principal(values: np.ndarray) -> np.ndarray:
    """Return wells in at most COMPONENTS leading principal components, unscaled.

    Parameters
    ----------
    values : (n, p) finite numbers of wells, normalised

    Returns
    -------
    (n, r) float64, r < n and <= p
    """
    centred = values - values.mean(axis=0)
    sizes, vectors = np.linalg.eigh(centred @ centred.T)  # (n, n): wells are fewer than numbers as a rule
    kept = (sizes > 1e-10 * max(sizes.max(), 1e-300)) & (np.arange(len(sizes)) >= len(sizes) - COMPONENTS)
    return vectors[:, kept] * np.sqrt(sizes[kept])


def whiten(
    points: np.ndarray, others: np.ndarray, condition: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Whiten wells by the covariance of other wells, shrunk half-way to a sphere.

    What varies among all wells, whatever they were given, counts for less; the mean variance that is added keeps components of
    noise from being blown up, however few the wells are.

    Parameters
    ----------
    points : (n, r)
    others : (n,) the wells that the covariance is taken of
    condition : (n,) what each well was given, where the covariance is to be of wells about the mean of their condition;
        a condition of one well says nothing of it then

    Returns
    -------
    whitened : (n, r)
    leverage : (n,) share of itself that a well has in the covariance, 0 for those it is not taken of
    """
    centred = points - points[others].mean(axis=0)
    if condition is not None:
        centred[others] = about_conditions(points[others], condition[others])
    count = max(int(others.sum()), 2)
    covariance = centred[others].T @ centred[others] / count
    ridge = max(np.trace(covariance) / max(min(count - 1, points.shape[1]), 1), 1e-300)
    lower = np.linalg.cholesky(covariance + ridge * np.eye(points.shape[1]))
    whitened, deviations = (
        solve_triangular(lower, rows.T, lower=True, check_finite=False).T for rows in (points, centred)
    )
    return whitened, np.where(others, (deviations**2).sum(axis=1) / count, 0.0)


def about_conditions(points: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """Return (n, r) wells about the mean of their condition, stretched by what the mean takes away: 0 for lone wells."""
    names, member, sizes = np.unique(condition, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), points.shape[1]))
    np.add.at(means, member, points)
    own = sizes[member][:, None]
    return (points - means[member] / own) * np.sqrt(own / np.maximum(own - 1, 1))


@dataclass(frozen=True)
class Controls:
    """The DMSO wells of some plates, each plate's centred on their mean.

    Attributes
    ----------
    points : (n, r)
    plate : (n,) number of the plate
    inflation : (n,) by which a well's products grow once it is left out of the covariance: 1 / (1 - leverage)
    shared : (plates,) expected squared error of each plate's mean, NaN where it has fewer than FEWEST_DMSO wells
    """

    points: np.ndarray
    plate: np.ndarray
    inflation: np.ndarray
    shared: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Wells of each plate."""
        return np.bincount(self.plate, minlength=len(self.shared))

    @property
    def squares(self) -> np.ndarray:
        """Squared distance of each well from its plate's mean."""
        return self.inflation * (self.points**2).sum(axis=1)


def centre(
    points: np.ndarray,
    plate: np.ndarray,
    control: np.ndarray,
    treated: np.ndarray,
    condition: np.ndarray | None = None,
) -> tuple[np.ndarray, Controls]:
    """Whiten wells by all that are not treated in question, and take each plate's DMSO mean off its wells.

    Parameters
    ----------
    points : (n, r) principal components
    plate : (n,) numbers of the plates from 0
    control : (n,) whether a well is DMSO
    treated : (n,) whether a well is one of those to be scored
    condition : see `whiten`

    Returns
    -------
    centred : (wells that are treated, r), NaN on plates with fewer than FEWEST_DMSO DMSO wells
    controls
    """
    whitened, leverage = whiten(points, ~treated, condition)
    inflation, shared = 1 / (1 - np.minimum(leverage, 0.9)), np.full(int(plate.max()) + 1, np.nan)
    for number in np.unique(plate[control]):
        own = plate == number
        dmso, n = own & control, int((own & control).sum())
        if n >= FEWEST_DMSO:
            whitened[own] -= whitened[dmso].mean(axis=0)
            shared[number] = (inflation[dmso] @ (whitened[dmso] ** 2).sum(axis=1)) / (n * (n - 1))
    whitened[~np.isfinite(shared)[plate]] = np.nan
    kept = control & np.isfinite(shared)[plate]
    return whitened[treated], Controls(whitened[kept], plate[kept], inflation[kept], shared)


@dataclass(frozen=True)
class Scores:
    """A compound's wells along its direction, in standard deviations of DMSO.

    Attributes
    ----------
    wells : (n,) score of each well: 0 is DMSO
    noise : (n,) s.d. that a DMSO well would have in its place: 1, more where a direction has lost a well
    effect : mean score of the top doses
    quality : cosine of the direction and what it would be without noise, 0 where it is noise
    unit : the standard deviation of DMSO that scores are divided by
    """

    wells: np.ndarray
    noise: np.ndarray
    effect: float
    quality: float
    unit: float


def control_scores(controls: Controls, direction: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Score DMSO wells along a direction, each from the mean of the others of its plate, which centre the direction too.

    Parameters
    ----------
    direction : (r,) mean of treated wells centred on the DMSO of their plates
    share : (plates,) share of these wells on each plate

    Returns
    -------
    (n,) of expectation 0
    """
    n, own, squares = controls.counts[controls.plate].astype(float), share[controls.plate], controls.squares
    left = controls.shared[controls.plate] * n * (n - 1) - n / (n - 1) * squares  # of the others, about their mean
    along = controls.inflation * (controls.points @ direction) + own * squares / (n - 1)
    return n / (n - 1) * along - own * left / ((n - 1) * (n - 2))


def products(points: np.ndarray, plate: np.ndarray, weights: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Return each well's product with the mean of the others by `weights`, free of what their DMSO wells share."""
    others = weights.sum() - weights
    same = np.bincount(plate, weights, minlength=len(shared))[plate] - weights
    products = points @ (weights @ points) - weights * (points**2).sum(axis=1)
    return (products - np.where(same > 0, shared[plate] * same, 0.0)) / others


def scales(raw: np.ndarray, weights: np.ndarray, dose: np.ndarray) -> np.ndarray:
    """Return by how much stronger than the whole direction the one is that lacks a well: 1 for wells of no weight.

    Without a well of the highest dose a direction holds weaker doses, and its products are smaller: G_ij = f_i f_j.
    """
    found, member = np.ones(len(raw)), np.unique(dose, return_inverse=True)[1]
    for _ in range(ROUNDS):
        means = np.bincount(member, raw / found) / np.bincount(member)
        strength = np.maximum(means, LEAST_SHARE * max(means.max(), 1e-300))[member]
        without = (weights @ strength - weights * strength) / (weights.sum() - weights)
        found = np.clip(without / (weights @ strength / weights.sum()), 0.5, 2.0)
    return found


def score(points: np.ndarray, plate: np.ndarray, dose: np.ndarray, weights: np.ndarray, controls: Controls) -> Scores:
    """Score a compound's wells along its direction.

    Parameters
    ----------
    points : (n, r) its wells, centred
    plate, dose : (n,)
    weights : (n,) share in the direction: 0 below the top doses; at least two wells have one
    """
    raw = products(points, plate, weights, controls.shared)
    total = weights.sum()
    direction, relative = weights @ points / total, scales(raw, weights, dose)
    share = np.bincount(plate, weights, minlength=len(controls.shared)) / total
    unit = np.sqrt(np.mean(control_scores(controls, direction, share) ** 2))
    along = controls.points @ np.column_stack([direction, *((total * direction - w * x) / (total - w)
                                              for w, x in zip(weights, points) if w > 0)])  # fmt: skip
    spread = along.std(axis=0)
    noise = np.ones(len(points))
    noise[weights > 0] = spread[1:] / max(spread[0], 1e-300)
    strength = weights @ raw / total
    quality = np.sqrt(np.clip(strength / max(direction @ direction, 1e-300), 0.0, 1.0))
    return Scores(raw / relative / unit, noise / relative, float(strength / unit), float(quality), float(unit))


def null_effects(
    points: np.ndarray, plate: np.ndarray, control: np.ndarray, design: np.ndarray, *, draws: int, seed: int,
    condition: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Return the effects of compounds that are none: DMSO wells drawn in a compound's place, scored from the other DMSO wells.

    Parameters
    ----------
    points, plate, control : (n, r), (n,), (n,) as `centre` takes them
    design : (plates,) wells of the top doses on each plate; fewer are drawn where too few DMSO wells would be left, which
        makes the null wider
    draws : how many
    condition : see `whiten`

    Returns
    -------
    (draws,), or empty where two cannot be drawn
    """
    drawn = np.minimum(design, np.maximum(np.bincount(plate[control], minlength=len(design)) - FEWEST_DMSO, 0))
    if drawn.sum() < 2:
        return np.empty(0)
    rng, effects, ones = np.random.default_rng(seed), np.empty(draws), np.ones(int(drawn.sum()))
    for number in range(draws):
        sham = np.zeros(len(plate), dtype=bool)
        for own in np.flatnonzero(drawn):
            sham[rng.choice(np.flatnonzero(control & (plate == own)), drawn[own], replace=False)] = True
        centred, left = centre(points, plate, control & ~sham, sham, condition)
        effects[number] = score(centred, plate[sham], ones, ones, left).effect
    return effects
