"""Divide by the illumination function, cut, resize and normalise every field into the plate stack.

Bicubic resize as CellProfiler's (plates/resize.py), of the whole field, or to a pixel size in micrometres of which the
middle is kept. Then mean 0 and s.d. 1 with a cut-off: of each image and channel, as in the paper, or of each channel
over the plate, which keeps what differs in brightness between wells. The mean and s.d. go into the field table, so that
z * sd + mean undoes the normalisation. An image of one constant value becomes 0 everywhere, with that value as its mean
and s.d. 0: `flag` leaves such fields out.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.cli import run
from brightpaint.config import plate_tiles
from brightpaint.intensity import moments, normalise, pooled_moments
from brightpaint.plates.resize import resize
from brightpaint.pool import ordered

ANNOTATIONS = ["Metadata_Source", "Metadata_Batch", "Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
COLUMNS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", *ANNOTATIONS, "Channel", "file"]
LARGEST_ASPECT = 1.02
log = logging.getLogger(__name__)


def tile_box(shape: tuple[int, int], grid: Sequence[int], tile: int) -> tuple[int, int, int, int]:
    """Return (y, x, height, width) in px of tile `tile` (from 1, row by row) of a field cut into `grid`.

    All tiles are equally large; what a division leaves over at the lower and right border is not used.
    """
    rows, columns = grid
    height, width = shape[0] // rows, shape[1] // columns
    row, column = divmod(tile - 1, columns)
    if not 0 <= row < rows or not height or not width:
        raise ValueError(f"tile {tile}: a field of {shape[0]} x {shape[1]} px has no such tile of {rows} x {columns}")
    return row * height, column * width, height, width


def corrected_tile(image: np.ndarray, function: np.ndarray, box: tuple, settings: dict) -> np.ndarray | None:
    """Return one tile, divided by the illumination function and resized; None where every pixel is alike.

    Parameters
    ----------
    image : (H, W) uint16 raw counts
    function : (H, W) float32 illumination function
    box : y, x, height, width of the tile in px
    settings : size_px, and pixel_size_um with raw_pixel_um where images are brought to one pixel size

    Returns
    -------
    (size_px, size_px) float32 raw counts
    """
    y, x, height, width = box
    tile = image[y : y + height, x : x + width]
    if tile.min() == tile.max():  # before the division, which would give a blank image the function's shape
        return None
    return resize(tile / function[y : y + height, x : x + width], settings["size_px"], factor=zoom(settings))


def zoom(settings: dict) -> float | None:
    """Return how many raw pixels a prepared pixel is wide; None where the whole tile is brought to size_px."""
    return settings["pixel_size_um"] / settings["raw_pixel_um"] if settings["pixel_size_um"] else None


def kept_box(box: tuple, settings: dict) -> tuple:
    """Return the part (y, x, height, width) of a tile, in raw px, that its prepared image shows: all, or its middle."""
    factor = zoom(settings)
    if factor is None:
        return box
    y, x, height, width = box
    side = factor * settings["size_px"]
    return y + (height - side) / 2, x + (width - side) / 2, side, side


def field_rows(index: pd.DataFrame, tiles: Sequence[int], channels: Sequence[str]) -> Iterator[tuple[dict, dict, int]]:
    """Yield (keys and annotations, file of each channel, tile) sorted by well, site and tile."""
    for (well, site), group in index.groupby(["Metadata_Well", "Metadata_Site"], sort=True):
        files = dict(zip(group["Channel"], group["file"]))
        first = group.iloc[0]
        missing = [channel for channel in channels if channel not in files]
        if missing or len(group) != len(files):
            problem = f"channel {missing[0]} is missing" if missing else "a channel occurs twice"
            raise ValueError(f"index: {store.describe_field(first)}: {problem}; run the rule index again")
        for tile in tiles:
            keys = {"Metadata_Plate": first["Metadata_Plate"], "Metadata_Well": well, "Metadata_Site": int(site)}
            yield {**keys, "Metadata_Tile": tile, **{name: first[name] for name in ANNOTATIONS}}, files, tile


def field_moments(images: dict, tile: int, functions: dict, settings: dict) -> dict:
    """Return {channel: [mean, s.d.]} of one tile's corrected and resized images."""
    found = {}
    for channel in settings["channels"]:
        box = tile_box(images[channel].shape, settings["grid"], tile)
        small = corrected_tile(images[channel], functions[channel], box, settings)
        found[channel] = [float(images[channel][box[0], box[1]]), 0.0] if small is None else [*moments(small)]
    return found


