"""What compounds, ORFs and guides are: their targets, control types and structures, from tables of metadata.

A target is a set: one gene (column `target`, `gene` or `Symbol`), or several joined by `|`, `;` or `,`. A structure is a SMILES
as it was written, without what follows the first blank (a CXSMILES tail such as ` |t:16|`, or a name).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from brightpaint.plates.platemaps import find_column, require_columns, sample_name
from brightpaint.study.annotations import DMSO, plain

COMPOUND = ["broad_sample", "target", "control_type", "pert_iname", "smiles", "inchikey"]
SAMPLES = ("broad_sample", "perturbation", "jcp2022")  # columns that name a sample: JUMP's tables have two of them
TARGETS = ("target_list", "targets", "target")
GENES = ("gene", "symbol", "gene_symbol", "gene_name", "ncbi_gene_id")  # of ORFs and guides
# Guides that cut nothing, as JUMP's and others' tables call them: non-targeting, no-guide, NO_SITE, NTC_12.
NO_TARGET = re.compile(
    r"(?i)((no|non)[-_ ]?(targeting|target|guide|site|s?grna)s?|ntc|scrambled?)([-_ ]?controls?)?([-_ ]?\d+)?"
)
DMSO_KEY = "IAZDPXIOMUYVGZ"  # the first part of DMSO's InChIKey
SAME_COMPOUND = (
    13  # letters of a Broad sample that name the compound, `BRD-K09338665`; what follows names salt and batch
)
SKELETON = 14  # letters of an InChIKey that name the atoms and bonds, without stereochemistry


def join_targets(texts: Sequence[str]) -> str:
    """Return the union of sets of targets, each joined by `|`, `;` or `,`, in sorted order and joined by `|`."""
    return "|".join(sorted({plain(part) for text in texts for part in re.split("[|;,]", text)} - {""}))


def plain_smiles(text: str) -> str:
    """Return a SMILES without what follows its first blank: a CXSMILES tail, or a name."""
    return (text.split() or [""])[0]


def column_of(frame: pd.DataFrame, *names: str) -> pd.Series:
    """Return the column that bears one of these names (see `find_column`); blanks where there is none."""
    column = find_column(frame.columns, *names)
    return pd.Series("", index=frame.index, dtype=str) if column is None else frame[column]


def target_column(columns: Sequence[str]) -> str | None:
    """Return the column of a metadata file that holds targets, or the genes of ORFs and guides."""
    return find_column(columns, *TARGETS, *GENES)


def compound_table(frame: pd.DataFrame, name: str, *, needs_target: bool = True) -> pd.DataFrame:
    """Return a metadata file as one row a sample.

    Parameters
    ----------
    frame : a sample (`broad_sample`, `JCP2022`), its targets (`target`, `target_list`; of ORFs and guides `gene`, `Symbol` or
        `NCBI_Gene_ID`) and, if known, `control_type` (or `pert_type`: negcon, poscon), `pert_iname`, `smiles`, `InChIKey` (or
        its first part, `InChIKey14`); in capitals or not, with or without `Metadata_` before them
    name : the file, for messages
    needs_target : whether a file without a column of targets is an error

    Returns
    -------
    COMPOUND: `broad_sample` is empty for what a platemap writes without a sample, `target` sorted and joined by |. A sample with
    several rows has the union of their targets. A table of genes always has a row without a sample, and its negative controls
    keep their names: none of them is DMSO.

    Raises
    ------
    ValueError
        for missing columns and for a sample with two control types or two structures
    """
    keys = [column for column in (find_column(frame.columns, key) for key in SAMPLES) if column]
    if not keys:
        require_columns(frame, ["broad_sample"], name)
    target = target_column(frame.columns)
    if target is None and needs_target:
        raise ValueError(
            f"{name}: expected a column target or target_list (or gene or Symbol), found {', '.join(frame.columns)}; "
            "correct its header"
        )
    columns = _described(frame, target)
    blank = (frame[keys].map(sample_name) == "").all(axis=1)
    named = [columns.assign(broad_sample=frame[key].map(sample_name)) for key in keys]
    tables = [columns[blank].assign(broad_sample=""), *(table[table["broad_sample"] != ""] for table in named)]
    table = pd.concat(tables, ignore_index=True).drop_duplicates()
    twice = table.duplicated("broad_sample", keep=False)
    once = table[~twice].assign(target=[join_targets([text]) for text in table.loc[~twice, "target"]])
    rows = [] if blank.any() or not _of_genes(frame) else [dict.fromkeys(COMPOUND, "")]
    for sample, group in table[twice].groupby("broad_sample"):
        kinds, drawn = (sorted(set(group[column]) - {""}) for column in ("control_type", "smiles"))
        for what, values in (("control types", kinds), ("structures", drawn)):
            if len(values) > 1:
                raise ValueError(f"{name}: {sample or 'the empty sample'} has the {what} {', '.join(values)}; keep one")
        first = {column: min(set(group[column]) - {""}, default="") for column in COMPOUND[2:]}
        rows.append({"broad_sample": sample, "target": join_targets(group["target"]), **first})
    whole = pd.concat([once[COMPOUND], pd.DataFrame(rows, columns=COMPOUND, dtype=str)])
    return whole.sort_values("broad_sample", ignore_index=True)


def _of_genes(frame: pd.DataFrame) -> bool:
    """Tell whether a metadata file describes ORFs or guides."""
    return find_column(frame.columns, *TARGETS) is None and find_column(frame.columns, *GENES) is not None


def _described(frame: pd.DataFrame, target: str | None) -> pd.DataFrame:
    """Return what a metadata file's rows say, in the columns COMPOUND but the sample."""
    text = frame[target] if target else pd.Series("", index=frame.index, dtype=str)
    name, kind = column_of(frame, "pert_iname"), column_of(frame, "control_type")
    known_kind = column_of(frame, "pert_type").where(lambda kinds: kinds.str.match("negcon|poscon").astype(bool), "")
    kind = kind.where(kind != "", known_kind)
    idle = text.map(lambda said: NO_TARGET.fullmatch(said) is not None).astype(bool)
    inchikey = column_of(frame, "inchikey", "inchikey14")
    if _of_genes(frame):
        name = name.where(name != "", text).where(lambda names: names != "", "no gene")
    return pd.DataFrame({
        "target": text.where(~idle, ""),
        "control_type": kind.where((kind != "") | ~idle, "negcon"),
        "pert_iname": name.where(~inchikey.str.startswith(DMSO_KEY).astype(bool), DMSO).where(~idle, "non-targeting"),
        "smiles": column_of(frame, "smiles").map(plain_smiles),
        "inchikey": inchikey,
    }, dtype=str)  # fmt: skip


