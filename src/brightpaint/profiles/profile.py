"""Make an arm's profiles in a space: its fields normalised, then the median of each well and perturbation.

How a space is normalised is its profiler's (brightpaint.study.spaces): cell_profiles, or embedding_profiles.
"""

from __future__ import annotations

import argparse
import json
import logging
from importlib import import_module
from pathlib import Path

from brightpaint import store
from brightpaint.base import cli
from brightpaint.profiles.select import read_selection
from brightpaint.study.spaces import SPACES

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> None:
    """Make an arm's profiles in a space."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: recipe or normalise, unit, sphering")
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="the arm's tables, one a plate")
    parser.add_argument("--reference", type=Path, nargs="*", default=[], help="real tables on which sphering is fitted")
    parser.add_argument(
        "--selection", type=Path, nargs="*", default=[], help="the selected numbers, where there are some"
    )
    parser.add_argument("--wells", type=Path, required=True)
    parser.add_argument("--perturbations", type=Path, required=True)
    args = parser.parse_args(argv)
    space, engine = SPACES[args.space], store.one_engine([*args.tables, *args.reference])
    profiler = import_module(space.profiler)
    kept = read_selection(args.selection[0]) if args.selection else None
    plates, reference = ([profiler.read(path, space) for path in paths] for paths in (args.tables, args.reference))
    wells, perturbations = profiler.profiles(plates, kept, reference=reference, **args.settings)
    unit = args.settings.get("unit", "perturbation")
    for name, frame in (("wells", wells), (f"{unit}s", perturbations)):
        numbers = profiler.numbers_of(list(frame.columns), space)
        gaps = int(frame[numbers].isna().to_numpy().sum())
        empty = int((frame["Metadata_cells"] == 0).sum()) if "Metadata_cells" in frame else 0
        log.info("%d %s, %d without cells, %d numbers, %d values missing", len(frame), name, empty, len(numbers), gaps)
    store.write_measured(wells, args.wells, engine)
    store.write_measured(perturbations, args.perturbations, engine)


if __name__ == "__main__":
    cli.run(main)
