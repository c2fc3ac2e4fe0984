"""Treatments painted from conditions alone, scored: what knows the molecules wins, what does not is said to, and nothing leaks."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.hold_out import hold_out
from brightpaint.plates.simulator.molecules import library
from brightpaint.scores.generation import gains, generation
from brightpaint.scores.generation.foretold import SWAPPED, foretell, swapped_with
from brightpaint.scores.generation.tested_plate import plate_of, treatments_tested
from brightpaint.scores.generation.treatment_effects import effects_of, fields_of, mean_effects, spread_of

D, FIELDS = 10, 3
NAMES = [f"DINO_{number}" for number in range(D)]
DRUGS = library().groupby("substructure").head(3).reset_index(drop=True)


def ways(told="substructure"):
    """Return {drug: its true effect}: of its substructure, or of its own name, which no structure tells."""
    rng = np.random.default_rng(1)
    known = {name: rng.normal(size=D) * 3 * (name != "") for name in sorted(set(DRUGS[told]))}
    return {drug.sample: known[getattr(drug, told)] for drug in DRUGS.itertuples()}


def plate(name, effects, *, seed, shift=0.0, noise=0.5, line="U2OS", draw=False):
    """Return a space's table of a plate: each drug in FIELDS fields, four times as many of DMSO."""
    rng, rows = np.random.default_rng(seed), []
    drugs = [("DMSO", "", np.zeros(D))] * 4 + [
        (row.sample, row.smiles, effects[row.sample]) for row in DRUGS.itertuples()
    ]
    for number, (drug, smiles, effect) in enumerate(drugs):
        for field in range(FIELDS):
            dose = np.nan if drug == "DMSO" else 1.0
            well = f"{'ABCDEFGH'[number // 24]}{number % 24 + 1:02d}"
            rows.append({"Metadata_Plate": name, "Metadata_Well": well, "Metadata_Site": field + 1, "Metadata_Tile": 1,
                         "Metadata_perturbation": drug, "Metadata_smiles": smiles, "Metadata_dose": dose,
                         "Metadata_treatment": drug if drug == "DMSO" else f"{drug}@1uM", "Metadata_cell_line": line,
                         "Metadata_target": "", "Metadata_control_type": "", "Metadata_time_h": np.nan,
                         **dict(zip(NAMES, effect + shift + noise * rng.normal(size=D)))})  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(Metadata_painted_as="", Metadata_draw=0) if draw else table


def scored(folder, painted, effects=None, by=None, molecules=True, **changes):
    """Run the command on plates P1 and P2 of training and P3 of test; return both tables."""
    real = {name: plate(name, effects or ways(), seed=seed, shift=seed) for seed, name in enumerate(("P1", "P2", "P3"))}
    chosen = {"by": "scaffold", "share": 0.4} if by is None else by
    for name, table in real.items():
        (folder / "real").mkdir(exist_ok=True)
        store.write_table(table, folder / "real" / f"{name}.parquet")
    (folder / "made").mkdir(exist_ok=True)
    store.write_table(painted, folder / "made" / "P3.parquet")
    training = pd.concat([real["P1"], real["P2"]], ignore_index=True)
    store.write_table(store.as_text(hold_out(training, real["P3"], chosen)), folder / "A.tsv")
    settings = {
        "training": {"P3": ["P1", "P2"]},
        "by": {"P3": chosen["by"] if isinstance(chosen, dict) else "perturbation"},
        "molecules": molecules,
    }
    words = ["--settings", json.dumps(settings), "--space", "dino", "--arm", "made", "--plates", "P3", "--painted"]
    words += [
        folder / "made" / "P3.parquet",
        "--real",
        *(folder / "real" / f"{name}.parquet" for name in real),
        "--held-out",
    ]
    words += [folder / "A.tsv", "--table", folder / "found.tsv", "--treatments", folder / "each.tsv"]
    generation.main([str(word) for word in words])
    return store.read_table(folder / "found.tsv"), store.read_table(folder / "each.tsv")


def value(found, baseline, metric="correlation", column="value", split="scaffold"):
    own = found[(found["baseline"] == baseline) & (found["metric"] == metric) & (found["split"] == split)]
    return own[column].iloc[0]


@pytest.fixture(scope="module")
def knowing(tmp_path_factory):
    """Both tables of a model that paints the truth, far off as a whole; no substructure tells it, nor can fingerprints."""
    effects = ways("sample")
    return scored(tmp_path_factory.mktemp("knowing"), plate("P3", effects, seed=9, shift=40.0, draw=True), effects)


