"""Read a study's plate table, and its lists of names."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from brightpaint.study.annotations import plain
from brightpaint.study.schema import README, validate

NAMES = ("plate", "barcode", "batch", "platemap")  # one may be called unknown


def safe_name(name: str) -> str:
    """Return a plate's name with _ for what no name in the plate table may hold: blanks, dots, brackets, other letters."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name.strip()).lstrip("_-")


def read_plates(path: str | Path, schema_path: str | Path) -> dict[str, dict]:
    """Read the plate table: a TSV, or a CSV by its ending. Returns {plate: row} in file order."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such plate table; set `plates` in the config. {README}.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = [line for line in io.StringIO(text, newline="") if line.strip() and not line.startswith("#")]
        reader = csv.DictReader(lines, delimiter="," if path.suffix == ".csv" else "\t", strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a readable plate table ({error}); save it as UTF-8 text. {README}.") from error
    header = reader.fieldnames or []
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"{path}: the column {twice[0]} occurs twice in the header; keep one. {README}.")
    plates: dict[str, dict] = {}
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f"{path}, row {number}: expected as many cells as the header has columns; mend the row")
        row = {key: value.strip() for key, value in row.items() if (value.strip() if key in NAMES else plain(value))}
        row = validate(row, schema_path, f"{path}, row {number} (plate {row.get('plate', '?')!r})")
        if row["plate"] in plates:
            raise ValueError(
                f"{path}, row {number}: plate {row['plate']} occurs twice; give each row a name of its own"
            )
        plates[row["plate"]] = row
    if not plates:
        raise ValueError(f"{path}: no plates; expected a header and one row a plate. {README}.")
    return plates


def read_names(path: Path, key: str) -> list[str]:
    """Read a text file of names, one a line; empty lines and those that begin with # are passed over."""
    if not path.is_file():
        raise ValueError(f"{key}: there is no file {path}; correct its path, or write a list of names. {README}.")
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{key}: {path} is not a text file ({error}); save it as UTF-8, one name a line") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
