"""Write files of several pages or channels, and 8-bit ones, as 16-bit TIFFs of one plane each: every count is kept.

The files are looked at first, headers alone, and all of them, so that what cannot be told is refused before anything is
written. Then planes are written one at a time into `<out>.partial`, which is renamed when it is whole. A file that is
one 16-bit plane already is linked to.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.pool import ordered
from brightpaint.plates.image_names import UNTOLD, name_images
from brightpaint.plates.keys import check_key
from brightpaint.plates.own_table import TABLE_COLUMNS

MEANING = {"T": "time", "Z": "plane", "C": "channel", "S": "channel"}
WORDS = ["channel", "plane", "site", "time"]
RECORD = "unpacked.json"
SPARE_BYTES = 100_000_000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What the user says of the files.

    Attributes
    ----------
    names : {(channel, plane or None): name}, "" for what is left out; channels and planes are numbered from 1
    ordered : whether the channels were named in order, so that each file must hold as many
    planes : names of the z-planes in order
    pages : what the pages are, outermost first, whatever the metadata say; empty to believe those
    series : which series of each file, from 1
    """

    names: dict
    ordered: bool = False
    planes: Sequence[str] = ()
    pages: Sequence[str] = ()
    series: int | None = None

    def count(self, word: str) -> int:
        """Return how many channels, or planes, were named."""
        part = WORDS.index(word)
        return len(self.planes) if word == "plane" and self.planes else len({key[part] for key in self.names})


def meaning(name: str, axes: str, sizes: Sequence[int], wanted: Wanted) -> dict[str, int]:
    """Return how many there are of what: {word of `WORDS`: size}, outermost first.

    Raises
    ------
    ValueError
        for axes that could be either, or nothing that is known
    """
    found: list[tuple[str, int]] = []
    for letter, size in zip(axes, sizes):
        if letter == "I" and wanted.pages:
            found += _split(name, size, wanted)
        elif letter in MEANING:
            found.append((MEANING[letter], size))
        elif letter in "IQ" and 1 in (wanted.count("channel"), wanted.count("plane")):
            found.append(("plane" if wanted.count("plane") > 1 else "channel", size))
        elif size > 1:
            what = "pages of which nothing is said" if letter in "IQ" else f"values along an axis {letter}"
            raise ValueError(f"{name}: {size} {what}; say what they are, outermost first, as in --pages plane channel")
    words = [word for word, size in found if size > 1]
    if twice := next((word for word in words if words.count(word) > 1), ""):
        raise ValueError(f"{name}: two axes of {twice}s ({axes} {' x '.join(map(str, sizes))}); say which by --pages")
    return {word: size for word, size in found if size > 1}


