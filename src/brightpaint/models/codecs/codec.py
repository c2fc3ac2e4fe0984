"""A codec between the pixels of stacks and what a network sees; the identity by default, so that there is one path.

Training encodes each batch once it is on the device; painting shows the network `see(x)`, walks among latents and
decodes at the end. A codec is frozen here: no gradient reaches its weights. A model's `codec` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.networks.autoencoder import Autoencoder
from brightpaint.study.presets import codec_spec

KEPT = "codec."  # how the names of a codec's tensors begin in the weights of what stands on it


class Codec(nn.Module):
    """What every codec can do. Images and latents are float32, stains z-scores; nothing here is drawn at random.

    Attributes
    ----------
    stride_px : pixels along a side that become one latent; it divides the height and width of what is encoded
    """

    stride_px: int

    @classmethod
    def built(cls, described: Mapping) -> Codec:
        """Return the codec that weights describe, before its own weights are in it."""
        return cls()

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
        check_size(images.shape[-2:], self.stride_px)
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


class Autoencoded(Codec):
    """Latents of a variational autoencoder of the stains: the posterior's mean, brought to mean 0 and s.d. 1.

    Brightfield is no stain and the autoencoder does not know it: its pixels are folded into channels, which loses none of them,
    and the network's first convolution, over 3 x 3 of such blocks, is then a stem of that stride that it learns by itself.

    Parameters
    ----------
    network : frozen
    """

    def __init__(self, network: Autoencoder):
        super().__init__()
        self.network, self.stride_px = network, network.spec.stride_px

    @classmethod
    def built(cls, described: Mapping) -> Autoencoded:
        spec = codec_spec(*(described[key] for key in ("preset", "width", "latents")))
        return cls(Autoencoder(spec, described["stains"]))

    def load_state_dict(self, state_dict: Mapping, *args, **kwargs):
        loaded = super().load_state_dict(state_dict, *args, **kwargs)
        self._bound = float(self.network.largest)  # now, since the host would wait for a GPU later
        return loaded

    def channels(self, inputs: int, targets: int) -> tuple[int, int]:
        return inputs * self.stride_px**2, self.network.spec.latents

    def see(self, x: torch.Tensor) -> torch.Tensor:
        check_size(x.shape[-2:], self.stride_px)
        if not x.shape[1]:  # torch leaves the size of no channels as it is
            return x.new_zeros(len(x), 0, *(side // self.stride_px for side in x.shape[-2:]))
        return F.pixel_unshuffle(x, self.stride_px)

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        mean, _ = self.network.posterior(y)
        return (mean - self.network.centre[:, None, None]) / self.network.spread

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.network.decode(latents * self.network.spread + self.network.centre[:, None, None])

    def bound(self, cutoff: float) -> float:
        """Return the largest |latent| of training images."""
        return self._bound


CODECS: dict[str, type[Codec]] = {"identity": Identity, "kl": Autoencoded}


def check_size(size: tuple[int, int], stride_px: int) -> None:
    """Raise ValueError unless height and width are multiples of a codec's stride."""
    height, width = size
    if height % stride_px or width % stride_px:
        raise ValueError(
            f"images of {height} x {width} px: the codec needs multiples of {stride_px}; set train.crop_px or "
            "prepare.size_px to one"
        )


def codec_of(settings: Mapping, tensors: Mapping[str, torch.Tensor] | None = None) -> Codec:
    """Return the codec that a model's settings name or describe, frozen.

    Parameters
    ----------
    settings : `codec` is the name of one without weights, or what `standing` wrote of one that was trained
    tensors : of a model's weights, among them the codec's own (`codec.`); None for a codec that is asked for its sizes alone
    """
    described = settings.get("codec", "identity")
    described = {"codec": described} if isinstance(described, str) else described
    if described["codec"] not in CODECS:
        raise ValueError(f"codec {described['codec']!r}: expected one of {', '.join(CODECS)}")
    with nullcontext() if tensors is not None else torch.device("meta"):  # its sizes need no weights, and draw nothing
        codec = CODECS[described["codec"]].built(described)
    if tensors is not None:
        try:
            codec.load_state_dict(kept(tensors))
        except RuntimeError as error:
            raise ValueError(
                f"codec: its tensors do not fit what its settings say ({error}); train it again, and what stands on it"
            ) from error
    return codec.eval().requires_grad_(False)


def kept(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the codec's tensors of a model's weights, as the codec names them."""
    return {name.removeprefix(KEPT): value for name, value in tensors.items() if name.startswith(KEPT)}
