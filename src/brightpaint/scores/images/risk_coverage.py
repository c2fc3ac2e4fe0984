"""Does the spread of samples say which fields are painted badly? Risk-coverage curves: pure functions, and one reader.

A field's uncertainty in a channel is the mean over its pixels of the squared s.d. of the standardised samples. That is
one minus the mean PCC of two of its samples, the unit of the error that it is to foretell (one minus the PCC with the
real stain), and what the error would be if the real stain were one more sample. All pixels count: the PCC that it foretells
takes all of them too, and a pixel that no sample disputes adds nothing.

Set aside the most uncertain fields one by one, and the mean error of those kept is the risk at that coverage (Geifman & El-Yaniv
2017). AURC, the mean risk over all coverages, lies between that of random order, which is the mean error, and the oracle's, who
knows the errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.scores.pairing import covered, join_rows

SHUFFLES = 1000
ERRORS = {"aurc": lambda scores: 1 - scores["pcc"], "aurc_mse": lambda scores: scores["mse"]}


def field_uncertainty(sd: np.ndarray) -> np.ndarray:
    """Return the mean squared s.d. of a field: (C, H, W) s.d. of standardised samples -> (C,) float64, at least 0."""
    return np.mean(np.square(sd, dtype=np.float64), axis=(-2, -1))


def read_uncertainty(path: Path, joined: pd.DataFrame, channels: Sequence[str]) -> np.ndarray:
    """Return the uncertainty of every field of `joined`, found by key in the stack `path`: (n, C)."""
    stack, table = store.open_gathered(path)
    found = join_rows(joined.drop(columns=["real_row", "predicted_row"]), table, str(path))
    if len(found) != len(joined):
        raise ValueError(f"{path}: {len(table)} fields, but the arm painted {len(joined)}; delete it and rerun")
    planes = stack.channel_indices(channels)
    rows = tqdm(found["predicted_row"], unit="field", disable=None)
    return np.array([field_uncertainty(stack.images[row][planes]) for row in rows]).reshape(-1, len(channels))


def risk_coverage(uncertainty: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the mean error of the k least uncertain fields for k = 1 to n: two (n,) -> (n,); ties keep their order."""
    ordered = error[np.argsort(uncertainty, kind="stable")]
    return np.cumsum(ordered) / np.arange(1, len(ordered) + 1)


def aurc(uncertainty: np.ndarray, error: np.ndarray) -> float:
    """Return the area under the risk-coverage curve: the mean risk over coverages 1/n to 1; NaN without fields."""
    return float(risk_coverage(uncertainty, error).mean()) if len(error) else float("nan")


def random_order(error: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the AURC of SHUFFLES random orders: (SHUFFLES,). Their expectation is the mean error."""
    return np.array([aurc(rng.permutation(len(error)), error) for _ in range(SHUFFLES)])


def rank_correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Return Spearman's rank correlation; NaN for fewer than three fields or a constant side."""
    if len(left) < 3 or not (np.ptp(left) > 0 and np.ptp(right) > 0):
        return float("nan")
    return float(spearmanr(left, right).statistic)


def over_wells(statistic, uncertainty: np.ndarray, error: np.ndarray, wells: Sequence, rng) -> tuple[float, float]:
    """Return the bootstrap interval of `statistic(uncertainty, error)` when whole wells are drawn anew."""
    _, codes = np.unique(np.asarray(wells, dtype=str), return_inverse=True)
    if len(codes) == 0 or codes.max() < 1:
        return float("nan"), float("nan")
    weights = resampling.resample_counts(codes.max() + 1, rng)[:, codes].astype(int)
    drawn = [np.repeat(np.arange(len(codes)), row) for row in weights]
    return resampling.interval(np.array([statistic(uncertainty[rows], error[rows]) for rows in drawn]))


def channel_rows(
    uncertainty: np.ndarray, errors: dict[str, np.ndarray], wells: np.ndarray, seed: str
) -> Iterator[dict]:
    """Score one channel's uncertainty: rows of the metrics table.

    Parameters
    ----------
    uncertainty : (n,)
    errors : {aurc: (n,) 1 - PCC, aurc_mse: (n,) MSE}
    wells : (n,)
    seed : name from which the resampling is seeded
    """
    for name, error in errors.items():
        row = {"metric": name, "value": aurc(uncertainty, error), "n": len(error)}
        low, high = over_wells(aurc, uncertainty, error, wells, resampling.seeded(seed, name))
        null = random_order(error, resampling.seeded(seed, name, "shuffle"))
        yield {**row, "low": low, "high": high, "null": error.mean(), "null_bound": np.quantile(null, 0.05)}
        yield {"metric": f"{name}_oracle", "value": aurc(error, error), "n": len(error)}
    error = errors["aurc"]
    rng = resampling.seeded(seed, "uncertainty_r", "shuffle")
    null = [rank_correlation(uncertainty, rng.permutation(error)) for _ in range(SHUFFLES)]
    low, high = over_wells(rank_correlation, uncertainty, error, wells, resampling.seeded(seed, "uncertainty_r"))
    yield {"metric": "uncertainty_r", "value": rank_correlation(uncertainty, error), "n": len(error), "low": low,
           "high": high, "null": 0.0, "null_bound": np.quantile(null, 0.95)}  # fmt: skip


def risk_rows(
    plate: str, fields: pd.DataFrame, joined: pd.DataFrame, scores: dict, active: set | None, channels: Sequence[str]
) -> Iterator[dict]:
    """Score the uncertainty of a plate's fields, per channel and for their mean: rows of the metrics table without `arm`.

    Fields with a constant real stain have no error and take no part.
    """
    errors = {name: error(scores) for name, error in ERRORS.items()}  # (n, C)
    for subset, chosen in covered(fields, joined, active, plate).items():
        for channel in ["all", *channels]:
            picked = list(range(len(channels))) if channel == "all" else [list(channels).index(channel)]
            each = {name: values[:, picked].mean(axis=1) for name, values in errors.items()}
            said = chosen & np.isfinite(each["aurc"])
            if not said.any():
                continue
            uncertainty, wells = (
                scores["uncertainty"][said][:, picked].mean(axis=1),
                joined["Metadata_Well"].to_numpy()[said],
            )
            part = {name: values[said] for name, values in each.items()}
            for row in channel_rows(uncertainty, part, wells, f"{plate}/{subset}/{channel}"):
                yield {**row, "plate": plate, "subset": subset, "space": "images", "channel": channel}