def merge_compounds(tables: dict[str, pd.DataFrame], samples: set[str]) -> pd.DataFrame:
    """Return the rows of `samples` (and the empty sample) from several metadata files.

    Files side by side describe compounds, ORFs and guides; one of them may list what another describes (JUMP's table of ORFs has
    compounds, without a gene, as its positive controls). So a row without a target says nothing against one that has a target,
    and what no sample is, is for the file to say that knows the most of these samples. A structure is the first file's that
    has one: files write one molecule in several ways.

    Raises
    ------
    ValueError
        when two files say different things of one sample: source.compounds then says which to believe
    """
    said: dict[str, list[tuple[str, dict, bool]]] = {}
    for name, table in tables.items():
        states_kinds = bool((table["control_type"] != "").any())
        for row in table[table["broad_sample"].isin(samples - {""})].to_dict("records"):
            said.setdefault(row["broad_sample"], []).append((name, row, states_kinds))
    rows = [_merged(told) for told in said.values()]
    by_knowledge = sorted(tables.values(), key=lambda table: -table["broad_sample"].isin(samples - {""}).sum())
    rows += [row for table in by_knowledge[:1] for row in table[table["broad_sample"] == ""].to_dict("records")]
    return pd.DataFrame(rows, columns=COMPOUND, dtype=str)


def _merged(told: list[tuple[str, dict, bool]]) -> dict:
    """Return what several files say of one sample; `told` has file, row and whether the file states control types."""
    speakers = [entry for entry in told if entry[1]["target"]] or told
    stating = [entry for entry in speakers if entry[2]] or [entry for entry in told if entry[1]["control_type"]]
    for column, entries in (("target", speakers), ("control_type", stating)):
        other = next((entry for entry in entries if entry[1][column] != entries[0][1][column]), None)
        if other is not None:
            (one, first, _), (name, row, _) = entries[0], other
            raise ValueError(
                f"{one} and {name} disagree on {row['broad_sample']}: {first['target']!r}, {first['control_type']!r} and "
                f"{row['target']!r}, {row['control_type']!r}; set source.compounds to the file to use"
            )
    merged = {**speakers[0][1], "control_type": stating[0][1]["control_type"] if stating else ""}
    for column in ("pert_iname", "smiles", "inchikey"):
        merged[column] = next((row[column] for _, row, _ in [*speakers, *told] if row[column]), "")
    return merged


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
    if not find_column(frame.columns, "broad_sample", "broad_id", "jcp2022") or not find_column(
        frame.columns, "smiles"
    ):
        raise ValueError(
            f"{name}: expected the columns broad_sample (or broad_id) and smiles, found {', '.join(frame.columns)}; "
            "correct its header"
        )
    keys = {"sample": column_of(frame, "broad_sample", "broad_id", "jcp2022"), "inchikey": column_of(frame, "inchikey")}
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
