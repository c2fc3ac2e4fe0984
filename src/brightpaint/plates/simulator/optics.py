"""What the simulated microscope makes of a field: brightfield planes, fluorescence images, camera counts.

Brightfield: a thin phase and absorption object, lit by a condenser of finite aperture, is propagated to each
focal position by the angular spectrum (Goodman, Introduction to Fourier Optics, 3rd ed., eq. 3-74) and
imaged through the objective's pupil; the intensities of the illumination angles add (Abbe's method).
Fluorescence: a point spread function with a core and a wide halo, as in widefield microscopy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

WAVELENGTH_UM = 0.65
OBJECTIVE_NA, CONDENSER_NA = 0.5, 0.22
MEDIUM_INDEX = 1.34
FOCUS_SPAN_UM = (-4.0, 4.0)
PSF_CORE_UM, PSF_HALO_UM, HALO_SHARE = 0.6, 3.5, 0.3  # s.d. of core and halo, light in the halo
READ_NOISE, OFFSET, COUNTS_PER_ELECTRON, FULL_SCALE = 4.0, 180.0, 1.0, 65535


def focal_positions(count: int) -> list[float]:
    """Return the focal positions of `count` planes in um, evenly from -4 to 4; one plane is in focus."""
    return [0.0] if count == 1 else [float(z) for z in np.linspace(*FOCUS_SPAN_UM, count)]


def illumination_angles() -> list[tuple[float, float, float]]:
    """Return (fx, fy, weight) of the condenser's points: its centre and two rings, in cycles per um."""
    limit = CONDENSER_NA / WAVELENGTH_UM
    points = [(0.0, 0.0, 1.0)]
    for ring, (count, radius) in enumerate(((4, 0.5), (6, 0.92))):
        for step in range(count):
            theta = 2 * np.pi * (step + 0.5 * ring) / count
            points.append((limit * radius * np.cos(theta), limit * radius * np.sin(theta), 1.0))
    total = sum(weight for _, _, weight in points)
    return [(fx, fy, weight / total) for fx, fy, weight in points]


def brightfield(path_um: np.ndarray, absorbance: np.ndarray, *, step_um: float, z_um: list[float]) -> np.ndarray:
    """Image a thin object in brightfield.

    Parameters
    ----------
    path_um : (S, S) optical path difference
    absorbance : (S, S) natural absorbance of the intensity
    step_um : side of a pixel
    z_um : Z focal positions relative to the object; positive is above it

    Returns
    -------
    (Z, S, S) float32 intensity, 1 where there is no object; edges wrap around
    """
    wave = np.exp(2j * np.pi / WAVELENGTH_UM * path_um - absorbance / 2).astype(np.complex64)
    spectrum = fft.fft2(wave)  # (S, S)
    rows, columns = (fft.fftfreq(size, step_um).astype(np.float32) for size in path_um.shape)
    planes = np.zeros((len(z_um), *path_um.shape), np.float32)
    for fx, fy, weight in illumination_angles():
        # light from angle f carries the object's frequency q at q + f, where pupil and propagation act
        square = (rows[:, None] + np.float32(fy)) ** 2 + (columns[None, :] + np.float32(fx)) ** 2
        passed = np.where(square <= (OBJECTIVE_NA / WAVELENGTH_UM) ** 2, spectrum, 0)
        axial = np.sqrt(np.clip(1 / WAVELENGTH_UM**2 - square, 0, None))  # cycles per um along z
        # a plane wave's own phase is left out: only intensities follow
        for plane, z in enumerate(z_um):
            field = fft.ifft2(passed * np.exp(np.complex64(2j * np.pi * z) * axial))
            planes[plane] += np.float32(weight) * (field.real**2 + field.imag**2)
    return planes


def widefield(stain: np.ndarray, *, step_um: float, defocus_um: float = 0.0) -> np.ndarray:
    """Blur (S, S) with the widefield point spread function; the sum is kept and edges wrap around.

    Out of focus a point becomes the section of the objective's cone of light, a disc of radius |defocus| tan(theta), where
    sin(theta) is NA / n; of it the s.d. along an axis, half the radius, is added to core and halo in squares.
    """
    fy = fft.fftfreq(stain.shape[0], step_um).astype(np.float32)[:, None]
    fx = fft.rfftfreq(stain.shape[1], step_um).astype(np.float32)[None, :]
    square = fy**2 + fx**2
    spread = abs(defocus_um) * math.tan(math.asin(OBJECTIVE_NA / MEDIUM_INDEX)) / 2
    widths = (math.hypot(sd, spread) for sd in (PSF_CORE_UM, PSF_HALO_UM))
    core, halo = (np.exp(-2 * np.pi**2 * sd**2 * square) for sd in widths)
    blurred = fft.irfft2(fft.rfft2(stain) * ((1 - HALO_SHARE) * core + HALO_SHARE * halo), s=stain.shape)
    return np.maximum(blurred, 0).astype(np.float32)


def bin_pixels(image: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of `factor` x `factor` grid pixels, as a camera pixel does."""
    height, width = (size // factor for size in image.shape)
    return image[: height * factor, : width * factor].reshape(height, factor, width, factor).mean(axis=(1, 3))


@dataclass(frozen=True)
class Lighting:
    """How unevenly one channel of one plate is lit.

    Attributes
    ----------
    gain : factor of the whole channel
    centre : y and x of the brightest point, as a share of the field
    fall : loss of light at one field's half diagonal from there
    dust : (n, 4) y, x, s.d. (shares of the field) and depth of out-of-focus dust on the optics
    """

    gain: float
    centre: tuple[float, float]
    fall: float
    dust: tuple[tuple[float, float, float, float], ...] = ()

    def field(self, size: int) -> np.ndarray:
        """Return (size, size) float32 relative light."""
        axis = (np.arange(size) + 0.5) / size
        square = (axis[:, None] - self.centre[0]) ** 2 + (axis[None, :] - self.centre[1]) ** 2
        light = 1 - self.fall * np.clip(2 * square, 0, 1)
        for y, x, sd, depth in self.dust:
            light *= 1 - depth * np.exp(((axis[:, None] - y) ** 2 + (axis[None, :] - x) ** 2) / (-2 * sd**2))
        return (self.gain * light).astype(np.float32)


def draw_lighting(rng: np.random.Generator, *, spread: float, fall: float, dust: int = 0) -> Lighting:
    """Draw a channel's gain (log-normal, s.d. `spread`), vignetting (about `fall`) and dust on one plate."""
    gain, (y, x) = float(np.exp(rng.normal(0, spread))), rng.normal(0.5, 0.08, 2)
    fall = float(fall * rng.uniform(0.7, 1.3))
    specks = rng.uniform((0, 0, 0.008, 0.004), (1, 1, 0.03, 0.025), (dust, 4))
    return Lighting(gain, (float(y), float(x)), fall, tuple(tuple(map(float, speck)) for speck in specks))


def camera(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (H, W) uint16 raw counts of an image in mean counts: shot noise, read noise, offset, saturation."""
    electrons = rng.poisson(np.maximum(counts, 0) / COUNTS_PER_ELECTRON)
    noisy = electrons * COUNTS_PER_ELECTRON + rng.normal(OFFSET, READ_NOISE, counts.shape)
    return np.clip(np.rint(noisy), 0, FULL_SCALE).astype(np.uint16)
