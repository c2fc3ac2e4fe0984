"""Grad-CAMO: the share of a network's attention that lies on the cell whose crop it is shown.

camo = sum(CAM * mask) / sum(CAM), of the map where it is above 0, brought to the crop's size and never scaled to 0 to 1; it is
not known (NaN) where the map is 0 everywhere, which a network does that finds no evidence of the class. The mask is that of
the crop's own cell. What attention spread evenly would get is `area`, the mask's share of the crop: a large cell has a high
camo whatever the network does, so `lift = camo / area` goes with it, above 1 for more attention than chance. The score is
the one of the Grad-CAMO paper, whose code was not published; lift, area and the share NaN are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from brightpaint.base import resampling

NEIGHBOURS = (
    "neighbours",
    "neighbours_lift",
)  # the share of attention on other cells, and over their share of the crop
HALF = 0.5  # of the attention; the paper says of how many profiles less lies on the cell


def camo_scores(maps: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """Score maps on masks.

    Parameters
    ----------
    maps : (N, D, H, W) Grad-CAM at the crops' size; what is negative counts as 0
    masks : (N, D, H, W) 1 within the own cell

    Returns
    -------
    One row a crop: `camo` (0 to 1, NaN of an empty map), `area` (0 to 1), `lift` (camo / area, NaN of an empty map or mask)
    """
    if maps.shape != masks.shape:
        raise ValueError(f"maps of {maps.shape} on masks of {masks.shape}; expected one shape, (N, D, H, W)")
    if not np.isfinite(maps).all():
        bad = int((~np.isfinite(maps)).reshape(len(maps), -1).any(axis=1).argmax())
        raise ValueError(f"the map of crop {bad} is not finite; check the network's weights")
    count, pixels = len(maps), math.prod(maps.shape[1:])
    attention = np.maximum(maps, 0).reshape(count, pixels).astype(np.float64)
    inside = (np.asarray(masks) > 0).reshape(count, pixels)
    total, area = attention.sum(axis=1), inside.mean(axis=1)
    camo = np.divide((attention * inside).sum(axis=1), total, out=np.full(count, np.nan), where=total > 0)
    lift = np.divide(camo, area, out=np.full(count, np.nan), where=area > 0)
    return pd.DataFrame({"camo": camo, "area": area, "lift": lift})


def _numbers(part: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return {metric: (what is summed, what is counted)} of each crop."""
    known = part["camo"].notna().to_numpy()
    camo, lift = (part[name].fillna(0).to_numpy() for name in ("camo", "lift"))
    lifted = part["lift"].notna().to_numpy()
    every = np.ones(len(part))
    numbers = {
        "camo": (camo, known),
        "area": (part["area"].to_numpy(), every),
        "lift": (lift, lifted),
        "above_half": ((camo > HALF) & known, known),
        "share_nan": (~known, every),
    }
    for name in [name for name in NEIGHBOURS if name in part]:
        numbers[name] = part[name].fillna(0).to_numpy(), part[name].notna().to_numpy()
    return numbers


def camo_table(scores: pd.DataFrame, classes: Sequence[str], wells: Sequence[str], *seed: object) -> Iterator[dict]:
    """Yield the mean scores over all crops (class ""), then by class, with 95% intervals by well.

    Parameters
    ----------
    scores : one row a crop, from `camo_scores`; with NEIGHBOURS these are counted too, where they are known
    classes, wells : of the crops; the class is the one by which the crop was explained
    seed : names that seed the bootstrap

    Yields
    ------
    {class, metric, value, low, high, cells, wells}: `camo`, `lift` and `above_half` (share of crops with camo above one half)
    over crops whose map is not empty; `area` and `share_nan` over all. NaN where there is none
    """
    classes, wells = np.asarray(classes, dtype=str), np.asarray(wells, dtype=str)
    if not len(scores) == len(classes) == len(wells):
        raise ValueError(
            f"{len(scores)} scores, {len(classes)} classes and {len(wells)} wells; expected as many of each"
        )
    for name in ["", *sorted(set(classes))]:
        chosen = classes == name if name else np.ones(len(scores), bool)
        for metric, (sums, counts) in _numbers(scores[chosen]).items():
            sums, counts = np.asarray(sums, float), np.asarray(counts, float)
            value = sums.sum() / counts.sum() if counts.sum() else np.nan
            rng = resampling.seeded("camo", *seed, name, metric)
            low, high = (
                resampling.bootstrap_ratio(sums, counts, wells[chosen], rng) if counts.sum() else (np.nan, np.nan)
            )
            yield {"class": name, "metric": metric, "value": float(value), "low": low, "high": high,
                   "cells": int(chosen.sum()), "wells": len(set(wells[chosen]))}  # fmt: skip
