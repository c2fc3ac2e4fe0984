"""The only module that opens or writes plate stacks, tables and weights, and checks their contract.

A plate stack is one BigTIFF in tifffile's own ("shaped") layout, axes (N, C, H, W), read through a
memory map. Its ImageDescription names the channels, so that nobody addresses them by a bare index.
A table is a parquet file. Everything is written to a temporary name and renamed when whole.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import fcntl
import hashlib
import itertools
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import tifffile

from brightpaint.atomic import atomic as atomic
from brightpaint.atomic import atomic_folder as atomic_folder

# One field of view, or one tile of it where large fields are cut (tile 1 is the whole field otherwise).
FIELD_KEYS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Tile"]
BATCH_ROWS = 512  # rows of a long table that are in memory at once, where it is read or written in batches


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


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a frame as parquet (`.tsv` and `.csv` as text), by a temporary name."""
    with atomic(path) as temporary:
        if temporary.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            separator = "," if temporary.suffix == ".csv" else "\t"
            frame.to_csv(temporary, sep=separator, index=False, lineterminator="\n")


def read_table(path: str | Path, columns: Sequence[str] | None = None, *, required: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table that brightpaint wrote: `columns`, or all, of which `required` must be there."""
    path = Path(path)
    if path.suffix == ".parquet":
        _check_parquet(path, [*(columns or []), *required])
        try:
            return pd.read_parquet(path, columns=list(columns) if columns else None)
        except Exception as error:
            raise ValueError(f"{path}: not a readable parquet file ({error}); delete it and rerun") from error
    separator = "," if path.suffix == ".csv" else "\t"
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            dtype={"Metadata_Plate": str},
            keep_default_na=False,
            na_values=["nan"],
            index_col=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path}: not a readable table ({error}); delete it and rerun") from error
    missing = [name for name in [*(columns or []), *required] if name not in frame.columns]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing; found {list(frame.columns)}; delete it and rerun")
    return frame[list(columns)] if columns else frame


def _check_parquet(path: Path, columns: Sequence[str] | None) -> None:
    """Raise ValueError where a parquet file cannot be read or lacks one of `columns`."""
    import pyarrow.parquet as pq

    try:
        present = pq.read_schema(path).names
    except Exception as error:
        raise ValueError(f"{path}: not a readable parquet file ({error}); delete it and rerun") from error
    missing = [name for name in columns or [] if name not in present]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing; delete it and rerun the rule that makes it")


class Rows:
    """The rows of a parquet file as dicts, as often as they are asked for, with one batch of them in memory.

    A missing column is an error that names the file.
    """

    def __init__(self, path: str | Path, columns: Sequence[str]):
        import pyarrow.parquet as pq

        self.path, self.columns = Path(path), list(columns)
        _check_parquet(self.path, self.columns)
        self._metadata = pq.read_metadata(self.path)  # read once: it grows with the number of row groups

    def __len__(self) -> int:
        return self._metadata.num_rows

    def __iter__(self) -> Iterator[dict]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path, metadata=self._metadata) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=self.columns, use_threads=False):
                yield from batch.to_pylist()


def write_rows(rows: Iterable[dict], path: str | Path, *, columns: Sequence[str] | None = None) -> int:
    """Write dicts with the same keys as a table, holding one batch of them. Returns how many there were.

    A parquet file, or a `.tsv` of the `columns` named.
    """
    if Path(path).suffix == ".tsv":
        with atomic(path) as temporary, open(temporary, "w", newline="") as handle:
            writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
            writer.writerow(columns)
            return sum(1 for row in rows if writer.writerow([row[name] for name in columns]))
    import pyarrow as pa

    rows = iter(rows)
    batches = iter(lambda: list(itertools.islice(rows, BATCH_ROWS)), [])
    tables = (pa.Table.from_pandas(pd.DataFrame(batch), preserve_index=False) for batch in batches)
    first = next(tables, None)
    if first is None:
        raise ValueError(f"{path}: there are no rows to write; run the rule index again")
    return write_groups(itertools.chain([first], tables), path, first.schema)


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

    read_table(path, columns=["Metadata_Plate"])
    return pq.read_schema(path)


def read_fields(path: str | Path) -> pd.DataFrame:
    """Read a table with one row per field, in stack order, and check that its keys are whole and unique."""
    frame = read_table(path)
    missing = [key for key in FIELD_KEYS if key not in frame.columns]
    if missing:
        raise ValueError(
            f"{path}: field keys {missing} are missing; found {list(frame.columns)[:8]}; delete it and rerun"
        )
    wrong = [key for key in FIELD_KEYS[:2] if not frame[key].map(lambda name: isinstance(name, str)).all()]
    wrong += [key for key in FIELD_KEYS[2:] if len(frame) and not pd.api.types.is_integer_dtype(frame[key])]
    if wrong:
        kinds = f"{wrong[0]} holds {frame[wrong[0]].dtype} values such as {frame[wrong[0]].iloc[0]!r}"
        raise ValueError(f"{path}: {kinds}; expected names of plates and wells, numbers of sites; delete it and rerun")
    twice = frame.duplicated(FIELD_KEYS)
    if twice.any():
        raise ValueError(f"{path}: {describe_field(frame[twice].iloc[0])} occurs twice; delete it and rerun")
    return frame


def read_actives(path: str | Path) -> pd.DataFrame:
    """Read the table of active perturbations."""
    frame = read_table(path, required=["Metadata_perturbation", "active"])
    if not frame["active"].isin([0, 1]).all():
        odd = frame.loc[~frame["active"].isin([0, 1]), "active"].iloc[0]
        raise ValueError(f"{path}: expected 0 or 1 in the column active, found {odd!r}; delete it and rerun active")
    return frame


def write_json_lines(records: Sequence[dict], path: str | Path) -> None:
    """Write one JSON object a line, by a temporary name."""
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(record, sort_keys=True) + "\n" for record in records))


def read_json_lines(path: str | Path) -> list[dict]:
    """Read one JSON object a line."""
    try:
        return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise ValueError(f"{path}: expected one JSON object a line, found {error}; delete it and rerun") from error


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


def open_bytes(path: str | Path, what: str) -> BinaryIO:
    """Open a file that the user named; `what` is the setting that names it, for the message."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise ValueError(f"{what}: cannot read {path} ({error.strerror}); correct its path in the config") from error


def read_bytes(path: str | Path, what: str) -> bytes:
    """Read a small file that the user named (see `open_bytes`)."""
    with open_bytes(path, what) as handle:
        return handle.read()


def scratch_database(schema: str) -> sqlite3.Connection:
    """Return an SQLite database in a nameless temporary file that goes when it is closed; 0.5 MB of it is in memory."""
    database = sqlite3.connect("")
    database.executescript(f"PRAGMA cache_size = -512; PRAGMA temp_store = FILE; PRAGMA journal_mode = OFF; {schema}")
    return database


# --- unfinished work ---


def _whole_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a journal up to the first that a kill or a failing disk has spoilt: the rest is made again."""
    for line in lines:
        try:
            whole = line.endswith(b"\n") and isinstance(json.loads(line), dict)
        except ValueError:
            return
        if not whole:
            return
        yield line


class Journal:
    """Lines of JSON that say what is already done, keyed by a digest of what determines it.

    Each line is on its way to disk before `add` returns, and a line that a kill cut short is not read back.
    A journal of another key begins anew. Its lines stay on disk: whoever needs one again keeps its place, an integer
    above 0.

    Attributes
    ----------
    begun : whether an earlier run left lines
    """

    def __init__(self, path: str | Path, key: str):
        self.path = Path(path)
        self._turn = threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        head = json.dumps({"key": key}).encode() + b"\n"
        self._end = self._whole(head)
        self.begun = self._end > len(head)
        self._handle = open(self.path, "ab")
        self._handle.truncate(self._end)
        if not self._end:
            self._write(head)
        self._reader = open(self.path, "rb")

    def _whole(self, head: bytes) -> int:
        """Return how many bytes of an earlier run's journal are whole lines under the same key."""
        if not self.path.exists():
            return 0
        with open(self.path, "rb") as lines:
            if lines.readline() != head:
                return 0
            return len(head) + sum(map(len, _whole_lines(lines)))

    def _write(self, line: bytes) -> int:
        place = self._end
        self._handle.write(line)
        self._handle.flush()
        self._end += len(line)
        return place

    def lines(self) -> Iterator[tuple[int, dict]]:
        """Yield (place, row) of everything that earlier runs, and this one, have added."""
        with open(self.path, "rb") as lines:
            place = len(lines.readline())
            for line in lines:
                yield place, json.loads(line)
                place += len(line)

    def add(self, row: dict) -> int:
        """Append one row of JSON-serialisable values and return its place; threads may share a journal."""
        line = json.dumps(row).encode() + b"\n"
        with self._turn:
            return self._write(line)

    def at(self, place: int) -> dict:
        """Return the row at a place that `add` or `lines` gave."""
        self._reader.seek(place)
        return json.loads(self._reader.readline())

    def close(self) -> None:
        self._handle.close()
        self._reader.close()

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
            if dtype.kind != "f" or dtype.itemsize > 4:
                raise ValueError(f"expected float16 or float32 pixels, found {dtype}")
            fields = int(described.get("fields", -1))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such plate stack; run the rule that makes it") from None
    except Exception as error:
        raise ValueError(f"{path}: not a plate stack ({error}); delete it and rerun") from error
    channels = described.get("channels")
    if not isinstance(channels, list) or len(shape) != 4 or len(channels) != shape[1] or not 0 <= fields <= shape[0]:
        raise ValueError(
            f"{path}: not a plate stack (shape {shape}, {fields} fields, channels {channels}); delete it and rerun"
        )
    expected = offset + int(np.prod(shape)) * dtype.itemsize
    if path.stat().st_size < expected:
        raise ValueError(
            f"{path}: truncated, {path.stat().st_size} bytes where {expected} are expected; delete it and rerun"
        )
    images = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)[:fields]
    known = {"shape", "channels", "fields", "axes"}
    meta = {key: value for key, value in described.items() if key not in known}
    return Stack(path, images, tuple(channels), meta)


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


