"""Samples of a field set beside the real field, pixel by pixel and by band of spatial frequency: pure functions.

Bands are octaves of the wavelength, taken by the discrete cosine transform (DCT-II), whose even reflection has no step at
the image's edge that would look like fine structure. It is orthonormal: white noise stays white, and the mean square of an
image is that of its coefficients.

Where the real field is one more draw from the distribution that is painted (a perfect sampler), two samples are as alike as a
sample and the real field; the mean square of the samples' spread, of K samples, is K / (K + 1) of the squared error of their
mean (Fortin et al. 2014, eq. 15); and CRPS is the least.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn

EDGES_PX = (64, 32, 16, 8, 4)  # wavelengths between bands
BANDS = ("over_64px", "32_to_64px", "16_to_32px", "8_to_16px", "4_to_8px", "under_4px")
AXES = (-2, -1)


def band_map(height: int, width: int) -> np.ndarray:
    """Return the band of each coefficient of an image: (H, W), places in BANDS, -1 for the mean.

    Coefficient k of a DCT-II of N pixels is a wave of 2 N / k pixels.
    """
    down, along = (np.arange(size) / (2 * size) for size in (height, width))
    frequency = np.hypot(down[:, None], along[None, :])  # cycles a pixel
    bands = np.searchsorted(1 / np.array(EDGES_PX), frequency, side="right")
    bands[0, 0] = -1
    return bands


def band_sums(squares: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Add the squared coefficients of each band and divide by the number of pixels: (..., H, W) -> (..., B)."""
    flat, places = squares.reshape(-1, bands.size), bands.ravel()
    kept = places >= 0
    sums = [np.bincount(places[kept], weights=row[kept], minlength=len(BANDS)) for row in flat.astype(np.float64)]
    return np.array(sums).reshape(*squares.shape[:-2], len(BANDS)) / bands.size


def spread_and_error(samples: np.ndarray, truth: np.ndarray, bands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of K samples and the squared error of their mean, of each channel and band.

    Parameters
    ----------
    samples : (K, C, H, W) coefficients; of one sample the variance is 0
    truth : (C, H, W) coefficients

    Returns
    -------
    two (C, B) float64, a pixel; the bands together are the mean square without that of the image's mean
    """
    mean = samples.mean(axis=0)
    variance = ((samples - mean) ** 2).sum(axis=0) / max(len(samples) - 1, 1)
    return band_sums(variance, bands), band_sums((mean - truth) ** 2, bands)


def spread_over_error(spread: np.ndarray, error: np.ndarray, samples: int) -> np.ndarray:
    """Return the s.d. of K samples over the error of their mean, times sqrt((K + 1) / K): 1 where the spread is right.

    Parameters
    ----------
    spread, error : variances and squared errors, any shape, NaN or 0 where there is nothing to compare
    """
    ratio = np.divide(spread, error, out=np.full(np.shape(error), np.nan), where=np.asarray(error) > 0)
    return np.sqrt(ratio * (samples + 1) / samples)


def fair_crps(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the continuous ranked probability score, estimated fairly (Ferro 2014): its mean is the least for right samples.

    Parameters
    ----------
    samples : (K, ...); a single sample stands for a painter without noise, whose score is the absolute error
    truth : (...)

    Returns
    -------
    (...) float32, E|x - y| - E|x - x'| / 2; may fall below 0 by chance
    """
    count = len(samples)
    away = np.abs(samples - truth).mean(axis=0)
    if count == 1:
        return away
    # Sum over pairs of |x_i - x_j| is sum over ranks r = 0 .. K - 1 of (2 r - K + 1) x_(r).
    ranks = (2 * np.arange(count) - count + 1).reshape(-1, *[1] * (samples.ndim - 1))
    pairs = (ranks.astype(samples.dtype) * np.sort(samples, axis=0)).sum(axis=0)
    return away - pairs / (count * (count - 1))


def mean_crps(samples: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean CRPS over the pixels of one channel: (K, H, W), (H, W)."""
    return float(fair_crps(samples, truth).mean(dtype=np.float64))


def alike(samples: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the mean PCC of a sample and the real image, and that of two samples: (K, H, W), (H, W).

    A single sample is a painter without noise, which paints the same again: 1. A constant sample counts 0.
    """
    flat = np.concatenate([truth[None], samples]).reshape(len(samples) + 1, -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    power = np.sqrt((flat**2).sum(axis=1, keepdims=True))
    flat = np.divide(flat, power, out=np.zeros_like(flat), where=power > 1e-9)
    products, count = flat @ flat.T, len(samples)
    among = products[1:, 1:]
    between = (among.sum() - np.trace(among)) / (count * (count - 1)) if count > 1 else 1.0
    return float(products[0, 1:].mean()), float(between)


def field_scores_of(
    samples: np.ndarray, truth: np.ndarray, other: np.ndarray, bands: np.ndarray
) -> dict[str, np.ndarray]:
    """Set one field's samples beside it.

    Parameters
    ----------
    samples : (K, C, H, W) standardised
    truth : (C, H, W) likewise
    other : (C, H, W), the real stains of another well, for the null of CRPS
    bands : from `band_map`

    Returns
    -------
    {name: (C,) float64}: `pcc_drawn`, `pcc_between`, `crps`, `crps_other_well`, and of each band `crps_{band}`,
    `spread2_{band}` and `error2_{band}`. All are NaN for a constant real channel, of a band NaN where the image has none
    """
    found: dict[str, list[float]] = {}
    known = np.bincount(bands[bands >= 0], minlength=len(BANDS)) > 0
    for channel in range(len(truth)):
        image, drawn = truth[channel], samples[:, channel]
        drawn_pcc, between = alike(drawn, image)
        one = {"pcc_drawn": drawn_pcc, "pcc_between": between, "crps": mean_crps(drawn, image)}
        one["crps_other_well"] = mean_crps(drawn, other[channel])
        # One channel at a time: K + 1 images and their coefficients are all that is held.
        waves = dctn(np.concatenate([image[None], drawn]), axes=AXES, norm="ortho")
        spread, error = spread_and_error(waves[1:, None], waves[0][None], bands)
        for place, name in enumerate(BANDS):
            passed = idctn(np.where(bands == place, waves, 0), axes=AXES, norm="ortho") if known[place] else None
            one[f"crps_{name}"] = np.nan if passed is None else mean_crps(passed[1:], passed[0])
            one[f"spread2_{name}"] = spread[0, place] if known[place] else np.nan
            one[f"error2_{name}"] = error[0, place] if known[place] else np.nan
        constant = not np.ptp(image) > 0
        for name, value in one.items():
            found.setdefault(name, []).append(np.nan if constant else value)
    return {name: np.array(values, np.float64) for name, values in found.items()}
