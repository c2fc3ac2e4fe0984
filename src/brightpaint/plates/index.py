"""List the image files of a plate, one row per field and channel, joined with platemap and compound metadata.

In layout `gallery` a plate's `load_data` table names them; in layout `table` the user's own CSV does.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import compounds, gallery, load_data, own_table, platemaps, sources
from brightpaint.plates.files import Files
from brightpaint.plates.keys import check_key
from brightpaint.plates.missing import expected_fields, find_missing, list_excluded, refuse_missing
from brightpaint.study import choice
from brightpaint.study.annotations import ANNOTATIONS

log = logging.getLogger(__name__)


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
    return files, gallery_wells(source, plate, settings["source"])


def gallery_wells(source, plate: dict, settings: dict) -> pd.DataFrame:
    """Return the annotated wells of a plate in the gallery's layout; `settings` is the config's section `source`."""
    folder = f"{gallery.workspace(plate)}/metadata/platemaps/{plate['batch']}"
    key = f"{folder}/barcode_platemap.csv"
    name = f"{source.describe(key)} (plate {plate['plate']})"
    barcodes = platemaps.read_text_table(source.read(key), name, separator=",")
    platemaps.require_columns(barcodes, ["Assay_Plate_Barcode", "Plate_Map_Name"], name)
    maps = sorted(set(barcodes.loc[barcodes["Assay_Plate_Barcode"] == plate["barcode"], "Plate_Map_Name"]))
    if len(maps) != 1:
        raise ValueError(
            f"{name}: expected one platemap of plate {plate['barcode']}, found {', '.join(maps) or 'none'}; correct it, "
            "or barcode in the plate table"
        )
    key = check_key(f"{folder}/platemap/{maps[0]}.txt", name)
    name = f"{source.describe(key)} (plate {plate['plate']})"
    platemap = platemaps.read_text_table(source.read(key), name)
    platemaps.require_columns(platemap, ["well_position", "broad_sample"], name)
    samples = set(platemap["broad_sample"]) - {""}
    known = gallery_compounds(source, plate, settings["compounds"], samples)
    drawn = own_table.own_structures(settings, samples, known)
    return platemaps.annotate_wells(platemap, known, name, structures=drawn, dose_unit=settings.get("dose_unit"))


def gallery_compounds(source, plate: dict, own: str | None, samples: set[str]) -> pd.DataFrame:
    """Return what is known of `samples`: from the user's `own` file, else from the gallery's external metadata."""
    if own:
        return own_table.own_compounds(own)
    folder = f"{gallery.workspace(plate)}/metadata/external_metadata"
    tables = {}
    for key in source.list(folder + "/"):
        name = source.describe(key)
        frame = platemaps.read_text_table(source.read(key), name) if key.endswith(".tsv") else pd.DataFrame()
        if "broad_sample" in frame.columns and {"target_list", "target", "gene"} & set(frame.columns):
            tables[name] = compounds.compound_table(frame, name)
    if not tables:
        raise ValueError(
            f"{source.describe(folder)}/: no .tsv with the columns broad_sample and target or target_list; "
            "set source.compounds to a file that has them"
        )
    return compounds.merge_compounds(tables, samples)


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
    known = wells.set_index("Metadata_Well")[ANNOTATIONS].to_dict("index")
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
    return platemaps.read_exclusions(store.read_bytes(path, "source.exclude"), path) if path else set()


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
    files, wells = own_table.table_plate(settings) if own else gallery_plate(source, settings)
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
    if own and (told := own_table.columns_told(settings["source"])):
        log.info("%s: %s", settings["source"]["table"], told)
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
