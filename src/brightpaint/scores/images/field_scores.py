"""Score predicted images against real ones, field by field, and take the mean with an interval over wells.

Pixel metrics follow Cross-Zamirski et al. 2023, section 5.1: both images are standardised per image and channel.
Beside each stands its null, the same prediction against another well's real image; beside PCC also its floor
(brightfield itself, or its local s.d., in place of the prediction).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.intensity import standardise
from brightpaint.scores.columns import BY_KEY
from brightpaint.scores.images import pixels
from brightpaint.scores.images.background import noise_ratio
from brightpaint.scores.pairing import covered, join_rows, other_well

SSIM_RANGE_PAPER = 2.0  # what scikit-image took for floats when the paper was written
OTHER_WELL = "_other_well"
BRIGHTFIELD_METRICS = ("pcc_brightfield", "pcc_brightfield_sd")
log = logging.getLogger(__name__)


def score_field(real: np.ndarray, predicted: np.ndarray, other: np.ndarray, *, cutoff: float) -> dict[str, np.ndarray]:
    """Compute the pixel metrics of one field.

    Parameters
    ----------
    real : (C, H, W) stains, z-scores
    predicted : (C, H, W) raw prediction
    other : (C, H, W) real stains of another well, for the null
    cutoff : both images are standardised, each channel by itself, and clipped there (paper, section 4.4);
        `mse_raw` alone takes the prediction as it came

    Returns
    -------
    {metric: (C,)}; those that end in `OTHER_WELL` are the same prediction's with the other well
    """
    truth, painted = standardise(real, cutoff), standardise(predicted, cutoff)
    compared = compare(truth, painted, real, predicted, cutoff)
    chance = compare(standardise(other, cutoff), painted, other, predicted, cutoff)
    background = {"background_noise": noise_ratio(truth, painted)}
    return compared | background | {name + OTHER_WELL: values for name, values in chance.items()}


def compare(
    truth: np.ndarray, painted: np.ndarray, real: np.ndarray, predicted: np.ndarray, cutoff: float
) -> dict[str, np.ndarray]:
    """Compare one field with one prediction, standardised (`truth`, `painted`) and as they came: {metric: (C,)}."""
    pairs = list(zip(truth, painted))
    return {
        "pcc": pixels.pcc(truth, painted),
        "ssim": np.array([pixels.ssim(*pair, data_range=cutoff) for pair in pairs]),
        "mse": pixels.mse(truth, painted),
        "mae": pixels.mae(truth, painted),
        "mse_raw": pixels.mse(real, predicted),
        "ssim_paper": np.array([pixels.ssim(*pair, data_range=SSIM_RANGE_PAPER) for pair in pairs]),
    }


def score_brightfield(brightfield: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
    """Compute what brightfield reaches by itself: {metric: (C,)}, the largest |PCC| over its planes."""
    candidates = (brightfield, pixels.local_sd(brightfield))
    return {name: pixels.largest_pcc(planes, real) for name, planes in zip(BRIGHTFIELD_METRICS, candidates)}


def field_scores(real: store.Stack, predicted: store.Stack | None, joined: pd.DataFrame, *, channels, cutoff):
    """Score every field of a plate: {metric: (n, C)} in the order of `joined`."""
    inputs, targets = real.channel_indices(channels["input"]), real.channel_indices(channels["target"])
    painted = predicted.channel_indices(channels["target"]) if predicted is not None else []
    others = joined["real_row"].to_numpy()[other_well(joined["Metadata_Well"])]
    collected: dict[str, list] = {}
    steps = zip(joined["real_row"], joined["predicted_row"], others)
    for row, predicted_row, other in tqdm(steps, total=len(joined), unit="field", disable=None):
        truth = np.asarray(real.images[row][targets], dtype=np.float32)
        scores = score_brightfield(np.asarray(real.images[row][inputs], dtype=np.float32), truth) if inputs else {}
        if predicted is not None:
            image = np.asarray(predicted.images[predicted_row][painted], dtype=np.float32)
            scores.update(score_field(truth, image, real.images[other][targets].astype(np.float32), cutoff=cutoff))
        for name, value in scores.items():
            collected.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in collected.items()}


def summarise_fields(
    scores: dict[str, np.ndarray], wells: np.ndarray, channels: Sequence[str], seed: str
) -> Iterator[dict]:
    """Take the mean over fields of each metric, per channel and over channels (`all`), with its interval over wells."""
    for name, values in scores.items():
        if name.endswith(OTHER_WELL):
            continue
        for channel in ["all", *channels]:
            chosen = [list(channels).index(channel)] if channel != "all" else list(range(len(channels)))
            per_field = values[:, chosen].mean(axis=1)  # (n, C) -> (n,)
            said = np.isfinite(per_field)
            rng = resampling.seeded(seed, name, channel)
            low, high = resampling.bootstrap_ratio(per_field[said], np.ones(said.sum()), wells[said], rng)
            row = {"metric": name, "channel": channel, "low": low, "high": high, "n": int(said.sum())}
            row["value"] = per_field[said].mean() if said.any() else np.nan
            chance = scores.get(name + OTHER_WELL)
            if chance is not None and len(set(wells)) > 1:
                row |= chance_level(chance[:, chosen].mean(axis=1), wells, BY_KEY[name].better, rng)
            if name == "pcc" and set(BRIGHTFIELD_METRICS) <= set(scores):
                row["floor"] = max(np.nanmean(scores[other][:, chosen]) for other in BRIGHTFIELD_METRICS)
            yield row


def chance_level(values: np.ndarray, wells: np.ndarray, better: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the mean over fields (n,) compared with other wells, and what it betters one time in twenty."""
    said = np.isfinite(values)
    low, high = resampling.bootstrap_ratio(values[said], np.ones(said.sum()), wells[said], rng, level=0.9)
    return {"null": values[said].mean() if said.any() else np.nan, "null_bound": high if better > 0 else low}


