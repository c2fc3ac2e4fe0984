"""Divide by the illumination function, cut, resize and normalise every field into the plate stack.

Bicubic resize as CellProfiler's (plates/resize.py), of the whole field, or to a pixel size in micrometres of which
the middle is kept. Then mean 0 and s.d. 1 with a cut-off: of each image and channel, as in the paper, or of each
channel over the plate, which keeps what differs in brightness between wells. Planes of one stain share them. The mean
and s.d. go into the field table, so that z * sd + mean undoes the normalisation. An image of one constant value
becomes 0 everywhere, with that value as its mean and s.d. 0: `flag` leaves such fields out.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.intensity import moments, normalise, pooled_moments
from brightpaint.base.pool import ordered
from brightpaint.plates.fields import fields_of
from brightpaint.plates.resize import resize
from brightpaint.plates.tiles import check_size, kept_box, tile_box, zoom
from brightpaint.study.annotations import ANNOTATIONS, REQUIRED, annotated
from brightpaint.study.choice import plate_tiles

ORIGIN = ["Metadata_Source", "Metadata_Batch"]
COLUMNS = [*store.FIELD_KEYS[:3], *ORIGIN, *REQUIRED, "Channel", "file"]
log = logging.getLogger(__name__)


def corrected_tile(image: np.ndarray, function: np.ndarray, tile: int, settings: dict) -> tuple:
    """Return (one tile, divided by the illumination function and resized, its mean, its s.d.).

    Of a tile whose pixels are all alike: (None, their value, 0).

    Parameters
    ----------
    image : (H, W) uint16 raw counts
    function : (H, W) float32 illumination function
    tile : its number, from 1
    settings : size_px, grid, and pixel_size_um with raw_pixel_um where images are brought to one pixel size

    Returns
    -------
    (size_px, size_px) float32, and two numbers, raw counts
    """
    y, x, height, width = tile_box(image.shape, settings["grid"], tile)
    part = image[y : y + height, x : x + width]
    if part.min() == part.max():  # before the division, which would give a blank image the function's shape
        return None, float(part[0, 0]), 0.0
    small = resize(part / function[y : y + height, x : x + width], settings["size_px"], factor=zoom(settings))
    return small, *moments(small)


def field_moments(images: dict, tile: int, functions: dict, settings: dict) -> np.ndarray:
    """Return (C, 2) mean and s.d. of one tile's corrected and resized images."""
    tiles = (corrected_tile(images[name], functions[name], tile, settings) for name in settings["channels"])
    return np.array([measured for _, *measured in tiles])


def sharing(settings: dict) -> dict[str, list[str]]:
    """Return {channel: the channels with which it shares mean and s.d.}: itself, or the planes of its group."""
    group_of = {plane: planes for planes in settings.get("planes", []) for plane in planes}
    return {channel: group_of.get(channel, [channel]) for channel in settings["channels"]}


def shared_moments(measured: dict, settings: dict) -> dict:
    """Return {channel: (mean, s.d.)} by which a field's images are normalised: their own, or those of all planes.

    A plane of one constant value is left out, as a constant image is of a plate's.
    """
    shared = {}
    for channel, planes in sharing(settings).items():
        varied = [measured[plane] for plane in planes if measured[plane][1]]
        shared[channel] = pooled_moments(*zip(*varied)) if len(planes) > 1 and varied else measured[channel]
    return shared


def prepare_field(row: dict, images: dict, tile: int, functions: dict, settings: dict, plate: dict | None = None):
    """Return (stack row (C, size_px, size_px) float16, row of the field table).

    Parameters
    ----------
    row : field keys and annotations
    images, functions : (H, W) by channel, raw counts and illumination
    tile : number of the tile, from 1
    settings : size_px, grid, cutoff, channels, pixel_size_um, and planes where there are groups of them
    plate : {channel: (mean, s.d.)} of the plate; without it each image is normalised by its own
    """
    size, cutoff, statistics = settings["size_px"], settings["cutoff"], {}
    stacked = np.zeros((len(settings["channels"]), size, size), np.float16)
    tiles = {name: corrected_tile(images[name], functions[name], tile, settings) for name in settings["channels"]}
    constants = plate or shared_moments({name: measured for name, (_, *measured) in tiles.items()}, settings)
    for n, channel in enumerate(settings["channels"]):
        small, mean, sd = tiles[channel]
        if sd:
            mean, sd = constants[channel]
            stacked[n] = normalise(small, mean, sd, cutoff=cutoff)
        clipped = float((np.abs(stacked[n]) >= np.float16(cutoff)).mean())
        statistics.update({f"mean_{channel}": mean, f"sd_{channel}": sd, f"clipped_{channel}": clipped})
    box = tile_box(images[channel].shape, settings["grid"], tile)
    place = dict(zip(["y_px", "x_px", "height_px", "width_px"], kept_box(box, settings)))
    return stacked, {**row, **place, **statistics}


