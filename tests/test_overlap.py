"""Shared target matches: known sets, chance, plates that both have."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint.evaluation import overlap


def profiles(matched, targets=8, seed=0):
    """Return treated profiles in pairs: those of `matched` targets point the same way, the others nowhere near."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2 * targets, 200))
    for target in matched:
        values[2 * target + 1] = values[2 * target]
    names = [f"c{n:02d}" for n in range(2 * targets)]
    frame = pd.DataFrame(values, index=names, columns=[f"Cells_{n}" for n in range(200)])
    return frame.assign(Metadata_target=[f"T{n // 2}" for n in range(2 * targets)])


def test_a_target_is_matched_by_its_name_and_one_alone_cannot_be():
    frame = profiles(range(8), targets=8).assign(
        Metadata_target=["A|B", "A", *["C"] * 2, *[f"S{n}" for n in range(12)]]
    )
    matched, possible = overlap.matched_targets(frame)
    assert matched == {"A", "C"} == possible


def test_the_matrix_counts_what_two_arms_share_and_what_chance_would():
    arms = {
        "real": {"P": profiles(range(8), 40), "Q": profiles([], 40, 1)},
        "a": {"P": profiles([0, 1, 2], 40, 2)},
        "b": {"R": profiles([0])},
    }
    own = {arm: len(overlap.matched_targets(arms[arm]["P"])[0]) for arm in ("real", "a")}
    table = overlap.overlap_table(arms, None).set_index(["row", "column"])
    pair = table.loc[("real", "a")]
    assert pair["plates"] == 1 and pair["possible"] == 40 and pair["shared"] >= 3
    assert (pair["of_row"], pair["of_column"]) == (own["real"], own["a"])
    assert pair["chance"] == pytest.approx(own["real"] * own["a"] / 40)
    assert pair["share"] == pytest.approx(pair["shared"] / own["a"])
    assert table.loc[("a", "a"), "shared"] == own["a"] and table.loc[("a", "b"), "plates"] == 0
    assert table.loc[("real", "real"), "plates"] == 2
    some = overlap.overlap_table({"real": arms["real"]}, {"c00", "c01", "c02"})
    assert some["possible"].tolist() == [2]


def test_independent_sets_share_what_chance_says():
    ratios = []
    for seed in range(12):
        arms = {name: {"P": profiles([], 30, 10 * seed + n)} for n, name in enumerate("xy")}
        pair = overlap.overlap_table(arms, None).set_index(["row", "column"]).loc[("x", "y")]
        ratios.append(pair["shared"] - pair["chance"])
    assert abs(np.mean(ratios)) < 3 * np.std(ratios) / np.sqrt(12) + 0.5


def test_the_figure_has_both_matrices_and_says_where_no_plate_is_common():
    table = overlap.overlap_table({"real": {"P": profiles([1])}, "b": {"R": profiles([0])}}, None)
    figure = overlap.overlap_figure(table, {"real": "real Cell Painting"})
    words = [text.get_text() for place in figure.axes for text in place.texts]
    assert len(words) == 8 and sum("no common" in word for word in words) == 4
    plt.close(figure)
