"""What the name of a feature says: where in the cell, which group of features, of which channels."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

PARTS = ["compartment", "group", "channel"]  # of a feature; "" where its name says none


def cell_group(name: str) -> str:
    """Return the group of a CellProfiler feature: Nuclei_Texture_Contrast_DNA_3_00_64 -> Texture."""
    words = name.split("_")
    return words[1] if len(words) > 1 else name


def named_channels(text: str, channels: Sequence[str]) -> list[str]:
    """Return the channels that a part of a name speaks of, each once, in the order of `channels`.

    A channel may be named as the images of one's own pipeline are (`OrigDNA`). Of `DNA` and `DNA_low` the longer is meant.
    """
    longest = sorted(channels, key=len, reverse=True)
    pattern = rf"_(?:Orig)?({'|'.join(map(re.escape, longest))})(?=_|$)"
    found = set(re.findall(pattern, f"_{text}")) if channels else set()
    return [channel for channel in channels if channel in found]


def cell_channels(name: str, channels: Sequence[str]) -> list[str]:
    """Return the channels of a CellProfiler feature: two for a correlation of channels, none for a shape."""
    return named_channels("_".join(name.split("_")[2:]), channels)


def parts_of_cells(names: Sequence[str], channels: Sequence[str]) -> pd.DataFrame:
    """Return PARTS of CellProfiler's features, one row a name; several channels are joined by `|`."""
    rows = [(name.split("_")[0], cell_group(name), "|".join(cell_channels(name, channels))) for name in names]
    return pd.DataFrame(rows, columns=PARTS, index=list(names), dtype=object)


def parts_of_vectors(names: Sequence[str], prefixes: Sequence[str], channels: Sequence[str]) -> pd.DataFrame:
    """Return PARTS of a network's numbers (`DINO_RNA_0012`), one row a name: they are of whole fields, in no compartment."""
    prefix = {name: next((prefix for prefix in prefixes if name.startswith(prefix)), "") for name in names}
    rows = [
        ("", start.rstrip("_"), "|".join(named_channels(name.removeprefix(start), channels)))
        for name, start in prefix.items()
    ]
    return pd.DataFrame(rows, columns=PARTS, index=list(names), dtype=object)
