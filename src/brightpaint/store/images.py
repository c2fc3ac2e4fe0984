"""Single images: the microscope's own, whole or refused, and those that others shall read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile

from brightpaint.store.planes_said import planes_said


def read_raw(path: str | Path, where: str = "") -> np.ndarray:
    """Read one untouched microscope image whole.

    Returns
    -------
    (H, W) uint16 raw counts

    Raises
    ------
    ValueError
        for what is not one whole 16-bit greyscale TIFF; the message names the file and `where`
        (plate, well, site, channel)
    """
    with raw_page(path, where) as (place, tif, page):
        try:
            pages, image = max(len(tif.pages), planes_said(tif)), page.asarray()
        except Exception as error:
            raise ValueError(
                f"{place}: expected a whole TIFF, found one that cannot be read ({error}); {MEND}"
            ) from error
    if image.ndim != 2 or image.dtype != np.uint16 or pages != 1:
        raise ValueError(
            f"{place}: expected one 16-bit greyscale page, found {pages} page(s) of shape {image.shape} "
            f"and type {image.dtype}; {advice(image, pages)}"
        )
    return image


UNPACK = "python -m brightpaint.plates.tabulate FOLDER --unpack SINGLE --table images.csv --channels NAME ..."


def advice(image: np.ndarray, pages: int) -> str:
    """Return what to do with pixels that are no single 16-bit grey page."""
    if image.dtype == np.uint16:
        what = f"{pages} pages" if image.ndim == 2 else f"{min(image.shape)} channels"
        return f"split its {what} into files of one each: {UNPACK}"
    if image.dtype == np.uint8:
        return f"export the images as 16-bit greyscale, or have this done with every value kept: {UNPACK}"
    return "export the images as 16-bit greyscale"


def check_raw(path: str | Path, where: str = "") -> None:
    """Raise ValueError, as `read_raw` does, where a file is no TIFF or ends before its image does; read no pixels."""
    with raw_page(path, where):
        pass


MEND = "fetch it again: delete it and rerun, or leave the field out: a line plate/well/site in source.exclude"


def raw_shape(handle: BinaryIO) -> tuple[int, int]:
    """Return (height, width) in px of an open TIFF's first page, from its header; ValueError for what is none."""
    try:
        with tifffile.TiffFile(handle) as tif:
            return tif.pages.first.imagelength, tif.pages.first.imagewidth
    except Exception as error:
        raise ValueError(f"expected a TIFF, found one that cannot be read ({error})") from error


@contextlib.contextmanager
def raw_page(path: str | Path, where: str, mend: str = MEND) -> Iterator[tuple]:
    """Open a TIFF whose first page lies whole within the file: (its name for messages, file, page)."""
    place = f"{path}" + (f" ({where})" if where else "")
    size = os.path.getsize(path) if os.path.exists(path) else -1
    if size <= 0:
        raise ValueError(f"{place}: expected a TIFF, found {'nothing' if size < 0 else 'an empty file'}; {mend}")
    try:
        tif = tifffile.TiffFile(path)
    except Exception as error:
        raise ValueError(f"{place}: expected a whole TIFF, found one that cannot be read ({error}); {mend}") from error
    with tif:
        try:
            page = tif.pages.first
            ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts)]
        except Exception as error:
            raise ValueError(
                f"{place}: expected a whole TIFF, found one that cannot be read ({error}); {mend}"
            ) from error
        if not ends or max(ends) > size:
            wanted = max(ends, default="more")
            raise ValueError(f"{place}: expected a whole TIFF of {wanted} bytes, found it truncated at {size}; {mend}")
        yield place, tif, page


def write_raw(path: str | Path, image: np.ndarray) -> None:
    """Write one (H, W) uint16 image as a plain TIFF, the same bytes every time, into a folder that is made whole."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, photometric="minisblack", metadata=None, software=False)


def write_ome(path: str | Path, image: np.ndarray, channel: str, *, pixel_um: float, identifier: str) -> None:
    """Write one (H, W) uint16 image as an OME-TIFF with its channel and pixel size, the same bytes every time.

    As with `write_raw`, it is the folder that is made whole (`atomic_folder`).
    """
    described = {
        "axes": "YX",
        "Channel": {"Name": channel},
        "PhysicalSizeX": pixel_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": pixel_um,
        "PhysicalSizeYUnit": "µm",
        "UUID": identifier,
    }
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(image, photometric="minisblack", metadata=described, software=False)
