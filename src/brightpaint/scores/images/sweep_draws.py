"""What several samples of each field say of a sweep's points: whether what they paint is right as a distribution. Pure functions.

Points are ranked by the energy score of their fields' cells (less is better) and by spread over error (nearer 1 is better), beside
PCC and SSIM: a point that paints the mean of what could be there correlates best, and is too sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.scores.calibration import drawn
from brightpaint.scores.calibration.bands import BANDS, spread_over_error
from brightpaint.scores.calibration.calibration_rows import by_field

MEANS = ("pcc_between", "crps")
CELLS = ("energy", "variogram")
# By which points are ranked, and what of the value is the less the better.
RANKED = {
    "pcc": lambda value: -value,
    "ssim": lambda value: -value,
    "energy": lambda value: value,
    "spread_error": lambda value: abs(np.log(value)) if value > 0 else np.inf,
}


def field_values(table: pd.DataFrame, channels: Sequence[str]) -> dict[str, np.ndarray]:
    """Return what samples show of each field, channels joined: MEANS (n,), and of each band the variance of the samples and the
    squared error of their mean, (n, 2); `table` is `drawn.image_table`'s."""
    sides = [f"{side}2_{band}" for band in BANDS for side in ("spread", "error")]
    frame = by_field(table, [*MEANS, *sides], channels)
    found = {name: frame[name].to_numpy(np.float64) for name in MEANS}
    pairs = {band: frame[[f"spread2_{band}", f"error2_{band}"]].to_numpy(np.float64) for band in BANDS}
    return found | {f"spread_error_{band}": pair for band, pair in pairs.items() if np.isfinite(pair).any()}


def cell_values(
    real: pd.DataFrame, medians: Path, fields: pd.DataFrame, features: Sequence[str], training: Sequence[pd.DataFrame],
    settings: dict,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the energy and the variogram score of each field's samples: {name: (n,)}, see `drawn.cell_table`."""
    known, painted = pd.concat(training, ignore_index=True), store.read_fields(medians)
    sizes = settings["samples"], features, known, settings["components"]
    table = drawn.cell_table(real, painted, fields, *sizes, str(medians))
    return {name: table[name].to_numpy(np.float64) for name in CELLS}


def spreads(values: dict[str, np.ndarray], samples: int, weights: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """Return spread over error of each band, and of all together: {metric: (value, its (B,) resamples)}.

    Parameters
    ----------
    values : of `field_values`, those of (n, 2) among them
    weights : (B, n) resamples of fields
    """
    bands = {name: pair for name, pair in values.items() if pair.ndim == 2}
    if not bands:
        return {}
    bands = {"spread_error": np.nansum(list(bands.values()), axis=0), **bands}
    found = {}
    for name, pair in bands.items():
        known = np.isfinite(pair).all(axis=1)
        whole, resampled = pair[known].sum(axis=0), weights[:, known] @ pair[known]
        value = float(spread_over_error(*whole, samples))
        found[name] = value, spread_over_error(*resampled.T, samples)
    return found


def rank_rows(measured: dict[str, dict], name: str) -> list[dict]:
    """Return the ranks of a point among all that were measured, 1 the best and equal ones alike; none without samples.

    Parameters
    ----------
    measured : {point: {metric: (value, resamples)}}
    """
    rows = []
    for metric, worse in RANKED.items() if "spread_error" in measured[name] else ():
        scores = {point: worse(found[metric][0]) for point, found in measured.items() if metric in found}
        if name in scores and np.isfinite(scores[name]):
            rows.append(
                {"metric": f"rank_{metric}", "value": 1.0 + sum(score < scores[name] for score in scores.values())}
            )
    return rows
