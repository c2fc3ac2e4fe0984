"""The crop store: what is written is read, resumed, refused; memory does not grow with the crops."""

from __future__ import annotations

import importlib
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store


def table_of(count: int) -> pd.DataFrame:
    keys = {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": 1, "Metadata_Tile": 1}
    rows = pd.DataFrame({"ObjectNumber": range(1, count + 1)}).assign(**keys, **store.ROW_DEFAULTS)
    return rows[store.CROP_KEYS]


def write(path, images, masks, channels=("DNA", "RNA"), key="k", rows=None):
    store.write_table(table_of(len(images) if rows is None else rows), path.with_suffix(".parquet"))
    with store.CropWriter(path, len(images), channels, images.shape[2:], key=key, meta={"pixel_um": 0.5}) as writer:
        for number in np.flatnonzero(~writer.done):
            writer.write(number, images[number], masks[number])
    return path


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (4, 2, 3, 8, 8)).astype(np.float16), rng.integers(0, 2, (4, 2, 3, 8, 8)).astype(np.uint8)


def test_crops_are_read_as_they_were_written_by_name_and_by_tifffile(tmp_path, drawn):
    images, masks = drawn
    crops = store.open_crops(write(tmp_path / "P1.tif", images, masks))
    assert (crops.images == images).all() and (crops.masks == masks).all() and len(crops) == 4
    assert crops.channels == ("DNA", "RNA") and crops.meta == {"pixel_um": 0.5}
    assert list(crops.table()["ObjectNumber"]) == [1, 2, 3, 4]
    assert [row["ObjectNumber"] for row in crops.rows(["ObjectNumber"])] == [1, 2, 3, 4]
    assert (tifffile.memmap(tmp_path / "P1.tif", mode="r") == images).all()
    assert (tifffile.memmap(tmp_path / "P1.masks.tif", mode="r") == masks).all()


def test_no_crops_are_a_file_of_none(tmp_path):
    nothing = np.zeros((0, 2, 1, 8, 8), np.float16)
    crops = store.open_crops(write(tmp_path / "P1.tif", nothing, nothing.astype(np.uint8)))
    assert len(crops) == 0 and crops.images.shape == (0, 2, 1, 8, 8)


def test_what_a_killed_run_wrote_stays_and_is_of_the_same_making_alone(tmp_path, drawn):
    images, masks = drawn
    path = tmp_path / "P1.tif"
    with pytest.raises(RuntimeError), store.CropWriter(path, 4, ["a", "b"], (3, 8, 8), key="k") as writer:
        writer.write(2, images[2], masks[2])
        raise RuntimeError
    with pytest.raises(RuntimeError), store.CropWriter(path, 4, ["a", "b"], (3, 8, 8), key="k") as writer:
        assert writer.done.tolist() == [False, False, True, False]
        raise RuntimeError
    with pytest.raises(RuntimeError), store.CropWriter(path, 4, ["a", "b"], (3, 8, 8), key="other") as writer:
        assert not writer.done.any()
        raise RuntimeError
    assert not path.exists()


def test_crops_of_unlike_length_and_other_files_are_refused(tmp_path, drawn):
    images, masks = drawn
    with pytest.raises(ValueError, match=r"P1.tif: 4 crops where its table has 3 rows; delete both and rerun"):
        store.open_crops(write(tmp_path / "P1.tif", images, masks, rows=3))
    write(tmp_path / "P2.tif", images, masks)
    write(tmp_path / "P3.tif", images[:2], masks[:2])
    (tmp_path / "P2.masks.tif").write_bytes((tmp_path / "P3.masks.tif").read_bytes())
    with pytest.raises(ValueError, match=r"P2.masks.tif: masks of \(2, .* beside crops of \(4, "):
        store.open_crops(tmp_path / "P2.tif")
    with pytest.raises(ValueError, match=r"not a plate stack .* open it with store.open_crops"):
        store.open_stack(tmp_path / "P3.tif")
    (tmp_path / "P3.tif").write_bytes((tmp_path / "P3.tif").read_bytes()[:900])
    with pytest.raises(ValueError, match="P3.tif: truncated, 900 bytes"):
        store.open_crops(tmp_path / "P3.tif")
    with pytest.raises(FileNotFoundError, match="there is no such file of crops; run the rule crops"):
        store.open_crops(tmp_path / "P4.tif")


def peak_bytes(folder, count: int) -> int:
    """Most bytes held while `count` crops are written, opened and drawn from."""
    folder.mkdir()
    image, masks = np.zeros((2, 1, 32, 32), np.float16), np.ones((2, 1, 32, 32), np.uint8)
    tracemalloc.start()
    with store.CropWriter(folder / "P.tif", count, ["a", "b"], (1, 32, 32), key="k") as writer:
        for number in range(count):
            writer.write(number, image, masks)
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    store.write_table(table_of(count), folder / "P.parquet")
    tracemalloc.start()
    source = store.CropBatches([store.open_crops(folder / "P.tif")])
    for first in range(0, count, 64):
        source.batch(0, first, 64)
    drawn = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return max(written, drawn)


def test_memory_does_not_grow_with_the_crops(tmp_path):
    importlib.import_module("torch")  # traced, its import would take ten seconds
    peak_bytes(tmp_path / "warm", 64)
    few, *many = (peak_bytes(tmp_path / name, count) for name, count in (("few", 100), ("many", 800), ("again", 800)))
    # Of 6,144 bytes that a crop has, its checksums twice, a flag and its places in the order are at times in memory.
    # The lesser of two: what else the process does in the meantime (a late import) is no memory of crops.
    assert (min(many) - few) / 700 < 128
