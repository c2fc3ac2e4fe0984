"""Ask how early the matches of a perturbation come when all others are ranked by similarity: mAP of targets.

Average precision as copairs has it (Kalinin et al. 2025, mAP for profiling; a target's other members are the positives, the
perturbations that share no target with the query the negatives), to which the tests hold it. It is computed here
because shuffles and plate positions need it hundreds of times, and because copairs 0.5.5 ranks positives first among
equals (profiles that are all the same would score 1) and fails where a query shares a target with everyone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint.evaluation import metrics
from brightpaint.evaluation.profile_scores import plate_positions, similarities

SHUFFLES = 200
TIE_BREAKS = 100


def target_members(targets: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the names of all targets and who has which: (n, T) bool."""
    sets = metrics.target_sets(targets)
    names = sorted(frozenset().union(*sets)) if sets else []
    return names, np.array([[name in group for name in names] for group in sets], dtype=bool).reshape(
        len(sets), len(names)
    )


def average_precisions(
    nearest: np.ndarray, members: np.ndarray, shared: np.ndarray, order: np.ndarray | None = None
) -> np.ndarray:
    """Compute the average precision of every perturbation as a query for each of its targets.

    Parameters
    ----------
    nearest : (n, n - 1) int, the others of each row, the most similar first (`metrics.nearest_neighbours`)
    members : (n, T) bool, from `target_members`
    shared : (n, n) bool, which pairs share any target
    order : (n,) a permutation that gives row i the targets of row order[i], for a null

    Returns
    -------
    (Q,) float64 in the order of `np.nonzero(members)`; NaN for a query without a positive or without a negative
    """
    order = np.arange(len(members)) if order is None else order
    ranked = order[nearest][np.argsort(order)]  # row i: the ranking of whoever bears the targets of i
    query, target = np.nonzero(members)
    positive = members[ranked[query], target[:, None]]  # (Q, n - 1)
    kept = positive | ~shared[query[:, None], ranked[query]]  # who shares another target is neither
    depth, hits = np.cumsum(kept, axis=1), np.cumsum(positive, axis=1)
    found = positive.sum(axis=1)
    asked = (found > 0) & (kept.sum(axis=1) > found)
    precision = np.where(positive, hits / np.maximum(depth, 1), 0.0).sum(axis=1)
    return np.where(asked, precision / np.maximum(found, 1), np.nan)


def target_means(precisions: np.ndarray, target: np.ndarray, count: int) -> np.ndarray:
    """Average over the queries of each target: (Q,) -> (count,), NaN where none could be asked."""
    said = np.isfinite(precisions)
    sums = np.bincount(target[said], weights=precisions[said], minlength=count)
    asked = np.bincount(target[said], minlength=count)
    return np.where(asked > 0, sums / np.maximum(asked, 1), np.nan)


def retrieval_row(profiles: pd.DataFrame, fields: pd.DataFrame, seed: str) -> dict:
    """Score how well one plate's profiles find their targets again (`map_target`).

    Parameters
    ----------
    profiles : from `treated_profiles`; those without a target are not asked and not in the gallery
    fields : the plate's fields, for the positions
    seed : name from which the resampling is seeded

    Returns
    -------
    row of the metrics table: value is the mean over targets of the mean over their members; the interval draws
    targets anew with the gallery fixed, the null shuffles targets, the floor ranks by distance on the plate; n targets
    """
    similarity, targets, shared = similarities(profiles)
    names, members = target_members(targets)
    target = np.nonzero(members)[1]

    def scores(near: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
        return target_means(average_precisions(near, members, shared, order), target, len(names))

    nearest = metrics.nearest_neighbours(similarity, len(similarity) - 1)
    found = scores(nearest)
    said = np.isfinite(found)
    row = {"metric": "map_target", "value": np.nan, "n": int(said.sum())}
    if not said.any():
        return row
    rng = metrics.seeded(seed, "map_target", "shuffle")
    null = [np.nanmean(scores(nearest, rng.permutation(len(targets)))) for _ in range(SHUFFLES)]
    low, high = metrics.bootstrap_ratio(
        found[said], np.ones(said.sum()), np.array(names)[said], metrics.seeded(seed, "map_target")
    )
    row.update(value=found[said].mean(), low=low, high=high, null=np.mean(null), null_bound=np.quantile(null, 0.95))
    positions = plate_positions(fields, profiles.index[(profiles["Metadata_target"] != "").to_numpy()])
    if not np.isfinite(positions).all():
        return row
    rng = metrics.seeded(seed, "map_target", "position")
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    drawn = (-distance - rng.uniform(0, 1e-6, distance.shape) for _ in range(TIE_BREAKS))
    each = [np.nanmean(scores(metrics.nearest_neighbours(ties, len(ties) - 1))) for ties in drawn]
    return {**row, "floor": float(np.mean(each))}
