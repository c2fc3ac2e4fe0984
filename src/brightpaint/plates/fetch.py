"""Copy the files of an index here, every one verified, and continue where an earlier run was killed.

Each file is streamed to a temporary name, checked (size; MD5 where the ETag is one; a whole TIFF) and renamed. The
folder itself grows as `<raw>.partial` and is renamed when it is whole.
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
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.cli import run
from brightpaint.plates import sources

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


def download(source, row: dict, temporary: Path, hashes: Sequence[str]) -> dict[str, str]:
    """Write one file and return its hashes; raise `sources.Interrupted` where its bytes are not those of the index.

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
        raise sources.Interrupted(f"{source.describe(row['key'])}: expected {row['size']} bytes, found {size}")
    found = {name: one.hexdigest() for name, one in hashed.items()}
    expected = plain_md5(row["etag"])
    if expected and found.get("md5", expected) != expected:
        raise sources.Interrupted(f"{source.describe(row['key'])}: expected MD5 {expected}, found {found['md5']}")
    return found


def fetch_file(source, row: dict, folder: Path, journal: store.Journal, hashes: Sequence[str]) -> int:
    """Fetch one file of the index into `folder`, note it in `journal` and return its size.

    It is noted before it is renamed: whenever a kill comes, a whole file is not fetched again.

    Raises
    ------
    ValueError
        naming plate, well, site and channel, after `ATTEMPTS` attempts or at once where another try is no use
    """
    where = store.describe_field(row, row["Channel"])
    temporary = folder / part_name(row["file"])
    for attempt in range(1, ATTEMPTS + 1):
        try:
            found = download(source, row, temporary, hashes)
            break
        except sources.Interrupted as error:
            if attempt == ATTEMPTS:
                raise ValueError(
                    f"{error} ({where}), {ATTEMPTS} times; what is already here is kept: run the same command again, "
                    "and the rule index if the source has changed"
                ) from error
            log.info("%s; attempt %d of %d", error, attempt + 1, ATTEMPTS)
            time.sleep(sources.pause_s(row["key"], attempt))
        except ValueError as error:
            raise ValueError(f"{error} ({where})") from error
    store.check_raw(temporary, f"{source.describe(row['key'])}, {where}")
    journal.add({**{name: row[name] for name in IDENTITY}, **found})
    os.replace(temporary, folder / row["file"])
    return row["size"]


def part_name(file: str) -> str:
    """Return the name under which a file grows."""
    return f".{file}.part"


def still_to_fetch(rows: Sequence[dict], journal: Sequence[dict], folder: Path, hashes: Sequence[str]) -> list[dict]:
    """Return the rows of the index that an earlier run has not left whole in `folder`.

    A file that was noted but not yet renamed is renamed. What is neither whole nor of this index is removed.
    """
    noted = {line.get("file"): line for line in journal}
    todo = []
    for row in rows:
        line, path = noted.get(row["file"], {}), folder / row["file"]
        if any(line.get(name) != row[name] for name in IDENTITY) or not set(hashes) <= set(line):
            todo.append(row)
            continue
        part = folder / part_name(row["file"])
        if not path.is_file() and part.is_file() and part.stat().st_size == row["size"]:
            os.replace(part, path)
        if not path.is_file() or path.stat().st_size != row["size"]:
            todo.append(row)
    wanted = {row["file"] for row in rows}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    return todo


def manifest(rows: Sequence[dict], journal: Sequence[dict]) -> pd.DataFrame:
    """Return what was fetched, in the order of the index: columns `MANIFEST`, "" for a hash that was not taken."""
    noted = {line["file"]: line for line in journal}
    return pd.DataFrame([[noted[row["file"]].get(name, "") for name in MANIFEST] for row in rows], columns=MANIFEST)


def check_disk(folder: Path, rows: Sequence[dict]) -> None:
    """Raise OSError, before the first byte, where the disk is too small for `rows`."""
    needed = sum(row["size"] for row in rows)
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise OSError(
            f"{folder}: {needed / 1e9:.2f} GB are to be fetched, {free / 1e9:.2f} GB are free; make room, "
            "or set pathvars.resources to a folder on a larger disk"
        )


def check_names(rows: Sequence[dict]) -> None:
    """Raise ValueError for a name in the index that would leave the folder, and for one that occurs twice."""
    names = set()
    for row in rows:
        if not all(isinstance(row[name], str) for name in ("file", "key", "etag")) or not _is_size(row["size"]):
            found = {name: row[name] for name in IDENTITY}
            raise ValueError(
                f"index: {store.describe_field(row)}: expected file, key and etag as text and a size in bytes, found {found}; "
                "run the rule index again"
            )
        if "/" in row["file"] or row["file"].startswith("."):
            raise ValueError(f"index: {row['file']!r} is no plain file name; run the rule index again")
        if row["file"] in names:
            raise ValueError(f"index: the file {row['file']} occurs twice; run the rule index again")
        names.add(row["file"])
        sources.check_key(row["key"], store.describe_field(row, row["Channel"]))


def _is_size(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 0


def fetch_all(source, rows: Sequence[dict], folder: Path, journal, *, hashes: Sequence[str], workers: int) -> None:
    """Fetch `rows` with `workers` at once, noting each in `journal`; the first failure stops the rest."""
    total, said_s = sum(row["size"] for row in rows), time.monotonic()
    waiting = iter(rows)
    running: set[Future] = set()
    with ThreadPoolExecutor(workers) as pool, tqdm(total=total, disable=None, unit="B", unit_scale=True) as bar:
        began_s, done = said_s, 0
        try:
            while True:
                for row in itertools.islice(waiting, 2 * workers - len(running)):
                    running.add(pool.submit(fetch_file, source, row, folder, journal, hashes))
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


def fetch(index: pd.DataFrame, settings: dict, raw: Path, *, workers: int, listed: Path | None = None) -> None:
    """Bring every file of `index` into the folder `raw`.

    Parameters
    ----------
    index : columns `COLUMNS`
    settings : url, endpoint_url, region, profile, hash
    raw : folder to make; unfinished work lies in `<raw>.partial`
    workers : files fetched at once; changes no result
    listed : where to write the manifest, if anywhere
    """
    rows, hashes = index[COLUMNS].to_dict("records"), settings["hash"]
    check_names(rows)
    partial = raw.with_name(raw.name + ".partial")
    with store.locked(raw):
        journal = store.Journal(raw.with_name(raw.name + ".partial.jsonl"), "fetch")
        if journal.rows and raw.exists() and not partial.exists():  # killed after the last rename
            os.replace(raw, partial)
        partial.mkdir(parents=True, exist_ok=True)
        todo = still_to_fetch(rows, journal.rows, partial, hashes)
        log.info("%d files, %d of them here already", len(rows), len(rows) - len(todo))
        check_disk(partial, todo)
        # its own attempts, so that a body cut short counts as one of them
        source = sources.open_source(settings, workers=workers, attempts=1)
        try:
            fetch_all(source, todo, partial, journal, hashes=hashes, workers=workers)
        finally:
            journal.close()
        if listed:
            store.write_table(manifest(rows, journal.rows), listed)
        if raw.exists():
            shutil.rmtree(raw)
        os.replace(partial, raw)
        journal.remove()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args(argv)
    index = store.read_table(args.index, COLUMNS)
    fetch(index, args.settings["source"], args.raw, workers=args.workers, listed=args.manifest)


if __name__ == "__main__":
    run(main)
