"""Convex hulls of objects, and what is told from them: enclosing circles, Feret diameters, convex areas.

A hull's corners are pixels, counter-clockwise from the first column's upper one, as centrosome orders them: which of
several equal circles is found, to the last bit, depends on where one begins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from brightpaint.features.engine.objects import Objects


@dataclass(frozen=True, eq=False)
class Hulls:
    """Object k's corners are `corners[starts[k - 1]:starts[k]]`, (row, column): (n, 2) int64; (count + 1,) int64."""

    corners: np.ndarray
    starts: np.ndarray


def hulls(objects: Objects) -> Hulls:
    """Return each object's convex hull; an object without a pixel has no corner."""
    return Hulls(*_hulls(objects.pixels, objects.starts, objects.boxes, objects.labels.shape[1]))


def enclosing_circles(hulls: Hulls) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres (count, 2) and radii (count,) of the least circles around pixels' centres, in pixels.

    Chrystal 1884, "On the problem to construct the minimum circle enclosing n given points in a plane", in centrosome's
    steps. A pixel's circle has radius 0; NaN and 0 for an object without a pixel. Where four corners and more lie on the
    circle, as of drawn shapes, the last bit is that of the three that are chosen. CellProfiler's choice then turns on
    NumPy's arccos, whose last bit depends on an angle's place in its array: of 27 drawn nuclei one, of 1437 real objects
    none has another circle so. Its Zernike features then differ by a corner pixel or two that count or do not.
    """
    return _circles(hulls.corners, hulls.starts)


def feret_diameters(hulls: Hulls) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest distance of parallel lines that hold an object's pixel centres: (count,) each."""
    return _ferets(hulls.corners, hulls.starts)


def convex_areas(hulls: Hulls) -> np.ndarray:
    """Return the pixels whose centres lie in the hull of the middles of the object's pixels' edges: (count,) int64."""
    return _areas(hulls.corners, hulls.starts)


