"""Compare where CellProfiler finds nuclei and cells in predicted and in real fields: overlap of label images.

A count may be right with every nucleus in a wrong place. Objects are matched at an intersection over union (IoU) above
one half, where no object can have two partners, so that nothing need be optimised (Caicedo et al. 2019, Nat. Methods
16, 1247: F1 of the Data Science Bowl). Beside each mean stand

- its null: the same predicted masks against the real ones of other wells, `DRAWS` times, with the bound that the
  plate's mean passes one time in twenty;
- its floor: real masks of another well in place of the prediction, as a model that paints credible cells of any place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.scores.pairing import covered, join_rows, other_well
from brightpaint.study.spaces import MAIN

MATCH_IOU = 0.5
DRAWS = 20
SCORED = {"Nuclei": ("f1", "dice", "iou"), "Cells": ("f1",)}


def ious(real: np.ndarray, painted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the IoU of every real object with every painted one.

    Parameters
    ----------
    real, painted : (H, W) labels, 0 outside; numbers need not be consecutive

    Returns
    -------
    (R, P) float64 IoU, (R,) and (P,) areas in pixels
    """
    if real.shape != painted.shape:
        raise ValueError(f"label images of {real.shape} and {painted.shape} pixels; expected one size")
    sizes = [int(labels.max(initial=0)) + 1 for labels in (real, painted)]
    flat = real.ravel().astype(np.int64) * sizes[1] + painted.ravel()
    shared = np.bincount(flat, minlength=sizes[0] * sizes[1]).reshape(sizes)
    areas = shared.sum(axis=1)[1:], shared.sum(axis=0)[1:]
    present = [np.flatnonzero(area) for area in areas]
    shared = shared[1:, 1:][np.ix_(*present)]
    left, right = (area[chosen] for area, chosen in zip(areas, present))
    return shared / np.maximum(left[:, None] + right[None] - shared, 1), left, right


def overlap(real: np.ndarray, painted: np.ndarray) -> dict[str, float]:
    """Score one field's objects.

    Parameters
    ----------
    real, painted : (H, W) labels, 0 outside

    Returns
    -------
    f1 : 2 * matches / (real + painted objects), a match being an IoU above 0.5
    dice : twice the shared area over the sum of both areas, whichever objects the pixels belong to
    iou : mean over real objects of the best IoU with any painted one; a real object that is not painted counts 0

    All in 0 to 1; NaN where neither image holds an object, `iou` also where the real one holds none.
    """
    table, left, right = ious(real, painted)
    if not len(left) + len(right):
        return {"f1": np.nan, "dice": np.nan, "iou": np.nan}
    matches = int((table > MATCH_IOU).sum())
    both = int(((real > 0) & (painted > 0)).sum())
    best = table.max(axis=1, initial=0.0)
    return {
        "f1": 2 * matches / (len(left) + len(right)),
        "dice": 2 * both / int(left.sum() + right.sum()),
        "iou": float(best.mean()) if len(best) else np.nan,
    }


def names() -> list[str]:
    """Return the metrics' names: nuclei_f1, nuclei_dice, ..."""
    return [f"{objects.lower()}_{name}" for objects, chosen in SCORED.items() for name in chosen]


def partners(wells: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw, for each field, fields of other wells: (n, draws) places; -1 where all fields share one well."""
    wells = np.asarray(wells)
    drawn = np.full((len(wells), draws), -1)
    for place, well in enumerate(wells):
        others = np.flatnonzero(wells != well)
        if len(others):
            drawn[place] = rng.choice(others, draws)
    return drawn


def field_overlaps(real: store.Masks, painted: store.Masks, joined: pd.DataFrame, seed: str) -> dict[str, np.ndarray]:
    """Score every field of a plate.

    Parameters
    ----------
    joined : from `join_rows`: `real_row` and `predicted_row` of each field, Metadata_Well
    seed : name from which the null's partners are drawn

    Returns
    -------
    {metric: (n, 2 + DRAWS)}: of the pair, of the real field with another well's, and of the prediction with others
    """
    wells, rows = joined["Metadata_Well"].to_numpy(), joined["real_row"].to_numpy()
    floors, nulls = other_well(wells), partners(wells, DRAWS, resampling.seeded(seed, "overlap"))
    scores = {name: np.full((len(joined), 2 + DRAWS), np.nan) for name in names()}
    for place in tqdm(range(len(joined)), unit="field", disable=None):
        for objects, chosen in SCORED.items():
            truth = real.read(rows[place], objects)
            image = painted.read(joined["predicted_row"].iloc[place], objects)
            pairs = {0: (truth, image)}
            if floors[place] != place:
                pairs[1] = truth, real.read(rows[floors[place]], objects)
            pairs |= {2 + n: (real.read(rows[k], objects), image) for n, k in enumerate(nulls[place]) if k >= 0}
            for column, pair in pairs.items():
                found = overlap(*pair)
                for name in chosen:
                    scores[f"{objects.lower()}_{name}"][place, column] = found[name]
    return scores


def overlap_rows(scores: dict[str, np.ndarray], wells: np.ndarray, seed: str) -> Iterator[dict]:
    """Take the mean over fields of each metric with its interval over wells: rows of the metrics table."""
    for name, values in scores.items():
        said = np.isfinite(values[:, 0])
        pair, floor, null = values[said, 0], values[said, 1], values[said, 2:]
        low, high = resampling.bootstrap_ratio(pair, np.ones(len(pair)), wells[said], resampling.seeded(seed, name))
        row = {"metric": name, "value": np.nan, "low": low, "high": high, "n": int(said.sum())}
        if len(pair):
            row["value"] = pair.mean()
        if np.isfinite(null).any():
            means = np.nanmean(null, axis=0)  # (n, DRAWS) -> (DRAWS,), each a plate's mean by chance
            row.update(null=means.mean(), null_bound=np.quantile(means, 0.95), floor=np.nanmean(floor))
        yield row


def plate_overlaps(
    plate: str, arm: str, real_path: Path, painted_path: Path, fields: pd.DataFrame, active: set | None
) -> tuple[list[dict], pd.DataFrame]:
    """Score an arm's masks of one plate.

    Parameters
    ----------
    fields : the plate's field table: keys and annotations

    Returns
    -------
    rows of the metrics table without `arm`, for the subsets that the arm covers; and one row a field: keys and metrics
    """
    with store.open_masks(real_path) as real, store.open_masks(painted_path) as painted:
        if len(real) and len(painted) and real.shape != painted.shape:
            raise ValueError(f"{painted_path}: labels of {painted.shape} pixels, expected {real.shape} as in {real_path}; "
                             "delete both and rerun")  # fmt: skip
        described = real.fields.merge(fields, on=store.FIELD_KEYS, how="left", validate="one_to_one")
        joined = join_rows(described, painted.fields, f"{arm}, masks")
        scores = field_overlaps(real, painted, joined, f"{plate}")
    rows = []
    for subset, chosen in covered(described, joined, active, f"{arm}, masks").items():
        part = {name: values[chosen] for name, values in scores.items()}
        for row in overlap_rows(part, joined.loc[chosen, "Metadata_Well"].to_numpy(), f"{plate}/{subset}"):
            rows.append({**row, "plate": plate, "subset": subset, "space": MAIN.name, "channel": "all"})
    return rows, joined[store.FIELD_KEYS].assign(**{name: values[:, 0] for name, values in scores.items()})
