"""A file under its final name is whole after a power cut: its data are on the disk before its name, and its name after."""

from __future__ import annotations

import ast
import errno
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from brightpaint import store
from brightpaint.base import atomic
from brightpaint.plates import fetch
from conftest import ROOT

IMAGE = np.full((6, 8), 300, np.uint16)
FRAME = pd.DataFrame({"Metadata_Plate": ["P"], "Metadata_Well": ["A01"], "Metadata_Site": [1], "Metadata_Tile": [1]})
SOURCE = ROOT / "src" / "brightpaint"


def write_stack(path) -> None:
    with store.StackWriter(path, (2, 1, 6, 8), ["DNA"], key="k") as writer:
        for row in range(2):
            writer.write(row, np.ones((1, 6, 8)))


def write_crops(path) -> None:
    with store.CropWriter(path, 2, ["DNA"], (1, 6, 8), key="k") as writer:
        for number in range(2):
            writer.write(number, np.ones((1, 1, 6, 8)), np.ones((2, 1, 6, 8)))


def write_folder(path) -> None:
    with store.atomic_folder(path) as folder:
        store.write_raw(folder / "images" / "raw.tif", IMAGE)
        store.write_part_engine(folder, "fast")
        store.write_ome(folder / "ome.tif", IMAGE, "DNA", pixel_um=1.0, identifier="urn:uuid:0")


def write_plate_zarr(path) -> None:
    channels = [store.ShownChannel("DNA", "#0080ff", 0, 9)]
    places = [store.FieldPlace("A", 1, 0, "A01_s1_t1")]
    store.write_plate_zarr(path, "P", places, [IMAGE[None]], channels, pixel_um=1.0, made={})


WRITERS = {
    "t.parquet": lambda path: store.write_table(FRAME, path),
    "t.tsv": lambda path: store.write_table(FRAME, path),
    "measured.parquet": lambda path: store.write_measured(FRAME, path, "fast"),
    "rows.parquet": lambda path: store.write_rows(FRAME.to_dict("records"), path),
    "rows.tsv": lambda path: store.write_rows(FRAME.to_dict("records"), path, columns=list(FRAME)),
    "groups.parquet": lambda path: store.write_groups([pa.table({"a": [1]})], path, pa.schema([("a", pa.int64())])),
    "t.jsonl": lambda path: store.write_json_lines([{"a": 1}], path),
    "masks.tif": lambda path: store.write_masks(path, FRAME, [np.ones((1, 6, 8), np.uint16)], ["Nuclei"], (6, 8)),
    "w.safetensors": lambda path: store.write_weights(path, {"a": torch.ones(3)}, {}),
    "stack.tif": write_stack,
    "crops.tif": write_crops,
    "folder": write_folder,
    "t.h5ad": lambda path: store.write_annotated(path, np.ones((1, 1)), FRAME, FRAME[:1], {}),
    "plate.zarr": write_plate_zarr,
}


