"""The error of a base model in units of its own noise: u = L^-1 (y - m) / s(m), of s.d. 1 and without colour.

s and L are those of kind `residual_noise`: the s.d. by what was painted, and the root of the cross-spectrum over stains, ring by
ring. L^-1 is taken of the image and its mirror images, which have no step at the border that would look like fine structure; so
it serves a crop as it serves a field. Where the root is small it is not inverted whole: what is fitted there is rounding and the
camera's noise, and its inverse would be all that a network sees.

White units hide what is seen: long waves are a hundredth of all coefficients and most of the error, and painting multiplies them by
ten and more. A network learns fastest in white units, but is judged as it paints; and only in waves that fit its crops: of longer
ones a crop shows a part, and cannot tell the mean of a field from them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from brightpaint.models.compute import unreduced

LEAST_ROOT = 0.03  # of the error's s.d. a coefficient: less than a thousandth of its power


def ring_map(height: int, width: int, side: int) -> np.ndarray:
    """Return the ring of each coefficient of `rfft2`: (H, W // 2 + 1), the nearest whole number of cycles in `side` pixels."""
    down, along = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    return np.rint(np.hypot(down[:, None], along[None, :]) * side).astype(int)


def fitting(height: int, width: int, longest_px: float) -> np.ndarray:
    """Return which coefficients of `rfft2` are waves of at most `longest_px`: (H, W // 2 + 1) bool; the mean is none."""
    down, along = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    cycles = np.hypot(down[:, None], along[None, :])
    return cycles * longest_px >= 1 - 1e-9  # of an integer number of waves too, whatever the rounding


def roots(spectrum: np.ndarray, *, inverse: bool = False) -> np.ndarray:
    """Return the symmetric root L of each ring's matrix, which colours white noise: (rings, C, C) -> the same.

    Its regularised inverse divides by LEAST_ROOT where a root is less.
    """
    values, vectors = np.linalg.eigh(spectrum)
    found = np.sqrt(np.maximum(values, 0))
    found = 1 / np.maximum(found, LEAST_ROOT) if inverse else found
    return np.einsum("rij,rj,rkj->rik", vectors, found, vectors)


class WhitenedError(nn.Module):
    """What brings a base's error to white noise, if it is Gaussian and of one spectrum everywhere. It has no parameter.

    Parameters
    ----------
    fitted : tensors of `residual_noise.fit`: levels, sd (C, LEVELS), spectrum (rings, C, C), side (1,)
    longest_px : longest wave that a network answers for, see `judged`
    """

    def __init__(self, fitted: Mapping[str, torch.Tensor], longest_px: float):
        super().__init__()
        self.side, self.longest_px = int(fitted["side"][0]), longest_px
        self.register_buffer("levels", fitted["levels"].float().contiguous(), persistent=False)
        self.register_buffer("sd", fitted["sd"].float().contiguous(), persistent=False)
        spectrum = fitted["spectrum"].double().numpy()
        inverse = roots(spectrum, inverse=True)
        # A field's mean has a power of its own, of how brightness differs between fields; a crop's is a wave longer than the crop.
        inverse[0] = inverse[1]
        self.register_buffer("inverse", torch.from_numpy(inverse).float(), persistent=False)
        self.register_buffer("painted", torch.from_numpy(roots(spectrum)).float(), persistent=False)
        self.register_buffer("white", torch.eye(spectrum.shape[-1]).expand(self.painted.shape), persistent=False)
        self._filters: dict[tuple, torch.Tensor] = {}

    def spread(self, m: torch.Tensor) -> torch.Tensor:
        """Return the s.d. of the error at each pixel: (B, C, H, W) -> the same; constant beyond the levels."""
        found = []
        for image, levels, sd in zip(m.unbind(1), self.levels, self.sd):
            low = (torch.searchsorted(levels, image.contiguous(), right=True) - 1).clamp(0, len(levels) - 2)
            step = levels[low + 1] - levels[low]
            share = torch.where(step > 0, (image - levels[low]) / torch.where(step > 0, step, 1), 0).clamp(0, 1)
            found.append(sd[low] + share * (sd[low + 1] - sd[low]))
        return torch.stack(found, dim=1)

    def forward(self, y: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        """Return u of stains and of what the base paints: two (B, C, H, W) float32 -> the same; 0 where there is no error."""
        with unreduced(y):
            spread = self.spread(m)
            error = torch.where(spread > 0, (y - m) / torch.where(spread > 0, spread, 1), 0)
            return self.whitened(error)

    def whitened(self, error: torch.Tensor) -> torch.Tensor:
        """Return L^-1 of an error in units of its s.d.: (B, C, H, W) -> the same."""
        height, width = error.shape[-2:]
        mirrored = torch.cat([error, error.flip(-2)], dim=-2)
        mirrored = torch.cat([mirrored, mirrored.flip(-1)], dim=-1)
        return self._mixed(mirrored, "inverse")[..., :height, :width]

    def judged(self, wrong: torch.Tensor, *, painted: bool = False) -> torch.Tensor:
        """Return what an answer is wrong by without waves longer than `longest_px`: (B, C, H, W) -> the same, float32.

        It has no step at the border that would matter, being nearly white, so it is not mirrored.

        Parameters
        ----------
        painted : L times it, as it is painted in units of the error's s.d.
        """
        with unreduced(wrong):
            return self._mixed(wrong.float(), "painted" if painted else "white")

    def _mixed(self, images: torch.Tensor, name: str) -> torch.Tensor:
        """Mix the stains of each wave of images by its ring's matrix."""
        size, waves = tuple(images.shape[-2:]), torch.fft.rfft2(images)
        mixed = torch.einsum("ijhw,bjhw->bihw", self._filter(name, *size).to(waves.dtype), waves)
        return torch.fft.irfft2(mixed, s=size)

    def _filter(self, name: str, height: int, width: int) -> torch.Tensor:
        """Return the matrix of each coefficient of `rfft2`: (C, C, H, W // 2 + 1), made once a size and device."""
        matrices = getattr(self, name)
        key = name, height, width, matrices.device
        if key not in self._filters:
            places = np.minimum(ring_map(height, width, self.side), len(matrices) - 1)
            found = matrices[torch.from_numpy(places).to(matrices.device)].permute(2, 3, 0, 1)
            if name != "inverse":
                found = found * torch.from_numpy(fitting(height, width, self.longest_px)).to(found)
            self._filters[key] = found
        return self._filters[key]
