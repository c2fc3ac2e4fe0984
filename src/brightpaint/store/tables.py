"""Tables: parquet, and text where people read it; long ones in batches, checked where they are read."""

from __future__ import annotations

import csv
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from brightpaint.base.atomic import atomic
from brightpaint.store.names import FIELD_KEYS, NUMERIC_METADATA, describe_field, is_text, row_keys
from brightpaint.study.annotations import NUMBERS

BATCH_ROWS = 512  # rows of a long table that are in memory at once, where it is read or written in batches


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a frame as parquet (`.tsv` and `.csv` as text), by a temporary name."""
    with atomic(path) as temporary:
        if temporary.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            separator = "," if temporary.suffix == ".csv" else "\t"
            frame.to_csv(temporary, sep=separator, index=False, lineterminator="\n")


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Write floats with six significant digits (`nan` where there is none), so that the last bit is no difference."""
    text = frame.copy()
    for name in frame.select_dtypes("float"):
        text[name] = [f"{value:.6g}" for value in frame[name]]
    return text


def read_table(path: str | Path, columns: Sequence[str] | None = None, *, required: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table that brightpaint wrote: `columns`, or all, of which `required` must be there.

    In a `.tsv` or `.csv` keys, annotations and names are text whatever they look like (`names.is_text`); what the other
    columns hold is told from their cells.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        _check_parquet(path, [*(columns or []), *required])
        try:
            return pd.read_parquet(path, columns=list(columns) if columns else None)
        except Exception as error:
            raise ValueError(f"{path}: not a readable parquet file ({error}); delete it and rerun") from error
    try:
        frame = _read_text(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path}: not a readable table ({error}); delete it and rerun") from error
    missing = [name for name in [*(columns or []), *required] if name not in frame.columns]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing; found {list(frame.columns)}; delete it and rerun")
    return frame[list(columns)] if columns else frame


def _read_text(path: Path) -> pd.DataFrame:
    options = {"sep": "," if path.suffix == ".csv" else "\t", "keep_default_na": False, "index_col": False}
    header = pd.read_csv(path, nrows=0, **options).columns
    text = [name for name in header if is_text(name)]
    numbers = {name: ["nan", ""] if name in NUMERIC_METADATA else ["nan"] for name in header if name not in text}
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), na_values=numbers, **options)


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
    frames = (_with_numbers(pd.DataFrame(batch)) for batch in batches)
    tables = (pa.Table.from_pandas(frame, preserve_index=False) for frame in frames)
    first = next(tables, None)
    if first is None:
        raise ValueError(f"{path}: there are no rows to write; run the rule index again")
    return write_groups(itertools.chain([first], tables), path, first.schema)


def _with_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Make dose and time float64: rows that have none would be of another type than rows that have some."""
    return frame.astype({name: "float64" for name in NUMBERS if name in frame.columns})


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


def read_groups(path: str | Path, columns: Sequence[str] | None = None) -> Iterator:
    """Yield the row groups of a parquet file as Arrow tables, one at a time: `columns`, or all."""
    import pyarrow.parquet as pq

    _check_parquet(path, ["Metadata_Well", *(columns or [])])
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=columns)


def read_schema(path: str | Path):
    """Return the Arrow schema of a parquet file."""
    import pyarrow.parquet as pq

    read_table(path, columns=["Metadata_Plate"])
    return pq.read_schema(path)


def read_fields(path: str | Path) -> pd.DataFrame:
    """Read a table with one row per field, or image of one, in stack order, and check that its keys are whole and unique."""
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
    twice = frame.duplicated(row_keys(frame))
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
