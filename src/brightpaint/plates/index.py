"""List the image files of a plate, one row per field and channel, joined with platemap and compound metadata.

In layout `gallery` a plate's `load_data` table names them; in layout `table` the user's own CSV does.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import gallery, left_out, load_data, own_table, sources
from brightpaint.plates.files import Files
from brightpaint.plates.gallery_wells import gallery_wells, unknown_wells
from brightpaint.plates.missing import expected_fields, find_missing, list_excluded, refuse_missing
from brightpaint.plates.tiles import check_size
from brightpaint.study import choice
from brightpaint.study.annotations import ANNOTATIONS

NAMED_WELLS = 5  # in a line of the log
log = logging.getLogger(__name__)


# --- a plate's files and wells, by layout ---


def gallery_plate(source, settings: dict) -> tuple[Files, pd.DataFrame]:
    """Return (files, wells) of a plate in the gallery's layout."""
    plate, aliases = gallery.plate_row(settings["plate"]), load_data.read_aliases()
    candidates, files = gallery.find_load_data(source, plate), Files(settings["channels"])
    plate["folder"] = candidates[0].split("/")[-2]
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
    return files, gallery_wells(source, plate, settings["source"], needed=settings.get("perturbations", True))


# --- the index ---


def place(row: dict, plate: str) -> str:
    """Return plate, well, site and channel of an image, for messages."""
    return store.describe_field({"Metadata_Plate": plate, **row}, row["Channel"])


