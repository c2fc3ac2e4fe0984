"""ControlNet (Zhang et al. 2023): a trained denoiser that stays as it is, told of brightfield by a copy of its encoder.

In place of brightfield it may be told of the stains themselves, blurred: what lies where and how bright, and not what it looks
like. The copy sees what the encoder sees and a hint from what it is told of; what it finds is added to the base's activations
through convolutions that begin as zeros, so that before training the whole paints exactly what its base does.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.unet import UNet, padded, zeroed


def gaussian(sd: float) -> torch.Tensor:
    """Return a Gaussian of this s.d., cut off at three of them, of sum 1: (2 r + 1,) float32."""
    reach = max(1, math.ceil(3 * sd))
    values = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sd) ** 2)
    return (values / values.sum()).float()


def blurred(images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return images (B, C, H, W) smoothed along both sides by a kernel; beyond the border the last pixel goes on."""
    channels, reach = images.shape[1], len(kernel) // 2
    kernel = kernel.to(images.dtype)
    along_y, along_x = (kernel.view(shape).expand(channels, 1, *shape[2:]) for shape in ((1, 1, -1, 1), (1, 1, 1, -1)))
    images = F.conv2d(F.pad(images, (0, 0, reach, reach), mode="replicate"), along_y, groups=channels)
    return F.conv2d(F.pad(images, (reach, reach, 0, 0), mode="replicate"), along_x, groups=channels)


def zero_convolution(channels: int) -> nn.Conv2d:
    """Return a 1 x 1 convolution that begins as zeros."""
    return zeroed(nn.Conv2d(channels, channels, 1))


class ControlNet(nn.Module):
    """A base U-Net without brightfield, frozen, and the copy that is trained. Called as a U-Net is.

    Parameters
    ----------
    base : its weights are left alone, and no gradient reaches them; it sees no brightfield
    inputs : planes that it is told of
    blur : s.d. by which they are blurred before, in their own pixels; 0: not at all
    """

    def __init__(self, base: UNet, inputs: int, blur: float = 0.0):
        super().__init__()
        self.blur = blur
        self.register_buffer("kernel", gaussian(blur) if blur else torch.ones(1), persistent=False)
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
        x = blurred(x, self.kernel) if self.blur else x
        hint = self.hint(F.pixel_unshuffle(padded(x, self.spec.stride_px), self.spec.patch_px))
        deep, found, _ = self.copy(y, gamma, condition, hint)
        skipped = [own + zero(further) for own, further, zero in zip(skipped, found, self.kept)]
        return self.base.upward(h + self.deepest(deep), skipped, embedding, y.shape)
