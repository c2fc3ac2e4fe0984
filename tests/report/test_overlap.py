"""Shared target matches: known sets, chance, plates that both have."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import overlap


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
        ("real", "cellprofiler"): {"P": profiles(range(8), 40), "Q": profiles([], 40, 1)},
        ("a", "cellprofiler"): {"P": profiles([0, 1, 2], 40, 2)},
        ("b", "cellprofiler"): {"R": profiles([0])},
    }
    own = {arm: len(overlap.matched_targets(plates["P"])[0]) for (arm, _), plates in arms.items() if "P" in plates}
    table = overlap.overlap_table(arms, None).set_index(["row", "column"])
    pair = table.loc[("real", "a")]
    assert pair["plates"] == 1 and pair["possible"] == 40 and pair["shared"] >= 3
    assert (pair["of_row"], pair["of_column"]) == (own["real"], own["a"])
    assert pair["chance"] == pytest.approx(own["real"] * own["a"] / 40)
    assert pair["share"] == pytest.approx(pair["shared"] / own["a"])
    assert table.loc[("a", "a"), "shared"] == own["a"] and table.loc[("a", "b"), "plates"] == 0
    assert table.loc[("real", "real"), "plates"] == 2
    some = overlap.overlap_table({("real", "dino"): arms["real", "cellprofiler"]}, {"c00", "c01", "c02"})
    assert some["possible"].tolist() == [2] and some["row_space"].tolist() == ["dino"] == some["column_space"].tolist()


def test_one_arm_in_two_spaces_shares_the_targets_that_both_find():
    """As in the paper's Figure 6: DINO finds targets 0 to 5 on the plate, CellProfiler 4 to 9; an arm's spaces are two rows."""
    spaces = {
        ("real", "cellprofiler"): {"P": profiles(range(4, 10), 40, 3)},
        ("real", "dino"): {"P": profiles(range(6), 40, 4)},
    }
    table = overlap.overlap_table(spaces, None)
    pair = table[(table["row_space"] == "cellprofiler") & (table["column_space"] == "dino")].iloc[0]
    left, right = (overlap.matched_targets(plates["P"])[0] for plates in spaces.values())
    assert {"T4", "T5"} <= left & right and pair["shared"] == len(left & right)
    assert (pair["of_row"], pair["of_column"]) == (len(left), len(right)) and pair["shared"] < min(
        len(left), len(right)
    )
    assert pair["chance"] == pytest.approx(len(left) * len(right) / 40)


def test_independent_sets_share_what_chance_says():
    ratios = []
    for seed in range(12):
        arms = {(name, "cellprofiler"): {"P": profiles([], 30, 10 * seed + n)} for n, name in enumerate("xy")}
        pair = overlap.overlap_table(arms, None).set_index(["row", "column"]).loc[("x", "y")]
        ratios.append(pair["shared"] - pair["chance"])
    assert abs(np.mean(ratios)) < 3 * np.std(ratios) / np.sqrt(12) + 0.5


def words_of(figure):
    return [text.get_text() for place in figure.axes for text in place.texts]


def test_the_figure_has_both_matrices_and_says_where_no_plate_is_common():
    arms = {("real", "cellprofiler"): {"P": profiles([1])}, ("b", "cellprofiler"): {"R": profiles([0])}}
    figure = overlap.overlap_figure(overlap.overlap_table(arms, None), {"real": "real Cell Painting"})
    words = words_of(figure)
    assert len(words) == 8 and sum("no common" in word for word in words) == 4
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["real Cell Painting", "b"]
    plt.close(figure)


def test_the_figure_names_the_space_where_there_are_two_and_stacks_large_matrices():
    arms = {
        (arm, space): {"P": profiles([1], seed=n)}
        for n, space in enumerate(("cellprofiler", "dino"))
        for arm in "abcde"
    }
    figure = overlap.overlap_figure(overlap.overlap_table(arms, None), {"a": "first"})
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert ticks[:2] == ["first", "b"] and ticks[5:7] == ["first, DINO", "b, DINO"]
    wide, high = figure.get_size_inches()
    assert len(words_of(figure)) == 200 and high > wide  # two matrices of ten rows side by side would not fit a page
    plt.close(figure)


def written(folder, name, plates, prefix):
    frames = [frame.rename(columns=lambda column: column.replace("Cells_", prefix)).assign(Metadata_Plate=plate)
              for plate, frame in plates.items()]  # fmt: skip
    table = pd.concat(frames).rename_axis("Metadata_perturbation").reset_index().assign(Metadata_control_type="")
    store.write_table(table, folder / f"{name}.parquet")
    return str(folder / f"{name}.parquet")


def test_both_spaces_reach_the_files_and_references_count_the_painted_plates_alone(tmp_path):
    two = {"P": profiles([0, 1], 20), "Q": profiles([2], 20, 1)}
    real, painted = (
        written(tmp_path, "real", two, "Cells_"),
        written(tmp_path, "a", {"P": profiles([0], 20, 2)}, "Cells_"),
    )
    seen = [written(tmp_path, "seen", two, "DINO_DNA_"), written(tmp_path, "bright", two, "DINO_BF_"),
            written(tmp_path, "seen_a", {"P": profiles([1], 20, 3)}, "DINO_DNA_")]  # fmt: skip
    words = ["--settings", '{"dpi": 40}', "--subset", "full", "--figure", str(tmp_path / "x.png")]
    words += ["--table", str(tmp_path / "x.tsv")]
    spaces = ["cellprofiler", "cellprofiler", "dino", "dino", "dino"]
    overlap.main([*words, "--arms", "real", "a", "--spaces", *spaces[:2], "--profiles", real, painted])
    assert len(store.read_table(tmp_path / "x.tsv")) == 4
    words += ["--arms", "real", "a", "real", "brightfield", "a", "--spaces", *spaces]
    overlap.main([*words, "--profiles", real, painted, *seen])
    table = store.read_table(tmp_path / "x.tsv")
    assert len(table) == 25 and set(table["plates"].astype(int)) == {1}
    assert list(dict.fromkeys(zip(table["row"], table["row_space"]))) == [
        ("real", "cellprofiler"), ("a", "cellprofiler"), ("real", "dino"), ("brightfield", "dino"), ("a", "dino"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="--arms, --spaces and --profiles must be as many; 5, 5 and 3"):
        overlap.main([*words, "--profiles", *seen])
