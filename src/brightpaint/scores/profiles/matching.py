"""Score the profiles of one plate: matching targets, their distance, and correlation with the real profiles.

Definitions follow Cross-Zamirski et al. 2023, section 5.1, corrected where the published code departs from
the text: top five counts queries, MTdist takes every matching pair, CPcor joins by name. Where the published
way gives another number, it stands beside as `*_paper`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.profiles.similarity import (
    chance_matches,
    cosine_similarity,
    feature_correlations,
    matching_distances,
    mtdist_paper,
    nearest_neighbours,
    neighbour_hits,
    shared_targets,
)
from brightpaint.profiles.treatments import well_places
from brightpaint.study.annotations import PERTURBATION, named, unit_column

SHUFFLES = 1000
log = logging.getLogger(__name__)


def treated_profiles(profiles: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the perturbations that can be matched, indexed by name: no DMSO, no empty wells, none without cells.

    Profiles by treatment are indexed by treatment, and `Metadata_perturbation` says which are doses of one compound.
    Features that some of them lacks are left out; both are counted in the log.
    """
    known = profiles[(profiles["Metadata_perturbation"] != "") & (profiles["Metadata_control_type"] != "negcon")]
    unit = unit_column(known)
    known = known.set_index(unit).sort_index()
    if known.index.has_duplicates:
        name = known.index[known.index.duplicated()][0]
        raise ValueError(
            f"{where}: {unit.removeprefix('Metadata_')} {name} occurs twice; delete the profiles and rerun"
        )
    features = feature_names(known)
    empty = known[features].isna().all(axis=1)
    known = known[~empty]
    lost = [name for name in features if known[name].isna().any()]
    log.info("%s: %d %ss, %d without cells left out; %d features, %d with gaps left out",
             where, len(known), unit.removeprefix("Metadata_"), empty.sum(), len(features), len(lost))  # fmt: skip
    return known.drop(columns=lost)


def by_plate(path: Path, arm: str) -> dict[str, pd.DataFrame]:
    """Read perturbation profiles: {plate: treated perturbations, indexed by name}."""
    frame = store.read_table(path, required=["Metadata_Plate", "Metadata_perturbation", "Metadata_target"])
    return {
        plate: treated_profiles(rows, f"{arm}, plate {plate}")
        for plate, rows in frame.groupby("Metadata_Plate", sort=True)
    }


def feature_names(profiles: pd.DataFrame) -> list[str]:
    """Return the columns that are features."""
    return [name for name in profiles.columns if not name.startswith("Metadata_")]


def plate_positions(fields: pd.DataFrame, names: pd.Index) -> np.ndarray:
    """Return the mean row and column of each perturbation's wells: (n, 2), in wells; NaN for names that are not A01.

    `names` is an index of profiles: its own name says whether they are perturbations or treatments.
    """
    wells = fields.drop_duplicates("Metadata_Well")
    owners = named(wells, getattr(names, "name", None) or PERTURBATION)
    places = pd.DataFrame(well_places(wells["Metadata_Well"]), index=owners.to_numpy())
    return places.groupby(level=0).mean().reindex(names).to_numpy(dtype=np.float64)


def position_matches(
    positions: np.ndarray, shared: np.ndarray, k: int, rng: np.random.Generator, *, doses: np.ndarray | bool = False
) -> float:
    """Count the matches among the k nearest on the plate; ties in distance are broken at random, 100 times.

    `doses`, (n, n) bool, are pairs of doses of one compound, which are passed over.
    """
    if len(positions) < 2 or not np.isfinite(positions).all():
        return float("nan")
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    counts = []
    for _ in range(100):
        apart = np.where(doses, np.inf, distance + rng.uniform(0, 1e-6, distance.shape))
        nearest = nearest_neighbours(-apart, k)
        counts.append((neighbour_hits(nearest, shared) > 0).sum())
    return float(np.mean(counts))


def match_rows(profiles: pd.DataFrame, fields: pd.DataFrame, seed: str) -> Iterator[dict]:
    """Count nearest (`nn`) and top-five matches within one plate's profiles, with chance and the plate-position floor.

    Parameters
    ----------
    profiles : from `treated_profiles`; those without a target are not asked and not in the gallery
    fields : the plate's fields, for the positions
    seed : name from which the resampling is seeded
    """
    similarity, targets, shared = similarities(profiles)
    n, names = len(targets), profiles.index[(profiles["Metadata_target"] != "").to_numpy()]
    positions, doses = plate_positions(fields, names), same_compound(profiles)
    for metric, k in (("nn", 1), ("top5", 5)):
        nearest = nearest_neighbours(np.where(doses, -np.inf, similarity), k)
        hits = neighbour_hits(nearest, shared)
        low, high = resampling.bootstrap_ratio(hits > 0, np.ones(n), targets, resampling.seeded(seed, metric))
        rng = resampling.seeded(seed, metric, "shuffle")
        null = [(neighbour_hits(nearest, shared, rng.permutation(n)) > 0).sum() for _ in range(SHUFFLES)]
        ties = resampling.seeded(seed, metric, "position")
        yield {"metric": metric, "value": (hits > 0).sum(), "low": low * n, "high": high * n, "n": n,
               "null": chance_matches(shared, k, doses), "null_bound": np.quantile(null, 0.95),
               "floor": position_matches(positions, shared, k, ties, doses=doses)}  # fmt: skip
        if hits.sum() != (hits > 0).sum():  # the published code counts hits, not queries with a hit
            yield {"metric": f"{metric}_paper", "value": hits.sum(), "n": n}


