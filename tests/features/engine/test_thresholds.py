"""The minimum cross-entropy threshold, against the definition in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import thresholds


def _image(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = rng.gamma(2.0, 0.01, (40, 50))
    image[10:20, 10:25] += 0.3
    return (np.round(image * 65535) / 65535).astype(np.float32)


def _naive(image: np.ndarray) -> float:
    """Return the threshold of an image by masks, as the papers write it."""
    low = float(image.min())
    image = image.astype(np.float64) - low
    tolerance = max(np.diff(np.unique(image)).min() / 2, 0.5 / 65536)
    before, after = -1.0, image.mean()
    while abs(after - before) > tolerance:
        before = after
        above, below = image[image > before].mean(), image[image <= before].mean()
        after = (below - above) / (np.log(below) - np.log(above))
    return float(after + low)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_that_of_plain_masks(dtype):
    image = _image().astype(dtype)
    threshold = thresholds.minimum_cross_entropy(image, log_transform=False)
    assert threshold.original == pytest.approx(_naive(image), rel=1e-9)

    least = image.min() + (image.max() - image.min()) / 256 + np.finfo(dtype).eps
    logs = np.log(np.maximum(image, dtype(least))).astype(np.float64)
    expected = np.exp(_naive((logs - logs.min()) / (logs.max() - logs.min())) * np.ptp(logs) + logs.min())
    threshold = thresholds.minimum_cross_entropy(image)
    assert threshold.original == threshold.final == pytest.approx(expected, rel=1e-6)


def test_it_is_corrected_and_held_within_its_bounds():
    plain = thresholds.minimum_cross_entropy(_image())
    doubled = thresholds.minimum_cross_entropy(_image(), correction_factor=2.0)
    assert doubled.original == plain.original and doubled.final == pytest.approx(2 * plain.original)
    assert thresholds.minimum_cross_entropy(_image(), bounds=(0.5, 1.0)).final == 0.5
    assert thresholds.minimum_cross_entropy(_image(), bounds=(0.0, 0.01)).final == 0.01


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_a_flat_image_is_thresholded_just_above_its_value(value):
    image = np.full((9, 9), value, np.float32)
    assert thresholds.minimum_cross_entropy(image, log_transform=False).original == value
    assert value <= thresholds.minimum_cross_entropy(image).original <= value + 3e-7


def test_foreground_is_of_the_smoothed_image_and_fair_at_the_border():
    image = _image()
    assert np.array_equal(thresholds.foreground(image, 0.1), image >= np.float32(0.1))
    sigma = 1.3488 / 0.6744 / 2
    smoothed, within = (
        ndimage.gaussian_filter(plane.astype(np.float64), sigma, mode="constant")
        for plane in (image, np.ones(image.shape))
    )
    assert np.array_equal(thresholds.foreground(image, 0.05, smoothing_scale=1.3488), smoothed / within >= 0.05)
    flat = np.full((9, 9), 0.5, np.float32)
    assert thresholds.foreground(flat, 0.499, smoothing_scale=1.3488).all()
