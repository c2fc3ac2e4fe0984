"""Files in a folder: a mirror of the gallery, or the user's own images."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from brightpaint.plates.keys import CHUNK_BYTES, Entry, check_key


class FolderSource:
    """A folder: a mirror of the gallery, or the user's own images."""

    def __init__(self, root: Path):
        self.root = Path(root)
        if not self.root.is_dir():
            raise ValueError(
                f"source.url: there is no folder {self.root}; create it or correct source.url in the config"
            )

    def describe(self, key: str) -> str:
        """Return the full name of a key, for messages."""
        return os.path.join(self.root, key)

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below `prefix`."""
        folder = self.root / prefix
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def walk(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Yield (key, entry), in no order, of every file below the folder `prefix` (which ends in /).

        Without the / it is of every file whose key begins so.
        """
        folder, slash, _ = prefix.rpartition("/")
        for path, size in _files_below(os.path.join(self.root, folder)):
            key = folder + slash + path
            if key.startswith(prefix):
                yield key, Entry(size)

    def list(self, prefix: str) -> dict[str, Entry]:
        """Return what `walk` yields, sorted."""
        return dict(sorted(self.walk(prefix), key=itemgetter(0)))

    def find(self, keys: Iterable[str]) -> Iterator[tuple[str, Entry]]:
        """Yield (key, entry) of those of `keys` that exist."""
        for key in keys:
            path = os.path.join(self.root, check_key(key))  # a Path would leave its name in memory
            if os.path.isfile(path):
                yield key, Entry(os.path.getsize(path))

    def open(self, key: str) -> BinaryIO:
        """Open a table for reading."""
        try:
            return open(os.path.join(self.root, check_key(key)), "rb")
        except FileNotFoundError:
            raise ValueError(f"{self.describe(key)}: there is no such file; run the rule index again") from None
        except PermissionError:
            raise ValueError(f"{self.describe(key)}: not readable; change its permissions") from None

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield a file's content piece by piece."""
        with self.open(key) as handle:
            while chunk := handle.read(CHUNK_BYTES):
                yield chunk

    def read(self, key: str) -> bytes:
        """Return a small file's content."""
        return b"".join(self.chunks(key))


def _files_below(folder: str) -> Iterator[tuple[str, int]]:
    """Yield (path below it, size) of the files in a folder, without a list of them; links to folders are not followed.

    A folder that is not there, or may not be read, has none.
    """
    with contextlib.ExitStack() as opened:
        try:
            there = opened.enter_context(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        for entry in there:
            if entry.is_dir(follow_symlinks=False):
                yield from ((f"{entry.name}/{path}", size) for path, size in _files_below(entry.path))
            elif entry.is_file():
                yield entry.name, entry.stat().st_size
