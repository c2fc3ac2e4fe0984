"""The axis between two control classes: constructed embeddings whose answers are known, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import axis, held_out, off_axis, separation

DOSES = (0.1, 0.3, 1.0, 3.0, 10.0)
NUMBERS = [f"DINO_{number:03d}" for number in range(128)]
ENTRY = {
    "name": "effect", "annotation": "perturbation", "positive": ["mock"], "negative": ["infected"], "groups": "Well",
    "normalise": "plate", "protocol": "seen", "permutations": 19, "bootstrap": 50, "seen": {},
}  # fmt: skip


def study(seed=0, *, controls=12, shift=3.0, plates=("P1", "P2"), lines=("",), each=1, width=128):
    """Return wells: mock and infected, `shift` s.d. apart along one way; `riser` goes from infected to mock, `inert` stays.

    Plates have offsets and scales of their own, cell lines a way of their own.
    """
    rng = np.random.default_rng(seed)
    way, off = rng.normal(size=width), rng.normal(size=width)
    way, off = (each_way / np.linalg.norm(each_way) for each_way in (way, off))
    rows, values = [], []
    for number, plate in enumerate(plates):
        own = [("mock", np.nan, 1.0)] * controls + [("infected", np.nan, 0.0)] * controls
        own += [("riser", dose, dose / (1 + dose)) for dose in DOSES] * each + [
            ("inert", dose, 0.0) for dose in DOSES
        ] * each
        scale, offset = rng.uniform(0.5, 2, width), rng.normal(size=width) * 3
        for place, (name, dose, share) in enumerate(own):
            line = lines[number % len(lines)]
            value = rng.normal(size=width) + shift * share * way * np.sqrt(width) / 4 + 2 * rng.normal() * off
            values.append(value * scale + offset)
            rows.append((plate, f"{chr(65 + place // 24)}{place % 24 + 1:02d}", name, dose, line))
    names = ["Metadata_Plate", "Metadata_Well", "Metadata_perturbation", "Metadata_dose", "Metadata_cell_line"]
    frame = pd.DataFrame(rows, columns=names).assign(Metadata_control_type="", Metadata_time_h=np.nan)
    return pd.concat([frame, pd.DataFrame(values, columns=NUMBERS[:width])], axis=1)


def placed_on(wells, **changes):
    return axis.axis(wells, [name for name in wells if name.startswith("DINO_")], ENTRY | changes)


# --- known answers --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    return placed_on(study(each=2))


def test_the_controls_means_out_of_fold_are_one_and_minus_one_and_every_well_is_placed(found):
    placed, _, _ = found
    means = placed.groupby("class")["on"].mean()
    assert means["+"] == pytest.approx(1, abs=1e-9) and means["-"] == pytest.approx(-1, abs=1e-9)
    assert len(placed) == 2 * (24 + 20) and np.isfinite(placed[axis.SCORES].to_numpy(float)).all()
    assert (placed["fold"] >= 0).equals(placed["class"] != "") and set(placed["fold"]) == {-1, 0, 1, 2, 3}
    controls = placed[placed["class"] != ""]
    for score in ("off", "off_1"):
        assert controls[score].mean() == pytest.approx(0, abs=1e-9)


def test_it_rises_with_a_rising_dose_and_is_flat_for_an_inert_one(found):
    _, treated, _ = found
    treated = treated[treated["class"] == ""].set_index(["Metadata_perturbation", "Metadata_dose"])["on"]
    rising, inert = treated["riser"].sort_index(), treated["inert"].sort_index()
    assert rising.is_monotonic_increasing and rising.iloc[0] < -0.4 and rising.iloc[-1] > 0.4
    assert (inert < -0.5).all() and np.ptp(inert) < 0.7


def test_treatments_of_several_wells_have_an_interval_and_of_one_none(found):
    _, treated, _ = found
    own = treated[(treated["Metadata_perturbation"] == "riser") & (treated["Metadata_dose"] == 1.0)].iloc[0]
    assert own["wells"] == 4 and own["plates"] == 2 and own["on_low"] < own["on"] < own["on_high"]
    _, alone, _ = placed_on(study(plates=("P1",)), permutations=0)
    one = alone[alone["Metadata_perturbation"] == "riser"]
    assert (one["wells"] == 1).all() and one["on"].notna().all() and one[["on_low", "on_high"]].isna().all(axis=None)


def test_accuracy_has_an_interval_and_a_p_and_the_off_axis_finds_what_varies_beside(found):
    placed, _, told = found
    pooled = told[told["cell_line"] == ""].set_index("metric")
    assert list(pooled.index) == ["accuracy", "balanced_accuracy", "auc"]
    assert (pooled["value"] > 0.9).all() and (pooled["p"] == 1 / 20).all() and (pooled["null"] < 0.65).all()
    assert (pooled["low"] < pooled["value"]).all() and (pooled["high"] >= pooled["value"]).all()
    assert (pooled["low"] > 0.75).all() and (pooled["wells"] == 48).all() and (pooled["protocol"] == "strict").all()
    assert placed["off_1"].std() > 0.2


def test_no_well_lies_on_both_sides_and_each_is_held_out_once():
    wells = study()
    labels, groups = axis.class_labels(wells, ENTRY), axis.group_names(wells, "Well").to_numpy()
    own = labels >= 0
    twice = np.concatenate([labels[own], labels[own]]), np.concatenate([groups[own], groups[own]])  # two fields a well
    fold = held_out.deal(*twice, 4, "x")
    assert pd.Series(fold).groupby(twice[1]).nunique().max() == 1
    counts = pd.crosstab(fold, twice[0])
    assert counts.shape == (4, 2) and (counts == 12).all(axis=None)  # 24 wells a class, two rows each: 75/25
    order = np.random.default_rng(3).permutation(len(fold))
    assert (held_out.deal(twice[0][order], twice[1][order], 4, "x") == fold[order]).all()


@pytest.mark.parametrize("classes", [(2, 2), (2, 20), (3, 5)])
def test_every_class_is_trained_on_in_every_split_however_few_its_wells(classes):
    labels = np.repeat([0, 1], classes)
    fold = held_out.deal(labels, np.arange(len(labels)), 4, "x")
    assert all(set(labels[fold != number]) == {0, 1} for number in range(4))


# --- traps ----------------------------------------------------------------------------------------


def test_fewer_wells_than_numbers_separate_in_sample_whatever_they_are_and_not_out_of_fold():
    rng = np.random.default_rng(1)
    values, labels = rng.normal(size=(40, 512)), np.repeat([0, 1], 20)
    plane = held_out.fit_plane(values / np.sqrt(512), labels, 1.0)
    assert (plane.predict(values / np.sqrt(512)) == labels).all()  # the trap: noise, told apart without an error
    fold = held_out.deal(labels, np.arange(40), 4, "x")
    told = separation.cross_fit(list(held_out.splits_of(values, labels, fold, None)), labels, np.arange(40), "x")
    assert 0.2 < (told.called == labels).mean() < 0.8


def test_shuffled_labels_are_at_chance():
    """Labels of wells that do differ, shuffled: accuracies about a half, and p no small ones."""
    accuracies, ps = [], []
    for seed in range(4):
        wells = study(seed, controls=12, width=24, plates=("P1",))
        own = wells.index[wells["Metadata_perturbation"].isin(["mock", "infected"])]
        names = wells.loc[own, "Metadata_perturbation"].to_numpy()
        wells.loc[own, "Metadata_perturbation"] = np.random.default_rng(seed).permutation(names)
        _, _, told = placed_on(wells, permutations=9, bootstrap=5, name=f"a{seed}")
        row = told.set_index("metric").loc["balanced_accuracy"]
        accuracies.append(row["value"])
        ps.append(row["p"])
    assert 0.35 < np.mean(accuracies) < 0.65 and max(accuracies) < 0.9
    assert np.mean(ps) > 0.25


def test_what_lies_on_the_wrong_side_held_out_gets_no_scale():
    told = separation.OutOfFold(np.zeros(4), np.array([-1.0, -1.0, 1.0, 1.0]), [], [])
    middle, half, reason = axis.scaled(told, np.array([1, 1, 0, 0]), np.ones(4, bool), "axes.x")
    assert np.isnan(middle) and np.isnan(half) and "there is no axis" in reason


def test_a_held_out_control_changes_nothing_that_scores_it():
    """Its numbers enter no scale, no C, no plane: another well's score by its split stays to the last bit."""
    wells = study(plates=("P1",))
    labels = axis.class_labels(wells, ENTRY)
    fold = np.where(labels >= 0, held_out.deal(labels, np.arange(len(labels)), 4, "x"), -1)
    values = wells[[name for name in wells if name.startswith("DINO_")]].to_numpy()
    spoilt = values.copy()
    spoilt[fold == 0] *= 1000.0
    plates = wells["Metadata_Plate"].to_numpy()
    one, other = (next(held_out.splits_of(each, labels, fold, plates)) for each in (values, spoilt))
    assert np.array_equal(one.points[fold != 0], other.points[fold != 0]) and np.array_equal(one.basis, other.basis)


