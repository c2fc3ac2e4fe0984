"""What a field costs by the fast engine, by CellProfiler and by cp_measure: CPU seconds of the same columns, in one run.

    BRIGHTPAINT_REAL_DATA=... python bench/engine.py [--folder /tmp/bench_engine] [--pipeline full] [--oracle .envs/oracle]

Fields of 512 px: the three real ones (PCCMA and JUMP source 1 with five stains, BR00117006 with three) and drawn ones of 30,
115 and 300 cells with five stains. CellProfiler's seconds are its modules' own, from its log, so that its start is not in
them; the engine's are of a second round in one process, and what the first took more is its start. Both read images, find
objects and write tables. cp_measure (`envs/build.sh oracle`) is given the label images and measures alone, and no neighbours.
One core each; other work on the machine makes all of them slower, though not by the same share: read the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.features import cellprofiler, export, pipeline
from brightpaint.features.engine.measured_part import measure
from brightpaint.plates.resize import resize

ROOT = Path(__file__).parent.parent
SIZE, CUTOFF = 512, 15
UM = 0.598 * 1080 / SIZE  # micrometres a pixel of the real fields once resized
FIVE = ["DNA", "RNA", "ER", "AGP", "Mito"]
PCCMA, JUMP = (f"{name}-ch{{}}sk1fk1fl1.tiff" for name in ("r03c03f03p01", "r01c01f01p01"))
REAL = {
    "PCCMA": ("pccma_BR00143976_C03_s3", FIVE, [PCCMA.format(n) for n in (5, 6, 2, 3, 4)]),
    "JUMP source 1": ("jump_source1_5ch", FIVE, [f"{name.lower()}.tiff" for name in FIVE]),
    "BR00117006": ("jump_BR00117006_A01_s1", ["DNA", "RNA", "AGP"], [JUMP.format(n) for n in (5, 3, 2)]),
}
DRAWN = (30, 115, 300)
ANSWERS = """
import sys, time
import numpy as np
from cp_measure.bulk import get_core_measurements, get_correlation_measurements
asked, took = np.load(sys.argv[1]), []
images = [asked[name].astype(float) for name in sorted(asked) if name.startswith("image")]
sets = [asked[name] for name in ("Nuclei", "Cells", "Cytoplasm")]
core, pairs = get_core_measurements(legacy=True), get_correlation_measurements()
def once(images):
    for labels in sets:
        for name, measure in core.items():
            shape = name in ("sizeshape", "zernike", "feret")
            for image in images[:1] if shape else images:
                for more in ({"scale": 3}, {"scale": 5}, {"scale": 10}) if name == "texture" else ({},):
                    measure(labels, image, **more)
        for at, one in enumerate(images):
            for two in images[at + 1:]:
                for name, measure in pairs.items():
                    measure(one, two, labels, **({"scale_max": 65535} if name == "costes" else {}))
start = time.process_time()
once(images)
print(time.process_time() - start)
"""


def real_field(folder: Path, files: list[str]) -> np.ndarray:
    """Return a field's stains as `prepare` leaves them: (C, 512, 512) z-scores."""
    return standardise(np.array([resize(tifffile.imread(folder / name), SIZE) for name in files]), CUTOFF)


def drawn_field(count: int, seed: int = 0) -> np.ndarray:
    """Draw `count` cells on a jittered grid, grained and noisy: (5, 512, 512) z-scores."""
    generator, side = np.random.default_rng(seed), int(np.ceil(np.sqrt(count)))
    step = SIZE / (side + 1)
    places = (np.argwhere(np.ones((side, side)))[:count] + 1) * step + generator.uniform(-0.1, 0.1, (count, 2)) * step
    centres = np.ones((SIZE, SIZE), bool)
    centres[tuple(places.astype(int).T)] = False
    distance = ndimage.distance_transform_edt(centres)
    planes = []
    for channel in range(len(FIVE)):
        grain = 1 + 0.3 * ndimage.gaussian_filter(generator.normal(0, 1, (SIZE, SIZE)), 1.5) * 3
        radius = min(9, 0.32 * step) if channel == 0 else min(22, 0.55 * step)
        planes.append(grain / (1 + np.exp((distance - radius) / 1.2)) + generator.normal(0, 0.03, (SIZE, SIZE)))
    return standardise(np.array(planes), CUTOFF)


