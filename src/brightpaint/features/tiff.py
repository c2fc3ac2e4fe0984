"""Check that a TIFF is whole, with the standard library alone (it runs in CellProfiler's Python 3.9)."""

from __future__ import annotations

import struct
from pathlib import Path

WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES = 256, 257, 258, 259, 277
OFFSETS, COUNTS = (273, 324), (279, 325)  # of strips, of tiles
TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # TIFF 6.0, section 2; 16 is BigTIFF's LONG8


def check(path: Path) -> list[tuple[int, int]]:
    """Return the (height, width) of every page of a TIFF that is whole.

    Raises
    ------
    ValueError
        that says in which way it is not
    """
    if not path.exists():
        raise ValueError("expected a TIFF, found nothing")
    size, pages = path.stat().st_size, []
    with open(path, "rb") as handle:
        head = handle.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 8 else 0
        if version not in (42, 43):
            raise ValueError(f"expected a TIFF, found {size} bytes that begin with {head[:4]!r}")
        try:
            big = version == 43
            offset = struct.unpack_from(f"{order}Q" if big else f"{order}I", head, 8 if big else 4)[0]
            while offset:
                tags, offset = _directory(handle, offset, order, big)
                pages.append(_page(tags, size))
                if len(pages) > 65535:
                    raise ValueError("expected a TIFF, found directories in a loop")
        except (struct.error, KeyError, IndexError) as error:
            raise ValueError(f"expected a whole TIFF, found a cut or broken directory ({error!r})") from None
    return pages


def _directory(handle, offset: int, order: str, big: bool) -> tuple[dict[int, tuple], int]:
    """Read one image file directory: its integer tags, and where the next directory lies."""
    head, entry_size, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    handle.seek(offset)
    (count,) = struct.unpack(order + head, handle.read(struct.calcsize("=" + head)))
    entries = handle.read(count * entry_size)
    (following,) = struct.unpack(order + pointer, handle.read(struct.calcsize("=" + pointer)))
    tags = {}
    for start in range(0, count * entry_size, entry_size):
        tag, kind, number = struct.unpack_from(f"{order}HH{pointer}", entries, start)
        if kind not in TYPES or tag not in {WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, *OFFSETS, *COUNTS}:
            continue
        layout, value_at = f"{order}{number}{TYPES[kind]}", start + (12 if big else 8)
        if struct.calcsize(layout) <= (8 if big else 4):
            tags[tag] = struct.unpack_from(layout, entries, value_at)
        else:
            handle.seek(struct.unpack_from(order + pointer, entries, value_at)[0])
            tags[tag] = struct.unpack(layout, handle.read(struct.calcsize(layout)))
    return tags, following


def _page(tags: dict[int, tuple], size: int) -> tuple[int, int]:
    """Check that a page's data lie within the file, and that uncompressed data are as many as its shape needs."""
    offsets = next(tags[tag] for tag in OFFSETS if tag in tags) if set(OFFSETS) & set(tags) else ()
    counts = next(tags[tag] for tag in COUNTS if tag in tags) if set(COUNTS) & set(tags) else ()
    if not offsets or len(offsets) != len(counts):
        raise ValueError("expected a whole TIFF, found a page without data")
    end = max(offset + count for offset, count in zip(offsets, counts))
    if end > size:
        raise ValueError(f"truncated: {size} bytes where {end} are expected")
    height, width = tags[HEIGHT][0], tags[WIDTH][0]
    need = height * width * sum(tags.get(BITS, (1,))) // 8
    if tags.get(COMPRESSION, (1,))[0] == 1 and sum(counts) < need:
        raise ValueError(f"expected {need} bytes for {height} x {width} pixels, found {sum(counts)}")
    return height, width
