"""Cell counts of predicted wells against real ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.cells import counts


def medians(cells, sites=2):
    rows = [{"Metadata_Plate": "P", "Metadata_Well": f"A{well + 1:02d}", "Metadata_Site": site, "Metadata_Tile": 1,
             "Metadata_perturbation": f"c{well}", "Metadata_cells": number}
            for well, number in enumerate(cells) for site in range(1, sites + 1)]  # fmt: skip
    return pd.DataFrame(rows)


def scored(real, predicted, active=None, others=()):
    rows = pd.DataFrame(counts.plate_rows("P", "x", real, predicted, others, active))
    return rows.set_index(["subset", "metric"])


def test_a_copy_differs_by_nothing_whatever_its_row_order():
    real = medians([10, 20, 30, 5, 40, 8])
    rows = scored(real, real.sample(frac=1, random_state=0))
    assert rows.loc[("full", "cell_count"), "value"] == 0 and rows.loc[("full", "cell_count"), "high"] == 0
    correlation = rows.loc[("full", "cell_count_r")]
    assert correlation["value"] == pytest.approx(1) and correlation["n"] == 6
    assert abs(correlation["null"]) < 0.1 and correlation["null_bound"] < 1


def test_lost_and_invented_cells_have_a_sign():
    real = medians([10, 20, 30, 5])
    for factor, expected in ((1.5, 0.5), (0.5, -0.5), (0, -1)):
        rows = scored(real, real.assign(Metadata_cells=real["Metadata_cells"] * factor))
        row = rows.loc[("full", "cell_count")]
        assert row["value"] == pytest.approx(expected) and row["low"] == pytest.approx(expected)


def test_beside_the_difference_stands_what_other_real_plates_differ_by():
    real = medians([10, 20, 30])
    others = [
        medians([12, 22, 32, 900]),
        medians([8, 16, 24], sites=1),
        medians([5, 5, 5]).assign(Metadata_perturbation="z"),
    ]
    # a tenth more and a fifth fewer cells a field of the same compounds; the third plate shares none
    assert scored(real, real, others=others).loc[("full", "cell_count"), "null"] == pytest.approx((0.1 + 0.2) / 2)
    assert np.isnan(scored(real, real).loc[("full", "cell_count"), "null"])
    assert np.isnan(scored(medians([0, 0]), medians([1, 0]), others=others).loc[("full", "cell_count"), "null"])


def test_unrelated_counts_are_within_chance_and_constant_ones_score_0():
    rng = np.random.default_rng(1)
    real = medians(rng.integers(5, 50, 30))
    row = scored(real, medians(rng.integers(5, 50, 30))).loc[("full", "cell_count_r")]
    assert row["value"] < row["null_bound"] and row["low"] < row["value"] < row["high"]
    assert scored(real, medians([20] * 30)).loc[("full", "cell_count_r"), "value"] == 0


def test_an_arm_of_the_active_subset_is_counted_on_its_wells():
    real = medians([10, 20, 30, 5, 40])
    rows = scored(real, real[real["Metadata_perturbation"].isin(["c1", "c2", "c3"])], {"c1", "c2", "c3"})
    assert set(rows.index.get_level_values("subset")) == {"active"} and (rows["n"] == 3).all()


def test_empty_plates_and_few_wells_have_no_number():
    rows = scored(medians([0, 0, 0]), medians([3, 0, 1]))
    assert rows["value"].isna().all()
    rows = scored(medians([10, 20]), medians([12, 20]))
    assert np.isnan(rows.loc[("full", "cell_count_r"), "value"]) and rows.loc[("full", "cell_count"), "n"] == 2


def test_fields_that_are_missing_are_an_error():
    real = medians([10, 20, 30])
    with pytest.raises(ValueError, match="x, medians: 2 of 6 fields are not predicted, plate P, well A03"):
        scored(real, real.iloc[:4])