@pytest.fixture
def calls(monkeypatch):
    """What reaches the disk in which order: ("sync", path) and ("rename", from, to) of the real calls."""
    made, fsync, replace = [], os.fsync, os.replace

    def noted_fsync(handle):
        made.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def noted_replace(old, new):
        made.append(("rename", str(old), str(new)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return made


def renaming(calls, path) -> tuple[str, list[str], list[str]]:
    """Return the temporary name of `path`, and what was synced before and after it got its final one."""
    (place,) = [n for n, call in enumerate(calls) if call[0] == "rename" and call[2] == str(path)]
    synced = [[call[1] for call in part if call[0] == "sync"] for part in (calls[:place], calls[place + 1 :])]
    return calls[place][1], *synced


@pytest.mark.parametrize("name", WRITERS)
def test_data_reach_the_disk_before_their_name_and_the_name_before_the_end(tmp_path, calls, name):
    path = tmp_path / "new" / name
    WRITERS[name](path)
    temporary, before, after = renaming(calls, path)
    inside = [str(below.relative_to(path)) for below in path.rglob("*")] if path.is_dir() else []
    assert len(inside) == {"folder": 4, "plate.zarr": 17}.get(name, 0)
    assert {temporary, *(os.path.join(temporary, below) for below in inside)} <= set(before)
    assert str(path.parent) in after


def test_every_writer_of_the_store_was_tried():
    tried = {node.attr for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.Attribute)}
    writers = {name for name in dir(store) if name.startswith("write_") or name.endswith("Writer")}
    assert len(writers) == 14 and writers <= tried


def test_nothing_is_renamed_beside_these_ways():
    """Fetch alone renames by itself: within a folder that has no final name yet, what it has synced before."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if f"{node.value.id}.{node.attr}" in ("os.replace", "os.rename", "os.renames", "shutil.move"):
                    found.add(path.name)
    assert found == {"atomic.py", "fetch.py"}


def test_a_fetched_file_is_on_the_disk_before_it_is_noted(tmp_path, calls):
    source, rows = tmp_path / "source", []
    for n in range(3):
        store.write_raw(source / f"{n}.tif", IMAGE)
        keys = {**FRAME.iloc[0], "Metadata_Site": n, "Channel": "DNA"}
        rows.append(
            {**keys, "key": f"{n}.tif", "file": f"f{n}.tif", "size": (source / "0.tif").stat().st_size, "etag": ""}
        )
    real, noted = fetch.Noted.add, []

    def add(self, line):
        noted.append((line["file"], list(calls)))
        real(self, line)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch.Noted, "add", add)
        fetch.fetch(rows, {"url": str(source), "hash": []}, tmp_path / "raw", workers=2)
    assert sorted(file for file, _ in noted) == ["f0.tif", "f1.tif", "f2.tif"]
    for file, before in noted:
        assert ("sync", str(tmp_path / "raw.partial" / fetch.part_name(file))) in before
    _, before, after = renaming(calls, tmp_path / "raw")
    assert str(tmp_path / "raw.partial") in before and str(tmp_path) in after


def test_a_noted_field_whose_pixels_a_power_cut_took_is_made_again(tmp_path):
    """The file system may bring a note to the disk and not what it speaks of: the pixels are then zeros, or older ones."""
    shape, images = (3, 1, 6, 8), np.random.default_rng(0).normal(size=(3, 1, 6, 8)).astype(np.float16)
    writer = store.StackWriter(tmp_path / "s.tif", shape, ["DNA"], key="k")
    for row in range(3):
        writer.write(row, images[row])
    writer.close()
    partial = tmp_path / "s.tif.partial"
    data = bytearray(partial.read_bytes())
    place = data.index(images[1].tobytes())
    data[place : place + images[1].nbytes] = bytes(images[1].nbytes)
    partial.write_bytes(data)
    with store.StackWriter(tmp_path / "s.tif", shape, ["DNA"], key="k") as writer:
        assert writer.done.tolist() == [True, False, True]
        writer.write(1, images[1])
    np.testing.assert_array_equal(store.open_stack(tmp_path / "s.tif").images, images)


def test_a_field_of_zeros_counts_as_written_and_one_never_written_does_not(tmp_path):
    writer = store.StackWriter(tmp_path / "s.tif", (2, 1, 6, 8), ["DNA"], key="k")
    writer.write(0, np.zeros((1, 6, 8)))
    writer.close()
    again = store.StackWriter(tmp_path / "s.tif", (2, 1, 6, 8), ["DNA"], key="k")
    assert again.done.tolist() == [True, False]
    again.close()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_late_is_an_error_and_leaves_the_old_file(tmp_path, monkeypatch, error):
    path = tmp_path / "t.tsv"
    store.write_table(FRAME, path)
    before = path.read_bytes()

    def fails(handle):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match=os.strerror(error)):
        store.write_table(FRAME.assign(more=1), path)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["t.tsv"]


def test_a_file_system_that_syncs_no_folder_is_taken_as_it_is(tmp_path, monkeypatch):
    real = os.fsync

    def refuses_folders(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", refuses_folders)
    with atomic.atomic(tmp_path / "t") as path:
        path.write_text("whole")
    assert (tmp_path / "t").read_text() == "whole"


@pytest.mark.cellprofiler
def test_whole_folders_are_written_in_cellprofilers_python_too(tmp_path):
    python = ROOT / ".envs" / "cellprofiler" / "bin" / "python"
    if not python.exists():
        pytest.skip("CellProfiler's environment is not built")
    script = "import sys\nfrom brightpaint.base import atomic\nwith atomic.atomic_folder(sys.argv[1]) as f: (f / 'a').touch()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([str(python), "-c", script, str(tmp_path / "made")], env=environment, check=True)
    assert [entry.name for entry in (tmp_path / "made").iterdir()] == ["a"]