def test_controls_are_placed_by_the_machine_that_held_them_out_and_others_by_the_mean_of_all():
    wells = study(plates=("P1",), width=24)
    values, labels = wells[NUMBERS[:24]].to_numpy(), axis.class_labels(wells, ENTRY)
    told, splits, fold, _ = axis.judge_axis(wells, values, labels, ENTRY | {"permutations": 0, "bootstrap": 2}, "x")
    groups, distances = axis.group_names(wells, "Well").to_numpy(), []
    for number, split in enumerate(splits):
        plane, _ = held_out.trained_plane(split, labels, groups, f"x/{number}", told.costs[number])
        distances.append(plane.decide(split.rows) / np.linalg.norm(plane.normals))
    expected = np.where(labels >= 0, np.choose(np.maximum(fold, 0), distances), np.mean(distances, axis=0))
    np.testing.assert_allclose(told.distance, expected)
    assert len(splits) == 4 and np.ptp(distances, axis=0).max() > 0.01
    norms = []  # off the axis by Pythagoras: the whole distance from the training wells' middle, less what lies along the axis
    for split, normal in zip(splits, told.normals):
        centred = split.points - split.points[split.trained].mean(axis=0)
        norms.append(np.sqrt((centred**2).sum(axis=1) - (centred @ split.basis @ normal) ** 2))
    off = np.where(labels >= 0, np.choose(np.maximum(fold, 0), norms), np.mean(norms, axis=0))
    np.testing.assert_allclose(off_axis.off_scores(splits, told, labels)[0], off - off[labels >= 0].mean(), atol=1e-9)


