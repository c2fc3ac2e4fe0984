"""Join what the user knows of the wells (`wells.csv`) to a list of images: one row a well, or a site, or a file.

Columns kept are those that the CSV of layout `table` may have. A dose in another unit is brought to micromolar where a
column says that unit, and refused where none does.
"""

from __future__ import annotations

import logging
from decimal import Decimal, InvalidOperation

import pandas as pd

from brightpaint import store
from brightpaint.plates import load_data, own_columns, platemaps
from brightpaint.plates.molarity import MICROMOLAR, is_dose, scale_of
from brightpaint.plates.own_columns import ABOUT
from brightpaint.study.plate_table import safe_name

KEYS = ["file", "plate", "well", "site"]
UNITS = ["unit", "units", "dose_unit", "dose_units", "conc_unit", "concentration_unit", "concentration_units"]
NUMBERS = ["dose_um", "time_h"]
log = logging.getLogger(__name__)


def read_wells(path: str) -> pd.DataFrame:
    """Return the user's table of wells: text, its keys and what it says of the wells, doses in micromolar.

    Raises
    ------
    ValueError
        for a table without wells, a dose without a unit, and a number that is none
    """
    table = platemaps.read_text_table(store.read_bytes(path, "--metadata"), path, separator=",")
    wells, told = _known(table, path)
    platemaps.require_columns(wells, ["well"], path)
    wells["well"] = [platemaps.normal_well(well, path) for well in wells["well"]]
    if "plate" in wells.columns:
        wells["plate"] = [safe_name(plate) for plate in wells["plate"]]
    if bare := [column for column in table.columns if is_dose(column) and scale_of(column) is None]:
        wells = _in_micromolar(wells, table, bare, path)
    if told:
        log.info("%s: %s", path, told)
    for column in set(NUMBERS) & set(wells.columns):
        wells[column] = [
            _number(text, f"{path}, well {well}, {column}") for text, well in zip(wells[column], wells["well"])
        ]
    if "site" in wells.columns:
        wells["site"] = [
            load_data.normal_site(site, f"{path}, well {well}") for site, well in wells[["site", "well"]].values
        ]
    if not (set(ABOUT) | {"file"}) & set(wells.columns):
        raise ValueError(
            f"{path}: expected a column of {', '.join(ABOUT)}, found {', '.join(table.columns)}; rename what it says of the wells"
        )
    return wells[[column for column in KEYS + ABOUT if column in wells.columns]]


def _known(table: pd.DataFrame, path: str) -> tuple[pd.DataFrame, str]:
    """Return the columns that are known, under the names that they have here, and which were taken for what."""
    bare = [column for column in table.columns if is_dose(column) and scale_of(column) is None]
    units = [column for column in table.columns if platemaps.word_of(column) in UNITS] if bare else []
    columns = own_columns.taken([column for column in table.columns if column not in [*bare, *units]], KEYS, path)
    renamed = own_columns.renamed(platemaps.Table(list(table.columns), iter(table.values.tolist())), columns, path)
    wells = pd.DataFrame(list(renamed.rows), columns=renamed.columns, dtype=str)
    if columns.dose and columns.dose != own_columns.DOSE:
        factor, where = Decimal(repr(scale_of(columns.dose))), f"{path}, {columns.dose}"
        told = [_number(text, where) for text in wells[columns.dose]]
        wells[columns.dose] = [f"{(Decimal(text) * factor).normalize():f}" if text else "" for text in told]
        wells = wells.rename(columns={columns.dose: own_columns.DOSE})
    return wells, own_columns.told(columns)


def _in_micromolar(wells: pd.DataFrame, table: pd.DataFrame, bare: list[str], path: str) -> pd.DataFrame:
    """Return the wells with `dose_um`, from a column of doses and the column that says its unit."""
    unit = next((column for column in table.columns if platemaps.word_of(column) in UNITS), None)
    if unit is None or "dose_um" in wells.columns or len(bare) > 1:
        found = " and ".join([*bare, *({"dose_um"} & set(wells.columns))])
        found += "" if unit else ", of which no column says the unit"
        raise ValueError(f"{path}: expected dose_um (micromolar), or dose beside unit (nM, uM, mM), found {found}")
    doses = []
    for well, dose, said in zip(wells["well"], table[bare[0]], table[unit]):
        factor = MICROMOLAR.get(said.strip().lower())
        if factor is None and dose:
            raise ValueError(f"{path}, well {well}: expected a unit such as nM, uM or mM, found {said!r}; give dose_um")
        doses.append(
            f"{(Decimal(_number(dose, f'{path}, well {well}, {bare[0]}')) * factor).normalize():f}" if dose else ""
        )
    return wells.assign(dose_um=doses)


def _number(text: str, where: str) -> str:
    """Return a number's text as it stands; one that is negative or none is an error."""
    try:
        if not text or (Decimal(text).is_finite() and Decimal(text) >= 0):
            return text
    except InvalidOperation:
        pass
    raise ValueError(f"{where}: expected a number of 0 or more, or nothing, found {text!r}; correct it")


def of_files(wells: pd.DataFrame, path: str) -> dict[str, dict]:
    """Return {file: what the table says of its plate, well and site}; a key on which its rows differ is no file's own."""
    if "file" not in wells.columns:
        return {}
    told = {}
    for file, rows in wells.groupby("file"):
        own = {key: set(rows[key]) for key in KEYS[1:] if key in rows.columns}
        if len(own["well"]) > 1:
            raise ValueError(f"{path}: {file} is named for the wells {', '.join(sorted(own['well']))}; keep one")
        told[file] = {key: values.pop() for key, values in own.items() if len(values) == 1}
    return told


def join(images: pd.DataFrame, wells: pd.DataFrame, path: str) -> pd.DataFrame:
    """Return the images with what is said of their wells; an image of a well that is not there is an error.

    Parameters
    ----------
    images : plate, well, site and others
    wells : as `read_wells` returns it; joined by those of plate, well and site that it has
    path : the table's name, for messages
    """
    keys = [key for key in KEYS[1:] if key in wells.columns]
    said = wells.drop(columns="file", errors="ignore").drop_duplicates()
    if len(twice := said[said.duplicated(keys)]):
        place = ", ".join(f"{key} {twice[key].iloc[0]}" for key in keys)
        raise ValueError(f"{path}: rows of {place} disagree; keep one")
    joined = images.merge(said, on=keys, how="left", validate="many_to_one", indicator="known")
    if len(lacking := joined[joined["known"] != "both"]):
        place = ", ".join(f"{key} {lacking[key].iloc[0]}" for key in keys)
        raise ValueError(
            f"{path}: expected a row of {place}, found none ({len(lacking)} images of such wells); add it, with empty cells "
            "where nothing is known"
        )
    return joined.drop(columns="known")
