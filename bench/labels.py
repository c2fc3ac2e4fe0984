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
    python bench/labels.py --seeds 1 2 3 4 5 --folder /tmp/bench_labels --summary
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import yaml

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
    (folder / "plates.tsv").write_text("".join(line for line in plates if "predict" not in line))
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "cells.cppipe").write_text(pipeline())
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(folder / "config.yaml"), "--cores", str(cores), "--show-failed-logs"]
    arms = ["real", "lookup", *(arm["name"] for arm in config["arms"])]
    done = subprocess.run(
        [*command, *(f"results/metrics/{arm}.parquet" for arm in arms)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])


def main() -> None:
    """Run every seed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--guided", type=int, nargs="*", default=[1, 2], help="seeds that have the guided arm")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    for seed in args.seeds:
        run(args.folder / f"seed{seed}", seed, args.cores, seed in args.guided)
        print(json.dumps({"bench": "labels", "seed": seed}), flush=True)


if __name__ == "__main__":
    main()
