"""How often an arm paints the phenotype of a compound that failed: known answers, and the words where truth is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.profiles import failed

FEATURES = [f"Cells_{number}" for number in range(20)]
COMPOUNDS = [f"SIM-{number:03d}-{side}" for number in range(1, 6) for side in "AB"]
INERT = "SIM-005-B"  # does nothing on any plate


def plates(failing, paint, seed=0):
    """Three plates of 6 DMSO and 10 compounds; `paint(compound, shift, failed)` gives a well's mean profile.

    Returns
    -------
    wells : well profiles; truth : with `failed` as `failing` says, {plate: compounds}
    """
    rng = np.random.default_rng(seed)
    shifts = dict(zip(COMPOUNDS, np.random.default_rng(7).normal(0, 2, (10, 20)))) | {INERT: np.zeros(20)}
    rows, truth = [], []
    for plate in ("P1", "P2", "P3"):
        for number, name in enumerate(["DMSO"] * 6 + COMPOUNDS):
            bad = name in failing.get(plate, ())
            mean = np.zeros(20) if name == "DMSO" else paint(name, shifts[name], bad)
            key = {"Metadata_Plate": plate, "Metadata_Well": f"A{number + 1:02d}"}
            rows.append({**key, "Metadata_perturbation": name, "Metadata_control_type": "negcon" if name == "DMSO" else "",
                         **dict(zip(FEATURES, mean + rng.normal(0, 0.3, 20)))})  # fmt: skip
            truth.append({**key, "active": int(name not in ("DMSO", INERT)), "failed": int(bad)})
    return pd.DataFrame(rows), pd.DataFrame(truth)


def seen(name, shift, bad):
    return np.zeros(20) if bad else shift


FAILING = {"P1": ["SIM-001-A"], "P3": ["SIM-001-A", "SIM-002-B", "SIM-004-A", INERT]}


def rates(predicted, real, truth):
    rows = failed.painted_rows("P3", ["P1", "P2"], real, predicted, truth)
    return {row["metric"]: (row["value"], row["n"]) for row in rows}


def test_real_cells_show_no_failed_phenotype_and_every_working_one():
    real, truth = plates(FAILING, seen)
    assert rates(real, real, truth) == {"failed_painted": (0.0, 3), "working_painted": (1.0, 6)}


def test_an_arm_that_repeats_its_label_paints_every_failed_phenotype():
    real, truth = plates(FAILING, seen)
    replay, _ = plates(FAILING, lambda name, shift, bad: shift, seed=1)
    assert rates(replay, real, truth) == {"failed_painted": (1.0, 3), "working_painted": (1.0, 6)}


@pytest.mark.parametrize(("share", "value"), [(0.3, 0.0), (0.7, 1.0)])
def test_half_the_phenotype_is_the_border(share, value):
    real, truth = plates(FAILING, seen)
    arm, _ = plates(FAILING, lambda name, shift, bad: share * shift, seed=2)
    assert rates(arm, real, truth)["failed_painted"] == (value, 3)


def test_what_varies_between_wells_anyway_does_not_hide_a_phenotype():
    rng = np.random.default_rng(3)
    real, truth = plates(FAILING, seen)
    noise = rng.normal(0, 6, (len(real), 1)) * np.ones(20)  # one thing, such as the number of cells, moves 20 features
    wide = pd.concat([real, pd.DataFrame(noise, columns=[f"Nuclei_{n}" for n in range(20)])], axis=1)
    assert rates(wide, wide, truth) == {"failed_painted": (0.0, 3), "working_painted": (1.0, 6)}


def test_where_real_cells_show_nothing_nothing_is_counted():
    real, truth = plates(FAILING, seen)
    flat = real.copy()
    flat.loc[(flat["Metadata_Plate"] == "P3") & (flat["Metadata_perturbation"] != "DMSO"), FEATURES] *= -1
    assert [np.isnan(value) and n == 0 for value, n in rates(real, flat, truth).values()] == [True, True]


def test_the_arms_own_dmso_is_the_origin():
    real, truth = plates(FAILING, seen)
    moved = real.copy()
    moved[FEATURES] += 50.0
    assert rates(moved, real, truth) == rates(real, real, truth)


def test_training_wells_that_failed_do_not_shorten_the_axis():
    real, truth = plates({"P1": ["SIM-001-A"], "P3": ["SIM-001-A"]}, seen)
    training = failed.with_truth(real[real["Metadata_Plate"] != "P3"], truth)
    axes = failed.phenotype_axes(training, FEATURES)
    one_plate = real[(real["Metadata_Plate"] == "P2") & (real["Metadata_perturbation"] == "SIM-001-A")]
    origin = training.loc[training["Metadata_control_type"] == "negcon", FEATURES].mean()
    np.testing.assert_allclose(axes["SIM-001-A"], (one_plate[FEATURES].iloc[0] - origin).to_numpy(dtype=float))
    assert INERT not in axes


def test_a_phenotype_that_no_training_well_showed_is_not_counted():
    real, truth = plates({"P1": ["SIM-001-A"], "P2": ["SIM-001-A"], "P3": ["SIM-001-A", "SIM-002-B"]}, seen)
    assert rates(real, real, truth)["failed_painted"] == (0.0, 1)


def test_a_look_up_gives_each_well_its_perturbations_profile():
    real, truth = plates(FAILING, seen)
    looked_up = real[real["Metadata_Plate"] != "P3"].groupby("Metadata_perturbation", as_index=False)[FEATURES].mean()
    looked_up = looked_up.assign(Metadata_Plate="P3", Metadata_control_type="")
    assert rates(looked_up, real, truth)["failed_painted"] == (1.0, 3)
    wells = failed.in_wells(looked_up, real[real["Metadata_Plate"] == "P3"])
    assert (wells["Metadata_perturbation"] == "DMSO").sum() == 6 and len(wells) == 16


def test_wells_without_cells_are_left_out_and_a_lacking_feature_too():
    real, truth = plates(FAILING, seen)
    arm = real.copy()
    place = arm.index[(arm["Metadata_Plate"] == "P3") & (arm["Metadata_perturbation"] == "SIM-002-B")]
    arm.loc[place, FEATURES] = np.nan
    gap = arm.index[(arm["Metadata_Plate"] == "P3") & (arm["Metadata_perturbation"] == "SIM-003-A")]
    arm.loc[gap, FEATURES[0]] = np.nan
    assert rates(arm, real, truth) == {"failed_painted": (0.0, 2), "working_painted": (1.0, 6)}


def test_no_failed_well_gives_no_rate():
    real, truth = plates({}, seen)
    value, n = rates(real, real, truth)["failed_painted"]
    assert np.isnan(value) and n == 0


def test_the_interval_is_wilsons():
    row = failed.rate(np.array([True] * 3 + [False] * 7))
    z, p, n = 1.959964, 0.3, 10
    middle, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n),
    )
    assert row["value"] == 0.3 and row["n"] == 10
    assert row["low"] == pytest.approx(middle - half, abs=1e-5) and row["high"] == pytest.approx(
        middle + half, abs=1e-5
    )


def test_a_well_without_truth_is_named():
    real, truth = plates(FAILING, seen)
    with pytest.raises(ValueError, match="plate P3, well A16: has a profile but no row.*rerun `simulate`"):
        rates(real, real, truth.iloc[:-1])
