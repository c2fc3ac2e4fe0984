"""Estimate each channel's illumination function over a plate, as CellProfiler's CorrectIlluminationCalculate does.

The mean of all images of the channel, smoothed by a median filter, divided by its robust minimum so that it is at
least 1 (CellProfiler 4.2.8: `Regular`, `Median Filter`, size set by hand, rescaled, all images). CellProfiler cuts the
mean image down to whole 16-bit counts before the filter, and so does this; but it adds in single precision, where a
mean may fall just below its count. The median then differs by at most one count, which tests/test_illumination.py
checks against CellProfiler itself.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.filters import rank
from skimage.morphology import disk
from tqdm import tqdm

from brightpaint import store
from brightpaint.cli import run

ROBUST_SHARE = 0.02  # CellProfiler's ROBUST_FACTOR
COLUMNS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Channel", "file"]
log = logging.getLogger(__name__)


def filter_radius_px(size_px: float) -> int:
    """Return the radius of the disk that CellProfiler's median filter of `size_px` uses (106 for 249)."""
    return max(1, int(size_px / 2.35 + 0.5))


def median_filter(mean: np.ndarray, radius_px: int) -> np.ndarray:
    """Return the median of `mean`, in whole counts, over a disk cut off at the image's borders.

    Parameters
    ----------
    mean : (H, W) raw counts, 0 to 65535; the fraction is dropped
    radius_px : of the disk

    Returns
    -------
    (H, W) uint16 raw counts
    """
    counts = mean.astype(np.uint16)
    lowest = counts.min()  # the filter's time grows with the largest count, the median moves with a shift
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Bad rank filter performance")  # of deep images: seconds a channel
        return rank.median(counts - lowest, disk(radius_px)) + lowest


def rescale(smooth: np.ndarray) -> np.ndarray:
    """Divide by the robust minimum (the 2nd percentile of what is positive), below which values are raised to it.

    Parameters
    ----------
    smooth : (H, W) counts, some of them positive

    Returns
    -------
    (H, W) float32, at least 1
    """
    positive = np.sort(smooth[smooth > 0])
    if not len(positive):
        raise ValueError("the smoothed mean image is black")
    minimum = np.float64(positive[int(len(positive) * ROBUST_SHARE)])
    return (np.maximum(smooth, minimum) / minimum).astype(np.float32)


def mean_image(images: Iterable[np.ndarray]) -> np.ndarray:
    """Return the mean of (H, W) images as (H, W) float64; the sum of counts is exact, whatever their order."""
    total, count = None, 0
    for image in images:
        total = image.astype(np.float64) if total is None else np.add(total, image, out=total)
        count += 1
    if total is None:
        raise ValueError("no images to take the mean of")
    return total / count


def read_images(rows: Sequence[dict], raw: Path, shape: tuple[int, int], bar: tqdm) -> Iterable[np.ndarray]:
    """Yield the images of `rows`; one of another shape is an error that names it."""
    for row in rows:
        where = store.describe_field(row, row["Channel"])
        image = store.read_raw(raw / row["file"], where)
        if image.shape != shape:
            raise ValueError(
                f"{raw / row['file']} ({where}): expected {shape[0]} x {shape[1]} px as in the plate's first image, "
                f"found {image.shape[0]} x {image.shape[1]}; leave the field out, or give such images a plate of "
                "their own"
            )
        bar.update()
        yield image


def illumination(index: pd.DataFrame, raw: Path, settings: dict) -> np.ndarray:
    """Return a plate's illumination functions, holding one image and one sum in memory at a time.

    Parameters
    ----------
    index : columns `COLUMNS`
    raw : folder of the images
    settings : method (median or none), size_px (CellProfiler's filter size), channels

    Returns
    -------
    (C, H, W) float32, at least 1, to divide raw images by
    """
    if index.empty:
        raise ValueError("the index has no rows; run the rule index again")
    shape = store.read_raw(raw / index["file"].iloc[0]).shape
    functions = np.ones((len(settings["channels"]), *shape), np.float32)
    if settings["method"] == "none":
        return functions
    with tqdm(total=len(index), disable=None, unit="image") as bar:
        for n, channel in enumerate(settings["channels"]):
            rows = index[index["Channel"] == channel].to_dict("records")
            if not rows:
                raise ValueError(f"the index has no image of channel {channel}; run the rule index again")
            mean = mean_image(read_images(rows, raw, shape, bar))
            try:
                functions[n] = rescale(median_filter(mean, filter_radius_px(settings["size_px"])))
            except ValueError as error:
                place = f"plate {rows[0]['Metadata_Plate']}, channel {channel}"
                raise ValueError(
                    f"{place}: {error}; its {len(rows)} images hold no light: leave the channel out"
                ) from error
            log.info("%s: %d images, 1 to %.3f", channel, len(rows), functions[n].max())
    return functions


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--illumination", type=Path, required=True)
    args = parser.parse_args(argv)
    settings = args.settings
    functions = illumination(store.read_table(args.index, COLUMNS), args.raw, settings)
    key = store.digest(settings, store.file_digest(args.index))
    meta = {"method": settings["method"], "size_px": settings["size_px"]}
    shape = (1, *functions.shape)
    with store.StackWriter(
        args.illumination, shape, settings["channels"], key=key, dtype="float32", meta=meta
    ) as writer:
        writer.write(0, functions)


if __name__ == "__main__":
    run(main)