def plate_scores(
    real_path: Path, predicted_path: Path | None, fields_path: Path, settings: dict
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Score every predicted field of a plate, or its brightfield alone where there is no prediction.

    Returns
    -------
    joined : one row a field: keys, annotations, `real_row`, `predicted_row`
    scores : {metric: (n, C)} in the same order
    """
    fields = store.read_fields(fields_path)
    real = store.open_stack(real_path).select(fields)
    if len(real) != len(fields):
        raise ValueError(f"{real_path}: {len(real)} fields where its table has {len(fields)}; delete both and rerun")
    predicted, rows = store.open_gathered(predicted_path) if predicted_path is not None else (None, fields)
    joined = join_rows(fields, rows, str(predicted_path))
    if predicted is not None and len(joined) and predicted.images.shape[2:] != real.images.shape[2:]:
        raise ValueError(f"{predicted_path}: images of {predicted.images.shape[2:]} pixels, expected "
                         f"{real.images.shape[2:]} as in {real_path}; delete it and rerun")  # fmt: skip
    return joined, field_scores(real, predicted, joined, channels=settings["channels"], cutoff=settings["cutoff"])


def field_table(joined: pd.DataFrame, scores: dict[str, np.ndarray], channels: Sequence[str]) -> pd.DataFrame:
    """Lay the scores of single fields out: one row a field and channel, keys and annotations, one column a metric."""
    kept = [name for name in joined.columns if name.startswith("Metadata_")]
    rows = joined[kept].loc[joined.index.repeat(len(channels))].reset_index(drop=True)
    named = {name: values.ravel() for name, values in scores.items()}
    return rows.assign(Channel=np.tile(np.array(channels, dtype=object), len(joined)), **named)


def image_rows(
    plate: str, fields: pd.DataFrame, joined: pd.DataFrame, scores: dict, active: set | None, targets: Sequence[str]
) -> Iterator[dict]:
    """Summarise a plate's images: rows of the metrics table without `arm`; see `covered` for the subsets."""
    for subset, chosen in covered(fields, joined, active, plate).items():
        if not (chosen.any() and scores):  # real images without brightfield have none
            continue
        part = {name: values[chosen] for name, values in scores.items()}
        constant = int(np.isnan(next(iter(part.values()))).any(axis=1).sum())
        log.info("%s, %s: %d fields, of which %d have a constant real channel", plate, subset, chosen.sum(), constant)
        wells = joined.loc[chosen, "Metadata_Well"].to_numpy()
        for row in summarise_fields(part, wells, targets, f"{plate}/{subset}"):
            yield {**row, "plate": plate, "subset": subset, "space": "images"}
