"""Score one arm against the real images and profiles of its test plates.

One row a number, in the columns of docs/contracts.md: `low` and `high` are a bootstrap interval within the plate,
`null` is what chance gives and `null_bound` what chance betters one time in twenty, `floor` is what is reached
without looking at a prediction: brightfield itself (PCC), the position on the plate (matches), the
perturbation's mean profile on the other real plates (CPcor). The arm `real` holds the references: brightfield in
place of a prediction, the matches of the real profiles, and CPcor between replicate plates.

The scores of single fields go into a table beside, so that figures need no second pass over the images.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.median import read_medians
from brightpaint.profiles.profile import read_selection
from brightpaint.scores.cells import counts
from brightpaint.scores.cells.object_overlap import plate_overlaps
from brightpaint.scores.images import frechet, risk_coverage
from brightpaint.scores.images.fields_scored import field_table, image_rows, plate_scores
from brightpaint.scores.profiles import embedding_distance, feature_distance
from brightpaint.scores.profiles.failed import painted_rows
from brightpaint.scores.profiles.matching import (
    correlation_row,
    distance_rows,
    match_rows,
    replicate_row,
    treated_profiles,
)
from brightpaint.scores.profiles.retrieval import replicate_map_row, retrieval_row

WITHOUT_IMAGES = ("lookup", "brightfield")  # arms of profiles alone
KEYS = ["arm", "metric", "subset", "space", "plate", "channel"]
NUMBERS = ["value", "low", "high", "null", "null_bound", "floor"]
REPLICATES = (
    4  # real plates that a plate is compared with as replicates: with all, ten plates would cost 90 comparisons
)
log = logging.getLogger(__name__)


def read_active(paths: Sequence[Path]) -> set[str] | None:
    """Return the names of the active perturbations; None where there is no table of them."""
    if not paths:
        return None
    table = store.read_actives(paths[0])
    return set(table.loc[table["active"].astype(int) == 1, "Metadata_perturbation"].astype(str))


def by_plate(path: Path, arm: str) -> dict[str, pd.DataFrame]:
    """Read perturbation profiles: {plate: treated perturbations, indexed by name}."""
    frame = store.read_table(path, required=["Metadata_Plate", "Metadata_perturbation", "Metadata_target"])
    return {
        plate: treated_profiles(rows, f"{arm}, plate {plate}")
        for plate, rows in frame.groupby("Metadata_Plate", sort=True)
    }


def next_plates(plate: str, plates: Sequence[str]) -> list[str]:
    """Return the REPLICATES plates that follow `plate` in the order of names, the first after the last."""
    names = sorted(plates)
    place = names.index(plate)
    return [*names[place + 1 :], *names[:place]][:REPLICATES]


def paints_all(real: set[str], painted: set[str], active: set[str] | None) -> bool:
    """Return whether an arm predicts more of a plate's perturbations than the active ones, by their names.

    Names that it lacks do not tell: a perturbation without cells has no profile, and an active one may lie elsewhere.
    """
    return active is None or not painted <= active or real <= active


def profile_rows(
    plate: str,
    arm: str,
    real: dict,
    predicted: dict,
    fields: pd.DataFrame,
    active: set[str] | None,
    space: str = "cellprofiler",
) -> Iterator[dict]:
    """Score an arm's profiles of one plate, for all perturbations and for the active ones.

    An arm that predicts the active subset alone gives no rows for `full`. `space` names the features; the correlation
    is CPcor with CellProfiler's, and bears another name elsewhere.
    """
    for source, frames in (("real", real), (arm, predicted)):
        if plate not in frames:
            raise ValueError(f"score: plate {plate} has no profiles in arm {source}; delete its profiles and rerun")
    truth, painted = real[plate], predicted[plate]
    subsets = {"full": set(truth.index)}
    if active is not None:
        subsets["active"] = active & set(truth.index)
    if not paints_all(set(truth.index), set(painted.index), active):
        del subsets["full"]
    for subset, names in subsets.items():
        left, right = (frame[frame.index.isin(names)] for frame in (truth, painted))
        elsewhere = {name: frame[frame.index.isin(names)] for name, frame in real.items() if name != plate}
        others, replicates = list(elsewhere.values()), [elsewhere[name] for name in next_plates(plate, real)]
        log.info(
            "%s, %s, %s, %s: %d real and %d predicted perturbations", arm, plate, subset, space, len(left), len(right)
        )
        if len(right) < 2:
            continue
        seed = f"{plate}/{subset}" if space == "cellprofiler" else f"{plate}/{subset}/{space}"
        rows = [*match_rows(right, fields, seed), retrieval_row(right, fields, seed), *distance_rows(right, seed)]
        rows.append(replicate_map_row(right, replicates, fields, seed))
        alike = arm in ("real", "brightfield")  # brightfield's numbers are others: it is compared with its own plates
        correlation = replicate_row(left, replicates, seed) if alike else correlation_row(left, right, others, seed)
        rows.append(correlation if space == "cellprofiler" else {**correlation, "metric": "embedding_r"})
        for row in rows:
            yield {**row, "plate": plate, "subset": subset, "space": space, "channel": "all"}


def first_arm(arm: str) -> str:
    """Return whose profiles are listed first: the real ones, but for brightfield, which is compared with itself."""
    return "brightfield" if arm == "brightfield" else "real"


def one_of(plate: str, arm: str, paths: Sequence[Path], what: str) -> Path:
    """Return the file of a plate among an arm's tables of `what`, one a plate."""
    found = [path for path in paths if path.stem == plate]
    if len(found) != 1:
        given = ", ".join(map(str, found or paths)) or None
        raise ValueError(f"score: expected one table of {what} of plate {plate}, arm {arm}, found {given}")
    return found[0]


