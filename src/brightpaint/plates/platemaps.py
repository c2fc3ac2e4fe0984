"""Which perturbation each well holds: the platemap joined with compound metadata.

What a well without a sample holds stands in the platemap's column `solvent`; where it has none, in the metadata's row without
a sample (DMSO in the Cell Painting Gallery's compound tables, nothing in those of ORFs and guides).
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pandas as pd

from brightpaint import store
from brightpaint.plates.molarity import doses, time_of
from brightpaint.study.annotations import ANNOTATIONS, DMSO, REQUIRED, column_types, plain, treatment_name
from brightpaint.study.choice import SPELLINGS, WELL

NAMES = ("plate", "channel", "Metadata_Plate", "Assay_Plate_Barcode", "Plate_Map_Name")  # a plate may be called unknown
CHUNK_BYTES = 1 << 16
# Words for a well without a treatment: no solvent is in it either, as far as is known.
EMPTY = re.compile(r"(?i)empty|blank|unknown|JCP2022_999999|JCP2022_UNKNOWN")
JUMP = {"JCP2022_999999": "", "JCP2022_UNKNOWN": "", "JCP2022_033924": DMSO}  # jump-cellpainting/datasets, metadata/
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


def open_text_table(handle: BinaryIO, name: str, *, separator: str = "\t", kept: Sequence[str] = NAMES) -> Table:
    """Read a table's header; its rows are read when they are asked for.

    In columns that are `kept` a word for nothing (`annotations.NOTHING`) stands as it was written.

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
    rows = _text_rows(handle, name, separator, mend, kept)
    columns = next(rows, None)
    if columns is None:
        raise ValueError(f"{name}: not a readable table (it is empty); {mend}")
    return Table(distinct(columns, name), rows)


def _text_rows(handle: BinaryIO, name: str, separator: str, mend: str, kept: Sequence[str]) -> Iterator[list[str]]:
    """Yield the header and the rows, each as long as the header."""
    text, header = io.TextIOWrapper(handle, "utf-8-sig", newline=""), []
    try:
        for number, row in enumerate(filter(None, csv.reader(text, delimiter=separator, strict=True))):
            if not number:
                header = [cell.strip() for cell in row]
                yield header
                continue
            if len(row) != len(header):
                raise ValueError(
                    f"{name}: row {number} has {len(row)} cells, expected {len(header)} as in the header; mend the row"
                )
            yield plain_cells(header, row, kept)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{name}: not a readable table ({error}); {mend}") from error


def plain_cells(columns: Sequence[str], cells: Sequence[object], kept: Sequence[str] = NAMES) -> list[str]:
    """Return the texts of a row's cells, "" for what stands for nothing but in the columns that are `kept`."""
    return [
        ("" if cell is None else str(cell).strip()) if column in kept else plain(cell)
        for column, cell in zip(columns, cells)
    ]


def read_text_table(data: bytes, name: str, *, separator: str = "\t", kept: Sequence[str] = NAMES) -> pd.DataFrame:
    """Read the whole of a small table (see `open_text_table`)."""
    table = open_text_table(io.BytesIO(data), name, separator=separator, kept=kept)
    return pd.DataFrame(list(table.rows), columns=table.columns, dtype=str)


@contextlib.contextmanager
def open_own_table(path: str, key: str, *, kept: Sequence[str] = NAMES) -> Iterator[Table]:
    """Open a table that the config names: between tabs, or commas where its name ends in .csv; packed where in .gz."""
    plain_name, packed = path.removesuffix(".gz"), path.endswith(".gz")
    with store.open_bytes(path, key) as handle:
        try:
            unpacked = io.BytesIO(gzip.decompress(handle.read())) if packed else handle
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{key}: {path} is not a gzip file ({error}); save it again") from error
        yield open_text_table(unpacked, path, separator="," if plain_name.endswith(".csv") else "\t", kept=kept)


def read_own_table(path: str, key: str) -> pd.DataFrame:
    """Read the whole of a small table that the config names (see `open_own_table`)."""
    with open_own_table(path, key) as table:
        return pd.DataFrame(list(table.rows), columns=table.columns, dtype=str)


def word_of(column: str) -> str:
    """Return a column's name as it is compared: `Metadata_NCBI_Gene_ID`, `NCBI Gene-ID` and `NCBI.Gene.ID` are ncbi_gene_id."""
    return re.sub(r"[\s.-]+", "_", column.strip().lower()).removeprefix("metadata_")


