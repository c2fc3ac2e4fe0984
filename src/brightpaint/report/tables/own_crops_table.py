"""Count crops of one's own by what they show: crops, groups, groups that show that alone, and crops whose middle is no cell's.

A group that shows one class alone tells of its class whatever its cells look like. A crop whose middle pixel lies beside its
cell's mask was cut about something else than what the mask says, a bent nucleus for instance.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.middle_objects import middle_of
from brightpaint.report import pages

ALL = "all"
AT_ONCE = 4096  # crops whose middles are read at once


def off_the_middle(crops: store.Crops) -> np.ndarray:
    """Tell of which crops the middle pixel lies beside the mask of their cell, (N,) bool."""
    middle = middle_of(crops.masks.shape[2:])
    parts = [crops.masks[(slice(first, first + AT_ONCE), 0, *middle)] for first in range(0, len(crops), AT_ONCE)]
    return np.concatenate([np.zeros(0, np.uint8), *parts]) == 0


def count_crops(table: pd.DataFrame, off: np.ndarray) -> pd.DataFrame:
    """Return one row a class, by name, behind one of all.

    Parameters
    ----------
    table : Metadata_label and group of each crop
    off : (N,) bool, see `off_the_middle`

    Returns
    -------
    `class, crops, share` (of all crops), `groups, groups_alone` (that show no other class), `off_the_middle, off_share` (of
    the class's crops)
    """
    cells = pd.DataFrame({"class": table["Metadata_label"], "group": table["group"], "off": off})
    alone = cells.groupby("group")["class"].nunique() == 1
    cells["alone"] = cells["group"].map(alone)
    rows = []
    for name, own in [(ALL, cells), *cells.groupby("class", sort=True)]:
        counts = {"crops": len(own), "share": len(own) / max(len(cells), 1), "groups": own["group"].nunique(),
                  "groups_alone": own.loc[own["alone"], "group"].nunique()}  # fmt: skip
        rows.append({"class": name, **counts, "off_the_middle": int(own["off"].sum()), "off_share": own["off"].mean()})
    return pd.DataFrame(rows)


def sentence(counts: pd.DataFrame, masked: bool) -> str:
    """Say the row of all in words."""
    row = counts.iloc[0]
    middle = (
        f"the middle pixel of {row['off_the_middle']:,} crops ({100 * row['off_share']:.1f}%) lies beside the mask of their cell"
        if masked
        else "no masks were given, so that each crop counts as cell throughout"
    )
    return (f"{row['crops']:,} crops of {len(counts) - 1} classes in {row['groups']} groups, {row['groups_alone']} of which show "
            f"one class alone; {middle}.")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Count crops of one's own by what they show."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name in ("crops", "tsv", "html"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    crops = store.open_crops(args.crops)
    counts = count_crops(crops.table(["Metadata_label", "group"]), off_the_middle(crops))
    store.write_table(store.as_text(counts), args.tsv)
    words = sentence(counts, bool(crops.meta.get("masks")))
    page = pages.render(
        "own_crops.html", name=args.crops.stem, sentence=words, counts=pages.table(counts), tsv=args.tsv.read_text()
    )
    with store.atomic(args.html) as temporary:
        temporary.write_text(page)


if __name__ == "__main__":
    run(main)
