"""Cut single cells out of a volume of one's own, an image in z-planes with 3D labels, into the crop store.

    python -m brightpaint.features.own_volumes --image DNA=z00-29.tif,z30-59.tif --labels labels.tif \\
        --size-um 20 --pixel-um 0.26 --planes 32 --border pad --plate cells3d --crops crops/cells3d.tif

An image's files follow one another from the lowest plane; each stain has an --image. As where plates are prepared, the
planes of a stain share mean and s.d. A crop is cut about the middle of its label in all three axes.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import cli
from brightpaint.base.intensity import CUTOFF, standardise
from brightpaint.features import crop_windows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """One cell of a volume: its number, its middle (z, y, x), where its window begins, and whether that reaches out."""

    number: int
    middle: tuple[float, float, float]
    start: np.ndarray
    border: bool


def cells_of(labels: np.ndarray, size: Sequence[int], border: str) -> list[Cell]:
    """Return the cells of (D, H, W) labels whose window of `size` (d, h, w) the policy at the border keeps, by number."""
    cells = []
    for number, middle in zip(*crop_windows.centres(labels)):
        first = crop_windows.starts(middle, size)
        start = crop_windows.placed(first, size, labels.shape, border)
        if start is not None:
            out = crop_windows.reaches_out(first, size, labels.shape)
            cells.append(Cell(int(number), tuple(middle.tolist()), start, out))
    return cells


def cut_cell(image: np.ndarray, labels: np.ndarray, cell: Cell, size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a cell's crop, (C, d, h, w), and its masks, (2, d, h, w) uint8, from a (C, D, H, W) image and its labels."""
    crop = crop_windows.cut(image, cell.start, size)
    return crop, crop_windows.cut_masks(labels, cell.number, cell.start, size)


def scaled(image: np.ndarray, cutoff: float = CUTOFF) -> np.ndarray:
    """Return (C, D, H, W) z-scores: each channel by the mean and s.d. of all its planes."""
    channels, depth, height, width = image.shape
    return standardise(image.reshape(channels, depth * height, width), cutoff).reshape(image.shape)


def read_image(named: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Return channel names and the image, (C, D, H, W), of `NAME=FILE,FILE` for each channel."""
    names, stains = [], []
    for text in named:
        name, found, files = text.partition("=")
        if not (name and found and files):
            raise ValueError(f"--image: expected NAME=FILE,FILE, found {text!r}")
        names.append(name)
        stains.append(np.concatenate([store.read_pages(file) for file in files.split(",")]))
    shapes = {name: stain.shape for name, stain in zip(names, stains)}
    if len(set(shapes.values())) > 1 or len(shapes) < len(names):
        raise ValueError(f"--image: expected each channel once, all of one size (D, H, W), found {shapes}")
    return names, np.stack(stains)


def read_labels(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return labels, (D, H, W) or (1, H, W) whole numbers, that fit an image of this size."""
    labels = store.read_pages(path)
    if labels.dtype.kind not in "ui" or labels.shape[1:] != shape[1:] or len(labels) not in (1, shape[0]):
        raise ValueError(
            f"{path}: expected label images of {shape} (D, H, W), or one plane of them, found {labels.shape} {labels.dtype}"
        )
    return labels if len(labels) == shape[0] else np.repeat(labels, shape[0], axis=0)


def rows_of(cells: Sequence[Cell], plate: str, well: str, label: str) -> pd.DataFrame:
    """Return the table of crops; a volume is one field, and the group that is kept together."""
    numbers = np.array([cell.number for cell in cells], np.int64)
    middles = np.array([cell.middle for cell in cells], float).reshape(-1, 3)
    keys = {
        "Metadata_Plate": plate,
        "Metadata_Well": well,
        "Metadata_Site": 1,
        "Metadata_Tile": 1,
        **store.ROW_DEFAULTS,
    }
    places = {"z_px": middles[:, 0], "y_px": middles[:, 1], "x_px": middles[:, 2]}
    border = np.array([cell.border for cell in cells], np.int64)
    given = {"Metadata_label": label, "ObjectNumber": numbers, **places, "border": border, "group": f"{plate}/{well}"}
    return pd.DataFrame(keys | given, index=range(len(cells)))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", action="append", required=True, help="NAME=FILE,FILE; once a stain")
    parser.add_argument("--labels", type=Path, required=True, help="TIFF of label images, one a plane")
    parser.add_argument("--size-um", type=float, required=True, help="height and width of a crop")
    parser.add_argument("--pixel-um", type=float, required=True, help="size of a pixel")
    parser.add_argument("--planes", type=int, help="of a crop; all of the image if it is not given")
    parser.add_argument(
        "--border", choices=crop_windows.BORDERS, default="drop", help="of crops that reach beyond the image"
    )
    parser.add_argument("--plate", required=True, help="name of the volume's plate")
    parser.add_argument("--well", default="A01", help="name of the volume's well")
    parser.add_argument("--label", default="", help="what its cells are, Metadata_label")
    parser.add_argument("--crops", type=Path, required=True, help="TIFF to write; masks and table go beside it")
    args = parser.parse_args(argv)
    names, image = read_image(args.image)
    labels, side = read_labels(args.labels, image.shape[1:]), round(args.size_um / args.pixel_um)
    size = (args.planes or image.shape[1], side, side)
    if min(size) < 1:
        raise ValueError(
            f"--size-um {args.size_um}, --planes {args.planes}: a crop of {size} pixels (D, H, W) holds nothing"
        )
    image, cells = scaled(image), cells_of(labels, size, args.border)
    store.write_table(rows_of(cells, args.plate, args.well, args.label), args.crops.with_suffix(".parquet"))
    key = store.digest(size, args.border, args.image, [store.fingerprint(file) for file in files_of(args.image)],
                       store.fingerprint(args.labels))  # fmt: skip
    with store.CropWriter(args.crops, len(cells), names, size, key=key, meta={"pixel_um": args.pixel_um}) as writer:
        for number, cell in enumerate(cells):
            writer.write(number, *cut_cell(image, labels, cell, size))
    left_out = len(np.setdiff1d(labels, 0)) - len(cells)
    log.info("%d crops of %d x %d x %d; %d cells left out at the border", len(cells), *size, left_out)


def files_of(named: Sequence[str]) -> list[str]:
    """Return the files of `NAME=FILE,FILE` of all channels."""
    return [file for text in named for file in text.partition("=")[2].split(",")]


if __name__ == "__main__":
    cli.run(main)
