"""Score how far an arm's features lie from the real ones as a distribution: rows of the metrics table.

The distances are those of `distances`, of raw field medians over the selected features: a model that paints every well
alike has the right median and the wrong distribution, which CPcor and matching do not see. Beside each stands what
another real plate gives (the mean over the other measured plates): other cells of another batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.features.median import read_medians
from brightpaint.scores.pairing import covered, join_rows
from brightpaint.scores.profiles import discrepancy
from brightpaint.study.spaces import MAIN, Space

log = logging.getLogger(__name__)


def read(path: Path, space: Space) -> pd.DataFrame:
    """Read one plate's field medians."""
    return read_medians(path)


def features_of_all(frames: Sequence[pd.DataFrame], features: Sequence[str]) -> list[str]:
    """Return the features that every field with cells has in every frame, so that all are measured with one kernel."""
    cells = [frame[frame["Metadata_cells"] > 0] for frame in frames]
    return [name for name in features if all(np.isfinite(frame[name]).all() for frame in cells)]


def paired(
    real: pd.DataFrame, painted: pd.DataFrame, features: Sequence[str], weights: np.ndarray
) -> dict[str, tuple[float, np.ndarray]]:
    """Measure painted fields against the real fields they were painted from.

    Parameters
    ----------
    real, painted : field medians, row i of both the same field
    weights : (B, n) resamples of fields

    Returns
    -------
    {metric: (value, its (B,) resamples)}; mmd2 is NaN where fewer than three fields have cells in both
    """
    scale = discrepancy.scale_of(real, features)
    truth, image = (discrepancy.scaled(frame, scale) for frame in (real, painted))
    found = {"feature_distance": (discrepancy.feature_distance(truth, image),
                                  discrepancy.resampled_distance(truth, image, weights))}  # fmt: skip
    whole = discrepancy.complete(truth, image)
    both = np.isfinite(whole[0]).all(axis=1) & np.isfinite(whole[1]).all(axis=1)
    found["mmd2"] = (np.nan, np.full(len(weights), np.nan))
    if both.sum() > 2 and whole[0].shape[1]:
        sigma = discrepancy.bandwidth(whole[0][np.isfinite(whole[0]).all(axis=1)])
        kernels = discrepancy.kernels(*whole, sigma, paired=True)
        found["mmd2"] = (discrepancy.mmd2(kernels)[0], discrepancy.mmd2(kernels, weights))
    log.info("%d features, %d without spread left out; %d fields", len(scale.features), len(scale.constant), len(real))
    return found


def replicate(real: pd.DataFrame, other: pd.DataFrame, features: Sequence[str]) -> dict[str, float]:
    """Measure another real plate's fields against this one's: {metric: value}."""
    scale = discrepancy.scale_of(real, features)
    truth, image = (discrepancy.scaled(frame, scale) for frame in (real, other))
    found = {"feature_distance": discrepancy.feature_distance(truth, image), "mmd2": np.nan}
    whole = [values[np.isfinite(values).all(axis=1)] for values in discrepancy.complete(truth, image)]
    if min(map(len, whole)) > 2 and whole[0].shape[1]:
        kernels = discrepancy.kernels(*whole, discrepancy.bandwidth(whole[0]), paired=False)
        found["mmd2"] = discrepancy.mmd2(kernels)[0]
    return found


def plate_rows(
    plate: str,
    arm: str,
    real: pd.DataFrame,
    painted: pd.DataFrame,
    others: Sequence[pd.DataFrame],
    features: Sequence[str],
    active: set | None,
    space: Space = MAIN,
) -> Iterator[dict]:
    """Score an arm's features on one plate for the subsets that it covers: rows of the metrics table without `arm`.

    Parameters
    ----------
    real, painted : field medians of the plate; the prediction may lack fields
    others : real field medians of the other plates, for the null
    features : the selected ones
    """
    joined = join_rows(real, painted, f"{arm}, medians")
    for subset, chosen in covered(real, joined, active, f"{arm}, medians").items():
        part = joined[chosen]
        truth, image = real.iloc[part["real_row"]], painted.iloc[part["predicted_row"]]
        if not (truth["Metadata_cells"] > 0).any():
            continue
        weights = discrepancy.field_weights(part["Metadata_Well"], resampling.seeded(plate, subset, "distances"))
        found = paired(truth, image, features, weights)
        names = set(truth["Metadata_perturbation"])
        alike = [other[other["Metadata_perturbation"].isin(names)] for other in others]
        nulls = [replicate(truth, other, features) for other in alike if (other["Metadata_cells"] > 0).any()]
        for row in discrepancy.rows(found, nulls, len(part)):
            yield {**row, "plate": plate, "subset": subset, "space": space.name, "channel": "all"}
