"""Crops of single cells: `<name>.tif` (N, C, D, H, W), their masks in `<name>.masks.tif`, their keys in `<name>.parquet`.

Row n of each is crop n. The two stacks are written one crop after the other and read through memory maps, so that memory
does not grow with the number of cells. `CropBatches` draws random batches from one or several of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint.store.names import ROW_KEYS
from brightpaint.store.stacks import CROP_AXES, StackWriter, mapped
from brightpaint.store.tables import Rows, read_schema, read_table

MASKS = ("own", "all")  # the crop's own cell, and every cell in it
CROP_KEYS = [*ROW_KEYS, "ObjectNumber"]


def masks_of(path: str | Path) -> Path:
    """Return where the masks of a file of crops lie."""
    return Path(path).with_suffix(".masks.tif")


@dataclass(frozen=True)
class Crops:
    """Crops opened for reading.

    Attributes
    ----------
    images : (N, C, D, H, W) memory map, float16; D is 1 in 2D
    masks : (N, 2, D, H, W) memory map, uint8: 1 within the own cell, 1 within any cell
    channels : the C channel names
    meta : whatever else the writer recorded, `pixel_um` among it
    """

    path: Path
    images: np.ndarray
    masks: np.ndarray
    channels: tuple[str, ...]
    meta: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, columns: Sequence[str]) -> Rows:
        """Return the crops' rows as dicts, as often as they are asked for, with one batch of them in memory."""
        return Rows(self.path.with_suffix(".parquet"), columns)

    def table_columns(self) -> list[str]:
        """Return the names of the columns of the table of the crops."""
        return read_schema(self.path.with_suffix(".parquet")).names

    def table(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the table of the crops, or these columns of it: row n is crop n."""
        return read_table(self.path.with_suffix(".parquet"), columns)


def open_crops(path: str | Path) -> Crops:
    """Memory-map crops and their masks; files that are truncated, foreign or of unlike length are an error that names them."""
    path = Path(path)
    images, described = mapped(path, "f", 4, "file of crops", "rule crops")
    masks, described_masks = mapped(masks_of(path), "u", 1, "file of crops' masks", "rule crops")
    rows = len(Rows(path.with_suffix(".parquet"), CROP_KEYS))
    expected = (len(images), len(MASKS), *images.shape[2:])
    if images.ndim != len(CROP_AXES) or masks.shape != expected or tuple(described_masks["channels"]) != MASKS:
        raise ValueError(
            f"{masks_of(path)}: masks of {masks.shape} beside crops of {images.shape}, expected {expected}; "
            f"delete both and rerun"
        )
    if rows != len(images):
        raise ValueError(f"{path}: {len(images)} crops where its table has {rows} rows; delete both and rerun")
    known = {"shape", "channels", "fields", "axes", "truncated"}
    meta = {key: value for key, value in described.items() if key not in known}
    return Crops(path, images, masks, tuple(described["channels"]), meta)


class CropWriter:
    """Write crops and their masks one by one, resumably, as `StackWriter` does: what a killed run has written stays.

    Parameters
    ----------
    path : of the crops; the masks go beside it. Their table is written by itself, before
    count : N; may be 0
    channels : C names
    size : (D, H, W)
    key : digest of what determines the content
    meta : JSON-serialisable extras for the description

    Attributes
    ----------
    done : (N,) bool, whether a crop is on disk with its masks
    """

    def __init__(self, path, count: int, channels, size, *, key: str, meta: dict | None = None):
        with contextlib.ExitStack() as opened:
            self._images = opened.enter_context(StackWriter(path, (count, len(channels), *size), channels,
                                                            key=key, meta=meta))  # fmt: skip
            self._masks = opened.enter_context(StackWriter(masks_of(path), (count, len(MASKS), *size), MASKS,
                                                           key=key, dtype="uint8"))  # fmt: skip
            self.done = self._images.done & self._masks.done
            self._opened = opened.pop_all()

    def write(self, number: int, image: np.ndarray, masks: np.ndarray) -> None:
        """Write crop `number`: (C, D, H, W), finite, and its (2, D, H, W) masks of 0 and 1."""
        self._images.write(number, image)
        self._masks.write(number, masks)
        self.done[number] = True

    def __enter__(self) -> CropWriter:
        return self

    def __exit__(self, *error) -> None:
        self._opened.__exit__(*error)
