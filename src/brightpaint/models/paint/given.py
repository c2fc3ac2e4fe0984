"""Bring images that another program painted into the study: one plate as a stack, scored from then on as every arm's.

Every file's header is looked at before anything is written. What a pixel means says the model's entry (`given.pixels`).
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.paint.gather import described_rows, parsed
from brightpaint.plates.given_images import Given, check_file, read_given, read_scores

log = logging.getLogger(__name__)


def fields_listed(rows: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Return the well, site and tile of every row."""
    return [(str(row[0]), int(row[1]), int(row[2])) for row in rows[store.FIELD_KEYS[1:]].itertuples(index=False)]


def check(given: Given, fields: list[tuple], channels: list[str], pixels: str, shape: tuple[int, int]) -> None:
    """Raise ValueError unless every field has a whole image of every channel, of the right size and type."""
    for field in fields:
        for channel in channels:
            check_file(given.file(field, channel), given.place(field, channel), pixels, shape)


def write(given: Given, rows: pd.DataFrame, settings: dict, shape: tuple[int, int], path: Path) -> None:
    """Write the images of `rows`, in their order, as the stack `path`."""
    fields, channels = fields_listed(rows), settings["channels"]
    check(given, fields, channels, settings["pixels"], shape)
    files = [[given.file(field, channel) for channel in channels] for field in fields]
    key = store.digest(settings, [[str(file), *store.fingerprint(file)] for own in files for file in own])
    how = settings["pixels"], settings["window"], settings["cutoff"]
    with store.StackWriter(path, (len(rows), len(channels), *shape), channels, key=key) as writer:
        for number, own in enumerate(tqdm(files, disable=None, unit="field")):
            if not writer.done[number]:
                places = (given.place(fields[number], channel) for channel in channels)
                writer.write(number, np.stack([read_scores(file, place, *how) for file, place in zip(own, places)]))


def main(argv=None) -> None:
    """Bring in the images of one plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, pixels, window, cutoff")
    parser.add_argument("--table", type=Path, required=True, help="the CSV that lists them")
    parser.add_argument("--plate", required=True)
    parser.add_argument("--real", type=Path, required=True, help="the plate's stack, whose size they must have")
    args, rows = parsed(parser, argv)
    given = read_given(args.table, args.plate, args.settings["channels"])
    write(given, rows, args.settings, store.open_stack(args.real).images.shape[-2:], args.stack)
    store.write_table(described_rows(rows), args.rows)
    took = {"part": 1, "fields": 0, "wall_s": 0.0, "cpu_s": 0.0, "computed": "elsewhere"}
    store.write_table(pd.DataFrame([took]), args.seconds)
    log.info("%d of %d listed fields", len(rows), len(given.files))


if __name__ == "__main__":
    run(main)
