"""What it costs that a file under its final name is whole after a power cut: every write with and without fsync.

    python bench/durability.py [--folder /on/the/disk/in/question] [--rounds 7]

Both ways take turns; the table gives the median wall seconds of each, their ratio and its range over the rounds.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import atomic
from brightpaint.plates import fetch

IMAGES = 200
FIELD = (5, 457, 457)  # 2.1 MB as float16: 48 of them are 100 MB
FIELDS = 48


def small_table(folder: Path) -> None:
    keys = {"Metadata_Plate": "P", "Metadata_Well": "A01", "Metadata_Site": range(96), "Metadata_Tile": 1}
    store.write_table(pd.DataFrame(keys), folder / "t.parquet")


def stack(folder: Path) -> None:
    images = np.random.default_rng(0).normal(size=(4, *FIELD)).astype(np.float16)
    with store.StackWriter(folder / "s.tif", (FIELDS, *FIELD), list("abcde"), key="k") as writer:
        for row in range(FIELDS):
            writer.write(row, images[row % 4])


def tiffs(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 4000, (512, 512)).astype(np.uint16)
    with store.atomic_folder(folder / "tiffs") as temporary:
        for number in range(IMAGES):
            store.write_raw(temporary / f"{number}.tif", image)


def fetched(folder: Path) -> None:
    source = folder.parent / "source"
    if not source.exists():
        tiffs(folder.parent)
        (folder.parent / "tiffs").rename(source)
    row = {"Metadata_Plate": "P", "Metadata_Well": "A01", "Metadata_Site": 1, "Channel": "DNA", "etag": ""}
    row["size"] = (source / "0.tif").stat().st_size
    rows = [{**row, "key": f"{number}.tif", "file": f"{number}.tif"} for number in range(IMAGES)]
    fetch.fetch(rows, {"url": str(source), "hash": ["md5"]}, folder / "raw", workers=16)


CASES = {
    "a table of 96 rows": small_table,
    f"a stack of {FIELDS * np.prod(FIELD) * 2 / 1e6:.0f} MB": stack,
    f"a folder of {IMAGES} TIFFs of 0.5 MB": tiffs,
    f"fetch of {IMAGES} TIFFs of 0.5 MB from a folder": fetched,
}


@contextmanager
def without_sync():
    """Leave all fsync out, as it was before."""
    real = atomic.sync
    atomic.sync = store.sync = lambda path: None
    try:
        yield
    finally:
        atomic.sync = store.sync = real


def seconds(case, folder: Path) -> float:
    folder.mkdir()
    began = time.perf_counter()
    case(folder)
    spent = time.perf_counter() - began
    shutil.rmtree(folder)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one without it")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print("| what | without, s | with, s | ratio (range) |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=args.folder) as base:
        for name, case in CASES.items():
            seconds(case, Path(base) / "warm")
            without, with_sync = [], []
            for number in range(args.rounds):
                with without_sync():
                    without.append(seconds(case, Path(base) / f"{number}a"))
                with_sync.append(seconds(case, Path(base) / f"{number}b"))
            ratios = sorted(b / a for a, b in zip(without, with_sync))
            print(f"| {name} | {statistics.median(without):.3f} | {statistics.median(with_sync):.3f} "
                  f"| {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}) |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