def read_field(raw: Path, listed: dict[str, dict], channels: Sequence[str], shape: tuple) -> dict[str, np.ndarray]:
    """Return a field's raw images by channel; one of another shape than the illumination function is an error."""
    images = {}
    for channel in channels:
        path, where = raw / listed[channel]["file"], store.describe_field(listed[channel], channel)
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

    Row n of the stack is tile n % T of field n // T of the index, T tiles a field.
    """

    def __init__(self, rows: Collection[dict], raw: Path, light: store.Stack, settings: dict):
        channels = settings["channels"]
        self.tiles = plate_tiles({"region": settings["region"]}, settings["grid"][0] * settings["grid"][1])
        self.rows, self.raw, self.settings, self.shape = rows, raw, settings, light.images.shape[2:]
        self.functions = dict(zip(channels, light.images[0][light.channel_indices(channels)]))
        self._count = sum(1 for _ in fields_of(rows, channels)) * len(self.tiles)

    def __len__(self) -> int:
        return self._count

    def each(self, todo: np.ndarray, work, *, workers: int) -> Iterator[tuple]:
        """Yield (n, work(row, images, tile)) for each n that `todo`, (N,) bool, wants; a field's images are read once.

        `row` has the field's keys and annotations.
        """
        channels, tiles = self.settings["channels"], self.tiles

        def of_field(field: tuple[int, dict]) -> list[tuple]:
            number, listed = field
            first = listed[channels[0]]
            images = read_field(self.raw, listed, channels, self.shape)
            done = []
            for offset, tile in enumerate(tiles):
                if todo[n := number * len(tiles) + offset]:
                    keys = {**{key: first[key] for key in store.FIELD_KEYS[:3]}, "Metadata_Tile": tile}
                    described = {**{name: first[name] for name in ORIGIN}, **annotated(first)}
                    done.append((n, work({**keys, **described}, images, tile)))
            return done

        wanted = todo.reshape(-1, len(tiles)).any(axis=1)
        fields = (field for field in enumerate(fields_of(self.rows, channels)) if wanted[field[0]])
        with tqdm(total=int(todo.sum()), disable=None, unit="field") as bar:
            for done in ordered(of_field, fields, workers=workers):
                yield from done
                bar.update(len(done))


def plate_moments(plate: Plate, journal: store.Journal, *, workers: int) -> dict[str, tuple[float, float]]:
    """Return {channel: (mean, s.d.)} of all pixels of the plate's images that are not constant."""
    known = np.full((len(plate), len(plate.settings["channels"]), 2), np.nan)  # (N, C, 2)
    for _, line in journal.lines():
        known[line["row"]] = line["moments"]

    def work(_, images, tile):
        return field_moments(images, tile, plate.functions, plate.settings)

    for n, found in plate.each(np.isnan(known[:, 0, 0]), work, workers=workers):
        known[n] = found
        journal.add({"row": n, "moments": found.tolist()})
    pooled, channels = {}, plate.settings["channels"]
    for channel, planes in sharing(plate.settings).items():
        measured = known[:, [channels.index(plane) for plane in planes]].reshape(-1, 2)
        varied = measured[measured[:, 1] > 0]
        pooled[channel] = pooled_moments(varied[:, 0], varied[:, 1])
    return pooled


def prepare(plate: Plate, writer, journal, constants: dict | None = None, *, workers: int = 1) -> Iterator[dict]:
    """Write every field that `writer` still lacks, then yield the rows of the field table.

    Parameters
    ----------
    writer : store.StackWriter of the plate stack
    journal : store.Journal that keeps each field's row of the table for a run that continues this one
    constants : {channel: (mean, s.d.)} of the plate, where it is normalised as a whole
    workers : fields at once; changes no byte
    """
    places = np.zeros(len(plate), np.int64)
    for place, line in journal.lines():
        places[line["row"]] = place

    def work(row, images, tile):
        return prepare_field(row, images, tile, plate.functions, plate.settings, constants)

    for n, (stacked, row) in plate.each(~(writer.done & (places > 0)), work, workers=workers):
        writer.write(n, stacked)
        places[n] = journal.add({"row": n, **row})
    for n, place in enumerate(places):
        row = journal.at(int(place))
        yield {**{name: value for name, value in row.items() if name != "row"}, "stack_row": n}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--workers", type=int, default=1, help="fields at once; changes no result")
    for name in ("index", "raw", "illumination", "stack", "fields"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    settings, light = args.settings, store.open_stack(args.illumination)
    check_size(light.images.shape[2:], settings)
    listed = set(store.read_schema(args.index).names)  # an index of an older version has fewer annotations
    rows = store.Rows(args.index, [*COLUMNS, *(name for name in ANNOTATIONS if name in listed - {*COLUMNS})])
    plate = Plate(rows, args.raw, light, settings)
    shape = (len(plate), len(settings["channels"]), settings["size_px"], settings["size_px"])
    key = store.digest(settings, store.file_digest(args.index), store.file_digest(args.illumination))
    with store.StackWriter(args.stack, shape, settings["channels"], key=key) as writer:
        constants, journals = None, [store.Journal(args.fields.with_name(args.fields.name + ".partial"), key)]
        if settings["normalise"] == "plate":
            journals.append(store.Journal(args.fields.with_name(args.fields.name + ".moments.partial"), key))
            constants = plate_moments(plate, journals[1], workers=args.workers)
        store.write_rows(prepare(plate, writer, journals[0], constants, workers=args.workers), args.fields)
    for journal in journals:
        journal.remove()
    log.info("%d fields of %d x %d px", shape[0], settings["size_px"], settings["size_px"])


if __name__ == "__main__":
    run(main)
