"""What each kind of network is trained on: what is drawn at random about a batch, and the loss.

The two are apart so that a batch can be split: everything random is drawn for the whole batch, in one order, and a
process that computes a part of it takes its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.networks.unet import UNet
from brightpaint.models.objectives import diffusion
from brightpaint.models.schedule import Schedule
from brightpaint.study.presets import spec_of

SCHEDULE = Schedule()


def shown(labels: torch.Tensor, dropped: torch.Tensor) -> torch.Tensor:
    """Return the labels (B,) with the null label where `dropped`."""
    return torch.where(dropped, torch.zeros_like(labels), labels)


def noise(shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw noise levels gamma (B,) float64 and noise eps (B, C, H, W) for stains of this shape."""
    gamma = SCHEDULE.draw(shape[0], generator)
    return gamma, torch.randn(shape, generator=generator, device=generator.device)


@dataclass(frozen=True)
class Denoising:
    """Find the noise that was added to the stains (paper 000, Algorithm 1), with label dropout.

    Attributes
    ----------
    inputs : number of brightfield planes, the first channels of an image
    objective : `eps` or `v`
    norm : `l2` or `l1`
    dropout : share of the images that are shown with the null label
    """

    inputs: int
    objective: str
    norm: str
    dropout: float

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw gamma, eps and whose label is dropped, for stains of shape (B, C, H, W)."""
        gamma, eps = noise(shape, generator)
        return gamma, eps, torch.rand(shape[0], generator=generator, device=generator.device) < self.dropout

    def loss(self, model, images, labels, gamma, eps, dropped) -> torch.Tensor:
        x, y = images[:, : self.inputs], images[:, self.inputs :]
        return diffusion.loss(model, x, y, shown(labels, dropped), gamma, eps, self.objective, self.norm)


@dataclass(frozen=True)
class Regression:
    """Paint the stains at once, with the least mean absolute error; attributes as in `Denoising`."""

    inputs: int
    dropout: float

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor]:
        """Draw whose label is dropped."""
        return (torch.rand(shape[0], generator=generator, device=generator.device) < self.dropout,)

    def loss(self, model, images, labels, dropped) -> torch.Tensor:
        x, y = images[:, : self.inputs], images[:, self.inputs :]
        return (model(x, shown(labels, dropped)) - y).abs().mean()


@dataclass(frozen=True)
class Classification:
    """Tell the label from stains that were noised as in `Denoising`: cross-entropy."""

    inputs: int

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw gamma and eps."""
        return noise(shape, generator)

    def loss(self, model, images, labels, gamma, eps) -> torch.Tensor:
        x, y = images[:, : self.inputs], images[:, self.inputs :]
        return F.nll_loss(model(x, diffusion.add_noise(y, gamma, eps), gamma), labels - 1)


class Regressor(nn.Module):
    """The denoiser's U-Net without noise: its noisy stains are all 0 and its noise level is always the same."""

    def __init__(self, network: UNet):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return (B, C_target, H, W) stains for brightfield (B, C_input, H, W) and labels (B,)."""
        empty = x.new_zeros(len(x), self.network.targets, *x.shape[-2:])
        level = torch.full((len(x),), 0.5, dtype=torch.float64, device=x.device)
        return self.network(x, empty, level, labels)


def build_unet(settings: dict, channels: dict, labels: int) -> UNet:
    """Build the U-Net that training settings describe, for these channels and this many classes."""
    spec = spec_of(settings["preset"], settings["width"])
    return UNet(spec, len(channels["input"]), len(channels["target"]), labels)


def build_denoiser(settings: dict, channels: dict, labels: int) -> diffusion.Denoiser:
    """Build the denoiser that training settings describe."""
    output = "preconditioned" if settings["preset"] == "fast" or settings["objective"] == "v" else "eps"
    return diffusion.Denoiser(build_unet(settings, channels, labels), output)


def build_regressor(settings: dict, channels: dict, labels: int) -> Regressor:
    """Build the regressor that training settings describe."""
    return Regressor(build_unet(settings, channels, labels))