def distance_tables(args: argparse.Namespace, plate: str) -> dict[str, pd.DataFrame]:
    """Read the Inception features of one plate: real, painted and brightfield's."""
    named = {"real": args.real_inception, args.arm: args.inception, "brightfield": args.brightfield_inception}
    return {arm: store.read_table(one_of(plate, arm, paths, "Inception features")) for arm, paths in named.items()}


def image_distance_rows(args: argparse.Namespace, plate: str, active: set[str] | None) -> Iterator[dict]:
    """Give FID and KID of an arm on one plate; of `real`, against the other plates."""
    if args.arm == "real":
        others = {path.stem: store.read_table(path) for path in args.real_inception}
        return frechet.replicate_rows(plate, others, active)
    tables = distance_tables(args, plate)
    return frechet.plate_rows(plate, tables["real"], tables[args.arm], tables["brightfield"], active)


def embedding_rows(args: argparse.Namespace, plate: str, active: set[str] | None) -> Iterator[dict]:
    """Give the distances of an arm's embeddings on one plate from the real ones, beside those of the other real plates."""
    named = {"real": args.real_embeddings, args.arm: args.embeddings}
    found = [one_of(plate, arm, paths, "embeddings") for arm, paths in named.items()]
    tables = map(embedding_distance.read_embeddings, found)
    others = [embedding_distance.read_embeddings(path) for path in args.real_embeddings if path.stem != plate]
    return embedding_distance.plate_rows(plate, args.arm, *tables, others, active)


def read_truth(args: argparse.Namespace) -> tuple[pd.DataFrame | None, list[pd.DataFrame]]:
    """Read the truth of simulated plates, and real and predicted well profiles; None where they are not known."""
    if not (args.truth and args.wells):
        return None, []
    truth = pd.concat([store.read_table(path) for path in args.truth], ignore_index=True)
    return truth, [store.read_table(path) for path in (args.wells[0], args.wells[-1])]


def failed_rows(
    plate: str,
    training: Sequence[str],
    real: pd.DataFrame,
    painted: pd.DataFrame,
    truth: pd.DataFrame,
    active: set[str] | None,
) -> Iterator[dict]:
    """Say how often the arm paints a phenotype that failed, on a plate whose training plates are known.

    An arm on the active subset gives no rows: it paints no DMSO, from which the way to a phenotype is measured.
    """
    shown = [set(frame.loc[frame["Metadata_Plate"] == plate, "Metadata_perturbation"]) for frame in (real, painted)]
    if not paints_all(*shown, active):
        return
    for row in painted_rows(plate, training, real, painted, truth):
        yield {**row, "plate": plate, "subset": "full", "space": "cellprofiler", "channel": "all"}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, cutoff, training")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--plates", nargs="+", required=True)
    parser.add_argument("--real", type=Path, nargs="+", required=True, help="real stacks, one a plate")
    parser.add_argument("--predicted", type=Path, nargs="+", required=True, help="the arm's stacks, one a plate")
    parser.add_argument("--fields", type=Path, nargs="+", required=True)
    parser.add_argument("--profiles", type=Path, nargs="*", default=[], help="real and predicted perturbation profiles")
    parser.add_argument(
        "--embedded", type=Path, nargs="*", default=[], help="the same, from embeddings; brightfield: its own"
    )
    parser.add_argument(
        "--inception", type=Path, nargs="*", default=[], help="the arm's Inception features, one a plate"
    )
    parser.add_argument(
        "--real-inception", type=Path, nargs="*", default=[], help="the real ones, and other real plates"
    )
    parser.add_argument("--brightfield-inception", type=Path, nargs="*", default=[], help="brightfield's, likewise")
    parser.add_argument("--embeddings", type=Path, nargs="*", default=[], help="the arm's embeddings, one a plate")
    parser.add_argument(
        "--real-embeddings", type=Path, nargs="*", default=[], help="the real ones, and other real plates"
    )
    parser.add_argument("--medians", type=Path, nargs="*", default=[], help="the arm's field medians, one a plate")
    parser.add_argument("--real-medians", type=Path, nargs="*", default=[], help="the real ones, likewise")
    parser.add_argument("--selection", type=Path, nargs="*", default=[], help="the features that distances take")
    parser.add_argument("--replicates", type=Path, nargs="*", default=[], help="real field medians of every real plate")
    parser.add_argument("--uncertainty", type=Path, nargs="*", default=[], help="uncertainty stacks, one a plate")
    parser.add_argument("--masks", type=Path, nargs="*", default=[], help="the arm's label images, one file a plate")
    parser.add_argument("--real-masks", type=Path, nargs="*", default=[], help="the real ones, likewise")
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--truth", type=Path, nargs="*", default=[], help="truth of simulated plates, failed wells in it"
    )
    parser.add_argument("--wells", type=Path, nargs="*", default=[], help="real and predicted well profiles")
    parser.add_argument("--metrics", type=Path, required=True, help="the table to write")
    parser.add_argument("--by-field", type=Path, required=True, help="the table of single fields to write")
    return parser


