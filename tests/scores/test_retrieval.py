"""mAP of targets against copairs, a naive version and known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from copairs.map import average_precision, multilabel

from brightpaint.profiles.similarity import cosine_similarity, nearest_neighbours, shared_targets
from brightpaint.scores.profiles import retrieval


def plate(values, targets):
    """Return profiles indexed by perturbation, and fields with each in a well of its own, in row order."""
    names = [f"c{n:03d}" for n in range(len(targets))]
    profiles = pd.DataFrame(values, index=names, columns=[f"Cells_{n}" for n in range(values.shape[1])])
    wells = [f"{'ABCDEFGH'[n // 12]}{n % 12 + 1:02d}" for n in range(len(names))]
    fields = pd.DataFrame({"Metadata_Well": wells, "Metadata_perturbation": names})
    return profiles.assign(Metadata_target=targets), fields


def precisions(values, targets, order=None):
    nearest = nearest_neighbours(cosine_similarity(values), len(values) - 1)
    _, members = retrieval.target_members(targets)
    return retrieval.average_precisions(nearest, members, shared_targets(targets), order)


@pytest.mark.parametrize("targets", [[f"T{n // 2}" for n in range(20)], ["A|B", "A", "B|C", "C", "D"] * 4])
def test_average_precision_is_that_of_copairs(targets):
    values = np.random.default_rng(0).normal(size=(20, 8))
    meta = pd.DataFrame({"target": [name.split("|") for name in targets], "row": range(20)})
    peer = multilabel.average_precision(meta, values, pos_sameby=["target"], pos_diffby=[], neg_sameby=[],
                                        neg_diffby=["target"], multilabel_col="target", progress_bar=False)  # fmt: skip
    peer = peer.sort_values(["row", "target"])["average_precision"].to_numpy()
    np.testing.assert_allclose(precisions(values, targets), peer, atol=1e-6)


def test_average_precision_by_hand():
    """The partner comes second of three: 1/2. Nothing to find, or nothing to mistake it for: NaN."""
    angles = np.deg2rad([0, 30, 10, 90])
    values = np.column_stack([np.cos(angles), np.sin(angles)])
    found = precisions(values, ["A", "A", "B", ""])
    np.testing.assert_allclose(found, [1 / 2, 1 / 2, np.nan])
    assert np.isnan(precisions(values, ["A"] * 4)).all()


def test_an_order_gives_row_i_the_targets_of_row_order_i():
    rng = np.random.default_rng(1)
    values, targets = rng.normal(size=(12, 5)), np.array([f"T{n // 3}" for n in range(12)])
    order = rng.permutation(12)
    shuffled = np.sort(precisions(values, targets, order))
    np.testing.assert_allclose(shuffled, np.sort(precisions(values, targets[order])))


def test_duplicates_score_1_and_noise_is_within_chance():
    rng, targets = np.random.default_rng(2), [f"T{n // 2}" for n in range(60)]
    base = rng.normal(size=(30, 40))
    row = retrieval.retrieval_row(*plate(np.repeat(base, 2, axis=0), targets), "s")
    assert row["value"] == pytest.approx(1) and row["low"] == pytest.approx(1) and row["n"] == 30
    chance = sum(1 / k for k in range(1, 60)) / 59  # one positive among 59, at any place alike
    assert row["null"] == pytest.approx(chance, abs=0.01)
    assert row["floor"] > 0.4  # pairs lie side by side here
    noise = [retrieval.retrieval_row(*plate(rng.normal(size=(60, 40)), targets), f"s{n}") for n in range(5)]
    assert np.mean([row["value"] < row["null_bound"] for row in noise]) >= 0.8
    assert all(row["low"] < row["value"] < row["high"] for row in noise)


def test_constant_profiles_find_nothing():
    targets = [f"T{n // 2}" for n in range(40)]
    row = retrieval.retrieval_row(*plate(np.ones((40, 3)), targets), "s")
    assert row["value"] < 1.5 * row["null"]


def test_a_plate_without_pairs_or_without_profiles_has_no_number():
    values = np.random.default_rng(3).normal(size=(3, 4))
    for targets in (["A", "B", "C"], ["", "", ""], ["A", "A", "A"]):
        row = retrieval.retrieval_row(*plate(values, targets), "s")
        assert np.isnan(row["value"]) and row["n"] == 0
    assert retrieval.retrieval_row(*plate(values[:0], []), "s")["n"] == 0


def test_wells_without_a_place_leave_the_floor_out():
    profiles, fields = plate(np.random.default_rng(4).normal(size=(6, 4)), ["A", "A", "B", "B", "C", "C"])
    row = retrieval.retrieval_row(profiles, fields.replace({"A01": "odd"}), "s")
    assert np.isfinite(row["value"]) and "floor" not in row


# --- replicates ----------------------------------------------------------------------------------


def replicates(seed=0, n=12, plates=3, noise=1.0):
    """Return the profiles of one plate, those of the others, and the fields: a perturbation's profiles share a centre."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n, 8))
    frames = [plate(centres + noise * rng.normal(size=centres.shape), [""] * n) for _ in range(plates)]
    return frames[0][0], [frame for frame, _ in frames[1:]], frames[0][1]


