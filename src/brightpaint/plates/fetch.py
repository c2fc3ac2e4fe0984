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
import zlib
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.cli import run
from brightpaint.plates import sources

ATTEMPTS = 6
FIRST_PAUSE_S = 0.5
SPARE_BYTES = 100_000_000
COLUMNS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Channel", "key", "file", "size", "etag"]
log = logging.getLogger(__name__)


def pause_s(key: str, attempt: int) -> float:
    """Return the seconds to wait after failed attempt `attempt` (from 1): doubling, spread by the key's name."""
    spread = zlib.crc32(f"{key}/{attempt}".encode()) / 2**32
    return FIRST_PAUSE_S * 2 ** (attempt - 1) * (0.5 + spread)


def plain_md5(etag: str) -> str:
    """Return the MD5 that an ETag holds, or "" (multipart uploads have another hash with a dash)."""
    return etag.lower() if re.fullmatch(r"[0-9a-fA-F]{32}", etag) else ""


def download(source, row: dict, temporary: Path) -> str:
    """Write one file and return its MD5; raise `sources.Interrupted` where its bytes are not those of the index."""
    hashed, size = hashlib.md5(usedforsecurity=False), 0
    with open(temporary, "wb") as handle:
        for chunk in source.chunks(row["key"]):
            handle.write(chunk)
            hashed.update(chunk)
            size += len(chunk)
    if size != row["size"]:
        raise sources.Interrupted(f"{source.describe(row['key'])}: expected {row['size']} bytes, found {size}")
    expected = plain_md5(row["etag"])
    if expected and hashed.hexdigest() != expected:
        raise sources.Interrupted(f"{source.describe(row['key'])}: expected MD5 {expected}, found {hashed.hexdigest()}")
    return hashed.hexdigest()


def fetch_file(source, row: dict, folder: Path) -> dict:
    """Fetch one file of the index into `folder`; return its line in the journal.

    Raises
    ------
    ValueError
        naming plate, well, site and channel, after `ATTEMPTS` attempts or at once where another try is no use
    """
    where = store.describe_field(row, row["Channel"])
    temporary, final = folder / f".{row['file']}.part", folder / row["file"]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            md5 = download(source, row, temporary)
            break
        except sources.Interrupted as error:
            if attempt == ATTEMPTS:
                raise ValueError(
                    f"{error} ({where}), {ATTEMPTS} times; what is already here is kept: run the same command again, "
                    "and the rule index if the source has changed"
                ) from error
            log.info("%s; attempt %d of %d", error, attempt + 1, ATTEMPTS)
            time.sleep(pause_s(row["key"], attempt))
        except ValueError as error:
            raise ValueError(f"{error} ({where})") from error
    store.check_raw(temporary, f"{source.describe(row['key'])}, {where}")
    os.replace(temporary, final)
    return {"file": row["file"], "key": row["key"], "size": int(row["size"]), "etag": row["etag"], "md5": md5}


def still_to_fetch(rows: Sequence[dict], journal: Sequence[dict], folder: Path) -> list[dict]:
    """Return the rows of the index that an earlier run has not left whole in `folder`."""
    done = {line["file"]: (line["key"], line["size"], line["etag"]) for line in journal}

    def whole(row: dict) -> bool:
        path = folder / row["file"]
        same = done.get(row["file"]) == (row["key"], row["size"], row["etag"])
        return same and path.is_file() and path.stat().st_size == row["size"]

    return [row for row in rows if not whole(row)]


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
        if "/" in row["file"] or row["file"].startswith("."):
            raise ValueError(f"index: {row['file']!r} is no plain file name; run the rule index again")
        if row["file"] in names:
            raise ValueError(f"index: the file {row['file']} occurs twice; run the rule index again")
        names.add(row["file"])
        sources.check_key(row["key"], store.describe_field(row, row["Channel"]))


def fetch_all(source, rows: Sequence[dict], folder: Path, journal: store.Journal, *, workers: int) -> None:
    """Fetch `rows` with `workers` at once, noting each in `journal`; the first failure stops the rest."""
    total = sum(row["size"] for row in rows)
    waiting = iter(rows)
    running: set[Future] = set()
    with ThreadPoolExecutor(workers) as pool, tqdm(total=total, disable=None, unit="B", unit_scale=True) as bar:
        try:
            while True:
                for row in itertools.islice(waiting, 2 * workers - len(running)):
                    running.add(pool.submit(fetch_file, source, row, folder))
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    line = future.result()
                    running.remove(future)
                    journal.add(line)
                    bar.update(line["size"])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            for future in running:  # what was under way when another failed is not lost
                if not future.cancelled() and not future.exception():
                    journal.add(future.result())
            raise


def fetch(index: pd.DataFrame, settings: dict, raw: Path, *, workers: int) -> None:
    """Bring every file of `index` into the folder `raw`.

    Parameters
    ----------
    index : columns `COLUMNS`
    settings : url, endpoint_url, region, profile
    raw : folder to make; unfinished work lies in `<raw>.partial`
    workers : files fetched at once; changes no result
    """
    rows = index[COLUMNS].to_dict("records")
    check_names(rows)
    partial = raw.with_name(raw.name + ".partial")
    with store.locked(raw):
        partial.mkdir(parents=True, exist_ok=True)
        journal = store.Journal(raw.with_name(raw.name + ".partial.jsonl"), "fetch")
        wanted = {row["file"] for row in rows}
        for path in partial.iterdir():  # cut short, or of another index
            if path.name not in wanted:
                path.unlink()
        todo = still_to_fetch(rows, journal.rows, partial)
        log.info("%d files, %d of them here already", len(rows), len(rows) - len(todo))
        check_disk(partial, todo)
        # its own attempts, so that a body cut short counts as one of them
        source = sources.open_source(settings, workers=workers, attempts=1)
        try:
            fetch_all(source, todo, partial, journal, workers=workers)
        finally:
            journal.close()
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
    args = parser.parse_args(argv)
    fetch(store.read_table(args.index, COLUMNS), args.settings["source"], args.raw, workers=args.workers)


if __name__ == "__main__":
    run(main)
