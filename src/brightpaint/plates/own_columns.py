"""How the columns of a user's own tables are spelt: the one list, and which columns of a table are taken for what.

A column is taken by its name, in capitals or not, with blanks or hyphens for `_`, with or without `Metadata_` before it.
`perturbation` goes before `compound` and `treatment`, and `target` before `moa`: the exact name says what is meant. Two
other spellings of one thing are taken where they say the same in every row, and refused where they differ.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from brightpaint.plates.molarity import dose_column, is_dose
from brightpaint.plates.platemaps import Table, word_of

DOSE = "dose_um"
# What a table may say of a well, by the name that it has here; `dose_um` by brightpaint.plates.molarity.
SPELLINGS = {
    "perturbation": ["compound", "compound_name", "compound_id", "drug", "drug_name", "treatment", "pert_iname", "broad_sample"],
    "target": ["targets", "target_list", "target_gene", "gene_target"],
    "control_type": [],
    DOSE: [],
    "smiles": ["canonical_smiles", "isomeric_smiles"],
    "cell_line": ["cellline"],
    "time_h": ["time_hours", "hours", "time_hrs", "time_hr", "hours_post_treatment"],
}  # fmt: skip
INSTEAD = {"target": ["moa", "mechanism_of_action", "mechanism"]}  # where there is no target: what a compound acts on
ABOUT = list(SPELLINGS)
UNCLEAR = {"time": "time_h", "timepoint": "time_h", "cell_type": "cell_line"}  # of no unit, or of another meaning


class Taken(NamedTuple):
    """`sources`: {name here: the table's columns that say it}; `dose`: its column of doses; `left`: what is not taken."""

    sources: dict[str, list[str]]
    dose: str | None
    left: list[str]


def taken(columns: Sequence[str], keys: Sequence[str], name: str, unit: str | None = None) -> Taken:
    """Return which columns of a table are taken for what.

    Parameters
    ----------
    columns : of the table
    keys : the names of columns that say where an image or well is, taken likewise
    name : the table, for messages
    unit : of a column of doses that does not say its own (`source.dose_unit`)

    Raises
    ------
    ValueError
        for two columns of doses, one of no known unit, and a name that is nearly a known one
    """
    sources: dict[str, list[str]] = {}
    doses = [column for column in columns if is_dose(column)]
    for known in [*keys, *ABOUT]:
        found = [column for column in columns if word_of(column) == known]
        exact = [column for column in found if column == known]
        others = [column for word in SPELLINGS.get(known, []) for column in columns if word_of(column) == word]
        instead = [column for word in INSTEAD.get(known, []) for column in columns if word_of(column) == word]
        if known != DOSE and (said := exact or [*found, *others] or instead):
            sources[known] = said
    told = dose_column(doses, name, unit)
    used = {column for said in sources.values() for column in said} | {told[0] if told else None}
    left = [column for column in columns if column not in used]
    unsaid = [known for known in [*keys, *ABOUT] if known not in sources and (known != DOSE or not told)]
    for column in left:
        if near := nearly(column, unsaid):
            raise ValueError(f"{name}: unknown column {column}; did you mean {near}?")
    return Taken(sources, told[0] if told else None, left)


def nearly(column: str, known: Sequence[str]) -> str | None:
    """Return the known column that an unknown one may stand for: a slip of the pen, or a time of no unit."""
    word = word_of(column)
    known = [name for name in known if not (name == DOSE and word.startswith(("dose", "conc")))]  # dose_mg is no slip
    spelt = {spelling: name for name in known for spelling in [name, *SPELLINGS.get(name, [])]}
    meant = UNCLEAR.get(word) or next((spelt[near] for near in difflib.get_close_matches(word, spelt, 1, 0.8)), None)
    return meant if meant in known else None


def renamed(table: Table, columns: Taken, name: str) -> Table:
    """Return a table under the names that its columns have here; the column of doses keeps its own, which says the unit.

    Raises
    ------
    ValueError
        as the rows are read, where two columns of one thing differ
    """
    places = {known: [table.columns.index(column) for column in said] for known, said in columns.sources.items()}
    dose = table.columns.index(columns.dose) if columns.dose else None

    def rows() -> Iterator[list[str]]:
        for number, row in enumerate(table.rows, 1):
            for known, said in places.items():
                if len(said) > 1 and len({row[place] for place in said}) > 1:
                    words = " and ".join(f"{table.columns[place]} {row[place]!r}" for place in said)
                    raise ValueError(
                        f"{name}: row {number}: {words} differ, and each may be the {known}; rename the column that is it "
                        f"to {known}, and the others are left alone"
                    )
            yield [row[said[0]] for said in places.values()] + ([] if dose is None else [row[dose]])

    return Table([*places, *([columns.dose] if columns.dose else [])], rows())


def told(columns: Taken) -> str:
    """Say which columns were taken for something of another name, and which were not taken; "" where there are none."""
    sentences = [
        f"{' and '.join(said)} taken for {known}" for known, said in columns.sources.items() if said != [known]
    ]
    sentences += [f"{columns.dose} taken for the dose"] if columns.dose not in (None, DOSE) else []
    sentences += [f"not taken: {', '.join(columns.left)}"] if columns.left else []
    return "; ".join(sentences)
