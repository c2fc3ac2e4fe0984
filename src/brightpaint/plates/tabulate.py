"""List a microscope's export as the small CSV of layout `table`: plate, well, site, channel, file.

    python -m brightpaint.plates.tabulate FOLDER --table images.csv \\
        --channels 1=Mito,2=AGP,3=RNA,4=ER,5=DNA,6z1=Brightfield_L,6z2=Brightfield,6z3=Brightfield_H

The files' names tell the microscope: Opera Phenix (r01c01f01p01-ch7sk1fk1fl1.tiff, r01c01f01p01-ch07t01.tiff), CV7000 and CV8000
(1053601756_A01_T0001F001L01A06Z01C06.tif), ImageXpress (Plate_A01_s1_w1<GUID>.tif, in TimePoint_1 and ZStep_1); other
names a --pattern tells. Of a Phenix's Index.xml, where there is one, the log says the pixel size, the channels' names and
which plane is lowest. `6z1` is plane 1 of channel 6; `7=` leaves channel 7 out.

Files of several pages or channels, and 8-bit ones, are written as 16-bit TIFFs of one plane each, every count kept:

    python -m brightpaint.plates.tabulate FOLDER --unpack SINGLE --table images.csv --channels GFP DNA \\
        --pattern '{plate}/{well}_s{site}.tif' --metadata wells.csv

The CSV then lists the files in SINGLE, which becomes source.url.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import harmony, unpack, well_table
from brightpaint.plates.folder import files_below
from brightpaint.plates.image_names import (
    UNTOLD,
    name_images,
    parse,
    pattern_parser,
    read_channels,
    read_names,
    read_ordered,
)
from brightpaint.plates.own_table import TABLE_COLUMNS

log = logging.getLogger(__name__)


def tabulate(files: Iterable[str], names: dict, *, plate: str = "", time: int | None = None, **options) -> pd.DataFrame:
    """Return the table of layout `table`: plate, well, site, channel, file, sorted.

    Parameters
    ----------
    files : names of TIFFs, relative to their folder, with /
    names : channels, as `read_channels` gives them
    plate : its name, in place of the one that the files tell
    time : the time point to take, where there are several
    options : of `image_names.read_names`

    Raises
    ------
    ValueError
        for names that tell nothing, several time points, unnamed channels and two files of one image
    """
    images = pd.DataFrame([{**UNTOLD, **told, "file": name} for name, told in read_names(files, **options)])
    return name_images(images, names, plate=plate, time=time)[TABLE_COLUMNS]


def wanted_planes(args: argparse.Namespace) -> unpack.Wanted:
    """Return what the command line says of files of several planes: channels in order (`GFP DNA`), or by their numbers."""
    words = ",".join(args.channels).split(",")
    numbered = any("=" in word for word in words)
    names = read_channels(",".join(words)) if numbered else dict(enumerate(read_ordered(words, "--channels"), 1))
    return unpack.Wanted(
        names=names if numbered else {(n, None): name for n, name in names.items()}, ordered=not numbered,
        planes=read_ordered(",".join(args.planes).split(","), "--planes") if args.planes else (),
        pages=args.pages, series=args.series,
    )  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folder", type=Path, help="of the export; becomes source.url")
    add("--table", type=Path, required=True, help="CSV to write; becomes source.table")
    add("--channels", nargs="+", required=True, help="1=DNA,6z1=Brightfield_L,7= or, with --unpack, GFP DNA - in order")
    add("--plate", default="", help="the plate's name, in place of the one that the files tell")
    add("--time", type=int, help="the time point to take, where there are several")
    add("--skip-others", action="store_true", help="leave out TIFFs of other names")
    add("--pattern", help="how files are named: {plate}/{well}_s{site}_*.tif; also {channel}, {plane}, {time}, numbers")
    add(
        "--metadata",
        help="CSV with a row a well: well, perturbation, target, control_type, dose_um, smiles, cell_line, ...",
    )
    more = parser.add_argument_group("files of several planes or channels, or of 8 bits").add_argument
    more("--unpack", type=Path, help="folder to write 16-bit TIFFs of one plane to; becomes source.url")
    more(
        "--planes", nargs="+", default=(), help="names of the z-planes, in order: 01 02 03 gives DNA_01, DNA_02, DNA_03"
    )
    more(
        "--pages",
        nargs="+",
        default=(),
        choices=unpack.WORDS,
        help="what pages are, outermost first, if metadata don't say",
    )
    more("--series", type=int, help="which series of each file to take, from 1, where there are several")
    more("--workers", type=int, default=4, help="files at once; changes no result")
    return parser


def list_files(folder: Path) -> tuple[list[str], list[str]]:
    """Return the TIFFs below a folder and a Phenix's indices, relative to it, sorted; links are followed (`files_below`)."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; expected one with a microscope's TIFFs")
    names = sorted(name for name, _ in files_below(folder, whole=True))
    tiffs = [name for name in names if name.lower().endswith((".tif", ".tiff"))]
    return tiffs, [name for name in names if name.rpartition("/")[2].lower() in harmony.NAMES]


def log_indices(folder: Path, tiffs: Sequence[str], indices: Sequence[str]) -> None:
    """Log what a Phenix's indices say of their images, and how many of those are not there."""
    for name in indices:
        index, beside = harmony.read_index(folder / name), name.rpartition("/")[0]
        for sentence in index.describe():
            log.info("%s: %s", name, sentence)
        here = {tiff.rpartition("/")[2] for tiff in tiffs if tiff.rpartition("/")[0] == beside}
        if lacking := sorted(index.files - here):
            log.warning("%s: %d of its %d images are not there, first %s; what the rule index finds missing it says",
                        name, len(lacking), len(index.files), lacking[0])  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    wanted = wanted_planes(args) if args.unpack else None
    if not wanted and (args.planes or args.pages or args.series):
        raise ValueError("--planes, --pages and --series are of files that --unpack FOLDER writes: add it")
    names = wanted.names if wanted else read_channels(",".join(args.channels))
    wells = well_table.read_wells(args.metadata) if args.metadata else None
    known = {} if wells is None else well_table.of_files(wells, args.metadata)
    files, indices = list_files(args.folder)
    log_indices(args.folder, files, indices)
    parser = pattern_parser(args.pattern) if args.pattern else parse
    options = {"parser": parser, "known": known, "skip_others": args.skip_others}
    if wanted:
        told, chosen = read_names(files, **options), {"plate": args.plate, "time": args.time}
        images = unpack.list_planes(args.folder, told, wanted, **chosen, workers=args.workers)
    else:
        images = tabulate(files, names, plate=args.plate, time=args.time, **options)
    table = images[TABLE_COLUMNS] if wells is None else well_table.join(images[TABLE_COLUMNS], wells, args.metadata)
    if wanted:
        unpack.unpack(args.folder, images, args.unpack, wanted, workers=args.workers)
    store.write_table(table, args.table)
    for plate, rows in table.groupby("plate"):
        fields = rows.groupby(["well", "site"]).ngroups
        counts = ", ".join(f"{name} {count}" for name, count in sorted(Counter(rows["channel"]).items()))
        log.info("plate %s: %d wells, %d fields; %s", plate, rows["well"].nunique(), fields, counts)
    log.info("%d images of %d TIFFs listed in %s", len(table), len(files), args.table)


if __name__ == "__main__":
    run(main)
