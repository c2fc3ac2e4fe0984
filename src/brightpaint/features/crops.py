"""Cut single-cell crops from a plate's stack and the label images of its cells, with masks and keys.

A crop shows a square of fixed size in micrometres about the middle of a cell, or of its nucleus. Its keys are those of the
cell tables (ROW_KEYS and ObjectNumber), by which everything is joined. The table is written first, a well at a time, then
the crops one by one: a plate's cells never lie in memory together. A predicted image is brought to the scale of the
prepared ones first, as for CellProfiler; planes of a stain by their common mean and s.d.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import cli
from brightpaint.base.intensity import rescaled
from brightpaint.base.seeds import seed_of
from brightpaint.features import crop_windows
from brightpaint.features.export import check_rows, prepared_pixel_um
from brightpaint.study.planes import group_places

PARENT = "Cells_Parent_Nuclei"  # the number of a cell's nucleus
COUNTS = ("cells", "crops", "at_border", "without_pixels", "beyond_most")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plate:
    """What crops are cut from: the fields of an arm's plate, their images and their label images.

    Attributes
    ----------
    rows : one a field, with the columns `_image` and `_labels`: its row in the stack and in the label images
    window_px : height and width of what is cut, in prepared pixels; size_px of what is kept
    pixel_um : size of a pixel of a crop; None without fields
    """

    stack: store.Stack
    masks: store.Masks
    rows: pd.DataFrame
    settings: dict
    predicted: bool
    window_px: int
    size_px: int
    pixel_um: float | None

    @property
    def depth(self) -> int:
        return len(self.settings["channels"][0][1])

    @property
    def size(self) -> tuple[int, int, int]:
        """Size of what is cut, (D, H, W)."""
        return self.depth, self.window_px, self.window_px

    def image(self, row: pd.Series) -> np.ndarray:
        """Return a field's channels and planes, (C, D, H, W) float32 z-scores."""
        names = [plane for _, planes in self.settings["channels"] for plane in planes]
        # A plane that is cropped without the others of its stain has their scale all the same: they are read with it.
        groups = [planes for planes in self.settings.get("planes", ()) if set(planes) & set(names)]
        known = list(dict.fromkeys([*names, *(plane for planes in groups for plane in planes)]))
        image = self.stack.images[row["_image"]][self.stack.channel_indices(known)].astype(np.float32)
        if self.predicted:
            scale = {key: self.settings[key] for key in ("cutoff", "renormalise")}
            image = rescaled(image, **scale, groups=group_places(groups, known))
        return image[: len(names)].reshape(len(self.settings["channels"]), -1, *image.shape[1:])

    def labels(self, row: pd.Series, objects: str = "Cells") -> np.ndarray:
        """Return a field's label image, (1, H, W)."""
        labels = self.masks.read(row["_labels"], objects)
        if labels.shape != self.stack.images.shape[2:]:
            raise ValueError(
                f"{self.masks.path}: {store.describe_field(row)}: a label image of {labels.shape} px, expected "
                f"{self.stack.images.shape[2:]} as {self.stack.path} has; delete it and rerun cells"
            )
        return labels[None]


def with_places(rows: pd.DataFrame, masks: store.Masks) -> pd.DataFrame:
    """Return the fields with their row of the stack and of the label images, joined by key.

    Raises
    ------
    ValueError
        naming the first field that has no label image
    """
    rows = store.with_row_keys(rows).assign(_image=np.arange(len(rows)))
    keys = store.row_keys(masks.fields)
    placed = rows.merge(masks.fields.assign(_labels=np.arange(len(masks))), on=keys, how="left", validate="many_to_one")
    missing = placed["_labels"].isna()
    if missing.any():
        raise ValueError(
            f"{masks.path}: no label image of {store.describe_field(placed[missing].iloc[0])} ({int(missing.sum())} of "
            f"{len(rows)} fields have none); delete it and rerun cells"
        )
    return placed.astype({"_labels": np.int64})


def middles_of(plate: Plate, row: pd.Series, cells: pd.DataFrame) -> pd.DataFrame:
    """Return ObjectNumber and the middle (z, y, x) of the cells of a field that have pixels, by the object chosen.

    Parameters
    ----------
    cells : the field's rows of the cell table: ObjectNumber, and the number of its nucleus where that is the object
    """
    nuclei = plate.settings["objects"] == "nuclei"
    numbers, middles = crop_windows.centres(plate.labels(row, "Nuclei" if nuclei else "Cells"))
    found = pd.DataFrame(middles, columns=["z_px", "y_px", "x_px"]).assign(_object=numbers)
    chosen = cells.assign(_object=cells[PARENT if nuclei else "ObjectNumber"].astype(np.int64))
    joined = chosen.merge(found, on="_object", validate="one_to_one").sort_values("ObjectNumber", kind="stable")
    own = np.isin(joined["ObjectNumber"], plate.labels(row)) if nuclei else slice(None)  # no mask without pixels
    return joined.loc[own, ["ObjectNumber", "z_px", "y_px", "x_px"]].reset_index(drop=True)


