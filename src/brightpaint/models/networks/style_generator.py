"""The generator of StyleGAN2 (Karras et al. 2020): random numbers -> styles -> images of any number of channels.

A mapping network turns z into w; each convolution is scaled by w (modulated) and brought back to unit variance (demodulated).
Details that no style decides come from noise a pixel. Images grow from 4 x 4; what each size adds is summed (skip) or the
features are (residual, as GAN-DL has it).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.compute import unreduced
from brightpaint.models.networks.equalised import Blur, Conv, Dense, activated, at_least_single
from brightpaint.study.presets import LATENT, GanSpec, gan_sides

MAPPING_RATE = 0.01  # of the optimiser's rate, at which the mapping network learns
SMALL = 1e-8


class Mapping(nn.Module):
    """z -> w, both (..., 512): z is brought to length sqrt(512) first."""

    def __init__(self, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(Dense(LATENT, LATENT, rate=MAPPING_RATE) for _ in range(layers))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        w = z * torch.rsqrt(z.square().mean(-1, keepdim=True) + SMALL)
        for layer in self.layers:
            w = activated(layer(w))
        return w


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by a style (Karras et al. 2020, eq. 1) and, if asked, demodulated (eq. 3).

    Inputs and outputs are scaled in place of the weights, which is the same and needs no weights of each image.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, demodulate: bool = True, up: bool = False):
        super().__init__()
        self.style = Dense(LATENT, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale, self.kernel, self.demodulate = 1 / math.sqrt(inputs * kernel**2), kernel, demodulate
        self.blur = Blur(gain=4.0) if up else None

    def forward(self, h: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Return (B, outputs, H, W), or twice the size: h (B, inputs, H, W), w (B, 512)."""
        style, weight = self.style(w), self.weight * self.scale
        h = h * style[:, :, None, None]
        if self.blur is None:
            h = F.conv2d(h, weight, padding=self.kernel // 2)
        else:
            h = self.blur(
                F.conv_transpose2d(h, weight.transpose(0, 1), stride=2), 1, 1
            )  # (H, W) -> 2 (H, W) + 1 -> 2 (H, W)
        if self.demodulate:
            with unreduced(h):
                power = (
                    at_least_single(style).square() @ at_least_single(weight).square().sum((2, 3)).T
                )  # (B, inputs) -> (B, outputs)
                norm = torch.rsqrt(power + SMALL)
            h = h * norm[:, :, None, None].to(h.dtype)
        return h


class StyledConv(nn.Module):
    """A demodulated convolution, noise a pixel, a bias and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, *, up: bool = False):
        super().__init__()
        self.conv = Modulated(inputs, outputs, 3, up=up)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, h: torch.Tensor, w: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        h = self.conv(h, w)
        return activated(h + (self.strength * noise).to(h.dtype) + self.bias[:, None, None].to(h.dtype))


class ToImage(nn.Module):
    """Features as an image, float32: a 1 x 1 convolution scaled by a style, not demodulated."""

    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.conv = Modulated(inputs, channels, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, h: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        with unreduced(h):
            return self.conv(at_least_single(h), at_least_single(w)) + self.bias[:, None, None]


class Generator(nn.Module):
    """Images from random numbers.

    Parameters
    ----------
    spec : shape of the network
    channels : of an image
    size_px : its height and width, a power of two from 8

    Attributes
    ----------
    layers : styles that an image takes, one a convolution and one for what makes the image of the last
    noise : random numbers that an image takes for its details
    path_mean : running mean of the path length, which its regularisation holds lengths to
    """

    def __init__(self, spec: GanSpec, channels: int, size_px: int):
        super().__init__()
        sides = gan_sides(size_px)
        widths = [spec.channels(side) for side in sides]
        self.sides, self.residual = sides, spec.residual
        self.mapping = Mapping(spec.mapping)
        self.start = nn.Parameter(torch.randn(1, widths[0], sides[0], sides[0]))
        self.first = StyledConv(widths[0], widths[0])
        pairs = list(zip(widths[:-1], widths[1:]))
        self.ups = nn.ModuleList(StyledConv(inputs, outputs, up=True) for inputs, outputs in pairs)
        self.convs = nn.ModuleList(StyledConv(outputs, outputs) for _, outputs in pairs)
        shown = widths[-1:] if spec.residual else widths
        self.images = nn.ModuleList(ToImage(width, channels) for width in shown)
        self.skips = nn.ModuleList(Conv(*pair, 1, bias=False) for pair in pairs) if spec.residual else nn.ModuleList()
        self.filter = Blur(gain=4.0)
        self.layers, self.noise = 2 * len(sides), sum(side**2 * (1 if side == sides[0] else 2) for side in sides)
        self.register_buffer("path_mean", torch.zeros(()))

    def forward(
        self,
        z: torch.Tensor,
        cut: torch.Tensor,
        noise: torch.Tensor,
        centre: torch.Tensor | None = None,
        share: float = 1.0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and the styles that they were made by.

        Parameters
        ----------
        z : (B, 2, 512) standard normal
        cut : (B,) int64; layers before it take the first w, the others the second (style mixing; `layers`: only the first)
        noise : (B, noise) standard normal
        centre, share : truncation: styles are drawn so far towards the mean style (`centre`), see `mean_style`

        Returns
        -------
        images : (B, C, size_px, size_px)
        styles : (B, layers, 512)
        """
        w = self.mapping(z)  # (B, 2, 512)
        late = torch.arange(self.layers, device=z.device)[None] >= cut[:, None]
        styles = torch.where(late[..., None], w[:, 1:], w[:, :1])  # (B, layers, 512)
        if centre is not None:
            styles = centre + share * (styles - centre)
        return self.painted(styles, noise), styles

    def painted(self, styles: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the images of styles (B, layers, 512) and noise (B, noise)."""
        sides = [self.sides[0], *(side for side in self.sides[1:] for _ in range(2))]
        parts = noise.split([side**2 for side in sides], 1)
        noises = [part.view(len(noise), 1, side, side) for part, side in zip(parts, sides)]
        h = self.first(self.start.expand(len(styles), -1, -1, -1), styles[:, 0], noises[0])
        image = None if self.residual else self.images[0](h, styles[:, 1])
        for level, (up, conv) in enumerate(zip(self.ups, self.convs)):
            before, first = h, 1 + 2 * level
            h = conv(up(h, styles[:, first], noises[first]), styles[:, first + 1], noises[first + 1])
            if self.residual:
                h = (h + self.doubled(self.skips[level](before))) / math.sqrt(2)
            else:
                image = self.doubled(image) + self.images[level + 1](h, styles[:, first + 2])
        return self.images[0](h, styles[:, -1]) if self.residual else image

    def doubled(self, h: torch.Tensor) -> torch.Tensor:
        """Return an image of twice the size, through the filter: (B, C, H, W) -> (B, C, 2 H, 2 W)."""
        batch, channels, height, width = h.shape
        spread = F.pad(h[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1)).reshape(batch, channels, 2 * height, 2 * width)
        return self.filter(spread, 2, 1)

    def mean_style(self, z: torch.Tensor) -> torch.Tensor:
        """Return the mean style of many z (N, 512), for truncation: (512,)."""
        return self.mapping(z).mean(0)
