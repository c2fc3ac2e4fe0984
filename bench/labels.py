"""What a label adds over looking it up: target mAP of arms on simulated plates whose phenotypes brightfield does not show.

Each seed is a study of its own, run by the workflow from simulated plates to metrics, CellProfiler included: two
training plates and a test plate of 28 wells (6 DMSO; 22 compounds in 11 targets, all active, none visible in brightfield),
a quarter of the treated wells of each plate failed. Arms: no label, the perturbation's label, a wrong label, and, for
`--guided` seeds, no label but a classifier's guidance; `real` and `lookup` are always there.

The number of targets is odd on purpose: wrong labels then never send both compounds of a target to one other target.
Many wells of few cells rather than few of many: a seed's error is that of its 11 targets, and a field of 192 px costs
CellProfiler half of what one of 256 px does. Brightness is kept (`normalise: plate`), since most of what
brightfield cannot show is brightness. Networks are of width 16, a minute of CPU each, for the same reason.

    python bench/labels.py --seeds 1 2 3 4 5 --guided 1 2 --cores 1 --folder /tmp/bench_labels

One line a seed and arm, then the paired differences over seeds (mean with Student's 95% interval, seeds being the
draws) and the failed wells of all seeds together (Wilson's interval).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import studies
import yaml
from scipy import stats

from brightpaint import store
from brightpaint.scores.profiles.failed import painted_rows, rate

ROOT = Path(__file__).parent.parent
SIMULATE = {
    "rows": 4, "columns": 7, "size_px": 192, "cells_per_field": 14, "dmso_share": 0.21,
    "inactive_share": 0.0, "invisible_share": 1.0, "failed_share": 0.25,
}  # fmt: skip
# Two thirds of the slim pipeline's CPU; intensity and shape of nuclei, cells and cytoplasm are left.
UNMEASURED = (
    "MeasureObjectIntensityDistribution", "MeasureTexture", "MeasureGranularity", "MeasureColocalization",
)  # fmt: skip
SAMPLER = {"folds": ["A"], "sampler": "ddim", "steps": 10, "spacing": "karras"}


def study(seed: int, guided: bool) -> dict:
    """Return the study of one seed: the demo's, with these plates and arms."""
    config = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    del config["pathvars"]
    config["plates"] = "plates.tsv"
    config["simulate"] = {"seed": seed, **SIMULATE}
    config["prepare"] = {"size_px": SIMULATE["size_px"], "normalise": "plate"}
    config["folds"] = [{"name": "A", "test": ["SIM003"]}]
    config["train"] |= {"images": 8000, "seed": seed, "validation_share": 0}
    networks = {"preset": "fast", "width": 16, "objective": "v"}
    config["models"] = [
        {"name": "unlabelled", "label": "none", **networks},
        {"name": "pert", "label": "perturbation", **networks},
    ]
    config["arms"] = [
        {"name": "unlabelled", "model": "unlabelled", **SAMPLER},
        {"name": "pert", "model": "pert", **SAMPLER},
        {"name": "pert_swapped", "model": "pert", "sampling_label": "swapped", **SAMPLER},
    ]
    if guided:
        config["classifiers"] = [{"name": "guide", "label": "perturbation", "width": 8}]
        config["arms"].append({"name": "guided", "model": "unlabelled", "classifier": "guide", **SAMPLER})
    config["sample"] = {"parts": 1, "batch": 4}
    config["cellprofiler"] = {"pipeline": "cells.cppipe", "parts": 1}
    return config


def pipeline() -> str:
    """Return the slim pipeline with the modules of UNMEASURED switched off."""
    blocks = (ROOT / "resources" / "cellprofiler" / "slim.cppipe").read_text().split("\n\n")
    switch = lambda block: block.replace("enabled:True", "enabled:False", 1)  # noqa: E731
    return "\n\n".join(switch(block) if block.startswith(UNMEASURED) else block for block in blocks)


def run(folder: Path, seed: int, cores: int, guided: bool) -> None:
    """Run one seed's study in its own folder, up to the metrics of every arm."""
    config = study(seed, guided)
    folder.mkdir(parents=True, exist_ok=True)
    plates = (ROOT / "config" / "demo_plates.tsv").read_text().splitlines(keepends=True)
    (folder / "cells.cppipe").write_text(pipeline())
    arms = ["real", "lookup", *(arm["name"] for arm in config["arms"])]
    wanted = [f"results/metrics/{arm}.parquet" for arm in arms]
    studies.make(folder, config, "".join(line for line in plates if "predict" not in line), wanted, cores)


