"""Ask how early the matches of a perturbation come when all others are ranked by similarity: mAP of targets.

Average precision as copairs has it (Kalinin et al. 2025, mAP for profiling; a target's other members are the positives, the
perturbations that share no target with the query the negatives), to which the tests hold it. It is computed here
because shuffles and plate positions need it hundreds of times, and because copairs 0.5.5 ranks positives first among
equals (profiles that are all the same would score 1) and fails where a query shares a target with everyone.

mAP of replicates asks the same of the real profiles of other plates: how early the perturbation itself comes there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.profiles.similarity import cosine_similarity, nearest_neighbours, target_sets
from brightpaint.scores.profiles.matching import feature_names, plate_positions, same_compound, similarities

SHUFFLES = 200
TIE_BREAKS = 100


def target_members(targets: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the names of all targets and who has which: (n, T) bool."""
    sets = target_sets(targets)
    names = sorted(frozenset().union(*sets)) if sets else []
    return names, np.array([[name in group for name in names] for group in sets], dtype=bool).reshape(
        len(sets), len(names)
    )


def average_precisions(
    nearest: np.ndarray,
    members: np.ndarray,
    shared: np.ndarray,
    order: np.ndarray | None = None,
    doses: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the average precision of every perturbation as a query for each of its targets.

    Parameters
    ----------
    nearest : (n, n - 1) int, the others of each row, the most similar first (`metrics.nearest_neighbours`)
    members : (n, T) bool, from `target_members`
    shared : (n, n) bool, which pairs share any target
    order : (n,) a permutation that gives row i the targets of row order[i], for a null
    doses : (n, n) bool, which pairs are doses of one compound: neither found nor missed

    Returns
    -------
    (Q,) float64 in the order of `np.nonzero(members)`; NaN for a query without a positive or without a negative
    """
    order = np.arange(len(members)) if order is None else order
    ranked = order[nearest][np.argsort(order)]  # row i: the ranking of whoever bears the targets of i
    query, target = np.nonzero(members)
    positive = members[ranked[query], target[:, None]]  # (Q, n - 1)
    kept = positive | ~shared[query[:, None], ranked[query]]  # who shares another target is neither
    if doses is not None:
        other = ~doses[query[:, None], ranked[query]]
        positive, kept = positive & other, kept & other
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


def well_distances(fields: pd.DataFrame, names: pd.Index) -> np.ndarray | None:
    """Return the distances on the plate between the wells of perturbations, (n, n); None where a place is not known."""
    positions = plate_positions(fields, names)
    if not np.isfinite(positions).all():
        return None
    return np.linalg.norm(positions[:, None] - positions[None], axis=2)


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
    doses = same_compound(profiles)
    doses = doses if doses.any() else None
    names, members = target_members(targets)
    target = np.nonzero(members)[1]

    def scores(near: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
        return target_means(average_precisions(near, members, shared, order, doses), target, len(names))

    nearest = nearest_neighbours(similarity, len(similarity) - 1)
    found = scores(nearest)
    said = np.isfinite(found)
    row = {"metric": "map_target", "value": np.nan, "n": int(said.sum())}
    if not said.any():
        return row
    rng = resampling.seeded(seed, "map_target", "shuffle")
    null = [np.nanmean(scores(nearest, rng.permutation(len(targets)))) for _ in range(SHUFFLES)]
    low, high = resampling.bootstrap_ratio(
        found[said], np.ones(said.sum()), np.array(names)[said], resampling.seeded(seed, "map_target")
    )
    row.update(value=found[said].mean(), low=low, high=high, null=np.mean(null), null_bound=np.quantile(null, 0.95))
    distance = well_distances(fields, profiles.index[(profiles["Metadata_target"] != "").to_numpy()])
    if distance is None:
        return row
    rng = resampling.seeded(seed, "map_target", "position")
    drawn = (-distance - rng.uniform(0, 1e-6, distance.shape) for _ in range(TIE_BREAKS))
    each = [np.nanmean(scores(nearest_neighbours(ties, len(ties) - 1))) for ties in drawn]
    return {**row, "floor": float(np.mean(each))}


def replicate_ranks(profiles: pd.DataFrame, gallery: pd.DataFrame, seed: str) -> np.ndarray:
    """Rank the gallery for every query by cosine similarity of their common features; equals in random order.

    Returns
    -------
    (n, m) float64 from 1, the most similar
    """
    features = [name for name in feature_names(profiles) if name in gallery]
    sides = (frame[features].to_numpy(dtype=np.float64) for frame in (profiles, gallery))
    similarity = cosine_similarity(*sides)
    ties = resampling.seeded(seed, "map_replicate", "ties").random(similarity.shape)
    order = np.lexsort((ties, -similarity))  # along the last axis
    ranks = np.empty(order.shape)
    np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1, dtype=float)[None].repeat(len(order), 0), axis=1)
    return ranks


def replicate_precisions(ranks: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Compute the average precision of every query.

    Parameters
    ----------
    ranks : (n, m) from `replicate_ranks`
    columns : (n, P) int, the gallery's rows that are replicates of each query; -1 where it has fewer

    Returns
    -------
    (n,) float64; NaN for a query without a replicate or without anything else
    """
    there = columns >= 0
    own = np.where(there, np.take_along_axis(ranks, np.maximum(columns, 0), axis=1), np.inf)
    hits = np.arange(1, own.shape[1] + 1) / np.sort(own, axis=1)  # 0 where there is none
    counts = there.sum(axis=1)
    asked = (counts > 0) & (counts < ranks.shape[1])
    return np.where(asked, hits.sum(axis=1) / np.maximum(counts, 1), np.nan)


def replicate_columns(names: pd.Index, gallery: pd.Index) -> np.ndarray:
    """Return which rows of the gallery bear each name: (n, P) int, -1 where there are fewer than P."""
    places = pd.Series(np.arange(len(gallery))).groupby(gallery.to_numpy()).agg(list)
    columns = np.full((len(names), max(map(len, places))), -1)
    for number, name in enumerate(names):
        columns[number, : len(places.get(name, []))] = places.get(name, [])
    return columns


def replicate_map_row(profiles: pd.DataFrame, gallery: Sequence[pd.DataFrame], fields: pd.DataFrame, seed: str) -> dict:
    """Score how well one plate's profiles find the same perturbations on other real plates (`map_replicate`).

    Parameters
    ----------
    profiles : from `treated_profiles`, of an arm's plate
    gallery : real profiles of other plates
    fields : the plate's fields, for the positions

    Returns
    -------
    row of the metrics table: the mean over perturbations; the interval draws perturbations anew, the null shuffles their names,
    the floor asks the nearest well on the plate in place of the perturbation: what a gradient over plates would find
    """
    row = {"metric": "map_replicate", "value": np.nan, "n": 0}
    if not any(map(len, gallery)) or not len(profiles):  # other plates may share no perturbation with this one
        return row
    common = [name for name in feature_names(gallery[0]) if all(name in frame for frame in gallery)]
    others = pd.concat([frame[common] for frame in gallery])
    columns = replicate_columns(profiles.index, others.index)
    ranks = replicate_ranks(profiles, others, seed)
    found = replicate_precisions(ranks, columns)
    said = np.isfinite(found)
    if not said.any():
        return row
    names = profiles.index.to_numpy()[said]
    rng = resampling.seeded(seed, "map_replicate")
    low, high = resampling.bootstrap_ratio(found[said], np.ones(said.sum()), names, rng)
    rng = resampling.seeded(seed, "map_replicate", "shuffle")
    null = [np.nanmean(replicate_precisions(ranks, columns[rng.permutation(len(columns))])) for _ in range(SHUFFLES)]
    row.update(value=found[said].mean(), low=low, high=high, n=int(said.sum()), null=np.mean(null),
               null_bound=np.quantile(null, 0.95))  # fmt: skip
    distance = well_distances(fields, profiles.index)
    if len(profiles) < 2 or distance is None:
        return row
    rng = resampling.seeded(seed, "map_replicate", "position")
    np.fill_diagonal(distance, np.inf)
    near = ((distance + rng.uniform(0, 1e-6, distance.shape)).argmin(axis=1) for _ in range(TIE_BREAKS))
    return {**row, "floor": float(np.mean([np.nanmean(replicate_precisions(ranks[who], columns)) for who in near]))}
