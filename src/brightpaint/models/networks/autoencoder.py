"""A variational autoencoder of stains (Kingma & Welling 2014) in the form of Rombach et al. 2022: convolutions alone, any size.

Run as a program, it prints a preset's parameters, the size of its latents and its floating-point operations.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.base.cli import run
from brightpaint.models.compute import unreduced
from brightpaint.models.networks.unet import parameter_count, resampled
from brightpaint.models.operations import codec_flop
from brightpaint.study.presets import CODEC_PRESETS, CodecSpec, codec_spec

MOST_GROUPS, GROUP_CHANNELS = 32, 4
LOG_VARIANCE = (-30.0, 20.0)  # bounds of what the encoder may say, as in Rombach et al.'s code


def norm(channels: int) -> nn.GroupNorm:
    """Return GroupNorm of as many groups as divide `channels`, at most 32, of 4 channels or more."""
    most = max(1, min(MOST_GROUPS, channels // GROUP_CHANNELS))
    return nn.GroupNorm(max(groups for groups in range(1, most + 1) if channels % groups == 0), channels)


class CodecBlock(nn.Module):
    """Twice norm, SiLU and a convolution, beside what came in: (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first, self.second = (
            nn.Sequential(norm(before), nn.SiLU(), nn.Conv2d(before, outputs, 3, padding=1))
            for before in (inputs, outputs)
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.skip(h) + self.second(self.first(h))


class Halved(nn.Module):
    """A convolution to half the height and width."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.conv(h)


class Doubled(nn.Module):
    """Repetition to twice the height and width, and a convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.conv(resampled(h, +1))


class Mixed(nn.Module):
    """Self-attention over all positions, with one head."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm, self.qkv = norm(channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        parts = self.qkv(self.norm(h)).flatten(2).transpose(1, 2).chunk(3, dim=2)  # (B, C, H, W) -> 3 of (B, H W, C)
        q, k, v = (part[:, None].contiguous() for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return h + self.out(mixed.transpose(1, 2).reshape(h.shape))


def deepest(channels: int, attention: bool) -> list[nn.Module]:
    """Return the stages between encoder and latents, and between latents and decoder."""
    return [
        CodecBlock(channels, channels),
        *([Mixed(channels)] if attention else []),
        CodecBlock(channels, channels),
    ]


class Autoencoder(nn.Module):
    """Stains to the mean and log variance of a Gaussian of latents, and latents to stains.

    Parameters
    ----------
    spec : shape of the network
    channels : stains of an image

    Attributes
    ----------
    centre, spread, largest : what `measure` found of latents of training images: the mean of each channel (C,), one s.d. of all
        about these, and the largest |latent| in units of it; 0, 1 and infinity before
    """

    def __init__(self, spec: CodecSpec, channels: int):
        super().__init__()
        widths = [spec.width * multiplier for multiplier in spec.multipliers]
        self.spec, self.channels = spec, channels
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, padding=1),
            *_levels(widths, spec.blocks, Halved),
            *deepest(widths[-1], spec.attention),
            norm(widths[-1]),
            nn.SiLU(),
            nn.Conv2d(widths[-1], 2 * spec.latents, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(spec.latents, widths[-1], 3, padding=1),
            *deepest(widths[-1], spec.attention),
            *_levels(widths[::-1], spec.blocks + 1, Doubled),
            norm(widths[0]),
            nn.SiLU(),
            nn.Conv2d(widths[0], channels, 3, padding=1),
        )
        self.register_buffer("centre", torch.zeros(spec.latents))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("largest", torch.full((), torch.finfo(torch.float32).max))

    def posterior(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance of the latents: (B, C, H, W) z-scores -> two (B, latents, H / stride, W / stride)."""
        found = self.encoder(y)
        with unreduced(found):
            mean, log_variance = found.float().chunk(2, dim=1)
            return mean, log_variance.clamp(*LOG_VARIANCE)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return stains of latents as `posterior` has them, not measured ones."""
        return self.decoder(latents).float()

    def forward(self, y: torch.Tensor, eps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the stains of latents drawn by standard normal `eps`, and mean and log variance (Kingma & Welling, eq. 10)."""
        mean, log_variance = self.posterior(y)
        return self.decode(mean + (0.5 * log_variance).exp() * eps), mean, log_variance

    @torch.no_grad()
    def measure(self, means: torch.Tensor) -> None:
        """Keep of posterior means (N, latents, h, w) what brings latents to mean 0 and s.d. 1.

        One s.d. serves all channels: a channel that the KL term has emptied would else be made as loud as the others.
        """
        values = means.double()
        centre = values.mean((0, 2, 3))
        away = values - centre[:, None, None]
        spread = away.square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny)
        self.centre.copy_(centre)
        self.spread.copy_(spread)
        self.largest.copy_((away / spread).abs().max())


def _levels(widths: list[int], blocks: int, resample: type[nn.Module]) -> list[nn.Module]:
    """Return the stages of levels of these widths, in order, with what lies between them."""
    stages, inputs = [], widths[0]
    for place, width in enumerate(widths):
        for _ in range(blocks):
            stages.append(CodecBlock(inputs, width))
            inputs = width
        if place < len(widths) - 1:
            stages.append(resample(width))
    return stages


def main(argv=None) -> None:
    """Print the size of a preset."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--preset", choices=sorted(CODEC_PRESETS), default="latent_64")
    parser.add_argument("--width", type=int, default=None)
    parser.add_argument("--latents", type=int, default=None)
    parser.add_argument("--channels", type=int, default=5)
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels")
    args = parser.parse_args(argv)
    spec = codec_spec(args.preset, args.width, args.latents)
    with torch.device("meta"):
        network = Autoencoder(spec, args.channels)
    side = args.size // spec.stride_px
    print(f"{args.preset}: {parameter_count(network) / 1e6:.1f} M parameters ({parameter_count(network)})")
    print(f"latents of {args.channels} x {args.size} x {args.size}: {spec.latents} x {side} x {side}")
    encode, decode = codec_flop(spec, args.channels, args.size)
    print(f"at {args.size} px: {encode / 1e12:.2f} TFLOP to encode, {decode / 1e12:.2f} to decode")


if __name__ == "__main__":
    run(main)
