"""Compare how many cells CellProfiler finds in predicted and in real wells: pure functions.

A count needs no label and no feature: a model that invents or loses cells is found out by it, and a toxic compound
must be seen in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.profiles.similarity import feature_correlations
from brightpaint.scores.pairing import covered, join_rows
from brightpaint.study.spaces import MAIN

SHUFFLES = 1000


def well_counts(real: pd.DataFrame, predicted: pd.DataFrame, where: str) -> pd.DataFrame:
    """Join fields by key: the field's keys and annotations, `real` and `predicted` cells.

    Parameters
    ----------
    real, predicted : field medians of one plate; the prediction may lack fields
    where : the arm, for the message of an error
    """
    joined = join_rows(real, predicted, where)
    found = predicted["Metadata_cells"].to_numpy()[joined["predicted_row"]]
    return joined.assign(real=joined["Metadata_cells"], predicted=found)


def replicate_difference(real: pd.DataFrame, others: Sequence[pd.DataFrame]) -> float:
    """Return by how much other real plates differ in cells a field, whichever way: the mean, as a share of this one's.

    Parameters
    ----------
    real : fields of one plate with `Metadata_cells` and `Metadata_perturbation`
    others : the same of other plates; of each its fields of the same perturbations

    Returns
    -------
    at least 0; NaN where no other plate has such fields, or this one no cells
    """
    own, names = real["Metadata_cells"].mean(), set(real["Metadata_perturbation"])
    alike = [other[other["Metadata_perturbation"].isin(names)]["Metadata_cells"] for other in others]
    means = np.array([cells.mean() for cells in alike if len(cells)])
    return float(np.mean(np.abs(means - own)) / own) if own > 0 and len(means) else np.nan


def count_rows(fields: pd.DataFrame, others: Sequence[pd.DataFrame], seed: str) -> Iterator[dict]:
    """Score the counts of one plate's wells.

    Parameters
    ----------
    fields : from `well_counts`
    others : field medians of other real plates
    seed : name from which the resampling is seeded

    Yields
    ------
    rows of the metrics table: `cell_count`, cells too many (above 0) or too few as a share of the real ones, with what
    other real plates differ by, and `cell_count_r`, the correlation over wells, with what shuffled wells give; intervals
    over wells
    """
    wells = fields.groupby("Metadata_Well")[["real", "predicted"]].sum()
    real, predicted = wells["real"].to_numpy(np.float64), wells["predicted"].to_numpy(np.float64)
    n = len(wells)
    row = {"metric": "cell_count", "value": np.nan, "n": n, "null": replicate_difference(fields, others)}
    if real.sum() > 0:
        low, high = resampling.bootstrap_ratio(
            predicted - real, real, wells.index, resampling.seeded(seed, "cell_count")
        )
        row.update(value=(predicted.sum() - real.sum()) / real.sum(), low=low, high=high)
    yield row
    row = {"metric": "cell_count_r", "value": np.nan, "n": n}
    if n >= 3 and np.ptp(real) > 0:
        pair = real[:, None], predicted[:, None]
        weights = resampling.resample_counts(n, resampling.seeded(seed, "cell_count_r"))
        low, high = resampling.interval(feature_correlations(*pair, weights)[:, 0])
        rng = resampling.seeded(seed, "cell_count_r", "shuffle")
        null = [feature_correlations(pair[0], rng.permutation(pair[1]))[0, 0] for _ in range(SHUFFLES)]
        row.update(value=feature_correlations(*pair)[0, 0], low=low, high=high, null=np.mean(null),
                   null_bound=np.quantile(null, 0.95))  # fmt: skip
    yield row


def plate_rows(
    plate: str,
    arm: str,
    real: pd.DataFrame,
    predicted: pd.DataFrame,
    others: Sequence[pd.DataFrame],
    active: set | None,
) -> Iterator[dict]:
    """Score an arm's counts of one plate for the subsets that it covers: rows of the metrics table without `arm`.

    `others` are the field medians of the other real plates, for the null.
    """
    joined = well_counts(real, predicted, f"{arm}, medians")
    for subset, chosen in covered(real, joined, active, f"{arm}, medians").items():
        if chosen.any():
            for row in count_rows(joined[chosen], others, f"{plate}/{subset}"):
                yield {**row, "plate": plate, "subset": subset, "space": MAIN.name, "channel": "all"}
