"""What the wells of a plate in the gallery's layout hold: its platemap, joined with tables of compounds, ORFs and guides.

They lie beside the images, in the workspace's `metadata`; where there is none (cpg0016 was published without), in a folder of the
user's own laid out like it (`source.metadata`), or in one table of wells (`source.wells`).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pandas as pd

from brightpaint.plates import compounds, gallery, own_table, platemaps
from brightpaint.plates.folder import FolderSource
from brightpaint.plates.keys import check_key
from brightpaint.plates.s3 import S3Source
from brightpaint.study.annotations import ANNOTATIONS, DMSO, annotated, column_types

PLATE_COLUMNS = ("plate", "barcode", "assay_plate_barcode")
WELL_COLUMNS = ("well", "well_position")
OTHER_COLUMNS = ("solvent", "cell_line", "time_h")  # read by these names
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where metadata lie: in `source`, below the prefix `folder`, as platemaps/ and external_metadata/."""

    source: S3Source | FolderSource
    folder: str

    def describe(self, path: str) -> str:
        return self.source.describe(self.key(path))

    def key(self, path: str) -> str:
        return f"{self.folder}/{path}".lstrip("/")

    def list(self, path: str) -> list[str]:
        """Return the keys of the files below a folder (which ends in /)."""
        return list(self.source.list(self.key(path)))


def gallery_wells(source, plate: dict, settings: dict, *, needed: bool = True) -> pd.DataFrame:
    """Return the annotated wells of a plate in the gallery's layout; no rows where nothing is known and nothing `needed`.

    Parameters
    ----------
    source : of the images
    plate : as `gallery.plate_row` returns it
    settings : the config's section `source`
    needed : whether the study works with perturbations: then a platemap that is not there is an error
    """
    place = metadata_place(source, plate, settings.get("metadata"))
    if settings.get("wells"):
        return listed_wells(place, plate, settings)
    key = find_platemap(place, plate, source, needed=needed)
    if key is None:
        log.info("plate %s: no platemap, so no well is known to hold anything (perturbations: false)", plate["plate"])
        return unknown_wells([])
    name = f"{place.source.describe(key)} (plate {plate['plate']})"
    platemap = platemaps.read_text_table(
        place.source.read(key), name, kept=(*platemaps.NAMES, "broad_sample")
    )  # a well that is called empty is no DMSO
    platemaps.require_columns(platemap, ["well_position", "broad_sample"], name)
    return annotated_wells(place, platemap, name, settings, needed=needed)


def annotated_wells(place: Place, platemap: pd.DataFrame, name: str, settings: dict, *, needed: bool) -> pd.DataFrame:
    """Return a platemap's wells with what is known of their samples: of the config's compounds, else the gallery's."""
    samples = set(map(platemaps.sample_name, platemap["broad_sample"])) - {"", DMSO}
    if settings["compounds"]:
        known = own_table.own_compounds(settings["compounds"])
    else:
        known = gallery_compounds(place, samples, name, needed=needed)
    drawn = own_table.own_structures(settings, samples, known)
    wells = platemaps.annotate_wells(platemap, known, name, structures=drawn, dose_unit=settings.get("dose_unit"))
    if strange := sorted(samples - set(known["broad_sample"])):
        log.warning("%s: %d of %d samples are in no metadata (%s)", name, len(strange), len(samples), strange[0])
    return wells


def metadata_place(source, plate: dict, own: str | None) -> Place:
    """Return where a plate's metadata lie: in the workspace, or in the folder `own` (`source.metadata`).

    That holds platemaps/ and external_metadata/ itself, or a whole mirror's <project>/<source>/workspace/metadata.
    """
    if not own:
        return Place(source, gallery.metadata(plate))
    folder = Path(own.removeprefix("file://"))
    if not folder.is_dir():
        raise ValueError(f"source.metadata: there is no folder {folder}; create it or correct source.metadata")
    for inner in (gallery.metadata(plate), "workspace/metadata", "metadata", ""):
        if (folder / inner / "platemaps").is_dir():
            return Place(FolderSource(folder), inner)
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise ValueError(
        f"source.metadata: expected the folder platemaps in {folder} (or in {gallery.metadata(plate)} below it), found {there}; "
        "lay it out as the gallery's workspace/metadata, or give one table of wells as source.wells"
    )