def _split(name: str, pages: int, wanted: Wanted) -> list[tuple[str, int]]:
    """Return (word, size) of each of `wanted.pages`; of the one that is not counted by its names, what is left."""
    sizes = {word: wanted.count(word) for word in wanted.pages if word in ("channel", "plane")}
    if len(wanted.pages) == 1:
        return [(wanted.pages[0], pages)]
    left = [word for word in wanted.pages if word not in sizes]
    known = math.prod(sizes.values())
    if pages % known or len(left) > 1 or (not left and pages != known):
        told = " x ".join(f"{sizes.get(word, '?')} {word}s" for word in wanted.pages)
        raise ValueError(f"{name}: {pages} pages are not {told}; correct --pages, --channels or --planes")
    return [(word, sizes.get(word, pages // known)) for word in wanted.pages]


def look(path: Path, name: str, told: dict, wanted: Wanted) -> list[dict]:
    """Return a row for each plane of a file, in the file's order, from its header and what its name tells.

    A number that the name tells is that of the file's first plane, site, channel or time point.
    """
    with store.open_hyperstack(path, series=wanted.series, by_page=bool(wanted.pages)) as file:
        inside = meaning(name, file.axes, file.sizes, wanted)
        size, plain = 2 * math.prod(file.shape), file.plain
    number, expected = inside.get("channel", 1), wanted.count("channel")
    counted = " x ".join(f"{inside.get(word, 1)} {word}(s)" for word in ("channel", "plane"))
    if wanted.ordered and "channel" not in told and number != expected:
        named = ", ".join(one or "-" for one in wanted.names.values())
        raise ValueError(
            f"{name}: expected {expected} channel(s) ({named}), found {number}; name each in order by --channels, - leaves one "
            "out; pages that are no channels: --pages plane"
        )
    row = {**UNTOLD, **told, "file": name, "inside": counted, "bytes": size, "plain": plain}
    places = itertools.product(*(range(size) for size in inside.values()))
    return [
        {**row, **{word: row[word] + n for word, n in zip(inside, place)}, "number": k}
        for k, place in enumerate(places)
    ]


def check_alike(images: pd.DataFrame) -> None:
    """Raise ValueError where a file holds other numbers of channels or planes than most whose name tells its channel."""
    first = images.drop_duplicates("file")
    for _, rows in first.groupby("channel"):
        usual = rows["inside"].mode()[0]
        if len(odd := rows[rows["inside"] != usual]):
            row, other = odd.iloc[0], rows[rows["inside"] == usual].iloc[0]
            raise ValueError(
                f"{row['file']}: expected {usual} as in {other['file']}, found {row['inside']} ({len(odd)} such files of "
                f"{len(rows)}); take them out of the folder, or unpack them by themselves"
            )


def name_planes(images: pd.DataFrame, wanted: Wanted) -> dict:
    """Return {(channel, plane or None): name} with `--planes` filled in; planes without names are an error."""
    numbers, first = sorted(set(images["plane"])), images["file"].iloc[0]
    if not wanted.planes:
        if len(numbers) > 1 and all(plane is None for _, plane in wanted.names):
            raise ValueError(
                f"{first}: there are the planes {_short(numbers)}; name each in order: --planes 01 02 ...; pages that are no "
                "planes: --pages channel, or --pages site"
            )
        return wanted.names
    if len(numbers) != len(wanted.planes) or any(plane is not None for _, plane in wanted.names):
        raise ValueError(
            f"--planes: {len(wanted.planes)} names, but {first} and the others have the planes {_short(numbers)}; name each in "
            "order, - leaves one out"
        )
    pairs = itertools.product(wanted.names.items(), zip(numbers, wanted.planes))
    return {(one, n): f"{name}_{plane}" if name and plane else "" for ((one, _), name), (n, plane) in pairs}


def _short(numbers: Sequence[int]) -> str:
    """Return numbers for a message: the first, and the last of many."""
    return str(list(numbers)) if len(numbers) < 8 else f"{numbers[0]}, {numbers[1]}, ... {numbers[-1]} ({len(numbers)})"


def list_planes(
    folder: Path,
    named: Sequence[tuple[str, dict]],
    wanted: Wanted,
    *,
    plate: str = "",
    time: int | None = None,
    workers: int,
) -> pd.DataFrame:
    """Return the planes to have: `TABLE_COLUMNS` with the file to write, and source, number, plain, bytes.

    Parameters
    ----------
    named : (file below the folder, what its name tells) of each
    plate, time : as in `image_names.name_images`
    """
    rows = ordered(lambda one: look(folder / one[0], *one, wanted), named, workers=workers)
    images = pd.DataFrame(list(itertools.chain.from_iterable(rows)))
    check_alike(images)
    images = name_images(images, name_planes(images, wanted), plate=plate, time=time)
    names = [f"{row.plate}/{row.well}_s{row.site}_{row.channel}.tif" for row in images.itertuples()]
    images = images.assign(source=images["file"], file=[check_key(name, "--plate") for name in names])
    return images[[*TABLE_COLUMNS, "source", "number", "plain", "bytes"]]


def write_planes(folder: Path, source: str, rows: Sequence, out: Path, wanted: Wanted) -> int:
    """Write, or link to, the planes of one file that are not in `out` yet; return how many it has.

    A plane is on the disk before it gets its name: whatever has one is whole, after a kill or a power cut too.
    """
    todo = [row for row in rows if not os.path.lexists(out / row.file)]
    for parent in {(out / row.file).parent for row in todo}:
        parent.mkdir(parents=True, exist_ok=True)
    if todo and todo[0].plain:
        (out / todo[0].file).symlink_to((folder / source).resolve())
    elif todo:
        with store.open_hyperstack(folder / source, series=wanted.series, by_page=bool(wanted.pages)) as file:
            for row in todo:
                path = out / row.file
                temporary = path.with_name(f".{path.name}.part")
                store.write_raw(temporary, file.plane(row.number).astype(np.uint16, copy=False))
                store.replace(temporary, path)
    return len(rows)


def unpack(folder: Path, planes: pd.DataFrame, out: Path, wanted: Wanted, *, workers: int) -> None:
    """Bring the planes that `list_planes` lists into the folder `out`, or find that they are there.

    Unfinished work lies in `<out>.partial` and is continued. `RECORD` in the folder says of which files it was made.

    Raises
    ------
    ValueError
        where `out` holds anything else, or lies in `folder`
    OSError
        where the disk is too small
    """
    sources = {source: store.fingerprint(folder / source) for source in planes["source"].unique()}
    rows = planes[["source", "number", "file"]].values.tolist()
    key = store.digest(str(folder.resolve()), sources, rows, list(wanted.pages), wanted.series)
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"{out} lies in {folder}, whose TIFFs are read; give --unpack another folder")
    with store.locked(out):
        if not check_out(out, key):
            _fill(folder, planes, out, key, wanted, workers)
        elif lacking := [file for file in planes["file"] if not (out / file).exists()]:
            gone = f"{lacking[0]} is not there any more ({len(lacking)} such files)"
            raise ValueError(f"{out}: {gone}; remove {out} and run the same command again")
    log.info("%s: %d planes, %d of them links to your own files", out, len(planes), planes["plain"].sum())


def _fill(folder: Path, planes: pd.DataFrame, out: Path, key: str, wanted: Wanted, workers: int) -> None:
    """Write or link to what `<out>.partial` lacks, and rename it."""
    partial = out.with_name(out.name + ".partial")
    if not check_out(partial, key, made="begun"):
        with store.atomic(partial / RECORD) as temporary:
            temporary.write_text(json.dumps({"key": key}))
    check_disk(partial, planes)
    jobs = ((source, list(rows.itertuples())) for source, rows in planes.groupby("source", sort=False))
    with tqdm(total=len(planes), disable=None, unit="plane") as bar:
        for done in ordered(lambda job: write_planes(folder, *job, partial, wanted), jobs, workers=workers):
            bar.update(done)
    store.replace_folder(partial, out)


def check_out(out: Path, key: str, *, made: str = "made") -> bool:
    """Return whether a folder was made of the same files in the same way; False where there is nothing in it.

    Raises
    ------
    ValueError
        for a folder of other things: it is left as it is
    """
    there = sorted(name for name in os.listdir(out) if not name.startswith(f".{RECORD}.")) if out.is_dir() else []
    if not there:
        return False
    try:
        made_of = json.loads((out / RECORD).read_text())["key"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{out} holds other files, such as {there[0]}; give --unpack another folder") from None
    if made_of != key:
        raise ValueError(
            f"{out} was {made} of other files, or by other options; remove it, or give --unpack another folder"
        )
    return True


def check_disk(folder: Path, planes: pd.DataFrame) -> None:
    """Raise OSError, before the first plane, where the disk is too small for those that are to be written."""
    needed, free = int(planes.loc[~planes["plain"], "bytes"].sum()), shutil.disk_usage(folder).free
    here = sum(os.path.getsize(folder / file) for file in planes["file"] if os.path.isfile(folder / file))
    if needed - here + SPARE_BYTES > free:
        raise OSError(
            f"{folder}: {(needed - here) / 1e9:.2f} GB are to be written, {free / 1e9:.2f} GB are free; make room, or give "
            "--unpack a folder on a larger disk"
        )
