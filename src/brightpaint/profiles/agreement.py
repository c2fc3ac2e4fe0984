"""Two other ways to ask whether a perturbation does anything, and how far they agree with the paper's: pure functions.

- Grit: how much more a perturbation's replicates correlate with one another than with DMSO, in standard deviations of
  the correlations with DMSO. As defined by cytominer-eval 0.1 (Broad Institute, BSD-3; operations/grit.py), which
  pycytominer does not contain: for each well, Pearson's correlations with its replicates are z-scored by the mean and
  population s.d. of its correlations with the DMSO wells; their mean is the well's grit.
- mAP activity: how early a well's replicates come among DMSO wells when ranked by cosine similarity (Kalinin et al.
  2025), with its p-value, by copairs.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from copairs import map as copairs_map
from sklearn.metrics import cohen_kappa_score

from brightpaint.base.resampling import seeded
from brightpaint.base.seeds import seed_of

SHAMS = 200
BATCH = 50  # perturbations that copairs pairs with DMSO at once: all pairs of ten plates would need gigabytes
CALLS = {
    "active": "brightpaint (clusters and null)",
    "clusters": "the paper's clusters alone",
    "grit": "Grit above DMSO's own",
    "mAP": "mAP activity",
}


def correlations(profiles: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pearson's correlation of rows: (n, F) and (m, F) -> (n, m); 0 for a constant row."""
    sides = [side - side.mean(axis=1, keepdims=True) for side in (profiles, others)]
    norms = [np.linalg.norm(side, axis=1, keepdims=True) for side in sides]
    scaled = [side / np.where(norm > 0, norm, 1) for side, norm in zip(sides, norms)]
    return scaled[0] @ scaled[1].T


def grit_of(profiles: np.ndarray, own: np.ndarray, controls: np.ndarray) -> float:
    """Grit of one group of replicates.

    Parameters
    ----------
    profiles : (n, F)
    own, controls : row numbers of the group's wells and of DMSO wells, without common rows

    Returns
    -------
    mean over the group's wells; NaN with fewer than two wells or two DMSO wells, or where correlations with DMSO do not vary
    """
    if len(own) < 2 or len(controls) < 2:
        return float("nan")
    with_controls = correlations(profiles[own], profiles[controls])
    spread = with_controls.std(axis=1, keepdims=True)
    if not (spread > 0).all():
        return float("nan")
    z = (correlations(profiles[own], profiles[own]) - with_controls.mean(axis=1, keepdims=True)) / spread
    return float(z[~np.eye(len(own), dtype=bool)].mean())


def grit_table(profiles: np.ndarray, wells: pd.DataFrame, *, alpha: float, shams: int = SHAMS) -> pd.DataFrame:
    """Compute the grit of every treated perturbation, beside what DMSO reaches by chance.

    Parameters
    ----------
    profiles : (n, F) normalised features
    wells : their n rows: Metadata_Plate, Metadata_perturbation, Metadata_control_type
    alpha : share of sham perturbations that `grit_null` lets pass
    shams : groups of DMSO wells, as many a plate as a perturbation has, whose grit is taken against the other DMSO wells

    Returns
    -------
    frame indexed by perturbation: grit, grit_null (the same number for all; NaN where DMSO wells are too few)
    """
    control = (wells["Metadata_control_type"] == "negcon").to_numpy()
    dmso = np.flatnonzero(control)
    groups = pd.Series(np.arange(len(wells))[~control]).groupby(wells["Metadata_perturbation"].to_numpy()[~control])
    grit = {name: grit_of(profiles, rows.to_numpy(), dmso) for name, rows in groups}
    sizes = wells[~control].groupby(["Metadata_perturbation", "Metadata_Plate"]).size()
    size = max(int(sizes.median()), 1) if len(sizes) else 1
    plates = [
        np.flatnonzero(control & (wells["Metadata_Plate"] == plate).to_numpy())
        for plate in sorted(set(wells["Metadata_Plate"]))
    ]
    rng, drawn = seeded("active", "grit"), []
    for _ in range(shams if min(map(len, plates), default=0) > size else 0):
        own = np.sort(np.concatenate([rng.choice(rows, size, replace=False) for rows in plates]))
        drawn.append(grit_of(profiles, own, np.setdiff1d(dmso, own)))
    drawn = np.array(drawn)[np.isfinite(drawn)] if drawn else np.zeros(0)
    bound = float(np.quantile(drawn, 1 - alpha)) if len(drawn) else float("nan")
    return pd.DataFrame({"grit": grit, "grit_null": bound}).rename_axis("Metadata_perturbation").astype("float64")


