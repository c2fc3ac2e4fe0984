"""One plate brought from index to prepare by Snakemake, through a server that fails and kills at random moments."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from brightpaint.plates import simulate
from brightpaint.plates.simulator.phenotypes import seed_of
from conftest import simulation_settings, snakemake_command, write_study

CHANNELS = ["Brightfield_L", "Brightfield", "Brightfield_H", "DNA", "RNA", "ER", "AGP", "Mito"]
PLATE = {"plate": "P1", "role": "study", "project": "simulated", "source": "source_0", "batch": "B1"}
OUTPUTS = [
    "resources/index/P1.parquet", "resources/manifest/P1.tsv", "results/missing/P1.tsv", "results/illumination/P1.tif",
    "results/images/real/P1.tif", "results/prepared/P1.parquet", "results/quality/P1.parquet", "results/flags/P1.tsv",
    "results/fields/P1.parquet",
]  # fmt: skip
FAULTS = {503: 0.02, "cut": 0.01}  # share of requests
SECONDS = 3600


def quick_images(*_, channels, names, size_px=64, **__) -> dict[str, np.ndarray]:
    """Return noise in place of cells: {channel: (size_px, size_px) uint16}, by name."""
    rngs = {channel: np.random.default_rng(seed_of(*names, channel)) for channel in channels}
    return {channel: rng.integers(100, 4000, (size_px, size_px), np.uint16) for channel, rng in rngs.items()}


def write_mirror(mirror: Path, *, rows: int, columns: int, sites: int) -> None:
    """Write a plate of 64-px images with the simulator's names, load_data, platemap and metadata."""
    settings = {**simulation_settings(), "rows": rows, "columns": columns, "sites": sites, "size_px": 64}
    settings |= {"pixel_size_um": 1.0, "plate": {**PLATE, "channels": CHANNELS}}
    with (
        mock.patch.object(simulate, "draw_sample", lambda *_, **__: ()),
        mock.patch.object(simulate, "image_sample", quick_images),
    ):
        simulate.simulate_plate(settings, mirror)


def start(folder: Path, url: str) -> subprocess.Popen:
    """Start Snakemake on the plate in a process group of its own."""
    source = {"layout": "gallery", "url": "s3://gallery", "endpoint_url": url, "hash": ["md5", "sha256"]}
    changes = {"source": source, "prepare": {"size_px": 64}, "illumination": {"size_px": 16},
               "folds": [{"name": "A", "test": ["P2"]}], "models": [{"name": "mean", "kind": "mean"}],
               "arms": [{"name": "mean", "model": "mean", "folds": ["A"]}]}  # fmt: skip
    row = "\t".join(PLATE.values())
    plates = "\n".join(["\t".join(PLATE), row, row.replace("P1", "P2"), ""])  # P2 makes a study; it is not asked for
    write_study(folder, changes, plates)
    command, environment = snakemake_command(
        folder, "--cores", "2", "--nolock", "--rerun-incomplete", "--show-failed-logs", "--notemp",
        "results/fields/P1.parquet")  # fmt: skip
    with open(folder / "snakemake.log", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def run(folder: Path, url: str, moments: Sequence[Callable[[], bool]] = ()) -> int:
    """Bring the plate to its stack; kill -9 the whole group once for each of `moments`. Return the kills."""
    kills = 0
    for moment in [*moments, None]:
        process, until = start(folder, url), time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < until:
            if moment and moment():
                kills += 1
                break
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        if moment is None and code:
            raise AssertionError((folder / "snakemake.log").read_text()[-6000:])
    return kills


def random_moments(folder: Path, proxy, files: int, seed: int) -> Iterator[Callable[[], bool]]:
    """Return three moments: two when so many requests were made, one soon after the stack is begun."""
    rng = np.random.default_rng(seed)
    for count in sorted(rng.integers(files // 10, files, 2).tolist()):
        yield lambda count=count: sum(proxy.gets.values()) >= count
    delay_s, seen = float(rng.uniform(0, 0.1)), []

    def begun() -> bool:
        if (folder / "results/images/real/P1.tif.partial").exists():
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] >= delay_s

    yield begun


def checksums(folder: Path) -> dict[str, str]:
    """Return the sha256 of every output."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in OUTPUTS}


def compare(root: Path, url: str, proxy, *, files: int, seed: int) -> dict:
    """Run the plate undisturbed and disturbed below `root`; return what happened and whether the bytes are the same."""
    run(root / "undisturbed", url)
    proxy.share = FAULTS
    kills = run(root / "disturbed", proxy.url, list(random_moments(root / "disturbed", proxy, files, seed)))
    images = {path: count for path, count in proxy.gets.items() if path.endswith(".tif")}
    return {
        "files": files, "kills": kills, "requests": sum(proxy.gets.values()),
        "injected": {str(fault): count for fault, count in proxy.injected.items()},
        "asked_again": sum(images.values()) - len(images),
        "identical": checksums(root / "undisturbed") == checksums(root / "disturbed"),
    }  # fmt: skip
