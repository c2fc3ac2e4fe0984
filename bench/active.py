"""How well the demo's actives are found: balanced accuracy against the simulator's truth, over seeds, and on DMSO alone.

Runs the real chain (simulate to active, CellProfiler included) for each seed, and once on plates of DMSO alone.
Prints one JSON line a run, with the CPcor of its replicate plates, and one for the medians.

    python bench/active.py --seeds 1 2 3 4 5 --cores 2 --folder /tmp/bench_active
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import pandas as pd
import studies
import yaml

ROOT = Path(__file__).parent.parent


def run(folder: Path, seed: int, cores: int, layout: str) -> Path:
    """Run the demo's study up to the table of actives and the real arm's metrics; return its folder."""
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    plates = (ROOT / "config" / "demo_plates.tsv").read_text().replace("standard", layout)
    study.pop("pathvars")
    study["plates"] = "plates.tsv"
    study["simulate"]["seed"] = seed
    wanted = ["results/active/perturbations.tsv", *(["results/metrics/real.parquet"] if layout == "standard" else [])]
    studies.make(folder, study, plates, wanted, cores)
    return folder


def agreement(folder: Path) -> dict:
    """Compare the actives found with the truth of the first plate (all plates share the layout)."""
    found = pd.read_csv(folder / "results" / "active" / "perturbations.tsv", sep="\t", keep_default_na=False)
    truth = pd.read_csv(folder / "resources" / "truth" / "SIM001.tsv", sep="\t", keep_default_na=False)
    truth = truth[["Metadata_perturbation", "active"]].drop_duplicates()
    joined = found.merge(truth, on="Metadata_perturbation", suffixes=("", "_truth"))
    joined = joined[joined["Metadata_perturbation"] != "DMSO"]
    real, called = joined["active_truth"].astype(int) == 1, joined["active"].astype(int) == 1
    counts = {"active": int(real.sum()), "inactive": int((~real).sum()), "called": int(called.sum())}
    if not real.any():
        return counts
    sensitivity, specificity = float(called[real].mean()), float((~called)[~real].mean())
    return {
        **counts,
        "sensitivity": round(sensitivity, 3),
        "specificity": round(specificity, 3),
        "balanced_accuracy": round((sensitivity + specificity) / 2, 3),
    }


def replicates(folder: Path) -> dict:
    """Return the CPcor between real replicate plates, of all perturbations and of those called active."""
    rows = pd.read_parquet(folder / "results" / "metrics" / "real.parquet").query("metric == 'cpcor'")
    means = rows.groupby("subset")["value"].mean()
    return {f"cpcor_{subset}": round(float(value), 3) for subset, value in means.items()}


def main() -> None:
    """Run every seed and print what was found."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    results = []
    for seed in args.seeds:
        folder = run(args.folder / f"seed{seed}", seed, args.cores, "standard")
        results.append({**agreement(folder), **replicates(folder)})
        print(json.dumps({"bench": "active", "seed": seed, **results[-1]}), flush=True)
    result = agreement(run(args.folder / "dmso", args.seeds[0], args.cores, "dmso"))
    print(json.dumps({"bench": "active", "plates": "all DMSO", **result}), flush=True)
    names = ("balanced_accuracy", "cpcor_full", "cpcor_active")
    medians = {f"median_{name}": statistics.median(result[name] for result in results) for name in names}
    print(json.dumps({"bench": "active", **medians}), flush=True)


if __name__ == "__main__":
    main()
