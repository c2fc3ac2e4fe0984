"""How well classes of wells are told apart out of fold: accuracies with their intervals, and what shuffled labels give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, rankdata

from brightpaint.base.resampling import interval, seeded
from brightpaint.profiles.held_out import Split, balanced_accuracy, trained_plane

DRAWS = 4000  # of the posterior of a share
METRICS = ("accuracy", "balanced_accuracy", "auc")


@dataclass(frozen=True)
class OutOfFold:
    """What is said of each row by a machine that did not see it.

    Attributes
    ----------
    called : (n,) class; -1 where the row has no label, or no machine could be fitted
    distance : (n,) signed distance from the plane of two classes, above 0 on the side of class 1; NaN likewise. Rows without a
        label have the mean over all splits
    costs : C of each split
    normals : of each split the plane's normal in its rows, of length 1; of two classes alone
    """

    called: np.ndarray
    distance: np.ndarray
    costs: list[float]
    normals: list[np.ndarray]


def cross_fit(
    splits: Sequence[Split], labels: np.ndarray, groups: np.ndarray, seed: str, costs: Sequence[float] | None = None
) -> OutOfFold:
    """Fit a linear machine in each split, and judge by it what the split holds out.

    Parameters
    ----------
    labels : (n,) -1 where there is none
    groups : (n,)
    costs : C of each split; None where each is to choose its own
    """
    n, two = len(labels), len(np.unique(labels[labels >= 0])) == 2
    called, distance, of_others = np.full(n, -1), np.full(n, np.nan), np.zeros((len(splits), n))
    used, normals = [], []
    for number, split in enumerate(splits):
        own = labels[split.trained]
        if len(np.unique(own)) < 2:  # of shuffled labels alone: `deal` leaves each class on both sides
            used.append(float("nan"))
            called[split.held] = own[0]
            distance[split.held] = 0.0
            continue
        plane, cost = trained_plane(split, labels, groups, f"{seed}/{number}", costs[number] if costs else None)
        used.append(cost)
        called[split.held] = plane.predict(split.rows[split.held])
        if two:
            length = max(float(np.linalg.norm(plane.normals)), 1e-300)
            distances = plane.decide(split.rows) / length
            distance[split.held], of_others[number] = distances[split.held], distances
            normals.append(plane.normals / length)
    if two:
        distance[labels < 0] = of_others.mean(axis=0)[labels < 0]
    return OutOfFold(called, distance, used, normals)


def auc(labels: np.ndarray, distance: np.ndarray) -> float:
    """Return the probability that a row of class 1 has the larger distance than one of class 0; ties count a half."""
    ranks, positive = rankdata(distance), labels == 1
    n, m = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def measure(labels: np.ndarray, called: np.ndarray, distance: np.ndarray) -> dict[str, float]:
    """Return METRICS of rows whose class is known; no AUC where there are no distances."""
    found = {"accuracy": float((labels == called).mean()), "balanced_accuracy": balanced_accuracy(labels, called)}
    return found | {"auc": auc(labels, distance) if np.isfinite(distance).all() else float("nan")}


def share_intervals(
    labels: np.ndarray, called: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Return 95% intervals of both accuracies, whose units are groups: Jeffreys' (Brown et al. 2001), class by class.

    A bootstrap would give none where every row is called right.
    """
    draws, weights, shares = [], [], []
    for name in np.unique(labels):
        own = labels == name
        count, right = len(np.unique(groups[own])), float((called[own] == name).mean())
        draws.append(rng.beta(right * count + 0.5, (1 - right) * count + 0.5, DRAWS))
        weights.append(own.mean())
        shares.append(right)
    found = {}
    for metric, weight in (
        ("accuracy", np.array(weights)),
        ("balanced_accuracy", np.full(len(weights), 1 / len(weights))),
    ):
        low, high = interval(weight @ np.array(draws))
        value = float(weight @ np.array(shares))
        found[metric] = (0.0 if value == 0 else min(low, value), 1.0 if value == 1 else max(high, value))
    return found


def auc_interval(
    labels: np.ndarray, distance: np.ndarray, groups: np.ndarray, rng: np.random.Generator, draws: int
) -> tuple[float, float]:
    """Return the 95% interval of the AUC by a bootstrap over groups within their class (their first row's).

    Where no pair is told wrong (or right) a bootstrap gives no width: then as many pairs count as the smaller class has groups.
    """
    names, first, member = np.unique(groups, return_index=True, return_inverse=True)
    rows_of = [np.flatnonzero(member == number) for number in range(len(names))]
    pools = [np.flatnonzero(labels[first] == name) for name in np.unique(labels[first])]
    if (value := auc(labels, distance)) in (0.0, 1.0):
        bound = float(beta.ppf(0.025, min(map(len, pools)) + 0.5, 0.5))
        return (bound, 1.0) if value else (0.0, 1 - bound)
    values = []
    for _ in range(draws):
        drawn = np.concatenate([rows_of[group] for pool in pools for group in rng.choice(pool, len(pool))])
        values.append(auc(labels[drawn], distance[drawn]))
    return interval(np.array(values)) if draws else (float("nan"), float("nan"))


def told_apart(
    labels: np.ndarray, told: OutOfFold, groups: np.ndarray, null: Sequence[tuple[np.ndarray, OutOfFold]],
    masks: Mapping[str, np.ndarray], *, seed: str, draws: int,
) -> list[dict]:  # fmt: skip
    """Return one row a metric and part of the rows.

    Parameters
    ----------
    labels : (n,) -1 where there is none
    null : shuffled labels, and what was said of them
    masks : {name of a part: (n,) rows of it that count}
    seed : name
    draws : of the AUC's bootstrap

    Returns
    -------
    rows with part, metric, value, low, high, null (mean of the shuffled), p (share of the shuffled, and itself, that reach the
    value), n (rows) and groups (of them)
    """
    rows = []
    for part, mask in masks.items():
        own = mask & (labels >= 0)
        if len(np.unique(labels[own])) < 2:
            continue
        take: Callable = lambda what, one: measure(what[own], one.called[own], one.distance[own])  # noqa: B023, E731
        found, rng = take(labels, told), seeded(seed, part, "interval")
        limits = share_intervals(labels[own], told.called[own], groups[own], rng)
        if np.isfinite(found["auc"]):
            limits["auc"] = auc_interval(labels[own], told.distance[own], groups[own], rng, draws)
        shuffled = [take(what, one) for what, one in null if len(np.unique(what[own])) > 1]
        for metric in METRICS:
            if not np.isfinite(found[metric]):
                continue
            others = np.array([one[metric] for one in shuffled])
            p = (1 + (others >= found[metric] - 1e-12).sum()) / (1 + len(others)) if len(others) else float("nan")
            rows.append({"part": part, "metric": metric, "value": found[metric], "low": limits[metric][0],
                         "high": limits[metric][1],
                         "null": others.mean() if len(others) else float("nan"), "p": p, "n": int(own.sum()),
                         "groups": len(np.unique(groups[own]))})  # fmt: skip
    return rows