def prepare_field(row: dict, images: dict, tile: int, functions: dict, settings: dict, plate: dict | None = None):
    """Return (stack row (C, size_px, size_px) float16, row of the field table).

    Parameters
    ----------
    row : field keys and annotations
    images, functions : (H, W) by channel, raw counts and illumination
    tile : number of the tile, from 1
    settings : size_px, grid, cutoff, channels, pixel_size_um
    plate : {channel: (mean, s.d.)} of the plate; without it each image is normalised by its own
    """
    size, cutoff, statistics = settings["size_px"], settings["cutoff"], {}
    stacked = np.zeros((len(settings["channels"]), size, size), np.float16)
    for n, channel in enumerate(settings["channels"]):
        box = tile_box(images[channel].shape, settings["grid"], tile)
        small = corrected_tile(images[channel], functions[channel], box, settings)
        mean, sd = (float(images[channel][box[0], box[1]]), 0.0) if small is None else moments(small)
        if sd:
            mean, sd = plate[channel] if plate else (mean, sd)
            stacked[n] = normalise(small, mean, sd, cutoff=cutoff)
        clipped = float((np.abs(stacked[n]) >= np.float16(cutoff)).mean())
        statistics.update({f"mean_{channel}": mean, f"sd_{channel}": sd, f"clipped_{channel}": clipped})
    place = dict(zip(["y_px", "x_px", "height_px", "width_px"], kept_box(box, settings)))
    return stacked, {**row, **place, **statistics}


def check_size(shape: tuple[int, int], settings: dict) -> None:
    """Raise ValueError where raw tiles cannot give square prepared images without distortion or empty borders."""
    _, _, height, width = tile_box(shape, settings["grid"], 1)
    factor = zoom(settings)
    if factor is None:
        return check_aspect(shape, settings["grid"])
    size = settings["size_px"]
    if factor * size > min(height, width) + 1e-6:
        fits = int(min(height, width) / factor) // 8 * 8
        raise ValueError(
            f"tiles of {height} x {width} px of {settings['raw_pixel_um']} um are too small: expected at least "
            f"{math.ceil(factor * size)} px for prepare.size_px {size} at prepare.pixel_size_um "
            f"{settings['pixel_size_um']}; set prepare.size_px to {fits} or less"
        )


def check_aspect(shape: tuple[int, int], grid: Sequence[int]) -> None:
    """Raise ValueError where tiles are far from square: the resize to a square would distort the cells."""
    _, _, height, width = tile_box(shape, grid, 1)
    if max(height, width) > LARGEST_ASPECT * min(height, width):
        raise ValueError(
            f"raw images are {shape[0]} x {shape[1]} px, so that tiles of prepare.grid {list(grid)} are "
            f"{height} x {width} px; expected square ones: choose another prepare.grid (rows, columns)"
        )


def read_field(raw: Path, files: dict, row: dict, channels: Sequence[str], shape: tuple) -> dict[str, np.ndarray]:
    """Return a field's raw images by channel; one of another shape than the illumination function is an error."""
    images = {}
    for channel in channels:
        path, where = raw / files[channel], store.describe_field(row, channel)
        images[channel] = store.read_raw(path, where)
        if images[channel].shape != shape:
            found = images[channel].shape
            raise ValueError(
                f"{path} ({where}): expected {shape[0]} x {shape[1]} px as the illumination function has, found "
                f"{found[0]} x {found[1]}; leave the field out, or give such images a plate of their own"
            )
    return images


