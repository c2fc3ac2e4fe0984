"""What the lines of `source.exclude` name: a perturbation, a well (`plate/well`), or a field (`plate/well/site`).

A line is taken by its longest reading that names something: `cpd #7` is a perturbation of that name where there is
one, and otherwise `cpd` with a comment. Case counts only where two perturbations differ in it alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from brightpaint import store
from brightpaint.plates import platemaps
from brightpaint.study.choice import WELL
from brightpaint.study.plate_table import safe_name

PLACE = re.compile(rf"([^/]+)/{WELL}(?:/0*([1-9][0-9]*))?")


@dataclass(frozen=True)
class Plate:
    """What lines may name of one plate.

    Attributes
    ----------
    names : of the plate, in the study and at its source
    sites : numbers of its fields; None where they are not known
    others : perturbations of other plates, which a line of their case means
    """

    names: frozenset[str]
    perturbations: frozenset[str]
    wells: frozenset[str]
    sites: frozenset[int] | None = None
    others: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Named:
    """What one line names: a perturbation, or a well and, unless it is the whole of it, a site."""

    perturbation: str = ""
    well: str = ""
    site: int | None = None


def read_lines(path: str | None) -> list[str]:
    """Return the lines of the text file `source.exclude`, each once, without those that are empty or comments."""
    return platemaps.read_exclusions(store.read_bytes(path, "source.exclude"), path) if path else []


def readings(line: str) -> list[str]:
    """Return what a line may say, the longest first: the whole of it, and what stands before each # in it."""
    ends = [len(line), *(n for n in reversed(range(len(line))) if line[n] == "#")]
    return list(dict.fromkeys(text for end in ends if (text := line[:end].strip())))


def named_by(line: str, plate: Plate, path: str) -> Named | None:
    """Return what a line names of a plate, None where that is nothing.

    Raises
    ------
    ValueError
        where it could be either of two perturbations
    """
    for text in readings(line):
        if text in plate.perturbations:
            return Named(perturbation=text)
        place = PLACE.fullmatch(text)
        if place and place[1] in plate.names:
            well, site = f"{place[2].upper()}{int(place[3]):02d}", int(place[4]) if place[4] else None
            if well in plate.wells and (site is None or plate.sites is None or site in plate.sites):
                return Named(well=well, site=site)
        alike = sorted(name for name in plate.perturbations if name.casefold() == text.casefold())
        alike = [] if text in plate.others else alike
        if len(alike) > 1:
            raise ValueError(f"{path}: the line {line!r} could be {' or '.join(alike)}; write it as one of them")
        if alike:
            return Named(perturbation=alike[0])
    return None


def names_a_place(line: str, names: Iterable[str] | None = None) -> bool:
    """Return whether a line is of the form plate/well or plate/well/site, and the plate is one of these, or any."""
    places = [PLACE.fullmatch(text) for text in readings(line)]
    return any(place and (names is None or place[1] in names) for place in places)


def among(own: Plate, plates: Sequence[Plate]) -> Plate:
    """Return a plate with its names in the user's own CSV, and the perturbations that the CSV has."""
    names = [one.names for one in plates if own.names & one.names]
    return replace(own, names=own.names.union(*names), others=frozenset().union(*(one.perturbations for one in plates)))


def plates_of_table(table: platemaps.Table, path: str) -> list[Plate]:
    """Return the plates of the user's own CSV, which is read once."""
    found: dict[str, tuple[set, set]] = {}
    for row in table.records():
        perturbations, wells = found.setdefault(row["plate"], (set(), set()))
        perturbations.add(row.get("perturbation", ""))
        wells.add(row["well"])
    return [
        Plate(frozenset({name, safe_name(name)}), frozenset(perturbations - {""}),
              frozenset(platemaps.normal_well(well, path) for well in wells))
        for name, (perturbations, wells) in found.items()
    ]  # fmt: skip


def refuse(lines: Sequence[str], plates: Sequence[Plate], path: str, of: str) -> None:
    """Raise ValueError for lines that name nothing, with what each may have meant."""
    if not lines:
        return
    known = {name.casefold(): name for plate in plates for name in plate.perturbations}
    said = []
    for line in lines:
        near = difflib.get_close_matches(readings(line)[-1].casefold(), sorted(known), 1, 0.75)
        said.append(f"{line!r}" + (f" (did you mean {known[near[0]]}?)" if near else ""))
    raise ValueError(
        f"{path}: expected lines that name a perturbation, plate/well or plate/well/site of {of}, found {len(lines)} that name "
        f"nothing: {', '.join(said)}; correct or remove them"
    )
