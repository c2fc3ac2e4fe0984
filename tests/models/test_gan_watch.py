"""What is said of samples: known distances, statistics that move with what they are named for, images apart and alike."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.models import gan_watch


def test_frechet_distance_is_that_of_the_gaussians():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(5000, 2)) * [1, 3] + [0, 2], rng.normal(size=(5000, 2)) * [2, 3] + [1, 2]
    assert gan_watch.frechet(left, right) == pytest.approx(1 + (2 - 1) ** 2, abs=0.15)
    assert gan_watch.frechet(left, left) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_is_exact_with_fewer_rows_than_numbers():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(6, 9)), rng.normal(size=(7, 9)) + 0.5
    first, second = np.cov(left.T), np.cov(right.T)
    root = sqrtm(first @ second)
    expected = np.square(left.mean(0) - right.mean(0)).sum() + np.trace(first + second - 2 * root.real)
    assert gan_watch.frechet(left, right) == pytest.approx(expected, rel=1e-3)


def test_statistics_tell_brightness_texture_and_correlation_apart():
    rng = np.random.default_rng(2)
    images = rng.normal(size=(4, 2, 16, 16))
    plain = gan_watch.statistics_of(images)
    assert plain.shape == (4, 2 * (1 + 1 + 5 + 8) + 1)
    brighter = gan_watch.statistics_of(images + 1)
    np.testing.assert_allclose(brighter[:, :2] - plain[:, :2], 1)
    np.testing.assert_allclose(brighter[:, 14:30], plain[:, 14:30], atol=1e-8)  # power
    smooth = (images + np.roll(images, 1, 2) + np.roll(images, 1, 3)) / 3
    assert (gan_watch.statistics_of(smooth)[:, 28:30] < plain[:, 28:30]).all()  # the finest band
    alike = gan_watch.statistics_of(np.repeat(images[:, :1], 2, 1))
    np.testing.assert_allclose(alike[:, -1], 1, atol=1e-4)


def test_images_are_apart_by_what_lies_above_a_pixels_noise():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(10, 2, 64, 64))
    levels = np.arange(10)[:, None, None, None]
    assert gan_watch.apart(np.zeros((5, 2, 16, 16))) == 0
    assert gan_watch.apart(noise) < 0.25
    assert gan_watch.apart(noise + levels) == pytest.approx(
        np.mean([b - a for a in range(10) for b in range(a + 1, 10)]), rel=0.05
    )


def test_a_picture_has_real_images_left_of_a_line_and_a_row_a_channel():
    real, painted = np.full((2, 3, 16, 16), -1.0), np.full((4, 3, 16, 16), 1.0)
    found = gan_watch.picture(real, painted)
    assert found.shape == (48, 2 * 16 + 2 + 4 * 16) and found[:, :32].max() == 0 and found[:, 32:].min() == 255
