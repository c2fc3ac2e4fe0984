"""List the image files of a plate, one row per field and channel, joined with platemap and compound metadata.

In layout `gallery` a plate's `load_data` table names them; in layout `table` the user's own CSV does.
"""

from __future__ import annotations

import argparse
import difflib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.cli import run
from brightpaint.plates import annotations, choice, gallery, load_data, sources
from brightpaint.plates.missing import expected_fields, find_missing, list_excluded, refuse_missing

TABLE_COLUMNS = ["plate", "well", "site", "channel", "file"]
TABLE_OPTIONAL = ["perturbation", "target", "control_type"]
log = logging.getLogger(__name__)


def table_files(frame: pd.DataFrame, chosen: dict, plate: dict, name: str) -> pd.DataFrame:
    """Return Metadata_Well, Metadata_Site, Channel, key of a plate's images in the user's own CSV."""
    names = {alias: channel for channel, alias in chosen.items()}
    files = []
    for row in frame[frame["channel"].isin(names)].to_dict("records"):
        well = annotations.normal_well(row["well"], name)
        site = load_data.normal_site(row["site"], f"{name}, well {well}")
        channel = names[row["channel"]]
        where = f"{name}: plate {plate['plate']}, well {well}, site {site}, channel {channel}"
        files.append([well, site, channel, sources.check_key(row["file"], where) if row["file"] else ""])
    return pd.DataFrame(files, columns=["Metadata_Well", "Metadata_Site", "Channel", "key"])


# --- a plate's files and wells, by layout ---


