"""Whole files or none, and nothing left behind by commands that were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from brightpaint.base import atomic
from conftest import ROOT

WRITER = """
import pathlib, sys, time
from brightpaint.base import atomic
with getattr(atomic, sys.argv[1])(sys.argv[2]) as temporary:
    if temporary.is_dir():
        (temporary / "a").write_text("half")
    else:
        temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def start_writer(way: str, path) -> subprocess.Popen:
    """Start a process that writes half of `path` and then waits."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", WRITER, way, str(path)]
    writer = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "writing\n"
    return writer


def write(way: str, path) -> None:
    with getattr(atomic, way)(path) as temporary:
        (temporary / "a" if temporary.is_dir() else temporary).write_text("whole")


@pytest.mark.parametrize(("way", "name"), [("atomic", "t.tsv"), ("atomic_folder", "raw"), ("scratch_folder", "part")])
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path, way, name):
    writer = start_writer(way, tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 1
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(list(tmp_path.iterdir())) == 1, "nobody has tidied up yet"
    write(way, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ([] if way == "scratch_folder" else [name])


@pytest.mark.parametrize(("way", "name"), [("atomic", "t.tsv"), ("atomic_folder", "raw")])
def test_what_a_living_writer_holds_is_left_alone(tmp_path, way, name):
    writer = start_writer(way, tmp_path / name)
    try:
        (its,) = tmp_path.iterdir()
        write(way, tmp_path / name)
        assert its.exists() and (its / "a" if its.is_dir() else its).read_text() == "half"
    finally:
        writer.kill()
        writer.wait()


def test_names_that_only_look_alike_are_left_alone(tmp_path):
    others = [".t.tsv.note.tsv", ".t.tsv.abcdefgh.txt", ".other.tsv.abcdefgh.tsv", "t.tsv.abcdefgh.tsv"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".t.tsv.abcdefgh.tsv").touch()
    write("atomic", tmp_path / "t.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "t.tsv"])
