"""How alike treatments are by their molecules, and what is foretold from alike ones: ridge regression and nearest neighbours.

Molecules are numbers as a model's condition `molecule` has them (`models.conditions.molecule_vectors`): a Morgan fingerprint,
RDKit's descriptors, or vectors of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from brightpaint.models.conditions.molecule_vectors import encode, fingerprint, learn

MORGAN: Mapping = {"encoder": "morgan", "vectors": None}


def tanimoto(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the Tanimoto similarity of bit vectors (N, B) and (M, B): (N, M), 1 of two without a bit."""
    both = one @ other.T
    union = one.sum(axis=1)[:, None] + other.sum(axis=1)[None] - both
    return np.divide(both, union, out=np.ones_like(both), where=union > 0)


def gaussian(vectors: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Return exp(-|x - y|^2 / (2 s^2)) of vectors (M, K): (M, M); s is the median distance between the rows `trained`."""
    squares = cdist(vectors, vectors, "sqeuclidean")
    apart = squares[np.ix_(trained, trained)][np.triu_indices(len(trained), 1)]
    typical = np.median(apart) if len(apart) else 0.0
    return np.exp(-squares / (2 * typical if typical > 0 else 1.0))


def alike_molecules(names: list[str], chosen: Mapping, trained: set[str]) -> np.ndarray:
    """Return how alike molecules are, (M, M), in [0, 1]: Tanimoto of fingerprints, a Gaussian of scaled vectors.

    Parameters
    ----------
    names : canonical SMILES, each once
    chosen : `encoder`, and `vectors`, the path of its table where it reads one
    trained : the molecules by which vectors are scaled, as in training a model

    Raises
    ------
    ValueError
        naming a molecule of which a table of vectors says nothing
    """
    if chosen["encoder"] == MORGAN["encoder"]:
        prints = np.array([fingerprint(name) for name in names], dtype=np.float64)
        return tanimoto(prints, prints)
    vectors = encode(names, learn(trained, chosen), chosen.get("vectors"))[:, :-1]  # the last entry is DMSO's
    return gaussian(vectors.astype(np.float64), np.flatnonzero([name in trained for name in names]))


def likeness(keys: pd.DataFrame, chosen: Mapping = MORGAN, train: np.ndarray | None = None) -> np.ndarray:
    """Return how alike treatments are, (T, T), in [0, 1]: their molecules, by dose and cell line.

    A Gaussian of a tenfold dose, and one half for another cell line: a positive definite kernel, so that ridge regression in it is
    that on all products of numbers of the molecule, dose and line.

    Parameters
    ----------
    keys : molecule, dose, cell_line
    chosen : see `alike_molecules`
    train : rows whose molecules scale the vectors; all by default
    """
    names = list(keys["molecule"].unique())
    trained = set(keys["molecule"] if train is None else keys["molecule"].iloc[train])
    place = keys["molecule"].map({name: number for number, name in enumerate(names)}).to_numpy()
    doses = np.nan_to_num(keys["dose"].to_numpy(np.float64), nan=0.0)
    lines = keys["cell_line"].to_numpy(object)
    by_dose = np.exp(-0.5 * (doses[:, None] - doses[None]) ** 2)
    by_line = np.where(lines[:, None] == lines[None], 1.0, 0.5)
    return alike_molecules(names, chosen, trained)[np.ix_(place, place)] * by_dose * by_line


def ridge(alike: np.ndarray, wanted: np.ndarray, train: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
    """Return kernel ridge regression's answer for `test`, (n, D), from centred profiles `wanted` (T, D) of `train`."""
    gram = alike[np.ix_(train, train)] + penalty * np.eye(len(train))
    return alike[np.ix_(test, train)] @ np.linalg.solve(gram, wanted[train])


def neighbours(alike: np.ndarray, wanted: np.ndarray, train: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
    """Return the mean of the `count` most alike training profiles, weighted by their likeness: (n, D)."""
    known = alike[np.ix_(test, train)]
    nearest = np.argsort(-known, axis=1, kind="stable")[:, :count]  # (n, count)
    weights = np.maximum(np.take_along_axis(known, nearest, axis=1), 1e-9)
    return np.einsum("nk,nkd->nd", weights / weights.sum(axis=1, keepdims=True), wanted[train][nearest])
