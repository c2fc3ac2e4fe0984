"""The U-Net that denoises: brightfield and noisy stains in, stains out, told the noise level and a condition.

Preset `paper` is the published network (Dhariwal & Nichol 2021 as adapted by Palette, Saharia et al. 2022, and
by the paper's authors). Preset `fast` is brightpaint's own: most of its work is done at half resolution
(2 x 2 pixels are folded into channels and back), it has one residual block a level, and it is told log-SNR.

Preset `phendiff` has the size of the network of paper 001, which paints without brightfield.

Run as a program, it prints a preset's parameters and the floating-point operations of one forward pass.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.base.cli import run
from brightpaint.models.compute import unreduced
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.encoder import ConditionEncoder
from brightpaint.models.networks.sinusoid import frequencies, sinusoid
from brightpaint.models.operations import unet_flop
from brightpaint.models.schedule import bounded_log_snr
from brightpaint.study.conditions import Part
from brightpaint.study.presets import PRESETS, Spec, spec_of


def group_norm(channels: int, spec: Spec) -> nn.GroupNorm:
    """Return GroupNorm with as many groups as divide `channels`, at most 32, of `group_channels` or more."""
    most = max(1, min(32, channels // spec.group_channels))
    return nn.GroupNorm(max(groups for groups in range(1, most + 1) if channels % groups == 0), channels)


def zeroed(layer: nn.Module) -> nn.Module:
    """Return `layer` with its parameters set to 0, so that its block starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class NoiseEncoder(nn.Module):
    """Embed the noise level."""

    def __init__(self, spec: Spec):
        super().__init__()
        self.told = {"gamma": torch.Tensor.double, "log_snr": bounded_log_snr}[spec.noise_input]
        longest = {"gamma": 10000.0, "log_snr": 30.0}[spec.noise_input]
        self.register_buffer("frequencies", frequencies(spec.width, longest), persistent=False)  # not among the weights
        self.layers = nn.Sequential(
            nn.Linear(spec.width, spec.embedding), nn.SiLU(), nn.Linear(spec.embedding, spec.embedding)
        )

    def forward(self, gamma: torch.Tensor) -> torch.Tensor:
        with unreduced(gamma):
            return self.layers(sinusoid(self.told(gamma), self.frequencies))  # (B,) -> (B, E)