def check_fields(files: Files, wells: pd.DataFrame, plate: str, *, partial: bool = False) -> None:
    """Raise ValueError for an image named twice, and for wells that are another plate's.

    A platemap lists most of the wells with images; a table of wells that may be `partial` lists one at least. No wells at all
    are none that anything is known of.
    """
    if row := files.listed_twice():
        raise ValueError(
            f"{place(row, plate)}: expected one row, found it listed twice, again as "
            f"{row['key']}; take one out of the table that lists the images, then run the rule index again"
        )
    if same := files.named_twice():
        raise ValueError(
            f"{same[0]['key']}: expected the image of one field and channel, found it named for both {place(same[0], plate)} "
            f"and {place(same[1], plate)}; correct the table that lists the images, then run the rule index again"
        )
    imaged, unlisted = files.wells(), unlisted_wells(files, wells)
    if not wells.empty and len(unlisted) > (len(imaged) - 1 if partial else len(imaged) // 2):
        row = files.of_well(unlisted[0])
        raise ValueError(
            f"{place(row, plate)}: expected a well of the platemap, found {row['key']} of one "
            f"that is not on the platemap ({len(unlisted)} such wells of {len(imaged)}); check that the plate's platemap is the "
            "right one, then run the rule index again"
        )


def unlisted_wells(files: Files, wells: pd.DataFrame) -> list[str]:
    """Return the wells that have images and are not among `wells`, sorted."""
    return sorted(files.wells() - set(wells["Metadata_Well"]))


def with_unlisted(files: Files, wells: pd.DataFrame, plate: str) -> pd.DataFrame:
    """Return the wells, and those that have images and are not listed: wells of nothing, which the log counts."""
    if not (unlisted := unlisted_wells(files, wells)):
        return wells
    some = ", ".join(unlisted[:NAMED_WELLS])
    log.warning(
        "plate %s: %d wells with images are not on the platemap: wells of nothing (%s)", plate, len(unlisted), some
    )
    return pd.concat([wells, unknown_wells(unlisted)], ignore_index=True)


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


def nameable(wells: pd.DataFrame, plate: dict, sites: Sequence[int] | None = None) -> left_out.Plate:
    """Return what lines of `source.exclude` may name of a plate."""
    return left_out.Plate(
        frozenset({plate["plate"], plate.get("barcode", plate["plate"])}),
        frozenset(wells["Metadata_perturbation"]) - {""},
        frozenset(wells["Metadata_Well"]),
        None if sites is None else frozenset(sites),
    )


def named_lines(files: Files, wells: pd.DataFrame, settings: dict) -> list[left_out.Named]:
    """Return what the lines of `source.exclude` name of this plate; those that name nothing of it are refused.

    A line may name what another plate has: of the user's own CSV all are known, of the gallery's the rule exclusions asks.
    """
    path, lines = settings["source"]["exclude"], left_out.read_lines(settings["source"]["exclude"])
    own, plates = nameable(wells, settings["plate"], files.sites()), []
    if lines and settings["source"]["layout"] == "table":
        with own_table.opened(settings["source"]) as (table, _):
            plates = left_out.plates_of_table(table, settings["source"]["table"])
        own = left_out.among(own, plates)
    named = {line: left_out.named_by(line, own, path) for line in lines}
    unknown = []
    for line in (line for line in lines if not named[line]):
        of_others = plates and any(left_out.named_by(line, one, path) for one in plates)
        if left_out.names_a_place(line, own.names) or (plates and not of_others and not left_out.names_a_place(line)):
            unknown.append(line)
    left_out.refuse(unknown, plates or [own], path, f"plate {settings['plate']['plate']}")
    return [one for one in named.values() if one]


def choose(files: Files, wells: pd.DataFrame, settings: dict, excluded: set[str]) -> pd.DataFrame:
    """Return the wells that the plate row names and whose perturbation is not `excluded`; `files` of others are dropped."""
    plate, path = settings["plate"], settings["source"]["exclude"]
    named, sites, fields = choice.used_wells(plate), choice.chosen_sites(plate), choice.chosen_fields(plate)
    if named is not None:
        if unknown := sorted(set(named) - set(wells["Metadata_Well"])):
            column = "wells" if fields is None else f"fields, which is {plate['fields']}"
            raise ValueError(
                f"plate {plate['plate']}: well {unknown[0]} of the plate table is not on the platemap "
                f"({len(unknown)} such wells); correct its column {column}"
            )
        wells = wells[wells["Metadata_Well"].isin(named)]
    gone = wells["Metadata_perturbation"].isin(excluded)
    wells = wells[~gone]
    files.drop_wells(files.wells() - set(wells["Metadata_Well"]))
    if sites is not None:
        files.drop_sites(set(files.sites()) - set(sites))
    if fields is not None:
        files.drop_fields(set(files.fields()) - set(fields))
    log.info("%s: %d wells left out", path, gone.sum())
    if not len(files):
        mend = (
            f"{path}: excludes every well with images; correct source.exclude"
            if path
            else "correct wells, sites and fields"
        )
        raise ValueError(f"plate {plate['plate']}: no images are left; {mend} in the plate table")
    return wells


def list_named(settings: dict, source) -> tuple[Files, pd.DataFrame, set[tuple[str, int]]]:
    """Return (files, wells, gone) that a plate's tables name and the study wants, before any file is looked for.

    `gone` are the (well, site) that `source.exclude` names. A plan counts the user's own CSV by this, without a `source`.
    """
    own = settings["source"]["layout"] == "table"
    files, wells = own_table.table_plate(settings) if own else gallery_plate(source, settings)
    plate = settings["plate"]["plate"]
    check_fields(files, wells, plate, partial=bool(settings["source"].get("wells")))
    wells = with_unlisted(files, wells, plate)
    named = named_lines(files, wells, settings)
    wells = choose(files, wells, settings, {one.perturbation for one in named if one.perturbation})
    sites = {
        one: {one.site} if one.site else {*files.sites(), *(choice.chosen_sites(settings["plate"]) or [])}
        for one in named
    }
    return files, wells, {(one.well, site) for one in named if one.well for site in sites[one]}


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


def check_shape(files: Files, settings: dict, cutting: dict) -> None:
    """Raise ValueError where a plate's first image can't be cut into square tiles: `prepare` would say so after everything.

    Parameters
    ----------
    cutting : size_px, grid and pixel_size_um of prepare, and raw_pixel_um, {plate: um}, "" for all others
    """
    source, key, plate = sources.open_source(settings["source"]), next(files.keys()), settings["plate"]["plate"]
    try:
        with source.open(key) as handle:
            shape = store.raw_shape(handle)
    except (ValueError, OSError):
        return  # `fetch` says what is wrong with it
    sizes = cutting["raw_pixel_um"]
    try:
        check_size(shape, {**cutting, "raw_pixel_um": sizes.get(plate, sizes[""])})
    except ValueError as error:
        raise ValueError(f"plate {plate}, {source.describe(key)}: {error}") from None


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--missing", type=Path, required=True)
    args = parser.parse_args(argv)
    files, wells, missing = list_plate(args.settings)
    if cutting := os.environ.get("BRIGHTPAINT_PREPARE"):  # not among the settings: it changes no index
        check_shape(files, args.settings, json.loads(cutting))
    log.info("%d fields of %d wells, %.2f GB", len(files.fields()), len(files.wells()), files.total_bytes() / 1e9)
    held = wells.loc[wells["Metadata_Well"].isin(files.wells())]
    counts = (
        held["Metadata_control_type"].value_counts().get("negcon", 0),
        (held["Metadata_perturbation"] == "").sum(),
    )
    log.info("%d wells hold negative controls, %d nothing that is known", *counts)
    if len(missing):
        count = missing.groupby(["Metadata_Well", "Metadata_Site"]).ngroups
        log.warning("%d fields left out for want of %d files: %s", count, len(missing), args.missing)
    store.write_table(missing, args.missing)
    store.write_rows(index_rows(files, wells, args.settings["plate"]), args.index)


if __name__ == "__main__":
    run(main)
