"""What the names of a microscope's files say of their images, and the names that the user gives to its channels."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

import pandas as pd

from brightpaint.plates import platemaps
from brightpaint.plates.keys import check_key
from brightpaint.plates.own_table import TABLE_COLUMNS
from brightpaint.study import choice
from brightpaint.study.plate_table import safe_name

log = logging.getLogger(__name__)
PHENIX = re.compile(
    r"r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)p(?P<plane>\d+)-ch(?P<channel>\d+)"
    r"(?:sk(?P<time>\d+)fk\d+fl\d+|t(?P<timepoint>\d+))"  # Harmony to 5.1, from 5.2
)
YOKOGAWA = re.compile(
    r"(?P<plate>.+)_(?P<well>[A-Z][A-Za-z]?\d{2})_T(?P<time>\d+)F(?P<site>\d+)L\d+A\d+Z(?P<plane>\d+)C(?P<channel>\d+)"
)
GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
IMAGEXPRESS = re.compile(
    rf"(?P<plate>.+?)_(?P<well>[A-Z][A-Za-z]?\d{{2}})(?:_s(?P<site>\d+))?(?:_w(?P<channel>\d))?(?P<thumb>_thumb)?(?:{GUID})?"
)
KNOWN = (
    "names of a Phenix (r01c01f01p01-ch1sk1fk1fl1.tiff, r01c01f01p01-ch01t01.tiff), CV8000 (X_A01_T0001F001L01A01Z01C01.tif) "
    "or ImageXpress (X_A01_s1_w1.tif)"
)
UNTOLD = {"plate": "", "site": 1, "channel": 1, "plane": 1, "time": 1}  # what a name that does not say it stands for


def parse_phenix(path: PurePosixPath) -> dict | None:
    """Return what a Phenix name says; the plate is its folder's name, up to `__` and without `Images`."""
    match = PHENIX.fullmatch(path.stem)
    if not match:
        return None
    folders = [name for name in path.parts[:-1] if name.lower() != "images"]
    found = {name: int(match[name]) for name in ("site", "plane", "channel")}
    found["time"] = int(match["time"] or match["timepoint"])
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


PLACES = {
    "well": r"[A-Za-z]{1,2}\d{1,2}",
    "plate": "[^/]+",
    **dict.fromkeys(("site", "channel", "plane", "time"), r"\d+"),
}


def pattern_parser(pattern: str) -> Callable[[str], dict | None]:
    """Return a function like `parse` for names such as `{plate}/{well}_s{site}_*.tif`; it returns what the name tells.

    `*` is any text within a name. A pattern without a folder is one of the file's own name. What stands before a place takes
    no letter of a well's row and no digit of a number: `*{well}` finds AA01 in `img_AA01`, not A01.
    """
    parts, text = [part for part in re.split(r"({\w*}|\*)", pattern) if part], ""
    for before, part in zip(["", *parts], parts):
        name = part[1:-1] if part.startswith("{") else ""
        if name and (name not in PLACES or f"(?P<{name}>" in text):
            known = ", ".join(f"{{{one}}}" for one in PLACES)
            raise ValueError(f"--pattern: {part} in {pattern!r}: expected each of {known} once at most, and *")
        if name and before[:1] in ("*", "{"):
            text += {"well": "(?<![A-Za-z])", "plate": ""}.get(name, r"(?<!\d)")
        text += f"(?P<{name}>{PLACES[name]})" if name else "[^/]*" if part == "*" else re.escape(part)
    expression = re.compile(text)

    def parse_pattern(name: str) -> dict | None:
        match = expression.fullmatch(name if "/" in pattern else name.rpartition("/")[2])
        told = match.groupdict() if match else {}
        return {key: told[key] if key in ("plate", "well") else int(told[key]) for key in told} if match else None

    return parse_pattern


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
    check_distinct(list(names.values()))
    return names


def read_ordered(words: Sequence[str], option: str) -> list[str]:
    """Return names given in order, "" for one to leave out, which is written as a dash."""
    for word in words:
        if not re.fullmatch(r"[\w-]+", word):
            raise ValueError(f"{option}: expected names of letters, digits, - and _, found {word!r}")
    names = ["" if word == "-" else word for word in words]
    check_distinct(names, option)
    return names


def check_distinct(names: Sequence[str], option: str = "--channels") -> None:
    """Raise ValueError where a name is given twice."""
    named = [name for name in names if name]
    for name in named:
        if named.count(name) > 1:
            raise ValueError(f"{option}: the name {name} occurs twice; expected one channel or plane of each name")


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


def read_names(
    files: Iterable[str], *, parser: Callable = parse, known: dict[str, dict] | None = None, skip_others: bool = False
) -> list[tuple[str, dict]]:
    """Return (file, what is told of it) of each file, thumbnails and, if so wished, those of other names left out.

    Parameters
    ----------
    parser : `parse`, or what `pattern_parser` returned
    known : {file: plate, well, site} as a table tells them, where the name doesn't

    Raises
    ------
    ValueError
        for names that say nothing, and for files whose well nothing tells
    """
    told = [(name, parser(name), (known or {}).get(name, {})) for name in files]
    by_table = parser is parse  # a pattern says which files are meant
    told = [(name, {**row, **(one or {})} if one is not None or by_table else {}) for name, one, row in told]
    others = [name for name, one in told if not one]
    if len(others) == len(told) or (others and not skip_others):
        first = f", first {others[0]}" if others else ""
        raise ValueError(
            f"{len(others)} TIFFs{first}: expected {KNOWN}; give the folder of one export, or --skip-others, or say by "
            "--pattern '{well}_s{site}.tif' how yours are named"
        )
    if lacking := next((name for name, one in told if one and "well" not in one), ""):
        raise ValueError(
            f"{lacking}: nothing tells its well; add {{well}} to --pattern, or a table with the columns file and well as --metadata"
        )
    return [(name, one) for name, one in told if one and one.get("channel", 1)]


def _plate_names(names: Sequence[str]) -> list[str]:
    """Return plates' names as the plate table can hold them (`My Plate 1` -> `My_Plate_1`); "" stays."""
    safe = {name: safe_name(name) for name in dict.fromkeys(names)}
    for name, new in safe.items():
        if name and (not new or list(safe.values()).count(new) > 1):
            others = ", ".join(repr(other) for other in safe if safe[other] == new)
            raise ValueError(
                f"the plates {others} can't be told apart in letters, digits, - and _ ({new!r}); rename their folders, or list "
                "each by itself with --plate NAME"
            )
        if name != new:
            log.info("plate %r is written as %s, as the plate table shall have it", name, new)
    return [safe[name] for name in names]


def name_images(images: pd.DataFrame, names: dict, *, plate: str = "", time: int | None = None) -> pd.DataFrame:
    """Return the images that are named, sorted, with their well's and channel's names.

    Parameters
    ----------
    images : plate, well, site, channel, plane, time and file, as the names of files tell them, and any other columns
    names : as `read_channels` returns them
    plate : its name, in place of the one that the files tell
    time : the time point to take, where there are several
    """
    images = images.assign(well=[platemaps.normal_well(well, "well") for well in images["well"]])
    images["plate"] = _plate_names([plate and check_key(plate, "--plate") or name for name in images["plate"]])
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
    return images.reset_index(drop=True)