class Plate:
    """A plate's raw fields and illumination functions, read field by field.

    Attributes
    ----------
    fields : [(keys and annotations, file of each channel, tile)], row n of the stack is fields[n]
    """

    def __init__(self, index: pd.DataFrame, raw: Path, light: store.Stack, settings: dict):
        channels = settings["channels"]
        tiles = plate_tiles({"region": settings["region"]}, settings["grid"][0] * settings["grid"][1])
        self.raw, self.settings, self.shape = raw, settings, light.images.shape[2:]
        self.functions = dict(zip(channels, light.images[0][light.channel_indices(channels)]))
        self.fields = list(field_rows(index, tiles, channels))

    def each(self, rows: Sequence[int], work, *, workers: int) -> Iterator[tuple]:
        """Yield (n, work(row, images, tile)) for each n of `rows`, in order; a field's images are read once."""

        def of_field(group: list[int]) -> list[tuple]:
            row, files, _ = self.fields[group[0]]
            images = read_field(self.raw, files, row, self.settings["channels"], self.shape)
            return [(n, work(self.fields[n][0], images, self.fields[n][2])) for n in group]

        groups = (list(group) for _, group in groupby(rows, lambda n: id(self.fields[n][1])))
        with tqdm(total=len(rows), disable=None, unit="field") as bar:
            for done in ordered(of_field, groups, workers=workers):
                yield from done
                bar.update(len(done))


def plate_moments(plate: Plate, journal: store.Journal, *, workers: int) -> dict[str, tuple[float, float]]:
    """Return {channel: (mean, s.d.)} of all pixels of the plate's images that are not constant."""
    known = {row["row"]: row["moments"] for row in journal.rows}
    todo = [n for n in range(len(plate.fields)) if n not in known]

    def work(_, images, tile):
        return field_moments(images, tile, plate.functions, plate.settings)

    for n, found in plate.each(todo, work, workers=workers):
        known[n] = found
        journal.add({"row": n, "moments": found})
    pooled = {}
    for channel in plate.settings["channels"]:
        seen = [known[n][channel] for n in range(len(plate.fields)) if known[n][channel][1]]
        pooled[channel] = pooled_moments([mean for mean, _ in seen], [sd for _, sd in seen])
    return pooled


def prepare(plate: Plate, writer, journal, constants: dict | None = None, *, workers: int = 1) -> pd.DataFrame:
    """Write every field that `writer` still lacks and return the field table.

    Parameters
    ----------
    writer : store.StackWriter of the plate stack
    journal : store.Journal that keeps each field's row of the table for a run that continues this one
    constants : {channel: (mean, s.d.)} of the plate, where it is normalised as a whole
    workers : fields at once; changes no byte
    """
    known = {row["row"]: row for row in journal.rows}
    todo = [n for n in range(len(plate.fields)) if not (writer.done[n] and n in known)]

    def work(row, images, tile):
        return prepare_field(row, images, tile, plate.functions, plate.settings, constants)

    for n, (stacked, row) in plate.each(todo, work, workers=workers):
        writer.write(n, stacked)
        known[n] = {"row": n, **row}  # the journal's own copy: a plate's rows are in memory once
        journal.add(known[n])
    table = pd.DataFrame([known[n] for n in range(len(plate.fields))])
    return table.drop(columns="row").assign(stack_row=range(len(table)))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--workers", type=int, default=1, help="fields at once; changes no result")
    for name in ("index", "raw", "illumination", "stack", "fields"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    settings, light = args.settings, store.open_stack(args.illumination)
    check_size(light.images.shape[2:], settings)
    plate = Plate(store.read_table(args.index, COLUMNS), args.raw, light, settings)
    shape = (len(plate.fields), len(settings["channels"]), settings["size_px"], settings["size_px"])
    key = store.digest(settings, store.file_digest(args.index), store.file_digest(args.illumination))
    with store.StackWriter(args.stack, shape, settings["channels"], key=key) as writer:
        constants, journals = None, [store.Journal(args.fields.with_name(args.fields.name + ".partial"), key)]
        if settings["normalise"] == "plate":
            journals.append(store.Journal(args.fields.with_name(args.fields.name + ".moments.partial"), key))
            constants = plate_moments(plate, journals[1], workers=args.workers)
        store.write_table(prepare(plate, writer, journals[0], constants, workers=args.workers), args.fields)
    for journal in journals:
        journal.remove()
    log.info("%d fields of %d x %d px", shape[0], settings["size_px"], settings["size_px"])


if __name__ == "__main__":
    run(main)