# --- label images --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Masks:
    """A plate's label images, opened for reading field by field; they are compressed and never mapped.

    Attributes
    ----------
    fields : FIELD_KEYS of each field, in the order of the file
    objects : what is labelled, e.g. Nuclei, Cells
    shape : (H, W) of an image
    """

    path: Path
    fields: pd.DataFrame
    objects: tuple[str, ...]
    shape: tuple[int, int]
    _file: tifffile.TiffFile

    def __len__(self) -> int:
        return len(self.fields)

    def read(self, row: int, objects: str) -> np.ndarray:
        """Return the label image of one field: (H, W) uint16, 0 outside, else the ObjectNumber."""
        if objects not in self.objects:
            raise ValueError(f"{self.path}: it holds no {objects}; it holds {list(self.objects)}")
        return self._file.pages[int(row) * len(self.objects) + self.objects.index(objects)].asarray()


@contextlib.contextmanager
def open_masks(path: str | Path) -> Iterator[Masks]:
    """Open a plate's label images; a truncated or foreign file is an error that names it."""
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} is missing; rerun the rule `cells`")
    try:
        tif = tifffile.TiffFile(path)
    except Exception as error:
        raise ValueError(f"{path}: not a file of label images ({error}); delete it and rerun") from error
    with tif:
        try:
            described = tif.shaped_metadata[0]
            keys, objects, shape = described["fields"], tuple(described["objects"]), tuple(described["shape"])
            expected, found = max(len(keys), 1) * len(objects), len(tif.pages)
        except Exception as error:
            raise ValueError(f"{path}: not a file of label images ({error!r}); delete it and rerun") from error
        if expected != found:
            raise ValueError(f"{path}: {found} label images where {expected} are expected; delete it and rerun")
        fields = pd.DataFrame(keys, columns=FIELD_KEYS).astype(dict(zip(FIELD_KEYS, ("str", "str", "int64", "int64"))))
        yield Masks(path, fields, objects, shape[2:], tif)


