"""How far a space moves without the cell: exact on what sees the cell alone or all else, and by the command on networks."""

from __future__ import annotations

import json
import pkgutil
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.features import embedders
from brightpaint.features.embedders.seer import Seer
from brightpaint.models.erasing import BACKGROUND, CELL, CELL_ELSEWHERE, Erasing, elsewhere, erased
from brightpaint.scores.cells import score_erased
from brightpaint.scores.cells.score_erased import Pictures, alike, plate_scores, standardised, unit_of
from brightpaint.study.erased import SEEING_RULES
from cells_fixture import LARGE, cell_images, cell_masks, learnt
from conftest import write_transformer
from gan_fixture import trained

COUNT = 24


def pictures_of(seed=0, size=LARGE):
    """Images whose cells differ in brightness and whose backgrounds differ in brightness, cells of 6 wells."""
    rng = np.random.default_rng(seed)
    masks = cell_masks(COUNT, rng, size)
    images = cell_images(masks, np.zeros(COUNT, int), "nowhere", rng)
    images[:, 0] += np.where(masks[:, 0] > 0, rng.normal(0, 2, (COUNT, 1, 1, 1)), 0)
    images[:, 1] += np.where(masks[:, 0] == 0, rng.normal(0, 2, (COUNT, 1, 1, 1)), 0)

    def shown(what):
        if what is None:
            return images.astype(np.float32)
        own = masks > 0
        background = [images[donor][:, ~own[donor][1]] for donor in np.roll(np.arange(COUNT), 1)]
        made = [erased(what, *part, np.random.default_rng(0)) for part in zip(images, own, [[]] * COUNT, background)]
        return np.stack(made).astype(np.float32)

    return Pictures(shown, np.repeat([f"P1/A0{number}" for number in range(6)], 4)), masks[:, 0] > 0


def seer_of(place):
    """Return a network whose numbers are the means of each channel over a place of the crop, (H, W) bool, and their squares."""

    def see(images):
        means = images[:, :, 0][:, :, place].mean(axis=2)
        return np.concatenate([means, means**2], axis=1)

    return Seer(["DNA", "RNA"], see)


def test_what_sees_the_cell_alone_moves_without_it_and_stays_without_all_else():
    pictures, inside = pictures_of()
    everywhere, core, corner = np.ones(LARGE[1:], bool), inside.all(axis=0)[0], np.zeros(LARGE[1:], bool)
    corner[-4:, :] = True
    found = {}
    for name, place in (("core", core), ("corner", corner), ("all", everywhere)):
        rows, channels = plate_scores(seer_of(place), pictures, name)
        found[name] = {row["metric"]: row for row in rows}
        assert {row["what"] for row in channels} == {"channels_alike"} and found[name]["shift_no_cell"]["n"] == COUNT
    core, corner = found["core"], found["corner"]
    assert core["shift_no_cell"]["value"] > 0.5 and core["shift_no_background"]["value"] == 0
    assert core["shift_no_cell"]["null"] == 0 < core["shift_no_background"]["null"]  # half an image away is no cell
    assert corner["shift_no_cell"]["value"] == 0 < corner["shift_no_cell"]["null"]
    assert corner["shift_no_background"]["value"] > 0.5
    assert all(
        row["low"] <= row["value"] <= row["high"] for one in found.values() for row in one.values() if "low" in row
    )


def test_the_unit_is_the_mean_distance_of_images_of_different_wells():
    numbers, wells = np.array([[0.0, 0], [3, 4], [6, 8]]), np.array(["A", "A", "B"])
    assert unit_of(numbers, wells) == pytest.approx((10 + 5) / 2)
    assert np.isnan(unit_of(numbers[:2], wells[:2]))
    whole = np.array([[1.0, 7, 0], [3, 7, 0]])
    np.testing.assert_allclose(standardised(whole, whole), [[1], [3]])  # numbers that vary, over their s.d.
    scaled = pictures_of()[0]
    far = plate_scores(seer_of(np.ones(LARGE[1:], bool)), scaled, "unit")[0][0]

    def thousandfold(images):
        return 1000 * seer_of(np.ones(LARGE[1:], bool)).see(images) + 5

    again = plate_scores(Seer(["DNA", "RNA"], thousandfold), scaled, "unit")[0][0]
    assert again["value"] == pytest.approx(far["value"], rel=1e-4)  # comparable whatever the scale


