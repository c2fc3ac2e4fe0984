"""Seeds from stable names."""

from __future__ import annotations

import zlib


def seed_of(*words: object) -> int:
    """Return a seed made from stable words, e.g. seed_of(7, "noise", 1200)."""
    return zlib.crc32("/".join(map(str, words)).encode())
