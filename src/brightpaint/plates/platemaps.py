"""Which perturbation each well holds: the platemap joined with compound metadata.

Empty `broad_sample` is DMSO in the Cell Painting Gallery's platemaps; the metadata's row without a sample says so.
A target is a set: one gene (column `target`), or several joined by `|` (column `target_list`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pandas as pd

from brightpaint.study.annotations import ANNOTATIONS, DMSO, REQUIRED, annotated, column_types
from brightpaint.study.choice import WELL

NOTHING = {"", "NA", "N/A", "nan", "NaN", "None"}
CHUNK_BYTES = 1 << 16
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


def normal_well(text: str, where: str) -> str:
    """Return a well's name with a capital row and two digits (`a1` -> `A01`)."""
    match = re.fullmatch(WELL, text.strip())
    if not match:
        raise ValueError(f"{where}: expected a well such as A01, found {text!r}; correct the well's name")
    return f"{match[1].upper()}{int(match[2]):02d}"


@dataclass(frozen=True)
class Table:
    """A table of strings that is read row by row, once; what stands for nothing is the empty string."""

    columns: list[str]
    rows: Iterator[list[str]]

    def records(self) -> Iterator[dict[str, str]]:
        """Yield each row under the names of its columns."""
        return (dict(zip(self.columns, row)) for row in self.rows)


def open_text_table(handle: BinaryIO, name: str, *, separator: str = "\t") -> Table:
    """Read a table's header; its rows are read when they are asked for.

    Raises
    ------
    ValueError
        for what is no table of whole rows under a header of distinct names (pandas would shift a table whose rows are
        longer than its header by one column, and fill up rows that are shorter: a platemap cut short would gain DMSO)
    """
    mend = f"save it as UTF-8 text with {'commas' if separator == ',' else 'tabs'} between its cells"
    if any(b"\x00" in chunk for chunk in iter(lambda: handle.read(CHUNK_BYTES), b"")):
        raise ValueError(f"{name}: not a readable table (it holds NUL bytes); {mend}")
    handle.seek(0)
    rows = _text_rows(handle, name, separator, mend)
    columns = next(rows, None)
    if columns is None:
        raise ValueError(f"{name}: not a readable table (it is empty); {mend}")
    return Table(distinct(columns, name), rows)


