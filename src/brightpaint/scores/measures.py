"""What a prediction is worth: metrics of images and of profiles, with chance, intervals and nulls.

Pure functions of arrays. Definitions follow Cross-Zamirski et al. 2023 (class-guided image-to-image
diffusion), section 5.1; where the published code does something else than the text says, the function
computes what the text says and names the difference. Every interval is a bootstrap within one plate:
it says how far the number depends on the wells at hand, not how it varies between batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.metrics import structural_similarity

from brightpaint.base.seeds import seed_of

RESAMPLES = 1000
# Side of the window in which the local s.d. of brightfield is taken: wide enough for a speck of texture.
LOCAL_SD_PX = 7


def seeded(*names: object) -> np.random.Generator:
    """Return a random generator that depends on names alone, never on order or process."""
    return np.random.default_rng(seed_of(*names))


# --- images --------------------------------------------------------------------------------------


def pcc(real: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson correlation over the pixels of each pair of images.

    Parameters
    ----------
    real, predicted : (..., H, W) any unit

    Returns
    -------
    (...) float64 in [-1, 1]. A constant prediction carries nothing and counts 0; against a constant
    real image nothing can be said: NaN.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (real, predicted)]
    left, right = (side - side.mean(axis=(-2, -1), keepdims=True) for side in sides)
    powers = [np.sqrt(np.sum(side**2, axis=(-2, -1))) for side in (left, right)]
    varies = [power > 1e-12 * np.sqrt(np.sum(side**2, axis=(-2, -1))) for power, side in zip(powers, sides)]
    product = np.where(varies[0] & varies[1], powers[0] * powers[1], 1.0)
    value = np.where(varies[1], np.sum(left * right, axis=(-2, -1)) / product, 0.0)
    return np.where(varies[0], np.clip(value, -1, 1), np.nan)


def mse(real: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean squared error of each pair of images: (..., H, W) -> (...) float64."""
    return np.mean((np.asarray(real, np.float64) - predicted) ** 2, axis=(-2, -1))


def mae(real: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean absolute error of each pair of images: (..., H, W) -> (...) float64."""
    return np.mean(np.abs(np.asarray(real, np.float64) - predicted), axis=(-2, -1))


def ssim(real: np.ndarray, predicted: np.ndarray, *, data_range: float) -> float:
    """Structural similarity of two images: scikit-image's, uniform 7 x 7 window.

    Parameters
    ----------
    real, predicted : (H, W) z-scores
    data_range : the span of values that its two constants are scaled by. It decides the number: on one
        pair of real images 2 gave 0.43 and 15 gave 0.68. The published values were computed at 2.

    Raises
    ------
    ValueError
        for images under 7 pixels a side
    """
    if min(real.shape) < 7:
        raise ValueError(
            f"SSIM needs images of 7 pixels a side at least, found {real.shape}; set prepare.size_px higher"
        )
    real, predicted = (np.asarray(image, dtype=np.float32) for image in (real, predicted))
    return float(structural_similarity(real, predicted, data_range=data_range))


def local_sd(images: np.ndarray, size_px: int = LOCAL_SD_PX) -> np.ndarray:
    """Standard deviation in a square window around each pixel: (..., H, W) -> (..., H, W) float64.

    Cells are rough where background is smooth, so that the local s.d. of brightfield is a cell mask of a
    kind: a prediction must beat it.
    """
    images = np.asarray(images, dtype=np.float64)
    size = (1,) * (images.ndim - 2) + (size_px, size_px)
    images = images - images.mean(axis=(-2, -1), keepdims=True)
    variance = uniform_filter(images**2, size) - uniform_filter(images, size) ** 2
    return np.sqrt(np.maximum(variance, 0.0))


def largest_pcc(candidates: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Largest |PCC| that any one of several images reaches with each real image.

    Parameters
    ----------
    candidates : (C, H, W), e.g. brightfield planes
    real : (S, H, W), e.g. stains

    Returns
    -------
    (S,) float64 in [0, 1]; NaN for a constant real image
    """
    return np.abs(np.stack([pcc(real, candidate[None]) for candidate in candidates])).max(axis=0)


# --- profiles ------------------------------------------------------------------------------------


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
    similarity : (n, n), its diagonal is ignored
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


def chance_matches(shared: np.ndarray, k: int) -> float:
    """Expected number of queries with a match among k neighbours drawn at random.

    For n perturbations in pairs this is k n / (n - 1): 1.0 for the nearest, 5.0 for the top five.
    """
    others = len(shared) - 1
    if others < 1:
        return 0.0
    missed = np.ones(len(shared))
    matching = shared.sum(axis=1)
    for drawn in range(min(k, others)):  # without replacement: hypergeometric
        missed *= np.maximum(others - matching - drawn, 0) / (others - drawn)
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


# --- intervals and nulls -------------------------------------------------------------------------


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
