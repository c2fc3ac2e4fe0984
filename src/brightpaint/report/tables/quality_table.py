"""Count what was flagged and left out on every plate, and compare the plates with one another.

Two flaws show only between plates: one file in two plates under different names, and a plate whose channels are
exchanged. Channels of one kind of plate go together in much the same way, so a plate that resembles the others more
once two of its channels are exchanged is reported. It needs three plates with the same channels.
"""

from __future__ import annotations

import argparse
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates.flag import FLAGS, KEYS
from brightpaint.report import pages

LEAST_PLATES = 3
BETTER, LEAST_GAIN = 0.6, 0.01  # an exchange must leave at most this share of the difference, and gain this much
SLOPE_SCALE = 3.0  # slopes differ by about as many units as correlations differ by thirds
log = logging.getLogger(__name__)


def count_flags(flags: pd.DataFrame, plate: str, fields: int) -> dict:
    """Return one plate's row: fields, flagged fields by flag, fields left out."""
    row = {"plate": plate, "fields": fields}
    for flag in FLAGS:
        row[flag] = len(flags.loc[flags["flag"] == flag, KEYS].drop_duplicates())
    row["left_out"] = len(flags.loc[flags["excluded"] == 1, KEYS].drop_duplicates())
    row["kept"] = fields - row["left_out"]
    return row


def signature(measures: pd.DataFrame, channels: Sequence[str]) -> np.ndarray:
    """Return (C, C) medians over a plate: correlations of channels, and on the diagonal slopes of their spectra."""
    groups = measures[measures["sd"] > 0].groupby("Channel")
    matrix = groups[[f"r_{name}" for name in channels]].median().reindex(channels).to_numpy(copy=True)
    matrix[np.diag_indices(len(channels))] = groups["slope"].median().reindex(channels) / SLOPE_SCALE
    return matrix


def exchanged(own: np.ndarray, others: np.ndarray, channels: Sequence[str]) -> tuple[str, str] | None:
    """Return the two channels whose exchange brings a plate's signature to that of the others, if any does."""
    consensus = np.nanmedian(others, axis=0)
    if not np.isfinite(own).all() or not np.isfinite(consensus).all():
        return None
    before = np.abs(own - consensus).mean()
    best, least = None, before
    for pair in itertools.combinations(range(len(channels)), 2):
        order = list(range(len(channels)))
        order[pair[0]], order[pair[1]] = pair[1], pair[0]
        after = np.abs(own[np.ix_(order, order)] - consensus).mean()
        if after < least:
            best, least = pair, after
    if best is None or least > BETTER * before or before - least < LEAST_GAIN:
        return None
    return channels[best[0]], channels[best[1]]


def compare_plates(plates: dict[str, pd.DataFrame]) -> list[str]:
    """Return a sentence for each plate whose channels seem exchanged beside the other plates.

    Parameters
    ----------
    plates : {name: measures}
    """
    kinds: dict[tuple, list[str]] = {}
    for name, measures in plates.items():
        kinds.setdefault(tuple(dict.fromkeys(measures["Channel"])), []).append(name)
    found = []
    for channels, names in kinds.items():
        if len(names) < LEAST_PLATES or len(channels) < 2:
            continue
        signatures = np.stack([signature(plates[name], channels) for name in names])
        for n, name in enumerate(names):
            pair = exchanged(signatures[n], np.delete(signatures, n, axis=0), channels)
            if pair:
                found.append(f"Plate {name} is like the other plates only once {pair[0]} and {pair[1]} are exchanged.")
    return found


def shared_images(plates: dict[str, pd.DataFrame]) -> list[str]:
    """Return a sentence for each two plates that hold the same pixels in files of different names."""
    columns = ["Metadata_Plate", "key", "digest"]
    every = pd.concat([measures.loc[measures["sd"] > 0, columns] for measures in plates.values()])
    twice = every[every.duplicated("digest", keep=False)].drop_duplicates(["key", "digest"])
    pairs: dict[tuple, list[str]] = {}
    for _, group in twice.groupby("digest", sort=False):
        for pair in itertools.combinations(sorted(group["Metadata_Plate"].unique()), 2):
            pairs.setdefault(pair, []).append(group["key"].iloc[0])
    return [
        f"Plates {first} and {second} hold {len(keys)} images with the same pixels under different names, first {keys[0]}."
        for (first, second), keys in pairs.items()
    ]


def page(counts: pd.DataFrame, sentences: Sequence[str], flags: pd.DataFrame, tsv: str) -> str:
    """Return the HTML page: counts by plate, what shows only between plates, and every flag that left a field out.

    `tsv` is the text of the table of counts.
    """
    gone = flags[flags["excluded"] == 1]
    return pages.render(
        "quality.html", counts=pages.table(counts), sentences=sentences, tsv=tsv,
        left_out=pages.table(gone[[*KEYS, "Channel", "flag", "detail"]]),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measures", type=Path, nargs="+", required=True, help="one table a plate, from quality")
    parser.add_argument("--flags", type=Path, nargs="+", required=True, help="one table a plate, from flag")
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    if len(args.measures) != len(args.flags):
        raise ValueError("quality_table: --measures and --flags must name as many plates each")
    plates, flags, counts = {}, [], []
    for measured, flagged in zip(args.measures, args.flags):
        measures, found = store.read_table(measured), store.read_table(flagged)
        plate = str(measures["Metadata_Plate"].iloc[0])
        plates[plate] = measures
        flags.append(found)
        counts.append(count_flags(found, plate, measures[KEYS].drop_duplicates().shape[0]))
    sentences = shared_images(plates) + compare_plates(plates)
    for sentence in sentences:
        log.warning(sentence)
    table = pd.DataFrame(counts)
    store.write_table(table, args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(table, sentences, pd.concat(flags, ignore_index=True), args.tsv.read_text()))


if __name__ == "__main__":
    run(main)
