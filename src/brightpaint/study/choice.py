"""Which wells, sites and tiles a row of the plate table uses: `wells: A01:D06,P24`, `sites: 1,2`; empty for all."""

from __future__ import annotations

import re

WELL = r"([A-Za-z]{1,2})0*([1-9][0-9]?)"  # as people write it: a1, A1, A01
SPELLINGS = (
    "a1, A1 and A001 are read as A01, and Aa1 or AA01 as row 27 of 1536 wells; a quarter such as A01.a1 is not read: give row and "
    "column of the 1536"
)


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


def plate_tiles(plate: dict, count: int) -> list[int]:
    """Return the tile numbers (1-based, row by row) that a plate row uses of `count`."""
    region = plate.get("region")
    return sorted({int(number) for number in region.split(",")}) if region else list(range(1, count + 1))


def overlap(one: dict, other: dict) -> bool:
    """Return whether two plate rows may use the same well and site."""
    pairs = [(chosen(one), chosen(other)) for chosen in (chosen_wells, chosen_sites)]
    return all(first is None or second is None or set(first) & set(second) for first, second in pairs)