def check(args: argparse.Namespace) -> None:
    """Refuse lists of plates, profiles and medians that do not fit together."""
    if not len(args.plates) == len(args.real) == len(args.predicted) == len(args.fields):
        raise ValueError("score: --plates, --real, --predicted and --fields must name as many plates each")
    if len(args.medians) != len(args.real_medians) or len(args.medians) not in (0, len(args.plates)):
        raise ValueError("score: --medians and --real-medians must name every plate, or none")
    if len(args.uncertainty) not in (0, len(args.plates)):
        raise ValueError("score: --uncertainty must name a stack for every plate, or none")
    if len(args.masks) != len(args.real_masks) or len(args.masks) not in (0, len(args.plates)):
        raise ValueError("score: --masks and --real-masks must name every plate, or none")
    if args.arm != "real" and len(args.profiles) == 1:
        raise ValueError(f"score: arm {args.arm} needs real and predicted profiles; only {args.profiles[0]} was given")
    if args.arm not in ("real", "brightfield") and len(args.embedded) == 1:
        raise ValueError(f"score: arm {args.arm} needs real and predicted profiles; only {args.embedded[0]} was given")


def main(argv: Sequence[str] | None = None) -> None:
    args = parser().parse_args(argv)
    check(args)
    active, targets = read_active(args.active), args.settings["channels"]["target"]
    profiles = {
        space: [by_plate(path, name) for path, name in zip(paths, [first_arm(args.arm), args.arm])]
        for space, paths in (("cellprofiler", args.profiles), ("dino", args.embedded))
        if paths
    }
    features = read_selection(args.selection[0]) if args.selection else None
    truth, wells = read_truth(args)
    rows, tables = [], [pd.DataFrame(columns=[*store.FIELD_KEYS, "Channel"])]  # a look-up has no fields
    for place, plate in enumerate(args.plates):
        fields = store.read_fields(args.fields[place])
        if args.arm not in WITHOUT_IMAGES:
            predicted = None if args.arm == "real" else args.predicted[place]
            joined, scores = plate_scores(args.real[place], predicted, args.fields[place], args.settings)
            if args.uncertainty:
                scores["uncertainty"] = risk_coverage.read_uncertainty(args.uncertainty[place], joined, targets)
                rows += risk_coverage.risk_rows(plate, fields, joined, scores, active, targets)
            rows += image_rows(plate, fields, joined, scores, active, targets)
            tables.append(field_table(joined, scores, targets))
        if args.medians:
            pair = [read_medians(paths[place]) for paths in (args.real_medians, args.medians)]
            others = [read_medians(path) for path in args.replicates if path != args.real_medians[place]]
            rows += counts.plate_rows(plate, args.arm, *pair, others, active)
            if features is not None:
                rows += feature_distance.plate_rows(plate, args.arm, *pair, others, features, active)
        if args.masks:
            found, by_field = plate_overlaps(plate, args.arm, args.real_masks[place], args.masks[place], fields, active)
            rows += found
            tables[-1] = tables[-1].merge(by_field, on=store.FIELD_KEYS, how="left", validate="many_to_one")
        if args.real_inception:
            rows += image_distance_rows(args, plate, active)
        if args.embeddings or args.real_embeddings:
            rows += embedding_rows(args, plate, active)
        for space, (real, *predicted) in profiles.items():
            rows += profile_rows(plate, args.arm, real, (predicted or [real])[-1], fields, active, space)
        training = args.settings.get("training", {}).get(plate)
        if truth is not None and training:
            rows += failed_rows(plate, training, *wells, truth, active)
    frame = pd.DataFrame(rows).assign(arm=args.arm).reindex(columns=[*KEYS, *NUMBERS, "n"])
    store.write_table(frame.astype(dict.fromkeys(NUMBERS, "float64") | {"n": "int64"}), args.metrics)
    store.write_table(pd.concat(tables[1:] or tables, ignore_index=True), args.by_field)


if __name__ == "__main__":
    run(main)
