"""The critic of StyleGAN2 (Karras et al. 2020): residual blocks down to 4 x 4, which say how real an image looks.

Its last layer before that one number has 512, which GAN-DL takes for an image's profile. One of its inputs, the spread of the
other images of a batch (Karras et al. 2018, section 3), would make an image's numbers depend on its company: `embed` puts its
mean over training images in its place.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from brightpaint.models.compute import unreduced
from brightpaint.models.networks.equalised import Conv, Dense, activated, at_least_single, check_images
from brightpaint.study.presets import CRITIC_FEATURES, GanSpec, gan_sides

GROUP = 4  # images over which the spread is taken, at most
SMALL = 1e-8


class CriticBlock(nn.Module):
    """Two convolutions, the second to half the size, beside a 1 x 1 convolution: (B, inputs, H, W) -> (B, outputs, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first, self.second = Conv(inputs, inputs, 3), Conv(inputs, outputs, 3, down=True)
        self.skip = Conv(inputs, outputs, 1, bias=False, down=True)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return (activated(self.second(activated(self.first(h)))) + self.skip(h)) / math.sqrt(2)


def group_size(count: int) -> int:
    """Return the images of a group: the most up to GROUP that parts a batch evenly."""
    return max(size for size in range(1, GROUP + 1) if count % size == 0)


def spread_of(h: torch.Tensor) -> torch.Tensor:
    """Return the mean s.d. of features within each image's group, (B, C, H, W) -> (B,); groups are interleaved."""
    size = group_size(len(h))
    with unreduced(h):
        groups = at_least_single(h).reshape(size, len(h) // size, -1)  # (B, C, H, W) -> (size, groups, C H W)
        variance = (groups - groups.mean(0)).square().mean(0)
        return (variance + SMALL).sqrt().mean(1).repeat(size)


class Critic(nn.Module):
    """How real images look.

    Parameters
    ----------
    spec : shape of the network
    channels : of an image
    size_px : its height and width, a power of two from 8

    Attributes
    ----------
    spread : the mean spread of batches of training images, which `embed` shows in place of a batch's own; set when it is trained
    """

    def __init__(self, spec: GanSpec, channels: int, size_px: int):
        super().__init__()
        sides = gan_sides(size_px)[::-1]
        widths = [spec.channels(side) for side in sides]
        self.channels, self.size_px = channels, size_px
        self.image = Conv(channels, widths[0], 1)
        self.blocks = nn.ModuleList(CriticBlock(*pair) for pair in zip(widths[:-1], widths[1:]))
        self.joined = Conv(widths[-1] + 1, widths[-1], 3)
        self.dense = Dense(widths[-1] * sides[-1] ** 2, CRITIC_FEATURES)
        self.last = Dense(CRITIC_FEATURES, 1)
        self.register_buffer("spread", torch.zeros(()))

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Return the last maps, (B, C, size_px, size_px) -> (B, W, 4, 4)."""
        check_images(images, self.channels, self.size_px)
        h = activated(self.image(images))
        for block in self.blocks:
            h = block(h)
        return h

    def features(self, h: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        """Return the layer before the last, (B, 512), of maps and of each image's spread (B,)."""
        h = torch.cat([h, spread.to(h.dtype)[:, None, None, None].expand(-1, 1, *h.shape[2:])], 1)
        return activated(self.dense(activated(self.joined(h)).flatten(1)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (B,) of images (B, C, size_px, size_px), each seen beside its group."""
        h = self.maps(images)
        return at_least_single(self.last(self.features(h, spread_of(h)))[:, 0])

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B, 512) of images (B, C, size_px, size_px), each by itself."""
        h = self.maps(images)
        return at_least_single(self.features(h, self.spread.expand(len(h))))
