"""Plate stacks: one BigTIFF in tifffile's own ("shaped") layout, axes (N, C, H, W), read through a memory map.

Its ImageDescription names the channels, so that nobody addresses them by a bare index.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from brightpaint.base import atomic
from brightpaint.store.names import describe_field, digest
from brightpaint.store.progress import take_lock

SUM = 4  # bytes of a field's checksum in the journal of an unfinished stack
STACK_AXES, CROP_AXES = "QCYX", "QCZYX"


@dataclass(frozen=True)
class Stack:
    """A plate stack opened for reading.

    Attributes
    ----------
    images : (N, C, H, W) memory map, float16 z-scores (illumination functions: float32)
    channels : the C channel names
    meta : whatever else the writer recorded
    """

    path: Path
    images: np.ndarray
    channels: tuple[str, ...]
    meta: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def channel_indices(self, names: Sequence[str]) -> list[int]:
        """Return the positions of channels by name; a channel that is not there is an error."""
        missing = [name for name in names if name not in self.channels]
        if missing:
            raise ValueError(f"{self.path}: channels {missing} are missing; it holds {list(self.channels)}")
        return [self.channels.index(name) for name in names]

    def select(self, fields: pd.DataFrame) -> Stack:
        """Return the stack with row n the field of row n of `fields`, by its column `stack_row`.

        A prepared stack holds every field of a plate, its field table only those that were not left out. A table
        without the column (of a predicted stack) is about every row in order.
        """
        if "stack_row" not in fields.columns:
            return self
        numbers = pd.to_numeric(fields["stack_row"], errors="coerce").to_numpy(np.float64)
        bad = ~((numbers >= 0) & (numbers < len(self)) & (numbers % 1 == 0))  # NaN is bad too
        if bad.any():
            row = fields.iloc[int(bad.argmax())]
            raise ValueError(
                f"{self.path}: {len(self)} fields, but the field table names row {row['stack_row']} "
                f"({describe_field(row)}); delete both and rerun"
            )
        rows = numbers.astype(np.int64)
        if np.array_equal(rows, np.arange(len(self))):
            return self
        return Stack(self.path, _Rows(self.images, rows), self.channels, self.meta)


class _Rows:
    """Chosen rows of a memory map, read only when they are asked for."""

    def __init__(self, images: np.ndarray, rows: np.ndarray):
        self._images, self._rows = images, rows
        self.shape, self.dtype = (len(rows), *images.shape[1:]), images.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place) -> np.ndarray:
        row, *rest = place if isinstance(place, tuple) else (place,)
        return self._images[(self._rows[row], *rest)]


def mapped(path: Path, kinds: str, largest: int, what: str, rule: str) -> tuple[np.ndarray, dict]:
    """Memory-map a file that a `StackWriter` made: its (N, ...) pixels and its description.

    Parameters
    ----------
    kinds : the kinds of pixel that it may hold, e.g. `f` for floats
    largest : most bytes of a pixel
    what, rule : what the file is and what makes it, for the messages
    """
    try:
        with tifffile.TiffFile(path) as tif:
            if not tif.shaped_metadata:
                raise ValueError("no brightpaint description")
            described = tif.shaped_metadata[0]
            page = tif.pages.first
            shape, dtype, offset = tuple(described["shape"]), page.dtype, page.dataoffsets[0]
            dtype = dtype.newbyteorder(tif.byteorder)
            if dtype.kind not in kinds or dtype.itemsize > largest:
                wanted = "float16 or float32" if kinds == "f" else "uint8"
                raise ValueError(f"expected {wanted} pixels, found {dtype}")
            fields = int(described.get("fields", -1))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such {what}; run the {rule}") from None
    except Exception as error:
        raise ValueError(f"{path}: not a {what} ({error}); delete it and rerun") from error
    channels, axes = described.get("channels"), CROP_AXES if described.get("axes") == CROP_AXES else STACK_AXES
    named = isinstance(channels, list) and len(shape) == len(axes) and len(channels) == shape[1]
    if not named or not 0 <= fields <= shape[0]:
        raise ValueError(
            f"{path}: not a {what} (shape {shape}, {fields} fields, channels {channels}); delete it and rerun"
        )
    expected = offset + int(np.prod(shape)) * dtype.itemsize
    if path.stat().st_size < expected:
        raise ValueError(
            f"{path}: truncated, {path.stat().st_size} bytes where {expected} are expected; delete it and rerun"
        )
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)[:fields], described


def open_stack(path: str | Path) -> Stack:
    """Memory-map a plate stack; a truncated or foreign file is an error that names it."""
    path = Path(path)
    images, described = mapped(path, "f", 4, "plate stack", "rule that makes it")
    if images.ndim != 4:
        raise ValueError(f"{path}: not a plate stack (shape {images.shape}); open it with store.open_crops")
    known = {"shape", "channels", "fields", "axes"}
    meta = {key: value for key, value in described.items() if key not in known}
    return Stack(path, images, tuple(described["channels"]), meta)


class StackWriter:
    """Write a plate stack field by field, resumably, into `<path>.partial`; `finish()` renames it.

    The unfinished file is locked (a second writer is an error) and keyed by `key`, a digest of the
    settings and inputs: unfinished work of another key is set aside as `<path>.stale`, never mixed in.
    `done[n]` says whether field n is already on disk, so that a rerun continues where it was killed: its checksum is
    noted, since after a power cut a note may be there and what it speaks of not.

    Parameters
    ----------
    path : the finished stack
    shape : (N, C, H, W), or (N, C, D, H, W) for crops; N may be 0
    channels : C names
    dtype : float16 for plate stacks, float32 for illumination functions, uint8 for masks of crops
    key : digest of what determines the content
    meta : JSON-serialisable extras for the description
    """

    def __init__(self, path, shape, channels, *, key: str, dtype="float16", meta: dict | None = None):
        self.path = Path(path)
        self.shape = tuple(int(size) for size in shape)
        if self.shape[1] != len(channels):
            raise ValueError(f"{path}: {self.shape[1]} channels in shape {tuple(shape)} but {len(channels)} names")
        self.dtype = np.dtype(dtype)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self._journal_path = self.path.with_name(self.path.name + ".partial.done")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock, self._lock_name = take_lock(self.path)
        self._description = {
            "channels": list(channels), "fields": self.shape[0], **(meta or {}),
        }  # fmt: skip
        self._key = digest(key, self.shape, self._description, str(self.dtype))
        try:
            self._open()
        except BaseException:
            self._unlock()
            raise

    def _open(self) -> None:
        rows = max(self.shape[0], 1)  # TIFF has no empty image: zero fields are a stack of one unread row
        journal = self._journal_path.read_bytes() if self._journal_path.exists() else b""
        resumed = journal[:64] == self._key.encode() and len(journal) == 64 + SUM * rows
        if not (resumed and self.partial.exists()):
            if self.partial.exists():
                atomic.replace(self.partial, self.path.with_name(self.path.name + ".stale"))
            self._journal_path.unlink(missing_ok=True)
            self._create(rows)
            atomic.sync(self.partial)  # whoever finds the journal finds a whole TIFF without pixels
            self._journal_path.write_bytes(self._key.encode() + bytes(SUM * rows))
        with tifffile.TiffFile(self.partial) as tif:
            self._offset = tif.pages.first.dataoffsets[0]
        self._data = os.open(self.partial, os.O_RDWR)
        self._journal = os.open(self._journal_path, os.O_RDWR)
        sums = np.frombuffer(os.pread(self._journal, SUM * rows, 64), "<u4")[: self.shape[0]]
        self.done = np.array(
            [bool(noted) and _checksum(self._bytes(row)) == noted for row, noted in enumerate(sums)], bool
        )

    def _create(self, rows: int) -> None:
        shape, crops = (rows, *self.shape[1:]), len(self.shape) == len(CROP_AXES)
        described = {"axes": CROP_AXES if crops else STACK_AXES, **self._description}
        try:
            with tifffile.TiffWriter(self.partial, bigtiff=True, byteorder="<") as tif:
                # An entry for each of a million pages of crops would be a tenth of a gigabyte, in memory first.
                tif.write(None, shape=shape, dtype=self.dtype, photometric="minisblack", contiguous=True,
                          metadata=described, **({"truncate": True} if crops else {}))  # fmt: skip
            size = self.partial.stat().st_size
            handle = os.open(self.partial, os.O_RDWR)
            try:  # a full disk is an error here, not a SIGBUS later
                os.posix_fallocate(handle, 0, size)
            finally:
                os.close(handle)
        except OSError as error:
            self.partial.unlink(missing_ok=True)
            if error.errno == errno.ENOSPC:
                need = int(np.prod(shape)) * self.dtype.itemsize / 1e9
                raise OSError(errno.ENOSPC, f"{self.path}: the disk is full; this stack needs {need:.2f} GB") from error
            raise

    def write(self, row: int, image: np.ndarray) -> None:
        """Write field `row`; `image` is (C, H, W) and finite."""
        if image.shape != self.shape[1:]:
            raise ValueError(f"{self.path}: field {row} has shape {image.shape}, expected {self.shape[1:]}")
        stored = np.ascontiguousarray(image, dtype=self.dtype)
        if not np.isfinite(stored).all():
            raise ValueError(f"{self.path}: field {row} holds values that are not finite")
        if not 0 <= row < self.shape[0]:
            raise ValueError(f"{self.path}: field {row} is outside the stack of {self.shape[0]}")
        _pwrite(self._data, stored.tobytes(), self._offset + row * stored.nbytes)
        _pwrite(self._journal, _checksum(stored).to_bytes(SUM, "little"), 64 + SUM * row)
        self.done[row] = True

    def read(self, row: int) -> np.ndarray:
        """Read back a field that was written, in this run or an earlier one."""
        return np.frombuffer(self._bytes(row), self.dtype).reshape(self.shape[1:])

    def _bytes(self, row: int) -> bytes:
        size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        return os.pread(self._data, size, self._offset + row * size)

    def finish(self) -> None:
        """Rename the whole stack into place, on the disk; unwritten fields are an error."""
        if not self.done.all():
            raise ValueError(f"{self.path}: {int((~self.done).sum())} of {self.shape[0]} fields were not written")
        atomic.replace(self.partial, self.path)
        for suffix in (".partial.done", ".stale"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the files; unfinished work stays for the next run."""
        if not self._lock.closed:
            os.close(self._data)
            os.close(self._journal)
            self._unlock()

    def _unlock(self) -> None:
        self._lock_name.unlink(missing_ok=True)
        self._lock.close()

    def __enter__(self) -> StackWriter:
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.close()


def _checksum(data) -> int:
    """Return the CRC-32 of a field's bytes; 0 is left for fields that are not there."""
    return zlib.crc32(data) or 1


def _pwrite(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
