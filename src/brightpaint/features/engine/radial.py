"""How each stain is spread from an object's centre to its edge: CellProfiler's MeasureObjectIntensityDistribution.

The Zernike moments of that module are another's. Pixels are added up in the image's own type and row-major order, so that
fractions have CellProfiler's bits.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy import ndimage

from brightpaint.features.engine import edge_distances, numpy_order
from brightpaint.features.engine.objects import Objects

WEDGES = 8
UNREACHED = -1


def measure(
    objects: Objects,
    images: dict[str, np.ndarray],
    *,
    bins: int = 4,
    scaled: bool = True,
    maximum_radius: float = 100,
) -> dict[str, np.ndarray]:
    """Return {`RadialDistribution_FracAtD_DNA_1of4`: (count,) float64}, MeanFrac and RadialCV likewise, of every image.

    Parameters
    ----------
    objects : the objects, whose centres are their own ("These objects")
    images : {name: (H, W) float32 or float64}
    bins : number of rings
    scaled : rings are shares of the way from centre to edge; else of `maximum_radius`, with an `_Overflow` ring outside
    maximum_radius : pixels, where not `scaled`

    The centre is the pixel farthest from the object's edge; which of several is what scipy's unstable sort makes it in
    CellProfiler (`numpy_order`). A pixel's distance to it is the shortest way inside the object over its eight neighbours, of
    steps 1 and sqrt(2), as centrosome's propagate has it. Pieces of an object without its centre count for nothing. RadialCV
    is the coefficient of variation of the means of a ring's eight wedges, 0 of a ring without a pixel. Fractions are NaN
    where an object has no pixel, or none that is bright.
    """
    for name, image in images.items():
        if image.shape != objects.labels.shape:
            raise ValueError(f"image {name} is {image.shape}, its objects {objects.labels.shape}: expected one shape")
    cells = _cells(objects, bins, scaled, maximum_radius)
    numbers = _counted(cells, objects.starts, bins + 1).astype(float)  # (count, bins + 1, WEDGES)
    rings = numbers.sum(2)
    columns = {}
    for name, image in images.items():
        by_ring, by_wedge = _added(image.ravel(), objects.pixels, objects.starts, cells, bins + 1)
        with np.errstate(all="ignore"):
            fraction = by_ring / by_ring.sum(1)[:, np.newaxis]
            mean_fraction = fraction / (rings / rings.sum(1)[:, np.newaxis] + np.finfo(float).eps)
        variation = _variation(by_wedge, numbers)
        for ring in range(bins if scaled else bins + 1):
            suffix = f"{name}_{ring + 1}of{bins}" if ring < bins else f"{name}_Overflow"
            for feature, values in (("FracAtD", fraction), ("MeanFrac", mean_fraction), ("RadialCV", variation)):
                columns[f"RadialDistribution_{feature}_{suffix}"] = values[:, ring].astype(np.float64)
    return columns


def _cells(objects: Objects, bins: int, scaled: bool, maximum_radius: float) -> np.ndarray:
    """Return ring * 8 + wedge of each of the objects' pixels, UNREACHED where its centre isn't: (n,) int64."""
    labels, pixels, starts = objects.labels, objects.pixels, objects.starts
    squared = edge_distances.squares_within(objects, beyond=False)
    if (squared < 0).any():  # an object that fills the image: no edge, and scipy's answer to that
        squared = np.rint(ndimage.distance_transform_edt(np.ones(labels.shape)).ravel()[pixels] ** 2).astype(np.int64)
    whole = np.zeros(labels.size)
    whole[pixels] = squared
    centres = numpy_order.maximum_places(labels.ravel(), whole, objects.count)
    from_centre = _from_centre(labels, pixels, starts, centres)
    with np.errstate(all="ignore"):
        along = from_centre / (from_centre + np.sqrt(squared) + 0.001) if scaled else from_centre / maximum_radius
    rings = np.minimum((along * bins).astype(np.int64), bins)
    owners = np.repeat(centres, objects.areas)
    down, right = np.divmod(pixels, labels.shape[1]) - np.array(np.divmod(owners, labels.shape[1]))
    wedges = (down > 0) + 2 * (right > 0) + 4 * (np.abs(down) > np.abs(right))
    return np.where(from_centre >= 0, rings * WEDGES + wedges, UNREACHED)


def _variation(by_wedge: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the coefficient of variation of the wedges that hold pixels: (count, rings, WEDGES) -> (count, rings)."""
    held = numbers > 0
    among = held.sum(2)
    with np.errstate(all="ignore"):
        means = np.where(held, by_wedge / numbers, 0)
        mean = means.sum(2) / among
        apart = np.where(held, means - mean[..., np.newaxis], 0)
        deviation = np.sqrt((apart * apart).sum(2) / among)
        variation = deviation / mean
        # numpy.ma, whose numbers CellProfiler takes, leaves the dividend where it masks the quotient.
        masked = ~np.isfinite(variation) | (np.abs(deviation) * np.finfo(float).tiny >= np.abs(mean))
    return np.where(among > 0, np.where(masked, deviation, variation), 0)


