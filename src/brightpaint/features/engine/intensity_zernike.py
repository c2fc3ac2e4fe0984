"""How intensity is laid out within each object, in Zernike's polynomials: RadialDistribution_Zernike*.

What CellProfiler's MeasureObjectIntensityDistribution measures as "Magnitudes and phase".
"""

from __future__ import annotations

import numpy as np

from brightpaint.features.engine import hulls, zernike
from brightpaint.features.engine.objects import Objects


def measure(
    objects: Objects, images: dict[str, np.ndarray], *, degree: int = 9, phases: bool = True
) -> dict[str, np.ndarray]:
    """Measure the magnitude, and if asked the phase, of each polynomial of each image.

    Parameters
    ----------
    images : {name: (H, W) float32 or float64}
    degree : the highest of the polynomials
    phases : also give them, in radians

    Returns
    -------
    {column: (count,) float64}, in CellProfiler's order; NaN for an object of one pixel or none
    """
    names = sorted(images)
    if not names:
        return {}
    weights = np.stack([images[name].ravel()[objects.pixels] for name in names]).astype(np.float64)
    real, imaginary = zernike.sums(objects, *hulls.enclosing_circles(hulls.hulls(objects)), weights, degree=degree)
    areas = np.where(objects.areas > 0, objects.areas, np.nan)[:, None]
    kinds = {"Magnitude": np.sqrt(real * real + imaginary * imaginary) / areas}
    if phases:
        kinds["Phase"] = np.where(objects.areas[:, None] > 0, np.arctan2(real, imaginary), np.nan)
    return {
        f"RadialDistribution_Zernike{kind}_{name}_{n}_{m}": np.ascontiguousarray(values[image, :, at])
        for kind, values in kinds.items()
        for image, name in enumerate(names)
        for at, (n, m) in enumerate(zernike.orders(degree))
    }