def distance_rows(profiles: pd.DataFrame, seed: str) -> Iterator[dict]:
    """Take the mean cosine distance of perturbations that share a target (`mtdist`), with its shuffled null."""
    similarity, targets, shared = similarities(profiles)
    sums, counts = matching_distances(similarity, shared)
    first, second = np.nonzero(np.triu(shared))
    row = {"metric": "mtdist", "value": np.nan, "n": len(first)}
    if len(first):
        rng = resampling.seeded(seed, "mtdist", "shuffle")
        orders = (rng.permutation(len(targets)) for _ in range(SHUFFLES))
        null = [1 - similarity[order[first], order[second]].mean() for order in orders]
        low, high = resampling.bootstrap_ratio(sums, counts, targets, resampling.seeded(seed, "mtdist"))
        row.update(value=sums.sum() / counts.sum(), low=low, high=high, null=np.mean(null),
                   null_bound=np.quantile(null, 0.05))  # fmt: skip
    yield row
    paper = mtdist_paper(similarity, targets) if not same_compound(profiles).any() else np.nan  # it knows no doses
    if np.isfinite(paper) and not np.isclose(paper, row["value"]):
        yield {"metric": "mtdist_paper", "value": paper, "n": len(first)}


def similarities(profiles: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cosine similarities, targets, and which pairs share one, of the profiles that have a target.

    Two doses of one compound share none: that they are alike says nothing of targets.
    """
    chosen = profiles[profiles["Metadata_target"] != ""]
    targets = chosen["Metadata_target"].to_numpy()
    values = chosen[feature_names(chosen)].to_numpy(dtype=np.float64)
    return cosine_similarity(values), targets, shared_targets(targets) & ~same_compound(profiles)


def same_compound(profiles: pd.DataFrame) -> np.ndarray:
    """Tell which pairs of profiles with a target are doses of one compound: (n, n) bool, False on the diagonal."""
    chosen = profiles[profiles["Metadata_target"] != ""]
    names = (chosen[PERTURBATION] if PERTURBATION in chosen else chosen.index).to_numpy()
    same = names[:, None] == names[None]
    np.fill_diagonal(same, False)
    return same


def joined_values(real: pd.DataFrame, predicted: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Join two sets of profiles by perturbation and feature: two (n, F) arrays, row i the same perturbation."""
    names = real.index.intersection(predicted.index, sort=True)
    features = [name for name in feature_names(real) if name in predicted]
    return tuple(frame.loc[names, features].to_numpy(dtype=np.float64) for frame in (real, predicted))


def cpcor(real: pd.DataFrame, predicted: pd.DataFrame, weights: np.ndarray | None = None) -> np.ndarray:
    """CPcor: the mean over features of the correlation across perturbations, joined by name.

    Returns
    -------
    (B,) for B rows of weights (one without weights); NaN for under three perturbations
    """
    left, right = joined_values(real, predicted)
    if len(left) < 3 or not left.shape[1]:
        return np.array([np.nan])
    values = feature_correlations(left, right, weights)
    said = np.isfinite(values)
    return np.where(said, values, 0).sum(axis=1) / np.where(said.any(axis=1), said.sum(axis=1), np.nan)


def correlation_row(real: pd.DataFrame, predicted: pd.DataFrame, elsewhere: Sequence[pd.DataFrame], seed: str) -> dict:
    """Compute CPcor of a prediction with its interval over perturbations, shuffled null and look-up floor.

    Parameters
    ----------
    real, predicted : profiles of one plate
    elsewhere : real profiles of the other plates; their mean, which needs no image of this plate, is the floor
    """
    value = cpcor(real, predicted)[0]
    n = len(real.index.intersection(predicted.index))
    row = {"metric": "cpcor", "value": value, "n": n}
    if not np.isfinite(value):
        return row
    low, high = resampling.interval(
        cpcor(real, predicted, resampling.resample_counts(n, resampling.seeded(seed, "cpcor")))
    )
    rng = resampling.seeded(seed, "cpcor", "shuffle")
    null = [cpcor(real, predicted.set_axis(rng.permutation(predicted.index)))[0] for _ in range(SHUFFLES // 5)]
    row.update(low=low, high=high, null=np.mean(null), null_bound=np.quantile(null, 0.95))
    return {**row, "floor": cpcor(real, lookup(elsewhere))[0] if len(elsewhere) else np.nan}


def lookup(elsewhere: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean profile of each perturbation over plates: what a prediction that looks at no image can know."""
    features = [name for name in feature_names(elsewhere[0]) if all(name in frame for frame in elsewhere)]
    stacked = pd.concat([frame[features] for frame in elsewhere])
    return stacked.groupby(level=0).mean()


def replicate_row(real: pd.DataFrame, elsewhere: Sequence[pd.DataFrame], seed: str) -> dict:
    """Compute the reference CPcor: this plate's real profiles against each other real plate's, in the mean.

    Replicate plates hold other cells of another batch: a reference for profiles, no ceiling.
    """
    if not elsewhere:
        return {"metric": "cpcor", "value": np.nan, "n": len(real)}
    row = correlation_row(real, elsewhere[0], [], seed)
    if not np.isfinite(row["value"]):
        return row
    weights = resampling.resample_counts(row["n"], resampling.seeded(seed, "cpcor"))
    each = [cpcor(real, other)[0] for other in elsewhere]
    same = all(len(real.index.intersection(other.index)) == row["n"] for other in elsewhere)
    drawn = np.mean([cpcor(real, other, weights) for other in elsewhere], axis=0) if same else np.array([np.nan])
    low, high = resampling.interval(drawn)
    return {**row, "value": np.mean(each), "low": low, "high": high, "floor": cpcor(real, lookup(elsewhere))[0]}
