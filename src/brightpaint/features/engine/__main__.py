"""Segment and measure one exported part by brightpaint's own engine, in the place of CellProfiler.

python -m brightpaint.features.engine --pipeline full.cppipe --images PART --tables TABLES
"""

from __future__ import annotations

import argparse
from pathlib import Path

from brightpaint.base import cli
from brightpaint.features.engine.measured_part import measure


def main(argv: list[str] | None = None) -> None:
    """Segment and measure one exported part with the fast engine."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--pipeline", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder of the exported part")
    parser.add_argument("--labels", type=Path, nargs="?", help="folder of label images to measure; else the pipeline's")
    parser.add_argument("--tables", type=Path, required=True, help="folder that the CSVs go to")
    parser.add_argument("--threads", type=int, default=1, help="fields to measure at once")
    args = parser.parse_args(argv)
    measure(args.pipeline, args.images, args.tables, args.labels, threads=args.threads)


if __name__ == "__main__":
    cli.run(main)