def crops_of_field(plate: Plate, row: pd.Series, cells: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """Return the rows of a field's crops, ObjectNumber, y_px, x_px, border, and the counts of its cells (COUNTS)."""
    found = middles_of(plate, row, cells)
    shape, size = (1, *plate.stack.images.shape[2:]), (1, *plate.size[1:])
    begins = [crop_windows.starts(middle, size) for middle in found[["z_px", "y_px", "x_px"]].to_numpy()]
    found["border"] = np.array([crop_windows.reaches_out(start, size, shape) for start in begins], np.int64)
    kept = [crop_windows.placed(start, size, shape, plate.settings["border"]) is not None for start in begins]
    counts = {"cells": len(cells), "at_border": len(found) - sum(kept), "without_pixels": len(cells) - len(found)}
    found = found[np.array(kept, bool)]
    most = plate.settings["max_per_field"] or len(found)
    counts |= {"beyond_most": max(len(found) - most, 0), "crops": min(len(found), most)}
    if len(found) > most:
        rng = np.random.default_rng(seed_of("crops", *(row[key] for key in store.ROW_KEYS)))
        found = found.iloc[np.sort(rng.choice(len(found), most, replace=False))]
    return found.drop(columns="z_px"), counts


def described(row: pd.Series, found: pd.DataFrame) -> pd.DataFrame:
    """Put the field's keys, annotations and group (its well, kept together when crops are split) to its crops."""
    metadata = {name: row[name] for name in row.index if name.startswith("Metadata_")}
    keys = {**{key: metadata.pop(key) for key in store.ROW_KEYS}, **metadata}
    group = f"{row['Metadata_Plate']}/{row['Metadata_Well']}"
    return pd.DataFrame({**keys, **found.to_dict("series"), "group": group}, index=found.index)


def schema_of(rows: pd.DataFrame) -> pa.Schema:
    """Return the schema of the table of crops: keys and annotations as the fields have them, then what crops add."""
    metadata = [
        *store.ROW_KEYS,
        *(name for name in rows if name.startswith("Metadata_") and name not in store.ROW_KEYS),
    ]
    numbers = {"Metadata_Site": pa.int64(), "Metadata_Tile": pa.int64(), "Metadata_draw": pa.int64()}
    numbers |= {name: pa.float64() for name in metadata if rows[name].dtype.kind == "f"}
    added = {"ObjectNumber": pa.int64(), "y_px": pa.float64(), "x_px": pa.float64(), "border": pa.int64()}
    types = {name: numbers.get(name, pa.string()) for name in metadata} | added | {"group": pa.string()}
    return pa.schema(types.items())


def cells_by_field(path: Path, rows: pd.DataFrame, columns: list[str]) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield (number of the row, its cells) of every field with cells, a well in memory at a time.

    Raises
    ------
    ValueError
        for cells of a field that is not among the rows
    """
    if not len(store.Rows(path, ["ObjectNumber"])):
        return  # a plate without cells has no columns of features
    keys = [key for key in store.ROW_KEYS if key in store.read_schema(path).names]
    numbers = {tuple(key): number for number, key in enumerate(rows[keys].itertuples(index=False))}
    for group in store.read_groups(path, [*keys, *columns]):
        well = group.to_pandas()
        for key, cells in well.groupby(keys, sort=False):
            if key not in numbers:
                where = store.describe_field(cells.iloc[0])
                raise ValueError(
                    f"{path}: cells of {where}, which is not among the plate's rows; delete it and rerun cells"
                )
            yield numbers[key], cells


def plan_crops(plate: Plate, cells_path: Path, counts: dict[int, dict]) -> Iterator[pa.Table]:
    """Yield the rows of the crops of one field after the other, and note each field's counts in `counts`."""
    schema = schema_of(plate.rows)
    columns = list(dict.fromkeys(["ObjectNumber", PARENT if plate.settings["objects"] == "nuclei" else "ObjectNumber"]))
    for number, cells in cells_by_field(cells_path, plate.rows, columns):
        row = plate.rows.iloc[number]
        found, counts[number] = crops_of_field(plate, row, cells)
        yield pa.Table.from_pandas(described(row, found), schema=schema, preserve_index=False)


def cut_crops(plate: Plate, table_path: Path, writer: store.CropWriter) -> None:
    """Cut the crops of a written table that `writer` still lacks, a field in memory at a time."""
    numbers = {tuple(key): number for number, key in enumerate(plate.rows[store.ROW_KEYS].itertuples(index=False))}
    shape, first = (1, *plate.stack.images.shape[2:]), 0
    columns = [*store.ROW_KEYS, "ObjectNumber", "y_px", "x_px"]
    for group in tqdm(store.read_groups(table_path, columns), disable=None, unit="field"):
        crops = group.to_pandas()
        todo = np.flatnonzero(~writer.done[first : first + len(crops)])
        if len(todo):
            row = plate.rows.iloc[numbers[tuple(crops[store.ROW_KEYS].iloc[0])]]
            image, labels = plate.image(row), plate.labels(row)
            for place, crop in zip(todo.tolist(), crops.iloc[todo].itertuples(index=False)):
                start = crop_windows.starts((0, crop.y_px, crop.x_px), (1, *plate.size[1:]))
                start = crop_windows.placed(start, (1, *plate.size[1:]), shape, plate.settings["border"])
                window = crop_windows.cut(image, start, plate.size)
                masks = crop_windows.cut_masks(labels, crop.ObjectNumber, start, plate.size)
                writer.write(first + place, *crop_windows.brought_to(window, masks, plate.size_px))
        first += len(crops)


def opened(settings: dict, arm: str, stack_path: Path, rows_path: Path, fields_path: Path, masks: store.Masks) -> Plate:
    """Open a plate: join its fields with their label images, and take the crops' size in pixels from the fields'."""
    rows = store.read_fields(rows_path)
    stack = store.open_stack(stack_path).select(rows)
    check_rows(stack, rows, rows_path)
    stack.channel_indices([plane for _, planes in settings["channels"] for plane in planes])
    height = stack.images.shape[2]
    pixel_um = prepared_pixel_um(rows, store.read_fields(fields_path), settings["pixel_size_um"], height)
    window_px = round(settings["size_um"] / pixel_um) if pixel_um else settings["size_px"] or 1
    if window_px < 1 or (window_px > min(stack.images.shape[2:]) and settings["border"] != "pad"):
        raise ValueError(
            f"{stack_path}: crops.size_um {settings['size_um']} is {window_px} pixels of {pixel_um:.4g} um, expected 1 to "
            f"{min(stack.images.shape[2:])}; choose another crops.size_um, or crops.border: pad"
        )
    placed, size_px = with_places(rows, masks), settings["size_px"] or window_px
    kept_um = round(window_px * pixel_um / size_px, 6) if pixel_um else None
    return Plate(stack, masks, placed, settings, arm != "real", window_px, size_px, kept_um)


def count_rows(plate: Plate, counts: dict[int, dict]) -> Iterator[dict]:
    """Yield how many cells each field has, and what became of them; a field without cells has zeros."""
    for number, row in enumerate(plate.rows[store.ROW_KEYS].to_dict("records")):
        yield row | {name: counts.get(number, {}).get(name, 0) for name in COUNTS}


def main(argv: list[str] | None = None) -> None:
    """Cut the single-cell crops of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--arm", required=True)
    for name in ("stack", "rows", "fields", "cells", "masks", "crops", "counts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    with store.open_masks(args.masks) as masks:
        plate, counts = opened(args.settings, args.arm, args.stack, args.rows, args.fields, masks), {}
        table = args.crops.with_suffix(".parquet")
        count = store.write_groups(plan_crops(plate, args.cells, counts), table, schema_of(plate.rows))
        store.write_rows(count_rows(plate, counts), args.counts, columns=[*store.ROW_KEYS, *COUNTS])
        inputs = [store.fingerprint(path) for path in (args.stack, args.rows, args.cells, args.masks)]
        names = [name for name, _ in args.settings["channels"]]
        size = (plate.depth, plate.size_px, plate.size_px)
        meta = {"pixel_um": plate.pixel_um, "planes": dict(args.settings["channels"])}
        key = store.digest(args.settings, args.arm, inputs)
        with store.CropWriter(args.crops, count, names, size, key=key, meta=meta) as writer:
            cut_crops(plate, table, writer)
    totals = {name: sum(found[name] for found in counts.values()) for name in COUNTS}
    log.info("%d crops of %d cells in %d fields; left out: %d at the border, %d without pixels, %d beyond the most",
             totals["crops"], totals["cells"], len(plate.rows), *(totals[name] for name in COUNTS[2:]))  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
