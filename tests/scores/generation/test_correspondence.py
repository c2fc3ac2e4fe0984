"""The matcher of fields and molecules: its closed form, molecules that it never saw, and chance where nothing is told."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.models.conditions.molecule_vectors import canonical
from brightpaint.plates.simulator.molecules import library
from brightpaint.scores.generation import correspondence
from brightpaint.scores.generation.correspondence import accuracy, fit, solved

RNG = np.random.default_rng(0)
DRUGS = library()
NAMES = np.array([canonical(text) for text in DRUGS["smiles"]], dtype=object)


def fields_of(rows, way, count=6, noise=0.3, seed=1):
    """Return fields of some drugs, whose effect is that of their substructure, and the molecule of each."""
    rng = np.random.default_rng(seed)
    effects = {name: np.random.default_rng(7 + number).normal(size=12) for number, name in enumerate(sorted(set(way)))}
    values = [effects[way[row]] + noise * rng.normal(size=12) for row in rows for _ in range(count)]
    return np.array(values), np.repeat(NAMES[rows], count)


def test_the_weights_are_the_least_squares_of_fields_and_attributes():
    """Against the same objective solved as one system over all products of a field's and a molecule's numbers."""
    fields, attributes = RNG.normal(size=(9, 3)), RNG.normal(size=(4, 5))
    fields -= fields.mean(axis=0)
    wanted = np.where(RNG.random((9, 4)) > 0.5, 1.0, -1.0)
    a, b = 0.7, 0.3
    # |XVS - Y|^2 + a |VS|^2 + b |XV|^2 + a b |V|^2, V (3, 5): its normal equations over vec(V)
    both = np.kron(fields.T @ fields + a * np.eye(3), attributes.T @ attributes + b * np.eye(5))
    naive = np.linalg.solve(both, (fields.T @ wanted @ attributes).ravel()).reshape(3, 5)
    found = solved(fields, attributes @ attributes.T, wanted, a, b) @ attributes  # V = weights of the kernel's form
    np.testing.assert_allclose(found, naive, atol=1e-10)


def test_the_share_of_others_that_go_less_well_counts_ties_a_half():
    scores = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(accuracy(scores, np.array([0, 1, 2])), [1.0, 0.25, 0.5])
    naive = [np.mean([(one[own] > one[other]) + 0.5 * (one[own] == one[other]) for other in range(3) if other != own])
             for one, own in zip(scores, (0, 1, 2))]  # fmt: skip
    np.testing.assert_allclose(accuracy(scores, np.array([0, 1, 2])), naive)
    assert np.isnan(accuracy(np.ones((2, 1)), np.array([0, 0]))).all()


def test_a_molecule_that_was_not_trained_on_is_known_by_its_structure_and_one_that_says_nothing_is_not():
    rows = np.arange(len(DRUGS))
    left = DRUGS.groupby("substructure").head(1).index.to_numpy()
    kept = np.setdiff1d(rows, left)
    for told, low, high in (("substructure", 0.8, 1.0), ("sample", 0.3, 0.7)):
        way = DRUGS[told].to_numpy()
        matcher = fit(*fields_of(kept, way), fields_of(kept, way)[1], "test")
        values, names = fields_of(left, way, seed=5)
        found = correspondence.correspondence(matcher, np.split(values, len(left)), NAMES[left])
        assert low <= found.mean() <= high, (told, found)
        assert (
            fit(*fields_of(kept, way), fields_of(kept, way)[1], "test").weights.tobytes() == matcher.weights.tobytes()
        )
    way = DRUGS["substructure"].to_numpy()
    matcher = fit(*fields_of(kept, way), fields_of(kept, way)[1], "test")
    values, _ = fields_of(left, way, seed=5)
    swapped = correspondence.correspondence(matcher, np.split(values, len(left)), np.roll(NAMES[left], 1))
    assert swapped.mean() < 0.6


def test_a_molecule_of_which_nothing_is_known_goes_with_no_field():
    found = correspondence.directions_of(np.array([[3.0, 0.0], [4.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.0], [0.8, 0.0]])


def test_too_few_molecules_train_no_matcher_and_what_has_no_field_or_molecule_has_no_number():
    values, names = fields_of(np.arange(3), DRUGS["sample"].to_numpy())
    assert fit(values, names, names, "test") is None
    assert np.isnan(correspondence.correspondence(None, [values], NAMES[:1])).all()
    values, names = fields_of(np.arange(8), DRUGS["sample"].to_numpy())
    matcher = fit(values, names, names, "test")
    sets = [values[:6], np.empty((0, 12)), values[12:18]]
    found = correspondence.correspondence(matcher, sets, np.array([NAMES[0], NAMES[1], ""], dtype=object))
    assert np.isfinite(found[0]) and np.isnan(found[1:]).all()
    assert np.isnan(correspondence.correspondence(matcher, sets[:1], NAMES[:1])).all()  # no other to be told from


def test_of_many_molecules_some_are_drawn_by_name(monkeypatch):
    monkeypatch.setattr(correspondence, "MOST", 5)
    values, names = fields_of(np.arange(9), DRUGS["sample"].to_numpy())
    one, two = (fit(values, names, names, "test") for _ in range(2))
    assert one.prints.shape[0] == 5 and one.weights.tobytes() == two.weights.tobytes()
    assert one.weights.tobytes() != fit(values, names, names, "another").weights.tobytes()


@pytest.mark.parametrize("count", [1, 3])
def test_a_mean_of_shares_does_not_depend_on_what_stands_beside(count):
    way = DRUGS["substructure"].to_numpy()
    values, names = fields_of(np.arange(10), way)
    matcher, sets = fit(values, names, names, "test"), np.split(values, 10)
    whole = correspondence.correspondence(matcher, sets, NAMES[:10])
    alone = correspondence.correspondence(matcher, [*sets[:count], *[np.empty((0, 12))] * (10 - count)], NAMES[:10])
    np.testing.assert_allclose(alone[:count], whole[:count])
