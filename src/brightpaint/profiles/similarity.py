"""How alike profiles are, and who shares a target with whom: pure functions of arrays.

Definitions follow Cross-Zamirski et al. 2023 (class-guided image-to-image diffusion), section 5.1; where the published
code does something else than the text says, the function computes what the text says and names the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def target_sets(targets: Sequence[str]) -> list[frozenset[str]]:
    """Split targets joined by `|` into sets; the empty string is the empty set."""
    return [frozenset(name for name in str(target).split("|") if name) for target in targets]


def shared_targets(targets: Sequence[str]) -> np.ndarray:
    """Tell which pairs of perturbations share a target.

    Returns
    -------
    (n, n) bool, symmetric, False on the diagonal: the two sets intersect
    """
    sets = target_sets(targets)
    names = sorted(frozenset().union(*sets)) if sets else []
    member = np.zeros((len(sets), len(names)), dtype=np.int32)
    for row, group in enumerate(sets):
        member[row, [names.index(name) for name in group]] = 1
    shared = member @ member.T > 0
    np.fill_diagonal(shared, False)
    return shared


def cosine_similarity(profiles: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Cosine of the angle between rows: (n, F) and (m, F) -> (n, m) float64.

    Raises
    ------
    ValueError
        for values that are not finite; leave such rows or features out, and count them
    """
    profiles = np.asarray(profiles, dtype=np.float64)
    others = profiles if others is None else np.asarray(others, dtype=np.float64)
    if not (np.isfinite(profiles).all() and np.isfinite(others).all()):
        raise ValueError("cosine similarity: some profile holds values that are not finite; leave them out first")
    norms = [np.linalg.norm(side, axis=1) for side in (profiles, others)]
    scaled = [side / np.where(norm > 0, norm, 1.0)[:, None] for side, norm in zip((profiles, others), norms)]
    return scaled[0] @ scaled[1].T


def nearest_neighbours(similarity: np.ndarray, k: int) -> np.ndarray:
    """Return the k most similar others of each row, itself left out.

    Parameters
    ----------
    similarity : (n, n), its diagonal is ignored; -inf for pairs that are not to be neighbours: they come last
    k : neighbours, n - 1 at most

    Returns
    -------
    (n, min(k, n - 1)) int row numbers, the most similar first; ties in row order
    """
    masked = np.array(similarity, dtype=np.float64)
    np.fill_diagonal(masked, -np.inf)
    return np.argsort(-masked, axis=1, kind="stable")[:, : max(min(k, len(masked) - 1), 0)]


def neighbour_hits(nearest: np.ndarray, shared: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Count, for each perturbation, how many of its nearest neighbours share a target with it.

    Parameters
    ----------
    nearest : (n, k) from `nearest_neighbours`
    shared : (n, n) bool from `shared_targets`
    order : (n,) a permutation that gives row i the targets of row order[i], for a null

    Returns
    -------
    (n,) int. A query is a match if its count is above 0 (paper, section 5.1.1).
    """
    order = np.arange(len(shared)) if order is None else order
    return shared[order[:, None], order[nearest]].sum(axis=1)


def chance_matches(shared: np.ndarray, k: int, barred: np.ndarray | None = None) -> float:
    """Expected number of queries with a match among k neighbours drawn at random.

    For n perturbations in pairs this is k n / (n - 1): 1.0 for the nearest, 5.0 for the top five. `barred`, (n, n) bool,
    are pairs that cannot be drawn.
    """
    others = np.full(len(shared), len(shared) - 1) - (0 if barred is None else barred.sum(axis=1))
    missed = np.ones(len(shared))
    matching = shared.sum(axis=1)
    for drawn in range(min(k, max(others, default=0))):  # without replacement: hypergeometric
        left = np.maximum(others - drawn, 0)
        missed *= np.where(left > 0, np.maximum(left - matching, 0) / np.maximum(left, 1), 1.0)
    return float(np.sum(1.0 - missed))


def matching_distances(similarity: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the cosine distances of each perturbation to those that share a target with it.

    MTdist (paper, section 5.1.2) is `sums.sum() / counts.sum()`: the mean over all matching pairs.

    Returns
    -------
    sums, counts : (n,) float64 and int, per perturbation
    """
    return np.where(shared, 1.0 - similarity, 0.0).sum(axis=1), shared.sum(axis=1)


def mtdist_paper(similarity: np.ndarray, targets: Sequence[str]) -> float:
    """MTdist as the published code has it: of each target only its last pair of rows counts."""
    groups: dict[str, list[int]] = {}
    for row, names in enumerate(target_sets(targets)):
        for name in sorted(names):
            groups.setdefault(name, []).append(row)
    last = [1.0 - similarity[rows[-2], rows[-1]] for rows in groups.values() if len(rows) > 1]
    return float(np.mean(last)) if last else float("nan")


def feature_correlations(real: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Pearson correlation of each feature across perturbations (CPcor is its mean; paper, section 5.1.3).

    Parameters
    ----------
    real, predicted : (n, F), row i of both is the same perturbation (join by name first)
    weights : (B, n) how often each row counts in each of B resamples; one of all ones if None

    Returns
    -------
    (B, F) float64. A feature that is constant in the prediction counts 0, one that is constant in the real
    profiles is NaN.
    """
    weights = np.ones((1, len(real))) if weights is None else np.asarray(weights, dtype=np.float64)
    weights = weights / weights.sum(axis=1, keepdims=True)
    left = real - np.mean(real, axis=0)
    right = predicted - np.mean(predicted, axis=0)
    means = [weights @ side for side in (left, right)]  # (B, n) @ (n, F) -> (B, F)
    variances = [weights @ side**2 - mean**2 for side, mean in zip((left, right), means)]
    tiny = [1e-12 * (np.mean(side**2, axis=0) + np.finfo(float).tiny) for side in (real, predicted)]
    varies = [variance > limit for variance, limit in zip(variances, tiny)]
    spread = np.sqrt(np.where(varies[0] & varies[1], variances[0] * variances[1], 1.0))
    value = np.where(varies[1], (weights @ (left * right) - means[0] * means[1]) / spread, 0.0)
    return np.where(varies[0], np.clip(value, -1, 1), np.nan)
