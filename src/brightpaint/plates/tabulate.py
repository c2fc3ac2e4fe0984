"""List a microscope's export as the small CSV of layout `table`: plate, well, site, channel, file.

    python -m brightpaint.plates.tabulate FOLDER --table images.csv \\
        --channels 1=Mito,2=AGP,3=RNA,4=ER,5=DNA,6z1=Brightfield_L,6z2=Brightfield,6z3=Brightfield_H

The files' names tell the microscope: Opera Phenix (r01c01f01p01-ch7sk1fk1fl1.tiff), CV7000 and CV8000
(1053601756_A01_T0001F001L01A06Z01C06.tif), ImageXpress (Plate_A01_s1_w1<GUID>.tif, in TimePoint_1 and ZStep_1).
`6z1` is plane 1 of channel 6; `7=` leaves channel 7 out.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import platemaps
from brightpaint.plates.own_table import TABLE_COLUMNS
from brightpaint.study import choice

PHENIX = re.compile(
    r"r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)p(?P<plane>\d+)-ch(?P<channel>\d+)sk(?P<time>\d+)fk\d+fl\d+"
)
YOKOGAWA = re.compile(
    r"(?P<plate>.+)_(?P<well>[A-Z]{1,2}\d{2})_T(?P<time>\d+)F(?P<site>\d+)L\d+A\d+Z(?P<plane>\d+)C(?P<channel>\d+)"
)
GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
IMAGEXPRESS = re.compile(
    rf"(?P<plate>.+?)_(?P<well>[A-Z]{{1,2}}\d{{2}})(?:_s(?P<site>\d+))?(?:_w(?P<channel>\d))?(?P<thumb>_thumb)?(?:{GUID})?"
)
KNOWN = (
    "names of a Phenix (r01c01f01p01-ch1sk1fk1fl1.tiff), CV8000 (X_A01_T0001F001L01A01Z01C01.tif) "
    "or ImageXpress (X_A01_s1_w1.tif)"
)
log = logging.getLogger(__name__)


def parse_phenix(path: PurePosixPath) -> dict | None:
    """Return what a Phenix name says; the plate is its folder's name, up to `__` and without `Images`."""
    match = PHENIX.fullmatch(path.stem)
    if not match:
        return None
    folders = [name for name in path.parts[:-1] if name.lower() != "images"]
    found = {name: int(match[name]) for name in ("site", "plane", "channel", "time")}
    well = f"{choice.row_letters(int(match['row']))}{int(match['column']):02d}"
    return {**found, "plate": folders[-1].partition("__")[0] if folders else "", "well": well}


def parse_yokogawa(path: PurePosixPath) -> dict | None:
    """Return what a CV7000's or CV8000's name says."""
    match = YOKOGAWA.fullmatch(path.stem)
    if not match:
        return None
    found = {name: int(match[name]) for name in ("site", "plane", "channel", "time")}
    return {**found, "plate": match["plate"], "well": match["well"]}


def parse_imagexpress(path: PurePosixPath) -> dict | None:
    """Return what an ImageXpress name and its folders say; thumbnails have channel 0, one site or channel no number."""
    match = IMAGEXPRESS.fullmatch(path.stem)
    if not match or not (match["site"] or match["channel"]):
        return None
    folders = {kind: re.findall(rf"(?:^|/){kind}_(\d+)/", str(path)) for kind in ("TimePoint", "ZStep")}
    return {
        "plate": match["plate"], "well": match["well"], "site": int(match["site"] or 1),
        "channel": 0 if match["thumb"] else int(match["channel"] or 1),
        "plane": int(folders["ZStep"][-1]) if folders["ZStep"] else 1,
        "time": int(folders["TimePoint"][-1]) if folders["TimePoint"] else 1,
    }  # fmt: skip


def parse(name: str) -> dict | None:
    """Return plate, well, site, channel, plane, time of a file below the folder, or None for another's name."""
    path = PurePosixPath(name)
    return parse_phenix(path) or parse_yokogawa(path) or parse_imagexpress(path)


def read_channels(text: str) -> dict[tuple[int, int | None], str]:
    """Return {(channel, plane or None for its only one): name} of `1=DNA,6z1=Brightfield_L,7=`."""
    names: dict[tuple[int, int | None], str] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:z(\d+))?\s*=\s*([\w-]*)\s*", part)
        if not match:
            raise ValueError(f"--channels: expected 1=DNA or 6z1=Brightfield_L, found {part!r}")
        key = (int(match[1]), int(match[2]) if match[2] else None)
        if key in names:
            raise ValueError(f"--channels: {part.partition('=')[0].strip()} occurs twice")
        names[key] = match[3]
    named = [name for name in names.values() if name]
    for name in named:
        if named.count(name) > 1:
            raise ValueError(f"--channels: the name {name} occurs twice; expected one channel or plane of each name")
    return names


