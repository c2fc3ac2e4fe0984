"""What profiling and scoring cost: ten plates of 384 wells with 1,500 features, from field medians; single cells to medians.

`plates` writes synthetic field medians (six fields a well, 290 perturbations in pairs, 64 DMSO wells, a third of the targets
active) of a real and a predicted arm, and runs select, profile, active and the scoring of profiles, each in a
process of its own, for each number of plates. `cells` streams single cells of one plate to parquet, one row group a
well, and reduces them to field medians. Prints one JSON line a stage: CPU and wall seconds, peak RSS and RssAnon.

    python bench/evaluation.py plates --plates 2 5 10 --folder /tmp/bench_evaluation
    python bench/evaluation.py cells --wells 384 --folder /tmp/bench_evaluation
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.scores.profiles.matching import by_plate
from brightpaint.scores.profiles.score_profiles import profile_rows
from brightpaint.scores.rows import read_active
from brightpaint.study.choice import row_letters

SITES, DMSO = 6, 64
CELLS_A_WELL, CELL_COLUMNS = 898, 4486  # 345,000 rows a plate


def watch(name: str, command: list[str]) -> dict:
    """Run a command; return its CPU and wall seconds, and the peaks of its memory in MB."""
    begun, anonymous = time.monotonic(), 0
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            anonymous = max([anonymous, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
        except OSError:
            pass
        time.sleep(0.1)
    if status:
        raise SystemExit(f"{name}: {' '.join(command)[:400]} ended with {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"stage": name, "cpu_s": round(cpu, 1), "wall_s": round(time.monotonic() - begun, 1),
            "peak_rss_mb": round(usage.ru_maxrss / 1024), "peak_anonymous_mb": round(anonymous / 1024)}  # fmt: skip


def layout(plate: str, wells: int) -> pd.DataFrame:
    """Return the fields of a plate with keys and annotations."""
    rows = []
    for number in range(wells):
        treated = number - wells * DMSO // 384
        control = treated < 0
        rows += [{
            "Metadata_Plate": plate,
            "Metadata_Well": f"{row_letters(number // 24 + 1)}{number % 24 + 1:02d}", "Metadata_Site": site,
            "Metadata_Tile": 1, "Metadata_Source": "s", "Metadata_Batch": plate,
            "Metadata_perturbation": "DMSO" if control else f"c{treated:03d}",
            "Metadata_target": "" if control else f"T{treated // 2:03d}",
            "Metadata_control_type": "negcon" if control else "", "Metadata_cells": 150,
        } for site in range(1, SITES + 1)]  # fmt: skip
    return pd.DataFrame(rows)


def write_medians(folder: Path, arm: str, number: int, wells: int, features: int) -> None:
    """Write one plate's field medians: a third of the targets shift a few latent directions, the rest is noise."""
    path = folder / f"medians/{arm}/P{number}.parquet"
    if path.exists():
        return
    fields = layout(f"P{number}", wells)
    rng, shared = np.random.default_rng([number, len(arm)]), np.random.default_rng(7)
    mixing = shared.normal(size=(200, features)).astype(np.float32)
    effects = {name: 4 * shared.normal(size=200) for name in sorted(set(fields["Metadata_target"]) - {""})[::3]}
    latent = np.array([effects.get(name, np.zeros(200)) for name in fields["Metadata_target"]])
    latent = latent + np.repeat(rng.normal(size=(wells, 200)), SITES, axis=0) + rng.normal(size=latent.shape)
    values = latent @ mixing + 8 * rng.normal(size=(len(fields), features))
    names = [f"{part}_Intensity_{n}" for n, part in zip(range(features), ["Cells", "Nuclei", "Cytoplasm"] * features)]
    store.write_table(pd.concat([fields, pd.DataFrame(values, columns=names)], axis=1), path)
    store.write_table(fields, folder / f"fields/P{number}.parquet")


