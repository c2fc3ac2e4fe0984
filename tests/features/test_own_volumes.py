"""3D crops of one's own volume: a known cell, the real nuclei with their 20 labels, through planes as well, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.features import own_volumes
from brightpaint.plates import prepare
from tiffs_fixture import imagej_one_page


def run(folder, *more, **changes):
    given = {
        "size-um": 6,
        "pixel-um": 1,
        "plate": "V",
        "labels": folder / "labels.tif",
        "crops": folder / "c.tif",
    } | changes
    words = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
    own_volumes.main(["--image", f"DNA={folder / 'a.tif'},{folder / 'b.tif'}", *more, *words])
    return store.open_crops(folder / "c.tif")


@pytest.fixture
def volume(tmp_path):
    """A volume of 10 planes in two files: a cell inside, and one in the corner that touches nothing."""
    image = np.random.default_rng(0).integers(0, 999, (10, 16, 18)).astype(np.uint16)
    labels = np.zeros((10, 16, 18), np.uint8)
    labels[4:7, 6:10, 7:12], labels[0, 0, 0] = 3, 8
    for name, planes in (("a", image[:4]), ("b", image[4:]), ("labels", labels)):
        tifffile.imwrite(tmp_path / f"{name}.tif", planes, photometric="minisblack")
    return tmp_path, image, labels


def test_a_cell_is_cut_about_its_middle_in_three_axes(volume):
    folder, image, labels = volume
    crops = run(folder, planes=4)
    assert crops.images.shape == (1, 1, 4, 6, 6) and crops.channels == ("DNA",)
    z = (image - image.mean()) / image.std()
    assert np.allclose(crops.images[0, 0], z[3:7, 5:11, 6:12], atol=2e-3)
    assert (crops.masks[0, 0] == (labels[3:7, 5:11, 6:12] == 3)).all() and (
        crops.masks[0, 0] == crops.masks[0, 1]
    ).all()
    row = crops.table().iloc[0]
    assert (row["ObjectNumber"], row["z_px"], row["y_px"], row["x_px"], row["border"]) == (3, 5, 7.5, 9, 0)
    assert row["group"] == "V/A01" and list(crops.table().columns[:6]) == store.ROW_KEYS


@pytest.mark.parametrize("border, numbers", [("drop", [3]), ("pad", [3, 8]), ("shift", [3, 8])])
def test_a_cell_of_one_pixel_in_a_corner_by_each_policy(volume, border, numbers):
    folder, image, _ = volume
    crops = run(folder, planes=4, border=border)
    assert list(crops.table()["ObjectNumber"]) == numbers and list(crops.table()["border"]) == [0, 1][: len(numbers)]
    if len(numbers) == 2:
        assert crops.masks[1].sum() == 2 and crops.masks[1, 0][(2, 3, 3) if border == "pad" else (0, 0, 0)] == 1


def test_one_plane_of_labels_serves_all_planes_and_no_cell_is_a_file_of_none(volume):
    folder, _, labels = volume
    tifffile.imwrite(folder / "flat.tif", labels[5])
    assert run(folder, labels=folder / "flat.tif").masks[0, 0].sum(axis=(1, 2)).tolist() == [20] * 10
    tifffile.imwrite(folder / "none.tif", np.zeros_like(labels))
    assert len(run(folder, labels=folder / "none.tif")) == 0


def test_a_volume_behind_one_page_has_all_its_planes(volume):
    """ImageJ writes one page for a large stack, of which one plane was read: the same crops come from either file."""
    folder, image, labels = volume
    whole = run(folder, planes=4).images[:].copy()
    imagej_one_page(folder / "b.tif", image[4:])
    imagej_one_page(folder / "labels.tif", labels.astype(np.uint16), byteorder=">")
    assert np.array_equal(run(folder, planes=4).images, whole)


def test_what_does_not_fit_is_refused(volume):
    folder, _, labels = volume
    tifffile.imwrite(folder / "few.tif", labels[:7])
    with pytest.raises(
        ValueError, match=r"few.tif: expected label images of \(10, 16, 18\) .* found \(7, 16, 18\) uint8"
    ):
        run(folder, labels=folder / "few.tif")
    with pytest.raises(
        ValueError, match=r"--image: expected each channel once, all of one size .*'RNA': \(4, 16, 18\)"
    ):
        run(folder, "--image", f"RNA={folder / 'a.tif'}")
    with pytest.raises(ValueError, match="--image: expected NAME=FILE,FILE, found 'a.tif'"):
        run(folder, "--image", "a.tif")
    with pytest.raises(ValueError, match=r"a crop of \(4, 0, 0\) pixels \(D, H, W\) holds nothing"):
        run(folder, "--planes", "4", **{"size-um": 0.2})
    with pytest.raises(ValueError, match="are larger than images of .* or set border to pad"):
        run(folder, "--planes", "12", border="shift")


@pytest.fixture(scope="module")
def nuclei(real_data):
    folder = real_data / "images" / "nuclei3d_cells3d"
    files = [folder / "nuclei_z00-29.tif", folder / "nuclei_z30-59.tif"]
    return files, folder / "labels.tif", np.concatenate([tifffile.imread(file) for file in files])


def test_the_real_nuclei_become_20_crops_of_their_20_labels(nuclei, tmp_path):
    files, labels_path, _ = nuclei
    image = f"DNA={','.join(map(str, files))}"
    own_volumes.main(["--image", image, "--labels", str(labels_path), "--size-um", "20", "--pixel-um", "0.26", "--planes", "40",
                      "--border", "pad", "--plate", "cells3d", "--crops", str(tmp_path / "c.tif")])  # fmt: skip
    crops, labels = store.open_crops(tmp_path / "c.tif"), tifffile.imread(labels_path)
    table = crops.table()
    assert list(table["ObjectNumber"]) == list(range(1, 21)) and crops.images.shape == (20, 1, 40, 77, 77)
    volumes = np.bincount(labels.ravel())[1:]
    inside = (crops.masks[:, 0].sum(axis=(1, 2, 3)) / volumes).round(3)
    assert (inside > 0.97).all() and (inside[volumes < 1000] == 1).all()
    # DNA is where the nuclei are: brighter within the own label than outside any.
    for crop, (own, every) in zip(crops.images[:, 0].astype(np.float32), crops.masks):
        assert crop[own == 1].mean() > crop[every == 0].mean() + 0.5


def test_the_real_planes_prepared_as_channels_are_the_volume(nuclei, tmp_path):
    """The same 60 planes as channels of a group, by the command that prepares plates: the z-scores of the 3D way."""
    _, labels_path, raw = nuclei
    names = [f"DNA_{plane:02d}" for plane in range(1, 61)]
    annotations = dict.fromkeys(("Source", "Batch", "perturbation", "target", "control_type"), "")
    keys = {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": 1}
    index = [
        {**keys, **{f"Metadata_{name}": "" for name in annotations}, "Channel": name, "file": f"{name}.tif"}
        for name in names
    ]
    for name, plane in zip(names, raw):
        store.write_raw(tmp_path / "raw" / f"{name}.tif", plane)
    store.write_table(pd.DataFrame(index), tmp_path / "index.parquet")
    with store.StackWriter(tmp_path / "light.tif", (1, 60, 256, 256), names, key="k", dtype="float32") as writer:
        writer.write(0, np.ones((60, 256, 256)))
    settings = {"size_px": 256, "grid": [1, 1], "cutoff": 15, "region": None, "channels": names, "pixel_size_um": None,
                "normalise": "image", "planes": [names]}  # fmt: skip
    prepare.main(["--settings", json.dumps(settings), "--index", str(tmp_path / "index.parquet"), "--raw", str(tmp_path / "raw"),
                  "--illumination", str(tmp_path / "light.tif"), "--stack", str(tmp_path / "P1.tif"),
                  "--fields", str(tmp_path / "P1.parquet")])  # fmt: skip
    stack = store.open_stack(tmp_path / "P1.tif").images[0].astype(np.float32)
    assert np.allclose(stack, own_volumes.scaled(raw[None].astype(np.float32))[0], atol=4e-3)
    # Gathered to depth, they are cut by the same 20 labels.
    labels = tifffile.imread(labels_path)
    cells = own_volumes.cells_of(labels, (40, 77, 77), "pad")
    assert [cell.number for cell in cells] == list(range(1, 21))
    crop, masks = own_volumes.cut_cell(stack[None], labels, cells[4], (40, 77, 77))
    assert crop[0][masks[0] == 1].mean() > crop[0][masks[1] == 0].mean() + 0.5 and masks[0].sum() > 1000