def test_c_is_the_least_of_the_best_in_nested_splits_of_the_training_rows_alone(monkeypatch):
    chosen = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        labels, groups = np.repeat([0, 1], [8, 24]), np.arange(32)
        rows = rng.normal(size=(32, 12)) / np.sqrt(12) + labels[:, None] * rng.normal(size=12) / 8
        inner, right = held_out.deal(labels, groups, 3, "x/inner"), []
        for cost in held_out.COSTS:
            called = np.empty(32, int)
            for number in range(3):
                own = inner == number
                called[own] = held_out.fit_plane(rows[~own], labels[~own], cost).predict(rows[own])
            right.append(np.mean([(called[labels == name] == name).mean() for name in (0, 1)]))
        chosen.append(held_out.choose_cost(rows, labels, groups, "x"))
        assert chosen[-1] == held_out.COSTS[int(np.argmax(np.round(right, 12)))]
    assert len(set(chosen)) > 1
    wells, seen = study(plates=("P1",), width=24), []
    monkeypatch.setattr(held_out, "choose_cost", lambda rows, *rest: seen.append((rows, *rest)) or 1.0)
    labels = axis.class_labels(wells, ENTRY)
    fold = np.where(labels >= 0, held_out.deal(labels, np.arange(len(labels)), 4, "x"), -1)
    for split in held_out.splits_of(wells[NUMBERS[:24]].to_numpy(), labels, fold, None):
        held_out.trained_plane(split, labels, np.arange(len(labels)), "x")
        rows, own, groups, _ = seen.pop()
        assert np.array_equal(rows, split.rows[split.trained]) and np.array_equal(own, labels[split.trained])
        assert not set(groups) & set(np.flatnonzero(split.held))


