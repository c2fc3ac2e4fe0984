"""Fit the encoder that learns next to nothing: pixels pooled to a coarse grid, along their principal components.

What such numbers tell apart is intensity and its broad layout; a network that tells no more has learnt no more that matters.
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
from brightpaint.models.objectives.gan_losses import Scale
from brightpaint.models.trained import load_module
from brightpaint.models.unlabelled import check_data, fixed_images, open_images, parser
from brightpaint.study.kinds import POOLED
from brightpaint.study.presets import CRITIC_FEATURES

SIDE = 16  # of the grid that pixels are pooled to; smaller images are not
IMAGES = 2048  # on which components are fitted, at most
FLAT = 1e-9  # of the largest component's variance, below which there is none


class PooledPixels(nn.Module):
    """Coordinates of pooled images along components.

    Parameters
    ----------
    pixels, components : numbers of a pooled image, and along which of their directions it is described
    """

    def __init__(self, pixels: int, components: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("axes", torch.zeros(components, pixels))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return (B, components) of images (B, C, S, S)."""
        return (pooled(images) - self.mean) @ self.axes.T


def pooled(images: torch.Tensor) -> torch.Tensor:
    """Return the means of a grid's cells, (B, C, S, S) -> (B, C * side * side)."""
    return F.adaptive_avg_pool2d(images, min(SIDE, images.shape[-1])).flatten(1)


def components(values: np.ndarray, most: int = CRITIC_FEATURES) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (p,) and principal axes (k, p) of rows (n, p): as many as vary, `most` at most, the largest first.

    An axis has its largest entry above 0, so that its sign does not depend on the library.
    """
    mean = values.mean(0)
    _, sizes, axes = np.linalg.svd((values - mean).astype(np.float64), full_matrices=False)
    axes = axes[sizes**2 > FLAT * max(float(sizes[0]) ** 2, 1e-300)][:most]
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(1)]
    return mean, axes * np.sign(largest)[:, None]


def encoder_of(path: Path, tensors: dict, meta: dict, device: torch.device) -> tuple[PooledPixels, list[str]]:
    """Return the encoder of a weights file, ready to look, and the names of its numbers (see `image_encoders`)."""
    shape = tuple(tensors["axes"].shape) if "axes" in tensors else ()
    if len(shape) != 2:
        raise ValueError(f"{path}: its axes have the shape {shape}, expected (components, pixels); fit it again")
    return load_module(path, PooledPixels(shape[1], shape[0]), tensors, device), [
        f"Pixels_{n:03d}" for n in range(shape[0])
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Fit the principal components of pooled pixels."""
    args = parser(main.__doc__, ("weights",)).parse_args(argv)
    torch.set_num_threads(args.threads)
    settings, data = args.settings | {"kind": POOLED.name}, open_images(args)
    check_data(data, settings)
    scale, images = Scale(settings["windows"]), fixed_images(data, settings["size_px"], IMAGES)
    rows = [pooled(scale.shown(torch.from_numpy(image[None])))[0].double().numpy() for image in images]
    mean, axes = components(np.stack(rows))
    tensors = {"mean": torch.from_numpy(mean).float(), "axes": torch.from_numpy(axes).float()}
    store.write_weights(args.weights, tensors, describe(settings, {}))


if __name__ == "__main__":
    run(main)
