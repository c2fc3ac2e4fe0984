"""Zernike sums and features, against the polynomials as they are written."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import hulls, intensity_zernike, zernike
from brightpaint.features.engine.objects import Objects


def _objects() -> Objects:
    labels, count = ndimage.label(ndimage.gaussian_filter(np.random.default_rng(0).random((40, 50)), 1.5) > 0.52)
    labels[labels == 3] = 0
    labels[0, 0] = count + 1  # one pixel
    return Objects(labels.astype(np.int32), count + 2)


def _naive(objects: Objects, weights: np.ndarray, n: int, m: int) -> np.ndarray:
    centres, radii = hulls.enclosing_circles(hulls.hulls(objects))
    sums = np.zeros(objects.count, complex)
    for number in range(1, objects.count + 1):
        for row, column in np.argwhere(objects.labels == number):
            y, x = (np.array([row, column]) - centres[number - 1]) / radii[number - 1]
            if y * y + x * x <= 1:
                radial = sum(
                    (-1) ** k
                    * factorial(n - k)
                    / (factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k))
                    * np.hypot(y, x) ** (n - 2 * k)
                    for k in range((n - m) // 2 + 1)
                )
                sums[number - 1] += weights[row, column] * radial * np.exp(1j * m * np.arctan2(x, y))
    return sums


def test_sums_are_those_of_the_polynomials():
    objects = _objects()
    image = np.random.default_rng(1).random((40, 50))
    weights = np.stack([np.ones(objects.pixels.size), image.ravel()[objects.pixels]])
    real, imaginary = zernike.sums(objects, *hulls.enclosing_circles(hulls.hulls(objects)), weights, degree=9)
    large = objects.areas > 1
    for at, (n, m) in enumerate(zernike.orders(9)):
        if (n, m) in [(0, 0), (1, 1), (2, 0), (4, 2), (7, 5), (8, 0), (9, 9), (9, 1)]:
            for one, plane in enumerate((np.ones((40, 50)), image)):
                with np.errstate(invalid="ignore"):
                    expected = _naive(objects, plane, n, m)[large]
                found = (real + 1j * imaginary)[one, large, at]
                assert np.allclose(found, expected, rtol=1e-9, atol=1e-9), (n, m)
    assert len(zernike.orders(9)) == 30 == real.shape[2] and zernike.orders(2) == [(0, 0), (1, 1), (2, 0), (2, 2)]


def test_magnitudes_and_phases_of_images_are_named_and_ordered_as_cellprofiler_does():
    objects = _objects()
    images = {"RNA": np.random.default_rng(1).random((40, 50)).astype(np.float32), "DNA": np.ones((40, 50), np.float32)}
    columns = intensity_zernike.measure(objects, images, degree=2)
    assert list(columns) == [
        f"RadialDistribution_Zernike{kind}_{name}_{order}"
        for kind in ("Magnitude", "Phase")
        for name in ("DNA", "RNA")
        for order in ("0_0", "1_1", "2_0", "2_2")
    ]
    with np.errstate(invalid="ignore"):
        sums = _naive(objects, images["RNA"], 2, 2)
    large = objects.areas > 1
    magnitude, phase = (columns[f"RadialDistribution_Zernike{kind}_RNA_2_2"] for kind in ("Magnitude", "Phase"))
    assert np.allclose(magnitude[large], (np.abs(sums) / np.maximum(objects.areas, 1))[large], rtol=1e-9)
    turned = np.exp(1j * (phase - np.arctan2(sums.real, sums.imag)))[large]
    assert np.allclose(turned, 1)
    assert np.isnan(magnitude[~large]).all() and np.isnan(phase[~large]).all() and (~large).sum() >= 3
    assert list(intensity_zernike.measure(objects, images, degree=2, phases=False)) == list(columns)[:8]


def test_no_object_has_empty_columns():
    objects = Objects(np.zeros((8, 9), np.int32), 0)
    columns = intensity_zernike.measure(objects, {"DNA": np.ones((8, 9), np.float32)})
    assert len(columns) == 60 and all(values.shape == (0,) for values in columns.values())
    assert intensity_zernike.measure(objects, {}) == {}


def test_a_disk_has_no_angular_part():
    rows, columns = np.mgrid[:31, :31]
    objects = Objects((np.hypot(rows - 15, columns - 15) <= 12).astype(np.int32), 1)
    real, imaginary = zernike.sums(
        objects, *hulls.enclosing_circles(hulls.hulls(objects)), np.ones((1, objects.pixels.size)), degree=3
    )
    size = np.hypot(real, imaginary)[0, 0] / (np.pi * 144)
    assert size[:4] == pytest.approx([1, 0, 0, 0], abs=0.05) and (size[[1, 3, 4, 5]] < 1e-12).all()
