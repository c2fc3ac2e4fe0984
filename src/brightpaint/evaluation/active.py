"""Find the active perturbations: those whose real cells differ from DMSO's.

The paper's procedure (Cross-Zamirski et al. 2023, section 4.4, Fig. 4) scores each target by the mean cosine
similarity of its wells to the DMSO wells in the leading principal components, and cuts the scores into
three by one-dimensional k-means: active, partially active, inactive. k-means finds three clusters in
noise too, so a null stands beside it: the wells of a target and the DMSO wells of the same plate change
places at random, and the shift of the target's mean profile from DMSO's, averaged over plates, must be larger
than those of such sham targets (Benjamini-Hochberg over targets). The null holds few DMSO wells better than a
null of single wells would: two wells among six DMSO wells on each of two plates can fall in 784 ways.

A target is active if it lies outside the cluster nearest to DMSO and passes the null. Whole targets are kept
or dropped; a perturbation with several targets is active if any of them is; one without a target is
a target of its own.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
from pycytominer import aggregate, normalize

from brightpaint import store
from brightpaint.cli import run
from brightpaint.evaluation.metrics import benjamini_hochberg, cosine_similarity, seeded, target_sets

CLUSTERS = ("active", "partially active", "inactive")
QUANTILES = (5, 25, 50, 75, 95)
log = logging.getLogger(__name__)


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


def shift_null(
    points: np.ndarray, plates: np.ndarray, treated: np.ndarray, dmso: np.ndarray, *, permutations: int, seed: str
) -> tuple[float, np.ndarray]:
    """Measure how far a target's mean profile lies from DMSO's, and how far sham targets do.

    Parameters
    ----------
    points : (n, D) wells in principal components
    plates : (n,) their plates
    treated, dmso : (n,) bool, the target's wells and the DMSO wells
    permutations : number of shams; in each, the treated wells of a plate are drawn anew from its treated
        and DMSO wells together

    Returns
    -------
    shift : length of the difference of means, averaged over plates as a vector
    shams : (permutations,) the same of each sham

    Notes
    -----
    Exchanging labels within a plate is exact under the null that the target does nothing, whatever
    the distribution, as long as a well's position does not matter.
    """
    rng = seeded("active", seed)
    names = np.unique(plates[treated])
    true, sham = np.zeros(points.shape[1]), np.zeros((permutations, points.shape[1]))
    for plate in names:
        here = [np.flatnonzero(group & (plates == plate)) for group in (treated, dmso)]
        pool = points[np.concatenate(here)]
        n_treated, n_dmso = (len(rows) for rows in here)
        contrast = np.concatenate([np.full(n_treated, 1 / n_treated), np.full(n_dmso, -1 / n_dmso)])
        order = np.argsort(rng.random((permutations, len(pool))), axis=1)
        true += contrast @ pool / len(names)
        sham += contrast[order] @ pool / len(names)  # (B, wells) @ (wells, D)
    return float(np.linalg.norm(true)), np.linalg.norm(sham, axis=1)


def units_of(perturbations: pd.DataFrame) -> dict[str, list[str]]:
    """Return what is tested as one: {target: its perturbations}; without a target, the perturbation itself."""
    units: dict[str, list[str]] = {}
    for row in perturbations.itertuples():
        (names,) = target_sets([row.Metadata_target])
        for name in sorted(names) or [f"perturbation {row.Metadata_perturbation}"]:
            units.setdefault(name, []).append(row.Metadata_perturbation)
    return units


def score_units(
    points: np.ndarray, wells: pd.DataFrame, units: Mapping[str, Sequence[str]], *, permutations: int, alpha: float
) -> pd.DataFrame:
    """Score, cluster and test every target.

    Parameters
    ----------
    points : (n, D) wells in principal components
    wells : their n rows of metadata
    units : {target: perturbations}

    Returns
    -------
    frame indexed by target: target_score (mean cosine similarity to DMSO wells), shift, null_shift (what a
    share alpha of shams exceed), null_p, null_q (Benjamini-Hochberg), cluster, active. Without permutations
    the null columns are NaN and the clusters alone decide, as in the paper.
    """
    dmso = (wells["Metadata_control_type"] == "negcon").to_numpy()
    plates = wells["Metadata_Plate"].to_numpy()
    to_dmso = cosine_similarity(points, points[dmso]).mean(axis=1)  # (n,)
    rows = {}
    for name, members in units.items():
        treated = wells["Metadata_perturbation"].isin(members).to_numpy() & ~dmso
        row = {"target_score": to_dmso[treated].mean(), "shift": np.nan, "null_shift": np.nan, "null_p": np.nan}
        if permutations:
            shift, shams = shift_null(points, plates, treated, dmso, permutations=permutations, seed=name)
            reached = np.sum(shams >= shift * (1 - 1e-9))
            row.update(shift=shift, null_p=(1 + reached) / (1 + permutations))
            row.update(null_shift=np.quantile(shams, 1 - alpha))
        rows[name] = row
    frame = pd.DataFrame.from_dict(rows, orient="index")
    number = kmeans_1d(frame["target_score"].to_numpy(), len(CLUSTERS))
    names = CLUSTERS if number.max() == 2 else (CLUSTERS[0], CLUSTERS[2])  # two targets: far and near
    frame["cluster"] = [names[place] for place in number]
    frame["null_q"] = benjamini_hochberg(frame["null_p"]) if permutations else np.nan
    passed = frame["null_q"] <= alpha if permutations else True
    frame["active"] = ((frame["cluster"] != CLUSTERS[2]) & passed).astype(int)
    return frame


def well_profiles(medians: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Normalise fields with all samples of their plate and take each well's median."""
    meta = [name for name in medians.columns if name.startswith("Metadata_")]
    keys = ["Metadata_Plate", "Metadata_Well", "Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
    plates = []
    for _, fields in medians.groupby("Metadata_Plate", sort=True):
        scaled = normalize(
            fields.reset_index(drop=True),
            features=list(features),
            meta_features=meta,
            samples="all",
            method="standardize",
        )
        plates.append(aggregate(scaled, strata=keys, features=list(features), operation="median"))
    return pd.concat(plates, ignore_index=True)


def usable(wells: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out wells without cells, then features that some remaining well lacks; say how many.

    Returns
    -------
    wells : the rows that hold cells
    features : the columns that are finite in all of them

    Raises
    ------
    ValueError
        where a plate has no DMSO well with cells, or no feature is left
    """
    features = [name for name in wells.columns if not name.startswith("Metadata_")]
    values = wells[features].to_numpy(dtype=np.float64)
    has_cells = np.isfinite(values).any(axis=1)
    finite = np.isfinite(values[has_cells]).all(axis=0)
    kept = [name for name, whole in zip(features, finite) if whole]
    lost = [name for name, whole in zip(features, finite) if not whole]
    log.info("wells: %d, without cells and left out: %d", len(wells), int((~has_cells).sum()))
    log.info("features: %d, missing in some well and left out: %d%s", len(features), len(lost),
             f" ({', '.join(lost[:5])}{', ...' if len(lost) > 5 else ''})" if lost else "")  # fmt: skip
    if not kept:
        raise ValueError(
            f"active: none of {len(features)} selected features is measured in all of {int(has_cells.sum())} wells; "
            "look at the cell counts in <results>/medians/real, then at cellprofiler.pipeline"
        )
    wells = wells[has_cells].reset_index(drop=True)
    for plate, rows in wells.groupby("Metadata_Plate"):
        if not (rows["Metadata_control_type"] == "negcon").any():
            raise ValueError(
                f"active: plate {plate} has no DMSO well with cells (control_type negcon); expected at least one. "
                "Actives are judged against DMSO: check the platemap, or set active.plates to plates that have DMSO"
            )
    return wells, kept


def find_active(medians: pd.DataFrame, kept: Sequence[str], *, components: int, permutations: int, alpha: float):
    """Find the active perturbations of real plates.

    Parameters
    ----------
    medians : one row a field, annotations and the median of every feature (docs/contracts.md)
    kept : the selected features
    components : principal components at most
    permutations : shams a target is compared with; 0 leaves the null out
    alpha : false discovery rate over targets

    Returns
    -------
    frame with one row a perturbation, DMSO's among them (cluster "control", its score leaves each well itself out)
    """
    wells, features = usable(well_profiles(medians, kept))
    known = wells[wells["Metadata_perturbation"] != ""]
    log.info("wells of no known perturbation, left out: %d", len(wells) - len(known))
    wells = known.reset_index(drop=True)
    points = principal_components(wells[features].to_numpy(dtype=np.float64), components)
    log.info("%d wells, %d features, %d principal components", len(wells), len(features), points.shape[1])
    table = perturbation_table(medians, wells, points)
    tested = table[(table["Metadata_control_type"] != "negcon") & (table["wells"] > 0)]
    units = units_of(tested)
    table = table.assign(target_score=np.nan, shift=np.nan, null_shift=np.nan, null_p=np.nan, null_q=np.nan,
                         cluster="no cells", active=0)  # fmt: skip
    table.loc[table["Metadata_control_type"] == "negcon", "cluster"] = "control"
    if units:
        report_resolution(wells, units, permutations=permutations, alpha=alpha)
        scored = score_units(points, wells, units, permutations=permutations, alpha=alpha)
        of_perturbation = {name: [unit for unit, members in units.items() if name in members]
                           for name in tested["Metadata_perturbation"]}  # fmt: skip
        for place, name in tested["Metadata_perturbation"].items():
            rows = scored.loc[of_perturbation[name]].sort_values(["active", "null_p"], ascending=[False, True])
            table.loc[place, list(scored.columns)] = rows.iloc[0][list(scored.columns)].to_numpy()
    table["active"] = table["active"].astype(int)
    log.info("targets tested: %d, active perturbations: %d of %d", len(units), table["active"].sum(), len(tested))
    return table


def report_resolution(wells: pd.DataFrame, units: Mapping, *, permutations: int, alpha: float) -> None:
    """Say so where there are too few DMSO wells for any target to pass the null."""
    if not permutations:
        log.info("no null (active.permutations is 0): clusters alone decide, and three are found in noise too")
        return
    dmso = wells[wells["Metadata_control_type"] == "negcon"].groupby("Metadata_Plate").size()
    ways = []
    for members in units.values():
        counts = wells[wells["Metadata_perturbation"].isin(members)].groupby("Metadata_Plate").size()
        ways.append(np.prod([float(comb(int(n + dmso[plate]), int(n))) for plate, n in counts.items()]))
    least = max(1 / max(ways), 1 / (1 + permutations))
    log.info("smallest p-value that the null can give: %.2g", least)
    if least > alpha:
        log.info("too few DMSO wells: no target can pass at alpha %.3g; add DMSO wells, replicate plates or permutations",
                 alpha)  # fmt: skip


def perturbation_table(medians: pd.DataFrame, wells: pd.DataFrame, points: np.ndarray) -> pd.DataFrame:
    """Describe each perturbation: its wells, cells, and the similarity of its wells to DMSO wells.

    Returns
    -------
    frame sorted by perturbation: annotations, wells, wells_without_cells, cells (mean of a field), score (mean cosine
    similarity to DMSO wells), similarity_05 ... similarity_95 (quantiles over pairs of a well and a DMSO well)
    """
    keys = ["Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
    medians = medians[medians["Metadata_perturbation"] != ""]
    dmso = np.flatnonzero(wells["Metadata_control_type"] == "negcon")
    similarity = cosine_similarity(points, points[dmso])
    similarity[dmso, np.arange(len(dmso))] = np.nan  # a well against itself says nothing
    rows = []
    for names, fields in medians.groupby(keys, sort=True):
        same = (wells[keys] == list(names)).all(axis=1).to_numpy()
        pairs = similarity[same].ravel()
        pairs = pairs[np.isfinite(pairs)]
        placed = len(fields.drop_duplicates(["Metadata_Plate", "Metadata_Well"]))
        row = dict(zip(keys, names), wells=int(same.sum()), wells_without_cells=placed - int(same.sum()),
                   cells=fields["Metadata_cells"].mean(), score=pairs.mean() if len(pairs) else np.nan)  # fmt: skip
        spread = np.percentile(pairs, QUANTILES) if len(pairs) else np.full(len(QUANTILES), np.nan)
        rows.append({**row, **{f"similarity_{q:02d}": value for q, value in zip(QUANTILES, spread)}})
    frame = pd.DataFrame(rows)
    twice = frame["Metadata_perturbation"].duplicated()
    if twice.any():
        name = frame.loc[twice, "Metadata_perturbation"].iloc[0]
        raise ValueError(
            f"active: perturbation {name} has two targets or control types on different plates; mend the metadata"
        )
    return frame


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Write floats with six significant digits (`nan` where there is none), so that the last bit is no difference."""
    text = frame.copy()
    for name in frame.select_dtypes("float"):
        text[name] = [f"{value:.6g}" for value in frame[name]]
    return text


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: components, permutations, alpha")
    parser.add_argument("--medians", type=Path, nargs="+", required=True, help="field medians of the real plates")
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--active", type=Path, required=True, help="the table to write")
    args = parser.parse_args(argv)
    selection = store.read_table(args.selection, ["feature", "kept"])
    kept = selection.loc[selection["kept"].astype(int) == 1, "feature"].tolist()
    medians = pd.concat([store.read_table(path) for path in args.medians], ignore_index=True)
    chosen = {key: args.settings[key] for key in ("components", "permutations", "alpha")}
    order = [
        "Metadata_perturbation",
        "Metadata_target",
        "Metadata_control_type",
        "score",
        "null_p",
        "cluster",
        "active",
    ]
    found = find_active(medians, kept, **chosen)
    store.write_table(as_text(found[order + [name for name in found.columns if name not in order]]), args.active)


if __name__ == "__main__":
    run(main)
