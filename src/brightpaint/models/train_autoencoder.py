"""Train a convolutional autoencoder of the critic's width on the critic's images, a baseline of GAN-DL: 512 numbers, no game.

As many images, of the same squares, in the same order as the critic sees; the loss is the mean squared error on the scale of the
networks. Kept is the running mean of its weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.fit import train_network
from brightpaint.models.networks.image_autoencoder import ImageAutoencoder
from brightpaint.models.objectives.gan_losses import Scale
from brightpaint.models.objectives.updates import OneNetwork
from brightpaint.models.trained import load_module
from brightpaint.models.unlabelled import check_data, open_images, parser
from brightpaint.study.kinds import AUTOENCODER
from brightpaint.study.presets import CRITIC_FEATURES, gan_spec

NAMES = [f"Autoencoder_{number:03d}" for number in range(CRITIC_FEATURES)]


class Reconstruction(OneNetwork):
    """Images are to come back from their code."""

    inputs = 0  # all channels are alike

    def __init__(self, scale: Scale):
        self.scale = scale

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple:
        """Draw nothing: no step is random."""
        return ()

    def loss(self, model, x, y, condition) -> torch.Tensor:
        """The mean squared error on the networks' scale."""
        shown = self.scale.shown(y)
        return F.mse_loss(model(shown).float(), shown)


def build_autoencoder(settings: dict, channels: dict) -> ImageAutoencoder:
    """Build the autoencoder that training settings describe."""
    return ImageAutoencoder(
        gan_spec(settings["preset"], settings["width"]), len(channels["target"]), settings["size_px"]
    )


def encoder_of(path: Path, tensors: dict, meta: dict, device: torch.device) -> tuple[ImageAutoencoder, list[str]]:
    """Return the autoencoder of a weights file, ready to look, and the names of its numbers (see `image_encoders`)."""
    return load_module(path, build_autoencoder(meta["settings"], meta["channels"]), tensors, device), NAMES


def main(argv: Sequence[str] | None = None) -> None:
    """Train an autoencoder on images without labels."""
    args = parser(main.__doc__, ("weights", "history")).parse_args(argv)
    torch.set_num_threads(args.threads)
    fixed = {"crop_px": args.settings["size_px"], "warmup_images": 0, "decay": "constant", "validation_share": 0}
    args.settings |= {"kind": AUTOENCODER.name, **fixed}
    args.stands = {}  # on no other model
    data, objective = open_images(args), Reconstruction(Scale(args.settings["windows"]))
    if not args.weights.with_name(args.weights.name + ".partial").exists():
        check_data(data, args.settings)
    torch.manual_seed(seed_of(args.settings["seed"], "weights"))
    with store.locked(args.weights) if compute.first() else contextlib.nullcontext():
        train_network(args, data, build_autoencoder(args.settings, args.settings["channels"]), objective, objective)


if __name__ == "__main__":
    run(main)
