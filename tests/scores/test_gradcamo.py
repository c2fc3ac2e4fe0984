"""Grad-CAMO by its command, on planted truth: evidence in the cell or around it, beside what shows no knowledge of cells."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from brightpaint import store
from brightpaint.base.device import pick_device
from brightpaint.features import own_crops
from brightpaint.models import train_cellnet
from brightpaint.models.cell_split import split_groups
from brightpaint.models.crop_images import CropImages
from brightpaint.models.erasing import cycle
from brightpaint.models.grad_cam import class_maps, upsampled
from brightpaint.models.see_cells import CellReader, read_network
from brightpaint.models.train_cellnet import SPLIT
from brightpaint.scores.cells import gradcamo
from brightpaint.scores.cells.camo import camo_scores
from brightpaint.scores.cells.explained import (
    OTHER_CELL,
    OWN,
    PREDICTED,
    SCORES,
    UNKNOWN,
    explain,
    scored,
    spread_evenly,
)
from cells_fixture import (
    LARGE,
    LEARNT,
    LOCAL,
    SETTINGS,
    arguments,
    cell_images,
    cell_masks,
    learnt,
    plate_wells,
    write_cells,
)

KEYS = {
    "table": ["variant", "explained", "class", "metric"], "erased": ["shown", "class", "metric"], "verdicts": ["class"],
}  # fmt: skip


def run(
    folder, where, variants=("cells",), layer=-1, wells="held_out", size=LARGE, crops=None, arm="real", label="perturbation",
    trained=None,
):  # fmt: skip
    weights = [(trained or learnt(variant, where, size)) / "weights.safetensors" for variant in variants]
    trained = trained or learnt("cells", where, size)
    settings = {"label": label, "layer": layer, "wells": wells}
    words = ["--settings", json.dumps(settings), "--device", "cpu", "--arm", arm]
    words += ["--variants", *variants, "--weights", *weights, "--split", trained / "weights.tsv"]
    words += ["--crops", *(crops or sorted(trained.glob("P?.tif"))), "--cells", folder / "cells.parquet"]
    paths = {name: folder / f"{name}.tsv" for name in KEYS}
    gradcamo.main([str(word) for word in [*words, *(part for name in KEYS for part in (f"--{name}", paths[name]))]])
    found = [store.read_table(paths[name]).set_index(keys) for name, keys in KEYS.items()]
    return *found, store.read_table(folder / "cells.parquet")


def test_attention_and_erasure_agree_where_the_evidence_was_planted(tmp_path):
    """Class a is known by what it lacks, stripes: its map may lie anywhere."""
    for where in ("inside", "outside"):
        table, erased, verdicts, cells = run(tmp_path, where)
        told, lift = erased["value"], table.loc["cells", "own", "b", "lift"]
        assert told["whole", "", "balanced_accuracy"] > 0.9
        kept, lost = ("background erased", "cell erased") if where == "inside" else ("cell erased", "background erased")
        assert told[kept, "b", "told"] > 0.8 and told[lost, "b", "told"] < 0.3
        assert abs(told["both erased", "b", "told"]) < 0.2
        if where == "inside":
            assert lift["value"] > 1.5 and lift["low"] > 1
            assert verdicts.loc["b", "verdict"] == "looks at the cell"
            assert verdicts.loc["a", "verdict"] == "can't be said"
            assert "known by what it lacks" in verdicts.loc["a", "why"]
        else:
            assert lift["value"] < 0.5 and lift["high"] < 1
            assert verdicts.loc["b", "verdict"] == "looks elsewhere"


@pytest.mark.long
def test_where_labels_were_shuffled_nothing_can_be_said_and_the_nulls_stand_beside(tmp_path):
    table, erased, verdicts, cells = run(tmp_path, "inside", ("cells", "shuffled", "floor"))
    value = table["value"]
    assert {"cells", "shuffled", "untrained", "other_cell", "uniform"} == set(table.index.get_level_values("variant"))
    assert value["uniform", "own", "", "lift"] == pytest.approx(1) and value["uniform", "own", "", "share_nan"] == 0
    assert value["uniform", "own", "b", "camo"] == pytest.approx(value["cells", "own", "b", "area"], rel=1e-4)
    assert value["cells", "own", "", "area"] == pytest.approx(cells["area"].mean(), rel=1e-4)
    assert value["cells", "own", "b", "lift"] > value["untrained", "own", "b", "lift"]
    floor = erased.loc["trained on erased cells", "", "balanced_accuracy"]
    assert abs(floor["value"] - 0.5) < 0.25  # the evidence lies in the cell: the background tells nothing


def test_the_table_of_cells_holds_both_classes_and_agrees_where_they_do(tmp_path):
    _, _, _, cells = run(tmp_path, "inside")
    split = store.read_table(learnt("cells", "inside", LARGE) / "weights.tsv").query("role == 'test'")
    assert set(cells["group"]) == set(split["group"]) and (cells["class"] == cells["answer"]).mean() > 0.9
    assert (
        list(cells[store.CROP_KEYS].drop_duplicates().index) == list(range(len(cells))) and (cells["tested"] == 1).all()
    )
    right = cells["class"] == cells["answer"]
    for name in [name for name in SCORES if name != "area"]:
        np.testing.assert_array_equal(cells.loc[right, name], cells.loc[right, f"{name}_predicted"])
    assert cells["neighbours"].between(0, 1).sum() == cells["camo"].notna().sum()
    every = run(tmp_path, "inside", wells="all")[3]
    assert len(every) == 192 and every["tested"].sum() == len(cells)
    pd.testing.assert_frame_equal(every[every["tested"] == 1][["camo", "lift_predicted"]].reset_index(drop=True),
                                  cells[["camo", "lift_predicted"]], atol=1e-5)  # fmt: skip


def test_each_cell_has_the_score_of_its_own_map_whatever_stands_beside_it():
    trained = learnt()
    reader = CellReader(
        sorted(trained.glob("P?.tif")), read_network(trained / "weights.safetensors", pick_device("cpu"))
    )
    cells, truth = np.arange(0, 150, 2), np.arange(75) % 2
    truth[70:] = UNKNOWN
    tables = explain(reader, cells, truth, 2)
    assert all(len(table) == 75 and list(table.index) == list(range(75)) for table in tables.values())
    laid = {}
    for place in (0, 40, 74):
        crops, _ = next(reader.batches(cells[[place]]))
        mask = reader.crops.masks(cells[[place]])[:, 0]
        answer = int(reader.logits(cells[[place]]).argmax())
        for what, known in ((OWN, truth[place]), (PREDICTED, answer)):
            if known == UNKNOWN:
                assert tables[what].loc[place, ["camo", "lift", "neighbours"]].isna().all()
                continue
            maps = class_maps(reader.trained.network, crops[:1], torch.tensor([known]), 2)
            maps = upsampled(maps, (1, 16, 16), reader.trained.network.strides_of(2)).numpy()
            alone = camo_scores(maps, mask).iloc[0]
            np.testing.assert_allclose(
                alone, tables[what].loc[place, ["camo", "area", "lift"]].astype(float), rtol=1e-3
            )
            laid[place, what] = maps
    order = cycle(75, "gradcamo")
    place = 40 if (40, OWN) in laid else 0
    after = int(order[(list(order).index(place) + 1) % 75])  # the cell whose donor `place` is
    alone = camo_scores(laid[place, OWN], reader.crops.masks(cells[[after]])[:, 0]).iloc[0]
    np.testing.assert_allclose(alone["camo"], tables[OTHER_CELL].loc[after, "camo"], rtol=1e-3)
    single = explain(reader, cells[:1], truth[:1], 2)
    assert np.isnan(single[OTHER_CELL]["camo"].item()) and single[OWN]["camo"].notna().all()


def test_attention_on_neighbours_is_a_number_of_its_own():
    masks = np.zeros((3, 2, 1, 8, 8))
    masks[:, :, 0, :, :4] = 1  # the own cell is the left half
    masks[:2, 1, 0, :, 6:] = 1  # a neighbour on the right, but for the third
    maps = np.zeros((3, 1, 8, 8))
    maps[0, 0, :, 6:] = 1
    maps[2, 0, :, 4:] = 1
    table = scored(maps, masks)
    assert table["neighbours"].tolist()[::2] == [1, 0] and np.isnan(table["neighbours"][1])
    assert table["neighbours_lift"][0] == pytest.approx(4) and np.isnan(table["neighbours_lift"][2])
    assert table["camo"].tolist()[::2] == [0, 0] and table["area"].tolist() == [0.5] * 3


def test_cells_of_ones_own_are_asked_about_by_the_masks_that_a_threshold_finds(tmp_path):
    """Counts without a mask, each with a brighter neighbour in its corner; one crop shows nothing at all."""
    rng, classes = np.random.default_rng(5), np.tile(np.repeat([0, 1], 10), 10)  # 20 dishes of 10 cells
    masks = cell_masks(200, rng, LARGE)
    images = cell_images(masks, classes, "inside", rng)  # (200, 2, 1, 32, 32), the first channel bright in the cell
    images[:, 0, :, :3, :3] = 3
    rows = ["index,label,group,plate", *(f"{n},{'ab'[classes[n]]},dish {n // 10},P1" for n in range(200))]
    (tmp_path / "cells.csv").write_text("\n".join(rows) + "\n")
    said = [str(tmp_path), "--table", str(tmp_path / "cells.csv"), "--file", "cells.tif", "--channels", "DNA,RNA"]
    path, how = tmp_path / "own.tif", {**LEARNT, **LOCAL, "images": 960, "label": "label"}
    split = split_groups(pd.DataFrame({"group": [f"dish {n // 10}" for n in range(200)], "plate": "P1",
                                       "name": np.array(["a", "b"])[classes]}),
                         **{key: (SETTINGS | how)[key] for key in SPLIT})  # fmt: skip
    empty = 10 * int(split.loc[split["role"] == "test", "group"].iloc[0].removeprefix("dish "))
    images[empty] = 0
    counts = np.round(1000 + 200 * images[:, :, 0]).astype(np.uint16).reshape(400, 32, 32)
    tifffile.imwrite(tmp_path / "cells.tif", counts)
    own_crops.main([*said, "--plate", "{plate}", "--threshold", "otsu", "--crops", str(path)])
    found = store.open_crops(path).masks
    union = (found[:, 0] | masks[:, 0]).sum((1, 2, 3))
    overlap = (found[:, 0] & masks[:, 0]).sum((1, 2, 3)) / union
    assert not found[empty].any() and np.sort(overlap)[1] > 0.8 and found[:, 1, :, :3, :3].sum() == 199 * 9
    train_cellnet.main(arguments(tmp_path, [path], **how))
    table, erased, verdicts, cells = run(tmp_path, "inside", crops=[path], trained=tmp_path, label="label")
    blank = cells["area"] == 0
    assert (
        blank.sum() == 1
        and cells.loc[blank, "lift"].isna().all()
        and cells.loc[~blank, "neighbours"].notna().sum() > 20
    )
    assert table.loc["cells", "own", "b", "lift"]["low"] > 1.5
    assert erased["value"]["background erased", "b", "told"] - erased["value"]["cell erased", "b", "told"] > 0.5
    assert verdicts.loc["b", "verdict"] == "looks at the cell"
    own_crops.main([*said, "--crops", str(tmp_path / "without.tif")])
    with pytest.raises(
        ValueError, match="without.tif: its crops have no masks, .* give own_crops.mask or own_crops.threshold"
    ):
        run(tmp_path, "inside", crops=[tmp_path / "without.tif"], trained=tmp_path, label="label")


def test_real_cells_of_mitocheck_are_asked_about_by_the_masks_that_a_threshold_finds(real_data, tmp_path):
    """Of two phenotypes; the network sees a few hundred crops, so that nothing is claimed of where it looks."""
    folder, path = real_data / "images" / "mitocheck_cells", tmp_path / "own.tif"
    lines = (folder / "cells.csv").read_text().splitlines()
    column = lines[0].split(",").index("phenotype")
    kept = [line for line in lines[1:] if line.split(",")[column] in ("Metaphase", "Folded")]
    (tmp_path / "cells.csv").write_text("\n".join([lines[0], *kept]) + "\n")
    own_crops.main([str(folder), "--table", str(tmp_path / "cells.csv"), "--file", "{phenotype}.tif", "--label", "{phenotype}",
                    "--group", "{plate}/{position}", "--plate", "{plate}", "--channels", "DNA", "--threshold", "otsu",
                    "--crops", str(path)])  # fmt: skip
    how = {**LEARNT, **LOCAL, "images": 320, "label": "label", "validation_share": 0.0}
    train_cellnet.main(arguments(tmp_path, [path], **how))
    table, erased, verdicts, cells = run(tmp_path, "inside", crops=[path], trained=tmp_path, label="label")
    assert set(verdicts.index) == {"Metaphase", "Folded"} and set(cells["class"]) == {"Metaphase", "Folded"}
    assert cells["area"].between(0.01, 0.6).all() and cells["neighbours"].notna().mean() > 0.9
    known = cells[cells["lift"].notna()]
    np.testing.assert_allclose(known["lift"], known["camo"] / known["area"])
    whole = erased["value"]["whole", "", "balanced_accuracy"]
    assert whole > 0.5 and erased["value"]["background erased", "", "balanced_accuracy"] <= whole + 0.2


def test_even_attention_has_the_area_for_score_in_2d_and_3d(tmp_path):
    for size in [(1, 16, 16), (5, 16, 16)]:
        folder = tmp_path / str(size[0])
        folder.mkdir()
        path = write_cells(folder / "P1.tif", wells=plate_wells(1), cells=9, size=size)
        crops = store.open_crops(path)
        even = spread_evenly(SimpleNamespace(crops=CropImages([path])), range(72))
        np.testing.assert_allclose(even["camo"], crops.masks[:, 0].reshape(72, -1).mean(axis=1))
        np.testing.assert_allclose(even["lift"], 1)


def test_a_layer_that_is_not_there_and_an_arm_without_test_cells_are_refused(tmp_path):
    with pytest.raises(ValueError, match="layer 9: the network has 6, 0 to 5, or -1 for the last; choose one of them"):
        run(tmp_path, "inside", layer=9)
    other = write_cells(tmp_path / "P9.tif", wells=plate_wells(2), size=LARGE)
    with pytest.raises(
        ValueError, match="none of the 96 cells of arm pert lies in a test well of a class that was learnt"
    ):
        run(tmp_path, "inside", crops=[other], arm="pert")