def name_channels(images: pd.DataFrame, names: dict) -> pd.Series:
    """Return each image's channel name, "" for one that is left out; a channel or plane without a name is an error."""
    planes = {channel: sorted(set(group)) for channel, group in images.groupby("channel")["plane"]}
    for channel, found in planes.items():
        whole, single = (channel, None) in names, [(channel, plane) in names for plane in found]
        if whole and names[channel, None] and len(found) > 1:
            each = ",".join(f"{channel}z{plane}=NAME" for plane in found)
            raise ValueError(f"--channels: channel {channel} has the planes {found}; name each: {each}")
        if not whole and not all(single):
            counted = (images["channel"] == channel).sum()
            plane = f"z{found[single.index(False)]}" if any(single) else ""
            missing = f"{channel}{plane}"
            raise ValueError(
                f"--channels: channel {missing} is not named ({counted} images of channel {channel}); "
                f"add {missing}=NAME, or {missing}= to leave it out"
            )
    for channel, plane in names:
        if channel not in planes or (plane is not None and plane not in planes[channel]):
            there = ", ".join(f"{one} with planes {found}" for one, found in planes.items())
            raise ValueError(
                f"--channels: there is no channel {channel}, plane {plane or 'any'}; found channels {there}"
            )
    keys = zip(images["channel"], images["plane"])
    return pd.Series([names.get((one, plane), names.get((one, None))) for one, plane in keys], index=images.index)


def refuse_twice(images: pd.DataFrame) -> None:
    """Raise ValueError where two files are named for one image."""
    twice = images[images.duplicated(TABLE_COLUMNS[:4], keep=False)]
    if len(twice):
        row, other = twice.to_dict("records")[:2]
        place = f"plate {row['plate']}, well {row['well']}, site {row['site']}, channel {row['channel']}"
        raise ValueError(f"{place}: both {row['file']} and {other['file']}; give the folder of one export")


def tabulate(files: Iterable[str], names: dict, *, plate: str = "", time: int | None = None, skip_others: bool = False):
    """Return the table of layout `table`: plate, well, site, channel, file, sorted.

    Parameters
    ----------
    files : names of TIFFs, relative to their folder, with /
    names : channels, as `read_channels` gives them
    plate : its name, in place of the one that the files tell
    time : the time point to take, where there are several
    skip_others : leave out TIFFs whose name is no microscope's

    Raises
    ------
    ValueError
        for names that are no microscope's, several time points, unnamed channels and two files of one image
    """
    parsed = [(parse(name), name) for name in files]
    others = [name for found, name in parsed if found is None]
    if len(others) == len(parsed) or (others and not skip_others):
        first = f", first {others[0]}" if others else ""
        raise ValueError(
            f"{len(others)} TIFFs{first}: expected {KNOWN}; give the folder of one export, or --skip-others"
        )
    images = pd.DataFrame([{**found, "file": name} for found, name in parsed if found and found["channel"]])
    images["well"] = [platemaps.normal_well(well, "well") for well in images["well"]]
    images["plate"] = plate or images["plate"]
    if (images["plate"] == "").any():
        raise ValueError(
            f"{images['file'][images['plate'] == ''].iloc[0]}: no folder tells its plate; give --plate NAME"
        )
    times = sorted(set(images["time"]))
    if time is None and len(times) > 1:
        raise ValueError(f"there are the time points {times}; choose one: --time {times[0]}")
    images = images[images["time"] == time] if time is not None else images
    if images.empty:
        raise ValueError(f"--time {time}: there are the time points {times}")
    images = images.assign(channel=name_channels(images, names))
    images = images[images["channel"] != ""].sort_values(TABLE_COLUMNS)
    refuse_twice(images)
    return images[TABLE_COLUMNS].reset_index(drop=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the export; becomes source.url")
    parser.add_argument("--table", type=Path, required=True, help="CSV to write; becomes source.table")
    parser.add_argument("--channels", required=True, help="1=DNA,6z1=Brightfield_L,7=")
    parser.add_argument("--plate", default="", help="the plate's name, in place of the one that the files tell")
    parser.add_argument("--time", type=int, help="the time point to take, where there are several")
    parser.add_argument("--skip-others", action="store_true", help="leave out TIFFs of other names")
    args = parser.parse_args(argv)
    names = read_channels(args.channels)
    if not args.folder.is_dir():
        raise ValueError(f"{args.folder}: there is no such folder; expected one with a microscope's TIFFs")
    paths = (path for path in args.folder.rglob("*") if path.suffix.lower() in (".tif", ".tiff"))
    files = sorted(path.relative_to(args.folder).as_posix() for path in paths)
    table = tabulate(files, names, plate=args.plate, time=args.time, skip_others=args.skip_others)
    store.write_table(table, args.table)
    for plate, rows in table.groupby("plate"):
        fields = rows.groupby(["well", "site"]).ngroups
        counts = ", ".join(f"{name} {count}" for name, count in sorted(Counter(rows["channel"]).items()))
        log.info("plate %s: %d wells, %d fields; %s", plate, rows["well"].nunique(), fields, counts)
    log.info("%d of %d TIFFs listed in %s", len(table), len(files), args.table)


if __name__ == "__main__":
    run(main)
