"""Check that the classes which a study sets against one another are there, in wells enough: before any image is fetched.

Where wells are known already, from their index or the user's own CSV, the plan says so itself; else the rule does, as soon as the
plates are listed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import own_table
from brightpaint.study.annotations import ANNOTATIONS, annotated
from brightpaint.study.axes import SECTIONS, classes_of, group_names, plates_of, refuse_classes, text_of
from brightpaint.study.study import Study

COLUMNS = ["name", "class", "groups", "wells", "plates"]


def wells_of_index(path: Path, row: Mapping) -> pd.DataFrame:
    """Return the wells of a plate's index, one row each; `row` holds what the plate table says of its cells."""
    frame = store.read_table(path)
    names = [name for name in (*store.WELL_KEYS, "Metadata_Source", "Metadata_Batch", *ANNOTATIONS) if name in frame]
    return _with_cells(frame[names].drop_duplicates(store.WELL_KEYS), row)


def _with_cells(wells: pd.DataFrame, row: Mapping) -> pd.DataFrame:
    said = {f"Metadata_{name}": float(value) if name == "time_h" else value for name, value in row.items() if value}
    return wells.assign(
        **{name: value for name, value in said.items() if name in ("Metadata_cell_line", "Metadata_time_h")}
    )


def check_classes(wells: pd.DataFrame, entries: Sequence[Mapping]) -> tuple[list[str], pd.DataFrame]:
    """Return what is wrong with the classes, and one row a class: COLUMNS.

    Parameters
    ----------
    wells : one row a well of every plate
    entries : of `axes` and `zero_shot`, with their section and the plates whose wells are classed
    """
    problems, rows = [], []
    for entry in entries:
        own = wells[wells["Metadata_Plate"].isin(entry["plates"])]
        problems += refuse_classes(own, entry, f"{entry['section']}.{entry['name']}")
        values, groups = text_of(own, entry["annotation"]), group_names(own, entry["groups"])
        for name, chosen in (classes_of(entry) or {value: [value] for value in sorted(set(values) - {""})}).items():
            in_class = values.isin(chosen)
            rows.append((entry["name"], name, groups[in_class].nunique(), int(in_class.sum()),
                         own.loc[in_class, "Metadata_Plate"].nunique()))  # fmt: skip
    return problems, pd.DataFrame(rows, columns=COLUMNS)


def known_wells(study: Study, root: Path, plates: Sequence[str]) -> pd.DataFrame | None:
    """Return the wells of plates as far as they are known without the network; None where one's are not."""
    found, source = [], study.config["source"]
    for plate in plates:
        row = study.plates[plate]
        index = root / study.config["pathvars"]["resources"] / "index" / f"{plate}.parquet"
        if index.is_file():
            found.append(wells_of_index(index, row))
        elif source["layout"] == "table" and (root / (source["table"] or "none")).is_file():
            wells = own_table.plate_wells(source, row.get("barcode", plate), root)
            rows = pd.DataFrame([annotated(well) for well in wells.to_dict("records")], columns=ANNOTATIONS)
            rows = rows.assign(Metadata_Well=wells["Metadata_Well"].to_numpy(), Metadata_Plate=plate)
            places = {"Metadata_Source": row.get("source", ""), "Metadata_Batch": row.get("batch", "")}
            found.append(_with_cells(rows.assign(**places), row))
        else:
            return None
    return pd.concat(found, ignore_index=True) if found else None


def class_problems(study: Study, root: Path) -> Iterator[str]:
    """Say which classes the plates lack, where their wells are known at planning."""
    for section in SECTIONS:
        for entry in study.config[section]:
            if entry.get("study"):
                if not Path(entry["study"]).is_dir():
                    yield f"{section}.{entry['name']}.study: there is no folder {entry['study']}; expected another study's results"
                continue
            try:
                wells = known_wells(study, root, plates_of(study, entry))
            except ValueError:
                continue  # rule index says what is wrong with them
            if wells is not None:
                yield from check_classes(wells, [{"section": section, "plates": plates_of(study, entry), **entry}])[0]


def main(argv: Sequence[str] | None = None) -> None:
    """Check the classes of a study's axes among the wells of its plates."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: entries; plates, {plate: what the table says}"
    )
    parser.add_argument("--indices", type=Path, nargs="+", required=True)
    parser.add_argument("--table", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = args.settings["plates"]
    wells = pd.concat([wells_of_index(path, rows.get(path.stem, {})) for path in args.indices], ignore_index=True)
    problems, table = check_classes(wells, args.settings["entries"])
    if problems:
        raise ValueError("\n".join(problems))
    store.write_table(table, args.table)


if __name__ == "__main__":
    run(main)