def write_masks(
    path: str | Path, fields: pd.DataFrame, images: Iterable[np.ndarray], objects: Sequence[str], shape: tuple[int, int]
) -> None:
    """Write label images, one field in memory at a time, as one compressed TIFF that says whose they are.

    Parameters
    ----------
    fields : FIELD_KEYS, one row a field; there may be none
    images : (O, H, W) uint16 for each row of `fields`
    objects : O names
    shape : (H, W)
    """
    keys = [[str(row[0]), str(row[1]), int(row[2]), int(row[3])] for row in fields[FIELD_KEYS].itertuples(index=False)]
    wanted = (len(objects), *shape)

    def pages() -> Iterator[np.ndarray]:
        count = 0
        for image in images:
            count += 1
            if image.shape != wanted or image.dtype != np.uint16:
                raise ValueError(f"{path}: labels of {image.shape} {image.dtype}, expected {wanted} uint16")
            yield from image
        if count != len(keys):
            raise ValueError(f"{path}: {count} fields of labels, expected {len(keys)}")
        if not keys:
            yield from np.zeros(wanted, np.uint16)  # TIFF has no empty image: no fields are one unread field

    described = {"axes": "QCYX", "fields": keys, "objects": list(objects)}
    with atomic(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=True, byteorder="<") as tif:
        tif.write(pages(), shape=(max(len(keys), 1), *wanted), dtype=np.uint16, photometric="minisblack",
                  compression="zlib", metadata=described, software=False)  # fmt: skip


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
    place = f"{path}" + (f" ({where})" if where else "")
    size = os.path.getsize(path) if os.path.exists(path) else -1
    if size <= 0:
        raise ValueError(f"{place}: expected a TIFF, found {'nothing' if size < 0 else 'an empty file'}; {MEND}")
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
        if not ends or max(ends) > size:
            wanted = max(ends, default="more")
            raise ValueError(f"{place}: expected a whole TIFF of {wanted} bytes, found it truncated at {size}; {MEND}")
        yield place, tif, page


