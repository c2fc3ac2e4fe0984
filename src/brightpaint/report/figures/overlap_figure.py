"""Count the matched targets that arms share with one another and with the real plates, and draw their matrices."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report.figures.overlap import overlap_figure, overlap_table
from brightpaint.report.style import STYLE, save
from brightpaint.scores.columns import WITHOUT_PREDICTION
from brightpaint.scores.score import by_plate, read_active


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the matched targets that arms share, and write their table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dpi")
    parser.add_argument("--subset", choices=["full", "active"], required=True)
    parser.add_argument("--real", type=Path, required=True, help="real perturbation profiles")
    parser.add_argument("--arms", nargs="+", required=True)
    parser.add_argument("--profiles", type=Path, nargs="+", required=True, help="perturbation profiles, one an arm")
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--embedded-arms", nargs="*", default=[], help="arms with profiles of embeddings, real too")
    parser.add_argument("--embedded", type=Path, nargs="*", default=[], help="these profiles, one an arm")
    parser.add_argument("--table", type=Path, required=True, help="the table to write")
    parser.add_argument("--figure", type=Path, required=True)
    args = parser.parse_args(argv)
    if len(args.embedded_arms) != len(args.embedded):
        counts = f"{len(args.embedded_arms)} and {len(args.embedded)} were given"
        raise ValueError(f"overlap_figure: --embedded-arms and --embedded must be as many; {counts}")
    names = read_active(args.active) if args.subset == "active" else None
    paths = {("real", "cellprofiler"): args.real}
    paths |= {(arm, "cellprofiler"): path for arm, path in zip(args.arms, args.profiles)}
    paths |= {(arm, "dino"): path for arm, path in zip(args.embedded_arms, args.embedded)}
    arms = {key: by_plate(path, f"{key[0]}, {key[1]}") for key, path in paths.items()}
    painted = {plate for (arm, _), plates in arms.items() if arm not in WITHOUT_PREDICTION for plate in plates}
    arms = {key: {plate: frame for plate, frame in plates.items() if plate in painted} for key, plates in arms.items()}
    table = overlap_table(arms, names)
    store.write_table(store.as_text(table), args.table)
    with plt.rc_context(STYLE):
        figure = overlap_figure(table, {**WITHOUT_PREDICTION, "lookup": "look-up, no image"})
        save(figure, args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
