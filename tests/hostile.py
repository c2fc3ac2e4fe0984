"""What a hostile case is, and how one is run: a real command on spoilt input, which must end in one sentence."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from brightpaint.base import cli

BEFORE = b"what stood here before"


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes
    ----------
    area : what is spoilt
    what : how
    prepare : makes the input in a folder, spoils it, and returns (command, its words, the outputs it would write)
    words : what the sentence must hold: where, expected and found, what to do
    """

    area: str
    what: str
    prepare: Callable[[Path], tuple[Callable, list[str], list[Path]]]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.area}: {self.what}"


@functools.cache
def scratch() -> Path:
    """Return a folder that lasts as long as the tests, for input that many cases copy."""
    scratch.folder = tempfile.TemporaryDirectory()
    return Path(scratch.folder.name)


def home(make: Callable) -> Path:
    """Return the folder in which `copied` has `make` write; two modules may each have a function of one name."""
    return scratch() / f"{make.__module__}.{make.__qualname__}"


def copied(make: Callable[[Path], object], folder: Path) -> Path:
    """Copy into `folder` what `make` once wrote into a folder of its own, and return `folder`."""
    whole = home(make)
    if not whole.exists():
        whole.mkdir()
        make(whole)
    shutil.copytree(whole, folder, symlinks=True, dirs_exist_ok=True)
    return folder


def write_before(outputs: list[Path]) -> None:
    """Put something in the place of each output: files, and folders for names without an ending."""
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_bytes(BEFORE)
        else:
            path.mkdir()
            (path / "before").write_bytes(BEFORE)


def check_before(outputs: list[Path]) -> None:
    """Check that what stood in the place of each output is still there, and that nothing else lies beside it."""
    for path in outputs:
        assert (path if path.suffix else path / "before").read_bytes() == BEFORE, f"{path} was overwritten"
        if not path.suffix:
            assert [inner.name for inner in path.iterdir()] == ["before"]
        left = [other.name for other in path.parent.iterdir() if other.name.startswith(f".{path.name}.")]
        assert not left, f"temporary files were left: {left}"


def refusal(command: Callable, words: list[str], capsys) -> str:
    """Run a command as its rule does; return the sentence in which it must end."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:  # anything but ValueError and OSError would be a traceback
        cli.run(lambda: command([str(word) for word in words]))
    said = capsys.readouterr().err
    sentences = [line for line in said.splitlines() if line.startswith("error: ")]
    assert ended.value.code == 1 and len(sentences) == 1, said
    assert "Traceback" not in said
    return said[said.index("error: ") :]