def write_raw(path: str | Path, image: np.ndarray) -> None:
    """Write one (H, W) uint16 image as a plain TIFF, the same bytes every time."""
    with atomic(path, tidy=False) as temporary:
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
    with atomic(path, tidy=False) as temporary:
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
    """Read `(tensors, meta)`; a file that brightpaint did not write is an error (no pickle is ever loaded).

    What the tensors and `meta` must hold is for their reader to check (`models.weights`).
    """
    from safetensors import safe_open

    try:
        with safe_open(str(path), framework="pt") as handle:
            meta = json.loads((handle.metadata() or {}).get("brightpaint", "null"))
            if not isinstance(meta, dict):
                raise ValueError("its metadata lack brightpaint's entry")
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: there is no such weights file; train the model, or correct models.weights"
        ) from None
    except Exception as error:
        raise ValueError(
            f"{path}: not a brightpaint weights file ({error}); expected safetensors: delete it and train again, or "
            "correct models.weights"
        ) from error
    return tensors, meta


def read_tensors(path: str | Path, what: str) -> dict:
    """Read torch tensors that others published, safetensors alone: a .pth is a pickle, and none is ever loaded.

    Raises
    ------
    ValueError
        naming `what`, the setting that names the file
    """
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise ValueError(f"{what}: there is no file {path}; correct its path in the config")
    try:
        return load_file(str(path))
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{what}: {path}: expected safetensors, found something else ({reason}); "
            "config/README.md says how to convert a .pth that you trust"
        ) from error
