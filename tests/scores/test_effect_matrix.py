import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.effects.effect_matrix import (
    Change,
    coding_of,
    crossed,
    diagonal_shares,
    effect_matrix,
    fit_probe,
    real_changes,
    shuffled,
)

D = 6
A, B = np.array([1.0, 0, 0, 2, 0, 0]), np.array([0, 1.0, 0, 0, 0, 3])
LEVEL = {"b1": -1.0, "b2": 1.0}


def gaussian(design, seed, noise=0.02):
    """Return Gaussian features whose mean is a dose + b batch."""
    eps = np.random.default_rng(seed).normal(size=(len(design), D))
    batch = design["batch"].map(LEVEL).to_numpy()
    return np.outer(design["dose"], A) + np.outer(batch, B) + noise * eps


def grid(copies=20):
    rows = [(dose, batch) for dose in (-1.0, 0.0, 1.0) for batch in LEVEL for _ in range(copies)]
    return pd.DataFrame(rows, columns=["dose", "batch"])


def probes(noise=0.02):
    design = grid()
    features = gaussian(design, 0, noise)
    return {name: fit_probe(features, design[name], np.arange(len(design))) for name in design}


def change(factor, before, after, moves=None, count=30):
    """Return a change of what a perfect painter paints (or one that moves otherwise) from the same noise."""
    given = {"dose": 0.5, "batch": "b1"}
    both = [pd.DataFrame([{**given, factor: value}] * count) for value in (before, after)]
    unchanged, changed = (gaussian(each, 5) for each in both)
    return Change(factor, before, after, unchanged, changed if moves is None else unchanged + moves)


CHANGES = [change("dose", -1.0, 1.0), change("dose", 0.0, 1.0), change("batch", "b1", "b2")]


def as_table(found):
    return (
        found.pivot(index="changed", columns="read", values="value")
        .loc[["dose", "batch"], ["dose", "batch"]]
        .to_numpy()
    )


def test_the_matrix_of_a_gaussian_with_mean_a_dose_and_b_batch_is_diagonal():
    found = effect_matrix(CHANGES, probes(), grid())
    np.testing.assert_allclose(as_table(found), np.eye(2), atol=1e-2)
    assert min(diagonal_shares(found).values()) > 1 - 1e-3
    assert (found["skill"] > 0.99).all() and (found["reason"] == "").all()
    own = found[found["changed"] == found["read"]]
    assert (own["value"] > own["null_bound"]).all() and own["null"].abs().max() < 0.1


def test_a_painter_that_ignores_a_factor_one_that_halves_it_and_one_that_mixes_two_are_seen():
    ignored = effect_matrix([change("dose", 0.0, 1.0, 0 * A)], probes(), grid())
    np.testing.assert_allclose(ignored["value"], 0, atol=1e-9)
    assert np.isnan(diagonal_shares(ignored)["dose"])
    halved = effect_matrix([change("dose", 0.0, 1.0, A / 2)], probes(), grid()).set_index("read")
    assert halved.loc["dose", "value"] == pytest.approx(0.5, abs=0.01)
    mixed = effect_matrix([change("dose", 0.0, 1.0, A + 2 * B)], probes(), grid())
    by_read = mixed.set_index("read")["value"]
    np.testing.assert_allclose(by_read[["dose", "batch"]], [1, 1], atol=0.01)  # 2 b is the way from b1 to b2
    assert diagonal_shares(mixed)["dose"] == pytest.approx(0.5, abs=0.01)
    back = effect_matrix([change("dose", 0.0, 1.0, -A)], probes(), grid()).set_index("read")
    assert back.loc["dose", "value"] == pytest.approx(-1, abs=0.01)


def test_noise_that_is_not_fixed_stands_in_the_null():
    rng = np.random.default_rng(3)
    loud = [Change("dose", 0.0, 1.0, rng.normal(size=(12, D)), rng.normal(size=(12, D)))]
    found = effect_matrix(loud, probes(0.5), grid())
    read = found.set_index("read").loc["batch"]
    assert read["null"] > 0.01 and read["value"] < 2 * read["null_bound"]


