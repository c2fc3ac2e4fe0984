"""Find each cell's nucleus and cytoplasm among CellProfiler's tables, along their Parent columns, never by position."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from brightpaint.features.object_parents import CELLS, CYTOPLASM, JOINED, cell_ways

PARENT = "Parent_"
GROWN = "the pipeline must make one of each for every nucleus"


def cell_links(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return which nucleus and which cytoplasm belong to each cell that has both.

    Parameters
    ----------
    tables : {objects: ImageNumber, ObjectNumber, Parent_...}: Nuclei, Cells, Cytoplasm, and what lies between

    Returns
    -------
    ImageNumber, and the objects' numbers as Cells, Nuclei, Cytoplasm: each occurs once an image

    Raises
    ------
    ValueError
        where no Parent columns lead from one to the other, or they give a cell two of the other
    """
    parents = {
        name: [column[len(PARENT) :] for column in frame if column.startswith(PARENT)] for name, frame in tables.items()
    }
    links = {start: _one_to_one(tables, parents, start, end) for start, end in JOINED}
    return links[CELLS].merge(links[CYTOPLASM], on=["ImageNumber", CELLS], validate="one_to_one")


def _one_to_one(tables: Mapping[str, pd.DataFrame], parents: Mapping, start: str, end: str) -> pd.DataFrame:
    """Return the pairs of the first way that gives each object one of the other; a Parent column of its own is final."""
    refusals = []
    for way in cell_ways(parents)[start]:
        pairs = along(tables, way)
        refusal = _two_of_one(pairs, start, end, way)
        if not refusal:
            return pairs
        refusals.append(refusal)
        if way == (start, end):
            break
    if refusals:
        raise ValueError(refusals[0])
    held = ", ".join(PARENT + name for name in parents[start]) or "no Parent column"
    raise ValueError(
        f"{start}.csv has no column {PARENT}{end} and no other table leads from {start} to {end} (it has {held}): the "
        "pipeline must grow cells from nuclei, or relate them by RelateObjects; mend it"
    )


def along(tables: Mapping[str, pd.DataFrame], way: tuple[str, ...]) -> pd.DataFrame:
    """Return the numbers of the objects at both ends of a way: ImageNumber, its first name, its last."""
    pairs = _step(tables, way[0], way[1])
    for one, two in zip(way[1:], way[2:]):
        pairs = pairs.merge(_step(tables, one, two), on=["ImageNumber", one])[["ImageNumber", way[0], two]]
    return pairs


def _step(tables: Mapping[str, pd.DataFrame], one: str, two: str) -> pd.DataFrame:
    """Return the numbers of two sets of objects of which one is a parent of the other."""
    up = one in tables and PARENT + two in tables[one]
    child, parent = (one, two) if up else (two, one)
    pairs = tables[child][["ImageNumber", "ObjectNumber", PARENT + parent]]
    pairs = pairs.rename(columns={"ObjectNumber": child, PARENT + parent: parent})
    return pairs[pairs[parent] > 0][["ImageNumber", one, two]]


def _two_of_one(pairs: pd.DataFrame, start: str, end: str, way: tuple[str, ...]) -> str:
    """Say which object has two of the other; nothing where each has one at most."""
    over = f" (by way of {', '.join(way[1:-1])})" if len(way) > 2 else ""
    for one, many in ((end, start), (start, end)):
        twice = pairs[pairs.duplicated(["ImageNumber", one])]
        if len(twice):
            row, whose = twice.iloc[0], "" if one == end else f" of {one}"
            return (
                f"{start}.csv{over}: object {int(row[one])}{whose} of image {int(row['ImageNumber'])} has two {many}, "
                f"expected one; {GROWN}"
            )
    return ""
