"""The only module that opens or writes plate stacks, tables and weights, and checks their contract.

A plate stack is one BigTIFF in tifffile's own ("shaped") layout, axes (N, C, H, W), read through a
memory map. Its ImageDescription names the channels, so that nobody addresses them by a bare index.
A table is a parquet file. Everything is written to a temporary name and renamed when whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

# One field of view, or one tile of it where large fields are cut (tile 1 is the whole field otherwise).
FIELD_KEYS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Tile"]


def describe_field(row: pd.Series | dict, channel: str = "") -> str:
    """Name a field as every error message does: plate, well, site, tile and channel."""
    words = [f"{key.removeprefix('Metadata_').lower()} {row[key]}" for key in FIELD_KEYS if key in row]
    return ", ".join(words + ([f"channel {channel}"] if channel else []))


def digest(*parts: object) -> str:
    """Return a sha256 hex digest of JSON-serialisable parts, to key unfinished work by what made it."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """Return the sha256 hex digest of a file's content."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def part_rows(n_fields: int, part: int, parts: int) -> np.ndarray:
    """Return the row numbers of part `part` (1-based) of `parts` nearly equal, contiguous parts."""
    if not 1 <= part <= parts:
        raise ValueError(f"part {part} of {parts}: expected a part from 1 to {parts}")
    return np.array_split(np.arange(n_fields), parts)[part - 1]


