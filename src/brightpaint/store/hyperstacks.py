"""Microscopes' TIFFs of several planes or channels, read one plane at a time; whole, or refused.

What the planes are is told by the metadata that tifffile knows (ImageJ's, OME's, its own) as letters: T time, Z plane,
C channel, S sample of a colour image; I and Q are pages of which nothing is said.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tifffile

from brightpaint.store.images import raw_page
from brightpaint.store.planes_said import UIC_TAGS, planes_said

COPY = "copy it again from where it came, or take it out of the folder"
SAY_PAGES = "say what its pages are, as in --pages channel"
WHOLE = f"{COPY}; if those are all that it shall have, {SAY_PAGES}"
ADVICE = {
    "f": "whether its values are counts is not told: save raw counts as 16-bit without scaling, or scale and round them",
    "u": "save it as 16-bit, which holds counts up to 65,535",
    "i": "signed values are no raw counts: take off the offset that made them, and save them as unsigned 16-bit",
    "b": "this is a mask and no image: take it out of the folder",
}


class Hyperstack:
    """A TIFF opened for reading, its planes numbered from 0, the last axis running fastest.

    Attributes
    ----------
    axes : a letter each, outermost first, without Y and X; "" for a single plane
    sizes : how many there are of each
    shape : (H, W) px
    plain : whether it is one page of 16-bit grey values, as `read_raw` reads it
    """

    def __init__(
        self, place: str, axes: str, shape: Sequence[int], pages: Sequence, mapped: np.ndarray | None, plain: bool
    ):
        self._place = place
        self.axes, self.sizes = _others(axes, shape)
        self.shape, self.plain = (shape[axes.index("Y")], shape[axes.index("X")]), plain
        self._pages, self._mapped, self._last = pages, mapped, (-1, None)

    def __len__(self) -> int:
        return math.prod(self.sizes)

    def plane(self, number: int) -> np.ndarray:
        """Return plane `number`, (H, W) uint8 or uint16; a page that holds several is read once for all of them."""
        if self._mapped is not None:
            return np.array(self._mapped[np.unravel_index(number, self.sizes)])
        page, part = divmod(number, len(self) // len(self._pages))
        if self._last[0] != page:
            try:
                pixels = _planes_first(self._pages[page].asarray(maxworkers=1), self._pages[page].axes)
            except Exception as error:
                raise ValueError(f"{self._place}: page {page + 1} cannot be read ({error}); {COPY}") from error
            self._last = page, pixels.reshape(-1, *self.shape)  # (planes or samples of the page, H, W)
        return self._last[1][part]


def _others(axes: str, shape: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """Return the letters and sizes of the axes that are not the image's own two."""
    kept = [(letter, size) for letter, size in zip(axes, shape) if letter not in "YX"]
    return "".join(letter for letter, _ in kept), tuple(size for _, size in kept)


def _planes_first(pixels: np.ndarray, axes: str) -> np.ndarray:
    """Return a view whose last two axes are Y and X: (..., H, W)."""
    others = [n for n, letter in enumerate(axes) if letter not in "YX"]
    return pixels.transpose(*others, axes.index("Y"), axes.index("X"))


@contextlib.contextmanager
def open_hyperstack(path: str | Path, *, series: int | None = None, by_page: bool = False) -> Iterator[Hyperstack]:
    """Open a TIFF of 8-bit or 16-bit counts.

    Parameters
    ----------
    series : which of the file's series, from 1, where it has several
    by_page : pass over what the metadata say of axes and series: one axis, I, of all pages, or of the planes that lie
        behind a single one

    Raises
    ------
    ValueError
        for what is no whole TIFF of counts: cut short, with fewer planes than it says it has, with series of which none
        was chosen, floating point, 32-bit, signed
    """
    with raw_page(path, "", COPY) as (place, tif, first):
        _check_type(place, first.dtype)
        number, found = _read_structure(place, tif, by_page)
        if by_page:
            pages, said = found, 1 if tif.is_ome else planes_said(tif)  # OME's may describe the files beside it
            axes, shape = "I" + first.axes, (max(number, said), *first.shape)
            mapped = _planes_first(map_planes(place, tif, first, said), axes) if number == 1 < said else None
            check_said(place, said, number if mapped is None else said)
            _check_alike(place, pages)
        else:
            chosen, pages = _choose(place, tif, found, series)
            _check_type(place, chosen.dtype)
            axes, shape, mapped = chosen.axes, chosen.shape, _map(place, tif, chosen, pages, number - len(found))
        if mapped is None:
            _check_pages(place, tif, pages, math.prod(shape))
        plain = number == 1 and mapped is None and first.ndim == 2 and first.dtype == np.uint16
        yield Hyperstack(place, axes, shape, pages, mapped, plain)


def _check_type(place: str, dtype: np.dtype | None) -> None:
    if dtype is None or dtype.kind != "u" or dtype.itemsize > 2:
        advice = ADVICE.get("b" if dtype is None else dtype.kind, "save it as unsigned 16-bit counts")
        raise ValueError(f"{place}: expected counts of 8 or 16 bits, found {dtype}; {advice}")


def _read_structure(place: str, tif: tifffile.TiffFile, by_page: bool) -> tuple[int, list]:
    """Return how many pages there are, and the pages, or each series with its pages (None for one that is missing)."""
    number = count_pages(place, tif)
    if by_page:
        return number, list(tif.pages)
    try:
        return number, [(series, list(series.pages)) for series in _series(tif)]
    except Exception as error:
        said = f"say {tif.shaped_metadata[0]['shape']}" if tif.is_shaped else f"can't be followed ({error})"
        raise ValueError(f"{place}: truncated: its metadata {said}, found {number} page(s); {COPY}") from error


