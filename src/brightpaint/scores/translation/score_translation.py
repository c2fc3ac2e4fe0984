"""Score the images of a translation against their sources: pixels, nuclei, and the area that each stain covers."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.embedders.vectors import open_rows, z_scores
from brightpaint.features.median import read_medians
from brightpaint.scores.rows import one_of, write_rows
from brightpaint.scores.translation import image_pairs, kept_objects, stained_area
from brightpaint.scores.translation.class_distance import FRESH, RECONSTRUCTION, TRANSLATION
from brightpaint.scores.translation.image_pairs import UNRELATED
from brightpaint.scores.translation.translated_classes import aligned, shown_classes, source_class, with_class
from brightpaint.scores.translation.well_shift import CLASS
from brightpaint.study.spaces import MAIN

TABLES = ("images", "areas", "objects", "counts")
IMAGES = "images"
log = logging.getLogger(__name__)


class PlateImages:
    """One plate's real and translated images.

    Attributes
    ----------
    real, fields : the real stack and its fields, with CLASS
    sides : {translation, fresh noise: (stack, rows with CLASS)}
    source : the class that was translated; sources : its fields that were
    """

    def __init__(self, args: argparse.Namespace, plate: str):
        label, where = args.settings["label"], f"arm {args.arm}, plate {plate}"
        self.plate, self.settings = plate, args.settings
        self.channels = args.settings["channels"]["target"]
        pair = [one_of(plate, "real", paths, IMAGES) for paths in (args.real, args.fields)]
        self.real, fields = open_rows(*pair)
        self.fields, self.sides = with_class(fields, label), {}
        for kind, stacks in ((TRANSLATION, args.translated), (FRESH, args.fresh)):
            if stacks:
                path = one_of(plate, args.arm, stacks, IMAGES)
                stack, rows = open_rows(path, path.with_suffix(".parquet"))
                self.sides[kind] = stack, shown_classes(rows, where if kind == TRANSLATION else f"{where}, {kind}")
        rows = self.sides[TRANSLATION][1]
        self.source = source_class(rows, label, where)
        numbered = self.fields.assign(row=np.arange(len(self.fields)))
        self.sources = aligned(numbered, rows[rows[CLASS] == self.source], f"real fields of plate {plate}")

    def read(self, stack: store.Stack, row: int) -> np.ndarray:
        """Read one field: (C, H, W) float32 z-scores."""
        return z_scores(stack, row, self.channels, self.settings)

    def source_images(self) -> list[np.ndarray]:
        return [self.read(self.real, row) for row in self.sources["row"]]

    def image_table(self, images: list[np.ndarray]) -> pd.DataFrame:
        rows = []
        for kind, (stack, table) in self.sides.items():
            places = dict(zip(table.index, range(len(table))))
            read = lambda row, stack=stack, places=places: self.read(stack, places[row.name])  # noqa: E731
            rows += image_pairs.image_rows(read, table, self.sources, images, kind, self.source, self.channels)
        return image_pairs.image_table(pd.DataFrame(rows), self.plate)

    def area_table(self, images: list[np.ndarray]) -> pd.DataFrame:
        """Test both sides; see `stained_area`."""
        thresholds = stained_area.area_thresholds(images)
        shown = set(self.sides[TRANSLATION][1][CLASS])
        sides = [(self.real, self.fields.reset_index(drop=True)), self.sides[TRANSLATION]]
        tests = []
        for stack, table in sides:
            rows = np.flatnonzero(table[CLASS].isin(shown))
            areas = [stained_area.area_above(self.read(stack, row), thresholds) for row in rows]
            shares = pd.DataFrame(np.reshape(areas, (-1, len(self.channels))), columns=self.channels)
            frame = pd.concat([table.iloc[rows][[*store.WELL_KEYS, CLASS]].reset_index(drop=True), shares], axis=1)
            wells = frame.groupby([*store.WELL_KEYS, CLASS], sort=True).mean().reset_index()
            tests.append(stained_area.area_tests(wells, self.channels, self.source))
        joined = stained_area.agreement(*tests)
        place = dict(zip(self.channels, thresholds))
        return joined.assign(plate=self.plate, threshold=joined["channel"].map(place))


def object_table(known: PlateImages, args: argparse.Namespace) -> pd.DataFrame:
    """Match nuclei of the source with those of each image; no rows where cells are not measured."""
    if not args.masks:
        return pd.DataFrame(columns=[CLASS, "reference", *kept_objects.METRICS])
    rows = []
    with ExitStack() as opened:
        masks = lambda paths, arm: opened.enter_context(store.open_masks(one_of(known.plate, arm, paths, "masks")))  # noqa: E731
        real = masks(args.real_masks, "real")
        for kind, paths in ((TRANSLATION, args.masks), (FRESH, args.fresh_masks)):
            if paths:
                rows += image_pairs.object_rows(real, masks(paths, args.arm), known.sources, kind, known.source)
    return image_pairs.object_table(pd.DataFrame(rows), known.plate)


def count_table(known: PlateImages, args: argparse.Namespace) -> pd.DataFrame:
    """Count cells a field of every class over those of the source class: real wells, and translations over reconstructions."""
    rows = []
    for kind, paths in (("real", args.real_medians), (TRANSLATION, args.medians), (FRESH, args.fresh_medians)):
        if not paths:
            continue
        table = read_medians(one_of(known.plate, kind, paths, "medians"))
        real = kind == "real"
        table = (
            with_class(table, args.settings["label"]) if real else shown_classes(table, f"{args.arm}, medians, {kind}")
        )
        base = table[table[CLASS] == known.source]
        for name in dict.fromkeys(known.sides[TRANSLATION][1][CLASS]):
            own = table[table[CLASS] == name]
            ratio = kept_objects.count_ratio(own, base, f"{known.plate}/{name}/{kind}")
            rows.append({"plate": known.plate, CLASS: name, "kind": kind, **ratio, "fields": len(own)})
    return pd.DataFrame(rows, columns=["plate", CLASS, "kind", "ratio", "low", "high", "fields"])


def metric_rows(images: pd.DataFrame, areas: pd.DataFrame, objects: pd.DataFrame, source: str) -> Iterator[dict]:
    """Sum one plate up: rows of the metrics table without arm, plate and subset."""
    plate = images["plate"].iloc[0]
    summed = lambda table, metric, reference: image_pairs.summed(table, metric, reference, source, plate)  # noqa: E731
    for channel in dict.fromkeys(images["channel"]):
        own = images[images["channel"] == channel]
        null = summed(own[own[CLASS] == source].assign(**{CLASS: ""}), "mse", UNRELATED)["value"]
        yield {"metric": "reconstruction_mse", **summed(own, "mse", RECONSTRUCTION), "null": null, "space": IMAGES,
               "channel": channel, "floor": summed(own, "mse", FRESH)["value"]}  # fmt: skip
    for metric, name, reference in (("reconstruction_f1", "f1", RECONSTRUCTION), ("translated_f1", "f1", TRANSLATION),
                                    ("nuclei_kept", "kept", TRANSLATION)) if len(objects) else ():  # fmt: skip
        nulls = [summed(objects, name, kind)["value"] for kind in (UNRELATED, FRESH)]
        yield {
            "metric": metric,
            **summed(objects, name, reference),
            "null": nulls[0],
            "floor": nulls[1],
            "space": MAIN.name,
        }
    tested = areas[areas["agree"].notna()]
    if len(tested):
        yield {"metric": "area_agreement", "value": tested["agree"].mean(), "null": stained_area.expected_agreement(areas),
               "n": len(tested), "space": IMAGES}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Score the images of a translation."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    line.add_argument("--settings", type=json.loads, required=True, help="JSON: label, channels, cutoff, renormalise")
    line.add_argument("--arm", required=True)
    line.add_argument("--plates", nargs="+", required=True, help="plates whose fields are translated")
    line.add_argument("--real", type=Path, nargs="+", required=True, help="real stacks, one a plate")
    line.add_argument("--fields", type=Path, nargs="+", required=True)
    line.add_argument(
        "--translated", type=Path, nargs="+", required=True, help="the arm's stacks; tables of rows beside"
    )
    for name in ("fresh", "masks", "fresh-masks", "real-masks", "medians", "fresh-medians", "real-medians"):
        line.add_argument(f"--{name}", type=Path, nargs="*", default=[], help="one a plate, where there are some")
    line.add_argument("--table", type=Path, required=True, help="the metrics to write; tables of classes beside it")
    args = line.parse_args(argv)
    measured = (args.masks, args.fresh_masks, args.real_masks, args.medians, args.fresh_medians, args.real_medians)
    store.one_engine(path for paths in measured for path in paths)
    rows, tables = [], {name: [] for name in TABLES}
    for plate in args.plates:
        known = PlateImages(args, plate)
        sources = known.source_images()
        found = {"images": known.image_table(sources), "areas": known.area_table(sources), "objects": object_table(known, args),
                 "counts": count_table(known, args)}  # fmt: skip
        for name, table in found.items():
            tables[name].append(table)
        log.info("%s, %s: %d source fields of %s", args.arm, plate, len(sources), known.source)
        place = {"plate": plate, "subset": "full", "channel": "all"}
        rows += [
            {**place, **row} for row in metric_rows(found["images"], found["areas"], found["objects"], known.source)
        ]
    write_rows(rows, args.arm, args.table)
    for name, parts in tables.items():
        store.write_table(pd.concat(parts, ignore_index=True), args.table.with_suffix(f".{name}.parquet"))


if __name__ == "__main__":
    run(main)