@numba.njit(cache=True, nogil=True)
def _from_centre(labels: np.ndarray, pixels: np.ndarray, starts: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the length of the shortest way from each pixel to its object's centre, inside the object; -1 if there is none.

    No step is shorter than 1: of the pixels at distances from n to below n + 1, none is on the shortest way to another, so
    they are settled together (Dial 1969), and three lists of pixels suffice.
    """
    height, width = labels.shape
    largest = 0
    for k in range(starts.size - 1):
        largest = max(largest, starts[k + 1] - starts[k])
    waiting, filled = np.empty((3, 8 * largest + 2), np.int64), np.zeros(3, np.int64)
    distance, settled = np.full(labels.size, np.inf), np.zeros(labels.size, np.bool_)
    absent = False
    for k in range(starts.size - 1):
        absent |= starts[k + 1] == starts[k]
    diagonal = np.sqrt(2.0)
    for k in range(starts.size - 1):
        if starts[k + 1] == starts[k]:
            continue
        distance[centres[k]] = 0.0
        waiting[0, 0], filled[0] = centres[k], 1
        if absent and labels[0, 0] == k + 1:  # CellProfiler puts centres of objects without a pixel at the first one
            distance[0], waiting[0, 1], filled[0] = 0.0, 0, 2
        level = 0
        while filled[0] + filled[1] + filled[2] > 0:
            now = level % 3
            for n in range(filled[now]):
                here = waiting[now, n]
                if settled[here]:
                    continue
                settled[here] = True
                row = here // width
                column = here - row * width
                for i in range(max(row - 1, 0), min(row + 2, height)):
                    for j in range(max(column - 1, 0), min(column + 2, width)):
                        if labels[i, j] == k + 1:
                            there = i * width + j
                            far = distance[here] + (diagonal if i != row and j != column else 1.0)
                            if far < distance[there]:
                                distance[there] = far
                                later = int(far) % 3
                                waiting[later, filled[later]] = there
                                filled[later] += 1
            filled[now] = 0
            level += 1
    out = distance[pixels]
    for at in range(out.size):
        if out[at] == np.inf:
            out[at] = -1.0
    return out


@numba.njit(cache=True, nogil=True)
def _counted(cells: np.ndarray, starts: np.ndarray, rings: int) -> np.ndarray:
    out = np.zeros((starts.size - 1, rings, 8), np.int64)
    for k in range(starts.size - 1):
        for at in range(starts[k], starts[k + 1]):
            if cells[at] >= 0:
                out[k, cells[at] >> 3, cells[at] & 7] += 1
    return out


@numba.njit(cache=True, nogil=True)
def _added(
    image: np.ndarray, pixels: np.ndarray, starts: np.ndarray, cells: np.ndarray, rings: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's sums by ring: (count, rings), and by ring and wedge: (count, rings, 8), in the image's own type."""
    by_ring = np.zeros((starts.size - 1, rings), image.dtype)
    by_wedge = np.zeros((starts.size - 1, rings, 8), image.dtype)
    for k in range(starts.size - 1):
        for at in range(starts[k], starts[k + 1]):
            cell = cells[at]
            if cell >= 0:
                by_ring[k, cell >> 3] += image[pixels[at]]
                by_wedge[k, cell >> 3, cell & 7] += image[pixels[at]]
    return by_ring, by_wedge
