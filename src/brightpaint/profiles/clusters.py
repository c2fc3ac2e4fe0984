"""Cluster targets by their similarity to DMSO, and test them against sham targets: pure functions.

Exact one-dimensional k-means (paper, section 4.4) by dynamic programming, and a permutation null that exchanges
wells within plates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from brightpaint.base.resampling import seeded
from brightpaint.profiles.similarity import cosine_similarity, target_sets
from brightpaint.profiles.treatments import left_out_null

CLUSTERS = ("active", "partially active", "inactive")


def kmeans_1d(values: np.ndarray, k: int) -> np.ndarray:
    """Cut numbers into k clusters of least within-cluster sum of squares: exact, by dynamic programming.

    Parameters
    ----------
    values : (n,) finite
    k : clusters; no more than there are distinct values are made

    Returns
    -------
    (n,) int cluster numbers, 0 for the smallest values
    """
    values = np.asarray(values, dtype=np.float64)
    points, counts = np.unique(values, return_counts=True)
    n, k = len(points), min(k, len(points))
    shifted = points - points.mean()
    total, square, weight = (
        np.concatenate([[0.0], np.cumsum(counts * term)]) for term in (shifted, shifted**2, np.ones(n))
    )
    first, last = np.meshgrid(np.arange(n), np.arange(1, n + 1), indexing="ij")  # cluster = points[first:last]
    size = np.where(last > first, weight[last] - weight[first], 1.0)
    cost = square[last] - square[first] - (total[last] - total[first]) ** 2 / size
    cost = np.where(last > first, np.maximum(cost, 0.0), np.inf)
    best, cuts = cost[0].copy(), []  # best[j - 1]: cheapest way to cover points[:j]
    for _ in range(1, k):
        ways = np.concatenate([[np.inf], best[:-1]])[:, None] + cost  # the last cluster starts at `first`
        cuts.append(ways.argmin(axis=0))
        best = ways.min(axis=0)
    labels, end = np.zeros(n, dtype=int), n
    for cluster in range(k - 1, 0, -1):
        start = cuts[cluster - 1][end - 1]
        labels[start:end] = cluster
        end = start
    return labels[np.searchsorted(points, values)]


def principal_components(profiles: np.ndarray, components: int) -> np.ndarray:
    """Project (n, F) profiles on their leading principal components: (n, min(components, n - 1, F))."""
    centred = profiles - profiles.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(components, len(profiles) - 1, int((scale > scale.max(initial=0) * 1e-10).sum()))
    return left[:, :kept] * scale[:kept]


def mean_profiles(points: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Average the wells of each group: points (n, D), groups (P, n) bool -> (P, D)."""
    return groups @ points / groups.sum(axis=1, keepdims=True)


def shift_null(
    points: np.ndarray, plates: np.ndarray, treated: np.ndarray, dmso: np.ndarray, *, permutations: int, seed: str
) -> tuple[float, np.ndarray]:
    """Measure how far a target's perturbations lie from DMSO, and how far those of sham targets do.

    Parameters
    ----------
    points : (n, D) wells in principal components
    plates : (n,) their plates
    treated : (P, n) bool, the wells of each of the target's P perturbations
    dmso : (n,) bool; every plate with treated wells has some
    permutations : number of shams B; in each, the wells of every plate are dealt anew among the target's
        perturbations and DMSO
    seed : name from which the shams are drawn

    Returns
    -------
    shift : root mean square over perturbations of the length of (mean profile - DMSO's mean profile), differences being
        averaged over plates first: replicates must agree, perturbations of one target may differ
    shams : (B,) the same of each sham

    Notes
    -----
    Exchanging wells within a plate is exact under the null that the target does nothing, whatever the distribution,
    as long as a well's position does not matter.
    """
    rng = seeded("active", seed)
    true, seen = np.zeros((len(treated), points.shape[1])), np.zeros((len(treated), 1))
    shams = np.zeros((permutations, *true.shape))
    for plate in np.unique(plates[treated.any(axis=0)]):
        here = np.flatnonzero((treated.any(axis=0) | dmso) & (plates == plate))
        groups, control = treated[:, here].astype(float), dmso[here].astype(float)
        counts = groups.sum(axis=1, keepdims=True)
        contrast = groups / np.maximum(counts, 1) - (counts > 0) * control / control.sum()  # (P, wells)
        order = np.argsort(rng.random((permutations, len(here))), axis=1)
        true += contrast @ points[here]
        shams += contrast[:, order].transpose(1, 0, 2) @ points[here]  # (B, P, wells) @ (wells, D)
        seen += counts > 0
    lengths = [np.sum((side / seen) ** 2, axis=-1) for side in (true, shams)]
    return float(np.sqrt(lengths[0].mean())), np.sqrt(lengths[1].mean(axis=1))


