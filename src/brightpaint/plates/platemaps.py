"""Which perturbation each well holds: the platemap joined with compound metadata.

Empty `broad_sample` is DMSO in the Cell Painting Gallery's platemaps; the metadata's row without a sample says so.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pandas as pd

from brightpaint.plates.molarity import doses, time_of
from brightpaint.study.annotations import ANNOTATIONS, DMSO, REQUIRED, column_types, treatment_name
from brightpaint.study.choice import SPELLINGS, WELL

NOTHING = {"", "NA", "N/A", "nan", "NaN", "None"}
CHUNK_BYTES = 1 << 16
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


def normal_well(text: str, where: str) -> str:
    """Return a well's name with capital letters for its row and two digits (`a1` -> `A01`, `Aa1` -> `AA01`)."""
    match = re.fullmatch(WELL, text.strip())
    if not match:
        raise ValueError(f"{where}: expected a well such as A01, found {text!r}; correct the well's name ({SPELLINGS})")
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


def check_platemap(wells: Sequence[str], samples: Sequence[str], name: str) -> None:
    """Raise ValueError for a well named twice and for a sample with a control character."""
    twice = sorted({well for well in wells if wells.count(well) > 1})
    if twice:
        raise ValueError(f"{name}: expected one row a well, found well {twice[0]} twice; take one row out")
    for well, sample in zip(wells, samples):
        if CONTROL_CHARACTER.search(sample):
            raise ValueError(f"{name}, well {well}: the sample {sample!r} holds a control character; rename it")


def held_by(sample: str, solvent: str, compound: dict, *, blank_is_dmso: bool) -> tuple[str, str, str]:
    """Return a well's perturbation, target and control type."""
    untreated = sample == "" and blank_is_dmso and (compound["control_type"] == "negcon" or solvent.upper() == DMSO)
    negative = compound["control_type"] == "negcon" and compound["pert_iname"] in ("", DMSO) and sample != ""
    if untreated or negative or sample.upper() == DMSO or (sample and compound["pert_iname"].upper() == DMSO):
        return DMSO, "", "negcon"
    return (sample, compound["target"], compound["control_type"]) if sample else ("", "", "")


def annotate_wells(
    platemap: pd.DataFrame, compounds: pd.DataFrame, name: str, *, blank_is_dmso: bool = True,
    structures: Mapping[str, str] | None = None, dose_unit: str | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Return one row a well: Metadata_Well and its annotations.

    Parameters
    ----------
    platemap : `well_position`, `broad_sample` and, if known, `solvent`, a column of doses (brightpaint.plates.molarity),
        `cell_line`, `time_h`
    compounds : as `compounds.compound_table` returns it; no rows where nothing is known
    name : the platemap, for messages
    blank_is_dmso : whether a well without a sample holds DMSO (where a column `solvent` doesn't say otherwise)
    structures : {sample: SMILES} of samples whose compound has none
    dose_unit : of doses in a column that does not say it

    Raises
    ------
    ValueError
        for a missing column, a malformed well, a well named twice, a dose that is none, and metadata that know none of the
        samples
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
    nothing, rows = {"target": "", "control_type": "", "pert_iname": ""}, []
    for row in platemap.to_dict("records"):
        compound = known.get(row["broad_sample"], nothing)
        held = held_by(row["broad_sample"], row.get("solvent", DMSO), compound, blank_is_dmso=blank_is_dmso)
        smiles = compound.get("smiles") or (structures or {}).get(row["broad_sample"], "")
        rows.append([*held, "" if held[0] == DMSO else smiles, row.get("cell_line", "")])
    frame = pd.DataFrame(rows, columns=[*REQUIRED, "Metadata_smiles", "Metadata_cell_line"], dtype=str)
    treated = ~frame["Metadata_perturbation"].isin([DMSO, ""]).to_numpy()
    frame["Metadata_dose"] = doses(platemap, treated, wells, name, dose_unit)
    times = platemap.get("time_h", [""] * len(platemap))
    frame["Metadata_time_h"] = [time_of(text, f"{name}, well {well}, time_h") for well, text in zip(wells, times)]
    named = zip(frame["Metadata_perturbation"], frame["Metadata_dose"])
    frame["Metadata_treatment"] = [treatment_name(*pair) for pair in named]
    return frame.assign(Metadata_Well=wells)[["Metadata_Well", *ANNOTATIONS]].astype(column_types())


def read_exclusions(data: bytes, name: str) -> list[str]:
    """Return the lines of a text file, each once, but for empty ones and comments (`#` first)."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: expected a text file with one perturbation a line ({error}); save it as UTF-8 text"
        ) from error
    stripped = (line.strip() for line in lines)
    return list(dict.fromkeys(line for line in stripped if line and not line.startswith("#")))