def test_real_replicates_give_the_matrix_of_a_perfect_model_and_shuffled_conditions_none():
    design = grid()
    features = gaussian(design, 1)
    for name in design:
        real = real_changes(features, design, name)
        assert len(real) == (3 if name == "dose" else 1) and len(real[0].changed) == (2 if name == "dose" else 3)
        found = effect_matrix(real, probes(), design)
        assert found.set_index("read").loc[name, "value"] == pytest.approx(1, abs=0.01)
        assert diagonal_shares(found)[name] > 0.999
    dealt = effect_matrix(real_changes(features, shuffled(design, "dose"), "dose"), probes(), design).set_index("read")
    assert abs(dealt.loc["dose", "value"]) < 0.3


def test_strata_are_of_the_factors_that_cross_and_a_missing_value_is_one_of_its_own():
    design = grid().assign(plate=lambda table: table["batch"] + "_p")
    design.loc[::5, "dose"] = np.nan
    features = gaussian(design.fillna({"dose": 0.0}), 1)
    (found,) = real_changes(features, design, "batch")  # although no plate has both batches
    assert (found.before, found.after) == ("b1", "b2") and len(found.changed) == 4
    assert len(real_changes(features[design["dose"].notna()], design.dropna(), "dose")) == 3


def test_nested_factors_are_left_grey_with_the_reason():
    design = grid().assign(plate=lambda table: table["batch"] + "_p")
    features = gaussian(design, 0)
    both = {name: fit_probe(features, design[name], np.arange(len(design))) for name in ("dose", "plate")}
    found = effect_matrix([change("batch", "b1", "b2"), change("dose", 0.0, 1.0)], both, design)
    grey = found.set_index(["changed", "read"]).loc[("batch", "plate")]
    assert (
        np.isnan(grey["value"])
        and grey["reason"] == "batch and plate do not cross in the design: one is nested in the other"
    )
    assert found["value"].notna().sum() == 3


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (["a", "a", "b", "b"], ["x", "y", "x", "y"], True),
        (["a", "a", "b", "b"], ["x", "y", "z", "w"], False),  # each y, z has one a
        (["a", "a", "b", "b"], ["x", "x", "y", "y"], False),
        (["a", "a", "a"], ["x", "y", "z"], False),
        (["a", "a", "b"], ["x", "y", "x"], True),  # a cell is missing
    ],
)
def test_which_factors_cross(one, other, expected):
    assert crossed(pd.Series(one), pd.Series(other)) is expected is crossed(pd.Series(other), pd.Series(one))


def test_a_probe_that_reads_nothing_gives_no_number():
    design = grid()
    noise = np.random.default_rng(0).normal(size=(len(design), D))
    probe = fit_probe(noise, design["dose"], np.arange(len(design)))
    assert probe.skill < 0.1
    found = effect_matrix([change("batch", "b1", "b2")], {"dose": probe}, design)
    assert probe.skill > 0 or "reads nothing in wells that it was not fitted to" in found.loc[0, "reason"]


def test_a_factor_of_one_value_and_an_unknown_category_are_errors():
    design = grid().assign(batch="b1")
    with pytest.raises(ValueError, match=r"factor batch: one value alone \(b1\), which nothing can be read against"):
        fit_probe(np.zeros((len(design), D)), design["batch"], np.arange(len(design)))
    with pytest.raises(ValueError, match="value b9 is read by no probe; it knows b1, b2"):
        coding_of(grid()["batch"])(["b9"])


def test_a_constant_feature_tells_nothing():
    design = grid()
    features = np.column_stack([gaussian(design, 0), np.full(len(design), 7.0)])
    probe = fit_probe(features, design["dose"], np.arange(len(design)))
    there = np.append(np.zeros(D), 7.0)[None]
    assert np.allclose(probe.read(there), probe.read(there + np.append(np.zeros(D), 100)))