def test_a_model_that_knows_the_molecules_lies_above_every_floor_and_near_the_replicate(knowing):
    found, each = knowing
    assert list(found.columns) == gains.COLUMNS and found["split"].unique().tolist() == ["seen", "scaffold"]
    assert (
        value(found, "model") > 0.9
        and value(found, "model", "rank") > 0.99
        and value(found, "model", "feature_correlation") > 0.9
    )
    matched = {name: value(found, name, "correspondence", split="seen") for name in ("real", "model", "swapped")}
    assert matched["real"] > 0.9 and matched["model"] > 0.9 and matched["swapped"] < 0.6
    for floor in ("ridge", "nearest neighbours", "nearest molecule", "mean", "swapped", "DMSO"):
        assert value(found, floor, column="gain_low") > 0 and value(found, floor, "rank", "gain_low") > 0, floor
    assert abs(value(found, "real replicate", column="gain")) < 0.1 and value(found, "mean") == 0
    assert value(found, "mean", "rank") == 0.5
    own = each[(each["baseline"] == "model") & (each["split"] == "scaffold")]
    assert (
        value(found, "model", column="treatments") == len(own)
        and value(found, "model", column="groups") == own["group"].nunique()
    )
    means = found[found["metric"].isin(["correlation", "rank", "feature_distance"]) & found["low"].notna()]
    assert (
        len(means) > 20
        and (means["low"] <= means["value"] + 1e-9).all()
        and (means["value"] <= means["high"] + 1e-9).all()
    )


def test_a_shift_of_all_that_is_painted_costs_distances_and_no_effect(tmp_path, knowing):
    effects = ways("sample")
    (near, _), (far, _) = scored(tmp_path, plate("P3", effects, seed=9, shift=1.0), effects), knowing
    assert value(near, "model") == pytest.approx(value(far, "model"))
    for metric in ("feature_distance", "mmd2", "frechet_distance", "sliced_distance"):
        assert value(far, "model", metric) > value(near, "model", metric), metric
        assert value(near, "DMSO", metric, "gain") > 0 > value(far, "DMSO", metric, "gain"), metric


def test_a_model_that_paints_one_thing_lies_above_nothing_and_ridge_finds_what_structure_tells(tmp_path):
    """What it paints is DMSO's, wherever that lies from the mean."""
    deaf = plate("P3", dict.fromkeys(ways(), np.zeros(D)), seed=9)
    found, _ = scored(tmp_path, deaf)
    assert abs(value(found, "DMSO", column="gain")) < 0.15 and value(found, "DMSO", "rank", "gain_low") < 0
    assert value(found, "ridge") > 0.3 and value(found, "ridge", split="seen") > 0.9
    names = ("real", "model", "DMSO", "real replicate")
    matched = {name: value(found, name, "correspondence", split="seen") for name in names}
    assert matched["real"] > 0.9 and abs(matched["real replicate"] - matched["real"]) < 0.05
    assert all(abs(matched[name] - 0.5) < 0.15 for name in ("model", "DMSO")), matched
    assert value(found, "real", "correspondence") > 0.7
    assert value(found, "real", "correspondence", "gain_high", split="seen") < 0
    for floor in ("ridge", "nearest neighbours", "nearest molecule", "real replicate"):
        assert value(found, floor, column="gain_high", split="seen") < 0, floor


def test_without_molecules_no_structure_stands_beside_and_names_are_swapped(tmp_path):
    effects = ways("sample")
    found, each = scored(tmp_path, plate("P3", effects, seed=9), effects, by=0.3, molecules=False)
    assert set(found["baseline"]) == {"model", "mean", "swapped", "DMSO", "real replicate"}
    assert set(each["split"]) == {"seen", "perturbation"} and value(found, "model", split="perturbation") > 0.9
    held = each[(each["split"] == "perturbation") & (each["baseline"] == "model")]
    assert len(held) == round(0.3 * len(DRUGS)) and (held["group"] == held["Metadata_treatment"] + "|U2OS|").all()


