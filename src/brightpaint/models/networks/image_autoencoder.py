"""A convolutional autoencoder of images: a critic's blocks down to as many numbers as a critic has, and blocks up again.

It has the critic's width at every size, and sees the same squares: what it does not have is the game against a generator.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.networks.equalised import Conv, Dense, activated, check_images
from brightpaint.models.networks.image_critic import CriticBlock
from brightpaint.study.presets import CRITIC_FEATURES, GanSpec, gan_sides


class ImageAutoencoder(nn.Module):
    """Images (B, C, S, S) from -1 to 1, and what is left of them after 512 numbers.

    Parameters
    ----------
    spec : shape of the critic whose width it has
    channels, size_px : of an image
    """

    def __init__(self, spec: GanSpec, channels: int, size_px: int):
        super().__init__()
        sides = gan_sides(size_px)
        widths = [spec.channels(side) for side in sides]
        self.channels, self.size_px, self.start = channels, size_px, (widths[0], sides[0], sides[0])
        down = list(zip(widths[:0:-1], widths[-2::-1]))
        self.image = Conv(channels, widths[-1], 1)
        self.downs = nn.ModuleList(CriticBlock(*pair) for pair in down)
        self.code = Dense(widths[0] * sides[0] ** 2, CRITIC_FEATURES)
        self.spread = Dense(CRITIC_FEATURES, widths[0] * sides[0] ** 2)
        self.ups = nn.ModuleList(Conv(outputs, inputs, 3) for inputs, outputs in reversed(down))
        self.painted = Conv(widths[-1], channels, 1)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the code of images, (B, 512)."""
        check_images(images, self.channels, self.size_px)
        h = activated(self.image(images))
        for block in self.downs:
            h = block(h)
        return self.code(h.flatten(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return images again, (B, C, S, S), from their code."""
        h = activated(self.spread(self.embed(images))).reshape(len(images), *self.start)
        for up in self.ups:
            h = activated(up(F.interpolate(h, scale_factor=2, mode="nearest")))
        return self.painted(h)
