"""Write a study's config with the sweep of docs/performance.md: candidates of at most 40 evaluations against 2000 ancestral steps.

The study's own weights, plates and cells are used as they are; Snakemake paints the points and nothing else:

    python bench/sweep.py config/demo.yaml --arm pert --fields 12 > sweep.yaml
    snakemake results/demo/tables/sweep/SIM003.html --cores 2 --configfile sweep.yaml

The reference costs 2000 evaluations a field: 140 CPU-s at 256 px without a GPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

RUNS = [
    ("ddpm", "level", (40, 2000)), ("ddim", "level", (10, 20, 40)), ("ddim", "karras", (10, 20, 40)),
    ("dpmpp", "level", (10, 20, 40)), ("dpmpp", "karras", (10, 20, 40)), ("heun", "karras", (10, 20)),
]  # fmt: skip


def with_sweep(config: dict, arm: str | None, fields: int, ancestral: int) -> dict:
    """Return a config with the sweep's section, every RUN in it and the ancestral reference of so many steps."""
    points = [
        {"sampler": name, "steps": ancestral if steps == 2000 else steps, "spacing": spacing}
        for name, spacing, counts in RUNS
        for steps in counts
    ]
    return {**config, "sweep": {"arm": arm, "fields": fields, "points": points}}


def main(argv=None) -> None:
    """Print the config."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="the config of a finished study")
    parser.add_argument("--arm", help="the first, if none is named")
    parser.add_argument("--fields", type=int, default=12)
    parser.add_argument("--ancestral", type=int, default=2000, help="steps of the reference")
    args = parser.parse_args(argv)
    config = with_sweep(yaml.safe_load(args.config.read_text()), args.arm, args.fields, args.ancestral)
    yaml.safe_dump(config, sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
