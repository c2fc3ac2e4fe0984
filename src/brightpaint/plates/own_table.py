"""The user's own files: a CSV that names the images of its plates (layout `table`), and compounds.

The CSV is read a row at a time: it may name every image of a screen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.plates import load_data, own_columns, platemaps
from brightpaint.plates.compounds import compound_table, molecule_table, structures
from brightpaint.plates.files import Files
from brightpaint.plates.keys import check_key
from brightpaint.plates.molarity import is_dose
from brightpaint.plates.own_columns import ABOUT, DOSE, Taken
from brightpaint.study.plate_table import safe_name

TABLE_COLUMNS = ["plate", "well", "site", "channel", "file"]
OF_WELL = ["cell_line", "time_h"]  # what a well has, and its dose, where the others are its compound's


def own_compounds(path: str) -> pd.DataFrame:
    """Return the compound metadata that the config names."""
    return compound_table(platemaps.read_own_table(path, "source.compounds"), path)


def own_structures(settings: dict, samples: set[str], known: pd.DataFrame) -> dict[str, str]:
    """Return {sample: SMILES} from the table of molecules that the config names (`source.molecules`, packed or not)."""
    path = settings.get("molecules")
    if not path:
        return {}
    return structures(samples, known, molecule_table(platemaps.read_own_table(path, "source.molecules"), path))


@contextlib.contextmanager
def opened(settings: dict) -> Iterator[tuple[platemaps.Table, Taken]]:
    """Open the user's own CSV: its rows under the names that columns have here, and which of its columns those are."""
    path = settings["table"]
    with store.open_bytes(path, "source.table") as handle:
        table = platemaps.open_text_table(handle, path, separator=",")
        columns = own_columns.taken(table.columns, TABLE_COLUMNS, path, settings.get("dose_unit"))
        platemaps.require_columns(table, [name for name in TABLE_COLUMNS if name not in columns.sources], path)
        yield own_columns.renamed(table, columns, path), columns


def is_plate(name: str, barcode: str) -> bool:
    """Return whether a plate of the CSV is meant by that name; the plate table has _ for blanks and the like."""
    return barcode in (name, safe_name(name))


def columns_told(settings: dict) -> str:
    """Say which columns of the user's own CSV are taken for what, and which are not; "" where all bear their names."""
    with opened(settings) as (_, columns):
        return own_columns.told(columns)


def survey(table: platemaps.Table, columns: Taken, barcode: str, path: str) -> tuple[list[str], pd.DataFrame]:
    """Return a plate's channels, sorted, and what is said of its wells, each statement once; doses under their own name."""
    plates, channels, wells, spellings = set(), set(), {}, set()
    said = ["well", *(name if name != DOSE else columns.dose or DOSE for name in ABOUT)]
    for row in table.records():
        plates.add(row["plate"])
        if is_plate(row["plate"], barcode):
            spellings.add(row["plate"])
            channels.add(row["channel"])
            wells[tuple(row.get(name, "") for name in said)] = None
    if not wells:
        there = ", ".join(sorted(plates)[:5])
        raise ValueError(f"{path}: no row of plate {barcode}; found {there}; correct the plate table or this file")
    if len(spellings) > 1:
        raise ValueError(f"{path}: the plates {', '.join(sorted(spellings))} are both {barcode}; rename one")
    return sorted(channels), pd.DataFrame(list(wells), columns=said, dtype=str)


def first_files(settings: dict, plates: dict[str, dict]) -> dict[str, str]:
    """Return {plate: the first file that the user's own CSV names of it}; `plates` are rows of the plate table."""
    found: dict[str, str] = {}
    with opened(settings) as (table, _):
        for row in table.records():
            for name, plate in plates.items():
                if name not in found and row["file"] and is_plate(row["plate"], plate.get("barcode", name)):
                    found[name] = row["file"]
            if len(found) == len(plates):
                break
    return found


def table_files(table: platemaps.Table, chosen: dict, plate: dict, name: str) -> Iterator[tuple]:
    """Yield (well, site, channel, key) of a plate's images in the user's own CSV."""
    names, barcode = {alias: channel for channel, alias in chosen.items()}, plate.get("barcode", plate["plate"])
    for row in table.records():
        if not is_plate(row["plate"], barcode) or row["channel"] not in names:
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
    with opened(settings["source"]) as (table, columns):
        channels, said = survey(table, columns, plate.get("barcode", plate["plate"]), path)
    chosen = load_data.match_channels(settings["channels"], channels, load_data.read_aliases(), path)
    with opened(settings["source"]) as (table, _):
        files.add(table_files(table, chosen, plate, path))
    return files, table_wells(said, settings["source"], path)


def plate_wells(source: dict, barcode: str, root: Path) -> pd.DataFrame:
    """Return the annotated wells of one plate in the user's own CSV, which is read once; nothing is asked of its images.

    Parameters
    ----------
    source : the config's section; its paths are relative to `root`
    """
    own = {key: str(root / source[key]) for key in ("table", "compounds", "molecules") if source[key]}
    settings = {**source, **own}
    with opened(settings) as (table, columns):
        _, said = survey(table, columns, barcode, settings["table"])
    return table_wells(said, settings, settings["table"])


def table_wells(said: pd.DataFrame, settings: dict, name: str) -> pd.DataFrame:
    """Return the annotated wells of the user's own CSV; statements on one well that disagree are an error."""
    wells = said.assign(well=[platemaps.normal_well(well, name) for well in said["well"]]).drop_duplicates()
    twice = wells[wells.duplicated("well")]
    if len(twice):
        raise ValueError(f"{name}: the rows of well {twice['well'].iloc[0]} disagree on {', '.join(ABOUT)}")
    stated = wells.assign(broad_sample=wells["perturbation"])
    told = stated.assign(target="", control_type="") if settings["compounds"] else stated
    own = compound_table(told[told["broad_sample"] != ""], name)
    known = own_compounds(settings["compounds"]) if settings["compounds"] else own
    drawn = own_structures(settings, set(own["broad_sample"]), known)
    drawn |= {row.broad_sample: row.smiles for row in own.itertuples() if row.smiles}
    doses = [column for column in stated.columns if is_dose(column)]
    platemap = stated.rename(columns={"well": "well_position"})[["well_position", "broad_sample", *doses, *OF_WELL]]
    unit = settings.get("dose_unit")
    return platemaps.annotate_wells(platemap, known, name, blank_is_dmso=False, structures=drawn, dose_unit=unit)
