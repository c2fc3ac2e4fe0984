"""The crop store at the size of a plate: memory while 300,000 cells are written, and crops a second of random batches.

    python bench/crops.py --cells 300000 --folder /tmp/crops

Writes crops of 5 x 96 px (110 kB each with their masks: 33 GB at 300,000 cells; --size-px 16 needs 0.9 GB and holds as many
rows, keys and places), then draws batches from the page cache on one core, beside what NumPy takes to gather and widen
the same bytes without flips and turns (the limit). Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa

from brightpaint import store

CHANNELS = ["DNA", "RNA", "ER", "AGP", "Mito"]
FIELD = 150  # cells


def anonymous_mb() -> float:
    """Return the anonymous memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def fields(cells: int):
    """Yield the rows of one field after the other."""
    for first in range(0, cells, FIELD):
        count = min(FIELD, cells - first)
        keys = {
            "Metadata_Plate": "P",
            "Metadata_Well": f"W{first // FIELD // 9}",
            "Metadata_Site": first // FIELD % 9 + 1,
        }
        keys |= {"Metadata_Tile": 1, **store.ROW_DEFAULTS}
        columns = {name: [value] * count for name, value in keys.items()} | {"ObjectNumber": list(range(1, count + 1))}
        yield pa.table(columns)


def write(path: Path, cells: int, size_px: int) -> dict:
    """Write so many crops and return what it took: CPU-s a thousand, anonymous MB after the first field and at most."""
    image = np.random.default_rng(0).normal(size=(5, 1, size_px, size_px)).astype(np.float16)
    masks, begun, memory = np.ones((2, 1, size_px, size_px), np.uint8), time.process_time(), []
    store.write_groups(fields(cells), path.with_suffix(".parquet"), next(fields(1)).schema)
    with store.CropWriter(path, cells, CHANNELS, (1, size_px, size_px), key="bench") as writer:
        for number in range(cells):
            writer.write(number, image, masks)
            if number % 1000 == 0:
                memory.append(anonymous_mb())
    return {"write_cpu_s_per_1000": round((time.process_time() - begun) / cells * 1000, 3),
            "anonymous_mb_first": round(memory[0]), "anonymous_mb_most": round(max(memory))}  # fmt: skip


def rates(path: Path, batch: int, batches: int) -> dict:
    """Return crops a CPU-second of batches and of the limit, in turns, and the ratio of their medians."""
    crops = store.open_crops(path)
    source, images, masks = store.CropBatches([crops]), np.asarray(crops.images), np.asarray(crops.masks)
    found = {"batches": [], "limit": []}
    for number in range(batches):
        numbers = source.order(0, number * batch, batch)
        source.batch(0, number * batch, batch)  # into the page cache
        begun = time.process_time()
        source.batch(0, number * batch, batch)
        found["batches"].append(time.process_time() - begun)
        begun = time.process_time()
        np.take(images, numbers, axis=0).astype(np.float32), np.take(masks, numbers, axis=0).astype(np.float32)
        found["limit"].append(time.process_time() - begun)
    medians = {name: batch / float(np.median(seconds)) for name, seconds in found.items()}
    return {"crops_per_s": round(medians["batches"]), "numpy_per_s": round(medians["limit"]),
            "ratio": round(medians["batches"] / medians["limit"], 2), "anonymous_mb_drawing": round(anonymous_mb())}  # fmt: skip


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=3000)
    parser.add_argument("--size-px", type=int, default=96)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args(argv)
    import torch

    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / "crops.tif"
    said = {"cells": args.cells, "size_px": args.size_px} | write(path, args.cells, args.size_px)
    said |= rates(path, args.batch, args.batches)
    print(json.dumps(said | {"peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))
    for file in (path, store.masks_of(path), path.with_suffix(".parquet")):
        file.unlink()


if __name__ == "__main__":
    main()
