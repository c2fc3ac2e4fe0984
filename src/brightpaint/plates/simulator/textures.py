"""Periodic noise textures from which the insides of cells are cut.

A cell looks up a texture at its own offset and angle, so that no two cells share a pattern.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft

PERIOD_UM = 128.0
TEXEL_UM = 0.25


def band_noise(rng: np.random.Generator, low_um: float, high_um: float, stretch: float = 1.0) -> np.ndarray:
    """Return periodic Gaussian noise with wavelengths between two limits.

    Parameters
    ----------
    low_um, high_um : shortest and longest wavelength; the band's edges are Gaussian
    stretch : wavelengths along x are longer than along y by this factor

    Returns
    -------
    (512, 512) float32, mean 0, s.d. 1
    """
    size = round(PERIOD_UM / TEXEL_UM)
    fy = fft.fftfreq(size, TEXEL_UM)[:, None]
    fx = fft.rfftfreq(size, TEXEL_UM)[None, :]
    frequency = np.hypot(fy, fx * stretch)
    band = np.exp(-((frequency * low_um) ** 2)) * (1 - np.exp(-((frequency * high_um) ** 2)))
    noise = fft.irfft2(fft.rfft2(rng.standard_normal((size, size))) * band, s=(size, size))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def _ridges(noise: np.ndarray, width: float) -> np.ndarray:
    """Return 1 along the zero lines of `noise`, falling off over `width`: a network of filaments."""
    return np.exp(-((noise / width) ** 2))


@lru_cache(maxsize=1)
def bank() -> dict[str, np.ndarray]:
    """Return the textures by name, each (512, 512) float32 at 0.25 um a texel and about 1 on average."""
    rng = np.random.default_rng(20260101)
    slow = band_noise(rng, 6, 20)
    textures = {
        "filaments": _ridges(band_noise(rng, 2.2, 6), 0.33) * np.clip(1 + 0.5 * slow, 0.1, None),
        "puncta": np.clip(band_noise(rng, 1.3, 3.5) - 0.9, 0, None),
        "network": _ridges(band_noise(rng, 1.2, 4), 0.5) * np.clip(1 + 0.3 * band_noise(rng, 5, 15), 0.2, None),
        "fibres": np.clip(band_noise(rng, 1.2, 3.5, stretch=22) - 0.2, 0, None)
        * np.clip(1 + 0.4 * band_noise(rng, 10, 30), 0.1, None),
        "grain": np.exp(0.35 * band_noise(rng, 0.9, 3)),
        "clumps": np.exp(0.2 * band_noise(rng, 1.4, 5)),
        "slow": np.exp(0.35 * slow),
        "ruffles": np.exp(0.7 * band_noise(rng, 2.0, 12)),
    }
    return {name: (texture / texture.mean()).astype(np.float32) for name, texture in textures.items()}


def look_up(name: str, u_um: np.ndarray, v_um: np.ndarray) -> np.ndarray:
    """Return the texture's values at coordinates in um, which wrap around; same shape as `u_um`."""
    texture = bank()[name]
    size = texture.shape[0]
    rows = np.floor(v_um / TEXEL_UM).astype(np.int32) % size
    columns = np.floor(u_um / TEXEL_UM).astype(np.int32) % size
    return texture[rows, columns]
