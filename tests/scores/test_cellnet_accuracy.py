"""Accuracy of the classifier of cells: known counts, intervals by well, chance, positions; painted arms too."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.scores.cells import cellnet_accuracy
from brightpaint.scores.cells.cellnet_accuracy import confusions, same_positions, scores
from cells_fixture import learnt, plate_wells, write_cells


def table_of(truth, answer, wells, names=("a", "b", "c")):
    counted = confusions(np.array(truth), np.array(answer), wells, len(names))
    return pd.DataFrame(scores(counted, names, np.random.default_rng(0))).set_index(["metric", "class"])


def test_known_counts_have_known_scores():
    truth, answer = [0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 0, 2, 2]
    table = table_of(truth, answer, ["A", "A", "B", "B", "C", "D", "E", "E"])
    value, chance = table["value"], table["chance"]
    assert value["accuracy", ""] == 6 / 8 and chance["accuracy", ""] == 0.5
    assert (
        value["balanced_accuracy", ""] == pytest.approx((0.75 + 0.5 + 1) / 3)
        and chance["balanced_accuracy", ""] == 1 / 3
    )
    assert value["macro_f1", ""] == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert value["recall", "b"] == 0.5 and chance["recall", "b"] == 0.25 and table.loc[("recall", "b"), "wells"] == 2
    assert table.loc[("recall", "b"), ["low", "high"]].tolist() == [0, 1]  # one well is right, the other wrong
    assert np.isnan(table.loc[("recall", "c"), "low"]) and table.loc[("accuracy", ""), "wells"] == 5


def test_intervals_are_by_well_not_by_cell():
    """Cells of a well are right or wrong together: a bootstrap over cells would take 400 of them for 400 replicates."""
    wells = np.repeat([f"A{n}" for n in range(8)], 50)
    answer = np.repeat([0, 1, 0, 1, 0, 0, 0, 1], 50)
    low, high = table_of(np.zeros(400, int), answer, wells).loc[("accuracy", ""), ["low", "high"]]
    assert high - low > 0.5


def test_classes_without_cells_are_not_known():
    table = table_of([0, 0, 1], [0, 2, 1], ["A", "B", "B"])
    assert np.isnan(table.loc[("recall", "c"), "value"]) and table.loc[("balanced_accuracy", ""), "value"] == 0.75
    assert table.loc[("balanced_accuracy", ""), "chance"] == 0.5


def test_positions_of_training_wells_are_counted():
    groups = ["P1/A01", "P2/A01", "P2/B01", "P2/B01", "P1/C01"]
    cells = pd.DataFrame({"group": groups, "plate": [group[:2] for group in groups], "name": list("aabba")})
    roles = np.array(["train", "test", "test", "test", "train"], object)
    assert same_positions(cells, roles, roles == "test") == {"": 0.5, "a": 1.0, "b": 0.0}


@pytest.mark.parametrize("group", ["movie {}", "other/{}", "movies{}"])
def test_groups_that_are_no_wells_have_no_place(group):
    """Movies of one's own may bear a stroke and a number, which say nothing of where on a plate they were filmed."""
    cells = pd.DataFrame({"group": [group.format(n) for n in (1, 1, 2, 2)], "plate": "movies", "name": list("abab")})
    roles = np.array(["train", "train", "test", "test"], object)
    assert same_positions(cells, roles, roles == "test") == {}


def run(folder, trained, crops, arm="real", variants=("cells", "shuffled")):
    weights = [learnt(variant) / "weights.safetensors" for variant in variants]
    words = [
        "--settings",
        json.dumps({"label": "perturbation"}),
        "--device",
        "cpu",
        "--arm",
        arm,
        "--variants",
        *variants,
    ]
    words += ["--weights", *weights, "--split", trained / "weights.tsv", "--crops", *crops]
    cellnet_accuracy.main(
        [str(word) for word in [*words, "--table", folder / "t.tsv", "--cells", folder / "c.parquet"]]
    )
    return store.read_table(folder / "t.tsv"), store.read_table(folder / "c.parquet")


def test_the_command_scores_held_out_wells_beside_shuffled_labels_and_chance(tmp_path):
    trained = learnt("cells")
    table, cells = run(tmp_path, trained, sorted(trained.glob("P?.tif")))
    split = store.read_table(trained / "weights.tsv").query("role == 'test'")
    assert set(cells["group"]) == set(split["group"]) and len(cells) == split["cells"].sum()
    whole = table[table["metric"] == "balanced_accuracy"].set_index("variant")
    assert whole.loc["cells", "value"] > 0.9 and whole.loc["cells", "low"] > 0.8
    assert abs(whole.loc["shuffled", "value"] - 0.5) < 0.3 and (whole["chance"] == 0.5).all()
    right = (cells["class"] == cells["answer_cells"]).mean()
    assert table.query("variant == 'cells' and metric == 'accuracy'")["value"].item() == pytest.approx(right, rel=1e-4)
    assert {"same_position", "wells"} <= set(table) and set(table["class"]) == {"", "a", "b"}


def test_a_painted_arm_is_tested_in_test_wells_alone(tmp_path):
    trained = learnt("cells")
    painted = write_cells(tmp_path / "P2.tif", wells=plate_wells(2), where="nowhere", seed=9)
    table, cells = run(tmp_path, trained, [painted], arm="pert", variants=("cells",))
    split = store.read_table(trained / "weights.tsv").query("role == 'test' and plate == 'P2'")
    assert set(cells["group"]) == set(split["group"]) and (table["arm"] == "pert").all()
    assert table.query("metric == 'recall' and `class` == 'b'")["value"].item() < 0.5  # painted without stripes
    other = write_cells(tmp_path / "P9.tif", wells=plate_wells(2))
    with pytest.raises(
        ValueError, match="none of the 96 cells of arm pert lies in a test well of a class that was learnt"
    ):
        run(tmp_path, trained, [other], arm="pert", variants=("cells",))
    large = write_cells(tmp_path / "P3.tif", wells=plate_wells(2), cells=1, size=(1, 20, 20))
    with pytest.raises(
        ValueError, match=r"P3.tif: crops of \[1, 20, 20\] .* expected \[1, 16, 16\] as .* was trained on"
    ):
        run(tmp_path, trained, [painted, large], arm="pert", variants=("cells",))
