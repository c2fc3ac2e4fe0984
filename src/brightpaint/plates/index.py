"""List the image files of a plate, one row per field and channel, joined with platemap and compound metadata.

In layout `gallery` a plate's `load_data` table names them; in layout `table` the user's own CSV does.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import annotations, gallery, load_data, sources
from brightpaint.plates.files import Files
from brightpaint.plates.missing import expected_fields, find_missing, list_excluded, refuse_missing
from brightpaint.study import choice

TABLE_COLUMNS = ["plate", "well", "site", "channel", "file"]
TABLE_OPTIONAL = ["perturbation", "target", "control_type"]
log = logging.getLogger(__name__)


def table_files(table: annotations.Table, chosen: dict, plate: dict, name: str) -> Iterator[tuple]:
    """Yield (well, site, channel, key) of a plate's images in the user's own CSV."""
    names, barcode = {alias: channel for channel, alias in chosen.items()}, plate.get("barcode", plate["plate"])
    for row in table.records():
        if row["plate"] != barcode or row["channel"] not in names:
            continue
        well = annotations.normal_well(row["well"], name)
        site = load_data.normal_site(row["site"], f"{name}, well {well}")
        channel = names[row["channel"]]
        where = f"{name}: plate {plate['plate']}, well {well}, site {site}, channel {channel}"
        yield well, site, channel, sources.check_key(row["file"], where) if row["file"] else ""


# --- a plate's files and wells, by layout ---


def gallery_plate(source, settings: dict) -> tuple[Files, pd.DataFrame]:
    """Return (files, wells) of a plate in the gallery's layout."""
    plate, aliases = gallery.plate_row(settings["plate"]), load_data.read_aliases()
    candidates, files = gallery.find_load_data(source, plate), Files(settings["channels"])
    for key in candidates:
        name = source.describe(key)
        with source.open(key) as handle:
            table = load_data.read(handle, name)
            try:
                found = load_data.image_columns(table.columns)
                chosen = load_data.match_channels(settings["channels"], found, aliases, name)
            except ValueError:
                if key == candidates[-1]:
                    raise
                continue
            files.add(load_data.image_files(table, chosen, plate, source, name))
            break
    return files, gallery_wells(source, plate, settings["source"]["compounds"])


def gallery_wells(source, plate: dict, compounds: str | None) -> pd.DataFrame:
    """Return the annotated wells of a plate in the gallery's layout."""
    folder = f"{gallery.workspace(plate)}/metadata/platemaps/{plate['batch']}"
    key = f"{folder}/barcode_platemap.csv"
    name = f"{source.describe(key)} (plate {plate['plate']})"
    barcodes = annotations.read_text_table(source.read(key), name, separator=",")
    annotations.require_columns(barcodes, ["Assay_Plate_Barcode", "Plate_Map_Name"], name)
    maps = sorted(set(barcodes.loc[barcodes["Assay_Plate_Barcode"] == plate["barcode"], "Plate_Map_Name"]))
    if len(maps) != 1:
        raise ValueError(
            f"{name}: expected one platemap of plate {plate['barcode']}, found {', '.join(maps) or 'none'}; correct it, "
            "or barcode in the plate table"
        )
    key = sources.check_key(f"{folder}/platemap/{maps[0]}.txt", name)
    name = f"{source.describe(key)} (plate {plate['plate']})"
    platemap = annotations.read_text_table(source.read(key), name)
    annotations.require_columns(platemap, ["well_position", "broad_sample"], name)
    samples = set(platemap["broad_sample"]) - {""}
    return annotations.annotate_wells(platemap, gallery_compounds(source, plate, compounds, samples), name)


def gallery_compounds(source, plate: dict, compounds: str | None, samples: set[str]) -> pd.DataFrame:
    """Return what is known of `samples`: from the file `compounds`, else from the gallery's external metadata."""
    if compounds:
        return own_compounds(compounds)
    folder = f"{gallery.workspace(plate)}/metadata/external_metadata"
    tables = {}
    for key in source.list(folder + "/"):
        name = source.describe(key)
        frame = annotations.read_text_table(source.read(key), name) if key.endswith(".tsv") else pd.DataFrame()
        if "broad_sample" in frame.columns and {"target_list", "target", "gene"} & set(frame.columns):
            tables[name] = annotations.compound_table(frame, name)
    if not tables:
        raise ValueError(
            f"{source.describe(folder)}/: no .tsv with the columns broad_sample and target or target_list; "
            "set source.compounds to a file that has them"
        )
    return annotations.merge_compounds(tables, samples)


