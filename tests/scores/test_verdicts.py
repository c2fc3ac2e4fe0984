"""What is told with something erased, from known counts; verdicts where attention and erasure agree, and not otherwise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.cells.erasure import NO_BACKGROUND, NO_CELL, NOTHING, WHOLE, counts_shown, erased_rows, told
from brightpaint.scores.cells.verdicts import AT, AWAY, COLUMNS, OPEN, verdicts

NAMES = ["a", "b"]
WELLS = np.repeat([f"P1/A{number:02d}" for number in range(8)], 10)
TRUTH = np.repeat([0, 1] * 4, 10)


def counts(**answers):
    shown = {"whole": WHOLE, "no_cell": NO_CELL, "no_background": NO_BACKGROUND, "nothing": NOTHING}
    given = {shown[name]: np.asarray(answer) for name, answer in answers.items()}
    return counts_shown(given, TRUTH, WELLS, 2)


def lifts(value, low, high):
    return pd.DataFrame({"value": value, "low": low, "high": high}, index=pd.Index(NAMES, name="class"))


def said(lift=(2.0, 1.5, 2.5), untrained=1.1, **answers):
    rows = pd.DataFrame(verdicts(counts(**answers), lifts(*lift), lifts(untrained, 1.0, 1.2), NAMES, "real"))
    assert set(rows.columns) == set(COLUMNS)
    return rows.set_index("class")


ALL_A, NOISE = np.zeros(80, int), np.random.default_rng(0).integers(0, 2, 80)
INSIDE = {"whole": TRUTH, "no_cell": NOISE, "no_background": TRUTH, "nothing": NOISE}
OUTSIDE = {**INSIDE, "no_cell": TRUTH, "no_background": NOISE}


def test_a_class_is_told_by_its_own_cells_less_others():
    table = np.array([[8.0, 2.0], [3.0, 7.0]])
    np.testing.assert_allclose(told(table), [0.8 - 0.3, 0.7 - 0.2])
    np.testing.assert_allclose(told(np.array([[10.0, 0.0], [10.0, 0.0]])), [0, 0])  # one answer for all tells nothing
    assert np.isnan(told(np.array([[5.0, 0.0], [0.0, 0.0]]))).all()
    found = pd.DataFrame(erased_rows(counts(**INSIDE), NAMES, "x")).set_index(["shown", "metric", "class"])
    assert found.loc[(WHOLE, "told", "b"), ["value", "low", "high", "cells", "wells"]].tolist() == [1, 1, 1, 40, 4]
    assert abs(found.loc[(NO_CELL, "told", "b"), "value"]) < 0.3 and found.loc[(NO_CELL, "told", "b"), "low"] < 0
    assert found.loc[(WHOLE, "accuracy", ""), "value"] == 1 and found.loc[(WHOLE, "accuracy", ""), "chance"] == 0.5


CASES = {
    "both say the cell": (INSIDE, {}, AT, "attention says the cell, erasure says the cell"),
    "both say elsewhere": (
        OUTSIDE,
        {"lift": (0.3, 0.2, 0.5)},
        AWAY,
        "attention says what surrounds it, erasure says what",
    ),
    "attention alone": (OUTSIDE, {}, OPEN, "attention says the cell, erasure says what surrounds it"),
    "erasure alone": (INSIDE, {"lift": (1.0, 0.8, 1.2)}, OPEN, "attention says neither more, erasure says the cell"),
    "no better than untrained": (INSIDE, {"untrained": 2.1}, AT, "before training the lift was no less"),
    "chance": ({**INSIDE, "whole": NOISE}, {}, OPEN, "no better than by chance"),
    "one answer": ({**INSIDE, "whole": ALL_A}, {}, OPEN, "no better than by chance"),
    "empty maps": (INSIDE, {"lift": (np.nan, np.nan, np.nan)}, OPEN, "its maps are empty"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_verdict_needs_cells_that_are_told_and_two_that_agree(name):
    answers, changes, verdict, why = CASES[name]
    row = said(**{**answers, **changes}).loc["b"]
    assert row["verdict"] == verdict and why in row["why"]


def test_what_is_answered_where_nothing_is_shown_is_known_by_what_it_lacks():
    table = said(**{**INSIDE, "nothing": ALL_A})
    assert table.loc["a", "verdict"] == OPEN and "known by what it lacks" in table.loc["a", "why"]
    assert table.loc["a", "answered_both_erased"] == 1 and table.loc["b", "verdict"] == AT


def test_a_class_of_one_well_has_no_verdict_and_one_without_cells_no_row():
    names = ["a", "b", "c"]
    three = {shown: np.pad(counted, ((0, 0), (0, 1), (0, 1))) for shown, counted in counts(**INSIDE).items()}
    one = {shown: np.where(np.arange(8)[:, None, None] == 1, counted, counted * np.array([1, 0, 0])[None, :, None])
           for shown, counted in three.items()}  # fmt: skip
    own = lifts(2.0, 1.5, 2.5)
    rows = pd.DataFrame(verdicts(one, own, own, names, "real")).set_index("class")
    assert list(rows.index) == ["a", "b"] and rows.loc["b", "verdict"] == OPEN
    assert "1 test wells of its own" in rows.loc["b", "why"]
