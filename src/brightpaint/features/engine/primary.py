"""Objects found in an image without seeds, as nuclei in DNA: CellProfiler's IdentifyPrimaryObjects.

Threshold, fill holes, part what touches by its shape (distance from the edge) or by intensity, drop what touches the
border or is of another size, fill holes again, number what is left in the order of the parts' seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from brightpaint.features.engine import edge_distances, flooding, holes, local_maxima, thresholds
from brightpaint.features.engine.thresholds import Threshold

INTENSITY, SHAPE, NONE = DECLUMPING = ("Intensity", "Shape", "None")
BOTH, AFTER, NEVER = FILLING = ("After both thresholding and declumping", "After declumping only", "Never")
ANY_NEIGHBOUR = np.ones((3, 3), bool)
DIAMETER_OF_SIGMA = 2.35


@dataclass(frozen=True)
class Found:
    """Objects, and what was found before any was dropped.

    Attributes
    ----------
    labels : (H, W) int32, 1 to the number of objects
    uncut : (H, W) int32, the parts before those at the border or of another size were dropped and holes filled again,
        under numbers of their own; what is grown from the objects keeps clear of those at the border
    whole : (H, W) int32, `uncut` without those at the border or too small: what CellProfiler looks for neighbours in
    threshold : what was found and used
    """

    labels: np.ndarray
    uncut: np.ndarray
    whole: np.ndarray
    threshold: Threshold


def find(
    image: np.ndarray,
    *,
    least_diameter: int,
    most_diameter: int,
    discard_other_sizes: bool = True,
    discard_at_border: bool = True,
    declump_by: str = SHAPE,
    divide_by: str = SHAPE,
    smoothing_diameter: float | None = None,
    least_distance: float | None = None,
    lower_resolution: bool = True,
    fill_holes: str = BOTH,
    threshold_smoothing_scale: float = 1.3488,
    threshold_correction_factor: float = 1.0,
    threshold_bounds: tuple[float, float] = (0.0, 1.0),
    log_transform: bool = True,
) -> Found:
    """Find objects in an image, by a minimum cross-entropy threshold in two classes.

    Parameters
    ----------
    image : (H, W) float32 or float64 in [0, 1]
    least_diameter, most_diameter : of objects, in pixels; areas are held against those of disks
    discard_other_sizes, discard_at_border, fill_holes, log_transform : settings of CellProfiler of those names
    declump_by, divide_by : what tells parts from each other, and what their borders follow: a name of `DECLUMPING`
    smoothing_diameter : of the Gaussian before maxima of intensity are looked for, in pixels; None: from least_diameter
    least_distance : between maxima, in pixels; None: from least_diameter
    lower_resolution : look for maxima in an image where least_diameter is 10 pixels, if it is more
    threshold_smoothing_scale, threshold_correction_factor, threshold_bounds : as `thresholds` says

    Raises
    ------
    ValueError
        If `declump_by`, `divide_by` or `fill_holes` is a setting that is not offered.
    """
    for setting, value, offered in (
        ("declump_by", declump_by, DECLUMPING),
        ("divide_by", divide_by, DECLUMPING),
        ("fill_holes", fill_holes, FILLING),
    ):
        if value not in offered:
            raise ValueError(f"{setting} is {value!r}, expected one of {', '.join(offered)}")
    threshold = thresholds.minimum_cross_entropy(
        image, log_transform=log_transform, correction_factor=threshold_correction_factor, bounds=threshold_bounds
    )
    mask = thresholds.foreground(image, threshold.final, smoothing_scale=threshold_smoothing_scale)
    if fill_holes == BOTH:
        mask = holes.filled(mask, most_pixels=most_diameter**2)
    uncut, count = ndimage.label(mask, ANY_NEIGHBOUR)
    if NONE not in (declump_by, divide_by):
        smoothed = 0.0
        if declump_by == INTENSITY:
            diameter = DIAMETER_OF_SIGMA * least_diameter / 3.5 if smoothing_diameter is None else smoothing_diameter
            smoothed = _smoothed(image, diameter)
        radius, reduced = _search(least_diameter, least_distance, lower_resolution)
        heights, far = _heights(uncut, smoothed, declump_by, fill_holes)
        seeds, count = ndimage.label(local_maxima.points(heights, uncut, radius, reduced), ANY_NEIGHBOUR)
        if divide_by == INTENSITY:
            depths = 1 - image
        else:
            far = _distances(uncut > 0) if far is None else far
            depths = (-far) - (-far).min()
        uncut = flooding.flooded(depths, seeds, uncut != 0)
    uncut = uncut.astype(np.int32)
    kept, large = _kept(uncut, count, least_diameter, most_diameter, discard_other_sizes, discard_at_border)
    labels = np.where(kept[uncut], uncut, 0).astype(np.int32)
    whole = np.where((kept | large)[uncut], uncut, 0).astype(np.int32)
    if fill_holes != NEVER:
        labels = holes.filled(labels)
    return Found(_renumbered(labels), uncut, whole, threshold)


def _search(least_diameter: int, least_distance: float | None, lower_resolution: bool) -> tuple[float, float]:
    """Return the radius within which a maximum is the highest, and the size of the image it is looked for in."""
    reduced = 1.0
    if least_diameter > local_maxima.REDUCED_DIAMETER and lower_resolution:
        reduced = local_maxima.REDUCED_DIAMETER / float(least_diameter)
        size = 7 if least_distance is None else least_distance * reduced + 0.5
    else:
        size = least_diameter / 1.5 if least_distance is None else least_distance
    return max(1, size - 0.5), reduced


def _heights(
    uncut: np.ndarray, smoothed: np.ndarray | float, declump_by: str, fill_holes: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what maxima are looked for in, and the distances from the edge if it is they."""
    if declump_by == INTENSITY:
        return np.asarray(smoothed), None
    mask = holes.filled(uncut) > 0 if fill_holes == NEVER else uncut > 0
    far = _distances(mask) + _jitter(mask.shape)
    return far, far


