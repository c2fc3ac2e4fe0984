"""Fetch the illumination functions that the gallery publishes for a plate.

They lie in `<project>/<source>/images/<batch>/illum/<plate>/<plate>_Illum<Channel>.npy`, one array a channel, made by
CellProfiler's CorrectIlluminationCalculate: raw images are divided by them.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.plates import gallery, load_data, sources

log = logging.getLogger(__name__)


def illumination_folder(plate: dict) -> str:
    """Return the prefix of a plate's published functions."""
    return f"{plate['project']}/{plate['source']}/images/{plate['batch']}/illum/{plate['barcode']}/"


def find_functions(source, plate: dict, channels: Sequence[str]) -> dict[str, str]:
    """Return {channel: key} of a plate's published functions.

    Raises
    ------
    ValueError
        where there are none, or not one for every channel; the message says what is there
    """
    folder = illumination_folder(plate)
    names = {}
    for key in source.list(folder):
        if match := re.fullmatch(rf"{re.escape(plate['barcode'])}_Illum(\w+)\.npy", key.removeprefix(folder)):
            names[match[1]] = key
    if not names:
        raise ValueError(
            f"plate {plate['plate']}: no {plate['barcode']}_Illum*.npy in {source.describe(folder)}; "
            "set illumination.method: median, or correct the plate table"
        )
    chosen = load_data.match_channels(channels, sorted(names), load_data.read_aliases(), source.describe(folder))
    return {channel: names[name] for channel, name in chosen.items()}


def read_function(data: bytes, where: str) -> np.ndarray:
    """Return a published function.

    Parameters
    ----------
    data : the .npy file
    where : file, plate and channel, for messages

    Returns
    -------
    (H, W) float32, positive

    Raises
    ------
    ValueError
        for what is no whole .npy of one finite, positive image (no pickle is ever loaded)
    """
    mend = "set illumination.method: median to estimate it here"
    try:
        function = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{where}: expected a whole .npy array, found one that cannot be read ({error}); {mend}"
        ) from error
    if function.ndim != 2 or function.dtype.kind != "f":
        raise ValueError(f"{where}: expected one image of floats, found {function.shape} of {function.dtype}; {mend}")
    if not (np.isfinite(function).all() and (function > 0).all()):
        raise ValueError(f"{where}: expected values above 0, found {function.min()}; {mend}")
    return function.astype(np.float32)


def fetch_functions(source, plate: dict, channels: Sequence[str]) -> dict[str, np.ndarray]:
    """Return {channel: (H, W) float32} of a plate; functions of several sizes are an error."""
    functions: dict[str, np.ndarray] = {}
    for channel, key in find_functions(source, plate, channels).items():
        where = f"{source.describe(key)} (plate {plate['plate']}, channel {channel})"
        functions[channel] = read_function(source.read(key), where)
        first = next(iter(functions))
        if functions[channel].shape != functions[first].shape:
            raise ValueError(
                f"{where}: expected {functions[first].shape} px as channel {first} has, found "
                f"{functions[channel].shape}; set illumination.method: median"
            )
        log.info(
            "%s: %s, %.3f to %.3f", key, functions[channel].shape, functions[channel].min(), functions[channel].max()
        )
    return functions


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--published", type=Path, required=True)
    args = parser.parse_args(argv)
    plate = gallery.plate_row(args.settings["plate"])
    source = sources.open_source(args.settings["source"])
    functions = fetch_functions(source, plate, args.settings["channels"])
    with store.atomic_folder(args.published) as folder:
        for channel, function in functions.items():
            np.save(folder / f"{channel}.npy", function)


if __name__ == "__main__":
    run(main)
