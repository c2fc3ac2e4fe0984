"""Samples beside the real field: a right sampler is told from one that is too sure and one that is too wide, band by band."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.fft import dctn, idctn

from brightpaint.scores.calibration import bands
from brightpaint.scores.calibration.bands import BANDS

SIDE = 96


def waves_of(image):
    return dctn(image, axes=(-2, -1), norm="ortho")


def drawn(rng, count, width=1.0, power=1.5):
    """Gaussian images of a falling spectrum about 0, (count, 1, SIDE, SIDE), `width` times as wide as they should be."""
    down, along = np.meshgrid(*[np.arange(SIDE)] * 2, indexing="ij")
    fall = (1 + np.hypot(down, along)) ** -power
    return idctn(rng.normal(size=(count, 1, SIDE, SIDE)) * fall * SIDE**power * width / 40, axes=(-2, -1), norm="ortho")


def ratios(width, samples=4, fields=40, spoil=None):
    """Spread over error of each band, of a Gaussian sampler whose draws are `width` times as wide as the truth's."""
    rng, sums, places = np.random.default_rng(1), np.zeros((2, len(BANDS))), bands.band_map(SIDE, SIDE)
    for _ in range(fields):
        mean, truth = drawn(rng, 1, 3.0)[0], drawn(rng, 1)[0]
        waves = waves_of(mean + drawn(rng, samples, width))
        if spoil is not None:
            waves[..., places == spoil] = waves_of(mean)[..., places == spoil]
        sums += [side[0] for side in bands.spread_and_error(waves, waves_of(mean + truth), places)]
    return bands.spread_over_error(*sums, samples)


# --- bands ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("wavelength, band", [(96, 0), (48, 1), (24, 2), (12, 3), (6, 4), (3, 5), (2.1, 5)])
def test_a_wave_lies_in_the_band_of_its_length(wavelength, band):
    wave = np.cos(2 * np.pi * (np.arange(192) + 0.5) / wavelength)[None].repeat(96, axis=0)
    share = bands.band_sums(waves_of(wave)[None] ** 2, bands.band_map(96, 192))[0]
    assert share[band] > 0.97 * share.sum() and share.sum() == pytest.approx((wave**2).mean() - wave.mean() ** 2)


def test_bands_hold_every_wave_once_but_for_the_mean():
    places = bands.band_map(70, 96)
    image = np.random.default_rng(0).normal(3, 1, (70, 96))
    assert (places == -1).sum() == 1 and set(places.ravel()) == {-1, *range(len(BANDS))}
    assert bands.band_sums(waves_of(image) ** 2, places).sum() == pytest.approx(image.var())


def test_a_small_image_lacks_the_coarse_bands():
    rng = np.random.default_rng(0)
    samples, truth = rng.normal(size=(3, 1, 16, 16)), rng.normal(size=(1, 16, 16))
    found = bands.field_scores_of(samples, truth, truth, bands.band_map(16, 16))
    assert np.isnan(found["crps_over_64px"]).all() and np.isnan(found["spread2_over_64px"]).all()
    assert np.isfinite(found["crps_under_4px"]).all() and np.isfinite(found["crps"]).all()


# --- spread over error ---------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [2, 4, 8])
def test_a_perfect_sampler_scores_one_in_every_band_whatever_the_number_of_samples(samples):
    """Within 0.1 where a band has some 8 waves and 40 fields: the ratio of two variances of 320 numbers has an s.d. of 0.04."""
    found = ratios(1.0, samples)
    np.testing.assert_allclose(found, 1, atol=0.1)
    np.testing.assert_allclose(found[2:], 1, atol=0.03)


def test_without_the_correction_a_perfect_sampler_would_seem_too_sure():
    assert ratios(1.0, 4)[-1] / np.sqrt(5 / 4) == pytest.approx(0.894, abs=0.01)


def test_too_sharp_is_below_one_and_too_wide_above():
    """Of width w, E spread = w^2 and E error = 1 + w^2 / K: sqrt((K + 1) / K w^2 / (1 + w^2 / K))."""
    for width in (0.5, 2.0):
        expected = np.sqrt(5 / 4 * width**2 / (1 + width**2 / 4))
        np.testing.assert_allclose(ratios(width)[2:], expected, rtol=0.05)
        assert (expected - 1) * (width - 1) > 0


def test_a_sampler_without_noise_in_one_band_is_told_there_alone():
    found = ratios(1.0, spoil=3)
    assert found[3] == 0 and (abs(np.delete(found, 3)[1:] - 1) < 0.1).all()


