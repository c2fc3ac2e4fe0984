"""What compounds are: their targets, control types and structures, from tables of metadata.

A target is a set: one gene (column `target`), or several joined by `|` (column `target_list`). A structure is a SMILES
as it was written, without what follows the first blank (a CXSMILES tail such as ` |t:16|`, or a name).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from brightpaint.plates.platemaps import NOTHING, require_columns

COMPOUND = ["broad_sample", "target", "control_type", "pert_iname", "smiles", "inchikey"]
SAME_COMPOUND = (
    13  # letters of a Broad sample that name the compound, `BRD-K09338665`; what follows names salt and batch
)
SKELETON = 14  # letters of an InChIKey that name the atoms and bonds, without stereochemistry


def join_targets(texts: Sequence[str]) -> str:
    """Return the union of sets of targets, each joined by `|`, in sorted order."""
    return "|".join(sorted({part.strip() for text in texts for part in text.split("|")} - NOTHING))


def plain_smiles(text: str) -> str:
    """Return a SMILES without what follows its first blank: a CXSMILES tail, or a name."""
    return (text.split() or [""])[0]


def column_of(frame: pd.DataFrame, *names: str) -> pd.Series:
    """Return the first of these columns that the frame has, written in capitals or not; blanks where it has none."""
    spelt = {column.lower(): column for column in reversed(frame.columns.tolist())}
    column = next((spelt[name.lower()] for name in names if name.lower() in spelt), None)
    return pd.Series("", index=frame.index, dtype=str) if column is None else frame[column]


def compound_table(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a metadata file as one row a sample.

    Parameters
    ----------
    frame : `broad_sample`, `target` or `target_list` (or `gene`), and, if known, `control_type`, `pert_iname`, `smiles` and
        `InChIKey` (or its first part, `InChIKey14`)
    name : the file, for messages

    Returns
    -------
    COMPOUND: `broad_sample` is empty for DMSO, `target` sorted and joined by |. A sample with several rows has the union of
    their targets.

    Raises
    ------
    ValueError
        for missing columns and for a sample with two control types or two structures
    """
    require_columns(frame, ["broad_sample"], name)
    target = next((column for column in ("target_list", "target", "gene") if column in frame.columns), None)
    if target is None:
        raise ValueError(
            f"{name}: expected a column target or target_list, found {', '.join(frame.columns)}; correct its header"
        )
    columns = {"broad_sample": frame["broad_sample"], "target": frame[target]}
    columns["smiles"] = column_of(frame, "smiles").map(plain_smiles)
    columns["inchikey"] = column_of(frame, "InChIKey", "InChIKey14")
    for column in ("control_type", "pert_iname"):
        columns[column] = column_of(frame, column)
    rows = []
    for sample, group in pd.DataFrame(columns).groupby("broad_sample", sort=True):
        kinds, drawn = (sorted(set(group[column]) - {""}) for column in ("control_type", "smiles"))
        for what, values in (("control types", kinds), ("structures", drawn)):
            if len(values) > 1:
                raise ValueError(f"{name}: {sample or 'the empty sample'} has the {what} {', '.join(values)}; keep one")
        first = {column: min(set(group[column]) - {""}, default="") for column in COMPOUND[2:]}
        rows.append({"broad_sample": sample, "target": join_targets(group["target"]), **first})
    return pd.DataFrame(rows, columns=COMPOUND, dtype=str)


def merge_compounds(tables: dict[str, pd.DataFrame], samples: set[str]) -> pd.DataFrame:
    """Return the rows of `samples` (and the empty sample) from several metadata files.

    A structure is the first file's that has one: files write one molecule in several ways.

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
            first.update({column: first[column] or row[column] for column in ("smiles", "inchikey")})
    rows = [row for _, row in seen.values()]
    return pd.DataFrame(rows, columns=COMPOUND, dtype=str)


def molecule_table(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table of structures (`source.molecules`) as its rows that have one: sample, smiles, inchikey.

    Parameters
    ----------
    frame : `broad_sample` (or `broad_id`), `smiles` and, if known, `InChIKey`
    name : the file, for messages

    Raises
    ------
    ValueError
        for missing columns, and where no row has a structure
    """
    named = {column.lower() for column in frame.columns}
    if not {"broad_sample", "broad_id"} & named or "smiles" not in named:
        raise ValueError(
            f"{name}: expected the columns broad_sample (or broad_id) and smiles, found {', '.join(frame.columns)}; "
            "correct its header"
        )
    keys = {"sample": column_of(frame, "broad_sample", "broad_id"), "inchikey": column_of(frame, "InChIKey")}
    table = pd.DataFrame({**keys, "smiles": column_of(frame, "smiles").map(plain_smiles)}, dtype=str)
    table = table[(table["smiles"] != "") & (table["sample"] != "")]
    if table.empty:
        raise ValueError(f"{name}: no sample has a SMILES; correct the file, or leave source.molecules out")
    return table.reset_index(drop=True)


def structures(samples: set[str], compounds: pd.DataFrame, molecules: pd.DataFrame) -> dict[str, str]:
    """Return {sample: SMILES} of the samples that a table of molecules knows.

    A sample is looked up by its whole name, then by the part of a Broad sample that names the compound, then by the first
    part of its InChIKey. Where several structures answer, the one that most rows give stands (the first in the
    alphabet among equals): they are salts, batches and ways of writing of one compound.

    Parameters
    ----------
    samples : as on a platemap
    compounds : as `compound_table` returns it, for their InChIKeys
    molecules : as `molecule_table` returns it
    """
    inchikeys = dict(zip(compounds["broad_sample"], compounds["inchikey"]))
    ways = [
        (lambda sample: sample, molecules["sample"]),
        (_broad_compound, molecules["sample"].map(_broad_compound)),
        (lambda sample: inchikeys.get(sample, "")[:SKELETON], molecules["inchikey"].str[:SKELETON]),
    ]
    known: dict[str, str] = {}
    for key_of, keys in ways:
        drawn = molecules["smiles"].groupby(keys).agg(_most_common).to_dict()
        for sample in samples - known.keys():
            if (key := key_of(sample)) and key in drawn:
                known[sample] = drawn[key]
    return known


def _broad_compound(sample: str) -> str:
    return sample[:SAME_COMPOUND] if re.match(r"BRD-[A-Z]\d{8}", sample) else ""


def _most_common(texts: pd.Series) -> str:
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text))
