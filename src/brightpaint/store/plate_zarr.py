"""A plate as OME-Zarr: rows, columns, fields and resolutions in one folder, as napari, Fiji and OMERO read it.

Written by ngio in the version 0.4 of OME-NGFF (Moore et al. 2023): 0.5 stands on Zarr 3, which Bio-Formats, and with it
Fiji's own reader and CellProfiler, do not open yet; what reads 0.5 reads 0.4. ngio is loaded only here and only where a
plate is asked for (envs/formats.txt). One field is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from brightpaint.base.atomic import atomic_folder

VERSION = "0.4"
SMALLEST_PX = 128  # side of the lowest resolution: a plate of 384 such fields is what a viewer shows first
CHUNK_PX = 1024  # a chunk is one plane of a field, or a part of a large one


class FieldPlace(NamedTuple):
    """Where an image lies on the plate: row letters, column from 1, number of the field from 0; `name` is for people."""

    row: str
    column: int
    field: int
    name: str


class ShownChannel(NamedTuple):
    """How a viewer shows a channel: its name, its colour (#rrggbb), the counts that become black and full brightness."""

    name: str
    colour: str
    black: int
    white: int


def resolutions(height: int, width: int) -> int:
    """Return how many resolutions an image gets, each half of the one before, until it is small."""
    count = 1
    while max(height, width) >> count >= SMALLEST_PX and min(height, width) >> count >= 1:
        count += 1
    return count


def write_plate_zarr(
    path: str | Path, name: str, places: Sequence[FieldPlace], images: Iterable[np.ndarray], channels: Sequence[ShownChannel],
    *, pixel_um: float, made: dict,
) -> None:  # fmt: skip
    """Write a plate, the same bytes every time, under its name when it is whole.

    Parameters
    ----------
    name : of the plate
    places : one an image, each once
    images : (C, H, W) uint16, in the order of `places`, all of one size; asked for one at a time
    channels : C channels
    pixel_um : size of a pixel in micrometres
    made : JSON-serialisable, what the images are; becomes the attribute `brightpaint` of the plate
    """
    import ngio
    import zarr

    if len(set(places)) != len(places) or not places:
        raise ValueError(f"{path}: expected at least one image, and one a place; found {len(places)} places")
    shown = [ngio.Channel.default_init(c.name, color=c.colour, start=c.black, end=c.white) for c in channels]
    with atomic_folder(path) as folder:
        _create_plate(folder, name, places)
        for place, image in zip(places, images, strict=True):
            _write_image(folder / _path(place), place.name, image, shown, pixel_um)
        zarr.open_group(folder, mode="r+").attrs["brightpaint"] = made


def _path(place: FieldPlace) -> str:
    return f"{place.row}/{place.column:02d}/{place.field}"


def _create_plate(folder: Path, name: str, places: Sequence[FieldPlace]) -> None:
    """Write the metadata of the plate and its wells, rows and columns in the order of the plate (Z before AA)."""
    import ngio

    ordered = sorted(places, key=lambda place: (len(place.row), place.row, place.column, place.field))
    inside = [ngio.ImageInWellPath(row=place.row, column=place.column, path=str(place.field)) for place in ordered]
    plate = ngio.create_empty_plate(folder, name=name, images=inside, ngff_version=VERSION, overwrite=True)
    listed = plate.meta.plate
    rows = sorted(listed.rows, key=lambda row: (len(row.name), row.name))
    numbers = {row.name: number for number, row in enumerate(rows)}
    wells = [well.model_copy(update={"rowIndex": numbers[well.path.split("/")[0]]}) for well in listed.wells]
    fields = len({place.field for place in places})
    sorted_plate = listed.model_copy(update={"rows": rows, "wells": wells, "field_count": fields})
    plate.meta_handler.update_meta(plate.meta.model_copy(update={"plate": sorted_plate}))


def _write_image(path: Path, name: str, image: np.ndarray, channels: list, pixel_um: float) -> None:
    """Write one field: each resolution holds the means of the squares of pixels that became one."""
    import ngio

    height, width = image.shape[1:]
    chunks = (1, min(CHUNK_PX, height), min(CHUNK_PX, width))
    written = ngio.create_empty_ome_zarr(
        path, shape=image.shape, axes_names=["c", "y", "x"], pixelsize=pixel_um, levels=resolutions(height, width),
        channels_meta=channels, name=name, ngff_version=VERSION, chunks=chunks, dtype="uint16", overwrite=True,
    )  # fmt: skip
    for level in written.level_paths:
        array = written.get_image(path=level).zarr_array
        for number, plane in enumerate(image):
            array[number] = np.rint(area_means(plane, array.shape[1:])).astype(np.uint16)


def area_means(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return an image in fewer pixels, (H, W) -> `shape` float64: each is the mean of the area that it covers.

    Where a side is odd, a pixel covers a part of its neighbours' too, so that the whole is still the whole field.
    """
    means = np.asarray(plane, np.float64)
    for count in shape:  # along the rows, then, turned round, along the columns
        size = len(means)
        edges = np.arange(count + 1) * size / count
        before = np.minimum(edges.astype(int), size - 1)
        sums = np.concatenate([np.zeros((1, means.shape[1])), np.cumsum(means, axis=0)])
        up_to = sums[before] + (edges - before)[:, None] * means[before]
        means = (np.diff(up_to, axis=0) * count / size).T
    return means
