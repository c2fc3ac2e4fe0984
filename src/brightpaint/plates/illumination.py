"""Estimate each channel's illumination function over a plate, as CellProfiler's CorrectIlluminationCalculate does.

The mean of all images of the channel, smoothed by a median filter, divided by its robust minimum so that it is at
least 1 (CellProfiler 4.2.8: `Regular`, `Median Filter`, size set by hand, rescaled, all images). CellProfiler cuts the
mean image down to whole 16-bit counts before the filter, and so does this; but it adds in single precision, where a
mean may fall just below its count. The median then differs by at most one count, which tests/plates/test_illumination.py
checks against CellProfiler itself.

Methods: `median`, the filter at the full size (the paper); `jump`, the mean image made smaller by 0.2, filtered with
size 20 and brought back to the raw size (JUMP's pipelines make every image smaller and then take the mean, which is
the same, both being linear); `published`, the functions that lie beside the images in the gallery; `none`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from skimage.filters import rank
from skimage.morphology import disk
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.pool import ordered
from brightpaint.plates.resize import resize

JUMP_SCALE, JUMP_SIZE_PX = 0.2, 20  # JUMP's illumination pipeline: Resize by 0.2, median of 20, Resize by 5
COARSE_COUNTS = 1024
ROBUST_SHARE = 0.02  # CellProfiler's ROBUST_FACTOR
LEAST_PUBLISHED = 0.999  # published functions were resized in single precision, and may fall just below 1
COLUMNS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Channel", "file"]
log = logging.getLogger(__name__)


def filter_radius_px(size_px: float) -> int:
    """Return the radius of the disk that CellProfiler's median filter of `size_px` uses (106 for 249)."""
    return max(1, int(size_px / 2.35 + 0.5))


def _rank_median(counts: np.ndarray, radius_px: int) -> np.ndarray:
    lowest = counts.min()  # the filter's time grows with the largest count, the median moves with a shift
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Bad rank filter performance")  # of deep images: seconds a channel
        return rank.median(counts - lowest, disk(radius_px)) + lowest


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
    if int(counts.max()) - int(counts.min()) > COARSE_COUNTS:
        # A median keeps its place under any map that keeps order. So the median of counts without their last bits
        # bounds it, and cutting the counts at these bounds leaves it as it is but makes the filter's range narrow.
        bits = max(0, int(counts.max()).bit_length() - 8)
        coarse = _rank_median(counts >> bits, radius_px)
        low, high = int(coarse.min()) << bits, ((int(coarse.max()) + 1) << bits) - 1
        counts = np.clip(counts, low, min(high, 65535))
    return _rank_median(counts, radius_px)


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


def read_images(rows: Iterable[dict], raw: Path, shape: tuple[int, int], bar: tqdm) -> Iterable[np.ndarray]:
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


def smooth_mean(mean: np.ndarray, settings: dict) -> np.ndarray:
    """Return the illumination function, at least 1, of a channel's mean image: (H, W) counts -> (H, W) float32."""
    if settings["method"] == "median":
        return rescale(median_filter(mean, filter_radius_px(settings["size_px"])))
    sizes = tuple(int(round(length * JUMP_SCALE)) for length in mean.shape)
    small = rescale(median_filter(resize(mean, sizes), filter_radius_px(JUMP_SIZE_PX)))
    return resize(small, mean.shape)


def channel_function(channel: str, rows: Iterable[dict], raw: Path, shape: tuple, settings: dict, bar: tqdm):
    """Return the (H, W) float32 illumination function of one channel, reading one image at a time."""
    own = (row for row in rows if row["Channel"] == channel)
    first = next(own, None)
    if first is None:
        raise ValueError(f"the index has no image of channel {channel}; run the rule index again")
    mean = mean_image(read_images(itertools.chain([first], own), raw, shape, bar))
    try:
        function = smooth_mean(mean, settings)
    except ValueError as error:
        place = f"plate {first['Metadata_Plate']}, channel {channel}"
        raise ValueError(f"{place}: {error}; its images hold no light: leave the channel out") from error
    log.info("%s: 1 to %.3f", channel, function.max())
    return function


