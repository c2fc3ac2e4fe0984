"""Score one arm against the real images and profiles of its test plates.

One row a number, in the columns of docs/contracts.md: `low` and `high` are a bootstrap interval within the plate,
`null` is what chance gives and `null_bound` what chance betters one time in twenty, `floor` is what is reached
without looking at a prediction: brightfield itself (PCC), the position on the plate (matches), the
perturbation's mean profile on the other real plates (CPcor). The arm `real` holds the references: brightfield in
place of a prediction, the matches of the real profiles, and CPcor between replicate plates.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.cli import run
from brightpaint.evaluation.image_scores import image_rows
from brightpaint.evaluation.profile_scores import (
    correlation_row,
    distance_rows,
    match_rows,
    replicate_row,
    treated_profiles,
)
from brightpaint.evaluation.retrieval import retrieval_row

KEYS = ["arm", "metric", "subset", "space", "plate", "channel"]
NUMBERS = ["value", "low", "high", "null", "null_bound", "floor"]
log = logging.getLogger(__name__)


def read_active(paths: Sequence[Path]) -> set[str] | None:
    """Return the names of the active perturbations; None where there is no table of them."""
    if not paths:
        return None
    table = store.read_table(paths[0], ["Metadata_perturbation", "active"])
    return set(table.loc[table["active"].astype(int) == 1, "Metadata_perturbation"].astype(str))


def by_plate(path: Path, arm: str) -> dict[str, pd.DataFrame]:
    """Read perturbation profiles: {plate: treated perturbations, indexed by name}."""
    frame = store.read_table(path)
    return {
        plate: treated_profiles(rows, f"{arm}, plate {plate}")
        for plate, rows in frame.groupby("Metadata_Plate", sort=True)
    }


def profile_rows(
    plate: str, arm: str, real: dict, predicted: dict, fields: pd.DataFrame, active: set[str] | None
) -> Iterator[dict]:
    """Score an arm's profiles of one plate, for all perturbations and for the active ones.

    An arm that predicts the active subset alone gives no rows for `full`.
    """
    for source, frames in (("real", real), (arm, predicted)):
        if plate not in frames:
            raise ValueError(f"score: plate {plate} has no profiles in arm {source}; delete its profiles and rerun")
    truth, painted = real[plate], predicted[plate]
    subsets = {"full": set(truth.index)}
    if active is not None:
        subsets["active"] = active & set(truth.index)
        if set(painted.index) <= active < set(truth.index):
            del subsets["full"]
    for subset, names in subsets.items():
        left, right = (frame[frame.index.isin(names)] for frame in (truth, painted))
        others = [frame[frame.index.isin(names)] for name, frame in real.items() if name != plate]
        log.info("%s, %s, %s: %d real and %d predicted perturbations", arm, plate, subset, len(left), len(right))
        if len(right) < 2:
            continue
        seed = f"{plate}/{subset}"
        rows = [*match_rows(right, fields, seed), retrieval_row(right, fields, seed), *distance_rows(right, seed)]
        rows.append(replicate_row(left, others, seed) if arm == "real" else correlation_row(left, right, others, seed))
        for row in rows:
            yield {**row, "plate": plate, "subset": subset, "space": "cellprofiler", "channel": "all"}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, cutoff")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--plates", nargs="+", required=True)
    parser.add_argument("--real", type=Path, nargs="+", required=True, help="real stacks, one a plate")
    parser.add_argument("--predicted", type=Path, nargs="+", required=True, help="the arm's stacks, one a plate")
    parser.add_argument("--fields", type=Path, nargs="+", required=True)
    parser.add_argument("--profiles", type=Path, nargs="*", default=[], help="real and predicted perturbation profiles")
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--metrics", type=Path, required=True, help="the table to write")
    args = parser.parse_args(argv)
    if not len(args.plates) == len(args.real) == len(args.predicted) == len(args.fields):
        raise ValueError("score: --plates, --real, --predicted and --fields must name as many plates each")
    if args.arm != "real" and len(args.profiles) == 1:
        raise ValueError(f"score: arm {args.arm} needs real and predicted profiles; only {args.profiles[0]} was given")
    active = read_active(args.active)
    profiles = [by_plate(path, name) for path, name in zip(args.profiles, ["real", args.arm])]
    rows = []
    for plate, real, predicted, fields in zip(args.plates, args.real, args.predicted, args.fields):
        if args.arm != "lookup":  # which has no images
            chosen = None if args.arm == "real" else predicted
            rows += image_rows(plate, real, chosen, fields, active, args.settings)
        if profiles:
            rows += profile_rows(plate, args.arm, profiles[0], profiles[-1], store.read_fields(fields), active)
    frame = pd.DataFrame(rows).assign(arm=args.arm).reindex(columns=[*KEYS, *NUMBERS, "n"])
    store.write_table(frame.astype(dict.fromkeys(NUMBERS, "float64") | {"n": "int64"}), args.metrics)


if __name__ == "__main__":
    run(main)
