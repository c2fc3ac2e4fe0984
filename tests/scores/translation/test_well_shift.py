"""Shifts by well: known answers, and over seeds that classes which differ by nothing are found to differ at the rate promised."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brightpaint.scores.translation import well_shift
from brightpaint.scores.translation.well_shift import CLASS
from translation_fixture import Plates

NUMBERS = ["a", "b"]


def table(*rows):
    """Rows of (plate, well, class, a, b)."""
    return pd.DataFrame(rows, columns=["Metadata_Plate", "Metadata_Well", CLASS, *NUMBERS])


def test_wells_are_means_of_their_fields_and_a_gap_has_no_part():
    fields = table(
        ("P", "A01", "x", 1.0, 5), ("P", "A01", "x", 3.0, 7), ("P", "A02", "x", np.nan, 1), ("P", "A01", "y", 9, 9)
    )
    wells = well_shift.well_means(fields, NUMBERS)
    assert wells[["Metadata_Well", CLASS]].values.tolist() == [["A01", "x"], ["A01", "y"], ["A02", "x"]]
    np.testing.assert_array_equal(wells[NUMBERS], [[2, 6], [9, 9], [np.nan, 1]])


def test_noise_is_pooled_within_classes_and_plates():
    wells = table(("P", "A01", "x", 1, 1), ("P", "A02", "x", 3, 1), ("P", "A03", "y", 10, 1), ("P", "A04", "y", 14, 1),
                  ("P", "A05", "", 99, 1), ("Q", "A01", "x", 50, 1))  # fmt: skip
    noise = well_shift.well_noise(wells, NUMBERS, "x")
    assert noise.variance.tolist() == [(1 + 1 + 4 + 4) / 2, 0] and noise.degrees.tolist() == [2, 2]
    assert np.isnan(noise.sd[1]) and noise.sd[0] == pytest.approx(np.sqrt(5))
    assert noise.plate_degrees == 1
    assert noise.plate_variance[0] == pytest.approx(np.var([2, 50], ddof=1) - 5 * np.mean([1 / 2, 1]))
    assert np.mean((noise.residuals**2).sum(axis=0)[0]) == pytest.approx(2 * 10)  # scaled by n / (n - 1)


def test_a_real_shift_is_the_t_test_of_two_samples():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(4, 1)), rng.normal(1, 1, size=(6, 1))
    wells = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": [f"A{n:02d}" for n in range(10)],
                          CLASS: ["x"] * 4 + ["y"] * 6, "a": np.concatenate([left, right])[:, 0]})  # fmt: skip
    noise = well_shift.well_noise(wells, ["a"], "y")
    shift, known = well_shift.real_shift(left, right, noise), stats.ttest_ind(left[:, 0], right[:, 0])
    assert shift.p[0] == pytest.approx(known.pvalue)
    low, high = known.confidence_interval()
    np.testing.assert_allclose(np.ravel(shift.interval()), [low, high])


def test_a_translated_shift_has_the_error_of_the_wells_it_was_learned_from():
    noise = well_shift.WellNoise(np.array([4.0]), np.array([20]), np.array([9.0]), 2, np.zeros((0, 1)))
    differences = np.array([[1.0], [2.0], [3.0]])
    shift = well_shift.translated_shift(differences, noise, {"P": 2}, {"P": 8})
    assert shift.value[0] == 2 and shift.error[0] == pytest.approx(np.sqrt(1 / 3 + 4 * (1 / 2 + 1 / 8)))
    parts = np.array([1 / 3, 4 * 0.625])
    assert shift.degrees[0] == pytest.approx(parts.sum() ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 20))
    leaning = well_shift.translated_shift(differences, noise, {"P": 2}, {"P": 4, "Q": 4})
    assert leaning.error[0] == pytest.approx(np.sqrt(1 / 3 + 4 * 0.625 + 9 * (0.5**2 + 0.5**2)))


@pytest.mark.parametrize("case", ["one source well", "an untrained class", "no spread of wells"])
def test_what_cannot_be_tested_has_no_p(case):
    spread = 0.0 if case == "no spread of wells" else 1.0
    noise = well_shift.WellNoise(np.array([spread]), np.array([5]), np.zeros(1), 0, np.zeros((0, 1)))
    rows = np.array([[1.0]]) if case == "one source well" else np.array([[1.0], [2.0]])
    shift = well_shift.translated_shift(rows, noise, {} if case == "an untrained class" else {"P": 1}, {"P": 3})
    assert np.isnan(shift.p).all() and np.isfinite(shift.value).all()
    assert np.isnan(well_shift.false_discovery(shift.p)).all()


def test_discoveries_leave_gaps_alone():
    q = well_shift.false_discovery(np.array([0.01, np.nan, 0.04]))
    np.testing.assert_allclose(q, [0.02, np.nan, 0.04])


SEEDS, CELLS, FEATURES = 50, 12, 24


def twin_study(seed, *, plates, wells, lean):
    """Simulate DMSO wells of which some are called twin, and a model that has learned the two means and no more.

    Returns
    -------
    wells of training plates T1, ... and of the held-out plate P, as `well_means` gives them; (8, CELLS, FEATURES), what
    each cell of P's source wells is shifted by
    """
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(4, FEATURES))
    noise = lambda *shape: rng.normal(size=(*shape, 4)) @ loadings + rng.normal(size=(*shape, FEATURES))  # noqa: E731
    names = [f"T{n}" for n in range(plates)]
    placed = [(name, "DMSO") for name in names for _ in range(8)] + [("P", "DMSO")] * 8
    placed += [(names[0] if lean else names[n % plates], "twin") for n in range(wells)]
    effects = {name: 2 * noise() if lean else 0 for name in [*names, "P"]}
    cells = np.stack([effects[plate] + noise() + 2 * noise(CELLS) for plate, _ in placed])  # (wells, CELLS, FEATURES)
    table = pd.DataFrame(placed, columns=["Metadata_Plate", CLASS]).assign(
        Metadata_Well=[f"{n}" for n in range(len(placed))]
    )
    of = lambda name: (table[CLASS] == name) & (table["Metadata_Plate"] != "P")  # noqa: E731
    learned = cells[of("twin")].mean(axis=(0, 1)) - cells[of("DMSO")].mean(axis=(0, 1))
    shifts = learned + 0.2 * noise(8, CELLS)
    return pd.concat([table, pd.DataFrame(cells.mean(axis=1), columns=range(FEATURES))], axis=1), shifts


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("wells", [2, 12])
def test_classes_that_differ_by_nothing_are_found_no_oftener_than_promised(lean, wells):
    """A/A: DMSO wells split in two before training, and a deterministic map that moves every cell alike."""
    share, found, naive = [], [], []
    for seed in range(SEEDS):
        table, shifts = twin_study(seed, plates=4 if lean else 1, wells=wells, lean=lean)
        noise = well_shift.well_noise(table, range(FEATURES), "DMSO")
        counts = [well_shift.training_counts(table[table["Metadata_Plate"] != "P"], name) for name in ("twin", "DMSO")]
        shift = well_shift.translated_shift(shifts.mean(axis=1), noise, *counts)
        share.append(np.mean(shift.p < 0.05))
        found.append(np.mean(well_shift.false_discovery(shift.p) <= 0.05))
        naive.append(np.mean(stats.ttest_1samp(shifts.mean(axis=1), 0).pvalue < 0.05))
    error = lambda values: np.std(values, ddof=1) / np.sqrt(SEEDS)  # noqa: E731
    assert np.mean(found) <= 0.05 + 2 * error(found)
    assert np.mean(share) <= 0.05 + 2 * error(share)
    assert np.mean(share) > (
        0.0 if lean else 0.02
    )  # not blind; the plate that leans is among those that tell the spread
    assert np.mean(naive) > 0.5  # source wells alone, which all move alike, find most of what is not there


def test_what_is_there_is_found():
    plates = Plates(5, training=1, target_wells=12)
    noise = well_shift.well_noise(plates.real, plates.numbers, "DMSO")
    counts = [well_shift.training_counts(plates.trained, name) for name in ("drug@3uM", "DMSO")]
    q = well_shift.false_discovery(well_shift.translated_shift(plates.differences("drug@3uM"), noise, *counts).p)
    assert (q <= 0.05)[plates.changed].mean() > 0.9 and (q <= 0.05)[~plates.changed].mean() < 0.1