def illumination(rows: Collection[dict], raw: Path, settings: dict, *, workers: int = 1) -> np.ndarray:
    """Return a plate's illumination functions, holding one image and one sum a worker in memory.

    Parameters
    ----------
    rows : of the index, columns `COLUMNS`; gone through once a channel
    raw : folder of the images
    settings : method (median, jump or none), size_px (CellProfiler's filter size), channels
    workers : channels at once; changes no byte

    Returns
    -------
    (C, H, W) float32, at least 1, to divide raw images by
    """
    (_, shape), channels = first_image(rows, raw), settings["channels"]
    functions = np.ones((len(channels), *shape), np.float32)
    if settings["method"] == "none":
        return functions
    with tqdm(total=len(rows), disable=None, unit="image") as bar:
        made = ordered(lambda name: channel_function(name, rows, raw, shape, settings, bar), channels, workers=workers)
        for n, function in enumerate(made):
            functions[n] = function
    return functions


def first_image(rows: Iterable[dict], raw: Path) -> tuple[str, tuple[int, int]]:
    """Return (plate, shape of the plate's first image, which all others must have)."""
    row = next(iter(rows), None)
    if row is None:
        raise ValueError("the index has no rows; run the rule index again")
    image = store.read_raw(raw / row["file"], store.describe_field(row, row["Channel"]))
    return row["Metadata_Plate"], image.shape


def published(folder: Path, plate: str, shape: tuple[int, int], channels: Sequence[str]) -> np.ndarray:
    """Read the gallery's own illumination functions, `<folder>/<Channel>.npy`.

    Returns
    -------
    (C, H, W) float32

    Raises
    ------
    ValueError
        naming file, plate and channel, for what is no function of the raw size, finite and at least 1
    """
    functions = np.ones((len(channels), *shape), np.float32)
    for n, channel in enumerate(channels):
        path = folder / f"{channel}.npy"
        where = f"{path} (plate {plate}, channel {channel})"
        instead = "set illumination.method to median or jump to estimate it from the images"
        try:
            function = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(
                f"{where}: expected a published illumination function, found {error}; {instead}"
            ) from error
        if function.shape != shape:
            expected, found = (" x ".join(map(str, size)) for size in (shape, function.shape))
            raise ValueError(f"{where}: expected {expected} px as in the raw images, found {found}; {instead}")
        if function.dtype.kind != "f" or not np.isfinite(function).all():
            kind = function.dtype if function.dtype.kind != "f" else "values that are not finite"
            raise ValueError(f"{where}: expected finite floating-point values, found {kind}; {instead}")
        if function.min() < LEAST_PUBLISHED:
            raise ValueError(f"{where}: expected values of at least 1, found {function.min():.4g}; {instead}")
        functions[n] = np.maximum(function, 1)
    return functions


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--published", type=Path, nargs="*", default=[], help="folder of <Channel>.npy")
    parser.add_argument("--workers", type=int, default=1, help="channels at once; changes no result")
    parser.add_argument("--illumination", type=Path, required=True)
    args = parser.parse_args(argv)
    settings, rows = args.settings, store.Rows(args.index, COLUMNS)
    if settings["method"] == "published":
        if not args.published:
            raise ValueError("illumination.method published needs --published, the folder of <Channel>.npy")
        plate, shape = first_image(rows, args.raw)
        functions = published(args.published[0], plate, shape, settings["channels"])
    else:
        functions = illumination(rows, args.raw, settings, workers=args.workers)
    key = store.digest(settings, store.file_digest(args.index))
    meta = {"method": settings["method"], "size_px": settings["size_px"]}
    shape = (1, *functions.shape)
    with store.StackWriter(
        args.illumination, shape, settings["channels"], key=key, dtype="float32", meta=meta
    ) as writer:
        writer.write(0, functions)


if __name__ == "__main__":
    run(main)