def test_a_class_of_few_wells_weighs_as_much_as_one_of_many():
    rng, labels = np.random.default_rng(0), np.repeat([0, 1], [12, 240])
    rows = rng.normal(size=(252, 1)) + labels[:, None]
    called = held_out.fit_plane(rows, labels, 1.0).predict(rows)
    assert (called[labels == 0] == 0).mean() > 0.5 and (called[labels == 1] == 1).mean() > 0.5


def test_intervals_count_what_is_held_out_together_not_its_wells():
    """Jeffreys' of 8 groups a class, of ten wells each or one: as wide, and that of 80 wells narrower."""
    labels, right = np.repeat([0, 1], 80), np.tile(np.arange(80) % 8 > 0, 2)
    called = np.where(right, labels, 1 - labels)
    groups = labels * 100 + np.tile(np.arange(80) // 10, 2)
    rng = lambda: np.random.default_rng(0)  # noqa: E731
    low, high = separation.share_intervals(labels, called, groups, rng())["balanced_accuracy"]
    draws = np.random.default_rng(1).beta(7.5, 1.5, (2, 20000)).mean(axis=0)
    assert (low, high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.02)
    alone = separation.share_intervals(labels, called, np.arange(160), rng())["balanced_accuracy"]
    assert alone[1] - alone[0] < (high - low) / 2


def test_a_plate_s_own_scale_before_makes_no_difference():
    """What normalised plates with held-out controls among their wells is undone: numbers may come in any scale."""
    wells, other = study(), study()
    names = [name for name in wells if name.startswith("DINO_")]
    for _, own in other.groupby("Metadata_Plate"):
        other.loc[own.index, names] = (own[names] - own[names].mean()) / own[names].std()
    one, two = (placed_on(frame, permutations=0)[0]["on"] for frame in (wells, other))
    assert np.allclose(one, two, atol=1e-6)


def test_the_order_of_rows_and_what_is_beside_makes_no_difference():
    wells = study(plates=("P1",))
    one = placed_on(wells, permutations=0)[0]
    other = placed_on(wells.sample(frac=1, random_state=4), permutations=0)[0]
    pd.testing.assert_frame_equal(one, other)


# --- cell lines, groups, protocols -----------------------------------------------------------------


def test_accuracy_is_told_pooled_and_by_cell_line_of_both_machines():
    wells = study(plates=("P1", "P2", "P3"), lines=("HRCE", "VERO", "VERO"))
    _, _, told = placed_on(wells, permutations=5, bootstrap=20)
    seen = set(zip(told["cell_line"], told["fitted"]))
    assert seen == {("", axis.ALL), ("HRCE", axis.ALL), ("VERO", axis.ALL), ("HRCE", axis.LINE), ("VERO", axis.LINE)}
    assert told.set_index(["cell_line", "fitted", "metric"])["wells"].loc[("HRCE", axis.LINE, "auc")] == 24


def test_cell_lines_on_plates_of_their_own_are_an_axis_by_plates_alone():
    wells = study(plates=("P1", "P2", "P3", "P4"), lines=("HRCE", "VERO"))
    lines = {"annotation": "cell_line", "positive": ["HRCE"], "negative": ["VERO"], "permutations": 0}
    with pytest.raises(
        ValueError, match="no plate has wells of both class - and another.*groups: Plate and normalise: none"
    ):
        placed_on(wells, **lines)
    placed, _, told = placed_on(wells, **lines, groups="Plate", normalise="none")
    assert told["folds"].iloc[0] == 4 and placed.groupby("Metadata_Plate")["fold"].nunique().max() == 1


def test_a_dose_or_a_time_may_be_the_class():
    wells = study()
    placed, _, _ = placed_on(wells, annotation="dose", positive=["10", "3"], negative=["0.1", "0.3"], permutations=0)
    assert set(placed.loc[placed["class"] == "+", "Metadata_dose"]) == {3.0, 10.0}


def test_the_protocol_that_was_kept_is_named_and_strict_tests_on_unseen_plates_alone():
    wells, saw = study(), {"the selection of features": ["P1"]}
    _, _, told = placed_on(wells, seen=saw, permutations=0)
    assert set(told["protocol"]) == {"test images seen"} and set(told["seen_by"]) == {"the selection of features"}
    placed, _, told = placed_on(wells, seen=saw, protocol="strict", permutations=0)
    assert set(told["protocol"]) == {"strict"} and (told["wells"] == 24).all() and set(told["seen_by"]) == {""}
    means = placed[placed["tested"] == 1].groupby("class")["on"].mean()
    assert set(placed.loc[placed["tested"] == 1, "Metadata_Plate"]) == {"P2"}
    assert means.to_dict() == pytest.approx({"-": -1, "+": 1})
    with pytest.raises(ValueError, match=r"strict leaves class - 0 .* \(none\).*protocol: seen"):
        placed_on(wells, seen={"x": ["P1", "P2"]}, protocol="strict")


# --- what is refused -------------------------------------------------------------------------------


def test_a_class_of_one_well_or_none_and_an_unknown_annotation_are_refused_by_name():
    wells = study(plates=("P1",))
    lone = wells.drop(wells.index[wells["Metadata_perturbation"] == "mock"][1:])
    with pytest.raises(ValueError, match=r"axes.effect: class \+ \(mock\) has one well, expected two or more"):
        placed_on(lone)
    with pytest.raises(ValueError, match="no well has perturbation moc; found: inert, infected, mock, riser"):
        placed_on(wells, positive=["moc"])
    with pytest.raises(ValueError, match="Batch: the wells have no such annotation"):
        placed_on(wells, annotation="Batch")


def test_numbers_that_do_not_vary_or_are_no_numbers_are_refused_and_wells_without_cells_are_named():
    wells = study(plates=("P1",))
    names = [name for name in wells if name.startswith("DINO_")]
    with pytest.raises(ValueError, match="axes.effect: none of 128 numbers differs between 24 control wells"):
        placed_on(wells.assign(**dict.fromkeys(names, 1.0)))
    holes = wells.copy()
    holes[names] = holes[names].where(np.arange(len(names))[None] != np.arange(len(holes))[:, None] % len(names))
    holes.loc[holes.index[:3], names[0]] = np.inf
    worse = wells.copy()
    for place, name in enumerate(names):
        worse.loc[place % len(worse), name] = np.nan
    with pytest.raises(ValueError, match="axes.effect: none of 128 numbers is known of all"):
        placed_on(worse)
    empty = wells.copy()
    empty.loc[[0, 30], names] = np.nan
    placed, _, told = placed_on(empty, permutations=0)
    lost = placed[placed["reason"] == axis.NO_CELLS]
    assert len(placed) == len(wells) and len(lost) == 2 and lost["on"].isna().all() and (told["wells"] == 23).all()


def test_the_command_writes_three_tables(tmp_path):
    store.write_table(study(plates=("P1",)), tmp_path / "wells.parquet")
    paths = [f"--{name}={tmp_path / name}.tsv" for name in ("placed", "treatments", "accuracy")]
    axis.main(["--space", "dino", "--settings", json.dumps(ENTRY | {"permutations": 2, "bootstrap": 5}),
               "--wells", str(tmp_path / "wells.parquet"), *paths])  # fmt: skip
    placed = store.read_table(tmp_path / "placed.tsv")
    assert list(placed) == axis.PLACED and len(placed) == 34
    assert list(store.read_table(tmp_path / "treatments.tsv")) == axis.TREATED
    assert list(store.read_table(tmp_path / "accuracy.tsv")) == axis.TOLD
