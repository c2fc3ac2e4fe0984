"""What each metric sees: real stains of a finished study with faults of three severities, scored like a prediction.

`blur` (s.d. in px), `noise` (s.d. in z-scores), `wells` (share of wells whose images changed places) and `channels`
(stains that changed places, in a circle) are made from a test plate's real stains, measured by the real CellProfiler and
scored by the study's own commands. Wells that changed places have the real cells of their new place. A finished
step is kept in `--folder`, so that a rerun scores alone. Prints one JSON line a metric.

    python bench/faults.py --study results/demo --plate SIM003 --folder /tmp/faults
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.ndimage import gaussian_filter

from brightpaint import store
from brightpaint.base.resampling import seeded
from brightpaint.study.study import Study

ROOT = Path(__file__).parent.parent
SEVERITIES = {"blur": (1, 2, 4), "noise": (0.25, 0.5, 1), "wells": (1 / 3, 2 / 3, 1), "channels": (2, 3, 5)}


def faulty(images: np.ndarray, wells: np.ndarray, kind: str, severity: float) -> np.ndarray:
    """Return stains (N, C, H, W) with one fault; `wells` names the well of each field."""
    if kind == "blur":
        return gaussian_filter(images, (0, 0, severity, severity))
    if kind == "noise":
        return images + severity * seeded("faults", "noise").normal(size=images.shape)
    if kind == "wells":
        return images[exchanged(wells, severity)]
    order = np.arange(images.shape[1])
    order[-severity:] = np.roll(order[-severity:], 1)  # DNA, the first, goes last
    return images[:, order]


def exchanged(wells: np.ndarray, share: float) -> np.ndarray:
    """Return, for each field, the field whose image it gets: a share of the wells changes places in a circle."""
    names = np.unique(wells)
    moved = seeded("faults", "wells").permutation(names)[: round(share * len(names))]
    takes = dict(zip(moved, np.roll(moved, 1)))
    places = {name: np.flatnonzero(wells == name) for name in names}
    order = np.arange(len(wells))
    for name, other in takes.items():
        order[places[name]] = np.resize(places[other], len(places[name]))
    return order


def call(module: str, *words: object) -> None:
    """Run one of the study's commands."""
    done = subprocess.run(
        [sys.executable, "-m", f"brightpaint.{module}", *map(str, words)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{module}\n{done.stderr[-4000:]}")


def measure(folder: Path, arm: str, plate: str, study: Study, fields: Path) -> None:
    """Bring an arm's stack to its field medians by the real CellProfiler."""
    stack, medians = folder / f"images/{arm}/{plate}.tif", folder / f"medians/{arm}/{plate}.parquet"
    if medians.exists():
        return
    work, rows = folder / "parts" / arm, stack.with_suffix(".parquet")
    settings = {"window": study.config["cellprofiler"]["window"], "channels": study.config["channels"]["target"],
                "pixel_size_um": study.pixel_size_um(plate), "cutoff": study.config["prepare"]["cutoff"]}  # fmt: skip
    call("features.export", "--settings", json.dumps(settings), "--arm", arm, "--stack", stack, "--rows", rows,
         "--fields", fields, "--part", 1, "--parts", 1, "--folder", work / "tiffs")  # fmt: skip
    pipeline = ROOT / "resources" / "cellprofiler" / f"{study.config['cellprofiler']['pipeline']}.cppipe"
    call("features.cellprofiler", "--command", study.config["cellprofiler"]["command"], "--pipeline", pipeline,
         "--images", work / "tiffs", "--tables", work / "tables")  # fmt: skip
    cells = ["--tables", work / "tables", "--rows", rows, "--cells", work / "cells.parquet"]
    call("features.cells_part", *cells)
    call("features.median", "--cells", work / "cells.parquet", "--rows", rows, "--medians", medians)


def moved_medians(real: pd.DataFrame, order: np.ndarray) -> pd.DataFrame:
    """Give each field the cells of the field whose image it got: features and counts move, keys and annotations stay."""
    names = [name for name in real.columns if not name.startswith("Metadata_") or name == "Metadata_cells"]
    moved = real.copy()
    moved[names] = real[names].to_numpy()[order]
    return moved.astype({"Metadata_cells": "int64"})


def make_arm(folder: Path, results: Path, study: Study, plate: str, kind: str, severity: float) -> str:
    """Write one fault's stack, rows and field medians; return the arm's name."""
    arm = f"{kind}-{severity:.2g}".replace(".", "p")
    path, fields_path = folder / f"images/{arm}/{plate}.tif", results / f"fields/{plate}.parquet"
    fields = store.read_fields(fields_path)
    if not path.exists():
        real = store.open_stack(results / f"images/real/{plate}.tif").select(fields)
        targets = study.config["channels"]["target"]
        images = np.stack([real.images[row][real.channel_indices(targets)] for row in range(len(real))]).astype(
            np.float32
        )
        images = faulty(images, fields["Metadata_Well"].to_numpy(), kind, severity)
        with store.StackWriter(path, images.shape, targets, key=arm) as writer:
            for row, image in enumerate(images):
                writer.write(row, image)
        store.write_table(fields, path.with_suffix(".parquet"))
    if kind == "wells":
        real = store.read_fields(results / f"medians/real/{plate}.parquet")
        order = exchanged(real["Metadata_Well"].to_numpy(), severity)
        store.write_table(moved_medians(real, order), folder / f"medians/{arm}/{plate}.parquet")
    else:
        measure(folder, arm, plate, study, fields_path)
    return arm


def score(folder: Path, results: Path, study: Study, plate: str, arm: str) -> pd.DataFrame:
    """Profile and score one arm by the study's own commands."""
    medians, selection = folder / f"medians/{arm}/{plate}.parquet", results / "selection/cellprofiler.tsv"
    profiles, out = folder / f"profiles/{arm}", folder / f"metrics/{arm}.parquet"
    call("features.profile", "--medians", medians, "--selection", selection, "--wells", profiles / "wells.parquet",
         "--perturbations", profiles / "perturbations.parquet")  # fmt: skip
    settings = {"channels": study.config["channels"], "cutoff": study.config["prepare"]["cutoff"]}
    call("evaluation.score", "--settings", json.dumps(settings), "--arm", arm, "--plates", plate,
         "--real", results / f"images/real/{plate}.tif", "--predicted", folder / f"images/{arm}/{plate}.tif",
         "--fields", results / f"fields/{plate}.parquet",
         "--profiles", results / "profiles/real/cellprofiler/perturbations.parquet", profiles / "perturbations.parquet",
         "--medians", medians, "--real-medians", results / f"medians/real/{plate}.parquet",
         "--active", results / "active/perturbations.tsv", "--metrics", out,
         "--by-field", out.with_suffix(".fields.parquet"))  # fmt: skip
    return store.read_table(out)


def main() -> None:
    """Make, measure and score every fault, and print what each metric says of it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--study", type=Path, required=True, help="results folder of a finished study")
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "demo.yaml")
    parser.add_argument("--plate", default="SIM003", help="a test plate")
    parser.add_argument("--subset", default="full", choices=["full", "active"])
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    study = Study.load(yaml.safe_load(args.config.read_text()), ROOT / "workflow" / "schemas", ROOT)
    found = {}
    for kind, severities in {"wells": (0,), **SEVERITIES}.items():
        for severity in (0, *severities):
            arm = make_arm(
                args.folder, args.study, study, args.plate, *(("wells", 0) if not severity else (kind, severity))
            )
            frame = score(args.folder, args.study, study, args.plate, arm)
            chosen = frame[(frame["channel"] == "all") & (frame["subset"] == args.subset)]
            found[kind, severity] = dict(zip(chosen["metric"], chosen["value"]))
    for metric in found["wells", 0]:
        values = {kind: [round(float(found[kind, s].get(metric, np.nan)), 4) for s in (0, *severities)]
                  for kind, severities in SEVERITIES.items()}  # fmt: skip
        print(json.dumps({"bench": "faults", "metric": metric, **values}), flush=True)


if __name__ == "__main__":
    main()
