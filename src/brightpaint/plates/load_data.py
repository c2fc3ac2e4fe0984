"""Read the gallery's `load_data` tables, which say where each field's images lie.

They come in several dialects: FileName_Orig* with PathName_Orig* (a path on the machine that wrote them, or an s3
URL), or URL_Orig*; brightfield planes bear several names (resources/channels.tsv).
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd

from brightpaint import store
from brightpaint.plates import annotations, gallery, sources

CHANNEL_NAMES = Path(__file__).resolve().parents[3] / "resources" / "channels.tsv"


def read(data: bytes, name: str) -> pd.DataFrame:
    """Read a load_data table (.csv, .csv.gz or .parquet by its name) as strings, missing values as ""."""
    if not name.endswith(".parquet"):
        if name.endswith(".gz"):
            try:
                data = gzip.decompress(data)
            except (OSError, EOFError, zlib.error) as error:
                raise ValueError(f"{name}: not a whole gzip file ({error}); copy it again from its source") from error
        return annotations.read_text_table(data, name, separator=",")
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except Exception as error:
        raise ValueError(f"{name}: not a readable parquet file ({error}); copy it again from its source") from error
    frame = frame.reset_index(drop=True)
    frame.columns = [str(column).strip() for column in frame.columns]
    return annotations.plain_cells(frame.astype(object).where(frame.notna(), "").astype(str), name)


def image_columns(frame: pd.DataFrame) -> list[str]:
    """Return the names of the channels that a load_data table has images of."""
    names = [re.fullmatch(r"(?:FileName|URL)_Orig(.+)", column) for column in frame.columns]
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


def look_up(path: str, file: str, listed: dict[str, list[str]], where: str) -> str | None:
    """Return the one listed key called `file`; of several, the one whose folders agree with the end of `path`."""
    keys = listed.get(file, [])
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


def image_files(frame: pd.DataFrame, chosen: dict, plate: dict, source, name: str) -> pd.DataFrame:
    """Return Metadata_Well, Metadata_Site, Channel, key ("" where the table names no file) of a plate's images."""
    annotations.require_columns(frame, ["Metadata_Plate", "Metadata_Well", "Metadata_Site"], name)
    rows = frame[frame["Metadata_Plate"] == plate["barcode"]].to_dict("records")
    if not rows:
        there = ", ".join(sorted(set(frame["Metadata_Plate"]))[:5])
        raise ValueError(f"{name}: no row of plate {plate['barcode']}; found {there}; set barcode in the plate table")
    files, listed = [], None
    for row in rows:
        well = annotations.normal_well(row["Metadata_Well"], name)
        site = normal_site(row["Metadata_Site"], f"{name}, well {well}")
        for channel, alias in chosen.items():
            where = f"{name}: plate {plate['plate']}, well {well}, site {site}, channel {channel}"
            file = row.get(f"FileName_Orig{alias}", "")
            if not file and not row.get(f"URL_Orig{alias}", ""):
                files.append([well, site, channel, ""])
                continue
            try:
                key = key_of(row, alias, plate["project"])
            except ValueError as error:
                raise ValueError(f"{where}: its address cannot be read ({error}); correct the table's URL") from error
            if key is None:
                if listed is None:
                    listed = _by_name(source.list(f"{gallery.images(plate)}/{plate['barcode']}"))
                key = look_up(row.get(f"PathName_Orig{alias}", ""), file, listed, where)
                key = key or f"{gallery.images(plate)}/{plate['barcode']}/{file}"  # not there: found missing below
            files.append([well, site, channel, sources.check_key(key, where)])
    return pd.DataFrame(files, columns=["Metadata_Well", "Metadata_Site", "Channel", "key"])


def _by_name(keys) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {}
    for key in keys:
        listed.setdefault(key.rpartition("/")[2], []).append(key)
    return listed
