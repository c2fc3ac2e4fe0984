"""Crops as training images: labels follow their crops through every batch, groups stay whole, masks hide the neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint import store
from brightpaint.models.crop_images import CropImages


@pytest.fixture
def paths(tmp_path):
    """Two files of crops, the second's name the earlier; each crop holds its own number, masked in its upper half."""
    for name, count, first in (("P2", 6, 100), ("P1", 5, 200)):
        keys = {
            "Metadata_Plate": name,
            "Metadata_Well": "A01",
            "Metadata_Site": 1,
            "Metadata_Tile": 1,
            **store.ROW_DEFAULTS,
        }
        rows = [
            {**keys, "ObjectNumber": n + 1, "Metadata_perturbation": "DMSO" if n == 0 else f"c{n % 2}", "Metadata_line": name,
             "group": f"{name}/{n // 3}"}
            for n in range(count)
        ]  # fmt: skip
        store.write_rows(rows, tmp_path / f"{name}.parquet")
        masks = np.zeros((2, 1, 4, 4), np.uint8)
        masks[:, :, :2] = 1
        with store.CropWriter(tmp_path / f"{name}.tif", count, ["DNA"], (1, 4, 4), key="k") as writer:
            for n in range(count):
                writer.write(n, np.full((1, 1, 4, 4), first + n), masks)
    return [tmp_path / "P2.tif", tmp_path / "P1.tif"]


def test_each_image_is_told_its_own_class(paths):
    source = CropImages(paths, label="perturbation")
    assert source.labels == {"DMSO": 1, "c0": 2, "c1": 3} and len(source) == 11
    images, condition = source.batch(0, 0, 22)
    assert images.dtype == np.float32 and images.shape == (22, 1, 1, 4, 4)
    numbers = images[:, 0, 0, 0, 0].astype(int) % 100
    assert condition.labels.tolist() == [1 if number == 0 else 2 + number % 2 for number in numbers]
    plates = CropImages(paths, label="line")
    images, condition = plates.batch(0, 0, 22)
    assert condition.labels.tolist() == [{1: 2, 2: 1}[int(number)] for number in images[:, 0, 0, 0, 0] // 100]


def test_groups_are_taken_whole_and_masks_hide_what_is_no_own_cell(paths):
    source = CropImages(paths, label="perturbation", groups=["P1/1", "P2/0"], masked=True)
    images, condition = source.batch(3, 0, 5)
    assert sorted(images.max(axis=(1, 2, 3, 4))) == [100, 101, 102, 203, 204]
    assert ((images == 0).sum(axis=(1, 2, 3, 4)) == 8).all() and set(source.rows["group"]) == {"P1/1", "P2/0"}
    part, told = source.batch(3, 0, 5, mine=slice(1, 4))
    assert (part == images[1:4]).all() and told.labels.tolist() == condition.labels[1:4].tolist()


def test_without_a_label_crops_are_told_nothing_and_an_unknown_one_is_refused(paths):
    assert CropImages(paths).batch(0, 0, 4)[1].labels.tolist() == [0] * 4
    with pytest.raises(ValueError, match="columns .'Metadata_dose'. are missing"):
        CropImages(paths, label="dose")
    with pytest.raises(ValueError, match="there are no crops to draw from"):
        CropImages(paths, groups=["P9/0"])
