"""Copy the files of an index here, every one verified, and continue where an earlier run was killed.

Each file is streamed to a temporary name, checked (size; MD5 where the ETag is one; a whole TIFF), brought to the disk
and renamed. The folder itself grows as `<raw>.partial` and is renamed when it is whole.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path

import numpy as np
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import patience, sources
from brightpaint.plates.keys import check_key

ATTEMPTS = 6
SPARE_BYTES = 100_000_000
EVERY_S = 30  # between two lines on progress in a log
IDENTITY = ["file", "key", "size", "etag"]
MANIFEST = [*IDENTITY, "md5", "sha256"]
COLUMNS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Channel", "key", "file", "size", "etag"]
log = logging.getLogger(__name__)


def plain_md5(etag: str) -> str:
    """Return the MD5 that an ETag holds, or "" (multipart uploads have another hash with a dash)."""
    return etag.lower() if re.fullmatch(r"[0-9a-fA-F]{32}", etag) else ""


def download(source, row: dict, temporary: str, hashes: Sequence[str]) -> dict[str, str]:
    """Write one file and return its hashes; raise `patience.Interrupted` where its bytes are not those of the index.

    Parameters
    ----------
    hashes : md5 (compared with the ETag where that is one), sha256, both or none
    """
    hashed, size = {name: hashlib.new(name, usedforsecurity=False) for name in hashes}, 0
    with open(temporary, "wb") as handle:
        for chunk in source.chunks(row["key"]):
            handle.write(chunk)
            for one in hashed.values():
                one.update(chunk)
            size += len(chunk)
    if size != row["size"]:
        raise patience.Interrupted(f"{source.describe(row['key'])}: expected {row['size']} bytes, found {size}")
    found = {name: one.hexdigest() for name, one in hashed.items()}
    expected = plain_md5(row["etag"])
    if expected and found.get("md5", expected) != expected:
        raise patience.Interrupted(f"{source.describe(row['key'])}: expected MD5 {expected}, found {found['md5']}")
    return found


class Noted:
    """The journal of a fetch, and where in it each file of the index is noted: 8 bytes a file beside its name.

    Parameters
    ----------
    names : the files of the index, encoded and sorted
    """

    def __init__(self, names: np.ndarray, journal: store.Journal):
        self.names, self.journal = names, journal
        self.places = np.zeros(len(names), np.int64)  # 0 where a file is not noted
        for place, line in journal.lines():
            if line.get("file") in self:
                self.places[self._number(line["file"])] = place

    def _number(self, file: str) -> int:
        return int(np.searchsorted(self.names, file.encode()))

    def __contains__(self, file: object) -> bool:
        if not isinstance(file, str):
            return False
        number = self._number(file)
        return number < len(self.names) and self.names[number] == file.encode()

    def add(self, line: dict) -> None:
        """Note a file of the index; threads may do so together."""
        self.places[self._number(line["file"])] = self.journal.add(line)

    def line(self, file: str) -> dict:
        """Return what is noted of a file of the index, {} where nothing is."""
        place = int(self.places[self._number(file)])
        return self.journal.at(place) if place else {}


def fetch_file(source, row: dict, folder: Path, noted: Noted, hashes: Sequence[str]) -> int:
    """Fetch one file of the index into `folder`, note it and return its size.

    It is on the disk before it is noted, and noted before it is renamed: whenever a kill or a power cut comes, a whole
    file is not fetched again and one that is not whole is not taken for it.

    Raises
    ------
    ValueError
        naming plate, well, site and channel, after `ATTEMPTS` attempts or at once where another try is no use
    """
    where = store.describe_field(row, row["Channel"])
    temporary = os.path.join(folder, part_name(row["file"]))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            found = download(source, row, temporary, hashes)
            break
        except patience.Interrupted as error:
            if attempt == ATTEMPTS:
                raise ValueError(
                    f"{error} ({where}), {ATTEMPTS} times; what is already here is kept: run the same command again, "
                    "and the rule index if the source has changed"
                ) from error
            log.info("%s; attempt %d of %d", error, attempt + 1, ATTEMPTS)
            time.sleep(patience.pause_s(row["key"], attempt))
        except ValueError as error:
            raise ValueError(f"{error} ({where})") from error
    store.check_raw(temporary, f"{source.describe(row['key'])}, {where}")
    store.sync(temporary)
    noted.add({**{name: row[name] for name in IDENTITY}, **found})
    os.replace(temporary, os.path.join(folder, row["file"]))
    return row["size"]


def part_name(file: str) -> str:
    """Return the name under which a file grows."""
    return f".{file}.part"


def still_to_fetch(rows: Collection[dict], noted: Noted, folder: Path, hashes: Sequence[str]) -> tuple:
    """Return which rows of the index an earlier run has not left whole in `folder`, (N,) bool, and their bytes.

    A file that was noted but not yet renamed is renamed. What is neither whole nor of this index is removed.
    """
    todo, needed = np.zeros(len(rows), bool), 0
    for n, row in enumerate(rows):
        line, path = noted.line(row["file"]), os.path.join(folder, row["file"])  # a Path would stay in memory
        known = all(line.get(name) == row[name] for name in IDENTITY) and set(hashes) <= set(line)
        if known:
            part = os.path.join(folder, part_name(row["file"]))
            if not os.path.isfile(path) and os.path.isfile(part) and os.path.getsize(part) == row["size"]:
                os.replace(part, path)
        if not known or not os.path.isfile(path) or os.path.getsize(path) != row["size"]:
            todo[n], needed = True, needed + row["size"]
    with os.scandir(folder) as there:
        for entry in there:
            if entry.name not in noted:
                os.unlink(entry.path)
    return todo, needed


def manifest(rows: Iterable[dict], noted: Noted) -> Iterable[dict]:
    """Yield what was fetched, in the order of the index: columns `MANIFEST`, "" for a hash that was not taken."""
    for row in rows:
        yield {**dict.fromkeys(MANIFEST, ""), **noted.line(row["file"])}


def check_disk(folder: Path, needed: int) -> None:
    """Raise OSError, before the first byte, where the disk is too small for `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise OSError(
            f"{folder}: {needed / 1e9:.2f} GB are to be fetched, {free / 1e9:.2f} GB are free; make room, "
            "or set pathvars.resources to a folder on a larger disk"
        )


def check_names(rows: Collection[dict]) -> np.ndarray:
    """Return the files' names, encoded and sorted.

    Raises
    ------
    ValueError
        for a name in the index that would leave the folder, and for one that occurs twice
    """
    longest = max((check_row(row) for row in rows), default=1)
    names = np.fromiter((row["file"].encode() for row in rows), f"S{longest}", len(rows))  # no list of them
    names.sort()
    if len(twice := names[:-1][names[1:] == names[:-1]]):
        raise ValueError(f"index: the file {twice[0].decode()} occurs twice; run the rule index again")
    return names


def check_row(row: dict) -> int:
    """Return the bytes of a row's file name; raise ValueError where it can't be fetched under that name."""
    where = store.describe_field(row, row["Channel"])
    if not all(isinstance(row[name], str) for name in ("file", "key", "etag")) or not _is_size(row["size"]):
        found = {name: row[name] for name in IDENTITY}
        raise ValueError(
            f"index: {where}: expected file, key and etag as text and a size in bytes, found {found}; "
            "run the rule index again"
        )
    if "/" in row["file"] or row["file"].startswith("."):
        raise ValueError(f"index: {row['file']!r} ({where}) is no plain file name; run the rule index again")
    check_key(row["key"], where)
    return len(row["file"].encode())


def _is_size(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 0


def fetch_all(source, rows: Iterable[dict], total: int, folder: Path, noted, *, hashes: Sequence[str], workers: int):
    """Fetch `rows`, of `total` bytes, with `workers` at once, noting each; the first failure stops the rest."""
    said_s, waiting = time.monotonic(), iter(rows)
    running: set[Future] = set()
    with ThreadPoolExecutor(workers) as pool, tqdm(total=total, disable=None, unit="B", unit_scale=True) as bar:
        began_s, done = said_s, 0
        try:
            while True:
                for row in itertools.islice(waiting, 2 * workers - len(running)):
                    running.add(pool.submit(fetch_file, source, row, folder, noted, hashes))
                if not running:
                    break
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
                bar.update(done - bar.n)
                if bar.disable and time.monotonic() - said_s > EVERY_S:  # in a log, a line in place of the bar
                    said_s = time.monotonic()
                    log.info("%s", progress(done, total, said_s - began_s))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def progress(done: int, total: int, seconds: float) -> str:
    """Return how far a transfer is, its rate and the time left."""
    left_s = round((total - done) * seconds / max(done, 1))
    rate = f"{done / 1e6 / seconds:.1f} MB/s"
    return f"{done / 1e9:.2f} of {total / 1e9:.2f} GB, {rate}, {timedelta(seconds=left_s)} left"


def fetch(rows: Collection[dict], settings: dict, raw: Path, *, workers: int, listed: Path | None = None) -> None:
    """Bring every file of an index into the folder `raw`.

    Parameters
    ----------
    rows : of the index, columns `COLUMNS`; gone through several times
    settings : url, endpoint_url, region, profile, hash
    raw : folder to make; unfinished work lies in `<raw>.partial`
    workers : files fetched at once; changes no result
    listed : where to write the manifest, if anywhere
    """
    names, hashes = check_names(rows), settings["hash"]
    partial = raw.with_name(raw.name + ".partial")
    with store.locked(raw):
        journal = store.Journal(raw.with_name(raw.name + ".partial.jsonl"), "fetch")
        try:
            if journal.begun and raw.exists() and not partial.exists():  # killed after the last rename
                store.replace_folder(raw, partial)
            partial.mkdir(parents=True, exist_ok=True)
            noted = Noted(names, journal)
            todo, needed = still_to_fetch(rows, noted, partial, hashes)
            log.info("%d files, %d of them here already", len(rows), len(rows) - todo.sum())
            check_disk(partial, needed)
            # its own attempts, so that a body cut short counts as one of them
            source = sources.open_source(settings, workers=workers, attempts=1)
            chosen = itertools.compress(rows, todo)
            fetch_all(source, chosen, needed, partial, noted, hashes=hashes, workers=workers)
            if listed:
                store.write_rows(manifest(rows, noted), listed, columns=MANIFEST)
        finally:
            journal.close()
        store.replace_folder(partial, raw)
        journal.remove()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = store.Rows(args.index, COLUMNS)
    fetch(rows, args.settings["source"], args.raw, workers=args.workers, listed=args.manifest)


if __name__ == "__main__":
    run(main)