def find_platemap(place: Place, plate: dict, source, *, needed: bool) -> str | None:
    """Return the key of a plate's platemap: of the plate table's column `platemap`, else of the batch's barcode map.

    None where nothing says it and it is not `needed`.

    Raises
    ------
    ValueError
        where it is needed and not there, and for a barcode of several platemaps
    """
    batch = f"platemaps/{plate['batch']}"
    present = place.list(f"{batch}/")
    named = plate.get("platemap") or _mapped(place, plate, source, present, needed=needed)
    if named is None:
        return None
    key = check_key(place.key(f"{batch}/platemap/{named}.txt"), f"{place.describe(batch)}/ (plate {plate['plate']})")
    whole = place.key(f"{batch}/platemap/{named}")
    found = next((path for path in (key, whole) if path in present), None)
    if found is None and needed:
        _no_platemap(place.source.describe(key), plate)
    return found


def _mapped(place: Place, plate: dict, source, present: Sequence[str], *, needed: bool) -> str | None:
    """Return the name of a plate's platemap by the batch's barcode map; None where that is not there and not needed."""
    key = place.key(f"platemaps/{plate['batch']}/barcode_platemap.csv")
    if key not in present:
        if needed:
            _no_platemap(place.source.describe(key), plate)
        return None
    name = f"{place.source.describe(key)} (plate {plate['plate']})"
    table = platemaps.read_text_table(place.source.read(key), name, separator=",")
    platemaps.require_columns(table, ["Assay_Plate_Barcode", "Plate_Map_Name"], name)
    barcodes, barcode = table["Assay_Plate_Barcode"], plate["barcode"]
    taken = set(source.folders(f"{gallery.workspace(plate)}/load_data_csv/{plate['batch']}"))
    taken -= {barcode, plate.get("folder")}
    own = gallery.obvious_name(barcodes, barcode, taken)
    maps = sorted(set(table.loc[barcodes.isin(own), "Plate_Map_Name"]))
    if len(maps) == 1:
        if own != [barcode]:
            log.info("%s: plate %s is called %s there", name, barcode, ", ".join(own))
        return maps[0]
    if not maps and not needed:
        return None
    raise ValueError(
        f"{name}: expected one platemap of plate {barcode}, found {', '.join(maps) or 'none'} (it lists "
        f"{', '.join(sorted(set(own or barcodes))[:5])}); name the plate's platemap in the column platemap of the plate table"
    )


def _no_platemap(missing: str, plate: dict) -> NoReturn:
    raise ValueError(
        f"{missing}: there is no such file, so nothing says what the wells of plate {plate['plate']} hold; give a table of wells "
        "as source.wells, or a folder laid out as the gallery's metadata as source.metadata (config/README.md says where "
        "those of cpg0016's TARGET2 plates are to be had), or set perturbations: false"
    )


def gallery_compounds(place: Place, samples: set[str], platemap: str, *, needed: bool = True) -> pd.DataFrame:
    """Return what the external metadata know of `samples`.

    Raises
    ------
    ValueError
        where it is `needed` and no file says targets, and where no file knows any of the samples of the `platemap`
    """
    tables, without_targets = {}, []
    for key in place.list("external_metadata/"):
        name = place.source.describe(key)
        frame = platemaps.read_text_table(place.source.read(key), name) if key.endswith(".tsv") else pd.DataFrame()
        if platemaps.find_column(frame.columns, *compounds.SAMPLES) is None:
            continue
        tables[name] = compounds.compound_table(frame, name, needs_target=False)
        if compounds.target_column(frame.columns) is None:
            without_targets.append(f"{name} has {', '.join(frame.columns)}")
    if needed and len(tables) == len(without_targets):
        found = f" ({'; '.join(without_targets)})" if without_targets else ""
        raise ValueError(
            f"{place.describe('external_metadata')}/: no .tsv with the columns broad_sample and target or target_list{found}; "
            "set source.compounds to a file that has them"
        )
    for what in without_targets:
        log.warning("%s: no column of targets is among them; read for control types and structures alone", what)
    if needed and samples and not any(table["broad_sample"].isin(samples).any() for table in tables.values()):
        raise ValueError(
            f"{platemap}: none of its {len(samples)} samples (such as {min(samples)}) is in the compound metadata "
            f"({', '.join(tables)}); set source.compounds to the file that describes them"
        )
    return compounds.merge_compounds(tables, samples)


