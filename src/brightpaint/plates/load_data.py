"""Read the gallery's `load_data` tables, which say where each field's images lie.

They come in several dialects: FileName_Orig* with PathName_Orig* (a path on the machine that wrote them, or an s3
URL), or URL_Orig*; brightfield planes bear several names (resources/channels.tsv).
"""

from __future__ import annotations

import functools
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlparse

from brightpaint import store
from brightpaint.plates import gallery, platemaps
from brightpaint.plates.files import Names
from brightpaint.plates.keys import check_key

CHANNEL_NAMES = Path(__file__).resolve().parents[3] / "resources" / "channels.tsv"


def read(handle: BinaryIO, name: str) -> platemaps.Table:
    """Open a load_data table (.csv, .csv.gz or .parquet by its name) as rows of strings."""
    if name.endswith(".parquet"):
        return _open_parquet(handle, name)
    return platemaps.open_text_table(_unpacked(handle, name), name, separator=",")


def _unpacked(handle: BinaryIO, name: str) -> BinaryIO:
    """Return what a .gz file holds, after a look whether it is whole; another file as it is."""
    if not name.endswith(".gz"):
        return handle
    unpacked = gzip.GzipFile(fileobj=handle)
    try:
        while unpacked.read(platemaps.CHUNK_BYTES):
            pass
        unpacked.seek(0)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name}: not a whole gzip file ({error}); copy it again from its source") from error
    return unpacked


def _open_parquet(handle: BinaryIO, name: str) -> platemaps.Table:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(handle, buffer_size=platemaps.CHUNK_BYTES)
    except Exception as error:
        raise ValueError(f"{name}: not a readable parquet file ({error}); copy it again from its source") from error
    columns = [column.strip() for column in file.schema_arrow.names]
    return platemaps.Table(platemaps.distinct(columns, name), _parquet_rows(file, columns, name))


def _parquet_rows(file, columns: list[str], name: str) -> Iterator[list[str]]:
    try:
        for batch in file.iter_batches(store.BATCH_ROWS, use_threads=False):
            for row in zip(*(column.to_pylist() for column in batch.columns)):
                yield platemaps.plain_cells(columns, row)
    except Exception as error:
        raise ValueError(f"{name}: not a readable parquet file ({error}); copy it again from its source") from error


def image_columns(columns: Sequence[str]) -> list[str]:
    """Return the names of the channels that a load_data table with these columns has images of."""
    names = [re.fullmatch(r"(?:FileName|URL)_Orig(.+)", column) for column in columns]
    return sorted({match[1] for match in names if match})


def read_aliases() -> dict[str, list[str]]:
    """Return the other names of each channel, from resources/channels.tsv."""
    table = store.read_table(CHANNEL_NAMES, ["channel", "alias"])
    return {channel: list(group["alias"]) for channel, group in table.groupby("channel")}


def match_channels(channels: Sequence[str], found: Sequence[str], aliases: dict[str, list[str]], name: str) -> dict:
    """Return {channel: its name in the table}.

    Raises
    ------
    ValueError
        where a channel is absent, or present under two aliases
    """
    chosen = {}
    for channel in channels:
        others = [alias for alias in aliases.get(channel, []) if alias in found]
        if channel not in found and len(others) != 1:
            known = ", ".join([channel, *aliases.get(channel, [])])
            problem = f"is there under {len(others)} names ({', '.join(others)})" if others else "is missing"
            raise ValueError(
                f"{name}: channel {channel} {problem}; expected one of {known}; found the channels {', '.join(found)}. "
                "Correct config channels, or add the other name to resources/channels.tsv"
            )
        chosen[channel] = channel if channel in found else others[0]
    return chosen


