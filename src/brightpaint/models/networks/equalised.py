"""Layers of StyleGAN2's networks: weights that learn at one rate, leaky ReLU of unit gain, and the filter between sizes.

Weights are drawn with s.d. 1 and scaled where they are used, by the root of what each output sums over, so that Adam moves
all of them alike (Karras et al. 2018, section 4.1). Images are halved and doubled through [1, 3, 3, 1] (Karras et al. 2020,
appendix B), without which a critic sees aliases and a generator paints them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.compute import unreduced

SLOPE, GAIN = 0.2, math.sqrt(2)
TAPS = (1, 3, 3, 1)


def activated(h: torch.Tensor) -> torch.Tensor:
    """Return leaky ReLU of slope 0.2, scaled to keep the variance of what is normal."""
    return F.leaky_relu(h, SLOPE) * GAIN


def at_least_single(h: torch.Tensor) -> torch.Tensor:
    """Return values as float32, or float64 where they are: bfloat16 is too few digits for a variance."""
    return h.to(torch.promote_types(h.dtype, torch.float32))


class Dense(nn.Module):
    """A linear layer, (B, inputs) -> (B, outputs), whose weights and bias learn at `rate` times the optimiser's rate."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return F.linear(h, self.weight * self.scale, self.bias * self.rate)


class Conv(nn.Module):
    """A convolution that keeps the size, (B, inputs, H, W) -> (B, outputs, H, W); with `down` it halves it, through the filter."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True, down: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.kernel = 1 / math.sqrt(inputs * kernel**2), kernel
        self.blur = Blur() if down else None

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.scale
        if self.blur is None:
            return F.conv2d(h, weight, self.bias, padding=self.kernel // 2)
        about = (self.kernel + 1) // 2  # H -> H + 1 (3 x 3) or H - 1 (1 x 1): after the stride H / 2 either way
        return F.conv2d(self.blur(h, about, about), weight, self.bias, stride=2)


class Blur(nn.Module):
    """Filter each channel by [1, 3, 3, 1] along both sides, with so many zeros about the image."""

    def __init__(self, gain: float = 1.0):
        super().__init__()
        taps = torch.tensor(TAPS, dtype=torch.float32)
        self.register_buffer("taps", taps / taps.sum() * math.sqrt(gain), persistent=False)

    def forward(self, h: torch.Tensor, before: int, after: int) -> torch.Tensor:
        """Return (B, C, H + before + after - 3, W + before + after - 3)."""
        channels, taps = h.shape[1], self.taps.to(h.dtype)
        with unreduced(h):  # an image stays float32
            h = F.pad(h, (before, after, before, after))
            h = F.conv2d(h, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
            return F.conv2d(h, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def check_images(images: torch.Tensor, channels: int, size_px: int) -> None:
    """Raise ValueError unless images are (B, channels, size_px, size_px)."""
    if images.ndim != 4 or tuple(images.shape[1:]) != (channels, size_px, size_px):
        raise ValueError(
            f"images of {tuple(images.shape[1:])} (C, H, W), expected ({channels}, {size_px}, {size_px}): these networks know "
            "squares of one size; cut them, or train for theirs (gan.size_px)"
        )