def test_a_treatment_painted_without_cells_counts_as_the_mean_and_one_without_real_cells_is_not_scored():
    effects, (empty, unreal) = ways("sample"), DRUGS["sample"].iloc[[1, 5]]
    tables = {name: plate(name, effects, seed=seed) for seed, name in enumerate(("P1", "P3", "made"))}
    tables["made"].loc[tables["made"]["Metadata_perturbation"] == empty, NAMES] = np.nan
    tables["P3"].loc[tables["P3"]["Metadata_perturbation"] == unreal, NAMES] = np.nan
    fields = {name: fields_of(table, NAMES) for name, table in tables.items()}
    held = hold_out(tables["P1"], tables["P3"], [])
    tested = treatments_tested(tables["made"], held, "P3", "")
    assert len(tested) == len(DRUGS)
    found = plate_of(
        "P3", fields["made"], fields["P3"], {"P1": fields["P1"]}, tested, held, by="", molecules=False, where="here"
    )
    assert set(found.tested["Metadata_perturbation"]) == set(DRUGS["sample"]) - {unreal} and set(
        found.tested["split"]
    ) == {"seen"}
    (row,) = np.flatnonzero(found.tested["Metadata_perturbation"] == empty)
    assert (
        not found.answers["model"][row].any() and not len(found.fields["model"][row]) and len(found.real[row]) == FIELDS
    )
    score = generation.scores_of(found, 1.0)
    assert score["with_cells"]["model"][row] == 0 and score["with_cells"]["model"].sum() == len(DRUGS) - 2
    assert score["correlation"]["model"][row] == 0 and np.isnan(score["mmd2"]["model"][row])


def test_the_effect_is_the_difference_from_the_line_s_own_dmso_and_a_line_without_any_is_refused():
    effects = ways("sample")
    both = pd.concat(
        [plate("P1", effects, seed=0, noise=0.0), plate("P1", effects, seed=0, noise=0.0, shift=7.0, line="A549")]
    )
    keys, found = effects_of(fields_of(both.reset_index(drop=True), NAMES), "plate P1")
    assert len(keys) == 2 * len(DRUGS)
    for row, effect in zip(keys["Metadata_perturbation"], found):
        np.testing.assert_allclose(effect, effects[row], atol=1e-9)
    bare = both[(both["Metadata_cell_line"] == "U2OS") | (both["Metadata_perturbation"] != "DMSO")].reset_index(
        drop=True
    )
    with pytest.raises(
        ValueError, match="plate P1: no field of DMSO with cells in A549, from which effects are measured"
    ):
        effects_of(fields_of(bare, NAMES), "plate P1")
    assert np.isnan(effects_of(fields_of(bare, NAMES), "", strict=False)[1]).any(axis=1).sum() == len(DRUGS)


def test_effects_of_plates_are_averaged_by_treatment_and_spread_is_within_plates():
    one, two = (plate(name, ways(), seed=seed, shift=100.0 * seed) for seed, name in enumerate(("P1", "P2")))
    sides = [fields_of(table, NAMES) for table in (one, two)]
    assert (spread_of(sides) < 10).all()  # the shift between plates has no part in it
    pairs = [effects_of(side, "") for side in sides]
    keys, means = mean_effects(pairs)
    assert len(keys) == len(DRUGS)
    np.testing.assert_allclose(means, np.mean([effects for _, effects in pairs], axis=0))


def test_swapping_keeps_line_and_dose_where_it_can_and_never_a_molecule():
    keys = pd.DataFrame({"Metadata_dose": [0.1, 10.0, 0.1, 10.0], "Metadata_cell_line": "U2OS", "Metadata_time_h": ""})
    names = np.array(["a", "a", "b", "b"], dtype=object)
    assert swapped_with(keys, names).tolist() == [2, 3, 0, 1] and SWAPPED == "swapped"
    assert swapped_with(keys.iloc[:1], names[:1]).tolist() == [0]


def test_too_few_molecules_are_no_ridge():
    keys = pd.DataFrame({"Metadata_dose": [1.0] * 3, "Metadata_cell_line": "", "Metadata_time_h": ""})
    names = np.array(["C", "CC", ""], dtype=object)
    with pytest.raises(
        ValueError, match="arm x: 2 trained treatments have a molecule that is known.*need 4; check the SMILES"
    ):
        foretell(keys, keys, np.zeros((3, 2)), (names, names), "scaffold", "arm x")


def test_tables_without_a_shared_number_or_real_cells_are_refused(tmp_path):
    painted = plate("P3", ways(), seed=9)
    with pytest.raises(ValueError, match="arm made: no number of the space dino is finite in every field with cells"):
        generation.numbers_of([painted, painted.drop(columns=NAMES)], generation.SPACES["dino"], NAMES, "arm made")
    other = painted.assign(Metadata_treatment="elsewhere@1uM", Metadata_perturbation="elsewhere")
    with pytest.raises(
        ValueError, match="arm made, plate P3: no treatment that was painted has real fields with cells"
    ):
        scored(tmp_path, other)
