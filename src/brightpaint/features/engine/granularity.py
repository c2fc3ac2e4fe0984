"""Granularity of images and objects: CellProfiler's MeasureGranularity.

What of an image's intensity vanishes when all that is narrower than 1, 2, 3 ... pixels is flattened, in percent: at each
step the image is eroded once more by a cross and grown back under the image (opening by reconstruction; Vincent 1993,
https://doi.org/10.1109/83.217222), after a background, opened by a disk, was taken away. An object's granularity is that
of its mean. Definitions are CellProfiler 4.2's, down to the precision of its images: interpolation as in scipy's
map_coordinates of order 1, which is 0 beyond the last row and column.

What makes it fast: an image's steps serve all object sets. Its levels are sorted once into a tree; each step walks through
the tree once, and leaves the smaller tree of its own image, under which the next step grows back to the same image as it
would under the first (all that lies above is gone already).

Agreement: equal to CellProfiler's numbers, to the last bit.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy import ndimage

from brightpaint.features.engine import rounding
from brightpaint.features.engine.objects import Objects

EPSILON = np.finfo(float).eps


def measure(
    sets: dict[str, Objects],
    images: dict[str, np.ndarray],
    *,
    subsampling: float,
    background_subsampling: float,
    radius: int,
    spectrum: int,
) -> dict[str, dict[str, np.ndarray | float]]:
    """Measure the granularity of each image, and of each object of each set.

    Parameters
    ----------
    sets : objects by their name, all of the images' shape
    images : (H, W) float, 0 to 1, by channel
    subsampling : of the image before it is measured, above 0 to 1
    background_subsampling : of that image, further, for its background
    radius : of the disk that opens the background, pixels of the background's image
    spectrum : number of steps

    Returns
    -------
    {set: {`Granularity_<step>_<channel>`: (count,) float64, percent}}; under `Image` the images' own, as one float. NaN
    where an object has no pixel.

    Raises
    ------
    ValueError
        an image that is not of the labels' shape, not finite, or too small for its subsampling; settings out of range
    """
    if not (0 < subsampling <= 1 and 0 < background_subsampling <= 1 and radius >= 1 and spectrum >= 1):
        raise ValueError(
            "granularity: expected subsampling above 0 to 1 and a radius and spectrum of 1 and more, found "
            f"{subsampling}, {background_subsampling}, {radius} and {spectrum}"
        )
    columns = {name: {} for name in ("Image", *sets)}
    for channel, image in images.items():
        for name, objects in sets.items():
            if objects.labels.shape != image.shape:
                raise ValueError(
                    f"granularity of {channel}: expected an image of {objects.labels.shape} as {name}, found {image.shape}"
                )
        if not np.isfinite(image).all():
            raise ValueError(f"granularity of {channel}: expected finite intensities, found NaN or infinity")
        if min(image.shape) * subsampling <= 1:
            raise ValueError(
                f"granularity of {channel}: an image of {image.shape} is too small to be subsampled by {subsampling}"
            )
        measured = _channel(sets, image, subsampling, background_subsampling, radius, spectrum)
        for name, step, value in measured:
            columns[name][f"Granularity_{step}_{channel}"] = value
    return {name: dict(sorted(values.items())) for name, values in columns.items()}


def _channel(sets, image, subsampling, background_subsampling, radius, spectrum):
    """Yield (set or `Image`, step, granularity) of one channel."""
    shape = np.array(image.shape) * subsampling if subsampling < 1 else np.array(image.shape)
    pixels, mask = image, np.ones(image.shape, bool)
    if subsampling < 1:
        pixels, mask = _sampled(image, mask, *_places(shape, subsampling))
    pixels = _without_background(pixels, mask, shape, background_subsampling, radius)

    means = {
        name: _means(image.astype(np.float64, order="C").ravel(), objects.pixels, objects.starts)
        for name, objects in sets.items()
    }
    starts = {name: np.maximum(mean, EPSILON) for name, mean in means.items()}
    mean = rounding.mean(pixels[mask])  # in the precision of the image, as CellProfiler takes it
    start = max(mean, EPSILON)
    back = [
        np.arange(full) * (float(small - 1) / float(full - 1)) for full, small in zip(image.shape, shape, strict=True)
    ]
    opened = pixels.astype(np.float64)
    eroded, flat = opened, opened.ravel()
    order = np.argsort(flat).astype(np.int32)
    nodes, above = _tree(order, *opened.shape)
    levels, size = flat[order], flat.size
    known = slice(None) if mask.all() else np.flatnonzero(mask)
    for step in range(1, spectrum + 1):
        eroded = _eroded(eroded if mask.all() else np.where(mask, eroded, 0), 1)
        flat, size = _grown(eroded.ravel(), nodes, above, levels, size)
        before, mean = mean, rounding.mean(flat[known])
        yield "Image", step, float((before - mean) * 100 / start)
        full = _interpolated(flat.reshape(opened.shape), *back).ravel()
        for name, objects in sets.items():
            now = _means(full, objects.pixels, objects.starts)
            yield name, step, (means[name] - now) * 100 / starts[name]
            means[name] = now


def _without_background(pixels, mask, shape, subsampling, radius):
    """Return an image less its opening by a disk, which is made on a subsampled image: (H, W), none below 0."""
    back, back_mask, back_shape = pixels, mask, shape
    if subsampling < 1:
        back_shape = shape * subsampling
        back, back_mask = _sampled(pixels, mask, *_places(back_shape, subsampling))
    back = _eroded(np.where(back_mask, back, 0).astype(np.float64), radius)
    back = -_eroded(-np.where(back_mask, back, 0), radius)
    if subsampling < 1:
        rows, columns = (
            np.arange(size) * (float(small - 1) / float(full - 1))
            for size, small, full in zip(pixels.shape, back_shape, shape, strict=True)
        )
        back = _interpolated(back, rows, columns)
    return np.maximum(pixels - back.astype(pixels.dtype), 0)


def _places(shape, subsampling):
    """Return the rows and columns where an image is sampled; the last may lie beyond its border."""
    return tuple(np.arange(int(np.ceil(size))) / subsampling for size in shape)


def _sampled(image, mask, rows, columns):
    """Return an image at the given rows and columns, in its precision, and where its mask is known there."""
    pixels = _interpolated(image.astype(np.float64, order="C"), rows, columns).astype(image.dtype)
    if mask.all():
        height, width = mask.shape
        return pixels, np.logical_and.outer(rows <= height - 1, columns <= width - 1)
    places = np.meshgrid(rows, columns, indexing="ij")
    return pixels, ndimage.map_coordinates(mask.astype(float), places, order=3) > 0.9


@numba.njit(cache=True, nogil=True)
def _means(values, pixels, starts):
    """Return the mean of a flat image over each object: (count,) float64, NaN of no pixel."""
    means = np.empty(starts.size - 1)
    for k in range(means.size):
        total = 0.0
        for at in pixels[starts[k] : starts[k + 1]]:
            total += values[at]
        size = starts[k + 1] - starts[k]
        means[k] = total / size if size > 0 else np.nan
    return means


@numba.njit(cache=True, nogil=True)
def _interpolated(image, rows, columns):
    """Return an image between its pixels, at each row and column given: (rows, columns) float64, 0 outside the image."""
    height, width = image.shape
    values = np.zeros((rows.size, columns.size))
    upper, lower = np.empty(width), np.empty(width)
    first, second = (
        np.empty(columns.size, np.uintp),
        np.empty(columns.size, np.uintp),
    )  # unsigned: no test for negatives
    near, far = np.empty(columns.size), np.empty(columns.size)
    for c in range(columns.size):
        inside = 0 <= columns[c] <= width - 1
        left = int(np.floor(columns[c])) if inside else 0
        first[c], second[c] = left, min(left + 1, width - 1)
        near[c] = 1.0 - (columns[c] - left) if inside else 0.0
        far[c] = 1.0 - near[c] if inside else 0.0
    for r in range(rows.size):
        if not 0 <= rows[r] <= height - 1:
            continue
        row = int(np.floor(rows[r]))
        above = 1.0 - (rows[r] - row)
        under = min(row + 1, height - 1)
        for c in range(width):
            upper[c] = image[row, c] * above
            lower[c] = image[under, c] * (1.0 - above)
        for c in range(columns.size):
            left, right = first[c], second[c]
            values[r, c] = upper[left] * near[c] + upper[right] * far[c] + lower[left] * near[c] + lower[right] * far[c]
    return values


@numba.njit(cache=True, nogil=True)
def _eroded(image, radius):
    """Return the smallest value within a disk around each pixel: (H, W) float64; nothing lies beyond the border."""
    height, width = image.shape
    eroded = image.copy()
    run = np.empty(width)
    for row in range(height):
        for c in range(width):
            run[c] = image[row, c]
        half = 0
        for down in range(radius, -1, -1):  # the disk's rows from its tip to its middle: half their width only grows
            while (half + 1) * (half + 1) + down * down <= radius * radius:
                half += 1
                for c in range(half, width):
                    run[c] = min(run[c], image[row, c - half])
                for c in range(width - half):
                    run[c] = min(run[c], image[row, c + half])
            if row + down < height:
                for c in range(width):
                    eroded[row + down, c] = min(eroded[row + down, c], run[c])
            if row - down >= 0:
                for c in range(width):
                    eroded[row - down, c] = min(eroded[row - down, c], run[c])
    return eroded


@numba.njit(cache=True, nogil=True)
def _tree(order, height, width):
    """Return the tree of an image's levels, of pixels from its lowest to its highest: (node of each pixel, node above each).

    Each pixel is a node, numbered by its place in `order`, and hangs on one that is not brighter, through which it meets
    what is darker around it; the darkest pixel, node 0, hangs on itself (a max-tree by union and find; Berger et al. 2007,
    https://doi.org/10.1109/ICIP.2007.4379949). Which of equal pixels comes first changes no image that is grown by it.
    """
    nodes, above, tops = (
        np.empty(order.size, np.int32),
        np.empty(order.size, np.int32),
        np.full(order.size, -1, np.int32),
    )
    for node in range(order.size):
        nodes[order[node]] = node
    for node in range(order.size - 1, -1, -1):
        at = order[node]
        row, column = at // width, at % width
        above[node] = tops[node] = node
        for side in range(4):
            if side == 0 and row > 0:
                other = nodes[at - width]
            elif side == 1 and column > 0:
                other = nodes[at - 1]
            elif side == 2 and column < width - 1:
                other = nodes[at + 1]
            elif side == 3 and row < height - 1:
                other = nodes[at + width]
            else:
                continue
            if tops[other] < 0:
                continue  # darker: it comes later, and looks here then
            while tops[other] != other:
                tops[other] = tops[tops[other]]
                other = tops[other]
            above[other] = tops[other] = node
    return nodes, above


@numba.njit(cache=True, nogil=True)
def _grown(seed, nodes, above, levels, size):
    """Return the seed grown back under the image of a tree of `size` nodes, (n,) float64, and the nodes that are left.

    A part of the image above a level keeps that level if the seed reaches it there. Nodes that come to lie level with the
    one above them are joined to it: the tree, changed in place, is then that of the image that is returned.
    """
    reached = np.full(size, -np.inf)
    for at in range(seed.size):
        if seed[at] > reached[nodes[at]]:
            reached[nodes[at]] = seed[at]
    for node in range(size - 1, 0, -1):
        if reached[node] > reached[above[node]]:
            reached[above[node]] = reached[node]
    left = 0
    joined = np.empty(size, np.int32)
    for node in range(size):
        level = min(levels[node], reached[node])
        onto = joined[above[node]] if node > 0 else 0
        if node > 0 and level <= levels[onto]:
            joined[node] = onto
        else:
            joined[node] = left
            levels[left] = level
            above[left] = onto
            left += 1
    grown = np.empty(seed.size)
    for at in range(seed.size):
        nodes[at] = joined[nodes[at]]
        grown[at] = levels[nodes[at]]
    return grown, left
