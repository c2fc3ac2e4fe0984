"""Say of each class in words whether a classifier looks at its cells: where attention and erasure agree, and not otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.scores.cells.erasure import NO_BACKGROUND, NO_CELL, NOTHING, WHOLE, told

AT, AWAY, OPEN = "looks at the cell", "looks elsewhere", "can't be said"
COLUMNS = [
    "arm", "class", "verdict", "why", "told", "told_low", "told_high", "lift", "lift_low", "lift_high", "untrained_lift",
    "told_cell_erased", "told_background_erased", "answered_both_erased", "cells", "wells",
]  # fmt: skip


def by_default(share: float, classes: int) -> bool:
    """Whether a class is what is answered for crops with nothing left: of them called it, half-way from one in K to all."""
    return share >= (1 + 1 / classes) / 2


def paired(counts: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return {shown: `told` of each class in each resample of wells, (R, K)}, the same wells drawn for all."""
    drawn = resampling.resample_counts(len(counts[WHOLE]), rng)
    return {shown: told(np.einsum("rw,wij->rij", drawn, counted)) for shown, counted in counts.items()}


def erasure_says(difference: np.ndarray) -> str:
    """Return what erasing says from resampled differences, (R,), of what the cell tells alone and the background tells alone."""
    low, high = resampling.interval(difference)
    return AT if low > 0 else AWAY if high < 0 else OPEN


def attention_says(lift: Mapping[str, float]) -> str:
    """Return what a class's lift says: above what even attention gets, below it, or neither."""
    return AT if lift["low"] > 1 else AWAY if lift["high"] < 1 else OPEN


def worded(row: Mapping, attention: str, erasure: str, classes: int) -> tuple[str, str]:
    """Return a class's verdict, and why."""
    if not np.isfinite(row["told_low"]):
        return OPEN, f"{row['wells']} test wells of its own: no interval says whether it is told at all"
    if row["told_low"] <= 0:
        return OPEN, "its cells are told from others no better than by chance"
    if not np.isfinite(row["lift"]):
        return OPEN, "its maps are empty: no channel of the layer speaks for it"
    says = {AT: "the cell", AWAY: "what surrounds it", OPEN: "neither more"}
    both = f"attention says {says[attention]}, erasure says {says[erasure]}"
    if attention == AT and row["untrained_lift"] >= row["lift"]:
        both += "; before training the lift was no less, so that attention alone would say nothing"
    if by_default(row["answered_both_erased"], classes):
        return OPEN, f"it is answered where nothing is shown: known by what it lacks, which a map cannot show ({both})"
    if attention == erasure != OPEN:
        return attention, both
    return OPEN, both


def verdicts(
    counts: Mapping[str, np.ndarray], lifts: pd.DataFrame, untrained: pd.DataFrame, names: Sequence[str], arm: str
) -> Iterator[dict]:
    """Yield a row of COLUMNS for each class.

    Parameters
    ----------
    counts : {shown: (W, K, K)}, see `erasure.counts_shown`
    lifts, untrained : rows `lift` of `camo_table` of the cells' own classes, with the index `class`: of the network, and untrained
    names : of the K classes
    """
    draws = paired(counts, resampling.seeded("verdict", arm))
    values = {shown: told(counted.sum(axis=0)) for shown, counted in counts.items()}
    nothing = counts[NOTHING].sum(axis=(0, 1))
    for place, name in enumerate(names):
        wells = int((counts[WHOLE][:, place].sum(axis=1) > 0).sum())
        if not wells:
            continue  # the arm has no cells of it
        low, high = resampling.interval(draws[WHOLE][:, place]) if wells > 1 else (np.nan, np.nan)
        lift = lifts.loc[name]
        row = {"arm": arm, "class": name, "told": values[WHOLE][place], "told_low": low, "told_high": high,
               "lift": lift["value"], "lift_low": lift["low"], "lift_high": lift["high"],
               "untrained_lift": untrained.loc[name, "value"], "told_cell_erased": values[NO_CELL][place],
               "told_background_erased": values[NO_BACKGROUND][place],
               "answered_both_erased": nothing[place] / max(nothing.sum(), 1),
               "cells": int(counts[WHOLE][:, place].sum()), "wells": wells}  # fmt: skip
        difference = draws[NO_BACKGROUND][:, place] - draws[NO_CELL][:, place]
        verdict, why = worded(row, attention_says(lift), erasure_says(difference), len(names))
        yield {**row, "verdict": verdict, "why": why}
