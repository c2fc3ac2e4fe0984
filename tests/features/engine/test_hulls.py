"""Hulls, circles, Feret diameters and convex areas, against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import ConvexHull

from brightpaint.features.engine import hulls
from brightpaint.features.engine.objects import Objects


def _blobs(seed: int = 0) -> np.ndarray:
    labels, _ = ndimage.label(ndimage.gaussian_filter(np.random.default_rng(seed).random((50, 60)), 1.5) > 0.52)
    return labels.astype(np.int32)


def _one(pixels: list[tuple[int, int]]) -> hulls.Hulls:
    labels = np.zeros((12, 12), np.int32)
    labels[tuple(np.transpose(pixels))] = 1
    return hulls.hulls(Objects(labels, 1))


LINE = [(3, 2), (3, 3), (3, 6)]
SQUARE = [(row, column) for row in range(2, 6) for column in range(3, 7)]


def test_corners_are_those_of_scipy_counter_clockwise_on_the_page():
    labels = _blobs()
    found = hulls.hulls(Objects(labels, int(labels.max())))
    compared = 0
    for number in range(1, labels.max() + 1):
        pixels = np.argwhere(labels == number)
        corners = found.corners[found.starts[number - 1] : found.starts[number]]
        if len(pixels) > 2 and (np.ptp(pixels, axis=0) > 0).all() and np.linalg.matrix_rank(pixels - pixels[0]) == 2:
            expected = pixels[ConvexHull(pixels).vertices]
            assert {tuple(one) for one in corners} == {tuple(one) for one in expected} and len(corners) == len(expected)
            compared += 1
        area = sum(a[1] * b[0] - a[0] * b[1] for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True))
        assert area >= 0
    assert compared > 10


@pytest.mark.parametrize(
    ("pixels", "corners"),
    [
        ([(4, 5)], [(4, 5)]),
        (LINE, [(3, 2), (3, 6)]),
        ([(2, 2), (3, 2), (7, 2)], [(2, 2), (7, 2)]),
        ([(2, 2), (3, 3), (5, 5)], [(2, 2), (5, 5)]),
        (SQUARE, [(2, 3), (2, 6), (5, 6), (5, 3)]),
    ],
)
def test_corners_of_simple_objects(pixels, corners):
    assert _one(pixels).corners.tolist() == [list(corner) for corner in corners]


def _least_circle(points: np.ndarray) -> float:
    best = np.inf
    for size in (2, 3):
        for chosen in combinations(points.astype(float), size):
            if size == 2:
                centre = (chosen[0] + chosen[1]) / 2
            else:
                sides = np.array([chosen[1] - chosen[0], chosen[2] - chosen[0]])
                if abs(np.linalg.det(sides)) < 1e-9:
                    continue
                centre = chosen[0] + np.linalg.solve(2 * sides, (sides**2).sum(1))
            radius = np.hypot(*(chosen[0] - centre))
            if (np.hypot(*(points - centre).T) <= radius + 1e-9).all():
                best = min(best, radius)
    return best


def test_circles_are_the_least():
    labels = _blobs()
    found = hulls.hulls(Objects(labels, int(labels.max())))
    centres, radii = hulls.enclosing_circles(found)
    for number in range(1, labels.max() + 1):
        corners = found.corners[found.starts[number - 1] : found.starts[number]]
        far = np.hypot(*(np.argwhere(labels == number) - centres[number - 1]).T)
        assert far.max() == pytest.approx(radii[number - 1], abs=1e-9)
        if len(corners) > 1:
            assert radii[number - 1] == pytest.approx(_least_circle(corners), abs=1e-9)


def test_feret_diameters_are_the_least_and_largest_widths():
    labels = _blobs()
    found = hulls.hulls(Objects(labels, int(labels.max())))
    least, most = hulls.feret_diameters(found)
    angles = np.linspace(0, np.pi, 1801)
    for number in range(1, labels.max() + 1):
        pixels = np.argwhere(labels == number)
        widths = np.ptp(pixels @ np.array([np.cos(angles), np.sin(angles)]), axis=0)
        assert widths.max() - 1e-9 <= most[number - 1] <= widths.max() + 1e-4 * (1 + most[number - 1])
        assert least[number - 1] <= widths.min() + 1e-9 and least[number - 1] > widths.min() - 0.03


def test_convex_area_counts_pixels_within_and_on_the_hull_of_edges():
    labels = _blobs(1)
    objects = Objects(labels, int(labels.max()))
    found = hulls.convex_areas(hulls.hulls(objects))
    for number in range(1, objects.count + 1):
        pixels = np.argwhere(labels == number)
        middles = np.concatenate([pixels + step for step in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))])
        sides = ConvexHull(middles).equations
        top, left, bottom, right = objects.boxes[number - 1]
        grid = np.mgrid[top:bottom, left:right].reshape(2, -1).T
        assert found[number - 1] == (grid @ sides[:, :2].T + sides[:, 2] <= 1e-9).all(1).sum()


@pytest.mark.parametrize(
    ("pixels", "radius", "least", "most", "area"),
    [
        ([(4, 5)], 0, 0, 0, 1),
        (LINE, 2, 0, 4, 5),
        (SQUARE, np.sqrt(18) / 2, 3, np.sqrt(18), 16),
        ([(1, 1), (3, 3), (5, 5)], np.sqrt(32) / 2, 0, np.sqrt(32), 5),
    ],
)
def test_known_answers(pixels, radius, least, most, area):
    found = _one(pixels)
    assert hulls.enclosing_circles(found)[1][0] == pytest.approx(radius)
    assert [one[0] for one in hulls.feret_diameters(found)] == pytest.approx([least, most])
    assert hulls.convex_areas(found)[0] == area


def test_an_object_without_a_pixel_and_none_at_all():
    labels = np.zeros((6, 6), np.int32)
    labels[2:4, 2:4] = 2
    found = hulls.hulls(Objects(labels, 2))
    assert list(found.starts) == [0, 0, 4] and np.isnan(hulls.enclosing_circles(found)[0][0]).all()
    assert np.isnan(hulls.feret_diameters(found)[0][0]) and list(hulls.convex_areas(found)) == [0, 4]
    nothing = hulls.hulls(Objects(np.zeros((6, 6), np.int32), 0))
    assert hulls.enclosing_circles(nothing)[0].shape == (0, 2) and hulls.convex_areas(nothing).shape == (0,)
