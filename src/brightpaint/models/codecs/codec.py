"""A codec between the pixels of stacks and what a network sees; the identity by default, so that there is one path.

Training encodes each batch once it is on the device; painting shows the network `see(x)`, walks among latents and
decodes at the end. A codec is frozen here: no gradient reaches its weights. A model's `codec` names it.
"""

from __future__ import annotations

import torch
from torch import nn


class Codec(nn.Module):
    """What every codec can do. Images and latents are float32, stains z-scores; nothing here is drawn at random.

    Attributes
    ----------
    stride_px : pixels along a side that become one latent; it divides the height and width of what is encoded
    """

    stride_px: int

    def channels(self, inputs: int, targets: int) -> tuple[int, int]:
        """Return how many planes a network sees of `inputs` brightfield planes, and paints for `targets` stains."""
        raise NotImplementedError

    def see(self, x: torch.Tensor) -> torch.Tensor:
        """Return what a network sees of brightfield: (B, C_input, H, W) -> (B, C, H / stride, W / stride)."""
        raise NotImplementedError

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """Return the latents of stains: (B, C_target, H, W) -> (B, C, H / stride, W / stride)."""
        raise NotImplementedError

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the stains of latents, as `encode` takes them."""
        raise NotImplementedError

    def split(self, images: torch.Tensor, inputs: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `see` of the first `inputs` channels of images (B, C, H, W), and `encode` of the others."""
        height, width = images.shape[-2:]
        if height % self.stride_px or width % self.stride_px:
            raise ValueError(
                f"images of {height} x {width} px: the codec needs multiples of {self.stride_px}; set train.crop_px or "
                "prepare.size_px to one"
            )
        return self.see(images[:, :inputs]), self.encode(images[:, inputs:])

    def bound(self, cutoff: float) -> float:
        """Return the largest |latent| of stains within +- `cutoff`, to which painting clips; infinite for no bound."""
        return float("inf")


class Identity(Codec):
    """The network sees the pixels themselves: nothing is copied."""

    stride_px = 1

    def channels(self, inputs: int, targets: int) -> tuple[int, int]:
        return inputs, targets

    def see(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        return y

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents

    def bound(self, cutoff: float) -> float:
        return cutoff


CODECS = {"identity": Identity}


def codec_of(settings: dict) -> Codec:
    """Return the codec that a model's settings name, frozen."""
    name = settings.get("codec", "identity")
    if name not in CODECS:
        raise ValueError(f"codec {name!r}: expected one of {', '.join(CODECS)}")
    return CODECS[name]().eval().requires_grad_(False)
