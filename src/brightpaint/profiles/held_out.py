"""Classify wells from their numbers with whole groups of them held out: what every claim of separation rests on.

Fewer wells than numbers are separated by a plane whatever their labels (Cover 1965). So a well is judged by a classifier that
saw neither it nor its group: not in its normalisation, not in the choice of its C, not in its plane. Four splits of 75/25 by
group hold each well out once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn import config_context
from sklearn.svm import LinearSVC

from brightpaint.base.resampling import seeded

FOLDS = 4  # 75/25, as in the paper
INNER_FOLDS = 3  # of the nested splits that choose C
COSTS = tuple(np.logspace(-2, 2, 5))  # of wells whose squared norm is about 1
CONSTANT = 1e-9  # of a number's size: what varies less is equal but for rounding


def deal(labels: np.ndarray, groups: np.ndarray, folds: int, seed: str) -> np.ndarray:
    """Deal rows to folds, whole groups together, each class as evenly as can be.

    Parameters
    ----------
    labels, groups : (n,)
    folds : at most; no more than there are groups
    seed : name; the order of rows does not matter

    Returns
    -------
    (n,) int64 from 0
    """
    names, member = np.unique(groups, return_inverse=True)
    classes, own = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (member, own), 1.0)
    shares = counts / counts.sum(axis=0)
    shuffled = seeded(seed, "folds").permutation(len(names))
    order = shuffled[np.argsort(-shares[shuffled].max(axis=1), kind="stable")]  # the large ones first
    folds = min(folds, len(names))
    held, of_group = np.zeros((folds, len(classes))), np.empty(len(names), dtype=np.int64)
    for group in order:
        crowd = (held * shares[group]).sum(axis=1)  # of its own classes; of equals the fold with the least of all
        of_group[group] = np.lexsort((np.arange(folds), held.sum(axis=1).round(12), crowd.round(12)))[0]
        held[of_group[group]] += shares[group]
    return of_group[member]


def standardised(
    values: np.ndarray, fitted: np.ndarray, parts: np.ndarray | None = None, where: str = "axis"
) -> np.ndarray:
    """Bring numbers to mean 0 and s.d. 1 over the rows `fitted`, part by part where `parts` (of a plate each) are given.

    A number that those rows do not vary in becomes 0. An error begins with `where`.

    Raises
    ------
    ValueError
        naming a part with fewer than two rows to be fitted on
    """
    parts = np.zeros(len(values), dtype=int) if parts is None else parts
    scaled = np.empty_like(values, dtype=np.float64)
    for part in np.unique(parts):
        own = parts == part
        used = values[own & fitted]
        if len(used) < 2:
            raise ValueError(f"{where}: plate {part}: {len(used)} wells that are not held out, expected two at least to normalise "
                             "it by; set normalise: none")  # fmt: skip
        mean, sd = used.mean(axis=0), used.std(axis=0)
        varies = sd > CONSTANT * np.maximum(np.abs(used).max(axis=0), 1e-300)
        scaled[own] = np.where(varies, (values[own] - mean) / np.where(varies, sd, 1.0), 0.0)
    return scaled


@dataclass(frozen=True)
class Split:
    """One of the splits.

    Attributes
    ----------
    held : (n,) whether a row is held out
    trained : (n,) whether the classifier is fitted on it
    points : (n, p) numbers of all rows as those that are not held out normalise them, divided by the root of p
    basis : (p, r) orthonormal, what the training rows span: the plane's normal lies in it
    rows : (n, r) the points in it
    """

    held: np.ndarray
    trained: np.ndarray
    points: np.ndarray
    basis: np.ndarray
    rows: np.ndarray


def splits_of(
    values: np.ndarray, labels: np.ndarray, fold: np.ndarray, plates: np.ndarray | None, where: str = "axis"
) -> Iterator[Split]:
    """Yield the splits of labelled rows; nothing in one depends on the labels, nor on the numbers of what it holds out.

    Parameters
    ----------
    values : (n, p) finite
    labels : (n,) -1 where a row has none: such rows are never held out, nor trained on
    fold : (n,) in which split a row is held out, -1 for none
    plates : (n,) names, where each plate is to be normalised by its own rows; None for all together
    where : what an error begins with
    """
    for number in np.unique(fold[fold >= 0]):
        held = fold == number
        trained = (labels >= 0) & ~held
        scaled = values if plates is None else standardised(values, ~held, plates, where)
        points = standardised(scaled, trained, where=where) / np.sqrt(values.shape[1])
        _, sizes, vectors = np.linalg.svd(points[trained], full_matrices=False)
        basis = vectors[sizes > 1e-10 * max(sizes.max(initial=0), 1e-300)].T
        yield Split(held, trained, points, basis, points @ basis)


@dataclass(frozen=True)
class Plane:
    """A linear classifier of K classes, by their names.

    Attributes
    ----------
    classes : (K,)
    normals : (r,) of two classes, towards the second; (r, K) of more
    offset : a number, or (K,)
    centre : (r,) mean of the class means
    """

    classes: np.ndarray
    normals: np.ndarray
    offset: np.ndarray
    centre: np.ndarray

    def decide(self, rows: np.ndarray) -> np.ndarray:
        """Return what the machine decides by: (n,) above 0 for the second of two classes, (n, K) of more."""
        return (rows - self.centre) @ self.normals + self.offset

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the class of each row."""
        decided = self.decide(rows)
        return self.classes[(decided > 0).astype(int) if decided.ndim == 1 else decided.argmax(axis=1)]