@numba.njit(cache=True, nogil=True)
def _hulls(pixels: np.ndarray, starts: np.ndarray, boxes: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    corners = np.empty((pixels.size + 4 * starts.size, 2), np.int64)
    corner_starts = np.zeros(starts.size, np.int64)
    upper, lower = np.empty(width, np.int64), np.empty(width, np.int64)
    out = 0
    for k in range(starts.size - 1):
        if starts[k + 1] > starts[k]:
            left, right = boxes[k, 1], boxes[k, 3]
            upper[left:right], lower[left:right] = -1, -1
            for n in range(starts[k], starts[k + 1]):  # rows come in order
                row, column = pixels[n] // width, pixels[n] % width
                if upper[column] < 0:
                    upper[column] = row
                lower[column] = row
            count = 0
            for column in range(left, right):
                if upper[column] >= 0:
                    count = _pruned(corners, out, count, upper[column], column)
                    corners[out + count, 0], corners[out + count, 1] = upper[column], column
                    count += 1
            for column in range(right - 1, left, -1):
                if lower[column] >= 0:
                    count = _pruned(corners, out, count, lower[column], column)
                    corners[out + count, 0], corners[out + count, 1] = lower[column], column
                    count += 1
            count = _pruned(corners, out, count, lower[left], left)
            if lower[left] != upper[left]:
                corners[out + count, 0], corners[out + count, 1] = lower[left], left
                count += 1
            out += count
        corner_starts[k + 1] = out
    return corners[:out].copy(), corner_starts


@numba.njit(cache=True, nogil=True)
def _pruned(corners: np.ndarray, out: int, count: int, row: int, column: int) -> int:
    """Return how many corners stay when another is added: the last ones go as long as they stand in a hollow."""
    while count >= 2:
        first, last = out + count - 2, out + count - 1
        down, along = corners[last, 0] - corners[first, 0], corners[last, 1] - corners[first, 1]
        turn = along * (row - corners[last, 0]) - (column - corners[last, 1]) * down
        back = along > 0 and corners[last, 1] > column  # a line is walked there and back
        if turn > 0 or (turn == 0 and back):
            break
        count -= 1
    return count


@numba.njit(cache=True, nogil=True)
def _circles(corners: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = starts.size - 1
    centres, radii = np.full((count, 2), np.nan), np.zeros(count)
    for k in range(count):
        at, number = starts[k], starts[k + 1] - starts[k]
        if number == 1:
            centres[k, 0], centres[k, 1] = corners[at, 0], corners[at, 1]
        if number == 2:
            centres[k, 0] = (corners[at, 0] + corners[at + 1, 0]) / 2
            centres[k, 1] = (corners[at, 1] + corners[at + 1, 1]) / 2
            radii[k] = math.sqrt((centres[k, 0] - corners[at, 0]) ** 2 + (centres[k, 1] - corners[at, 1]) ** 2)
        if number <= 2:
            continue
        first, second = at, at + 1
        while True:
            y0, x0 = float(corners[first, 0]), float(corners[first, 1])
            y1, x1 = float(corners[second, 0]), float(corners[second, 1])
            side = (y0 - y1) ** 2 + (x0 - x1) ** 2
            least, angle_first, angle_second, third = np.inf, np.nan, np.nan, -1
            for n in range(at, at + number):
                if n == first or n == second:
                    continue
                y, x = float(corners[n, 0]), float(corners[n, 1])
                dot = (y0 - y1) * (y - y1) + (x0 - x1) * (x - x1)
                at_second = abs(math.acos(dot / math.sqrt(side * ((y - y1) ** 2 + (x - x1) ** 2))))
                dot = (y1 - y0) * (y - y0) + (x1 - x0) * (x - x0)
                at_first = abs(math.acos(dot / math.sqrt(side * ((y - y0) ** 2 + (x - x0) ** 2))))
                opposite = math.pi - at_second - at_first
                if opposite < least or third < 0:
                    least, angle_first, angle_second, third = opposite, at_first, at_second, n
            if least >= math.pi / 2:
                centres[k, 0], centres[k, 1] = (y0 + y1) / 2, (x0 + x1) / 2
                radii[k] = math.sqrt(side) / 2
                break
            if not (angle_second > math.pi / 2 or angle_first > math.pi / 2 or least > math.pi / 2):
                y, x = float(corners[third, 0]), float(corners[third, 1])
                # the circle through three points, https://en.wikipedia.org/wiki/Circumcircle#Cartesian_coordinates_2
                twice = 2 * (x0 * (y1 - y) + x1 * (y - y0) + x * (y0 - y1))
                far0, far1, far = y0**2 + x0**2, y1**2 + x1**2, y**2 + x**2
                centres[k, 1] = (far0 * (y1 - y) + far1 * (y - y0) + far * (y0 - y1)) / twice
                centres[k, 0] = (far0 * (x - x1) + far1 * (x0 - x) + far * (x1 - x0)) / twice
                radii[k] = math.sqrt((y0 - centres[k, 0]) ** 2 + (x0 - centres[k, 1]) ** 2)
                break
            if angle_first > math.pi / 2:
                first = third
            else:
                second = third
    return centres, radii


@numba.njit(cache=True, nogil=True)
def _to_line(corners: np.ndarray, point: int, one: int, other: int) -> float:
    """Return the squared distance of a corner to the line through two others."""
    down, along = float(corners[one, 0] - corners[other, 0]), float(corners[one, 1] - corners[other, 1])
    cross = down * (corners[one, 1] - corners[point, 1]) - (corners[one, 0] - corners[point, 0]) * along
    return cross**2 / (down**2 + along**2)


@numba.njit(cache=True, nogil=True)
def _ferets(corners: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walk the antipodal pairs of each hull; the least diameter runs between a corner and a side that face each other."""
    count = starts.size - 1
    least, most = np.zeros(count), np.zeros(count)
    for k in range(count):
        at, number = starts[k], starts[k + 1] - starts[k]
        if number == 0:
            least[k] = most[k] = np.nan
        if number < 2:
            continue
        facing = np.zeros((number, number), np.bool_)
        one, other = 0, 1
        if number > 2:
            farthest = -1.0
            for n in range(1, number - 1):
                distance = _to_line(corners, at + n, at + number - 1, at)
                if distance > farthest:
                    farthest, other = distance, n
        while True:
            facing[one, other] = facing[other, one] = True
            square = (corners[at + one, 0] - corners[at + other, 0]) ** 2
            square += (corners[at + one, 1] - corners[at + other, 1]) ** 2
            most[k] = max(most[k], math.sqrt(float(square)))
            here = _to_line(corners, at + other, at + one, at + one + 1)
            there = _to_line(corners, at + (other + 1) % number, at + one, at + one + 1)
            if here <= there:
                other += 1
            else:
                one += 1
            if other == number or one == other:
                break
        narrowest = np.inf
        for one in range(number):
            for other in range(number):
                if facing[one, other] and facing[one, (other + 1) % number]:
                    narrowest = min(narrowest, _to_line(corners, at + one, at + other, at + (other + 1) % number))
        if narrowest < np.inf:
            least[k] = math.sqrt(narrowest)
    return least, most


@numba.njit(cache=True, nogil=True)
def _areas(corners: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Count, row by row, the whole columns between the sides of hull and diamond together, in whole numbers."""
    count = starts.size - 1
    areas = np.zeros(count, np.int64)
    for k in range(count):
        at, number = starts[k], starts[k + 1] - starts[k]
        if number == 0:
            continue
        normals, reaches = np.empty((number + 4, 2), np.int64), np.empty(number + 4, np.int64)
        for n in range(number + 4):
            if n < number:
                nearest = at + (n + 1) % number
                normals[n, 0] = corners[at + n, 1] - corners[nearest, 1]
                normals[n, 1] = corners[nearest, 0] - corners[at + n, 0]
            else:
                normals[n, 0], normals[n, 1] = 1 - 2 * ((n - number) % 2), 1 - 2 * ((n - number) // 2)
            reach = normals[n, 0] * corners[at, 0] + normals[n, 1] * corners[at, 1]
            for m in range(at + 1, at + number):
                reach = max(reach, normals[n, 0] * corners[m, 0] + normals[n, 1] * corners[m, 1])
            reaches[n] = 2 * reach + max(abs(normals[n, 0]), abs(normals[n, 1]))
        top, bottom = corners[at : at + number, 0].min(), corners[at : at + number, 0].max()
        left, right = corners[at : at + number, 1].min(), corners[at : at + number, 1].max()
        for row in range(top, bottom + 1):
            first, last = left, right
            for n in range(number + 4):
                room = reaches[n] - 2 * normals[n, 0] * row
                if normals[n, 1] > 0:
                    last = min(last, room // (2 * normals[n, 1]))
                elif normals[n, 1] < 0:
                    first = max(first, -(room // (-2 * normals[n, 1])))
            areas[k] += max(0, last - first + 1)
    return areas
