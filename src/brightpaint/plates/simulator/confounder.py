"""A nuisance that follows the treatment without touching the cells: stripes in the background, zero inside every cell.

What tells treatments apart by it has learnt nothing of cells. Its truth stands in the truth table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from brightpaint.base.seeds import seed_of

PERIOD_UM = (8.0, 20.0)
FADE_UM = 2.0  # over which the stripes rise from a cell's edge on
BRIGHTFIELD_SHARE, STAIN_SHARE = 0.02, 0.5  # amplitude at strength 1: of the light, of the background


@dataclass(frozen=True)
class Stripes:
    """The stripes of one treatment: angle of their normal to x, period, and phase in turns at the field's corner."""

    angle_deg: float
    period_um: float
    phase: float

    def field(self, size_px: int, pixel_size_um: float) -> np.ndarray:
        """Return (size_px, size_px) float32 from -1 to 1, the same in every field of the treatment."""
        axis = (np.arange(size_px) + 0.5) * pixel_size_um
        turn = np.deg2rad(self.angle_deg)
        along = axis[None, :] * np.cos(turn) + axis[:, None] * np.sin(turn)
        return np.sin(2 * np.pi * (along / self.period_um + self.phase)).astype(np.float32)


def stripes_of(treatment: str, *, seed: int) -> Stripes:
    """Draw a treatment's stripes, DMSO's too, from its name."""
    rng = np.random.default_rng([seed, seed_of("confounder", treatment)])
    angle, period, phase = rng.uniform(0, 180), np.exp(rng.uniform(*np.log(PERIOD_UM))), rng.uniform()
    return Stripes(round(float(angle), 2), round(float(period), 3), round(float(phase), 3))


def behind(stripes: np.ndarray, inside: np.ndarray, *, pixel_size_um: float) -> np.ndarray:
    """Return the stripes behind the cells: 0 `inside` (H, W) them, rising over FADE_UM outside; (H, W) float32."""
    away = ndimage.distance_transform_edt(~inside) * pixel_size_um if inside.any() else np.full(inside.shape, np.inf)
    return (stripes * (1 - np.exp(-away / FADE_UM))).astype(np.float32)