def _distances(mask: np.ndarray) -> np.ndarray:
    """Return distances to the background, in pixels; SciPy's own answer where there is none."""
    return ndimage.distance_transform_edt(mask) if mask.all() else edge_distances.to_background(mask)


@lru_cache(maxsize=2)
def _jitter(shape: tuple[int, int]) -> np.ndarray:
    """Return what CellProfiler adds to distances so that no two maxima are level: its own generator and seed."""
    jitter = np.random.RandomState(0).uniform(0, 0.001, shape)
    jitter.flags.writeable = False
    return jitter


def _smoothed(image: np.ndarray, diameter: float) -> np.ndarray:
    """Return the image under a Gaussian cut at half its diameter, divided by what of it lies within the image."""
    if diameter == 0:
        return image
    sigma, reach = diameter / DIAMETER_OF_SIGMA, max(int(diameter / 2.0), 1)
    kernel = np.exp(-0.5 * np.arange(-reach, reach + 1) ** 2 / sigma**2) / np.sqrt(2.0 * np.pi) / sigma
    smoothed = []
    for plane in (image, np.ones(image.shape)):
        across = ndimage.convolve1d(plane, kernel, axis=0, mode="constant")
        smoothed.append(ndimage.convolve1d(across, kernel, axis=1, mode="constant"))
    return (smoothed[0] / smoothed[1]).astype(image.dtype)


def _kept(
    uncut: np.ndarray, count: int, least: int, most: int, discard_other_sizes: bool, discard_at_border: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return which parts are objects, and which are none only because they are too large: (count + 1,) bool each."""
    kept, large = np.ones(count + 1, bool), np.zeros(count + 1, bool)
    if discard_at_border:
        for edge in (uncut[0], uncut[-1], uncut[:, 0], uncut[:, -1]):
            kept[edge] = False
    if discard_other_sizes:
        areas = np.bincount(uncut.ravel(), minlength=count + 1)
        kept &= areas >= np.pi * (least * least) / 4
        large = kept & (areas > np.pi * (most * most) / 4)
        kept &= ~large
    kept[0] = True
    return kept, large


def _renumbered(labels: np.ndarray) -> np.ndarray:
    """Return labels with consecutive numbers, in the same order."""
    present = np.bincount(labels.ravel()) > 0
    present[0] = False
    return np.where(present, np.cumsum(present), 0).astype(np.int32)[labels]