def test_replicate_precision_is_that_of_copairs():
    query, gallery, _ = replicates()
    gallery[1] = gallery[1].iloc[3:]  # some perturbations have one replicate only
    frames = [query, *gallery]
    meta = pd.concat(
        [frame.reset_index(names="name")[["name"]].assign(side=min(n, 1)) for n, frame in enumerate(frames)]
    )
    values = np.concatenate([frame.filter(like="Cells").to_numpy() for frame in frames])
    peer = average_precision(meta.reset_index(drop=True), values, pos_sameby=["name"], pos_diffby=["side"], neg_sameby=[],
                             neg_diffby=["name", "side"], progress_bar=False)  # fmt: skip
    row = retrieval.replicate_map_row(
        query, gallery, pd.DataFrame({"Metadata_Well": [], "Metadata_perturbation": []}), "s"
    )
    assert row["value"] == pytest.approx(peer.loc[peer["side"] == 0, "average_precision"].mean(), abs=1e-6)
    assert row["n"] == 12 and "floor" not in row


def test_replicates_that_are_copies_score_1_and_noise_is_within_chance():
    query, gallery, fields = replicates(noise=0.0)
    row = retrieval.replicate_map_row(query, gallery, fields, "s")
    assert row["value"] == pytest.approx(1) and row["floor"] < 0.4 and row["low"] == pytest.approx(1)
    inside = []
    for seed in range(10):
        query, _, fields = replicates(seed)
        _, gallery, _ = replicates(seed + 100)
        row = retrieval.replicate_map_row(query, gallery, fields, "s")
        inside.append(row["value"] <= row["null_bound"])
    assert np.mean(inside) >= 0.7


def test_equal_profiles_find_no_replicate_and_joins_survive_shuffled_rows():
    query, gallery, fields = replicates(n=30)
    same = [frame.assign(**{name: 1.0 for name in frame.filter(like="Cells")}) for frame in (query, *gallery)]
    row = retrieval.replicate_map_row(same[0], same[1:], fields, "s")
    assert abs(row["value"] - row["null"]) < 0.1
    row = retrieval.replicate_map_row(query, gallery, fields, "s")
    shuffled = [frame.sample(frac=1, random_state=n) for n, frame in enumerate(gallery)]
    assert retrieval.replicate_map_row(query, shuffled, fields, "s")["value"] == pytest.approx(row["value"])
    assert retrieval.replicate_map_row(query, [], fields, "s") == {
        "metric": "map_replicate",
        "value": pytest.approx(np.nan, nan_ok=True),
        "n": 0,
    }


def test_plates_that_share_no_perturbation_have_no_replicates_to_find():
    profiles = pd.DataFrame({"f": [1.0, 2.0]}, index=["a", "b"])
    row = retrieval.replicate_map_row(profiles, [profiles.iloc[:0], profiles.iloc[:0]], pd.DataFrame(), "s")
    assert row["metric"] == "map_replicate" and np.isnan(row["value"]) and row["n"] == 0
