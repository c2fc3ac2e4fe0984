"""A model is trained on single cells as on fields: whole wells validate, held-out perturbations are left out, runs resume."""

from __future__ import annotations

import json

import numpy as np
import pytest

from brightpaint import store
from brightpaint.models import train
from brightpaint.models.crop_training import TrainingCrops
from models_fixture import SETTINGS

CHANNELS = {"input": [], "target": ["ER", "DNA"]}


def write_crops(folder, plate, wells=8, of_well=3, channels=("DNA", "ER"), depth=1, size=16):
    """Write crops whose DNA holds the well's number and ER minus it; odd wells are DMSO, the others cpd1 and cpd2."""
    names = ["DMSO", "cpd1", "DMSO", "cpd2"]
    rows = [
        {"Metadata_Plate": plate, "Metadata_Well": f"A{well + 1:02d}", "Metadata_Site": 1, "Metadata_Tile": 1, **store.ROW_DEFAULTS,
         "Metadata_perturbation": names[well % 4], "Metadata_target": "", "ObjectNumber": number + 1, "group": f"{plate}/{well}"}
        for well in range(wells) for number in range(of_well)
    ]  # fmt: skip
    store.write_rows(rows, folder / f"{plate}.parquet")
    masks = np.ones((2, depth, size, size), np.uint8)
    with store.CropWriter(folder / f"{plate}.tif", len(rows), channels, (depth, size, size), key="k") as writer:
        for number, row in enumerate(rows):
            level = int(row["Metadata_Well"][1:])
            image = np.stack([np.full((depth, size, size), value, float) for value in (level, -level)])
            image[:, :, 0, 0] += 0.5  # a corner by which orientations differ
            writer.write(number, image, masks)
    return folder / f"{plate}.tif"


@pytest.fixture
def paths(tmp_path):
    return [write_crops(tmp_path, "P2"), write_crops(tmp_path, "P1")]


def test_crops_are_shown_whole_in_the_models_channels_with_their_own_class(paths):
    data = TrainingCrops(paths, channels=CHANNELS, label="perturbation")
    assert len(data) == 48 and data.labels == {"DMSO": 1, "cpd1": 2, "cpd2": 3} and data.inputs == 0
    images, condition = data.batch(0, 0, 48, 8)
    assert images.shape == (48, 2, 16, 16)
    np.testing.assert_array_equal(images[:, 0, 8, 8], -images[:, 1, 8, 8])  # ER, then DNA
    expected = [{1: 1, 2: 2, 3: 1, 0: 3}[int(level) % 4] for level in images[:, 1, 8, 8]]
    assert condition.labels.tolist() == expected
    part, told = data.batch(0, 0, 48, 8, slice(10, 20))
    np.testing.assert_array_equal(part, images[10:20])
    assert told.labels.tolist() == expected[10:20]


def test_whole_wells_validate_and_held_out_perturbations_have_no_class(paths):
    data = TrainingCrops(paths, channels=CHANNELS, label="perturbation", held_out=["cpd2"])
    assert data.labels == {"DMSO": 1, "cpd1": 2} and "cpd2" not in set(data.fields["Metadata_perturbation"])
    shown, held = data.split(0.25)
    wells = [set(zip(part.fields["Metadata_Plate"], part.fields["Metadata_Well"])) for part in (shown, held)]
    assert not wells[0] & wells[1] and wells[1] and len(shown) + len(held) == len(data)
    name, image, condition = held.fixed(len(held) + 1, None)
    again = held.fixed(1, None)
    assert (
        name.endswith("/1") and again[0].endswith("/0") and name.startswith(str(held.fields.loc[1, "Metadata_Plate"]))
    )
    np.testing.assert_array_equal(image, again[1])
    assert image[1, 8, 8] == int(held.fields.loc[1, "Metadata_Well"][1:]) and len(condition) == 1
    assert len(data.split(0.0)[1]) == 0


def test_crops_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="crops have no channel Mito; they have DNA, ER; name them in crops.channels"):
        TrainingCrops([write_crops(tmp_path, "P1")], channels={"input": [], "target": ["Mito"]}, label="none")
    with pytest.raises(ValueError, match="crops of 3 planes, expected one; this network sees no depth"):
        TrainingCrops([write_crops(tmp_path, "P3", depth=3)], channels=CHANNELS, label="none")
    with pytest.raises(ValueError, match="held_out: cpd9 is not on the training plates"):
        TrainingCrops([write_crops(tmp_path, "P4")], channels=CHANNELS, label="none", held_out=["cpd9"])


def test_a_training_on_crops_says_so_in_its_weights_and_learns(tmp_path, paths):
    own = {"label": "perturbation", "channels": CHANNELS, "examples": "crops"}
    settings = {**SETTINGS, **own, "validation_share": 0.25, "images": 64, "validate_every_images": 32}
    words = ["--settings", json.dumps(settings), "--device", "cpu", "--stacks", *paths]
    words += ["--fields", *(path.with_suffix(".parquet") for path in paths), "--active"]
    words += ["--weights", tmp_path / "w.safetensors", "--history", tmp_path / "h.jsonl"]
    train.main([str(word) for word in words])
    meta = store.read_weights(tmp_path / "w.safetensors", tensors=False)[1]
    assert meta["settings"]["examples"] == "crops" and meta["label_map"] == {"DMSO": 1, "cpd1": 2, "cpd2": 3}
    lines = store.read_json_lines(tmp_path / "h.jsonl")
    losses = [line["validation_loss"] for line in lines if "validation_loss" in line]
    assert len(losses) == 2 and losses[1] < losses[0]
