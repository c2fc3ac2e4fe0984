"""Check that every line of `source.exclude` names something of the study: a slip of the pen would leave a compound in.

The index of a plate checks what names that plate; here the lines are held against all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import gallery, index, left_out, own_table, sources


def gallery_plates(settings: dict) -> Iterator[left_out.Plate]:
    """Yield what is known of each of the gallery's plates, which are read when they are asked for."""
    source = sources.open_source(settings["source"])
    for row in settings["plates"]:
        wells = index.gallery_wells(source, gallery.plate_row(row), settings["source"])
        yield index.nameable(wells, row)


def csv_plates(source: dict) -> list[left_out.Plate]:
    """Return what is known of the plates of the user's own CSV; `source` is the config's section."""
    with own_table.opened(source) as (table, _):
        return left_out.plates_of_table(table, source["table"])


def check_lines(settings: dict) -> pd.DataFrame:
    """Return one row a line: line, kind (perturbation, place), name.

    Raises
    ------
    ValueError
        naming every line that names nothing of any plate
    """
    path = settings["source"]["exclude"]
    names = {row.get(key, row["plate"]) for row in settings["plates"] for key in ("plate", "barcode")}
    lines, rows, seen = left_out.read_lines(path), {}, []
    own = csv_plates(settings["source"]) if settings["source"]["layout"] == "table" else None
    names = names.union(*(plate.names for plate in own or [] if plate.names & names))  # may be spelt otherwise there
    rows |= {line: ("place", left_out.readings(line)[-1]) for line in lines if left_out.names_a_place(line, names)}
    remaining = gallery_plates(settings) if own is None else iter(own)
    while len(rows) < len(lines) and (plate := next(remaining, None)):
        seen.append(plate)
        for line in lines:
            if line not in rows and (found := left_out.named_by(line, plate, path)) and found.perturbation:
                rows[line] = ("perturbation", found.perturbation)
    left_out.refuse([line for line in lines if line not in rows], seen, path, "this study")
    return pd.DataFrame([(line, *rows[line]) for line in lines], columns=["line", "kind", "name"], dtype=str)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--table", type=Path, required=True)
    args = parser.parse_args(argv)
    store.write_table(check_lines(args.settings), args.table)


if __name__ == "__main__":
    run(main)