def own_compounds(path: str) -> pd.DataFrame:
    """Return the compound metadata that the config names."""
    data = store.read_bytes(path, "source.compounds")
    return annotations.compound_table(annotations.read_text_table(data, path), path)


@contextlib.contextmanager
def own_table(path: str) -> Iterator[annotations.Table]:
    """Open the user's own CSV."""
    with store.open_bytes(path, "source.table") as handle:
        table = annotations.open_text_table(handle, path, separator=",")
        annotations.require_columns(table, TABLE_COLUMNS, path)
        known = TABLE_COLUMNS + TABLE_OPTIONAL
        for column in set(table.columns) - set(known):
            if near := difflib.get_close_matches(column, known, 1, 0.8):
                raise ValueError(f"{path}: unknown column {column}; did you mean {near[0]}?")
        yield table


def survey(table: annotations.Table, barcode: str, path: str) -> tuple[list[str], pd.DataFrame]:
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


def table_plate(settings: dict) -> tuple[Files, pd.DataFrame]:
    """Return (files, wells) of a plate in the user's own CSV, which is read twice."""
    plate, path, files = settings["plate"], settings["source"]["table"], Files(settings["channels"])
    if not path:
        raise ValueError("source.table: layout table needs a CSV with the columns " + ", ".join(TABLE_COLUMNS))
    with own_table(path) as table:
        channels, said = survey(table, plate.get("barcode", plate["plate"]), path)
    chosen = load_data.match_channels(settings["channels"], channels, load_data.read_aliases(), path)
    with own_table(path) as table:
        files.add(table_files(table, chosen, plate, path))
    return files, table_wells(said, settings["source"]["compounds"], path)


def table_wells(said: pd.DataFrame, compounds: str | None, name: str) -> pd.DataFrame:
    """Return the annotated wells of the user's own CSV; statements on one well that disagree are an error."""
    wells = said.assign(well=[annotations.normal_well(well, name) for well in said["well"]]).drop_duplicates()
    twice = wells[wells.duplicated("well")]
    if len(twice):
        raise ValueError(f"{name}: the rows of well {twice['well'].iloc[0]} disagree on {', '.join(TABLE_OPTIONAL)}")
    if compounds:
        known = own_compounds(compounds)
    else:
        stated = wells.assign(broad_sample=wells["perturbation"])
        known = annotations.compound_table(stated[stated["broad_sample"] != ""], name)
    platemap = pd.DataFrame({"well_position": wells["well"], "broad_sample": wells["perturbation"]})
    return annotations.annotate_wells(platemap, known, name, blank_is_dmso=False)


# --- the index ---


def check_fields(files: Files, wells: pd.DataFrame, plate: str) -> None:
    """Raise ValueError for an image named twice and for a well that is not on the platemap."""

    def place(row: dict) -> str:
        return store.describe_field({"Metadata_Plate": plate, **row}, row["Channel"])

    if row := files.listed_twice():
        raise ValueError(
            f"{place(row)}: expected one row, found it listed twice, again as "
            f"{row['key']}; take one out of the table that lists the images, then run the rule index again"
        )
    if same := files.named_twice():
        raise ValueError(
            f"{same[0]['key']}: expected the image of one field and channel, found it named for both {place(same[0])} "
            f"and {place(same[1])}; correct the table that lists the images, then run the rule index again"
        )
    if unknown := sorted(files.wells() - set(wells["Metadata_Well"])):
        row = files.of_well(unknown[0])
        raise ValueError(
            f"{place(row)}: expected a well of the platemap, found {row['key']} of one "
            f"that is not on the platemap ({len(unknown)} such wells); check that the plate's platemap is the right one, "
            "then run the rule index again"
        )


def index_rows(files: Files, wells: pd.DataFrame, plate: dict) -> Iterator[dict]:
    """Yield the rows of the index: one per field and channel, by well, site and the order of the channels."""
    first = {"Metadata_Source": plate.get("source", ""), "Metadata_Batch": plate.get("batch", "")}
    known = wells.set_index("Metadata_Well")[annotations.ANNOTATIONS].to_dict("index")
    for well, site, channel, key, size, etag in files:
        place = {"Metadata_Plate": plate["plate"], "Metadata_Well": well, "Metadata_Site": site}
        name = f"{well}_s{site}_{channel}.tif"
        yield {
            **place,
            **first,
            **known[well],
            "Channel": channel,
            "key": key,
            "file": name,
            "size": size,
            "etag": etag,
        }


