"""Measure every raw image of a plate: what is saturated, blank, out of focus, and how the channels go together.

One row an image. Thresholds are applied later (`flag`), so that changing one reads no image again. The measures are
those of CellProfiler's MeasureImageQuality where it has them: the share of pixels at the image's largest value
(PercentMaximal, which finds saturation whatever the camera's bits) and the slope of the power spectrum on logarithmic
axes (PowerLogLogSlope; Bray et al. 2012), which blur makes steeper. Ours is taken under a Hann window.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import fft, ndimage, stats
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.pool import ordered
from brightpaint.plates.fields import fields_of

COLUMNS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Channel", "key", "file"]
BACKGROUND_SHARE = 0.05
POOL_PX, SMOOTH_PX = 4, 12  # channels are compared at a fourth of the size, without what is broader than cells
log = logging.getLogger(__name__)


def counts_measures(image: np.ndarray) -> dict[str, float]:
    """Return what an image's histogram tells.

    Parameters
    ----------
    image : (H, W) uint16 raw counts

    Returns
    -------
    lowest, highest, mean, sd, background (5th percentile), in counts; maximal: share of pixels at the highest count
    """
    histogram = np.bincount(image.ravel())
    values = np.flatnonzero(histogram)
    counts = histogram[values]
    mean = float(counts @ values / image.size)
    variance = float(counts @ (values - mean) ** 2 / image.size)
    background = values[np.searchsorted(np.cumsum(counts), BACKGROUND_SHARE * image.size)]
    return {
        "lowest": float(values[0]), "highest": float(values[-1]), "mean": mean, "sd": variance**0.5,
        "background": float(background), "maximal": float(counts[-1] / image.size),
    }  # fmt: skip


@lru_cache(maxsize=4)
def _rings(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each frequency's ring, by its distance from zero, and how many lie in each."""
    radius = np.hypot(fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None])
    rings = np.rint(radius * min(height, width)).astype(np.intp).ravel()
    return rings, np.bincount(rings)


@lru_cache(maxsize=4)
def _window(height: int, width: int) -> np.ndarray:
    """Return a Hann window: without it the step from one border to the other hides what blur takes away."""
    return np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)


def spectral_slope(image: np.ndarray) -> float:
    """Return the slope of log power over log frequency; white noise 0, natural images about -2, blur far below.

    Parameters
    ----------
    image : (H, W) any unit; its middle of a size that the Fourier transform likes is used

    Returns
    -------
    NaN where every pixel is alike
    """
    sides = [_fast_below(side) for side in image.shape]
    starts = [(side - fast) // 2 for side, fast in zip(image.shape, sides)]
    middle = image[starts[0] : starts[0] + sides[0], starts[1] : starts[1] + sides[1]].astype(np.float32)
    spectrum = fft.rfft2((middle - middle.mean()) * _window(*sides))
    power = spectrum.real**2 + spectrum.imag**2
    rings, counts = _rings(*sides)
    last = min(sides) // 2
    mean_power = (np.bincount(rings, power.ravel()) / counts)[1:last]
    if not (mean_power > 0).all():
        return float("nan")
    return float(np.polyfit(np.log(np.arange(1, last)), np.log(mean_power), 1)[0])


@lru_cache(maxsize=16)
def _fast_below(length: int) -> int:
    """Return the largest even length, at most `length`, whose Fourier transform is fast."""
    return next(n for n in range(length // 2 * 2, 0, -2) if fft.next_fast_len(n, real=True) == n)


def neighbour_correlation(image: np.ndarray) -> float:
    """Return the correlation of pixels with their right neighbours: near 0 where an image is noise alone."""
    values = image.astype(np.float32)
    values -= values.mean()
    left, right = values[:, :-1], values[:, 1:]
    power = float(np.sqrt(np.vdot(left, left) * np.vdot(right, right)))
    return float(np.vdot(left.ravel(), right.ravel()) / power) if power > 0 else float("nan")


def structure(image: np.ndarray) -> np.ndarray:
    """Return what is of a cell's size and smaller: pooled 4 x 4, less its Gaussian of 12 px. (H, W) -> (h, w)"""
    height, width = (side // POOL_PX * POOL_PX for side in image.shape)
    blocks = image[:height, :width].reshape(height // POOL_PX, POOL_PX, width // POOL_PX, POOL_PX)
    pooled = blocks.mean((1, 3), dtype=np.float64)
    return pooled - ndimage.gaussian_filter(pooled, SMOOTH_PX)


def pixel_digest(image: np.ndarray) -> str:
    """Return a hash of an image's shape and pixels, alike for the same image in two files of any name."""
    hashed = hashlib.sha256(repr(image.shape).encode())
    hashed.update(np.ascontiguousarray(image))
    return hashed.hexdigest()


def measure_field(images: dict[str, np.ndarray]) -> list[dict]:
    """Return one row a channel of a field: every measure, and its correlation `r_<Channel>` with each channel.

    Parameters
    ----------
    images : (H, W) uint16 raw counts by channel
    """
    shapes = {image.shape for image in images.values()}
    structures = {channel: structure(image) for channel, image in images.items()} if len(shapes) == 1 else {}
    rows = []
    for channel, image in images.items():
        row = {"Channel": channel, **counts_measures(image)}
        row["slope"], row["neighbour"] = spectral_slope(image), neighbour_correlation(image)
        own = structures.get(channel)
        constant = own is None or row["sd"] == 0
        row["skew"] = float("nan") if constant else float(stats.skew(own.ravel()))
        row["digest"] = pixel_digest(image)
        for other, values in structures.items():
            flat = constant or values.std() == 0
            row[f"r_{other}"] = float("nan") if flat else float(np.corrcoef(own.ravel(), values.ravel())[0, 1])
        rows.append(row)
    return rows


def measure(rows: Collection[dict], raw: Path, channels: Sequence[str], *, workers: int = 1) -> Iterator[dict]:
    """Measure every image of a plate, one field a worker in memory.

    Parameters
    ----------
    rows : of the index, columns `COLUMNS`
    raw : folder of the images
    channels : of the plate
    workers : fields at once; changes no byte

    Yields
    ------
    one row a field and channel, in the order of the index
    """

    def of_field(listed: dict[str, dict]) -> list[dict]:
        images = {c: store.read_raw(raw / row["file"], store.describe_field(row, c)) for c, row in listed.items()}
        keys = {c: {name: row[name] for name in COLUMNS if name != "file"} for c, row in listed.items()}
        return [{**keys[row["Channel"]], **row} for row in measure_field(images)]

    done = ordered(of_field, fields_of(rows, channels), workers=workers)
    for measured in tqdm(done, total=len(rows) // len(channels), disable=None, unit="field"):
        yield from measured


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels")
    parser.add_argument("--workers", type=int, default=1, help="fields at once; changes no result")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--quality", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = store.Rows(args.index, COLUMNS)
    measured = measure(rows, args.raw, args.settings["channels"], workers=args.workers)
    log.info("%d images measured", store.write_rows(measured, args.quality))


if __name__ == "__main__":
    run(main)