def find_column(columns: Sequence[str], *names: str) -> str | None:
    """Return the first column that bears one of these names, the first name first; None where none does."""
    known = {word_of(column): column for column in reversed(list(columns))}
    return next((known[name] for name in names if name in known), None)


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


def without_sample_dmso(platemap: pd.DataFrame, blank: Mapping | None, *, blank_is_dmso: bool) -> list[bool]:
    """Tell of each well whether it holds DMSO if it holds no sample.

    Its solvent decides, where the platemap has a column of solvents: DMSO, or anything else (nothing among it). Else the
    metadata's row without a sample does; and where there is none, the gallery's custom that no sample is DMSO.

    Parameters
    ----------
    platemap : with or without a column `solvent`; a sample written as a word such as `empty` is no DMSO in any case
    blank : the compound metadata's row without a sample
    blank_is_dmso : whether that custom holds here
    """
    solvent = find_column(platemap.columns, "solvent")
    if not blank_is_dmso:
        return [False] * len(platemap)
    if solvent is not None:
        holds = [bool(re.search(rf"\b{DMSO}\b", text.upper())) for text in platemap[solvent]]
    else:
        custom = blank is None or blank["control_type"] == "negcon" or blank["pert_iname"].upper() == DMSO
        holds = [custom] * len(platemap)
    return [dmso and not EMPTY.fullmatch(text.strip()) for dmso, text in zip(holds, platemap["broad_sample"])]


def held_by(sample: str, compound: Mapping, *, blank_is_dmso: bool) -> tuple[str, str, str]:
    """Return a well's perturbation, target and control type; `blank_is_dmso` says what it holds without a sample."""
    if sample == "":
        return (DMSO, "", "negcon") if blank_is_dmso else ("", "", "")
    negative = compound["control_type"] == "negcon" and compound["pert_iname"] in ("", DMSO)
    if negative or sample.upper() == DMSO or compound["pert_iname"].upper() == DMSO:
        return DMSO, "", "negcon"
    return sample, compound["target"], compound["control_type"]


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
    blank_is_dmso : whether a well without a sample may hold DMSO (see `without_sample_dmso`)
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
    samples = [sample_name(text) for text in platemap["broad_sample"]]
    check_known(set(samples), known.keys(), name)
    holds_dmso = without_sample_dmso(platemap, known.get(""), blank_is_dmso=blank_is_dmso)
    nothing, rows = {"target": "", "control_type": "", "pert_iname": ""}, []
    for sample, dmso, cell_line in zip(samples, holds_dmso, platemap.get("cell_line", [""] * len(wells))):
        compound = known.get(sample, nothing)
        held = held_by(sample, compound, blank_is_dmso=dmso)
        smiles = compound.get("smiles") or (structures or {}).get(sample, "")
        rows.append([*held, "" if held[0] in (DMSO, "") else smiles, cell_line])
    frame = pd.DataFrame(rows, columns=[*REQUIRED, "Metadata_smiles", "Metadata_cell_line"], dtype=str)
    treated = ~frame["Metadata_perturbation"].isin([DMSO, ""]).to_numpy()
    frame["Metadata_dose"] = doses(platemap, treated, wells, name, dose_unit)
    times = platemap.get("time_h", [""] * len(platemap))
    frame["Metadata_time_h"] = [time_of(text, f"{name}, well {well}, time_h") for well, text in zip(wells, times)]
    named = zip(frame["Metadata_perturbation"], frame["Metadata_dose"])
    frame["Metadata_treatment"] = [treatment_name(*pair) for pair in named]
    return frame.assign(Metadata_Well=wells)[["Metadata_Well", *ANNOTATIONS]].astype(column_types())


def sample_name(text: str) -> str:
    """Return a sample as a platemap writes it, "" for none; JUMP's numbers for none and for DMSO are taken for them."""
    return JUMP.get(text.strip(), plain(text))


def check_known(samples: set[str], known: Collection[str], name: str) -> None:
    """Raise ValueError where the compound metadata describe some samples, and none of these."""
    samples, described = {text for text in samples if text.upper() not in ("", DMSO)}, set(known) - {""}
    if samples and described and not samples & described:
        raise ValueError(
            f"{name}: none of its {len(samples)} samples (such as {min(samples)}) is in the compound metadata "
            f"(such as {min(described)}); set source.compounds to the file that describes them"
        )


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
