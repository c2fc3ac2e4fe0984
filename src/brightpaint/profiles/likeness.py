"""How like DMSO the wells of each perturbation are: pure functions of wells in principal components."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint.profiles.clusters import mean_profiles
from brightpaint.profiles.similarity import cosine_similarity

QUANTILES = (5, 25, 50, 75, 95)


def perturbation_table(medians: pd.DataFrame, wells: pd.DataFrame, points: np.ndarray) -> pd.DataFrame:
    """Describe each perturbation: its wells, cells, and how like DMSO it is.

    Returns
    -------
    frame sorted by perturbation: annotations, wells, wells_without_cells, cells (mean of a field), score (cosine similarity
    of its mean profile to DMSO's; for DMSO, the mean over its wells against the mean of the others), score_paper and
    similarity_05 ... similarity_95 (mean and quantiles over pairs of one of its wells and a DMSO well)
    """
    keys = ["Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
    medians = medians[medians["Metadata_perturbation"] != ""]
    dmso = (wells["Metadata_control_type"] == "negcon").to_numpy()
    similarity = cosine_similarity(points, points[dmso])
    similarity[dmso] = np.where(np.eye(dmso.sum(), dtype=bool), np.nan, similarity[dmso])  # itself says nothing
    rows = []
    for names, fields in medians.groupby(keys, sort=True):
        own = (wells[keys] == list(names)).all(axis=1).to_numpy()
        placed = len(fields.drop_duplicates(["Metadata_Plate", "Metadata_Well"]))
        row = dict(zip(keys, names), wells=int(own.sum()), wells_without_cells=placed - int(own.sum()),
                   cells=fields["Metadata_cells"].mean(), score=like_dmso(points, own, dmso))  # fmt: skip
        pairs = similarity[own][np.isfinite(similarity[own])]
        spread = np.percentile(pairs, QUANTILES) if len(pairs) else np.full(len(QUANTILES), np.nan)
        row["score_paper"] = pairs.mean() if len(pairs) else np.nan
        rows.append({**row, **{f"similarity_{q:02d}": value for q, value in zip(QUANTILES, spread)}})
    frame = pd.DataFrame(rows)
    twice = frame["Metadata_perturbation"].duplicated()
    if twice.any():
        raise ValueError(
            f"active: perturbation {frame.loc[twice, 'Metadata_perturbation'].iloc[0]} has several targets or control "
            "types, expected the same annotations wherever it occurs; mend the compound metadata"
        )
    return frame


def like_dmso(points: np.ndarray, own: np.ndarray, dmso: np.ndarray) -> float:
    """Cosine similarity of the mean of `own` wells to DMSO's mean; DMSO wells are compared with the other DMSO wells."""
    if not own.any() or ((own & dmso).any() and dmso.sum() < 2):
        return float("nan")
    if not (own & dmso).any():
        return float(cosine_similarity(mean_profiles(points, own[None]), mean_profiles(points, dmso[None]))[0, 0])
    others = (points[dmso].sum(axis=0) - points[own]) / (dmso.sum() - 1)
    return float(np.mean([cosine_similarity(*pair)[0, 0] for pair in zip(points[own][:, None], others[:, None])]))