def test_channels_that_say_the_same_are_alike():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(500, 4))
    assert alike(numbers, 3 * numbers + 1) == pytest.approx(1) and alike(numbers, -numbers) == pytest.approx(-1)
    assert abs(alike(numbers, rng.normal(size=(500, 4)))) < 0.1 and np.isnan(alike(numbers, np.ones((500, 4))))
    same = np.repeat(rng.normal(size=(COUNT, 1, 1, 8, 8)), 2, axis=1).astype(np.float32)
    seer = Seer(["DNA", "RNA"], lambda images: images.mean(axis=(2, 3, 4)).sum(axis=1, keepdims=True))
    rows = list(score_erased.alike_rows(seer, same, seer.see(same), "same"))
    assert [row["channel"] for row in rows] == ["", "DNA", "RNA"] and rows[0]["value"] == pytest.approx(1, abs=1e-5)
    assert abs(rows[0]["null"]) < 0.5
    beside = Seer(["DNA", "RNA"], lambda images: images.mean(axis=(2, 3, 4)), each=True)
    other = rng.normal(size=same.shape).astype(np.float32)
    apart = list(score_erased.alike_rows(beside, other, beside.see(other), "apart"))
    assert apart[0]["value"] == pytest.approx(np.corrcoef(other.mean(axis=(2, 3, 4)).T)[0, 1], abs=1e-5)


def test_half_an_image_away_as_many_pixels_are_erased():
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 3:5, 3:5] = True
    assert (
        elsewhere(mask).sum() == 4
        and elsewhere(mask)[0, [7, 0]][:, [7, 0]].all()
        and (elsewhere(elsewhere(mask)) == mask).all()
    )
    image = np.arange(64.0).reshape(1, 1, 8, 8)
    masks = np.stack([mask, mask])
    kept = erased(CELL_ELSEWHERE, image, masks, [], image[:, mask], np.random.default_rng(0))
    assert (kept[:, mask] == image[:, mask]).all() and (kept != image).any()


def run(folder, space, plates, **more):
    words = ["--space", space, "--subset", "full", "--device", "cpu", "--arm", "real", "--plates", *plates]
    for name, value in more.items():
        words += [f"--{name}", *(value if isinstance(value, list) else [value])]
    words += ["--table", folder / "real.parquet", "--channels", folder / "real.channels.tsv"]
    score_erased.main([str(word) for word in words])
    rows = store.read_table(folder / "real.parquet").set_index(["metric", "plate"])
    return rows, store.read_table(folder / "real.channels.tsv")


def test_a_classifier_of_evidence_in_cells_moves_more_without_the_cell_and_needs_the_channel_that_shows_it(tmp_path):
    trained = learnt("cells", "inside", LARGE)
    crops = sorted(trained.glob("P?.tif"))
    rows, channels = run(tmp_path, "cellnet", ["P1", "P2"], images=crops, weights=trained / "weights.safetensors",
                         split=trained / "weights.tsv", settings=json.dumps({"most_cells": 30}))  # fmt: skip
    value = rows["value"]
    for plate in ("P1", "P2"):
        assert value["shift_no_cell", plate] > 1.5 * value["shift_no_background", plate] > 0
        assert value["shift_no_cell", plate] > 1.5 * rows["null"]["shift_no_cell", plate]
    assert (rows["space"] == "cellnet").all() and rows["n"].max() <= 30
    told = channels[channels["what"] == "told_without"].set_index(["channel", "plate"])["value"]
    assert (
        told["", "P1"] > 0.9
        and told["RNA", "P1"] < 0.75
        and set(told.index.get_level_values("channel")) == {"", "DNA", "RNA"}
    )
    split = store.read_table(trained / "weights.tsv")
    tested = set(split.loc[split["role"] == "test", "group"])
    seer = import_module("brightpaint.features.embedders.cellnet").seer(trained / "weights.safetensors", {}, "cpu")
    picked = score_erased.cell_pictures(crops[0], seer, [trained / "weights.tsv"], 30, "real", "P1")
    assert set(picked.wells) <= tested and set(picked.classes) == {"a", "b"}
    again = Erasing(BACKGROUND, [crops[0]], seer.channels, [0, 1, 2])
    assert again.what == BACKGROUND and picked.shown(CELL).shape == picked.shown(None).shape


