"""Make encoders of a network trained on ImageNet, a baseline of GAN-DL: channels one by one, concatenated, or collapsed to three.

The paper trains the 1 x 1 convolution that collapses channels on the labels that are told apart afterwards. Here no label is used:
it is the first three principal axes of the channels over training images, each brought to two s.d. about grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models.fit import describe
from brightpaint.models.networks.efficientnet_lite import EfficientNetLite0, published
from brightpaint.models.objectives.gan_losses import Scale
from brightpaint.models.trained import load_module
from brightpaint.models.unlabelled import check_data, fixed_images, open_images, parser
from brightpaint.study.kinds import IMAGENET
from brightpaint.study.presets import IMAGENET_FEATURES, PICTURE_PX

IMAGES, SAMPLED_PX = 512, 64  # from which the axes of channels are found, and of how many pixels along a side, at most
SD = 2.0  # on either side of grey that become black and white, along an axis
KEY = "gan.imagenet"


class ImageNet(nn.Module):
    """Features of images (B, C, S, S) from -1 to 1: of each channel as a grey picture, or of its three collapsed colours."""

    def __init__(self, channels: int, collapsed: bool):
        super().__init__()
        self.network, self.channels = EfficientNetLite0(), channels
        self.register_buffer("colours", torch.zeros(3, channels) if collapsed else None)
        self.register_buffer("grey", torch.zeros(3) if collapsed else None)

    def pictures(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B * C, 3, S, S), or (B, 3, S, S) where channels are collapsed, from -1 to 1."""
        if self.colours is None:
            return images.flatten(0, 1)[:, None].expand(-1, 3, -1, -1)
        return (torch.einsum("kc,bchw->bkhw", self.colours, images) + self.grey[:, None, None]).clamp(-1, 1)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B, C * 1280), channel after channel, or (B, 1280)."""
        shown, side = self.pictures(images), min(max(images.shape[-1], PICTURE_PX[0]), PICTURE_PX[1])
        shown = F.interpolate(shown, side, mode="bilinear", align_corners=False, antialias=True)
        return self.network((127.5 * (shown + 1) - 127) / 128).reshape(len(images), -1)


def channel_axes(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 1 x 1 convolution that collapses channels to three, (3, C) and (3,): the axes of most variance, by their share.

    Of fewer than three channels the last axis is repeated. An axis points where most channels do, so that stain stays bright.

    Parameters
    ----------
    images : (n, C, H, W) from -1 to 1
    """
    pixels = images.swapaxes(0, 1).reshape(images.shape[1], -1).astype(np.float64)
    mean = pixels.mean(1)
    sizes, vectors = np.linalg.eigh(np.cov(pixels).reshape(len(pixels), -1))
    order = np.argsort(sizes)[::-1][:3]
    order = np.concatenate([order, np.repeat(order[-1:], 3 - len(order))])
    axes, sd = vectors[:, order].T, np.sqrt(np.maximum(sizes[order], 1e-12))
    axes *= np.where(axes.sum(1) < 0, -1.0, 1.0)[:, None]
    axes /= SD * sd[:, None]
    return axes, -axes @ mean


def encoder_of(path: Path, tensors: dict, meta: dict, device: torch.device) -> tuple[ImageNet, list[str]]:
    """Return the encoder of a weights file, ready to look, and the names of its numbers (see `image_encoders`)."""
    channels = meta["channels"]["target"]
    collapsed = "colours" in tensors
    names = [f"ImageNet_{number:04d}" for number in range(IMAGENET_FEATURES)]
    if not collapsed:
        names = [f"ImageNet_{channel}_{number:04d}" for channel in channels for number in range(IMAGENET_FEATURES)]
    return load_module(path, ImageNet(len(channels), collapsed), tensors, device), names


def read_network(path: Path) -> dict[str, torch.Tensor]:
    """Read the public weights of EfficientNet-Lite0, by the names that they have here."""
    tensors = published(store.read_tensors(path, KEY))
    expected = EfficientNetLite0().state_dict()
    wrong = sorted(
        name for name, value in expected.items() if name not in tensors or tensors[name].shape != value.shape
    )
    if wrong:
        raise ValueError(
            f"{KEY}: {path} lacks {wrong[0]}, or has another shape of it; expected EfficientNet-Lite0's weights, see "
            "config/README.md"
        )
    return {f"network.{name}": tensors[name] for name in expected}


def main(argv: Sequence[str] | None = None) -> None:
    """Make both encoders of a network trained on ImageNet."""
    words = parser(main.__doc__, ("weights", "collapsed"))
    words.add_argument("--network", type=Path, required=True, help="safetensors of EfficientNet-Lite0")
    args = words.parse_args(argv)
    torch.set_num_threads(args.threads)
    settings, data = args.settings | {"kind": IMAGENET.name}, open_images(args)
    tensors = read_network(args.network)
    check_data(data, settings)
    scale, every = Scale(settings["windows"]), max(1, settings["size_px"] // SAMPLED_PX)
    images = [image[:, ::every, ::every] for image in fixed_images(data, settings["size_px"], IMAGES)]
    axes, grey = channel_axes(scale.shown(torch.from_numpy(np.stack(images))).numpy())
    added = {"colours": torch.from_numpy(axes).float(), "grey": torch.from_numpy(grey).float()}
    described = describe(settings, {})
    store.write_weights(args.weights, tensors, described)
    store.write_weights(args.collapsed, {**tensors, **added}, described)


if __name__ == "__main__":
    run(main)
