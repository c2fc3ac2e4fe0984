"""Names of fields, digests and parts: what every table, message and unfinished file is keyed by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint.study.annotations import NUMBERS

# One field of view, or one tile of it where large fields are cut (tile 1 is the whole field otherwise).
WELL_KEYS = ["Metadata_Plate", "Metadata_Well"]
FIELD_KEYS = [*WELL_KEYS, "Metadata_Site", "Metadata_Tile"]
# One image of a field, where a table holds several: what it shows in place of its own treatment, and which draw it is.
ROW_DEFAULTS = {"Metadata_painted_as": "", "Metadata_draw": 0}
ROW_KEYS = [*FIELD_KEYS, *ROW_DEFAULTS]


def row_keys(frame: pd.DataFrame) -> list[str]:
    """Return the keys of a table's rows: FIELD_KEYS, and what else of ROW_KEYS it has."""
    return [key for key in ROW_KEYS if key in FIELD_KEYS or key in frame.columns]


def with_row_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with all of ROW_KEYS: those it lacks get the defaults, a field's own image."""
    return frame.assign(**{key: value for key, value in ROW_DEFAULTS.items() if key not in frame.columns})


# Numbers among the columns Metadata_*; all others are annotations: text, as it was written (`0012`, `NA`, `1e5`).
NUMERIC_METADATA = [
    "Metadata_Site",
    "Metadata_Tile",
    "Metadata_draw",
    "Metadata_cells",
    "Metadata_fields",
    "Metadata_fields_empty",
]
NUMERIC_METADATA += NUMBERS
# Columns that hold names without bearing the prefix.
NAMES = ["plate", "arm", "Channel", "channel", "alias", "feature", "source", "Assay_Plate_Barcode", "Plate_Map_Name"]
NAMES += ["true", "called", "class", "cell_line", "reason", "seen_by"]  # of axes: a class may be called 10


def is_text(column: str) -> bool:
    """Return whether a table's column holds text, whatever its cells look like."""
    return column in NAMES or (column.startswith("Metadata_") and column not in NUMERIC_METADATA)


def describe_field(row: pd.Series | dict, channel: str = "") -> str:
    """Name a field as every error message does: plate, well, site, tile and channel; and which image of it, if not its own."""
    named = [key for key in ROW_KEYS if key in row and row[key] != ROW_DEFAULTS.get(key)]
    words = [f"{key.removeprefix('Metadata_').replace('_', ' ').lower()} {row[key]}" for key in named]
    return ", ".join(words + ([f"channel {channel}"] if channel else []))


def place_of(field: pd.Series, table: pd.DataFrame, where: str = "") -> int:
    """Return the row number of a field in a table, found by the keys that the table has; `where` names the table.

    Raises
    ------
    ValueError
        where the field is not in it, or more than once
    """
    own = [key for key in row_keys(table) if key in field]
    single = np.flatnonzero((table[own] == field[own].astype(object)).all(axis=1))
    if len(single) == 1:  # the field's only image, whatever it shows
        return int(single[0])
    keys = row_keys(table)
    wanted = pd.Series({key: field[key] if key in field else ROW_DEFAULTS[key] for key in keys}, dtype=object)
    found = np.flatnonzero((table[keys] == wanted).all(axis=1))
    if len(found) != 1:
        times = f"is in it {len(found)} times" if len(found) else "is not in it"
        raise ValueError(f"{where or 'the table of its fields'}: {describe_field(field)} {times}; delete it and rerun")
    return int(found[0])


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


def fingerprint(path: str | Path) -> list[int]:
    """Return a file's size and time of change: enough to know that unfinished work began from this very file."""
    status = Path(path).stat()
    return [status.st_size, status.st_mtime_ns]
