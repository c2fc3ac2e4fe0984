"""Sums over each object of Zernike's polynomials on its least enclosing circle, as centrosome has them.

V_nm = R_nm(r) (y + ix)**m / r**m, without a normalising factor; R as in Zernike 1934 (Physica 1, 689), summed from the
highest power. A pixel that lies outside the circle by the last bit of a double counts nothing: that is CellProfiler's
rule, and why circles are found in its own steps.
"""

from __future__ import annotations

from math import factorial

import numba
import numpy as np

from brightpaint.features.engine.objects import Objects

LANES = 8  # polynomials are padded to a multiple of what a processor takes at once


def orders(degree: int) -> list[tuple[int, int]]:
    """Return the (n, m) of the polynomials up to a degree."""
    return [(n, m) for n in range(degree + 1) for m in range(n % 2, n + 1, 2)]


def sums(
    objects: Objects, centres: np.ndarray, radii: np.ndarray, weights: np.ndarray, *, degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted sums of each polynomial over each object, real and imaginary parts.

    Parameters
    ----------
    centres, radii : (count, 2) and (count,) float64, `hulls.enclosing_circles`
    weights : (C, n) float64, of each of `objects.pixels` in each of C images

    Returns
    -------
    two of (C, count, polynomials) float64, in the order of `orders`; NaN for an object of one pixel, 0 of none
    """
    which = orders(degree)
    room = -(-len(which) // LANES) * LANES
    terms, powers = np.zeros((degree // 2 + 1, room)), np.zeros(room, np.int64)
    for at, (n, m) in enumerate(which):
        powers[at] = m
        for k in range((n - m) // 2 + 1):  # the highest power of r first, the lowest in the last row
            below = factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k)
            terms[degree // 2 - (n - m) // 2 + k, at] = (-1) ** k * factorial(n - k) / below
    real, imaginary = _sums(
        objects.pixels, objects.starts, objects.labels.shape[1], centres, radii, weights, terms, powers, degree
    )
    return real[:, :, : len(which)], imaginary[:, :, : len(which)]


@numba.njit(cache=True, nogil=True)
def _sums(
    pixels: np.ndarray,
    starts: np.ndarray,
    width: int,
    centres: np.ndarray,
    radii: np.ndarray,
    weights: np.ndarray,
    terms: np.ndarray,
    powers: np.ndarray,
    degree: int,
) -> tuple[np.ndarray, np.ndarray]:
    images, polynomials = weights.shape[0], powers.size
    count = starts.size - 1
    reals, imaginaries = np.zeros((images, count, polynomials)), np.zeros((images, count, polynomials))
    radial, real, imaginary = np.empty(polynomials), np.empty(polynomials), np.empty(polynomials)
    power_real, power_imaginary = np.ones(degree + 1), np.zeros(degree + 1)
    for k in range(count):
        for at in range(starts[k], starts[k + 1]):
            y = (pixels[at] // width - centres[k, 0]) / radii[k] if radii[k] > 0 else np.nan
            x = (pixels[at] % width - centres[k, 1]) / radii[k] if radii[k] > 0 else np.nan
            square = x * x + y * y
            if square > 1:
                continue
            for m in range(1, degree + 1):
                power_real[m] = power_real[m - 1] * y - power_imaginary[m - 1] * x
                power_imaginary[m] = power_real[m - 1] * x + power_imaginary[m - 1] * y
            for p in range(polynomials):
                radial[p] = 0.0
            for term in range(terms.shape[0]):
                for p in range(polynomials):
                    radial[p] = radial[p] * square + terms[term, p]
            for p in range(polynomials):
                real[p] = radial[p] * power_real[powers[p]]
                imaginary[p] = radial[p] * power_imaginary[powers[p]]
            for image in range(images):
                weight = weights[image, at]
                for p in range(polynomials):
                    reals[image, k, p] += weight * real[p]
                    imaginaries[image, k, p] += weight * imaginary[p]
    return reals, imaginaries