def field_plate(folder, channels, size_px, count=6):
    """Write a plate of fields with cells of their own brightness, and label images of all but the last."""
    rng = np.random.default_rng(2)
    cells = cell_masks(count, rng, (1, size_px, size_px))[:, 0, 0]
    shade = 3 * rng.normal(size=(count, 1, 1, 1)) * cells[:, None]
    images = rng.normal(0, 0.3, (count, len(channels), size_px, size_px)) + shade
    rows = pd.DataFrame({
        "Metadata_Plate": "P1", "Metadata_Well": [f"A{number // 2 + 1:02d}" for number in range(count)],
        "Metadata_Site": [number % 2 + 1 for number in range(count)], "Metadata_Tile": 1, "Metadata_perturbation": "c",
        "Metadata_target": "", "Metadata_control_type": "",
    })  # fmt: skip
    with store.StackWriter(folder / "P1.tif", images.shape, channels, key="x") as writer:
        for row, image in enumerate(images):
            writer.write(row, image)
    store.write_table(rows, folder / "P1.parquet")
    (folder / "labels").mkdir()
    measured = (np.stack([one, one]).astype(np.uint16) for one in cells[:-1])
    store.write_masks(folder / "labels" / "P1.tif", rows[:-1], measured, ("Nuclei", "Cells"), (size_px, size_px))
    return {"images": folder / "P1.tif", "rows": folder / "P1.parquet", "labels": folder / "labels" / "P1.tif"}


def test_fields_are_shown_without_all_cells_to_a_critic_and_to_dino(tmp_path):
    channels = ["DNA", "ER"]
    scale = {"cutoff": 15, "renormalise": False, "most_fields": 4, "channels": {"input": [], "target": channels}}
    for space in ("critic", "dino"):
        folder = tmp_path / space
        folder.mkdir()
        if space == "critic":
            weights, settings, size_px = trained() / "weights" / "weights.safetensors", scale, 32
        else:
            weights, size_px = write_transformer(folder / "tiny"), 64
            settings = {**scale, "window": [-1.5, 6], "weights": str(weights)}
        plate = field_plate(folder, channels, size_px)
        rows, table = run(folder, space, ["P1"], weights=weights, settings=json.dumps(settings), **plate)
        assert (rows["space"] == space).all() and (rows["n"] == 4).all()  # the field without outlines is none of them
        assert set(rows.index.get_level_values("metric")) == {"shift_no_cell", "shift_no_background", "channels_alike"}
        assert (rows["value"][["shift_no_cell", "shift_no_background"]] > 0).all()
        assert set(table["channel"]) == {"", *channels} and set(table["what"]) == {"channels_alike"}
        again, _ = run(folder, space, ["P1"], weights=weights, settings=json.dumps(settings), **plate)
        pd.testing.assert_frame_equal(rows, again)


def test_every_rule_that_sees_has_a_seer_and_no_other():
    found = {name for _, name, _ in pkgutil.iter_modules(embedders.__path__)
             if name != "seer" and hasattr(import_module(f"brightpaint.features.embedders.{name}"), "seer")}  # fmt: skip
    assert found == set(SEEING_RULES)


def test_a_plate_without_images_to_show_has_no_rows():
    nothing = Pictures(lambda what: np.zeros((0, 2, *LARGE)), np.array([]))
    assert plate_scores(seer_of(np.ones(LARGE[1:], bool)), nothing, "x") == ([], [])
    frame = pd.DataFrame([]).reindex(columns=score_erased.CHANNELS)
    assert list(frame) == score_erased.CHANNELS
