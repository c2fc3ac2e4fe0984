"""Score how near a translation's images come to their target class by FID and KID, class by class, beside every reference.

PhenDiff's own number (Bourou et al. 2024, Table 1: FID of translated images to each dose), and what it leaves out: fresh noise and
real training fields come as near without translating anything, and one half of the real class says how near one can come. Fields of
one class are few, and FID is biased upwards by few: compare it between equal counts alone. KID is unbiased.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.models.conditions.labels import TWIN
from brightpaint.scores.images.frechet import LEAST_IMAGES, frechet_distance, kernel_distance
from brightpaint.scores.rows import one_of, write_rows
from brightpaint.scores.translation.class_distance import (
    FRESH,
    HALF,
    IDENTITY,
    RECONSTRUCTION,
    TRAINING,
    TRANSLATION,
    Fields,
    drawn_fields,
    halves,
)
from brightpaint.scores.translation.score_shifts import inert_classes
from brightpaint.scores.translation.translated_classes import aligned, shown_classes, source_class, with_class
from brightpaint.scores.translation.well_shift import CLASS

FEATURES = "Inception features"
log = logging.getLogger(__name__)


def fields_of(table: pd.DataFrame) -> Fields:
    """Return the features of one channel's rows, with the names of their wells."""
    names = [name for name in table.columns if name.startswith("Inception_")]
    return Fields(
        table[names].to_numpy(np.float64), (table["Metadata_Plate"] + "/" + table["Metadata_Well"]).to_numpy(str)
    )


def distances(first: Fields, second: Fields, seed: str) -> dict[str, float]:
    """Return `fid, kid, kid_low, kid_high` of two sets of fields; NaN below LEAST_IMAGES on either side."""
    if min(len(first), len(second)) < LEAST_IMAGES:
        return dict.fromkeys(("fid", "kid", "kid_low", "kid_high"), np.nan)
    found = kernel_distance(first.values, second.values, (first.wells, second.wells), resampling.seeded(seed, "kid"))
    names = {"value": "kid", "low": "kid_low", "high": "kid_high"}
    return {"fid": frechet_distance(first.values, second.values), **{names[key]: found[key] for key in names}}


def class_rows(kinds: dict[str, Fields], training: Fields, target: Fields, names: Sequence[str]) -> Iterator[dict]:
    """Measure one class in one channel: a row for the translation and for each reference that there is.

    Parameters
    ----------
    kinds : {translation, identity, ...: fields}, as many each as there are source fields
    training, target : real training fields, and real held-out fields of the class
    names : plate and class: every channel draws the same fields
    """
    rng, kinds = resampling.seeded(*names, "references"), dict(kinds)
    if len(training):
        kinds[TRAINING] = drawn_fields(training, len(kinds[TRANSLATION]), rng)
    half, other = halves(target, rng)
    for reference, fields in kinds.items():
        found = distances(fields, target, "/".join([*names, reference]))
        yield {"reference": reference, **found, "fields": len(fields), "real_fields": len(target)}
    if min(len(half), len(other)):
        found = distances(half, other, "/".join([*names, HALF]))
        yield {"reference": HALF, **found, "fields": len(half), "real_fields": len(other)}