def write_part(folder: Path, stains: np.ndarray, channels: list[str], pixel_um: float) -> Path:
    """Write one field as an exported part."""
    folder.mkdir(parents=True)
    files = {name: f"A01_s1_t1_{name}.tif" for name in channels}
    for name, plane in zip(channels, stains):
        store.write_raw(folder / files[name], export.to_counts(plane, (-5, 15)))
    record = {**dict(zip(store.FIELD_KEYS, ("P1", "A01", 1, 1))), "folder": folder.resolve(), "files": files}
    (folder / "load_data.csv").write_text(export.load_data_csv([record], channels))
    (folder / "export.json").write_text(json.dumps({"pixel_size_um": pixel_um}))
    return folder


def by_cellprofiler(part: Path, tables: Path, path: Path) -> tuple[float, float]:
    """Return CPU seconds of CellProfiler's modules on a part, and those of its whole process."""
    log, before = io.StringIO(), os.times()
    with contextlib.redirect_stderr(log):
        cellprofiler.measure("cellprofiler", path, part, tables)
    after = os.times()
    whole = after.children_user + after.children_system - before.children_user - before.children_system
    found = re.findall(r"module (\w+) # \d+: CPU_time = ([\d.]+) secs", log.getvalue())
    kept = [float(seconds) for name, seconds in found if name not in ("ConvertObjectsToImage", "SaveImages")]
    return sum(kept), whole


def by_engine(part: Path, tables: Path, path: Path, rounds: int = 4) -> tuple[float, float]:
    """Return CPU seconds of the engine on a part, the least of several rounds, and what the first took more."""
    took = []
    for _ in range(rounds):
        start = time.process_time()
        measure(path, part, tables)
        took.append(time.process_time() - start)
    return min(took[1:]), took[0] - min(took[1:])


def by_cp_measure(part: Path, tables: Path, packages: Path, scratch: Path) -> float:
    """Return CPU seconds of cp_measure on the objects that CellProfiler found."""
    (row,) = cellprofiler.read_csv(part / "load_data.csv")
    channels = cellprofiler.channels_of(part / "load_data.csv")
    first = row[f"FileName_Orig{channels[0]}"]
    labels = {
        name: store.read_raw(tables / pipeline.label_file(first, name)).astype(np.int32) for name in pipeline.LABELLED
    }
    labels["Cytoplasm"] = np.where(labels["Nuclei"] > 0, 0, labels["Cells"])
    images = {
        f"image{at}": store.read_raw(part / row[f"FileName_Orig{name}"]).astype(np.float32) / 65535
        for at, name in enumerate(channels)
    }
    np.savez(scratch / "asked.npz", **labels, **images)
    done = subprocess.run(
        [sys.executable, "-c", ANSWERS, scratch / "asked.npz"], check=True, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/bench_engine"))
    parser.add_argument("--pipeline", choices=["slim", "full"], default="full")
    parser.add_argument("--oracle", type=Path, default=ROOT / ".envs" / "oracle", help="cp_measure's packages")
    args = parser.parse_args()
    path = ROOT / "resources" / "cellprofiler" / f"{args.pipeline}.cppipe"
    data = os.environ.get("BRIGHTPAINT_REAL_DATA")
    parts = {}
    for name, (folder, channels, files) in REAL.items() if data else ():
        parts[name] = (real_field(Path(data) / "images" / folder, files), channels, UM)
    parts |= {f"drawn, {count} cells": (drawn_field(count), FIVE, 1.0) for count in DRAWN}
    print("| field | stains | nuclei | fast engine | CellProfiler | ratio | cp_measure, measuring alone | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    starts = []
    for name, (stains, channels, pixel_um) in parts.items():
        at = args.folder / re.sub(r"\W+", "_", f"{name}_{args.pipeline}")
        part = write_part(at / "images", stains, channels, pixel_um)
        theirs, whole = by_cellprofiler(part, at / "theirs", path)
        own, start = by_engine(part, at / "own", path)
        other = by_cp_measure(part, at / "theirs", args.oracle, at) if args.oracle.exists() else float("nan")
        nuclei = len(cellprofiler.read_csv(at / "theirs" / "Nuclei.csv"))
        assert nuclei == len(cellprofiler.read_csv(at / "own" / "Nuclei.csv"))
        starts.append((start, whole - theirs))
        print(f"| {name} | {len(channels)} | {nuclei} | {own:.2f} | {theirs:.1f} | {theirs / own:.1f} | {other:.1f} | "
              f"{other / own:.1f} |", flush=True)  # fmt: skip
    print(f"\nStart: the engine {starts[0][0]:.1f} CPU-s in the first field's process (imports apart), CellProfiler "
          f"{np.median([whole for _, whole in starts]):.1f}.")  # fmt: skip


if __name__ == "__main__":
    main()