class Block(nn.Module):
    """A residual block: norm, SiLU, convolution; AdaGN, SiLU, dropout, convolution.

    `resample` is +1 to double height and width inside the block, -1 to halve them.
    """

    def __init__(self, spec: Spec, inputs: int, outputs: int, resample: int = 0):
        super().__init__()
        self.resample = resample
        self.norm_in = group_norm(inputs, spec)
        self.conv_in = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.condition = nn.Linear(spec.embedding, 2 * outputs)
        self.norm_out = group_norm(outputs, spec)
        self.dropout = nn.Dropout(spec.dropout)
        self.conv_out = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        inner = resampled(F.silu(self.norm_in(h)), self.resample)
        inner = self.conv_in(inner)
        with unreduced(embedding):
            scale, shift = self.condition(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        inner = self.norm_out(inner) * (1 + scale) + shift  # AdaGN; paper 000, eq. 4
        inner = self.conv_out(self.dropout(F.silu(inner)))
        return self.skip(resampled(h, self.resample)) + inner


def resampled(h: torch.Tensor, direction: int) -> torch.Tensor:
    """Double (+1), keep (0) or halve (-1) height and width, by repetition and by mean pooling."""
    if direction > 0:
        return F.interpolate(h, scale_factor=2, mode="nearest")
    return F.avg_pool2d(h, 2) if direction < 0 else h


class Resample(nn.Module):
    """`resampled` as a stage of the network."""

    def __init__(self, direction: int):
        super().__init__()
        self.direction = direction

    def forward(self, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        return resampled(h, self.direction)


class Attention(nn.Module):
    """Self-attention over all positions."""

    def __init__(self, spec: Spec, channels: int):
        super().__init__()
        self.heads = max(1, channels // spec.head_channels)
        self.norm = group_norm(channels, spec)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = h.shape
        qkv = self.qkv(self.norm(h)).reshape(batch, 3, self.heads, channels // self.heads, height * width)
        # (B, heads, H * W, channels of a head); torch's fused kernels refuse tokens that are not dense in memory
        q, k, v = (part.transpose(2, 3).contiguous() for part in qkv.unbind(1))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return h + self.out(mixed.transpose(2, 3).reshape(h.shape))


class Encoder(nn.Module):
    """The downward half with the middle: what U-Net and classifier share.

    Attributes
    ----------
    skips : channels of each activation handed to the upward half, in the order in which they arise
    channels : channels of the output
    """

    def __init__(self, spec: Spec, inputs: int, labels: int, parts: Mapping[str, Part] | None = None):
        super().__init__()
        self.spec = spec
        self.noise = NoiseEncoder(spec)
        self.condition = ConditionEncoder(labels, spec.embedding, spec.label_sd, parts)
        every, deepest = spec.residual_resampling, len(spec.multipliers) - 1
        channels = spec.width * spec.multipliers[0]
        self.first = nn.Conv2d(inputs * spec.patch_px**2, channels, 3, padding=1)
        self.stages, self.kept, self.skips = nn.ModuleList(), [], [channels] if every else []
        for level, multiplier in enumerate(spec.multipliers):
            for number in range(spec.blocks):
                wide, last = spec.width * multiplier, number == spec.blocks - 1
                attended = spec.attention and level == deepest
                self._add(
                    Block(spec, channels, wide), wide, keep=(every or (last and level < deepest)) and not attended
                )
                channels = wide
                if attended:
                    self._add(Attention(spec, channels), channels, keep=every)
            if level < deepest:
                self._add(Block(spec, channels, channels, -1) if every else Resample(-1), channels, keep=every)
        self.middle = nn.ModuleList(
            [Block(spec, channels, channels), Attention(spec, channels), Block(spec, channels, channels)]
        )
        self.channels = channels

    def _add(self, stage: nn.Module, channels: int, *, keep: bool) -> None:
        self.stages.append(stage)
        self.kept.append(keep)
        if keep:
            self.skips.append(channels)

    def forward(
        self, images: torch.Tensor, gamma: torch.Tensor, condition: Condition, hint: torch.Tensor | None = None
    ):
        """Return the deepest activation, the skipped ones and the embedding; `images` is (B, C, H, W).

        `hint` is added to the first activation.
        """
        embedding = self.condition(self.noise(gamma), condition)
        h = self.first(F.pixel_unshuffle(padded(images, self.spec.stride_px), self.spec.patch_px))
        h = h if hint is None else h + hint
        skipped = [h] if self.spec.residual_resampling else []
        for stage, keep in zip(self.stages, self.kept):
            h = stage(h, embedding)
            if keep:
                skipped.append(h)
        for stage in self.middle:
            h = stage(h, embedding)
        return h, skipped, embedding


def padded(images: torch.Tensor, stride: int) -> torch.Tensor:
    """Repeat the last row and column until height and width are multiples of `stride`."""
    height, width = images.shape[-2:]
    if height % stride == 0 and width % stride == 0:
        return images
    return F.pad(images, (0, -width % stride, 0, -height % stride), mode="replicate")


class UNet(nn.Module):
    """The whole network. What its output means (eps or v) is the business of `diffusion.Denoiser`.

    Parameters
    ----------
    inputs, targets : numbers of brightfield planes and of stains
    labels, parts : classes and other conditions that it may be told, see `ConditionEncoder`
    """

    def __init__(self, spec: Spec, inputs: int, targets: int, labels: int, parts: Mapping[str, Part] | None = None):
        super().__init__()
        self.spec, self.targets, self.labels = spec, targets, labels
        self.encoder = Encoder(spec, inputs + targets, labels, parts)
        self.stages, self.joined = nn.ModuleList(), []
        channels, skips, every = self.encoder.channels, list(self.encoder.skips), spec.residual_resampling
        for level in reversed(range(len(spec.multipliers))):
            wide, top = spec.width * spec.multipliers[level], level == len(spec.multipliers) - 1
            for number in range(spec.blocks + 1 if every else (0 if top else spec.blocks)):
                join = every or number == 0
                self._add(Block(spec, channels + (skips.pop() if join else 0), wide), join=join)
                channels = wide
                if spec.attention and top:
                    self._add(Attention(spec, channels), join=False)
            if level:
                self._add(Block(spec, channels, channels, 1) if every else Resample(1), join=False)
        self.norm = group_norm(channels, spec)
        self.last = zeroed(nn.Conv2d(channels, targets * spec.patch_px**2, 3, padding=1))

    def _add(self, stage: nn.Module, *, join: bool) -> None:
        self.stages.append(stage)
        self.joined.append(join)

    def forward(self, x: torch.Tensor, y: torch.Tensor, gamma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Return the raw output.

        Parameters
        ----------
        x : (B, C_input, H, W) float32 clean brightfield, z-scores
        y : (B, C_target, H, W) float32 noisy stains
        gamma : (B,) float64, share of the stains' variance left in `y`
        condition : of B images

        Returns
        -------
        (B, C_target, H, W) float32
        """
        return self.upward(*self.encoder(torch.cat([x, y], dim=1), gamma, condition), y.shape)

    def upward(self, h: torch.Tensor, skipped: list[torch.Tensor], embedding: torch.Tensor, shape) -> torch.Tensor:
        """Return the output, of stains of this shape, from what the encoder gave."""
        skipped = list(skipped)
        for stage, join in zip(self.stages, self.joined):
            h = stage(torch.cat([h, skipped.pop()], dim=1) if join else h, embedding)
        with unreduced(h):
            out = F.pixel_shuffle(self.last(F.silu(self.norm(h.float()))), self.spec.patch_px)
        return out[..., : shape[-2], : shape[-1]]


def parameter_count(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def main(argv=None) -> None:
    """Print the size of a preset."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    parser.add_argument("--width", type=int, default=None)
    parser.add_argument("--inputs", type=int, default=3)
    parser.add_argument("--targets", type=int, default=5)
    parser.add_argument("--labels", type=int, default=290, help="label classes; the paper has 290 perturbations")
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels")
    args = parser.parse_args(argv)
    spec = spec_of(args.preset, args.width)
    with torch.device("meta"):
        parameters = parameter_count(UNet(spec, args.inputs, args.targets, args.labels))
    flop = unet_flop(spec, args.inputs, args.targets, args.size)
    print(f"{args.preset}: {parameters / 1e6:.1f} M parameters ({parameters})")
    print(f"forward pass at {args.size} px: {flop / 1e12:.2f} TFLOP ({flop / 2e9:.0f} GMAC)")


if __name__ == "__main__":
    run(main)
