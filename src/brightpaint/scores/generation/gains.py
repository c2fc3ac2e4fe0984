"""Means of what a generation and its floors score, with intervals, and by how much the model is better than each, paired.

Intervals are the bootstrap's, over scaffolds where a fold holds out scaffolds, else over treatments: each drawn anew for model and
floor together. A gain above 0 is the model's, whichever way a metric points.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brightpaint.base import resampling
from brightpaint.profiles.similarity import feature_correlations
from brightpaint.scores.generation.foretold import MODEL
from brightpaint.scores.generation.populations import POOLED, pooled

CORRELATION, RANK, BY_FEATURE, MATCHED = "correlation", "rank", "feature_correlation", "correspondence"
WITH_CELLS = "with_cells"  # share of treatments that the model painted with a cell; the others count as the mean
LARGER = (CORRELATION, RANK, BY_FEATURE, MATCHED)  # is better; of distances less is
POOLED_DRAWS = 100  # of what is measured on all fields together
COLUMNS = [
    "split",
    "baseline",
    "metric",
    "value",
    "low",
    "high",
    "gain",
    "gain_low",
    "gain_high",
    "treatments",
    "groups",
]
SEEN = "seen"


@dataclass(frozen=True)
class Scored:
    """What was found of T tested treatments.

    Attributes
    ----------
    tested : rows with `split` and `group`
    values : {metric: {baseline: (T,)}}, NaN where there is none
    truth : (T, F) real effects, centred
    answers : {baseline: (T, F)}, NaN where there is none
    real, fields : T sets of fields on components, (n, K), and {baseline: T sets}, empty where there are none
    directions : (K, D) for the sliced distance
    """

    tested: pd.DataFrame
    values: Mapping[str, Mapping[str, np.ndarray]]
    truth: np.ndarray
    answers: Mapping[str, np.ndarray]
    real: Sequence[np.ndarray]
    fields: Mapping[str, Sequence[np.ndarray]]
    directions: np.ndarray


def summary(scored: Scored) -> pd.DataFrame:
    """Return one row a split, baseline and metric (COLUMNS), what was seen in training first."""
    splits = sorted(set(scored.tested["split"]), key=lambda name: (name != SEEN, name))
    rows = [row for split in splits for row in _split_rows(scored, split)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _split_rows(scored: Scored, split: str):
    own = np.flatnonzero(scored.tested["split"] == split)
    names, codes = np.unique(scored.tested["group"].to_numpy(str)[own], return_inverse=True)
    draws = resampling.resample_counts(len(names), resampling.seeded("generation", split))[:, codes]  # (B, n)
    for metric, by_baseline in scored.values.items():
        for baseline, values in by_baseline.items():
            sides = values[own], by_baseline[MODEL][own]
            yield {"split": split, **_row(baseline, metric, sides, _mean, draws, codes)}
    for baseline, answers in scored.answers.items():
        sides = answers[own], scored.answers[MODEL][own]
        yield {"split": split, **_row(baseline, BY_FEATURE, sides, _by_feature(scored.truth[own]), draws, codes)}
    yield from ({"split": split, **row} for row in _pooled_rows(scored, own, draws, codes))


def _row(baseline: str, metric: str, sides: tuple, mean, draws: np.ndarray, codes: np.ndarray) -> dict:
    """Return one row: `mean(side, rows, weights)` of the baseline, and of the model less it on the treatments that both have."""
    known = [np.isfinite(side.reshape(len(side), -1)).all(axis=1) for side in sides]
    row = {"baseline": baseline, "metric": metric, **_counts(known[0], codes)}
    row |= interval("", *(mean(sides[0], known[0], weights) for weights in (_once(draws), draws)), row["groups"])
    if baseline == MODEL:
        return row
    both, way = known[0] & known[1], 1 if metric in LARGER else -1
    gains = [way * (mean(sides[1], both, part) - mean(sides[0], both, part)) for part in (_once(draws), draws)]
    return row | interval("gain", *gains, _counts(both, codes)["groups"])


def _mean(side: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of some treatments' values in each of B resamples: (T,), (T,) bool, (B, T) -> (B,)."""
    return resampling.weighted_means(side[rows, None], weights[:, rows])[:, 0]


def _by_feature(truth: np.ndarray):
    """Return a function as `_mean`, of effects (T, F): the mean over numbers of the correlation with the real ones."""

    def mean(side: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        weights = weights[:, rows]
        enough, found = (weights > 0).sum(axis=1) > 2, np.full(len(weights), np.nan)
        if enough.any():
            found[enough] = resampling.mean_known(feature_correlations(truth[rows], side[rows], weights[enough]))
        return found

    return mean


def _pooled_rows(scored: Scored, own: np.ndarray, draws: np.ndarray, codes: np.ndarray):
    """Yield the rows of what is measured on all fields of a split's treatments together."""
    filled = {
        name: np.array([len(sets[row]) > 0 and len(scored.real[row]) > 0 for row in own])
        for name, sets in scored.fields.items()
    }

    @functools.cache
    def measured(name: str, rows: tuple[int, ...]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return {metric: (once, in each draw)} of these treatments."""
        sets, places = scored.fields[name], own[list(rows)]
        at = lambda order: pooled([scored.real[row] for row in order], [sets[row] for row in order], scored.directions)  # noqa: E731
        once = at(places)
        again = [at(np.repeat(places, weights[list(rows)].astype(int))) for weights in draws[:POOLED_DRAWS]]
        return {metric: (np.array([once[metric]]), np.array([each[metric] for each in again])) for metric in POOLED}

    for baseline, there in filled.items():
        both = tuple(np.flatnonzero(there & filled[MODEL]))
        value = measured(baseline, tuple(np.flatnonzero(there)))
        theirs, model = measured(baseline, both), measured(MODEL, both)
        for metric in POOLED:
            row = {"baseline": baseline, "metric": metric, **_counts(there, codes)}
            row |= interval("", *value[metric], row["groups"])
            if baseline != MODEL:
                gains = [one - other for one, other in zip(theirs[metric], model[metric])]
                row |= interval("gain", *gains, row["groups"])
            yield row


def _once(draws: np.ndarray) -> np.ndarray:
    return np.ones((1, draws.shape[1]))


def _counts(known: np.ndarray, codes: np.ndarray) -> dict:
    return {"treatments": int(known.sum()), "groups": int(len(set(codes[known])))}


def interval(word: str, once: np.ndarray, drawn: np.ndarray, groups: int) -> dict:
    """Return value, low and high, or gain, gain_low and gain_high; without an interval where one group alone can be drawn."""
    names = ("value", "low", "high") if not word else (word, f"{word}_low", f"{word}_high")
    low, high = resampling.interval(drawn) if groups > 1 else (np.nan, np.nan)
    return dict(zip(names, (float(once[0]), low, high)))
