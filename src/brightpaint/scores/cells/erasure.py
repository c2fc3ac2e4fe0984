"""What a classifier of cells still tells with the cell erased, with all but the cell erased, and with both: a second opinion.

A map says where a network looks by its gradients, and may be wrong; an erased crop says what it can do without. A class is
`told` by so much as its own cells are called it more often than others' are (Youden's J: 1 always and no other, 0 by chance),
which a class that is answered for every crop is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from brightpaint.base import resampling
from brightpaint.models.erasing import BACKGROUND, BOTH, CELL, Erasing
from brightpaint.models.see_cells import CellReader, TrainedCells
from brightpaint.scores.cells.cellnet_accuracy import confusions, scores

WHOLE, NO_CELL, NO_BACKGROUND, NOTHING, FLOOR = (
    "whole", "cell erased", "background erased", "both erased", "trained on erased cells",
)  # fmt: skip
SHOWN = {WHOLE: None, NO_CELL: CELL, NO_BACKGROUND: BACKGROUND, NOTHING: BOTH}


def answers_erased(paths: Sequence[Path], trained: TrainedCells, cells: np.ndarray, what: str | None) -> np.ndarray:
    """Return the class, from 0, that a network answers for each of these cells with something erased, (n,)."""
    shown = Erasing(what, paths, trained.channels, cells) if what else None
    return CellReader(paths, trained, shown).logits(cells).argmax(axis=1)


def told(counts: np.ndarray) -> np.ndarray:
    """Return by how much each class is told from the others, NaN of one without cells: (..., K, K) -> (..., K), -1 to 1."""
    own, right = counts.sum(axis=-1), np.diagonal(counts, axis1=-2, axis2=-1)
    others, wrong = counts.sum(axis=(-2, -1))[..., None] - own, counts.sum(axis=-2) - right
    nan = np.full(own.shape, np.nan)
    recall = np.divide(right, own, out=nan.copy(), where=own > 0)
    return recall - np.divide(wrong, others, out=nan.copy(), where=others > 0)


def told_rows(counted: np.ndarray, names: Sequence[str], rng: np.random.Generator) -> Iterator[dict]:
    """Yield the row `told` of each class: as `cellnet_accuracy.scores`, from counts (W, K, K)."""
    whole = counted.sum(axis=0)
    values = told(whole)
    drawn = told(np.einsum("rw,wij->rij", resampling.resample_counts(len(counted), rng), counted))
    for place, name in enumerate(names):
        low, high = resampling.interval(drawn[:, place]) if len(counted) > 1 else (np.nan, np.nan)
        yield {"metric": "told", "class": name, "value": float(values[place]), "low": low, "high": high, "chance": 0.0,
               "cells": int(whole[place].sum()), "wells": int((counted[:, place].sum(axis=1) > 0).sum())}  # fmt: skip


def erased_rows(counts: dict[str, np.ndarray], names: Sequence[str], *seed: object) -> Iterator[dict]:
    """Yield accuracy, recall and `told` of every way in which crops were shown: {shown: counts (W, K, K)}."""
    for shown, counted in counts.items():
        for rows in (scores, told_rows):
            for row in rows(counted, names, resampling.seeded("erased", *seed, shown)):
                yield {"shown": shown, **row}


def counts_shown(answers: dict[str, np.ndarray], truth: np.ndarray, wells: Sequence[str], classes: int) -> dict:
    """Return {shown: counts (W, K, K) of wells, classes and answers}, the wells in one order."""
    return {shown: confusions(truth, answer, wells, classes) for shown, answer in answers.items()}