def units_of(perturbations: pd.DataFrame, unit: str = "perturbation") -> dict[str, list[str]]:
    """Return what is tested as one: {target: its perturbations}; without a target, the perturbation itself.

    By treatment each is tested by itself: a target's highest dose says nothing of its lowest.
    """
    if unit == "treatment":
        return {name: [name] for name in perturbations["Metadata_perturbation"]}
    units: dict[str, list[str]] = {}
    for row in perturbations.itertuples():
        (names,) = target_sets([row.Metadata_target])
        for name in sorted(names) or [f"perturbation {row.Metadata_perturbation}"]:
            units.setdefault(name, []).append(row.Metadata_perturbation)
    return units


def against_null(shift: float, shams: np.ndarray, alpha: float) -> dict:
    """Set a shift against those of its null: shift, null_p, null_shift; the null says nothing where it is empty."""
    if not len(shams):
        return {"shift": shift}
    reached = np.sum(shams >= shift * (1 - 1e-9))
    p = (1 + reached) / (1 + len(shams))
    return {"shift": shift, "null_p": p, "null_shift": np.quantile(shams, 1 - alpha)}


def score_units(
    points: np.ndarray, wells: pd.DataFrame, units: Mapping[str, Sequence[str]], *, permutations: int, alpha: float,
    single: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Score, cluster and test every target.

    Parameters
    ----------
    points : (n, D) wells in principal components
    wells : their n rows of metadata
    units : {target: perturbations}
    permutations : shams a target; 0 leaves the null out
    alpha : false discovery rate over targets
    single : whether units of one well are judged by DMSO wells left out (see treatments.left_out_null)

    Returns
    -------
    frame indexed by target: target_score (cosine similarity of its perturbations' mean profiles to DMSO's, in the mean),
    shift, null_shift (what a share alpha of shams exceeds), null_p, null_q (Benjamini-Hochberg), cluster, active (0/1).
    With `single`, a unit of one well has its distance from DMSO and that of the DMSO wells left out one by one.
    Without permutations the null columns are NaN and the clusters alone decide, as in the paper.
    """
    dmso = (wells["Metadata_control_type"] == "negcon").to_numpy()
    names, plates = wells["Metadata_perturbation"].to_numpy(), wells["Metadata_Plate"].to_numpy()
    rows = {}
    for unit, members in units.items():
        treated = np.stack([(names == name) & ~dmso for name in members])  # (P, n)
        similar = cosine_similarity(mean_profiles(points, treated), mean_profiles(points, dmso[None]))
        row = {"target_score": similar.mean(), "shift": np.nan, "null_shift": np.nan, "null_p": np.nan}
        if permutations:
            if single and treated.sum() == 1:
                shift, shams = left_out_null(points, plates, treated[0], dmso)
            else:
                shift, shams = shift_null(points, plates, treated, dmso, permutations=permutations, seed=unit)
            row.update(against_null(shift, shams, alpha))
        rows[unit] = row
    frame = pd.DataFrame.from_dict(rows, orient="index")
    number = kmeans_1d(frame["target_score"].to_numpy(), len(CLUSTERS))
    labels = CLUSTERS if number.max() == 2 else (CLUSTERS[0], CLUSTERS[2])  # two targets: far and near
    frame["cluster"] = [labels[place] for place in number]
    frame["null_q"], tested = np.nan, frame["null_p"].notna()
    if tested.any():
        frame.loc[tested, "null_q"] = false_discovery_control(frame.loc[tested, "null_p"])
    passed = frame["null_q"] <= alpha if permutations else True
    frame["active"] = ((frame["cluster"] != CLUSTERS[2]) & passed).astype(int)
    return frame
