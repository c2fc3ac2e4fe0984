"""Score how far the embeddings of painted fields lie from those of the real ones as a distribution: rows of the metrics table.

The counterpart of `distance_scores` in the space of an embedder, which segments no cell: every field counts.

embedding_distance : mean over the embedding's numbers of |median of the painted fields - median of the real ones| / MAD of
    the real ones; a number without spread among the real fields is left out
embedding_mmd2 : unbiased MMD^2 (Gretton et al. 2012, eq. 4) with a Gaussian kernel of the embeddings as they are. Their length
    is 1, so that |x - y|^2 is twice the cosine distance by which profiles are matched; sigma is the median distance of real fields
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.features.embedders.vectors import read_vectors, vector_names
from brightpaint.scores.pairing import covered, join_rows
from brightpaint.scores.profiles import discrepancy
from brightpaint.study.spaces import Space

ROUNDING = 1e-6  # float32 keeps seven digits: what spreads less than this share of its size does not spread
log = logging.getLogger(__name__)


def read(path: Path, space: Space) -> pd.DataFrame:
    """Read one plate's embeddings."""
    return read_vectors(path, space.prefixes, space.rule)


def scaled(real: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Put embeddings on the real fields' scale, their median and MAD: (n, F) each -> (n, G), numbers without spread left out."""
    median = np.median(real, axis=0)
    mad = np.median(np.abs(real - median), axis=0)
    spread = mad > ROUNDING * np.abs(real).max(axis=0)
    if not spread.all():
        log.info("%d of %d numbers do not spread among the real fields and are left out", (~spread).sum(), len(spread))
    return [(values[:, spread] - median[spread]) / mad[spread] for values in (real, *others)]


def weighted_medians(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the median of (n,) values of which value i counts counts[i, b] times: (n, B) whole numbers -> (B,)."""
    order = np.argsort(values, kind="stable")
    counted = np.cumsum(counts[order], axis=0, dtype=counts.dtype)
    total = counted[-1]
    below, above = (np.count_nonzero(counted <= place, axis=0) for place in ((total - 1) // 2, total // 2))
    return (values[order[below]] + values[order[above]]) / 2


def resampled_distance(real: np.ndarray, painted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the distance of each of B resamples of the same fields: two (n, G) from `scaled`, (B, n) -> (B,).

    Each number is sorted once for all resamples, which are columns: sorting every resample takes several times as long.
    """
    if not real.shape[1]:
        return np.full(len(weights), np.nan)
    counts, total = np.ascontiguousarray(weights.T, dtype=np.int32), np.zeros(len(weights))
    for left, right in zip(real.T, painted.T):
        total += np.abs(weighted_medians(left, counts) - weighted_medians(right, counts))
    return total / real.shape[1]


def squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return |x - y|^2 by one product of matrices, exact to rounding for rows of length 1: (n, F), (m, F) -> (n, m)."""
    lengths = [np.sum(values**2, axis=1) for values in (left, right)]
    return np.maximum(lengths[0][:, None] + lengths[1] - 2 * left @ right.T, 0)


def kernels(real: np.ndarray, painted: np.ndarray, *, paired: bool) -> discrepancy.Kernels:
    """Take every kernel that MMD^2 needs, sigma from the real fields: (n, F), (m, F).

    Raises
    ------
    ValueError
        where most real fields have one and the same embedding
    """
    within = squared_distances(real, real)
    sigma2 = float(np.median(within[np.triu_indices(len(real), 1)]))
    if not sigma2 > ROUNDING**2:
        raise ValueError(f"{len(real)} real fields have the same embedding (median distance 0); look at the plate's "
                         "montage and its quality flags")  # fmt: skip
    own, cross = squared_distances(painted, painted), squared_distances(real, painted)
    return discrepancy.Kernels(*(np.exp(-each / (2 * sigma2)) for each in (within, own, cross)), paired)


def paired(real: np.ndarray, painted: np.ndarray, weights: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """Measure painted fields against the real fields they were painted from.

    Parameters
    ----------
    real, painted : (n, F) float64, row i of both the same field
    weights : (B, n) resamples of fields

    Returns
    -------
    {metric: (value, its (B,) resamples)}; embedding_mmd2 is NaN for fewer than three fields
    """
    sides = scaled(real, painted)
    found = {"embedding_distance": (discrepancy.feature_distance(*sides), resampled_distance(*sides, weights)),
             "embedding_mmd2": (np.nan, np.full(len(weights), np.nan))}  # fmt: skip
    if len(real) > 2:
        taken = kernels(real, painted, paired=True)
        found["embedding_mmd2"] = (discrepancy.mmd2(taken)[0], discrepancy.mmd2(taken, weights))
    return found


def replicate(real: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Measure another real plate's fields against this one's: (n, F), (m, F) -> {metric: value}."""
    found = {"embedding_distance": discrepancy.feature_distance(*scaled(real, other)), "embedding_mmd2": np.nan}
    if min(len(real), len(other)) > 2:
        found["embedding_mmd2"] = discrepancy.mmd2(kernels(real, other, paired=False))[0]
    return found


def check_numbers(real: pd.DataFrame, frame: pd.DataFrame, space: Space, where: str) -> None:
    """Refuse embeddings that are not of the same numbers as the real ones."""
    wanted, found = (vector_names(side.columns, space.prefixes) for side in (real, frame))
    if wanted != found:
        raise ValueError(f"score: {where}: {len(found)} numbers a field, the real ones have {len(wanted)}; these are "
                         f"embeddings of other channels or of another network: delete them and rerun {space.rule}")  # fmt: skip


def plate_rows(
    plate: str,
    arm: str,
    real: pd.DataFrame,
    painted: pd.DataFrame,
    others: Sequence[pd.DataFrame],
    kept: Sequence[str] | None,
    active: set | None,
    space: Space,
) -> Iterator[dict]:
    """Score an arm's embeddings on one plate for the subsets that it covers: rows of the metrics table without `arm`.

    Parameters
    ----------
    real, painted : embeddings of the plate's fields, joined by key; the prediction may lack fields
    others : real embeddings of the other plates; their fields of the same perturbations are what the null is taken from
    kept : the selected numbers; None for all
    """
    for where, frame in ((f"arm {arm}", painted), *(("another real plate", other) for other in others)):
        check_numbers(real, frame, space, f"plate {plate}, {where}")
    joined = join_rows(real, painted, f"{arm}, embeddings")
    names = list(kept or vector_names(real.columns, space.prefixes))
    for subset, chosen in covered(real, joined, active, f"{arm}, embeddings").items():
        part = joined[chosen]
        if not len(part):
            continue
        truth = real.iloc[part["real_row"]][names].to_numpy(np.float64)
        image = painted.iloc[part["predicted_row"]][names].to_numpy(np.float64)
        rng = resampling.seeded(plate, subset, "embedding distances")
        weights = discrepancy.field_weights(part["Metadata_Well"], rng)
        shown = set(part["Metadata_perturbation"])
        alike = [other.loc[other["Metadata_perturbation"].isin(shown), names].to_numpy(np.float64) for other in others]
        try:
            found = paired(truth, image, weights)
            nulls = [replicate(truth, other) for other in alike if len(other)]
        except ValueError as error:
            raise ValueError(f"score: plate {plate}, {subset}: {error}") from None
        log.info("%s, %s, %s: %d fields, %d other real plates", arm, plate, subset, len(part), len(nulls))
        for row in discrepancy.rows(found, nulls, len(part)):
            yield {**row, "plate": plate, "subset": subset, "space": space.name, "channel": "all"}