def run_plates(folder: Path, plates: int, wells: int, features: int) -> None:
    """Run every stage on so many plates and print what each cost."""
    names = [f"P{number}" for number in range(plates)]
    for number in range(plates):
        for arm in ("real", "painted"):
            write_medians(folder, arm, number, wells, features)
    medians = {arm: [str(folder / f"medians/{arm}/{name}.parquet") for name in names] for arm in ("real", "painted")}
    python, out, tables = [sys.executable, "-m"], folder / f"plates{plates}", {}
    selection = str(out / "selection.tsv")
    settings = json.dumps({"components": 100, "permutations": 1000, "alpha": 0.05})
    space = ["--space", "cellprofiler"]
    select = ["brightpaint.profiles.select", *space, "--settings", '{"correlation": 0.9}', "--tables", *medians["real"]]
    stages = {"select": [*python, *select, "--selection", selection]}
    for arm in medians:
        tables[arm] = str(out / f"{arm}.parquet")
        stages[f"profile {arm}"] = [*python, "brightpaint.profiles.profile", *space, "--tables", *medians[arm],
                                    "--selection", selection,
                                    "--wells", str(out / f"{arm}_wells.parquet"), "--perturbations", tables[arm]]  # fmt: skip
    stages["active"] = [*python, "brightpaint.profiles.active", "--settings", settings, "--medians", *medians["real"],
                        "--selection", selection, "--active", str(out / "active.tsv"), "--wells", str(out / "active.parquet"),
                        "--agreement", str(out / "agreement.tsv")]  # fmt: skip
    for arm in medians:
        stages[f"score {arm}"] = [
            sys.executable,
            __file__,
            "score",
            "--folder",
            str(folder),
            "--plates",
            str(plates),
            "--arm",
            arm,
        ]
    found = []
    for stage, command in stages.items():
        found.append(
            {"bench": "evaluation", "plates": plates, "wells": wells, "features": features, **watch(stage, command)}
        )
        print(json.dumps(found[-1]), flush=True)
    total = {key: round(sum(row[key] for row in found), 1) for key in ("cpu_s", "wall_s")}
    peaks = {key: max(row[key] for row in found) for key in ("peak_rss_mb", "peak_anonymous_mb")}
    print(json.dumps({"bench": "evaluation", "plates": plates, "stage": "all", **total, **peaks}), flush=True)


def score_profiles(folder: Path, plates: int, arm: str) -> None:
    """Score the profiles of an arm on every plate, as the rule `score_profiles` does."""
    out = folder / f"plates{plates}"
    real, painted = (by_plate(out / f"{name}.parquet", name) for name in ("real", arm))
    active = read_active([out / "active.tsv"])
    rows = []
    for plate in sorted(real):
        fields = store.read_fields(folder / f"fields/{plate}.parquet")
        rows += list(profile_rows(plate, arm, real, painted, fields, active))
    store.write_table(pd.DataFrame(rows), out / f"{arm}_metrics.parquet")


def run_cells(folder: Path, wells: int) -> None:
    """Stream so many wells of single cells to parquet and reduce them to field medians."""
    import pyarrow as pa

    path, rows_path = folder / f"cells{wells}.parquet", folder / f"rows{wells}.parquet"
    fields, rng = layout("P", wells), np.random.default_rng(0)
    names = [
        f"{part}_Intensity_{n}" for n, part in zip(range(CELL_COLUMNS), ["Cells", "Nuclei", "Cytoplasm"] * CELL_COLUMNS)
    ]
    metadata = [name for name in fields.columns if name != "Metadata_cells"]

    def tables():
        for _, rows in fields.groupby("Metadata_Well", sort=False):
            described = rows[metadata].iloc[np.sort(rng.integers(0, SITES, CELLS_A_WELL))].reset_index(drop=True)
            values = pd.DataFrame(rng.standard_normal((CELLS_A_WELL, CELL_COLUMNS), dtype=np.float32), columns=names)
            yield pa.Table.from_pandas(pd.concat([described, values], axis=1), preserve_index=False)

    if not path.exists():
        store.write_table(fields[metadata], rows_path)
        store.write_groups(tables(), path, next(iter(tables())).schema)
    command = [
        sys.executable,
        "-m",
        "brightpaint.features.median",
        "--cells",
        path,
        "--rows",
        rows_path,
        "--medians",
        folder / "m.parquet",
    ]
    found = watch("median", list(map(str, command)))
    size = {
        "wells": wells,
        "cells": wells * CELLS_A_WELL,
        "columns": CELL_COLUMNS,
        "file_gb": round(path.stat().st_size / 1e9, 2),
    }
    print(json.dumps({"bench": "evaluation", **size, **found}), flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    plates = commands.add_parser("plates", help="select, profile, active and score")
    plates.add_argument("--plates", type=int, nargs="+", default=[2, 5, 10])
    plates.add_argument("--wells", type=int, default=384)
    plates.add_argument("--features", type=int, default=1500)
    one = commands.add_parser("score", help="score the profiles of one arm (called by `plates`)")
    one.add_argument("--plates", type=int, required=True)
    one.add_argument("--arm", required=True)
    cells = commands.add_parser("cells", help="single cells to field medians")
    cells.add_argument("--wells", type=int, default=384)
    for command in (plates, one, cells):
        command.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "score":
        score_profiles(args.folder, args.plates, args.arm)
    elif args.command == "cells":
        run_cells(args.folder, args.wells)
    else:
        for count in args.plates:
            run_plates(args.folder, count, args.wells, args.features)


if __name__ == "__main__":
    main()
