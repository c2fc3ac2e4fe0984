"""Size and shape of objects: AreaShape_* of CellProfiler's MeasureObjectSizeShape, in two dimensions.

Definitions are those of scikit-image 0.18.3's regionprops (perimeter by Benkrid and Crookes, Euler number of
8-connected objects, ellipses by second moments) and of centrosome (Feret diameters, Zernike). An object without a
pixel has NaN throughout; CellProfiler leaves its row out and moves the rows after it up.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from brightpaint.features.engine import edge_distances, hulls, moments, zernike
from brightpaint.features.engine.objects import Objects

ZERNIKE_DEGREE = 9


def measure(objects: Objects, *, zernike: bool = True, advanced: bool = False) -> dict[str, np.ndarray]:
    """Measure each object's size and shape.

    Parameters
    ----------
    zernike : also its Zernike features, to degree 9
    advanced : also its moments and inertia tensor

    Returns
    -------
    {column: (count,) float64}, in pixels and degrees, in CellProfiler's order
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = _plain(objects)
    found |= _radii(objects)
    if advanced:
        found |= moments.advanced(objects)
    around = hulls.hulls(objects)
    found["MinFeretDiameter"], found["MaxFeretDiameter"] = hulls.feret_diameters(around)
    found["ConvexArea"] = hulls.convex_areas(around).astype(np.float64)
    found["Solidity"] = np.divide(
        found["Area"], found["ConvexArea"], out=np.full(objects.count, np.nan), where=found["ConvexArea"] > 0
    )
    columns = {f"AreaShape_{name}": found[name] for name in sorted(found)}
    for values in columns.values():
        values[objects.areas == 0] = np.nan
    return columns | (_zernike(objects, around) if zernike else {})


def _plain(objects: Objects) -> dict[str, np.ndarray]:
    """Return what pixels, boxes and moments tell."""
    areas = objects.areas.astype(np.float64)
    boxes = objects.boxes.astype(np.float64)
    labels = np.ascontiguousarray(objects.labels)
    told = _moments(labels, objects.pixels, objects.starts, objects.boxes)
    perimeter, euler, row, column, major, minor, eccentricity, orientation, level = (
        np.ascontiguousarray(one) for one in told.T
    )
    for k in np.flatnonzero(level == 1):
        top, left, bottom, right = objects.boxes[k]
        orientation[k] = moments.orientation(labels[top:bottom, left:right] == k + 1)
    box_areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return {
        "Area": areas,
        "BoundingBoxArea": box_areas,
        "BoundingBoxMaximum_X": boxes[:, 3].copy(),
        "BoundingBoxMaximum_Y": boxes[:, 2].copy(),
        "BoundingBoxMinimum_X": boxes[:, 1].copy(),
        "BoundingBoxMinimum_Y": boxes[:, 0].copy(),
        "Center_X": column,
        "Center_Y": row,
        "Compactness": perimeter**2 / np.maximum(4.0 * np.pi * areas, 1),
        "Eccentricity": eccentricity,
        "EquivalentDiameter": np.sqrt(4 * areas / np.pi),
        "EulerNumber": euler,
        "Extent": areas / box_areas,
        "FormFactor": 4.0 * np.pi * areas / perimeter**2,
        "MajorAxisLength": major,
        "MinorAxisLength": minor,
        "Orientation": orientation * (180 / np.pi),
        "Perimeter": perimeter,
    }


def _radii(objects: Objects) -> dict[str, np.ndarray]:
    """Return the largest, mean and median distance of an object's pixels to the nearest that is not its own."""
    largest, mean, median = _summaries(edge_distances.within(objects), objects.starts)
    return {"MaximumRadius": largest, "MeanRadius": mean, "MedianRadius": median}


def _zernike(objects: Objects, around: hulls.Hulls) -> dict[str, np.ndarray]:
    """Return the magnitude of each polynomial's sum over the object, by the area of the enclosing circle."""
    centres, radii = hulls.enclosing_circles(around)
    ones = np.ones((1, objects.pixels.size))
    real, imaginary = zernike.sums(objects, centres, radii, ones, degree=ZERNIKE_DEGREE)
    areas = np.where(radii > 0, np.pi * radii * radii, np.nan)
    magnitudes = np.sqrt(real[0] ** 2 + imaginary[0] ** 2) / areas[:, None]
    return {
        f"AreaShape_Zernike_{n}_{m}": np.ascontiguousarray(magnitudes[:, at])
        for at, (n, m) in enumerate(zernike.orders(ZERNIKE_DEGREE))
    }


@numba.njit(cache=True, nogil=True)
def _at(labels: np.ndarray, row: int, column: int) -> int:
    inside = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
    return labels[row, column] if inside else 0