def listed_wells(place: Place, plate: dict, settings: dict) -> pd.DataFrame:
    """Return the annotated wells of a plate in the table that the config names (`source.wells`).

    It says of each well the sample (`broad_sample`, as a platemap does, `perturbation` or JUMP's `JCP2022`) and whatever else is
    known: targets and control types in it are the samples' own, unless source.compounds describes them. Without a column of
    plates it holds for every plate.
    """
    path = settings["wells"]
    name = f"{path} (plate {plate['plate']})"
    table = rows_of_plate(path, plate)
    well, sample = (platemaps.find_column(table.columns, *names) for names in (WELL_COLUMNS, compounds.SAMPLES))
    if well is None or sample is None:
        raise ValueError(
            f"{path}: expected the columns well and perturbation (or broad_sample), found {', '.join(table.columns)}; correct "
            "its header"
        )
    others = {platemaps.find_column(table.columns, column): column for column in OTHER_COLUMNS}
    platemap = table.rename(columns={well: "well_position", **others}).assign(broad_sample=table[sample])
    platemap = platemap.drop_duplicates(ignore_index=True)
    of_platemap = platemaps.word_of(sample) != "perturbation"
    about = {
        "target": compounds.target_column(table.columns),
        "kind": platemaps.find_column(table.columns, "control_type"),
    }
    if settings["compounds"] or (of_platemap and not any(about.values())):
        return annotated_wells(place, platemap, name, settings, needed=True)
    told = platemap.drop(columns={sample} - {"broad_sample"})
    if not of_platemap:
        told = told[told["broad_sample"].map(platemaps.sample_name) != ""]
    known = compounds.compound_table(told, path, needs_target=False)
    drawn = own_table.own_structures(settings, set(known["broad_sample"]) - {""}, known)
    unit = settings.get("dose_unit")
    return platemaps.annotate_wells(platemap, known, name, blank_is_dmso=of_platemap, structures=drawn, dose_unit=unit)


def rows_of_plate(path: str, plate: dict) -> pd.DataFrame:
    """Return the rows of a plate in the user's table of wells, which is read a row at a time.

    Raises
    ------
    ValueError
        where it names plates, and this one is none of them
    """
    kept = (*platemaps.NAMES, "broad_sample", "perturbation", "Metadata_JCP2022")
    with platemaps.open_own_table(path, "source.wells", kept=kept) as table:
        column = platemaps.find_column(table.columns, *PLATE_COLUMNS)
        site = platemaps.find_column(table.columns, "source")
        if column is None:
            return pd.DataFrame(list(table.rows), columns=table.columns, dtype=str)
        own = functools.cache(lambda name: name == plate["plate"] or gallery.same_plate(name, plate["barcode"]))
        rows: dict[str, list] = {}
        for cells in table.rows:
            row = dict(zip(table.columns, cells))
            if own(row[column]) and (site is None or row[site] in ("", plate["source"])):
                rows.setdefault(row[column], []).append(cells)
    named = [name for name in (plate["barcode"], plate["plate"]) if name in rows] or sorted(rows)
    if len(named) == 0 or (len(named) > 1 and named[0] != plate["barcode"]):
        raise ValueError(
            f"source.wells: {path} has {'the plates ' + ', '.join(named) if named else 'no row'} for plate {plate['barcode']}; "
            f"correct its column {column}, or barcode in the plate table"
        )
    return pd.DataFrame(rows[named[0]], columns=table.columns, dtype=str)


def unknown_wells(wells: Sequence[str]) -> pd.DataFrame:
    """Return wells of which nothing is known: Metadata_Well and annotations that say nothing."""
    rows = [{"Metadata_Well": well, **annotated({})} for well in wells]
    return pd.DataFrame(rows, columns=["Metadata_Well", *ANNOTATIONS]).astype(column_types())
