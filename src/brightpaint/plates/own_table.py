"""The user's own files: a CSV that names the images of its plates (layout `table`), and compounds.

The CSV is read a row at a time: it may name every image of a screen.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator

import pandas as pd

from brightpaint import store
from brightpaint.plates import load_data, platemaps
from brightpaint.plates.files import Files
from brightpaint.plates.keys import check_key

TABLE_COLUMNS = ["plate", "well", "site", "channel", "file"]
TABLE_OPTIONAL = ["perturbation", "target", "control_type"]


def own_compounds(path: str) -> pd.DataFrame:
    """Return the compound metadata that the config names."""
    data = store.read_bytes(path, "source.compounds")
    return platemaps.compound_table(platemaps.read_text_table(data, path), path)


@contextlib.contextmanager
def opened(path: str) -> Iterator[platemaps.Table]:
    """Open the user's own CSV."""
    with store.open_bytes(path, "source.table") as handle:
        table = platemaps.open_text_table(handle, path, separator=",")
        platemaps.require_columns(table, TABLE_COLUMNS, path)
        known = TABLE_COLUMNS + TABLE_OPTIONAL
        for column in set(table.columns) - set(known):
            if near := difflib.get_close_matches(column, known, 1, 0.8):
                raise ValueError(f"{path}: unknown column {column}; did you mean {near[0]}?")
        yield table


def survey(table: platemaps.Table, barcode: str, path: str) -> tuple[list[str], pd.DataFrame]:
    """Return a plate's channels, sorted, and what is said of its wells, each statement once."""
    plates, channels, wells = set(), set(), {}
    for row in table.records():
        plates.add(row["plate"])
        if row["plate"] == barcode:
            channels.add(row["channel"])
            wells[tuple(row.get(name, "") for name in ["well", *TABLE_OPTIONAL])] = None
    if not wells:
        there = ", ".join(sorted(plates)[:5])
        raise ValueError(f"{path}: no row of plate {barcode}; found {there}; correct the plate table or this file")
    return sorted(channels), pd.DataFrame(list(wells), columns=["well", *TABLE_OPTIONAL], dtype=str)


def table_files(table: platemaps.Table, chosen: dict, plate: dict, name: str) -> Iterator[tuple]:
    """Yield (well, site, channel, key) of a plate's images in the user's own CSV."""
    names, barcode = {alias: channel for channel, alias in chosen.items()}, plate.get("barcode", plate["plate"])
    for row in table.records():
        if row["plate"] != barcode or row["channel"] not in names:
            continue
        well = platemaps.normal_well(row["well"], name)
        site = load_data.normal_site(row["site"], f"{name}, well {well}")
        channel = names[row["channel"]]
        where = f"{name}: plate {plate['plate']}, well {well}, site {site}, channel {channel}"
        yield well, site, channel, check_key(row["file"], where) if row["file"] else ""


def table_plate(settings: dict) -> tuple[Files, pd.DataFrame]:
    """Return (files, wells) of a plate in the user's own CSV, which is read twice."""
    plate, path, files = settings["plate"], settings["source"]["table"], Files(settings["channels"])
    if not path:
        raise ValueError("source.table: layout table needs a CSV with the columns " + ", ".join(TABLE_COLUMNS))
    with opened(path) as table:
        channels, said = survey(table, plate.get("barcode", plate["plate"]), path)
    chosen = load_data.match_channels(settings["channels"], channels, load_data.read_aliases(), path)
    with opened(path) as table:
        files.add(table_files(table, chosen, plate, path))
    return files, table_wells(said, settings["source"]["compounds"], path)


def table_wells(said: pd.DataFrame, compounds: str | None, name: str) -> pd.DataFrame:
    """Return the annotated wells of the user's own CSV; statements on one well that disagree are an error."""
    wells = said.assign(well=[platemaps.normal_well(well, name) for well in said["well"]]).drop_duplicates()
    twice = wells[wells.duplicated("well")]
    if len(twice):
        raise ValueError(f"{name}: the rows of well {twice['well'].iloc[0]} disagree on {', '.join(TABLE_OPTIONAL)}")
    if compounds:
        known = own_compounds(compounds)
    else:
        stated = wells.assign(broad_sample=wells["perturbation"])
        known = platemaps.compound_table(stated[stated["broad_sample"] != ""], name)
    platemap = pd.DataFrame({"well_position": wells["well"], "broad_sample": wells["perturbation"]})
    return platemaps.annotate_wells(platemap, known, name, blank_is_dmso=False)
