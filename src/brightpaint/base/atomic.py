"""Write whole files and folders or none: a temporary name in the same folder, then a rename. Standard library only.

A file under its final name is whole after a power cut too: its data reach the disk before it is renamed (fsync), and its
name before the command goes on (fsync of the folder). Without the first, most file systems may keep the name and lose
what it holds; with it, a disk that fails or is full is an error of the command that wrote.

A command that is killed leaves its temporary file or folder behind. Each is locked (flock) while it is being written, so
that the next command that makes the same output knows the abandoned ones, and removes them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SYNCED_AT_ONCE = 16  # files: a file system writes its journal once for all that wait


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` if the block succeeds."""
    path = _ready(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())
        replace(name, path)
    finally:
        os.close(handle)
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path`, in place of an older one, if the block succeeds."""
    with scratch_folder(path) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        replace_folder(temporary, Path(path))


@contextlib.contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, and remove what is left of it at the end."""
    path = _ready(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent))
    handle = os.open(temporary, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield temporary
    finally:
        os.close(handle)
        shutil.rmtree(temporary, ignore_errors=True)


def replace(temporary: str | Path, path: str | Path) -> None:
    """Rename a whole file to `path`, in place of an older one: its data first, then the name, both on the disk."""
    sync(temporary)
    os.replace(temporary, path)
    sync(Path(path).parent)


def replace_folder(folder: Path, path: Path) -> None:
    """Rename `folder` to `path`, in place of an older one: all that lies in it first, then the name, on the disk."""
    with ThreadPoolExecutor(SYNCED_AT_ONCE) as pool:
        for where, _, files in os.walk(folder, topdown=False):
            for first in range(0, len(files), 256):  # a future a file of a large plate would be tens of megabytes
                list(pool.map(sync, (os.path.join(where, name) for name in files[first : first + 256])))
            sync(where)
    if path.exists():
        shutil.rmtree(path)
    os.replace(folder, path)
    sync(path.parent)


def sync(path: str | Path) -> None:
    """Return once a file's data, or the names that a folder holds, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # some network file systems keep names by themselves, and refuse to sync a folder
        if not (os.path.isdir(path) and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(handle)


def _ready(path: str | Path) -> Path:
    """Make the folder of `path`, and remove what killed commands left there of the same output."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    start, end = f".{path.name}.", path.suffix
    for entry in os.scandir(path.parent):
        # mkstemp's eight letters stand between the two.
        if entry.name.startswith(start) and entry.name.endswith(end) and len(entry.name) == len(start) + 8 + len(end):
            _remove_abandoned(Path(entry.path))
    return path


def _remove_abandoned(temporary: Path) -> None:
    try:
        handle = os.open(temporary, os.O_RDONLY)
    except OSError:  # its writer has just finished
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its writer lives
        return
    else:
        shutil.rmtree(temporary, ignore_errors=True) if temporary.is_dir() else temporary.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