def gallery_plate(source, settings: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (files, wells) of a plate in the gallery's layout."""
    plate, aliases = gallery.plate_row(settings["plate"]), load_data.read_aliases()
    candidates = gallery.find_load_data(source, plate)
    for key in candidates:
        name = source.describe(key)
        frame = load_data.read(source.read(key), name)
        try:
            chosen = load_data.match_channels(settings["channels"], load_data.image_columns(frame), aliases, name)
            break
        except ValueError:
            if key == candidates[-1]:
                raise
    files = load_data.image_files(frame, chosen, plate, source, name)
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


def table_plate(settings: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (files, wells) of a plate in the user's own CSV."""
    plate, path = settings["plate"], settings["source"]["table"]
    if not path:
        raise ValueError("source.table: layout table needs a CSV with the columns " + ", ".join(TABLE_COLUMNS))
    frame = annotations.read_text_table(store.read_bytes(path, "source.table"), path, separator=",")
    annotations.require_columns(frame, TABLE_COLUMNS, path)
    known = TABLE_COLUMNS + TABLE_OPTIONAL
    for column in set(frame.columns) - set(known):
        if near := difflib.get_close_matches(column, known, 1, 0.8):
            raise ValueError(f"{path}: unknown column {column}; did you mean {near[0]}?")
    barcode = plate.get("barcode", plate["plate"])
    rows = frame[frame["plate"] == barcode].reset_index(drop=True)
    if rows.empty:
        there = ", ".join(sorted(set(frame["plate"]))[:5])
        raise ValueError(f"{path}: no row of plate {barcode}; found {there}; correct the plate table or this file")
    chosen = load_data.match_channels(
        settings["channels"], sorted(set(rows["channel"])), load_data.read_aliases(), path
    )
    return table_files(rows, chosen, plate, path), table_wells(rows, settings["source"]["compounds"], path)


def table_wells(rows: pd.DataFrame, compounds: str | None, name: str) -> pd.DataFrame:
    """Return the annotated wells of the user's own CSV; rows of one well that disagree are an error."""
    rows = rows.reindex(columns=TABLE_COLUMNS + TABLE_OPTIONAL, fill_value="")
    rows = rows.assign(well=[annotations.normal_well(well, name) for well in rows["well"]])
    wells = rows[["well", *TABLE_OPTIONAL]].drop_duplicates()
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


def check_fields(files: pd.DataFrame, wells: pd.DataFrame, plate: str) -> None:
    """Raise ValueError for an image named twice and for a well that is not on the platemap."""
    twice = files[files.duplicated(["Metadata_Well", "Metadata_Site", "Channel"])]
    if len(twice):
        row = {"Metadata_Plate": plate, **twice.iloc[0]}
        raise ValueError(
            f"{store.describe_field(row, row['Channel'])}: expected one row, found it listed twice, again as "
            f"{row['key']}; take one out of the table that lists the images, then run the rule index again"
        )
    named = files[files["key"] != ""]
    same = named[named.duplicated("key", keep=False)]
    if len(same):
        places = [
            store.describe_field({"Metadata_Plate": plate, **row}, row["Channel"]) for _, row in same[:2].iterrows()
        ]
        raise ValueError(
            f"{same['key'].iloc[0]}: expected the image of one field and channel, found it named for both {places[0]} and "
            f"{places[1]}; correct the table that lists the images, then run the rule index again"
        )
    unknown = sorted(set(files["Metadata_Well"]) - set(wells["Metadata_Well"]))
    if unknown:
        row = {"Metadata_Plate": plate, **files[files["Metadata_Well"] == unknown[0]].iloc[0]}
        raise ValueError(
            f"{store.describe_field(row, row['Channel'])}: expected a well of the platemap, found {row['key']} of one "
            f"that is not on the platemap ({len(unknown)} such wells); check that the plate's platemap is the right one, "
            "then run the rule index again"
        )


def build_index(files: pd.DataFrame, wells: pd.DataFrame, entries: dict, plate: dict, channels: Sequence[str]):
    """Return the index: one row per field and channel, sorted by well, site and the order of `channels`."""
    frame = files.merge(wells, on="Metadata_Well", validate="many_to_one")
    frame["Metadata_Plate"] = plate["plate"]
    frame["Metadata_Source"] = plate.get("source", "")
    frame["Metadata_Batch"] = plate.get("batch", "")
    order = {channel: number for number, channel in enumerate(channels)}
    frame = frame.assign(order=frame["Channel"].map(order)).sort_values(["Metadata_Well", "Metadata_Site", "order"])
    frame["file"] = [
        f"{well}_s{site}_{channel}.tif"
        for well, site, channel in zip(frame["Metadata_Well"], frame["Metadata_Site"], frame["Channel"])
    ]
    frame["size"] = [entries[key].size for key in frame["key"]]
    frame["etag"] = [entries[key].etag for key in frame["key"]]
    frame = frame.astype({"Metadata_Site": "int64", "size": "int64"}).reset_index(drop=True)
    metadata = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Source", "Metadata_Batch"]
    return frame[[*metadata, *annotations.ANNOTATIONS, "Channel", "key", "file", "size", "etag"]]


def excluded_names(settings: dict) -> set[str]:
    """Return the perturbations and fields (plate/well/site) that `source.exclude` names."""
    path = settings["source"]["exclude"]
    return annotations.read_exclusions(store.read_bytes(path, "source.exclude"), path) if path else set()


def choose(
    files: pd.DataFrame, wells: pd.DataFrame, settings: dict, excluded: set[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (files, wells) that the plate row names and that are not `excluded` (`source.exclude`)."""
    plate, path = settings["plate"], settings["source"]["exclude"]
    named, sites = choice.chosen_wells(plate), choice.chosen_sites(plate)
    if named is not None:
        if unknown := sorted(set(named) - set(wells["Metadata_Well"])):
            raise ValueError(
                f"plate {plate['plate']}: well {unknown[0]} of the plate table is not on the platemap "
                f"({len(unknown)} such wells); correct its column wells"
            )
        wells = wells[wells["Metadata_Well"].isin(named)]
        files = files[files["Metadata_Well"].isin(named)]
    if sites is not None:
        files = files[files["Metadata_Site"].isin(sites)]
    gone = wells["Metadata_perturbation"].isin(excluded)
    files = files[~files["Metadata_Well"].isin(wells.loc[gone, "Metadata_Well"])]
    wells = wells[~gone]
    log.info("%s: %d wells left out", path, gone.sum())
    if files.empty:
        mend = f"{path}: excludes every well with images; correct source.exclude" if path else "correct wells and sites"
        raise ValueError(f"plate {plate['plate']}: no images are left; {mend} in the plate table")
    return files, wells


def index_plate(settings: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (index, missing) of a plate.

    Parameters
    ----------
    settings : source, plate and channels, as `stage_settings("index")` gives them

    Raises
    ------
    ValueError
        for whatever keeps the plate from being whole; with `source.missing: skip` fields that lack a file are left
        out and returned as `missing` instead
    """
    source, plate, channels = sources.open_source(settings["source"]), settings["plate"], settings["channels"]
    own = settings["source"]["layout"] == "table"
    files, wells = table_plate(settings) if own else gallery_plate(source, settings)
    check_fields(files, wells, plate["plate"])
    excluded = excluded_names(settings)
    files, wells = choose(files, wells, settings, excluded)
    entries = source.find(sorted(set(files["key"]) - {""}))
    gone = choice.excluded_fields(excluded, plate)
    fields = [field for field in expected_fields(files, wells, plate, every_well=not own) if field not in gone]
    missing = find_missing(files, fields, entries, channels, plate["plate"])
    if len(missing) and settings["source"]["missing"] == "error":
        refuse_missing(missing, len(fields) * len(channels), source)
    missing = pd.concat([missing, list_excluded(files, gone, channels, plate["plate"])], ignore_index=True)
    incomplete = set(zip(missing["Metadata_Well"], missing["Metadata_Site"]))
    whole = [field not in incomplete for field in zip(files["Metadata_Well"], files["Metadata_Site"])]
    if not any(whole):
        first = missing.iloc[0]
        raise ValueError(
            f"plate {plate['plate']}: every field lacks a file, first {first['expected'] or first['reason']}; "
            "nothing is left"
        )
    return build_index(files[whole], wells, entries, plate, channels), missing


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--missing", type=Path, required=True)
    args = parser.parse_args(argv)
    index, missing = index_plate(args.settings)
    fields = index.groupby(["Metadata_Well", "Metadata_Site"]).ngroups
    log.info("%d fields of %d wells, %.2f GB", fields, index["Metadata_Well"].nunique(), index["size"].sum() / 1e9)
    if len(missing):
        left_out = missing.groupby(["Metadata_Well", "Metadata_Site"]).ngroups
        log.warning("%d fields left out for want of %d files: %s", left_out, len(missing), args.missing)
    store.write_table(missing, args.missing)
    store.write_table(index, args.index)


if __name__ == "__main__":
    run(main)