@numba.njit(cache=True, nogil=True)
def _at_edge(labels: np.ndarray, row: int, column: int, number: int) -> bool:
    """Return whether a pixel is an object's, with one beside, above or below it that is not."""
    return _at(labels, row, column) == number and not (
        _at(labels, row - 1, column) == number
        and _at(labels, row + 1, column) == number
        and _at(labels, row, column - 1) == number
        and _at(labels, row, column + 1) == number
    )


@numba.njit(cache=True, nogil=True)
def _perimeter(labels: np.ndarray, pixels: np.ndarray, number: int) -> float:
    """Weigh each pixel of the edge by how many of the edge lie beside it and at its corners."""
    straight, diagonal, between = 0, 0, 0
    width = labels.shape[1]
    for at in pixels:
        row, column = at // width, at % width
        if not _at_edge(labels, row, column, number):
            continue
        beside, corner = 0, 0
        for i in range(row - 1, row + 2):
            for j in range(column - 1, column + 2):
                if (i != row or j != column) and _at_edge(labels, i, j, number):
                    if i == row or j == column:
                        beside += 1
                    else:
                        corner += 1
        if 2 <= beside <= 3 and corner <= 2:
            straight += 1
        elif (beside == 0 and corner == 2) or (beside == 1 and corner == 3):
            diagonal += 1
        elif beside == 1 and 1 <= corner <= 2:
            between += 1
    return straight + diagonal * math.sqrt(2.0) + between * ((1 + math.sqrt(2.0)) / 2)


@numba.njit(cache=True, nogil=True)
def _euler(labels: np.ndarray, box: np.ndarray, number: int) -> int:
    """Return an object's parts less its holes, told from its squares of two by two pixels (Gray 1971)."""
    total = 0
    for row in range(box[0] - 1, box[2]):
        for column in range(box[1] - 1, box[3]):
            one, two = _at(labels, row, column) == number, _at(labels, row, column + 1) == number
            three, four = _at(labels, row + 1, column) == number, _at(labels, row + 1, column + 1) == number
            filled = int(one) + int(two) + int(three) + int(four)
            if filled == 1:
                total += 1
            elif filled == 3:
                total -= 1
            elif filled == 2 and one == four:
                total -= 2
    return total // 4


@numba.njit(cache=True, nogil=True)
def _moments(labels: np.ndarray, pixels: np.ndarray, starts: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return perimeter, Euler number, centre's row and column, axes, eccentricity, orientation (radians) and whether rounding
    decides that, the object being as wide as high or symmetric: (count, 9) float64."""
    width = labels.shape[1]
    told = np.full((starts.size - 1, 9), np.nan)
    for k in range(starts.size - 1):
        own = pixels[starts[k] : starts[k + 1]]
        if own.size == 0:
            continue
        told[k, 0] = _perimeter(labels, own, k + 1)
        told[k, 1] = _euler(labels, boxes[k], k + 1)
        top, left = (boxes[k, 0] + boxes[k, 2]) // 2, (boxes[k, 1] + boxes[k, 3]) // 2
        rows, columns, products, down, along = 0, 0, 0, 0, 0
        for at in own:
            i, j = at // width - top, at % width - left
            rows += i
            columns += j
            products += i * j
            down += i * i
            along += j * j
        number = float(own.size)
        told[k, 2] = (rows + top * own.size) / number
        told[k, 3] = (columns + left * own.size) / number
        both = (number * products - float(rows) * columns) / number  # whole numbers: 0 of what is symmetric
        first, last = (along - columns * (columns / number)) / number, (down - rows * (rows / number)) / number
        mixed = -both / number
        half, apart = (first + last) / 2, math.sqrt(((first - last) / 2) ** 2 + mixed * mixed)
        large, small = max(half + apart, 0.0), max(half - apart, 0.0)
        told[k, 4], told[k, 5] = 4 * math.sqrt(large), 4 * math.sqrt(small)
        told[k, 6] = math.sqrt(1 - small / large) if large > 0 else 0.0
        told[k, 7] = 0.5 * math.atan2(-2 * mixed, last - first)
        wide = own.size * (along - down) - (columns * columns - rows * rows)  # whole numbers
        told[k, 8] = wide == 0 or both == 0
    return told


@numba.njit(cache=True, nogil=True)
def _summaries(values: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the largest, mean and median of each object's values; NaN of none."""
    count = starts.size - 1
    largest, mean, median = np.full(count, np.nan), np.full(count, np.nan), np.full(count, np.nan)
    for k in range(count):
        own = np.sort(values[starts[k] : starts[k + 1]])
        if own.size:
            total = 0.0
            for value in values[starts[k] : starts[k + 1]]:
                total += value
            largest[k], mean[k] = own[-1], total / own.size
            median[k] = (own[(own.size - 1) // 2] + own[own.size // 2]) / 2
    return largest, mean, median