def test_one_sample_has_no_spread():
    places = bands.band_map(32, 32)
    rng = np.random.default_rng(0)
    spread, error = bands.spread_and_error(rng.normal(size=(1, 2, 32, 32)), rng.normal(size=(2, 32, 32)), places)
    assert (spread == 0).all() and (error > 0).any()
    assert np.isnan(bands.spread_over_error(0.0, 0.0, 4))


# --- CRPS ----------------------------------------------------------------------------------------


def test_crps_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    samples, truth = rng.normal(size=(5, 3, 4)), rng.normal(size=(3, 4))
    away = np.mean([np.abs(one - truth) for one in samples], axis=0)
    apart = np.mean([np.abs(a - b) for a, b in itertools.permutations(samples, 2)], axis=0)
    np.testing.assert_allclose(bands.fair_crps(samples, truth), away - apart / 2)
    np.testing.assert_allclose(bands.fair_crps(samples[:1], truth), np.abs(samples[0] - truth))


def test_crps_of_right_samples_is_the_closed_form_and_the_least():
    """A standard normal forecast of a standard normal: E CRPS = 1 / sqrt(pi), for any K by the fair estimator."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200_000)
    for count in (2, 6):
        assert bands.fair_crps(rng.normal(size=(count, truth.size)), truth).mean() == pytest.approx(
            np.pi**-0.5, abs=0.005
        )
    for width in (0.6, 1.6):
        assert bands.fair_crps(width * rng.normal(size=(4, truth.size)), truth).mean() > np.pi**-0.5 + 0.02


def test_crps_by_band_sees_the_colour_that_crps_by_pixel_does_not():
    """White noise of the error's variance scores by pixel as the error's own colour does, and worse in every band."""
    rng, places, found = np.random.default_rng(2), bands.band_map(SIDE, SIDE), {"own": [], "white": []}
    for _ in range(12):
        truth = drawn(rng, 1)[0]
        sd = drawn(np.random.default_rng(0), 20).std()
        for name, samples in (("own", drawn(rng, 6)), ("white", rng.normal(0, sd, (6, 1, SIDE, SIDE)))):
            found[name].append(bands.field_scores_of(samples, truth, truth, places))
    mean = {name: {key: np.mean([one[key] for one in rows]) for key in rows[0]} for name, rows in found.items()}
    assert mean["white"]["crps"] == pytest.approx(mean["own"]["crps"], rel=0.06)
    assert mean["white"]["crps_16_to_32px"] > 1.1 * mean["own"]["crps_16_to_32px"]
    assert mean["white"]["crps_under_4px"] > 1.5 * mean["own"]["crps_under_4px"]


# --- PCC -----------------------------------------------------------------------------------------


def test_pccs_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(8, 8))
    samples = 0.5 * truth + rng.normal(size=(4, 8, 8))
    r = lambda a, b: np.corrcoef(a.ravel(), b.ravel())[0, 1]  # noqa: E731
    drawn_pcc, between = bands.alike(samples, truth)
    assert drawn_pcc == pytest.approx(np.mean([r(one, truth) for one in samples]))
    assert between == pytest.approx(np.mean([r(a, b) for a, b in itertools.combinations(samples, 2)]))
    assert bands.alike(samples[:1], truth)[1] == 1
    assert bands.alike(np.zeros((3, 8, 8)), truth) == (0, 0)


def test_of_a_perfect_sampler_both_pccs_are_equal_and_a_sure_one_is_more_like_itself():
    rng, found = np.random.default_rng(0), {0.5: [], 1.0: [], 2.0: []}
    for _ in range(30):
        mean, truth = drawn(rng, 1, 2.0)[0], drawn(rng, 1)[0]
        for width, rows in found.items():
            rows.append(bands.alike((mean + drawn(rng, 4, width))[:, 0], (mean + truth)[0]))
    excess = {width: np.subtract(*np.mean(rows, axis=0)[::-1]) for width, rows in found.items()}
    assert abs(excess[1.0]) < 0.02 and excess[0.5] > 0.05 and excess[2.0] < -0.05


def test_a_constant_real_channel_has_no_numbers():
    rng = np.random.default_rng(0)
    truth = np.stack([rng.normal(size=(16, 16)), np.zeros((16, 16))])
    found = bands.field_scores_of(rng.normal(size=(2, 2, 16, 16)), truth, truth, bands.band_map(16, 16))
    assert all(np.isnan(values[1]) for values in found.values()) and np.isfinite(found["pcc_between"][0])
