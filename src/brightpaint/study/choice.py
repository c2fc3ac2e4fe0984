"""Which wells, sites, fields and tiles a row of the plate table uses: `wells: A01:D06,P24`, `sites: 1,2`, `fields: list.txt`.

Empty is all; what is given together must hold together.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

WELL = r"([A-Za-z]{1,2})0*([1-9][0-9]?)"  # as people write it: a1, A1, A01
SPELLINGS = (
    "a1, A1 and A001 are read as A01, and Aa1 or AA01 as row 27 of 1536 wells; a quarter such as A01.a1 is not read: give row and "
    "column of the 1536"
)
FIELD = re.compile(rf"(?P<plate>[^/]+)/{WELL}/0*(?P<site>[1-9][0-9]*)")  # as source.exclude names one
IMAGE = re.compile(
    r"(?:(?P<folder>.*)/)?r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)(?:p\d+(?:-ch\d+.*)?)?"
)  # of a Phenix


def row_number(letters: str) -> int:
    """Return a row's number from its letters: A is 1, Z 26, AA 27."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def row_letters(number: int) -> str:
    """Return a row's letters from its number."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def parse_wells(text: str) -> list[str]:
    """Return the wells that `text` names one by one or as blocks (`A01:D06`), in order of row and column."""
    wells = set()
    for part in text.split(","):
        corners = [re.fullmatch(WELL, corner.strip()) for corner in part.split(":")]
        if None in corners or len(corners) > 2:
            raise ValueError(
                f"wells: expected wells such as A01 or blocks such as A01:D06, found {part!r} ({SPELLINGS})"
            )
        rows, columns = (
            [place(corner) for corner in corners] for place in (lambda c: row_number(c[1]), lambda c: int(c[2]))
        )
        wells |= {(y, x) for y in range(min(rows), max(rows) + 1) for x in range(min(columns), max(columns) + 1)}
    return [f"{row_letters(row)}{column:02d}" for row, column in sorted(wells)]


def chosen_wells(plate: dict) -> list[str] | None:
    """Return the wells that a plate row uses, None for all of them."""
    return parse_wells(plate["wells"]) if plate.get("wells") else None


def chosen_sites(plate: dict) -> list[int] | None:
    """Return the sites that a plate row uses, None for all of them."""
    return sorted({int(site) for site in plate["sites"].split(",")}) if plate.get("sites") else None


def read_fields(path: Path) -> dict[str, set[tuple[str, int]]]:
    """Return {plate: its (well, site)} of a text file that names one field a line; "" is whatever plate the file is given for.

    A line is `plate/well/site`, or the name of a Phenix image, whole or up to its plane, below its plate's folder:
    `BR00117011__2020-11-08T19_57_47-Measurement1/Images/r06c13f07p01`. Empty lines and comments (#) are passed over.
    """
    try:
        stamp = path.stat()
    except OSError as error:
        raise _unread(path, error) from error
    return _read_fields(path, stamp.st_mtime_ns, stamp.st_size)


def _unread(path: Path, error: Exception) -> ValueError:
    return ValueError(f"fields: {path} can't be read ({error}); expected a text file, one field a line")


@functools.lru_cache(maxsize=64)
def _read_fields(path: Path, *stamp: int) -> dict[str, set[tuple[str, int]]]:
    """Read a list as it was at a time: all plates of a study may have one list, and ask for it several times each."""
    fields: dict[str, set[tuple[str, int]]] = {}
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unread(path, error) from error
    for number, line in enumerate((line.strip() for line in lines), start=1):
        if not line or line.startswith("#"):
            continue
        if named := FIELD.fullmatch(line):
            plate, well = named["plate"], f"{named[2].upper()}{int(named[3]):02d}"
        elif (named := IMAGE.fullmatch(line)) and min(int(named[key]) for key in ("row", "column", "site")) > 0:
            folders = [name for name in (named["folder"] or "").split("/") if name and name.lower() != "images"]
            plate = folders[-1].partition("__")[0] if folders else ""
            well = f"{row_letters(int(named['row']))}{int(named['column']):02d}"
        else:
            raise ValueError(
                f"fields: {path}, line {number}: expected a field such as P1/A01/3 or P1/Images/r01c01f03p01, found {line!r}"
            )
        fields.setdefault(plate, set()).add((well, int(named["site"])))
    return fields


def chosen_fields(plate: dict) -> list[tuple[str, int]] | None:
    """Return the (well, site) that a plate row's list of fields names, sorted; None for all of them.

    The list may name fields of other plates too; one that names none of this plate's is refused.
    """
    if not plate.get("fields"):
        return None
    named = read_fields(Path(plate["fields"]))
    names = {"", plate["plate"], plate.get("barcode", plate["plate"])}
    chosen = sorted(set().union(*(named[name] for name in names if name in named)))
    if not chosen:
        of = f"fields of {', '.join(sorted(named)[:5])}" if named else "nothing"
        raise ValueError(
            f"fields: {plate['fields']} names {of}, and none of {' or '.join(sorted(names - {''}))}; correct the column fields of "
            "the plate table"
        )
    wells, sites = chosen_wells(plate), chosen_sites(plate)
    both = [(well, site) for well, site in chosen if (not wells or well in wells) and (not sites or site in sites)]
    if not both:
        raise ValueError(
            f"fields: none of the {len(chosen)} fields of {plate['fields']} is in the wells and sites that the row names too; "
            "correct these columns of the plate table"
        )
    return both


def used_wells(plate: dict) -> list[str] | None:
    """Return the wells of which a plate row uses fields, sorted, None for all of them."""
    fields = chosen_fields(plate)
    return chosen_wells(plate) if fields is None else sorted({well for well, _ in fields})


def plate_tiles(plate: dict, count: int) -> list[int]:
    """Return the tile numbers (1-based, row by row) that a plate row uses of `count`."""
    region = plate.get("region")
    return sorted({int(number) for number in region.split(",")}) if region else list(range(1, count + 1))


def overlap(one: dict, other: dict) -> bool:
    """Return whether two plate rows may use the same well and site."""
    listed = [chosen_fields(row) for row in (one, other)]
    if None not in listed:
        return bool(set(listed[0]) & set(listed[1]))
    if listed != [None, None]:
        fields, row = (listed[0], other) if listed[1] is None else (listed[1], one)
        wells, sites = chosen_wells(row), chosen_sites(row)
        return any((wells is None or well in wells) and (sites is None or site in sites) for well, site in fields)
    pairs = [(chosen(one), chosen(other)) for chosen in (chosen_wells, chosen_sites)]
    return all(first is None or second is None or set(first) & set(second) for first, second in pairs)


def problems(study) -> Iterator[str]:
    """Say which rows of the plate table name parts that can't be, or parts that another row of the same plate has too."""
    rows, columns = study.config["prepare"]["grid"]
    used: dict[tuple, list[str]] = {}
    for name, plate in study.plates.items():
        try:
            chosen_wells(plate), chosen_fields(plate)
        except ValueError as error:
            yield f"plate {name}: {error}"
            continue
        tiles = plate_tiles(plate, rows * columns)
        if max(tiles) > rows * columns:
            yield f"plate {name}: region {plate['region']} is outside the {rows} x {columns} tiles of prepare.grid"
        barcode = plate.get("barcode", name)
        others = used.setdefault((plate.get("source"), plate.get("batch"), barcode), [])
        for other in others:
            shared = set(tiles) & set(plate_tiles(study.plates[other], rows * columns))
            if shared and overlap(plate, study.plates[other]):
                yield f"plates {other} and {name}: tile {min(shared)} of {barcode} is in both regions"
        others.append(name)
