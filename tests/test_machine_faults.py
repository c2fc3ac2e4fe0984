"""A full disk, a read-only folder, a full temporary folder, a clock that jumps, two Snakemakes at once: an error, nothing lost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml

import kills
from conftest import copy_of, snakemake, write_study
from features_fixture import blobs, write_images

pytestmark = pytest.mark.slow
TARGETS = ["results/fields/T2.parquet", "results/images/pert/T2.tif", "results/images/mean/T2.tif"]


@contextlib.contextmanager
def small_disk(folder: Path, size: str):
    """Mount a disk of `size` in memory at `folder`; yields a function that mounts it again with other options."""

    def mount(*options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True).returncode == 0

    folder.mkdir(parents=True)
    if os.geteuid() != 0 or not mount(f"size={size}"):
        pytest.skip("only root can mount a small disk here")
    try:
        yield lambda *options: mount("remount", *options)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def checksums(folder: Path, names=TARGETS) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def on_disk(folder: Path, finished: Path, disk: Path) -> Path:
    """Write the finished study's config once more, with results and resources on `disk`."""
    folder = write_study(folder, {"source": yaml.safe_load((finished / "config.yaml").read_text())["source"]})
    for name in ("results", "resources"):
        (disk / name).mkdir()
        (folder / name).symlink_to(disk / name)
    return folder


@pytest.mark.long
def test_a_disk_that_is_full_or_read_only_stops_the_study_and_loses_nothing(finished_study, tmp_path):
    with small_disk(tmp_path / "disk", "1m") as remount:
        folder = on_disk(tmp_path / "study", finished_study, tmp_path / "disk")
        command = ["--cores", "2", "--rerun-incomplete", "--show-failed-logs"]
        stopped = []
        for size in ("1m", "3m", "6m"):
            remount(f"size={size}")
            done = snakemake(folder, *command, "--", *TARGETS, check=False)
            stopped.append(done.returncode)
            if done.returncode:
                assert "No space left" in done.stdout or "disk" in done.stdout, done.stdout[-3000:]
                assert "Traceback" not in done.stdout, done.stdout[-3000:]
        assert any(stopped), "the disk was never full: the sizes must be smaller"
        remount("size=256m")
        snakemake(folder, *command, "--", *TARGETS)
        assert checksums(folder) == checksums(finished_study)

        remount("ro")
        done = snakemake(folder, *command, "--forcerun", "gather", "--", *TARGETS, check=False)
        assert done.returncode != 0
        assert "Write-protected output files" in done.stdout, done.stdout[-3000:]  # Snakemake's own sentence
        remount("rw")
        assert checksums(folder) == checksums(finished_study), "what stood there before is still there"


@pytest.mark.exhaustive
def test_a_full_temporary_folder_is_an_error_or_no_matter(tmp_path, cellprofiler, monkeypatch):
    """CellProfiler is the one that writes to it."""
    from brightpaint.features.cellprofiler import measure

    images = write_images(tmp_path / "images", blobs()[0][None])
    slim = Path(__file__).parent.parent / "resources" / "cellprofiler" / "slim.cppipe"
    with small_disk(tmp_path / "full", "4k"):
        with contextlib.suppress(OSError):
            (tmp_path / "full" / "filler").write_bytes(bytes(8192))
        monkeypatch.setenv("TMPDIR", str(tmp_path / "full"))
        try:
            measure(cellprofiler, slim, images, tmp_path / "tables")
        except (ValueError, OSError) as error:
            assert "space" in str(error) or "CellProfiler" in str(error)
            assert not (tmp_path / "tables").exists()
        else:
            assert (tmp_path / "tables" / "Image.csv").read_text().count("\n") == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.long
def test_a_clock_that_jumps_back_is_an_error_that_loses_nothing(finished_study, tmp_path):
    """Work of today on files from tomorrow is refused by Snakemake with a sentence; with the dates mended it is redone."""
    folder = tmp_path / "study"
    copy_of(finished_study, folder)
    tomorrow, skewed = (
        time.time() + 86400,
        [folder / "results/images/real/T2.tif", folder / "results/prepared/T2.parquet"],
    )
    for path in skewed:
        os.utime(path, (tomorrow, tomorrow))
    done = snakemake(folder, "--cores", "2", "--show-failed-logs", "--", *TARGETS, check=False)
    assert done.returncode != 0 and "older modification time" in done.stdout and "clock" in done.stdout
    for path in skewed:
        os.utime(path)
    snakemake(folder, "--cores", "2", "--rerun-incomplete", "--show-failed-logs", "--", *TARGETS)
    assert checksums(folder) == checksums(finished_study)


@pytest.mark.long
def test_a_second_snakemake_in_the_same_folder_is_refused_and_harms_nothing(finished_study, tmp_path):
    folder = tmp_path / "study"
    copy_of(finished_study, folder)
    with kills.snakemake_run(folder, "--forcerun", "sample", "--", *TARGETS[:2]) as (first, watch):
        until = time.monotonic() + 120
        while watch.began("sample") is None and time.monotonic() < until and first.poll() is None:
            watch.look()
            time.sleep(0.05)
        second = snakemake(folder, "--cores", "1", "--forcerun", "gather", "--", *TARGETS, check=False)
        assert first.wait(300) == 0
    assert second.returncode != 0
    assert "LockException" in second.stdout and "--unlock" in second.stdout
    assert checksums(folder) == checksums(finished_study)
