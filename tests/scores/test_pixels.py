"""Pixel measures against naive versions, known answers and hostile input."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.base.intensity import standardise
from brightpaint.scores.images import pixels


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(2, 3, 24, 20))


def test_standardise_brings_each_image_to_mean_0_and_sd_1_and_clips(images):
    images[0, 0, 3, 4] = 5000.0
    out = standardise(images * 7 + 1000, cutoff=15)
    np.testing.assert_allclose(out[1].mean(axis=(-2, -1)), 0, atol=1e-5)
    np.testing.assert_allclose(out[1].std(axis=(-2, -1)), 1, atol=1e-4)
    assert out[0, 0].max() == 15
    assert (standardise(np.full((8, 8), 1234.5)) == 0).all()


def test_pcc_equals_numpy_and_is_blind_to_gain_and_offset(images):
    value = pixels.pcc(images[0], images[1])
    naive = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(*images)]
    np.testing.assert_allclose(value, naive)
    np.testing.assert_allclose(pixels.pcc(images[0], -3 * images[0] + 2), -1)


def test_a_constant_prediction_counts_nothing_and_a_constant_real_image_says_nothing(images):
    for value in (1.0, 0.1):  # the mean of many tenths is not a tenth
        flat = np.full_like(images[0], value)
        assert (pixels.pcc(images[0], flat) == 0).all()
        assert np.isnan(pixels.pcc(flat, images[0])).all()


def test_mse_is_twice_one_minus_pcc_on_standardised_images(images):
    left, right = standardise(images[0]), standardise(images[1] + 0.5 * images[0])
    np.testing.assert_allclose(pixels.mse(left, right), 2 * (1 - pixels.pcc(left, right)), rtol=1e-5)
    assert pixels.mae(left, left + 0.25) == pytest.approx(0.25, abs=1e-6)


def test_ssim_is_1_for_a_copy_falls_with_noise_and_depends_on_the_range(images):
    image = images[0, 0]
    assert pixels.ssim(image, image, data_range=15) == pytest.approx(1)
    rng = np.random.default_rng(0)
    noisy = [pixels.ssim(image, image + sd * rng.normal(size=image.shape), data_range=15) for sd in (0.1, 0.5, 2)]
    assert noisy[0] > noisy[1] > noisy[2]
    worse = image + 0.5 * rng.normal(size=image.shape)
    assert pixels.ssim(image, worse, data_range=2) < pixels.ssim(image, worse, data_range=15)
    with pytest.raises(ValueError, match="7 pixels a side.*prepare.size_px"):
        pixels.ssim(image[:5], image[:5], data_range=2)


def test_local_sd_equals_the_naive_one_inside(images):
    image = images[0, 0]
    naive = image[5:12, 6:13].std()
    assert pixels.local_sd(image)[8, 9] == pytest.approx(naive)


def test_largest_pcc_takes_the_best_plane_of_either_sign(images):
    real = images[0, :1]
    planes = np.stack([images[1, 0], -2 * real[0] + 1])
    assert pixels.largest_pcc(planes, real) == pytest.approx(1)