def well_precisions(
    points: np.ndarray, perturbation: np.ndarray, control: np.ndarray, asked: Sequence[str]
) -> pd.DataFrame:
    """Return copairs' average precision of every well of the perturbations asked for, against all DMSO wells.

    Parameters
    ----------
    points : (n, D) wells; perturbation : (n,) their names; control : (n,) bool, the DMSO wells
    """
    rows = np.flatnonzero(control | np.isin(perturbation, asked))
    # Each DMSO well is a reference of its own: no pair of DMSO wells is positive, no two compounds are negatives.
    meta = pd.DataFrame(
        {"Metadata_perturbation": perturbation[rows], "Metadata_reference": np.where(control[rows], rows, -1)}
    )
    keys = ["Metadata_perturbation", "Metadata_reference"]
    found = copairs_map.average_precision(
        meta, points[rows], pos_sameby=keys, pos_diffby=[], neg_sameby=[], neg_diffby=keys, progress_bar=False
    )
    return found[found["Metadata_reference"] == -1]


def activity_table(points: np.ndarray, wells: pd.DataFrame, *, permutations: int, alpha: float) -> pd.DataFrame:
    """Compute each perturbation's mAP activity by copairs: its replicates against all DMSO wells, by cosine.

    Parameters
    ----------
    points : (n, D) wells
    wells : their n rows: Metadata_perturbation, Metadata_control_type
    permutations : size of copairs' null; 0 leaves p and q out
    alpha : threshold handed to copairs

    Returns
    -------
    frame indexed by perturbation: map_activity, map_activity_p, map_activity_q (Benjamini-Hochberg); a perturbation with
    one well has none
    """
    names = ["map_activity", "map_activity_p", "map_activity_q"]
    control = (wells["Metadata_control_type"] == "negcon").to_numpy()
    perturbation = wells["Metadata_perturbation"].to_numpy()
    counts = pd.Series(perturbation[~control]).value_counts()
    asked = sorted(counts.index[counts > 1])
    nothing = pd.DataFrame(columns=names, index=pd.Index([], name="Metadata_perturbation"), dtype="float64")
    if not asked or control.sum() < 1:
        return nothing
    batches = [asked[start : start + BATCH] for start in range(0, len(asked), BATCH)]
    parts = [well_precisions(points, perturbation, control, batch) for batch in batches]
    precisions = pd.concat(parts, ignore_index=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        table = copairs_map.mean_average_precision(
            precisions, ["Metadata_perturbation"], null_size=max(permutations, 1), threshold=alpha,
            seed=seed_of("active", "mAP"), progress_bar=False, max_workers=1,
        )  # fmt: skip
    table = table.set_index("Metadata_perturbation")[["mean_average_precision", "p_value", "corrected_p_value"]]
    table = table.set_axis(names, axis=1).astype("float64")
    return table if permutations else table.assign(map_activity_p=np.nan, map_activity_q=np.nan)


def calls_of(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Turn the table of perturbations into yes or no by each way; a perturbation that some way cannot judge is left out.

    Returns
    -------
    bool frame, one column for each of CALLS that says anything at all, one row a treated perturbation
    """
    treated = table[(table["Metadata_control_type"] != "negcon") & (table["wells"] > 0)]
    calls = {
        "active": treated["found"] == 1,
        "clusters": treated["cluster"].isin(["active", "partially active"]),
        "grit": (treated["grit"] > treated["grit_null"]).where(treated["grit"].notna() & treated["grit_null"].notna()),
        "mAP": (treated["map_activity_q"] <= alpha).where(treated["map_activity_q"].notna()),
    }
    frame = pd.DataFrame(calls, index=treated.index)
    frame = frame.loc[:, frame.notna().any()].dropna()
    return frame.astype(bool).set_axis(treated.loc[frame.index, "Metadata_perturbation"], axis=0)


def kappa(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Cohen's kappa of two lists of yes and no (Cohen 1960); NaN where both say the same of everything."""
    if len({*map(bool, first), *map(bool, second)}) < 2:  # scikit-learn warns of it, and of no answers at all
        return float("nan")
    return float(cohen_kappa_score(first, second))


def agreement(calls: pd.DataFrame) -> pd.DataFrame:
    """Compare every two ways: first, second, n, both, first_only, second_only, neither, kappa (Cohen's)."""
    rows = []
    for one, two in combinations(calls.columns, 2):
        left, right = calls[one].to_numpy(), calls[two].to_numpy()
        rows.append({"first": one, "second": two, "n": len(calls), "both": int((left & right).sum()),
                     "first_only": int((left & ~right).sum()), "second_only": int((~left & right).sum()),
                     "neither": int((~left & ~right).sum()), "kappa": kappa(left, right)})  # fmt: skip
    columns = ["first", "second", "n", "both", "first_only", "second_only", "neither", "kappa"]
    return pd.DataFrame(rows, columns=columns)