def _text_rows(handle: BinaryIO, name: str, separator: str, mend: str) -> Iterator[list[str]]:
    """Yield the header and the rows, each as long as the header."""
    text = io.TextIOWrapper(handle, "utf-8-sig", newline="")
    length = 0
    try:
        for number, row in enumerate(filter(None, csv.reader(text, delimiter=separator, strict=True))):
            length = length or len(row)
            if len(row) != length:
                raise ValueError(
                    f"{name}: row {number} has {len(row)} cells, expected {length} as in the header; mend the row"
                )
            yield [plain_cell(cell) for cell in row] if number else [cell.strip() for cell in row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{name}: not a readable table ({error}); {mend}") from error


def read_text_table(data: bytes, name: str, *, separator: str = "\t") -> pd.DataFrame:
    """Read the whole of a small table (see `open_text_table`)."""
    table = open_text_table(io.BytesIO(data), name, separator=separator)
    return pd.DataFrame(list(table.rows), columns=table.columns, dtype=str)


def plain_cell(cell: object) -> str:
    """Return a cell's text without blanks at its ends, "" for what stands for nothing."""
    text = "" if cell is None else str(cell).strip()
    return "" if text in NOTHING else text


def distinct(columns: list[str], name: str) -> list[str]:
    """Return the columns' names; one that occurs twice is an error."""
    if twice := next((column for column in columns if column and columns.count(column) > 1), ""):
        raise ValueError(f"{name}: the column {twice} occurs twice in the header; keep one")
    return columns


def require_columns(frame: pd.DataFrame | Table, columns: Sequence[str], name: str) -> None:
    """Raise ValueError where a column is missing, naming those found."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{name}: expected the columns {', '.join(missing)}, found {', '.join(frame.columns)}; correct the file, then "
            "run the same command again"
        )


def join_targets(texts: Sequence[str]) -> str:
    """Return the union of sets of targets, each joined by `|`, in sorted order."""
    return "|".join(sorted({part.strip() for text in texts for part in text.split("|")} - NOTHING))


def compound_table(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a metadata file as one row a sample.

    Parameters
    ----------
    frame : `broad_sample`, `target` or `target_list` (or `gene`), and, if known, `control_type` and `pert_iname`
    name : the file, for messages

    Returns
    -------
    `broad_sample` (empty for DMSO), `target` (sorted, joined by |), `control_type`, `pert_iname`. A sample with
    several rows has the union of their targets.

    Raises
    ------
    ValueError
        for missing columns and for a sample with two control types
    """
    require_columns(frame, ["broad_sample"], name)
    target = next((column for column in ("target_list", "target", "gene") if column in frame.columns), None)
    if target is None:
        raise ValueError(
            f"{name}: expected a column target or target_list, found {', '.join(frame.columns)}; correct its header"
        )
    columns = {"broad_sample": frame["broad_sample"], "target": frame[target]}
    for column in ("control_type", "pert_iname"):
        columns[column] = frame[column] if column in frame.columns else ""
    rows = []
    for sample, group in pd.DataFrame(columns).groupby("broad_sample", sort=True):
        kinds = sorted(set(group["control_type"]) - {""})
        if len(kinds) > 1:
            raise ValueError(
                f"{name}: {sample or 'the empty sample'} has the control types {', '.join(kinds)}; keep one"
            )
        names = sorted(set(group["pert_iname"]) - {""})
        rows.append([sample, join_targets(group["target"]), kinds[0] if kinds else "", names[0] if names else ""])
    return pd.DataFrame(rows, columns=["broad_sample", "target", "control_type", "pert_iname"], dtype=str)


def merge_compounds(tables: dict[str, pd.DataFrame], samples: set[str]) -> pd.DataFrame:
    """Return the rows of `samples` (and the empty sample) from several metadata files.

    Raises
    ------
    ValueError
        when two files say different things of one sample: source.compounds then says which to believe
    """
    seen: dict[str, tuple[str, dict]] = {}
    for name, table in tables.items():
        for row in table[table["broad_sample"].isin(samples | {""})].to_dict("records"):
            other, first = seen.setdefault(row["broad_sample"], (name, row))
            if any(row[column] != first[column] for column in ("target", "control_type")):
                raise ValueError(
                    f"{other} and {name} disagree on {row['broad_sample'] or 'the empty sample'}: "
                    f"{first['target']!r}, {first['control_type']!r} and {row['target']!r}, {row['control_type']!r}; "
                    "set source.compounds to the file to use"
                )
    rows = [row for _, row in seen.values()]
    return pd.DataFrame(rows, columns=["broad_sample", "target", "control_type", "pert_iname"], dtype=str)


def check_platemap(wells: Sequence[str], samples: Sequence[str], name: str) -> None:
    """Raise ValueError for a well named twice and for a sample with a control character."""
    twice = sorted({well for well in wells if wells.count(well) > 1})
    if twice:
        raise ValueError(f"{name}: expected one row a well, found well {twice[0]} twice; take one row out")
    for well, sample in zip(wells, samples):
        if CONTROL_CHARACTER.search(sample):
            raise ValueError(f"{name}, well {well}: the sample {sample!r} holds a control character; rename it")


def annotate_wells(platemap: pd.DataFrame, compounds: pd.DataFrame, name: str, *, blank_is_dmso: bool = True):
    """Return one row a well: Metadata_Well and its annotations.

    Parameters
    ----------
    platemap : `well_position`, `broad_sample` and, if known, `solvent`
    compounds : as `compound_table` returns it; no rows where nothing is known
    name : the platemap, for messages
    blank_is_dmso : whether a well without a sample holds DMSO (where a column `solvent` doesn't say otherwise)

    Raises
    ------
    ValueError
        for a missing column, a malformed well, a well named twice, and metadata that know none of the samples
    """
    require_columns(platemap, ["well_position", "broad_sample"], name)
    wells = [normal_well(text, name) for text in platemap["well_position"]]
    check_platemap(wells, platemap["broad_sample"], name)
    known = {row["broad_sample"]: row for row in compounds.to_dict("records")}
    samples = set(platemap["broad_sample"]) - {""}
    if samples and len(known.keys() - {""}) and not samples & known.keys():
        raise ValueError(
            f"{name}: none of its {len(samples)} samples (such as {min(samples)}) is in the compound metadata "
            f"(such as {min(known.keys() - {''})}); set source.compounds to the file that describes them"
        )
    solvents = platemap["solvent"] if "solvent" in platemap.columns else [DMSO] * len(platemap)
    rows = []
    for well, sample, solvent in zip(wells, platemap["broad_sample"], solvents):
        compound = known.get(sample, {"target": "", "control_type": "", "pert_iname": ""})
        untreated = sample == "" and blank_is_dmso and (compound["control_type"] == "negcon" or solvent.upper() == DMSO)
        negative = compound["control_type"] == "negcon" and compound["pert_iname"] in ("", DMSO) and sample != ""
        if untreated or negative or sample.upper() == DMSO or (sample and compound["pert_iname"].upper() == DMSO):
            held = (DMSO, "", "negcon")
        elif sample == "":
            held = ("", "", "")
        else:
            held = (sample, compound["target"], compound["control_type"])
        rows.append({"Metadata_Well": well, **annotated(dict(zip(REQUIRED, held)))})
    return pd.DataFrame(rows, columns=["Metadata_Well", *ANNOTATIONS]).astype(column_types())


def read_exclusions(data: bytes, name: str) -> set[str]:
    """Return the perturbations named in a text file, one a line; `#` begins a comment."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: expected a text file with one perturbation a line ({error}); save it as UTF-8 text"
        ) from error
    return {line.partition("#")[0].strip() for line in lines} - {""}
