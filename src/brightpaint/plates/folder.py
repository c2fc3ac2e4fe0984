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
        folder, slash, begins = prefix.rpartition("/")
        for path, size in files_below(os.path.join(self.root, folder), begins):
            yield folder + slash + path, Entry(size)

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


def files_below(folder: str | Path, begins: str = "", *, whole: bool = False) -> Iterator[tuple[str, int]]:
    """Yield (path below it, size) of the files in a folder, without a list of them.

    Links to folders are followed, but for a folder that is listed under its own name too, or that the link lies in.

    Parameters
    ----------
    begins : with what the names directly in the folder begin
    whole : raise ValueError for a link to nothing and a folder that may not be read; they are passed over otherwise
    """
    real = [os.path.realpath(folder)]
    if begins:  # what lies beside is not listed, and may be linked to
        names = [name for name in _names(folder, whole) if name.startswith(begins)]
        paths = [os.path.join(folder, name) for name in names]
        real = [os.path.realpath(path) for path in paths if os.path.isdir(path) and not os.path.islink(path)]
    yield from _below(folder, begins, whole, tuple(real))


def _names(folder: str | Path, whole: bool) -> list[str]:
    """Return the names in a folder; none where it is not there."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if whole:
            raise ValueError(
                f"{folder}: not a folder that can be read ({error.strerror}); mend its permissions"
            ) from None
        return []


def _below(folder: str | Path, begins: str, whole: bool, listed: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield as `files_below` does; `listed` are the real folders that are listed all the way down."""
    with contextlib.ExitStack() as opened:
        try:
            there = opened.enter_context(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            _names(folder, whole)
            return
        for entry in there:
            if not entry.name.startswith(begins):
                continue
            real = listed
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if whole and not os.path.exists(entry.path):
                    raise ValueError(
                        f"{entry.path}: a link to {os.readlink(entry.path)}, where nothing is; mend the link, or remove it"
                    )
                if any(_within(target, one) or _within(one, target) for one in listed) and os.path.isdir(target):
                    continue
                real = (*listed, target)
            if os.path.isdir(entry.path):
                below = _below(entry.path, "", whole, real)
                yield from ((f"{entry.name}/{path}", size) for path, size in below)
            elif os.path.isfile(entry.path):
                yield entry.name, entry.stat().st_size


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
