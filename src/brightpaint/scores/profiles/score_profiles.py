"""Score an arm's profiles in a space: matches, retrieval, distances of what shares a target, correlation with the real ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.scores.profiles.matching import (
    by_plate,
    correlation_row,
    distance_rows,
    match_rows,
    replicate_row,
)
from brightpaint.scores.profiles.retrieval import replicate_map_row, retrieval_row
from brightpaint.scores.rows import one_of, paints_all, parser, read_active, write_rows
from brightpaint.study.spaces import MAIN, REFERENCES, SPACES, Space

REPLICATES = (
    4  # real plates that a plate is compared with as replicates: with all, ten plates would cost 90 comparisons
)
log = logging.getLogger(__name__)


def next_plates(plate: str, plates: Sequence[str]) -> list[str]:
    """Return the REPLICATES plates that follow `plate` in the order of names, the first after the last."""
    names = sorted(plates)
    place = names.index(plate)
    return [*names[place + 1 :], *names[:place]][:REPLICATES]


def subsets_of(truth: pd.DataFrame, painted: pd.DataFrame, active: set[str] | None) -> dict[str, set[str]]:
    """Return {subset: its perturbations}; an arm that predicts the active subset alone has no `full`."""
    subsets = {"full": set(truth.index)}
    if active is not None:
        subsets["active"] = active & set(truth.index)
    if not paints_all(set(truth.index), set(painted.index), active):
        del subsets["full"]
    return subsets


def profile_rows(
    plate: str,
    arm: str,
    real: dict,
    predicted: dict,
    fields: pd.DataFrame,
    active: set[str] | None,
    space: Space = MAIN,
) -> Iterator[dict]:
    """Score an arm's profiles of one plate, for all perturbations and for the active ones.

    An arm that predicts the active subset alone gives no rows for `full`. The correlation bears the name that `space`
    gives it.
    """
    for source, frames in (("real", real), (arm, predicted)):
        if plate not in frames:
            raise ValueError(f"score: plate {plate} has no profiles in arm {source}; delete its profiles and rerun")
    truth, painted = real[plate], predicted[plate]
    for subset, names in subsets_of(truth, painted, active).items():
        left, right = (frame[frame.index.isin(names)] for frame in (truth, painted))
        elsewhere = {name: frame[frame.index.isin(names)] for name, frame in real.items() if name != plate}
        others, replicates = list(elsewhere.values()), [elsewhere[name] for name in next_plates(plate, real)]
        place = f"{arm}, {plate}, {subset}, {space.name}"
        log.info("%s: %d real and %d predicted perturbations", place, len(left), len(right))
        if len(right) < 2:
            continue
        seed = f"{plate}/{subset}{space.seed}"
        rows = [*match_rows(right, fields, seed), retrieval_row(right, fields, seed), *distance_rows(right, seed)]
        rows.append(replicate_map_row(right, replicates, fields, seed))
        alike = arm in REFERENCES  # brightfield's numbers are others: it is compared with its own plates
        correlation = replicate_row(left, replicates, seed) if alike else correlation_row(left, right, others, seed)
        rows.append({**correlation, "metric": space.correlation})
        for row in rows:
            yield {**row, "plate": plate, "subset": subset, "space": space.name, "channel": "all"}


def main(argv: Sequence[str] | None = None) -> None:
    """Score an arm's profiles in one space."""
    line = parser(__doc__)
    line.add_argument("--space", choices=list(SPACES), required=True)
    line.add_argument("--real", type=Path, required=True, help="perturbation profiles; brightfield: its own")
    line.add_argument("--profiles", type=Path, required=True, help="the arm's")
    line.add_argument("--fields", type=Path, nargs="+", required=True, help="one table a plate")
    args = line.parse_args(argv)
    store.one_engine([args.real, args.profiles])
    active, space, rows = read_active(args.active), SPACES[args.space], []
    compared = args.arm if args.arm in REFERENCES else "real"  # brightfield has numbers of its own
    real = by_plate(args.real, compared)
    painted = real if args.arm in REFERENCES else by_plate(args.profiles, args.arm)
    for plate in args.plates:
        fields = store.read_fields(one_of(plate, args.arm, args.fields, "fields"))
        rows += profile_rows(plate, args.arm, real, painted, fields, active, space)
    write_rows(rows, args.arm, args.table)


if __name__ == "__main__":
    run(main)