def normal_site(text: str, where: str) -> int:
    """Return a site's number, from 1."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,4}(\.0)?", text.strip()):
        raise ValueError(f"{where}: expected a site number from 1, found {_short(text)!r}; correct the site")
    return int(float(text))


def _short(text: str) -> str:
    return text if len(text) < 100 else f"{text[:100]}..."


def key_of(row: dict, channel: str, project: str) -> str | None:
    """Return the key of a channel's image where a load_data row tells it, else None (then it is looked up).

    `URL_Orig*` and PathNames that are s3 or https URLs hold the key; other PathNames hold it from `/<project>/` on.
    """
    url, path, file = (row.get(f"{kind}_Orig{channel}", "") for kind in ("URL", "PathName", "FileName"))
    if not url and path.startswith(("s3://", "https://", "http://")):
        url = f"{path.rstrip('/')}/{file}"
    if url:
        parsed = urlparse(url, allow_fragments=False)
        if parsed.scheme == "s3":
            return url.split("/", 3)[3] if url.count("/") > 2 else ""
        key = unquote(parsed.path).lstrip("/")
        in_path = re.match(r"s3[.-]", parsed.netloc)  # https://s3.region.amazonaws.com/bucket/key
        return key.partition("/")[2] if in_path else key
    before, found, after = f"{path.rstrip('/')}/".partition(f"/{project}/")
    return f"{project}/{after}{file}" if found else None


def look_up(path: str, file: str, keys: Sequence[str], where: str) -> str | None:
    """Return the one of `keys`, all called `file`, whose folders agree best with the end of `path`."""
    parts = path.strip("/").split("/")

    def agreement(key: str) -> int:
        pairs = zip(reversed(key.split("/")[:-1]), reversed(parts))
        return next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(parts), key.count("/")))

    best = max(map(agreement, keys), default=0)
    chosen = [key for key in keys if agreement(key) == best]
    if len(chosen) > 1:
        raise ValueError(
            f"{where}: {file} is there twice, as {chosen[0]} and {chosen[1]}; expected one file: remove the other"
        )
    return chosen[0] if chosen else None


def image_files(table: platemaps.Table, chosen: dict, plate: dict, source, name: str) -> Iterator[tuple]:
    """Yield (well, site, channel, key) of a plate's images; key is "" where the table names no file."""
    platemaps.require_columns(table, ["Metadata_Plate", "Metadata_Well", "Metadata_Site"], name)
    find = KeyFinder(plate, source)
    for row in rows_of_plate(table, plate["barcode"], name):
        well = platemaps.normal_well(row["Metadata_Well"], name)
        site = normal_site(row["Metadata_Site"], f"{name}, well {well}")
        for channel, alias in chosen.items():
            where = f"{name}: plate {plate['plate']}, well {well}, site {site}, channel {channel}"
            yield well, site, channel, find.key(row, alias, where)


def rows_of_plate(table: platemaps.Table, barcode: str, name: str) -> Iterator[dict]:
    """Yield the rows of a plate: under its barcode, or under the one other name that is obviously its own.

    Raises
    ------
    ValueError
        where there are none, and where two names could be the plate's
    """
    called, others = None, set()
    for row in table.records():
        own = row["Metadata_Plate"]
        if own != called and own not in others:
            if not gallery.same_plate(own, barcode):
                others.add(own)
                continue
            if called is not None:
                raise ValueError(
                    f"{name}: expected the rows of one plate {barcode}, found {called} and {own}; set barcode in the plate "
                    "table to the one that is meant"
                )
            called = own
        if own == called:
            yield row
    if called is None:
        there = ", ".join(sorted(others)[:5])
        raise ValueError(f"{name}: no row of plate {barcode}; found {there}; set barcode in the plate table")


class KeyFinder:
    """The key of each image of a plate, from its row or, where the row tells only a name, from a listing."""

    def __init__(self, plate: dict, source):
        self._plate, self._source = plate, source
        self._folder = (
            f"{gallery.images(plate)}/{min(plate['barcode'], plate.get('folder', plate['barcode']), key=len)}"
        )

    @functools.cached_property
    def _names(self) -> Names:
        return Names(key for key, _ in self._source.walk(self._folder))

    def key(self, row: dict, alias: str, where: str) -> str:
        """Return the key of a channel's image, "" where the row names none."""
        file = row.get(f"FileName_Orig{alias}", "")
        if not file and not row.get(f"URL_Orig{alias}", ""):
            return ""
        try:
            key = key_of(row, alias, self._plate["project"])
        except ValueError as error:
            raise ValueError(f"{where}: its address cannot be read ({error}); correct the table's URL") from error
        if key is None:
            found = look_up(row.get(f"PathName_Orig{alias}", ""), file, self._names.of(file), where)
            key = found or f"{self._folder}/{file}"  # not there: found missing later
        return check_key(key, where)
