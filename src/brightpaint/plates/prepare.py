"""Divide by the illumination function, cut, resize and normalise every field into the plate stack.

Bicubic resize with the anti-aliasing that CellProfiler's Resize applies (a Gaussian of s.d. (scale - 1) / 2 before an
image is made smaller), then mean 0 and s.d. 1 per image and channel with a cut-off, as in the paper. The mean and
s.d. go into the field table, so that z * sd + mean undoes the normalisation.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.transform import AffineTransform, warp
from tqdm import tqdm

from brightpaint import store
from brightpaint.cli import run
from brightpaint.config import plate_tiles

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


def resize(image: np.ndarray, size_px: int) -> np.ndarray:
    """Resize to a square, bicubic, as CellProfiler's Resize does.

    Parameters
    ----------
    image : (H, W) float, any unit
    size_px : height and width of the result

    Returns
    -------
    (size_px, size_px) float64, within the range of the smoothed input
    """
    factors = np.array(image.shape) / size_px
    smooth = image.astype(np.float64)
    if (factors > 1).any():
        smooth = ndimage.gaussian_filter(smooth, np.maximum(0, (factors - 1) / 2), mode="reflect")
    if (factors == 1).all():
        return smooth
    scale_y, scale_x = factors  # pixel centres: source = scale * (target + 1/2) - 1/2
    matrix = [[scale_x, 0, scale_x / 2 - 0.5], [0, scale_y, scale_y / 2 - 0.5], [0, 0, 1]]
    transform = AffineTransform(matrix=np.array(matrix))
    return warp(smooth, transform, output_shape=(size_px, size_px), order=3, mode="symmetric", preserve_range=True)


def normalise(image: np.ndarray, *, cutoff: float) -> tuple[np.ndarray, float, float]:
    """Return (z-scores, mean, s.d.) of one image, |z| cut off at `cutoff`.

    Parameters
    ----------
    image : (H, W) float, raw counts
    cutoff : largest absolute z-score

    Raises
    ------
    ValueError
        where every pixel is alike
    """
    mean, sd = float(image.mean()), float(image.std())
    if not sd > 1e-6 * max(abs(mean), 1):
        raise ValueError(f"every pixel is {mean:.6g}")
    return np.clip((image - mean) / sd, -cutoff, cutoff), mean, sd


def denormalise(z: np.ndarray, mean: float, sd: float) -> np.ndarray:
    """Undo `normalise` up to its cut-off: z-scores to raw counts."""
    return z * sd + mean


def prepare_tile(image: np.ndarray, function: np.ndarray, box: tuple, *, size_px: int, cutoff: float):
    """Return (z-scores (size_px, size_px) float16, mean, s.d., share of pixels at the cut-off) of one tile.

    Parameters
    ----------
    image : (H, W) uint16 raw counts
    function : (H, W) float32 illumination function
    box : y, x, height, width of the tile in px
    """
    y, x, height, width = box
    tile = image[y : y + height, x : x + width]
    if tile.min() == tile.max():  # before the division, which would give a blank image the function's shape
        raise ValueError(f"every pixel is {tile.min()}")
    z, mean, sd = normalise(resize(tile / function[y : y + height, x : x + width], size_px), cutoff=cutoff)
    return z.astype(np.float16), mean, sd, float((np.abs(z) >= cutoff).mean())


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


def prepare_field(row: dict, images: dict, tile: int, functions: dict, settings: dict) -> tuple[np.ndarray, dict]:
    """Return (stack row (C, size_px, size_px) float16, row of the field table).

    Parameters
    ----------
    row : field keys and annotations
    images, functions : (H, W) by channel, raw counts and illumination
    tile : number of the tile, from 1
    settings : size_px, grid, cutoff, channels
    """
    stacked, statistics = [], {}
    for channel in settings["channels"]:
        box = tile_box(images[channel].shape, settings["grid"], tile)
        try:
            z, mean, sd, clipped = prepare_tile(
                images[channel], functions[channel], box, size_px=settings["size_px"], cutoff=settings["cutoff"]
            )
        except ValueError as error:
            raise ValueError(
                f"{store.describe_field(row, channel)}: expected an image, but {error}; leave the field out of the "
                "plate (source.exclude leaves out a perturbation), or the channel out of the config"
            ) from error
        stacked.append(z)
        statistics.update({f"mean_{channel}": mean, f"sd_{channel}": sd, f"clipped_{channel}": clipped})
    place = dict(zip(["y_px", "x_px", "height_px", "width_px"], box))
    return np.stack(stacked), {**row, **place, **statistics}


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


def prepare(index: pd.DataFrame, raw: Path, light: store.Stack, settings: dict, writer, journal) -> pd.DataFrame:
    """Write every field that `writer` still lacks and return the field table.

    Parameters
    ----------
    index : columns `COLUMNS`
    raw : folder of the images
    light : the plate's illumination functions
    settings : channels, size_px, grid, cutoff, region
    writer : store.StackWriter of the plate stack
    journal : store.Journal that keeps each field's row of the table for a run that continues this one
    """
    channels = settings["channels"]
    functions = dict(zip(channels, light.images[0][light.channel_indices(channels)]))
    tiles = plate_tiles({"region": settings["region"]}, settings["grid"][0] * settings["grid"][1])
    shape = light.images.shape[2:]
    known = {row.pop("row"): row for row in map(dict, journal.rows)}
    table, last, images = [], None, {}
    fields = list(field_rows(index, tiles, channels))
    for n, (row, files, tile) in enumerate(tqdm(fields, disable=None, unit="field")):
        if not (writer.done[n] and n in known):
            if files is not last:
                images, last = read_field(raw, files, row, channels, shape), files
            stacked, known[n] = prepare_field(row, images, tile, functions, settings)
            writer.write(n, stacked)
            journal.add({"row": n, **known[n]})
        table.append(known[n])
    return pd.DataFrame(table)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--illumination", type=Path, required=True)
    parser.add_argument("--stack", type=Path, required=True)
    parser.add_argument("--fields", type=Path, required=True)
    args = parser.parse_args(argv)
    settings, index = args.settings, store.read_table(args.index, COLUMNS)
    light = store.open_stack(args.illumination)
    check_aspect(light.images.shape[2:], settings["grid"])
    tiles = plate_tiles({"region": settings["region"]}, settings["grid"][0] * settings["grid"][1])
    count = index.groupby(["Metadata_Well", "Metadata_Site"]).ngroups * len(tiles)
    shape = (count, len(settings["channels"]), settings["size_px"], settings["size_px"])
    key = store.digest(settings, store.file_digest(args.index), store.file_digest(args.illumination))
    with store.StackWriter(args.stack, shape, settings["channels"], key=key) as writer:
        journal = store.Journal(args.fields.with_name(args.fields.name + ".partial"), key)
        fields = prepare(index, args.raw, light, settings, writer, journal)
        store.write_table(fields, args.fields)
    journal.remove()
    log.info("%d fields of %d x %d px", count, settings["size_px"], settings["size_px"])


if __name__ == "__main__":
    run(main)
