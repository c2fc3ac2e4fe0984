"""What each kind of network is trained on: what is drawn at random about a batch, and the loss.

The two are apart so that a batch can be split: everything random is drawn for the whole batch, in one order, and a
process that computes a part of it takes its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.codecs.codec import codec_of
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.as_coded import initialise, spec_as_coded
from brightpaint.models.networks.control_net import ControlNet
from brightpaint.models.networks.unet import UNet
from brightpaint.models.objectives import denoiser
from brightpaint.models.objectives.updates import OneNetwork
from brightpaint.models.schedule import Schedule
from brightpaint.study.conditions import Part
from brightpaint.study.presets import spec_of

SCHEDULE = Schedule()


def noise(shape: tuple, generator: torch.Generator, schedule: Schedule = SCHEDULE) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw noise levels gamma (B,) float64 and noise eps (B, C, H, W) for stains of this shape."""
    gamma = schedule.draw(shape[0], generator)
    return gamma, torch.randn(shape, generator=generator, device=generator.device)


def dropped(count: int, generator: torch.Generator, label: float, others: Sequence[float]) -> torch.Tensor:
    """Draw what images are not told: (count,) bool of those that lose their label, with this share; with shares of `others`
    (count, 1 + P) of the label and each other condition by itself."""
    of_label = torch.rand(count, generator=generator, device=generator.device) < label
    if not others:
        return of_label
    drawn = torch.rand((count, len(others)), generator=generator, device=generator.device)
    return torch.cat([of_label[:, None], drawn < drawn.new_tensor(others)], dim=1)


@dataclass(frozen=True)
class Denoising(OneNetwork):
    """Find the noise that was added to the stains (paper 000, Algorithm 1), with condition dropout.

    Attributes
    ----------
    inputs : number of brightfield planes, the first channels of an image of the stack
    objective : `eps` or `v`
    norm : `l2` or `l1`
    dropout : share of the images that are not told their label
    schedule : of the noise levels
    others : the same share of each other condition, in order
    own : whether a network is told of the stains themselves, as they were before the noise, in the place of brightfield
    """

    inputs: int
    objective: str
    norm: str
    dropout: float
    schedule: Schedule = SCHEDULE
    others: tuple[float, ...] = ()
    own: bool = False

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw gamma, eps and what is not told, for stains of shape (B, C, H, W)."""
        gamma, eps = noise(shape, generator, self.schedule)
        return gamma, eps, dropped(shape[0], generator, self.dropout, self.others)

    def loss(self, model, x, y, condition: Condition, gamma, eps, dropped) -> torch.Tensor:
        seen = y if self.own else x
        return denoiser.loss(model, seen, y, condition.without(dropped), gamma, eps, self.objective, self.norm)


@dataclass(frozen=True)
class Regression(OneNetwork):
    """Paint the stains at once, with the least mean absolute error; attributes as in `Denoising`."""

    inputs: int
    dropout: float
    others: tuple[float, ...] = ()

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor]:
        """Draw what is not told."""
        return (dropped(shape[0], generator, self.dropout, self.others),)

    def loss(self, model, x, y, condition: Condition, dropped) -> torch.Tensor:
        return (model(x, condition.without(dropped)) - y).abs().mean()


@dataclass(frozen=True)
class Classification(OneNetwork):
    """Tell the label from stains that were noised as in `Denoising`: cross-entropy."""

    inputs: int

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw gamma and eps."""
        return noise(shape, generator)

    def loss(self, model, x, y, condition: Condition, gamma, eps) -> torch.Tensor:
        return F.nll_loss(model(x, denoiser.add_noise(y, gamma, eps), gamma), condition.labels - 1)


class Regressor(nn.Module):
    """The denoiser's U-Net without noise: its noisy stains are all 0 and its noise level is always the same."""

    def __init__(self, network: UNet):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Return (B, C_target, H, W) stains for brightfield (B, C_input, H, W) and its condition."""
        empty = x.new_zeros(len(x), self.network.targets, *x.shape[-2:])
        level = torch.full((len(x),), 0.5, dtype=torch.float64, device=x.device)
        return self.network(x, empty, level, condition)


def build_unet(settings: dict, channels: dict, labels: int, parts: Mapping[str, Part] | None = None) -> UNet:
    """Build the U-Net that training settings describe, for these channels of the stack, this many classes, and other conditions."""
    spec = spec_of(settings["preset"], settings["width"])
    inputs, targets = codec_of(settings).channels(len(channels["input"]), len(channels["target"]))
    if not settings.get("as_coded"):
        return UNet(spec, inputs, targets, labels, parts)
    return initialise(UNet(spec_as_coded(spec), inputs, targets, labels, parts))


def build_denoiser(
    settings: dict, channels: dict, labels: int, parts: Mapping[str, Part] | None = None
) -> denoiser.Denoiser:
    """Build the denoiser that training settings describe; one with a `base` is told by a ControlNet of brightfield, or of its own
    stains, blurred by `blur_px`."""
    output = "preconditioned" if settings["preset"] == "fast" or settings["objective"] == "v" else "eps"
    if "base" not in settings:
        return denoiser.Denoiser(build_unet(settings, channels, labels, parts), output)
    codec = codec_of(settings)
    inputs, painted = codec.channels(len(channels["input"]), len(channels["target"]))
    base = build_unet(settings, {**channels, "input": []}, labels, parts)
    if blur_px := settings.get("blur_px"):
        return denoiser.Denoiser(ControlNet(base, painted, blur_px / codec.stride_px), output)
    return denoiser.Denoiser(ControlNet(base, inputs), output)


def build_regressor(settings: dict, channels: dict, labels: int, parts: Mapping[str, Part] | None = None) -> Regressor:
    """Build the regressor that training settings describe."""
    return Regressor(build_unet(settings, channels, labels, parts))
