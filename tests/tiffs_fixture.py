"""TIFFs with fewer directories than planes, as ImageJ, MetaMorph, tifffile and writers of OME-TIFF make them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tifffile

GREY = {"photometric": "minisblack"}


def imagej_one_page(path: Path, images: np.ndarray, axes: str = "ZYX", byteorder: str = "<") -> None:
    """Write (..., H, W) as ImageJ writes large hyperstacks: one page, the planes of which follow one another."""
    tifffile.imwrite(path, images, imagej=True, byteorder=byteorder, metadata={"axes": axes})
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == images.size // tif.pages.first.size
        start, at, tags = tif.pages.first.dataoffsets[0], tif.pages.first.offset, len(tif.pages.first.tags)
    data = bytearray(path.read_bytes())
    data[at + 2 + 12 * tags : at + 6 + 12 * tags] = bytes(4)  # no next page
    path.write_bytes(data[: start + images.nbytes])


def stk(path: Path, images: np.ndarray, byteorder: str = "<") -> None:
    """Write (N, H, W) uint16 as a MetaMorph stack: one directory, whose UIC tags count the planes."""
    count, height, width = images.shape
    pixels = images.astype(f"{byteorder}u2").tobytes()
    dates = [n for plane in range(count) for n in (100 * plane, 100, 2450000, plane, 2450000, plane)]
    uic2, uic3 = (
        struct.pack(f"{byteorder}{6 * count}I", *dates),
        struct.pack(f"{byteorder}{2 * count}I", *[525, 1] * count),
    )
    first = 8 + 2 + 12 * 12 + 4  # behind the head and the directory of twelve tags
    second, start = first + len(uic2), first + len(uic2) + len(uic3)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, start),
            (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 2 * height * width), (33628, 4, 1, 0),
            (33629, 5, count, first), (33630, 5, count, second)]  # fmt: skip
    entries = b""
    for tag, kind, number, value in tags:
        entries += struct.pack(f"{byteorder}HHI", tag, kind, number)
        entries += struct.pack(f"{byteorder}HH", value, 0) if kind == 3 else struct.pack(f"{byteorder}I", value)
    head = (b"II" if byteorder == "<" else b"MM") + struct.pack(f"{byteorder}HIH", 42, 8, len(tags))
    path.write_bytes(head + entries + bytes(4) + uic2 + uic3 + pixels)


def tifffile_truncated(path: Path, images: np.ndarray, byteorder: str = "<", **options) -> None:
    """Write (N, H, W) as tifffile's `truncate` does: the shape in the first page's description, and no further page."""
    tifffile.imwrite(path, images, truncate=True, byteorder=byteorder, **GREY, **options)


def ome(path: Path, image: np.ndarray, *, sizes: str, blocks: str = "", byteorder: str = "<") -> None:
    """Write one page, or several, under an OME description of `sizes` (`SizeZ="3" SizeC="1" SizeT="1"`) and TiffData."""
    height, width = image.shape[-2:]
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="{width}" SizeY="{height}" {sizes}>'
        f"{blocks}</Pixels></Image></OME>"
    )
    tifffile.imwrite(path, image, description=xml, metadata=None, byteorder=byteorder, **GREY)


ONE_PAGE = {
    "ImageJ": imagej_one_page,
    "ImageJ, big-endian": lambda path, images: imagej_one_page(path, images, byteorder=">"),
    "ImageJ, channels and slices": lambda path, images: imagej_one_page(path, images[None], "ZCYX"),
    "ImageJ, frames": lambda path, images: imagej_one_page(path, images, "TYX"),
    "STK": stk,
    "STK, big-endian": lambda path, images: stk(path, images, ">"),
    "tifffile's truncate": tifffile_truncated,
    "tifffile's truncate, big-endian": lambda path, images: tifffile_truncated(path, images, ">"),
    "tifffile's truncate, BigTIFF": lambda path, images: tifffile_truncated(path, images, bigtiff=True),
}  # (path, (N, H, W) uint16) -> a file of one directory that holds all planes