def plate_table(args: argparse.Namespace, plate: str, inert: Sequence[str]) -> pd.DataFrame:
    """Return a row for each target class, reference and channel of one plate; channel `all` is the mean over channels."""
    label, twin = args.settings["label"], args.settings.get("twin", False)
    where, rows = f"arm {args.arm}, plate {plate}", []
    read = lambda name, arm, paths: store.read_table(one_of(name, arm, paths, FEATURES))  # noqa: E731
    whole, fresh = read(plate, args.arm, args.translated), read(plate, FRESH, args.fresh) if args.fresh else None
    real = with_class(read(plate, "real", args.real), label, twin)
    training = pd.concat(
        [with_class(read(name, "real", args.real), label, twin) for name in args.settings["training"][plate]]
    )
    for channel in dict.fromkeys(whole["Channel"]):
        part = lambda table: table[table["Channel"] == channel]  # noqa: B023, E731
        shown = shown_classes(part(whole), where)
        source = source_class(shown, label, where)
        painted = {
            TRANSLATION: shown,
            **({FRESH: shown_classes(part(fresh), f"{where}, {FRESH}")} if fresh is not None else {}),
        }
        base = aligned(part(real), shown[shown[CLASS] == source], f"real fields of plate {plate}")
        trained, held = part(training), part(real)
        for name in [name for name in dict.fromkeys(shown[CLASS]) if name != source]:
            kinds = {kind: fields_of(own[own[CLASS] == name]) for kind, own in painted.items()}
            kinds |= {IDENTITY: fields_of(base), RECONSTRUCTION: fields_of(shown[shown[CLASS] == source])}
            sides = (fields_of(own[own[CLASS] == name]) for own in (trained, held))
            control = "A/A" if name == TWIN else "inert" if name in inert else ""
            about = {"plate": plate, CLASS: name, "control": control, "channel": channel}
            rows += [{**about, **row} for row in class_rows(kinds, *sides, (plate, name))]
    table = pd.DataFrame(rows)
    keys = ["plate", CLASS, "control", "reference"]
    means = table.drop(columns="channel").groupby(keys, sort=False, as_index=False).mean().assign(channel="all")
    return pd.concat([table, means], ignore_index=True)


def metric_rows(table: pd.DataFrame) -> Iterator[dict]:
    """Sum one plate up: `class_fid, class_kid` by channel, means over classes that are no controls with intervals over classes."""
    own = table[table["control"] == ""]
    for channel, part in own.groupby("channel", sort=False):
        for metric in ("fid", "kid"):
            of = lambda kind: part.loc[part["reference"] == kind, [CLASS, metric]].dropna()  # noqa: B023, E731
            values = of(TRANSLATION)
            if not len(values):
                continue
            rng = resampling.seeded(channel, metric, *part["plate"].unique())
            low, high = resampling.bootstrap_ratio(values[metric].to_numpy(), np.ones(len(values)), values[CLASS], rng)
            yield {"metric": f"class_{metric}", "value": values[metric].mean(), "low": low, "high": high, "channel": channel,
                   "null": of(HALF)[metric].mean(), "floor": of(IDENTITY)[metric].mean(), "n": len(values)}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Score FID and KID of a translation's classes."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    line.add_argument("--settings", type=json.loads, required=True, help="JSON: label, training {plate: plates}; twin")
    line.add_argument("--arm", required=True)
    line.add_argument("--plates", nargs="+", required=True, help="plates whose fields are translated")
    line.add_argument(
        "--translated", type=Path, nargs="+", required=True, help="the arm's Inception features, one a plate"
    )
    line.add_argument("--fresh", type=Path, nargs="*", default=[], help="the same rows from fresh noise, likewise")
    line.add_argument(
        "--real", type=Path, nargs="+", required=True, help="of these plates and their training's real images"
    )
    line.add_argument("--truth", type=Path, nargs="*", default=[], help="truth of simulated plates")
    line.add_argument("--table", type=Path, required=True, help="the metrics to write; the table of classes beside it")
    args = line.parse_args(argv)
    inert = inert_classes([store.read_table(path) for path in args.truth], args.settings["label"])
    tables = {plate: plate_table(args, plate, inert) for plate in args.plates}
    rows = [{**row, "plate": plate, "subset": "full", "space": "images"}
            for plate, table in tables.items() for row in metric_rows(table)]  # fmt: skip
    log.info("%s: FID and KID of %d plates", args.arm, len(tables))
    write_rows(rows, args.arm, args.table)
    store.write_table(pd.concat(tables.values(), ignore_index=True), args.table.with_suffix(".classes.parquet"))


if __name__ == "__main__":
    run(main)