# --- writing whole files -------------------------------------------------------------------------


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path`, in place of an older one, if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a frame as parquet (`.tsv` and `.csv` as text), by a temporary name."""
    with atomic(path) as temporary:
        if temporary.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            separator = "," if temporary.suffix == ".csv" else "\t"
            frame.to_csv(temporary, sep=separator, index=False, lineterminator="\n")


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table that brightpaint wrote; a missing column is an error that names the file."""
    path = Path(path)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            present = pq.read_schema(path).names
        except Exception as error:
            raise ValueError(f"{path}: not a readable parquet file ({error}); delete it and rerun") from error
        missing = [name for name in columns or [] if name not in present]
        if missing:
            raise ValueError(f"{path}: columns {missing} are missing; delete it and rerun the rule that makes it")
        return pd.read_parquet(path, columns=list(columns) if columns else None)
    separator = "," if path.suffix == ".csv" else "\t"
    frame = pd.read_csv(path, sep=separator, dtype={"Metadata_Plate": str}, keep_default_na=False, na_values=["nan"])
    missing = [name for name in columns or [] if name not in frame.columns]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing; found {list(frame.columns)}")
    return frame[list(columns)] if columns else frame


def write_groups(tables: Iterable, path: str | Path, schema) -> int:
    """Write Arrow tables as one parquet file, one row group each, never holding more than one. Returns the rows.

    `schema` is theirs; without a table the file is empty but has its columns.
    """
    import pyarrow.parquet as pq

    count = 0
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for table in tables:
            writer.write_table(table.cast(schema), row_group_size=max(len(table), 1))
            count += len(table)
    return count


def read_groups(path: str | Path) -> Iterator:
    """Yield the row groups of a parquet file as Arrow tables, one at a time."""
    import pyarrow.parquet as pq

    read_table(path, columns=["Metadata_Well"])
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def read_schema(path: str | Path):
    """Return the Arrow schema of a parquet file."""
    import pyarrow.parquet as pq

    return pq.read_schema(path)


def read_fields(path: str | Path) -> pd.DataFrame:
    """Read a table with one row per field, in stack order, and check that its keys are whole and unique."""
    frame = read_table(path)
    missing = [key for key in FIELD_KEYS if key not in frame.columns]
    if missing:
        raise ValueError(f"{path}: field keys {missing} are missing; found {list(frame.columns)[:8]}")
    twice = frame.duplicated(FIELD_KEYS)
    if twice.any():
        raise ValueError(f"{path}: {describe_field(frame[twice].iloc[0])} occurs twice; delete it and rerun")
    return frame


def write_json_lines(records: Sequence[dict], path: str | Path) -> None:
    """Write one JSON object a line, by a temporary name."""
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(record, sort_keys=True) + "\n" for record in records))


def read_json_lines(path: str | Path) -> list[dict]:
    """Read one JSON object a line."""
    return [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]


def fingerprint(path: str | Path) -> list[int]:
    """Return a file's size and time of change: enough to know that unfinished work began from this very file."""
    status = Path(path).stat()
    return [status.st_size, status.st_mtime_ns]


def _lock(path: Path) -> tuple:
    """Take the lock `<path>.lock` and return (its handle, its name); a second process that tries is an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(path.name + ".lock")
    while True:
        handle = open(name, "a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.close()
            raise ValueError(f"{path} is being made by another process; wait for it, or stop it and rerun") from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle.fileno()), os.stat(name)):
                return handle, name
        handle.close()  # its last holder removed the file between our opening and locking it


@contextlib.contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock `<path>.lock`: a second process that would make the same file is an error that names it."""
    handle, name = _lock(Path(path))
    with handle:
        try:
            yield
        finally:
            name.unlink(missing_ok=True)


def read_bytes(path: str | Path, what: str) -> bytes:
    """Read a small file that the user named; `what` is the setting that names it, for the message."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{what}: cannot read {path} ({error.strerror}); correct its path in the config") from error


# --- unfinished work ---


class Journal:
    """Lines of JSON that say what is already done, keyed by a digest of what determines it.

    Each line is on its way to disk before `add` returns, and a line that a kill cut short is not read back.
    A journal of another key begins anew.

    Attributes
    ----------
    rows : what earlier runs, and this one, have added
    """

    def __init__(self, path: str | Path, key: str):
        self.path = Path(path)
        self.rows: list[dict] = []
        self._turn = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = 0
        if self.path.exists():
            lines = self.path.read_bytes().splitlines(keepends=True)
            if lines and lines[0] == json.dumps({"key": key}).encode() + b"\n":
                lines = lines[: next((n for n, line in enumerate(lines) if not line.endswith(b"\n")), len(lines))]
                self.rows = [json.loads(line) for line in lines[1:]]
                whole = sum(map(len, lines))
        self._handle = open(self.path, "ab")
        self._handle.truncate(whole)
        if not whole:
            self._write({"key": key})

    def _write(self, row: dict) -> None:
        self._handle.write(json.dumps(row).encode() + b"\n")
        self._handle.flush()

    def add(self, row: dict) -> None:
        """Append one row of JSON-serialisable values; threads may share a journal."""
        with self._turn:
            self._write(row)
            self.rows.append(row)

    def close(self) -> None:
        self._handle.close()

    def remove(self) -> None:
        """Forget it: the work is finished."""
        self.close()
        self.path.unlink(missing_ok=True)


# --- plate stacks --------------------------------------------------------------------------------


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
        rows = fields["stack_row"].to_numpy(np.int64)
        if len(rows) and not (0 <= rows.min() and rows.max() < len(self)):
            raise ValueError(
                f"{self.path}: {len(self)} fields, but the field table names row {rows.max()}; delete both and rerun"
            )
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


def open_stack(path: str | Path) -> Stack:
    """Memory-map a plate stack; a truncated or foreign file is an error that names it."""
    path = Path(path)
    try:
        with tifffile.TiffFile(path) as tif:
            if not tif.shaped_metadata:
                raise ValueError("no brightpaint description")
            described = tif.shaped_metadata[0]
            page = tif.pages.first
            shape, dtype, offset = tuple(described["shape"]), page.dtype, page.dataoffsets[0]
            dtype = dtype.newbyteorder(tif.byteorder)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: not a plate stack ({error}); delete it and rerun") from error
    if "channels" not in described or len(shape) != 4 or len(described["channels"]) != shape[1]:
        raise ValueError(f"{path}: not a plate stack (shape {shape}); delete it and rerun")
    expected = offset + int(np.prod(shape)) * dtype.itemsize
    if path.stat().st_size < expected:
        raise ValueError(
            f"{path}: truncated, {path.stat().st_size} bytes where {expected} are expected; delete it and rerun"
        )
    images = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)[: described["fields"]]
    known = {"shape", "channels", "fields", "axes"}
    meta = {key: value for key, value in described.items() if key not in known}
    return Stack(path, images, tuple(described["channels"]), meta)


class StackWriter:
    """Write a plate stack field by field, resumably, into `<path>.partial`; `finish()` renames it.

    The unfinished file is locked (a second writer is an error) and keyed by `key`, a digest of the
    settings and inputs: unfinished work of another key is set aside as `<path>.stale`, never mixed in.
    `done[n]` says whether field n is already on disk, so that a rerun continues where it was killed.

    Parameters
    ----------
    path : the finished stack
    shape : (N, C, H, W); N may be 0
    channels : C names
    dtype : float16 for plate stacks, float32 for illumination functions
    key : digest of what determines the content
    meta : JSON-serialisable extras for the description
    """

    def __init__(self, path, shape, channels, *, key: str, dtype="float16", meta: dict | None = None):
        self.path = Path(path)
        n_fields, n_channels, height, width = (int(size) for size in shape)
        if n_channels != len(channels):
            raise ValueError(f"{path}: {n_channels} channels in shape {tuple(shape)} but {len(channels)} names")
        self.shape = (n_fields, n_channels, height, width)
        self.dtype = np.dtype(dtype)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self._journal_path = self.path.with_name(self.path.name + ".partial.done")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock, self._lock_name = _lock(self.path)
        self._description = {
            "channels": list(channels), "fields": n_fields, **(meta or {}),
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
        resumed = journal[:64] == self._key.encode() and len(journal) == 64 + rows
        if not (resumed and self.partial.exists()):
            if self.partial.exists():
                os.replace(self.partial, self.path.with_name(self.path.name + ".stale"))
            self._journal_path.unlink(missing_ok=True)
            self._create(rows)
            self._journal_path.write_bytes(self._key.encode() + bytes(rows))
        with tifffile.TiffFile(self.partial) as tif:
            self._offset = tif.pages.first.dataoffsets[0]
        self._data = os.open(self.partial, os.O_RDWR)
        self._journal = os.open(self._journal_path, os.O_RDWR)
        self.done = np.frombuffer(os.pread(self._journal, rows, 64), np.uint8).astype(bool)[: self.shape[0]]

    def _create(self, rows: int) -> None:
        shape = (rows, *self.shape[1:])
        try:
            with tifffile.TiffWriter(self.partial, bigtiff=True, byteorder="<") as tif:
                tif.write(None, shape=shape, dtype=self.dtype, photometric="minisblack",
                          contiguous=True, metadata={"axes": "QCYX", **self._description})  # fmt: skip
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
        _pwrite(self._journal, b"\x01", 64 + row)
        self.done[row] = True

    def read(self, row: int) -> np.ndarray:
        """Read back a field that was written, in this run or an earlier one."""
        count = int(np.prod(self.shape[1:]))
        data = os.pread(self._data, count * self.dtype.itemsize, self._offset + row * count * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])

    def finish(self) -> None:
        """Rename the whole stack into place; unwritten fields are an error."""
        if not self.done.all():
            raise ValueError(f"{self.path}: {int((~self.done).sum())} of {self.shape[0]} fields were not written")
        os.fsync(self._data)
        os.replace(self.partial, self.path)
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


def _pwrite(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


# --- single images -------------------------------------------------------------------------------


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
    with _raw_page(path, where) as (place, tif, page):
        try:
            pages, image = len(tif.pages), page.asarray()
        except Exception as error:
            raise ValueError(
                f"{place}: expected a whole TIFF, found one that cannot be read ({error}); {MEND}"
            ) from error
    if image.ndim != 2 or image.dtype != np.uint16 or pages != 1:
        raise ValueError(
            f"{place}: expected one 16-bit greyscale page, found {pages} page(s) of shape {image.shape} "
            f"and type {image.dtype}; export the images as 16-bit greyscale"
        )
    return image


def check_raw(path: str | Path, where: str = "") -> None:
    """Raise ValueError, as `read_raw` does, where a file is no TIFF or ends before its image does; read no pixels."""
    with _raw_page(path, where):
        pass


MEND = "fetch it again: delete it and rerun, or leave the field out: a line plate/well/site in source.exclude"


@contextlib.contextmanager
def _raw_page(path: str | Path, where: str) -> Iterator[tuple]:
    """Open a TIFF whose first page lies whole within the file: (its name for messages, file, page)."""
    path = Path(path)
    place = f"{path}" + (f" ({where})" if where else "")
    if not path.exists() or path.stat().st_size == 0:
        raise ValueError(
            f"{place}: expected a TIFF, found {'nothing' if not path.exists() else 'an empty file'}; {MEND}"
        )
    try:
        tif = tifffile.TiffFile(path)
    except Exception as error:
        raise ValueError(f"{place}: expected a whole TIFF, found one that cannot be read ({error}); {MEND}") from error
    with tif:
        try:
            page = tif.pages.first
            ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts)]
        except Exception as error:
            raise ValueError(
                f"{place}: expected a whole TIFF, found one that cannot be read ({error}); {MEND}"
            ) from error
        if not ends or max(ends) > path.stat().st_size:
            wanted = max(ends, default="more")
            raise ValueError(
                f"{place}: expected a whole TIFF of {wanted} bytes, found it truncated at {path.stat().st_size}; {MEND}"
            )
        yield place, tif, page


def write_raw(path: str | Path, image: np.ndarray) -> None:
    """Write one (H, W) uint16 image as a plain TIFF, the same bytes every time."""
    with atomic(path) as temporary:
        tifffile.imwrite(temporary, image, photometric="minisblack", metadata=None, software=False)


def write_ome(path: str | Path, image: np.ndarray, channel: str, *, pixel_um: float, identifier: str) -> None:
    """Write one (H, W) uint16 image as an OME-TIFF with its channel and pixel size, the same bytes every time."""
    described = {
        "axes": "YX",
        "Channel": {"Name": channel},
        "PhysicalSizeX": pixel_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": pixel_um,
        "PhysicalSizeYUnit": "µm",
        "UUID": identifier,
    }
    with atomic(path) as temporary:
        with tifffile.TiffWriter(temporary, ome=True) as tif:
            tif.write(image, photometric="minisblack", metadata=described, software=False)


# --- weights -------------------------------------------------------------------------------------


def write_weights(path: str | Path, tensors: dict, meta: dict) -> None:
    """Write torch tensors as safetensors with one metadata key of sorted JSON (several are written in random order)."""
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
        save_file(plain, str(temporary), metadata={"brightpaint": json.dumps(meta, sort_keys=True)})


def read_weights(path: str | Path) -> tuple[dict, dict]:
    """Read `(tensors, meta)`; a file that brightpaint did not write is an error (no pickle is ever loaded)."""
    from safetensors import safe_open

    try:
        with safe_open(str(path), framework="pt") as handle:
            meta = json.loads((handle.metadata() or {})["brightpaint"])
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: not a brightpaint weights file ({error}); expected safetensors") from error
    return tensors, meta


def read_tensors(path: str | Path, what: str) -> dict:
    """Read torch tensors that others published: safetensors, or a .pt or .pth, of which nothing but tensors is loaded.

    Raises
    ------
    ValueError
        naming `what`, the setting that names the file
    """
    import torch
    from safetensors.torch import load_file

    try:
        if Path(path).suffix == ".safetensors":
            return load_file(str(path))
        tensors = torch.load(str(path), map_location="cpu", weights_only=True)  # refuses what is not plain tensors
    except FileNotFoundError as error:
        raise ValueError(f"{what}: there is no file {path}; correct its path in the config") from error
    except Exception as error:
        raise ValueError(f"{what}: {path} holds no plain tensors ({str(error).splitlines()[0]})") from error
    return dict(tensors)
