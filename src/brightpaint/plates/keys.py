"""Keys of files: paths within a bucket or folder, with `/` between their parts, and what a source says of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass

CHUNK_BYTES = 1 << 20
LONGEST_BYTES = 255  # of a file name, on every common disk


@dataclass(frozen=True, slots=True)
class Entry:
    """What a source says about a file: its size in bytes and its ETag ("" where there is none)."""

    size: int
    etag: str = ""


def check_key(key: str, where: str = "") -> str:
    """Return `key` if it stays within its bucket or folder; raise ValueError if it would leave it."""
    parts = key.split("/")
    place = f" ({where})" if where else ""
    if longest := max((part for part in parts if len(part.encode(errors="replace")) > LONGEST_BYTES), default=""):
        raise ValueError(
            f"the file name {longest[:60]!r}...{place} has {len(longest)} letters: expected {LONGEST_BYTES} bytes at most; "
            "correct it in the table that names it"
        )
    if not key or key.startswith("/") or "\\" in key or ".." in parts or re.search(r"[\x00-\x1f\x7f]", key):
        raise ValueError(
            f"the file name {key!r}{place} would leave its folder: expected a path below source.url, "
            "without '..', backslashes or a leading '/'; correct it in the table that names it"
        )
    return key