def _series(tif: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """Return the file's series; where tifffile can't read MetaMorph's tags (big-endian), planes of which nothing is said."""
    page = tif.pages.first
    if not any(tag in page.tags for tag in UIC_TAGS) or (tif.is_stk and tif.byteorder == "<"):
        return tif.series
    shape, axes = (planes_said(tif), *page.shape), "I" + page.axes
    return [tifffile.TiffPageSeries([page], shape, page.dtype, axes, truncated=True, kind="stk")]


def count_pages(place: str, tif: tifffile.TiffFile, mend: str = COPY) -> int:
    """Return how many pages a file has; raise ValueError where its last one names another that is not there."""
    number = 1
    try:
        number = len(tif.pages)
        if _next_page(tif):
            raise ValueError("its last page names another behind it")
    except Exception as error:
        raise ValueError(
            f"{place}: truncated: its pages can't be followed ({error}), found {number} page(s); {mend}"
        ) from error
    return number


def _next_page(tif: tifffile.TiffFile) -> int:
    """Return where the last page that was found says that the next one is; 0 where it is the last (TIFF 6.0, section 2)."""
    layout, handle = tif.tiff, tif.filehandle
    handle.seek(tif.pages[-1].offset)
    (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(tags * layout.tagsize, os.SEEK_CUR)
    return struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))[0]


def _check_alike(place: str, pages: Sequence) -> None:
    first = pages[0]
    for number, page in enumerate(pages, 1):
        if (page.shape, page.dtype) != (first.shape, first.dtype):
            raise ValueError(
                f"{place}: expected pages alike, found {page.shape} px of {page.dtype} in page {number}, {first.shape} of "
                f"{first.dtype} in page 1; leave --pages out and choose a --series"
            )


def _choose(place: str, tif: tifffile.TiffFile, found: list, series: int | None) -> tuple:
    """Return the only series of a file, or the one that was chosen, and its pages."""
    if series is None and len(found) > 1:
        each = ", ".join(
            f"{n} ({one.axes} {' x '.join(map(str, one.shape))} px)" for n, (one, _) in enumerate(found, 1)
        )
        raise ValueError(f"{place}: there are the series {each}; choose one, as in --series 1, or {SAY_PAGES}")
    if not 1 <= (series or 1) <= len(found):
        raise ValueError(f"{place}: --series {series}: expected a number from 1 to {len(found)}")
    chosen, pages = found[(series or 1) - 1]
    said, lacking = planes_said(tif), any(page is None for page in pages)
    if any(page is not None and page.parent is not tif for page in pages) or (lacking and said <= len(tif.pages)):
        raise ValueError(f"{place}: its metadata name planes in other files; to take those of each file: {SAY_PAGES}")
    check_said(place, said, sum(_planes(one) for one, _ in found), mend=WHOLE if tif.is_ome else COPY)
    return chosen, pages


def _planes(series: tifffile.TiffPageSeries) -> int:
    return math.prod(size for letter, size in zip(series.axes, series.shape) if letter not in "YXS")


def check_said(place: str, said: int, here: int, mend: str = COPY) -> None:
    """Raise ValueError where a file has fewer planes than it says that it has."""
    if here < said:
        raise ValueError(f"{place}: truncated: its metadata say {said} planes, found {here}; {mend}")


def _map(place: str, tif: tifffile.TiffFile, chosen, pages: Sequence, more: int) -> np.ndarray | None:
    """Map planes that lie one after another behind a single page; None where each has its own.

    `more` are the file's pages beyond one a series: where there are any, each plane should have had one.
    """
    if len(pages) > 1 or not pages[0].is_final or chosen.size == pages[0].size:
        return None
    planes = map_planes(place, tif, pages[0], chosen.size // pages[0].size, at_most=more + 1 if more else None)
    return _planes_first(planes.reshape(chosen.shape), chosen.axes)


def map_planes(
    place: str, tif: tifffile.TiffFile, page: tifffile.TiffPage, said: int, at_most: int | None = None, mend: str = COPY
) -> np.ndarray:
    """Map the (said, ...) planes that lie one after another behind a single page: ImageJ's large files, MetaMorph's STK.

    Raises
    ------
    ValueError
        where the file ends before them, or there can't be more than `at_most`
    """
    start = page.dataoffsets[0]
    here = (os.path.getsize(tif.filehandle.path) - start) // page.nbytes if page.is_final else 1
    check_said(place, said, max(min(here, at_most or here), 0), mend)
    return np.memmap(tif.filehandle.path, page.dtype.newbyteorder(tif.byteorder), "r", start, (said, *page.shape))


def _check_pages(place: str, tif: tifffile.TiffFile, pages: Sequence, pixels: int) -> None:
    """Raise ValueError where pages are missing, or end behind the end of the file."""
    size = os.path.getsize(tif.filehandle.path)
    here = sum(1 for page in pages if page is not None and _end(page) <= size)
    said = pixels // next((page.size for page in pages if page is not None), 1)
    check_said(place, said, here, WHOLE if tif.is_ome else COPY)


def _end(page) -> int:
    return max((offset + count for offset, count in zip(page.dataoffsets, page.databytecounts)), default=0)
