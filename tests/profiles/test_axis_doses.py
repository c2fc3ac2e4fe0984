"""Curves along an axis: simulated compounds whose half effects are known, inert ones, and what is marked in place of a fit."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.profiles import axis_doses
from brightpaint.profiles.half_interval import profile_interval
from brightpaint.profiles.hill import Fit, fit_free, hill

SETTINGS = {
    "min_doses": 4,
    "alpha": 0.05,
    "draws": 200,
    "slope": [0.3, 5],
    "min_effect": 3,
    "bootstrap": 0,
    "cells_share": 0.5,
}
DOSES = np.geomspace(0.01, 20, 8)
NOISE = 0.25


def placed_wells(truths, *, seed=0, each=2, doses=DOSES, plates=("P1",), shape=hill):
    """Return wells as `axis` places them. truths: {compound: (half effect, slope, height in s.d. of a control)}."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(24):
        kind = "-" if number % 2 else "+"
        rows.append(("P1", f"control{kind}", np.nan, kind, (1 if kind == "+" else -1) + NOISE * rng.normal()))
    for name, (half, slope, height) in truths.items():
        for place, dose in enumerate(np.repeat(doses, each)):
            on = -1 + NOISE * (shape(dose, height, half, slope) + rng.normal())
            rows.append((plates[place % len(plates)], name, dose, "", on))
    frame = pd.DataFrame(rows, columns=["Metadata_Plate", "Metadata_perturbation", "Metadata_dose", "class", "on"])
    more = {"Metadata_Well": [f"{chr(65 + n // 24 % 26)}{n % 24 + 1:02d}" for n in range(len(frame))]}
    return frame.assign(**more, Metadata_cell_line="", Metadata_time_h=np.nan, Metadata_control_type="")


def truths_of(seed, count, height):
    rng = np.random.default_rng(seed)
    halves = DOSES[0] * (DOSES[-1] / DOSES[0]) ** rng.uniform(0.15, 0.85, count)
    return {f"c{n:03d}": (half, rng.uniform(0.8, 2.0), rng.uniform(*height)) for n, half in enumerate(halves)}


def test_of_two_hundred_inert_compounds_at_most_eight_percent_get_a_curve():
    table, means = axis_doses.curves(
        placed_wells(dict.fromkeys([f"i{n:03d}" for n in range(200)], (1, 1, 0))), SETTINGS
    )
    assert (
        table["half_um"].notna().mean() <= 0.08
        and (table["status"] != "flat").mean() <= 0.1
        and len(means) == 200 * len(DOSES)
    )
    flat = table[table["status"] == "flat"]
    assert (
        flat[["half_um", "half_low_um"]].isna().all(axis=None)
        and flat["reason"].str.contains("expected 0.05 or less").all()
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_of_two_hundred_compounds_half_effects_lie_within_a_factor_of_two_and_in_their_intervals(sign):
    """Of effects of 3 s.d. and more, three wells a dose; one that is not fitted counts as missed. A score may rise or fall."""
    truths = {name: (half, slope, sign * height) for name, (half, slope, height) in truths_of(3, 100, (3, 10)).items()}
    placed = placed_wells(truths, each=3)
    table, _ = axis_doses.curves(placed, SETTINGS)
    truth = np.array([truths[name][0] for name in table["Metadata_perturbation"]])
    assert (np.abs(np.log2(table["half_um"] / truth)) <= 1).mean() >= 0.8
    told = table["half_um"].notna()
    covered = (table["half_low_um"] <= truth) & (truth <= table["half_high_um"])
    assert covered[told].mean() >= 0.9
    (noise, freedom), held, widths = axis_doses.control_noise(placed), [], []
    assert freedom == 22 and noise == pytest.approx(NOISE, rel=0.3)
    for row, half in zip(table[told].itertuples(), truth[told]):
        own = placed[placed["Metadata_perturbation"] == row.Metadata_perturbation]
        dose, scores = own["Metadata_dose"].to_numpy(), own["on"].to_numpy()
        left = scores - row.bottom - hill(dose, row.top - row.bottom, row.half_um, row.slope)
        curve = Fit(row.top, row.half_um, row.slope, row.explained, 0.0, row.bottom, float((left**2).sum() / noise**2))
        how = {"slopes": [0.3, 5], "level": 0.9}
        low, high = profile_interval(dose, scores, np.full(len(dose), noise), curve, freedom=freedom, **how)
        assert low < profile_interval(dose, scores, np.full(len(dose), noise), curve, **how)[1] <= high
        held.append(low <= half <= high)
        widths.append(np.log10(high / low))
    assert np.mean(held) >= 0.85 and np.median(widths) < 1.2


def test_four_parameters_are_found_without_noise():
    curve = fit_free(DOSES, -1 + hill(DOSES, 2.0, 0.5, 1.0), np.full(len(DOSES), 0.01), slopes=[0.3, 5])
    assert (curve.bottom, curve.top, curve.half, curve.slope) == pytest.approx((-1, 1, 0.5, 1), rel=0.02)


def test_what_has_no_half_effect_within_the_doses_says_so():
    def humped(dose, height, half, slope):
        return np.where(dose < 2, hill(dose, height, half, slope), 0.0)

    table, _ = axis_doses.curves(placed_wells({"late": (200, 2, 300)}, each=3), SETTINGS)
    assert table.loc[0, "status"] == "censored_above" and np.isnan(table.loc[0, "half_um"])
    table, _ = axis_doses.curves(placed_wells({"humped": (0.1, 2, 20)}, each=3, shape=humped), SETTINGS)
    assert table.loc[0, "status"] == "non_monotone"
    table, _ = axis_doses.curves(placed_wells({"few": (1, 1, 8)}, doses=DOSES[:3]), SETTINGS)
    assert table.loc[0, ["status", "reason"]].tolist() == ["too_few_doses", "3 doses, expected 4 or more"]
    nowhere = placed_wells({"a": (1, 1, 8)}).assign(on=np.nan)
    table, means = axis_doses.curves(nowhere, SETTINGS)
    assert table.loc[0, "status"] == "no_axis" and "no axis" in table.loc[0, "reason"] and not len(means)


def test_a_study_without_doses_has_no_row_and_plates_change_no_null(tmp_path):
    store.write_table(placed_wells({}), tmp_path / "placed.tsv")
    axis_doses.main(["--settings", json.dumps(SETTINGS), "--placed", str(tmp_path / "placed.tsv"),
                     "--table", str(tmp_path / "table.tsv"), "--means", str(tmp_path / "means.tsv")])  # fmt: skip
    assert list(store.read_table(tmp_path / "table.tsv")) == axis_doses.COLUMNS
    assert len(store.read_table(tmp_path / "means.tsv")) == 0
    table, _ = axis_doses.curves(placed_wells({"a": (1, 1, 12)}, plates=("P1", "P2")), SETTINGS)
    assert table.loc[0, "status"] == "fitted" and table.loc[0, "plates"] == 2
