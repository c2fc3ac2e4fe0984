"""How a number is told to a network: its cosines and sines at several frequencies."""

from __future__ import annotations

import math

import torch


def frequencies(width: int, longest: float) -> torch.Tensor:
    """Return (width // 2,) float64 geometric angular frequencies from 1 to 1 / `longest`."""
    half = width // 2
    return torch.exp(-math.log(longest) * torch.arange(half, dtype=torch.float64) / half)


def sinusoid(values: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Return cosines and sines of `values` (B,) at F angular `frequencies`: (B, 2 F) float32."""
    angles = values.double()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1).float()