def fit_plane(rows: np.ndarray, labels: np.ndarray, cost: float) -> Plane:
    """Fit a soft-margin linear SVM, each class weighing the same."""
    classes, member = np.unique(labels, return_inverse=True)
    centre = np.mean([rows[member == number].mean(axis=0) for number in range(len(classes))], axis=0)
    model = LinearSVC(C=cost, class_weight="balanced", dual=False, max_iter=5000)  # primal: no random numbers
    with config_context(assume_finite=True, skip_parameter_validation=True):  # a third of the time of so small a fit
        model.fit(rows - centre, labels)
    two = len(classes) == 2
    return Plane(
        classes, model.coef_[0] if two else model.coef_.T, model.intercept_[0] if two else model.intercept_, centre
    )


def choose_cost(rows: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: str) -> float:
    """Return the C of best balanced accuracy in splits of the training rows, the least of equals.

    Where no split leaves every class on its training side (a class of one group) it is the middle one.
    """
    inner, classes = deal(labels, groups, INNER_FOLDS, f"{seed}/inner"), np.unique(labels)
    whole = [number for number in np.unique(inner) if len(np.unique(labels[inner != number])) == len(classes)]
    if not whole or inner.max() == 0:
        return COSTS[len(COSTS) // 2]
    tested = np.isin(inner, whole)
    right = []
    for cost in COSTS:
        called = np.full(len(labels), -1)
        for number in whole:
            own = inner == number
            called[own] = fit_plane(rows[~own], labels[~own], cost).predict(rows[own])
        right.append(balanced_accuracy(labels[tested], called[tested]))
    return COSTS[int(np.argmax(np.round(right, 12)))]


def balanced_accuracy(labels: np.ndarray, called: np.ndarray) -> float:
    """Return the mean over classes of the share called right."""
    return float(np.mean([(called[labels == name] == name).mean() for name in np.unique(labels)]))


def trained_plane(
    split: Split, labels: np.ndarray, groups: np.ndarray, seed: str, cost: float | None = None
) -> tuple[Plane, float]:
    """Return the machine of a split, with C chosen within its training rows if it isn't given, and that C."""
    rows, own = split.rows[split.trained], labels[split.trained]
    cost = cost or choose_cost(rows, own, groups[split.trained], seed)
    return fit_plane(rows, own, cost), cost


def nearest(split: Split) -> np.ndarray:
    """Return for each held-out row the training row that lies nearest: (held,) row numbers."""
    trained, held = np.flatnonzero(split.trained), split.points[split.held]
    others = split.points[trained]
    squares = (others**2).sum(axis=1)[None] - 2 * held @ others.T  # what all of a row's share is left out
    return trained[squares.argmin(axis=1)]


def shuffles(
    labels: np.ndarray, groups: np.ndarray, plates: np.ndarray, fold: np.ndarray, *, draws: int, seed: str
) -> Iterator[np.ndarray]:
    """Yield labels that have changed places between groups; where groups hold several classes, between their rows.

    They do so within a split and a plate, if that can be done in a thousand ways: what plates tell is no merit then, and splits
    stay balanced. If not, within a plate, within a split, or at large, the first of these that has as many ways, else the freest.

    Parameters
    ----------
    labels, groups, plates, fold : (n,) of labelled rows
    """
    names, member = np.unique(groups, return_inverse=True)
    first = np.unique(member, return_index=True)[1]
    whole = (labels == labels[first][member]).all()
    units, of_row = (first, member) if whole else (np.arange(len(labels)), np.arange(len(labels)))
    own = labels[units]
    one = np.zeros(len(units), dtype=int)
    place = np.unique(plates[units] if whole else groups, return_inverse=True)[1]
    parts = fold[units]
    choices = [place * (parts.max() + 2) + parts, place, parts, one]
    cells = next(
        (cell for cell in choices if _ways(own, cell) >= np.log(1000)), max(choices, key=lambda c: _ways(own, c))
    )
    rng = seeded(seed, "shuffled")
    for _ in range(draws):
        found = own.copy()
        for cell in np.unique(cells):
            inside = np.flatnonzero(cells == cell)
            found[inside] = own[rng.permutation(inside)]
        yield found[of_row]


def _ways(labels: np.ndarray, cells: np.ndarray) -> float:
    """Return the logarithm of the number of ways in which labels can change places within cells."""
    from scipy.special import gammaln

    total = 0.0
    for cell in np.unique(cells):
        counts = np.unique(labels[cells == cell], return_counts=True)[1]
        total += gammaln(counts.sum() + 1) - gammaln(counts + 1).sum()
    return float(total)
