"""Background noise: a copy has as much as the real image, grain is seen, and uneven light is not."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.base.intensity import standardise
from brightpaint.scores.images import background


@pytest.fixture
def field():
    """Two stains with a few cells on a noisy background, standardised."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128]
    cells = sum(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 60) for y, x in rng.uniform(60, 120, (8, 2)))
    return standardise(np.stack([10 * cells, 6 * cells]) + 0.3 * rng.normal(size=(2, 128, 128)))


def test_a_copy_is_1_and_noise_of_equal_strength_is_root_2(field):
    assert background.noise_ratio(field, field) == pytest.approx(1)
    rng, empty = np.random.default_rng(1), background.background(field)
    grain = np.std((field - background.smooth(field))[:, empty], axis=1)
    noisier = field + grain[:, None, None] * rng.normal(size=field.shape).astype(np.float32)
    assert background.noise_ratio(field, noisier) == pytest.approx(np.sqrt(2), rel=0.05)


def test_it_rises_with_noise_and_falls_with_smoothing(field):
    rng = np.random.default_rng(2)
    drawn = rng.normal(size=field.shape)
    values = [background.noise_ratio(field, standardise(field + sd * drawn)).mean() for sd in (0, 0.1, 0.3, 1.0)]
    assert (np.diff(values) > 0).all()
    assert (background.noise_ratio(field, background.smooth(field)) < 0.3).all()


def test_it_is_blind_to_uneven_light_and_to_cells(field):
    ramp = np.linspace(-1, 1, 128, dtype=np.float32)
    assert background.noise_ratio(field, field + ramp) == pytest.approx(1, rel=0.02)
    brighter = np.where(background.background(field), field, 1.5 * field)
    assert background.noise_ratio(field, brighter) == pytest.approx(1, rel=0.1)


def test_background_is_the_dark_quarter_and_away_from_cells(field):
    empty = background.background(field)
    assert empty.mean() == pytest.approx(0.25, abs=0.01)
    assert field[0][empty].max() < np.quantile(field[0], 0.95)


def test_a_constant_prediction_has_none_and_a_constant_real_image_says_nothing(field):
    assert (background.noise_ratio(field, np.zeros_like(field)) == 0).all()
    assert np.isnan(background.noise_ratio(np.zeros_like(field), field)).all()
