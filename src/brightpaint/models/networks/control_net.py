"""ControlNet (Zhang et al. 2023): a trained denoiser that stays as it is, told of brightfield by a copy of its encoder.

The copy sees what the encoder sees and a hint from brightfield; what it finds is added to the base's activations through
convolutions that begin as zeros, so that before training the whole paints exactly what its base does.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.unet import UNet, padded, zeroed


def zero_convolution(channels: int) -> nn.Conv2d:
    """Return a 1 x 1 convolution that begins as zeros."""
    return zeroed(nn.Conv2d(channels, channels, 1))


class ControlNet(nn.Module):
    """A base U-Net without brightfield, frozen, and the copy that is trained. Called as a U-Net is.

    Parameters
    ----------
    base : its weights are left alone, and no gradient reaches them; it sees no brightfield
    inputs : brightfield planes
    """

    def __init__(self, base: UNet, inputs: int):
        super().__init__()
        spec = base.spec
        self.spec, self.targets, self.labels, self.inputs = spec, base.targets, base.labels, inputs
        self.copy = copy.deepcopy(base.encoder).requires_grad_(True)
        self.base = base.requires_grad_(False)
        first = spec.width * spec.multipliers[0]
        self.hint = nn.Sequential(
            nn.Conv2d(inputs * spec.patch_px**2, first, 3, padding=1),
            nn.SiLU(),
            zeroed(nn.Conv2d(first, first, 3, padding=1)),
        )
        self.kept = nn.ModuleList(zero_convolution(channels) for channels in self.copy.skips)
        self.deepest = zero_convolution(self.copy.channels)

    def copy_base(self) -> None:
        """Begin the copy anew, where the base's encoder stands now."""
        self.copy.load_state_dict(self.base.encoder.state_dict())

    def train(self, mode: bool = True) -> ControlNet:
        """Train the copy; the base is as in painting always, without dropout."""
        super().train(mode)
        self.base.eval()
        return self

    def forward(self, x: torch.Tensor, y: torch.Tensor, gamma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Return the raw output; arguments as of `UNet`."""
        with torch.no_grad():
            h, skipped, embedding = self.base.encoder(y, gamma, condition)
        hint = self.hint(F.pixel_unshuffle(padded(x, self.spec.stride_px), self.spec.patch_px))
        deep, found, _ = self.copy(y, gamma, condition, hint)
        skipped = [own + zero(further) for own, further, zero in zip(skipped, found, self.kept)]
        return self.base.upward(h + self.deepest(deep), skipped, embedding, y.shape)
