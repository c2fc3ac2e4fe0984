"""Unfinished work: locks, and journals of what is already done."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path


def take_lock(path: Path) -> tuple:
    """Take the lock `<path>.lock` and return (its handle, its name); a second process that tries is an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(path.name + ".lock")
    while True:
        handle = open(name, "a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.close()
            raise ValueError(f"{path} is being made by another process; wait for it, or stop it and rerun") from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle.fileno()), os.stat(name)):
                return handle, name
        handle.close()  # its last holder removed the file between our opening and locking it


@contextlib.contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock `<path>.lock`: a second process that would make the same file is an error that names it."""
    handle, name = take_lock(Path(path))
    with handle:
        try:
            yield
        finally:
            name.unlink(missing_ok=True)


def _whole_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a journal up to the first that a kill or a failing disk has spoilt: the rest is made again."""
    for line in lines:
        try:
            whole = line.endswith(b"\n") and isinstance(json.loads(line), dict)
        except ValueError:
            return
        if not whole:
            return
        yield line


class Journal:
    """Lines of JSON that say what is already done, keyed by a digest of what determines it.

    Each line is on its way to disk before `add` returns, and a line that a kill cut short is not read back. A power cut
    may take the last lines away: what they speak of is done again. What is noted must lie on the disk before.
    A journal of another key begins anew. Its lines stay on disk: whoever needs one again keeps its place, an integer
    above 0.

    Attributes
    ----------
    begun : whether an earlier run left lines
    """

    def __init__(self, path: str | Path, key: str):
        self.path = Path(path)
        self._turn = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        head = json.dumps({"key": key}).encode() + b"\n"
        self._end = self._whole(head)
        self.begun = self._end > len(head)
        self._handle = open(self.path, "ab")
        self._handle.truncate(self._end)
        if not self._end:
            self._write(head)
        self._reader = open(self.path, "rb")

    def _whole(self, head: bytes) -> int:
        """Return how many bytes of an earlier run's journal are whole lines under the same key."""
        if not self.path.exists():
            return 0
        with open(self.path, "rb") as lines:
            if lines.readline() != head:
                return 0
            return len(head) + sum(map(len, _whole_lines(lines)))

    def _write(self, line: bytes) -> int:
        place = self._end
        self._handle.write(line)
        self._handle.flush()
        self._end += len(line)
        return place

    def lines(self) -> Iterator[tuple[int, dict]]:
        """Yield (place, row) of everything that earlier runs, and this one, have added."""
        with open(self.path, "rb") as lines:
            place = len(lines.readline())
            for line in lines:
                yield place, json.loads(line)
                place += len(line)

    def add(self, row: dict) -> int:
        """Append one row of JSON-serialisable values and return its place; threads may share a journal."""
        line = json.dumps(row).encode() + b"\n"
        with self._turn:
            return self._write(line)

    def at(self, place: int) -> dict:
        """Return the row at a place that `add` or `lines` gave."""
        self._reader.seek(place)
        return json.loads(self._reader.readline())

    def close(self) -> None:
        self._handle.close()
        self._reader.close()

    def remove(self) -> None:
        """Forget it: the work is finished."""
        self.close()
        self.path.unlink(missing_ok=True)
