"""Grit and mAP activity: a hand-made answer, naive references, nulls, agreement."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_active import FEATURES, simulated

from brightpaint.profiles import active, agreement


def naive_grit(profiles, own, controls):
    """cytominer-eval's steps, pair by pair."""
    each = []
    for one in own:
        null = [np.corrcoef(profiles[one], profiles[other])[0, 1] for other in controls]
        for other in own:
            if other != one:
                r = np.corrcoef(profiles[one], profiles[other])[0, 1]
                each.append((r - np.mean(null)) / np.std(null))
    return np.mean(each)


def naive_precision(similarity, positive):
    order = np.argsort(-similarity)
    hits = positive[order]
    return np.mean([hits[: place + 1].mean() for place in np.flatnonzero(hits)])


def wells_of(seed, **changes):
    plates, truth = simulated(seed, **changes)
    wells, features = active.known_wells(plates, FEATURES, "paper")
    return wells, wells[features].to_numpy(dtype=float), truth


def test_grit_has_the_answer_worked_out_by_hand():
    # correlations of the replicates: 1; with the two controls: 1 and -1 (mean 0, s.d. 1): Grit 1
    profiles = np.array([[0.0, 1, 2], [1, 2, 3], [0, 2, 4], [2, 1, 0]])
    assert agreement.grit_of(profiles, np.array([0, 1]), np.array([2, 3])) == pytest.approx(1)
    assert np.isnan(agreement.grit_of(profiles, np.array([0]), np.array([2, 3])))
    assert np.isnan(agreement.grit_of(profiles, np.array([0, 1]), np.array([2])))


def test_grit_equals_the_naive_version():
    profiles = np.random.default_rng(0).normal(size=(9, 20))
    own, controls = np.array([0, 3, 4]), np.array([1, 2, 6, 8])
    assert agreement.grit_of(profiles, own, controls) == pytest.approx(naive_grit(profiles, own, controls))


def test_map_activity_equals_a_naive_ranking_against_dmso_alone():
    wells, values, _ = wells_of(0)
    table = agreement.activity_table(values, wells, permutations=50, alpha=0.05)
    scaled = values / np.linalg.norm(values, axis=1, keepdims=True)
    control = (wells["Metadata_control_type"] == "negcon").to_numpy()
    for name in ("c00", "c11", "c17"):
        own = (wells["Metadata_perturbation"] == name).to_numpy()
        each = []
        for row in np.flatnonzero(own):
            others = control | own
            others[row] = False
            each.append(naive_precision(scaled[others] @ scaled[row], own[others]))
        assert table.at[name, "map_activity"] == pytest.approx(np.mean(each), abs=1e-6)
    assert "DMSO" not in table.index


def test_batches_of_perturbations_change_nothing(monkeypatch):
    wells, values, _ = wells_of(1)
    whole = agreement.activity_table(values, wells, permutations=50, alpha=0.05)
    monkeypatch.setattr(agreement, "BATCH", 4)
    pd.testing.assert_frame_equal(whole, agreement.activity_table(values, wells, permutations=50, alpha=0.05))


def test_all_ways_find_the_truth_and_none_finds_much_where_nothing_is():
    wells, values, truth = wells_of(2)
    grit = agreement.grit_table(values, wells, alpha=0.05)
    precision = agreement.activity_table(values, wells, permutations=1000, alpha=0.05)
    for found in (grit.index[grit["grit"] > grit["grit_null"]], precision.index[precision["map_activity_q"] <= 0.05]):
        assert len(set(found) & truth) >= 9 and len(set(found) - truth) <= 2
    false = []
    for seed in range(6):
        wells, values, _ = wells_of(seed, active_targets=0)
        grit = agreement.grit_table(values, wells, alpha=0.05)
        precision = agreement.activity_table(values, wells, permutations=500, alpha=0.05)
        false.append([(grit["grit"] > grit["grit_null"]).mean(), (precision["map_activity_q"] <= 0.05).mean()])
    assert np.mean(false, axis=0)[0] < 0.15 and np.mean(false, axis=0)[1] < 0.05, false


def test_without_replicates_or_dmso_there_is_nothing_and_without_permutations_no_p():
    wells, values, _ = wells_of(3, plates=1)
    assert agreement.grit_table(values, wells, alpha=0.05)["grit"].isna().all()
    assert len(agreement.activity_table(values, wells, permutations=10, alpha=0.05)) == 0
    wells, values, _ = wells_of(3)
    table = agreement.activity_table(values, wells, permutations=0, alpha=0.05)
    assert table["map_activity"].notna().all() and table["map_activity_p"].isna().all()


def test_kappa_known_answers():
    assert agreement.kappa([1, 1, 0, 0], [1, 1, 0, 0]) == 1
    assert agreement.kappa([1, 1, 0, 0], [1, 0, 1, 0]) == 0
    assert agreement.kappa(
        [1] * 20 + [1] * 5 + [0] * 10 + [0] * 15, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    ) == pytest.approx(0.4)
    assert np.isnan(agreement.kappa([1, 1], [1, 1])) and np.isnan(agreement.kappa([], []))


def test_agreement_counts_every_pair_and_leaves_out_what_says_nothing():
    table = pd.DataFrame({
        "Metadata_perturbation": list("abcd") + ["DMSO"], "Metadata_control_type": [""] * 4 + ["negcon"], "wells": [2, 2, 2, 0, 9],
        "found": [1, 1, 0, 0, 0], "cluster": ["active", "inactive", "inactive", "no cells", "control"],
        "grit": np.nan, "grit_null": np.nan, "map_activity_q": [0.01, 0.5, 0.5, np.nan, np.nan],
    })  # fmt: skip
    found = agreement.agreement(agreement.calls_of(table, 0.05)).set_index(["first", "second"])
    assert list(found.index) == [("active", "clusters"), ("active", "mAP"), ("clusters", "mAP")]
    assert found.loc[("active", "mAP"), ["n", "both", "first_only", "second_only", "neither"]].tolist() == [
        3,
        1,
        1,
        0,
        1,
    ]
    assert found.at[("clusters", "mAP"), "kappa"] == 1


def test_a_list_of_targets_stands_in_place_of_what_was_found_and_keeps_targets_whole():
    table = active.find_active(simulated(4)[0], FEATURES, components=100, permutations=100, alpha=0.05)
    chosen = active.choose(table, ["T0", "T8", "elsewhere"])
    assert chosen.loc[chosen["active"] == 1, "Metadata_target"].tolist() == ["T0", "T0", "T8", "T8"]
    assert chosen["found"].equals(table["found"])
    with pytest.raises(ValueError, match="none of 1 listed targets .elsewhere"):
        active.choose(table, ["elsewhere"])


def test_many_valued_targets_are_kept_by_any_of_them():
    table = active.find_active(simulated(5)[0], FEATURES, components=100, permutations=100, alpha=0.05)
    table.loc[table["Metadata_perturbation"] == "c03", "Metadata_target"] = "T1|X"
    assert active.choose(table, ["X"]).set_index("Metadata_perturbation")["active"].sum() == 1
