"""Which objects know which: the Parent columns that a .cppipe will write, and the ways along them from a cell to its nucleus.

A module of CellProfiler that makes objects from others gives each new one the number of the object it came from, in a
column Parent_{others}. JUMP's production analysis finds objects, filters those at the edge and renumbers the rest, so that
its Cells have no Parent_Nuclei; the way leads over what lies between, or over Cytoplasm, which knows both. What each
module writes was read and tried in CellProfiler 4.2.8. Standard library only, and Python 3.9, as cellprofiler.py says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from brightpaint.features.pipeline import settings, value

NAMED_OBJECTS = re.compile(r"^Name the .*objects?\b")
# Module: how its settings call the objects that it takes. Each object made after them has these as parents.
TAKEN = {
    "IdentifySecondaryObjects": r"Select the input objects",
    "IdentifyTertiaryObjects": r"Select the (larger|smaller) identified objects",
    "FilterObjects": r"Select (the|an|additional)?.*objects? to (filter|relabel)",
    "MaskObjects": r"Select objects to be masked",
    "SplitOrMergeObjects": r"Select the input objects",
    "EditObjectsManually": r"Select the objects to be edited",
    "ResizeObjects": r"Select the input object",
    "DilateObjects": r"Select the input object",
    "ErodeObjects": r"Select the input object",
    "FillObjects": r"Select the input object",
    "ShrinkToObjectCenters": r"Select the input object",
}
# What FilterObjects renumbers along with what it filters gets a Parent column only where what was removed is kept too.
RENUMBERED, KEPT_TOO = re.compile(r"^Name the relabell?ed objects"), "Keep removed objects as a separate set?"
# Names that CellProfiler writes down whether they are made or not, and the setting that says so.
MADE_IF = {
    "Name the new primary objects": ("Discard the associated primary objects?",
                                     "Discard secondary objects touching the border of the image?"),
    "Name the objects removed by the filter": (KEPT_TOO,),
    "Name the output object": ("Do you want to save the children with parents as a new object set?",),
}  # fmt: skip
CELLS, NUCLEI, CYTOPLASM = "Cells", "Nuclei", "Cytoplasm"
JOINED = ((CELLS, NUCLEI), (CYTOPLASM, CELLS))  # where a way begins, and what it must lead to


class Made(NamedTuple):
    """Objects that a pipeline makes.

    Attributes
    ----------
    parents : {objects: those whose numbers their table holds}
    loose : (child, parent) pairs that RelateObjects finds: a parent may have several children
    """

    parents: dict[str, list[str]]
    loose: set[tuple[str, str]]


def made_by(modules: list[tuple[str, str]]) -> Made:
    """Return the objects that (name, block) modules make, and the parents of each."""
    made = Made({}, set())
    for name, block in modules:
        if name == "RelateObjects":
            _related(block, made)
        else:
            _made(name, block, made)
    return made


def _made(name: str, block: str, made: Made) -> None:
    """Add what one module makes: pairs of `Select ...` and `Name ...`, as they follow one another in its settings."""
    taken: list[str] = []
    named_since = False
    for setting, text in settings(block):
        if name in TAKEN and re.match(TAKEN[name], setting):
            taken = [text.strip()] if named_since else [*taken, text.strip()]
            named_since = False
        elif NAMED_OBJECTS.match(setting) and _is_made(setting, block):
            unwritten = RENUMBERED.match(setting) and value(block, KEPT_TOO) != "Yes"
            _add(made, text.strip(), [] if unwritten else taken)
            named_since = True
    if _is_made(new := "Name the new primary objects", block) and value(block, new):
        _add(made, value(block, "Name the objects to be identified").strip(), [value(block, new).strip()])


def _related(block: str, made: Made) -> None:
    """Add what RelateObjects writes: parents of objects that are there, and maybe those with a parent, as a new set."""
    names = {setting.lower(): text.strip() for setting, text in settings(block)}
    parent = next((text for setting, text in names.items() if setting.endswith("parent objects")), "")
    child = next((text for setting, text in names.items() if setting.endswith("child objects")), "")
    _add(made, child, [parent])
    made.loose.add((child, parent))
    if _is_made(new := "Name the output object", block):
        _add(made, value(block, new).strip(), [child])


def _is_made(setting: str, block: str) -> bool:
    """Tell whether a module makes the objects that this setting names."""
    answers = [value(block, question) for question in MADE_IF.get(setting, ())]
    return all(answer.startswith("Yes") for answer in answers if answer)


def _add(made: Made, child: str, parents: list[str]) -> None:
    known = made.parents.setdefault(child, [])
    known += [parent for parent in parents if parent not in known]


def ancestors(parents: Mapping[str, list[str]], name: str) -> dict[str, tuple[str, ...]]:
    """Return {objects: the shortest way up to them} of objects and all that they came from; the first is `name` itself."""
    ways = {name: (name,)}
    for child in (queue := [name]):
        for parent in parents.get(child, []):
            if parent not in ways:
                ways[parent] = (*ways[child], parent)
                queue.append(parent)
    return ways


def ways(parents: Mapping[str, list[str]], one: str, two: str, between: str) -> Iterator[tuple[str, ...]]:
    """Yield the ways from one set of objects to another along Parent columns, the surest first.

    Up from `one`; over `between`, where it knows both; up from `two`; over what both came from, the nearest first.

    Yields
    ------
    names from `one` to `two`; of each two neighbours one is a parent of the other
    """
    up, down, middle = (ancestors(parents, name) for name in (one, two, between))
    if two in up:
        yield up[two]
    if one in middle and two in middle:
        yield (*middle[one][::-1], *middle[two][1:])
    if one in down:
        yield down[one][::-1]
    common = [name for name in up if name in down and name not in (one, two)]
    for name in sorted(common, key=lambda name: len(up[name]) + len(down[name])):
        yield (*up[name], *down[name][-2::-1])


def cell_ways(parents: Mapping[str, list[str]]) -> dict[str, Iterator[tuple[str, ...]]]:
    """Return the ways from Cells to Nuclei, and from Cytoplasm to Cells, by where they begin."""
    return {
        CELLS: ways(parents, CELLS, NUCLEI, between=CYTOPLASM),
        CYTOPLASM: ways(parents, CYTOPLASM, CELLS, between=NUCLEI),
    }


def unjoined(made: Made, exported: set[str] | None = None) -> list[str]:
    """Return what keeps a pipeline's nuclei, cells and cytoplasm from being joined, one sentence each.

    Parameters
    ----------
    exported : the objects whose tables are written; None for all
    """
    found = []
    for start, asked in JOINED:
        every = [way for way in cell_ways(made.parents)[start] if _is_sure(way, made)]
        if not every:
            known = ", ".join(f"Parent_{name}" for name in made.parents.get(start, [])) or "no Parent column"
            found.append(
                f"its {start} cannot be joined to {asked}: {start}.csv will have {known}, and no way leads on from there; "
                "make Cytoplasm from Cells and Nuclei by IdentifyTertiaryObjects, or relate them by RelateObjects (parent "
                f"{asked}, child {start})"
            )
            continue
        lacking = [sorted({name for name, _ in _columns(way, made)} - exported) for way in every] if exported else []
        if lacking and all(lacking):
            tables = ", ".join(min(lacking, key=len))
            found.append(f"ExportToSpreadsheet must export {tables} too, over which {start} are joined to {asked}")
    return found


def _columns(way: tuple[str, ...], made: Made) -> list[tuple[str, str]]:
    """Return the (child, parent) pairs of a way: whose table is read, for which column."""
    pairs = zip(way, way[1:])
    return [(one, two) if two in made.parents.get(one, []) else (two, one) for one, two in pairs]


def _is_sure(way: tuple[str, ...], made: Made) -> bool:
    """Tell whether no step of a way leads down to what RelateObjects gave a parent, of which there may be several."""
    down = [(two, one) for one, two in zip(way, way[1:]) if two not in made.parents.get(one, [])]
    return not any(pair in made.loose for pair in down)
