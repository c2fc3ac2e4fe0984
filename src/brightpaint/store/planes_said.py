"""How many planes a TIFF's metadata say that it holds, which may be more than its directories name.

ImageJ (where images need more than 4 GB), MetaMorph (STK) and tifffile (`truncate`) write one directory for a stack and
its planes one behind another; a file that was cut, or copied with another's description, has fewer than it says.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree

import tifffile

UIC_TAGS = (33629, 33631, 33630)  # UIC2, UIC4, UIC3: each counts the planes (MetaMorph Stack File Format, 1.1)


def planes_said(tif: tifffile.TiffFile) -> int:
    """Return how many planes the metadata say are in this file, 1 where they say nothing; samples of a colour are no planes."""
    page = tif.pages.first
    said = [1]
    if tif.is_imagej:
        said.append(_of_imagej(tif.imagej_metadata or {}, page))
    said.append(next((page.tags[tag].count for tag in UIC_TAGS if tag in page.tags), 1))
    if tif.is_shaped:
        said.append(sum(_of_tifffile(one) for one in tif.pages if one.is_shaped and not one.is_reduced))
    if tif.is_ome:
        said.append(_of_ome(page.description, tif.filename))
    return max(said)


def _of_imagej(described: dict, page: tifffile.TiffPage) -> int:
    """Return `images`, or the product of the axes where that is more (`images` is not always written)."""
    numbers = {key: described.get(key, 1) for key in ("images", "channels", "slices", "frames")}
    images, channels, slices, frames = (n if isinstance(n, int) and n > 0 else 1 for n in numbers.values())
    if page.samplesperpixel > 1 and channels == page.samplesperpixel:  # Bio-Formats counts samples as channels
        return slices * frames
    return max(images, channels * slices * frames)


def _of_tifffile(page: tifffile.TiffPage) -> int:
    """Return the planes of a series from the shape that its first page bears as JSON."""
    try:
        shape = tifffile.tifffile.shaped_description_metadata(page.shaped_description)["shape"]
        return max(math.prod(shape) // page.size, 1)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 1


def _of_ome(xml: str, name: str) -> int:
    """Return the planes of all images, but for those that lie in other files (OME-TIFF specification, TiffData)."""
    try:
        root = ElementTree.fromstring(xml)
        return sum(_of_pixels(pixels, root.get("UUID"), name) for pixels in root.iterfind("{*}Image/{*}Pixels"))
    except (ElementTree.ParseError, TypeError, ValueError, ZeroDivisionError):
        return 1


def _of_pixels(pixels: ElementTree.Element, own: str | None, name: str) -> int:
    sizes = [int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT"]
    first = pixels.find("{*}Channel")
    samples = int(first.get("SamplesPerPixel", 1)) if first is not None else 1
    blocks = [(block, block.find("{*}UUID")) for block in pixels.iterfind("{*}TiffData")]
    here = [
        block for block, uuid in blocks
        if uuid is None or uuid.text == own or uuid.get("FileName", "").lower() == name.lower()
    ]  # fmt: skip
    if len(here) == len(blocks):
        return math.prod(sizes) // samples
    return sum(int(block.get("PlaneCount", block.get("NumPlanes", 1))) for block in here)