def excluded_names(settings: dict) -> set[str]:
    """Return the perturbations and fields (plate/well/site) that `source.exclude` names."""
    path = settings["source"]["exclude"]
    return annotations.read_exclusions(store.read_bytes(path, "source.exclude"), path) if path else set()


def choose(files: Files, wells: pd.DataFrame, settings: dict, excluded: set[str]) -> pd.DataFrame:
    """Return the wells that the plate row names and that are not `excluded`; `files` of others are dropped."""
    plate, path = settings["plate"], settings["source"]["exclude"]
    named, sites = choice.chosen_wells(plate), choice.chosen_sites(plate)
    if named is not None:
        if unknown := sorted(set(named) - set(wells["Metadata_Well"])):
            raise ValueError(
                f"plate {plate['plate']}: well {unknown[0]} of the plate table is not on the platemap "
                f"({len(unknown)} such wells); correct its column wells"
            )
        wells = wells[wells["Metadata_Well"].isin(named)]
    gone = wells["Metadata_perturbation"].isin(excluded)
    wells = wells[~gone]
    files.drop_wells(files.wells() - set(wells["Metadata_Well"]))
    if sites is not None:
        files.drop_sites(set(files.sites()) - set(sites))
    log.info("%s: %d wells left out", path, gone.sum())
    if not len(files):
        mend = f"{path}: excludes every well with images; correct source.exclude" if path else "correct wells and sites"
        raise ValueError(f"plate {plate['plate']}: no images are left; {mend} in the plate table")
    return wells


def list_named(settings: dict, source) -> tuple[Files, pd.DataFrame, set[tuple[str, int]]]:
    """Return (files, wells, gone) that a plate's tables name and the study wants, before any file is looked for.

    `gone` are the (well, site) that `source.exclude` names. A plan counts the user's own CSV by this, without a `source`.
    """
    own = settings["source"]["layout"] == "table"
    files, wells = table_plate(settings) if own else gallery_plate(source, settings)
    check_fields(files, wells, settings["plate"]["plate"])
    excluded = excluded_names(settings)
    wells = choose(files, wells, settings, excluded)
    return files, wells, choice.excluded_fields(excluded, settings["plate"])


def list_plate(settings: dict) -> tuple[Files, pd.DataFrame, pd.DataFrame]:
    """Return (files, wells, missing) of a plate: `files` of whole fields, `wells` as annotated.

    Parameters
    ----------
    settings : source, plate and channels, as `stage_settings("index")` gives them

    Raises
    ------
    ValueError
        for whatever keeps the plate from being whole; with `source.missing: skip` fields that lack a file are left
        out and returned as `missing` instead
    """
    source, plate = sources.open_source(settings["source"]), settings["plate"]
    own = settings["source"]["layout"] == "table"
    files, wells, gone = list_named(settings, source)
    files.note(source.find(files.keys()))
    fields = [field for field in expected_fields(files, wells, plate, every_well=not own) if field not in gone]
    missing = find_missing(files, fields, plate["plate"])
    if len(missing) and settings["source"]["missing"] == "error":
        refuse_missing(missing, len(fields) * len(files.channels), source)
    missing = pd.concat([missing, list_excluded(files, gone, plate["plate"])], ignore_index=True)
    files.drop_fields(set(zip(missing["Metadata_Well"], missing["Metadata_Site"])))
    if not len(files):
        first = missing.iloc[0]
        raise ValueError(
            f"plate {plate['plate']}: every field lacks a file, first {first['expected'] or first['reason']}; "
            "nothing is left"
        )
    return files, wells, missing


def index_plate(settings: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (index, missing) of a plate as whole frames (see `list_plate`)."""
    files, wells, missing = list_plate(settings)
    return pd.DataFrame(index_rows(files, wells, settings["plate"])), missing


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--missing", type=Path, required=True)
    args = parser.parse_args(argv)
    files, wells, missing = list_plate(args.settings)
    log.info("%d fields of %d wells, %.2f GB", len(files.fields()), len(files.wells()), files.total_bytes() / 1e9)
    if len(missing):
        left_out = missing.groupby(["Metadata_Well", "Metadata_Site"]).ngroups
        log.warning("%d fields left out for want of %d files: %s", left_out, len(missing), args.missing)
    store.write_table(missing, args.missing)
    store.write_rows(index_rows(files, wells, args.settings["plate"]), args.index)


if __name__ == "__main__":
    run(main)
