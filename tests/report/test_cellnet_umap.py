"""Test cells along a training: what retrieval says is exact on made profiles, and the command draws what it found."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import cellnet_umap
from brightpaint.report.figures.cellnet_umap import precisions, retrieval_row, searched, well_medians
from cells_fixture import LARGE, learnt


def wells_of(values, classes, plates):
    frame = pd.DataFrame(np.asarray(values, float), columns=["0", "1"])
    groups = [f"{plate}/{number}" for number, plate in enumerate(plates)]
    return frame.assign(Metadata_Plate=plates, Metadata_group=groups, Metadata_class=classes)


def naive(wells, classes):
    """The average precision of each well by its definition: wells of other plates, or all others where there is one plate."""
    values, plates, found = wells[["0", "1"]].to_numpy(), wells["Metadata_Plate"].to_numpy(), []
    for own in range(len(wells)):
        others = [n for n in range(len(wells)) if (plates[n] != plates[own] if len(set(plates)) > 1 else n != own)]
        cosines = [values[n] @ values[own] / np.linalg.norm(values[n]) / np.linalg.norm(values[own]) for n in others]
        right = [classes[others[place]] == classes[own] for place in np.argsort(cosines)[::-1]]
        hits = [sum(right[: place + 1]) / (place + 1) for place, one in enumerate(right) if one]
        found.append(np.mean(hits) if hits and len(hits) < len(others) else np.nan)
    return found


def test_wells_find_their_class_on_other_plates_or_among_all_of_one():
    values, classes = [[1, 0.1], [0.1, 1], [1, 0.2], [0.2, 1]], np.array(["a", "b", "a", "b"])
    apart, one = wells_of(values, classes, ["P1", "P1", "P2", "P2"]), wells_of(values, classes, ["P1"] * 4)
    assert precisions(searched(apart, "x"), classes).tolist() == [1, 1, 1, 1]
    assert precisions(searched(one, "x"), classes).tolist() == [1, 1, 1, 1]
    assert retrieval_row(one, "x")["gallery"] == "other wells"
    row = retrieval_row(apart, "x")
    assert row["value"] == 1 and row["wells"] == 4 and row["gallery"] == "other plates" and 0.5 < row["null"] < 1
    nothing = retrieval_row(wells_of(values[:2], classes[:2], ["P1"] * 2), "x")
    assert np.isnan(nothing["value"]) and nothing["wells"] == 0 and np.isnan(retrieval_row(apart[:1], "x")["value"])


@pytest.mark.parametrize("plates", [["P1"] * 12, ["P1"] * 5 + ["P2"] * 4 + ["P3"] * 3])
def test_the_precisions_are_those_of_the_definition(plates):
    rng = np.random.default_rng(1)
    classes = np.array(list("aabbbbcccdaa"))
    wells = wells_of(rng.normal(size=(12, 2)), classes, plates)
    np.testing.assert_allclose(precisions(searched(wells, "x"), classes), naive(wells, classes))


def test_a_well_is_the_median_of_its_cells_standardised_by_plate_where_it_is_asked_for():
    cells = pd.DataFrame({"plate": ["P1"] * 5, "group": ["P1/A"] * 3 + ["P1/B"] * 2, "name": "a"})
    activations = np.array([[0.0, 7], [1, 7], [5, 7], [3, 7], [3, 7]])
    plain = well_medians(activations, cells, "none")
    assert plain[["0", "1"]].to_numpy().tolist() == [[1, 7], [3, 7]]
    assert well_medians(activations, cells, "plate")[["0", "1"]].to_numpy().tolist() == [[-1, 0], [1, 0]]


def run(folder):
    trained = learnt("cells", "inside", LARGE)
    other = folder / "at_0.safetensors"
    shutil.copy(learnt("shuffled", "inside", LARGE) / "weights.safetensors", other)
    settings = {"label": "perturbation", "normalise": "none", "umap_at": [0], "seed": 1, "dpi": 60}
    words = ["--settings", json.dumps(settings), "--device", "cpu", "--arm", "real", "--points", other]
    words += ["--crops", *sorted(trained.glob("P?.tif")), "--weights", trained / "weights.safetensors"]
    words += ["--split", trained / "weights.tsv", "--figure", folder / "real.png", "--table", folder / "real.tsv"]
    cellnet_umap.main([str(word) for word in words])
    return store.read_table(folder / "real.tsv")


def test_the_command_says_of_every_point_how_well_wells_find_their_class(tmp_path, monkeypatch):
    """The layout stands aside here, for the time that UMAP takes to compile itself; the next test has it."""
    monkeypatch.setattr(cellnet_umap, "layout", lambda activations, seed: activations[:, :2])
    table = run(tmp_path).set_index("images")
    assert list(table.index) == ["0", "kept"] and (table["metric"] == "map_replicate").all()
    assert table.loc["kept", "value"] == 1 and table.loc["kept", "null"] < 0.95
    assert (table["gallery"] == "other plates").all() and table["seed"].nunique() == 1
    assert (tmp_path / "real.png").stat().st_size > 5000
    pd.testing.assert_frame_equal(table, run(tmp_path).set_index("images"))


@pytest.mark.long
def test_umap_lays_two_clouds_apart_and_draws_the_same_picture_again():
    rng = np.random.default_rng(0)
    clouds = np.concatenate([rng.normal(0, 1, (40, 8)), rng.normal(9, 1, (40, 8))]).astype(np.float32)
    place = cellnet_umap.layout(clouds, 3)
    assert place.shape == (80, 2) and np.isfinite(place).all()
    inside = max(np.ptp(place[:40], axis=0).max(), np.ptp(place[40:], axis=0).max())
    assert np.linalg.norm(place[:40].mean(axis=0) - place[40:].mean(axis=0)) > inside / 2
    np.testing.assert_array_equal(place, cellnet_umap.layout(clouds, 3))
    assert cellnet_umap.layout(clouds[:8], 3).shape == (8, 2)