def scores(folder: Path, seed: int) -> list[dict]:
    """Return one row an arm: its metrics on the test plate, and of how many wells which share is painted."""
    results, rows = folder / "results", []
    truth = pd.concat([store.read_table(path) for path in sorted((folder / "resources" / "truth").glob("*.tsv"))])
    real = store.read_table(results / "profiles" / "real" / "cellprofiler" / "wells.parquet")
    for path in sorted(results.glob("metrics/*.parquet")):
        arm = path.stem
        if arm.endswith(".fields"):
            continue
        table = store.read_table(path)
        here = table[(table["plate"] == "SIM003") & (table["subset"] == "full") & (table["channel"] == "all")]
        values = here.set_index("metric")["value"].reindex(["map_target", "cpcor", "nn", "pcc"])
        kind = "perturbations" if arm == "lookup" else "wells"
        profiles = store.read_table(results / "profiles" / arm / "cellprofiler" / f"{kind}.parquet")
        painted = painted_rows("SIM003", ["SIM001", "SIM002"], real, profiles, truth)
        counts = {row["metric"]: [round(row["value"] * row["n"]) if row["n"] else 0, row["n"]] for row in painted}
        chance = here.loc[here["metric"] == "map_target", "null"].iloc[0]
        shown = {metric: round(value, 4) if np.isfinite(value) else None for metric, value in values.items()}
        rows.append({"seed": seed, "arm": arm, **shown, "chance_map": round(chance, 4), **counts})
    return rows


def paired(frame: pd.DataFrame, arm: str, other: str, metric: str) -> dict | None:
    """Return the mean over seeds of the difference of two arms with its 95% t interval; None for under two seeds."""
    table = frame.pivot(index="seed", columns="arm", values=metric)
    if arm not in table or other not in table:
        return None
    found = (table[arm] - table[other]).dropna()
    if len(found) < 2:
        return None
    bounds = stats.ttest_1samp(found, 0).confidence_interval(0.95)
    return {"metric": metric, "difference": f"{arm} - {other}", "mean": round(found.mean(), 4), "seeds": len(found),
            "low": round(float(bounds.low), 4), "high": round(float(bounds.high), 4),
            "each": found.round(4).tolist()}  # fmt: skip


def pooled(frame: pd.DataFrame, arm: str, metric: str) -> dict:
    """Return the share of painted wells of all seeds together."""
    count, n = np.sum(frame.loc[frame["arm"] == arm, metric].tolist(), axis=0)
    found = rate(np.arange(n) < count)
    return {"metric": metric, "arm": arm, **{key: round(value, 4) for key, value in found.items()}}


def main() -> None:
    """Run every seed and print what the label adds."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--guided", type=int, nargs="*", default=[1, 2], help="seeds that have the guided arm")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--finished", action="store_true", help="run nothing: read seeds that were run before")
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        if not args.finished:
            run(args.folder / f"seed{seed}", seed, args.cores, seed in args.guided)
        rows += scores(args.folder / f"seed{seed}", seed)
        for row in rows:
            if row["seed"] == seed:
                print(json.dumps({"bench": "labels", **row}), flush=True)
    frame = pd.DataFrame(rows)
    pairs = [("pert", "unlabelled"), ("pert", "lookup"), ("pert", "pert_swapped"), ("guided", "unlabelled")]
    lines = [paired(frame, *pair, metric) for metric in ("map_target", "cpcor") for pair in pairs]
    arms = list(dict.fromkeys(frame["arm"]))
    lines += [pooled(frame, arm, metric) for metric in ("failed_painted", "working_painted") for arm in arms]
    for arm, part in frame.groupby("arm", sort=False):
        means = (
            part[["map_target", "cpcor", "nn", "pcc", "chance_map"]].astype(float).mean().round(4).dropna().to_dict()
        )
        lines.append({"arm": arm, "seeds": len(part), "means": means})
    for line in filter(None, lines):
        print(json.dumps({"bench": "labels", **line}), flush=True)


if __name__ == "__main__":
    main()
