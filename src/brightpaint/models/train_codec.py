"""Train a codec of stains, a variational autoencoder, on every study plate that a fold does not test.

Latents are measured on training images once it is trained, so that what stands on it sees mean 0 and s.d. 1. A codec paints
too: a field's own stains, encoded and decoded, the ceiling of all that is painted by way of its latents.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.codecs.codec import Autoencoded, check_size
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import describe, finish, fit, made_of, open_data
from brightpaint.models.networks.autoencoder import Autoencoder
from brightpaint.models.networks.image_critic import Critic
from brightpaint.models.networks.unet import parameter_count
from brightpaint.models.objectives.codec_losses import ADAM, Reconstruction
from brightpaint.models.objectives.gan_losses import CRITIC, Scale
from brightpaint.models.objectives.updates import MODEL
from brightpaint.models.steps import Training
from brightpaint.models.train import parse
from brightpaint.models.trained import cutoff_of, load_module
from brightpaint.models.validation import Validation, shown
from brightpaint.study.kinds import CODEC
from brightpaint.study.presets import codec_spec, gan_spec

MEASURED = 256  # training images of which latents are measured; fewer fields are shown several times
log = logging.getLogger(__name__)


def build_codec(settings: dict, channels: dict) -> Autoencoder:
    """Build the autoencoder that training settings describe."""
    return Autoencoder(codec_spec(settings["preset"], settings["width"], settings["latents"]), len(channels["target"]))


class CodecTraining(Training):
    """An autoencoder in training, with its critic where it has one: the autoencoder alone is kept."""

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the autoencoder's weights: the best by validation, or the last running mean."""
        prefix = self._prefix[MODEL]
        return {
            name.removeprefix(prefix): value for name, value in super().weights().items() if name.startswith(prefix)
        }


def check_windows(settings: dict, size: tuple[int, int], stride_px: int) -> None:
    """Refuse training windows that the codec, or its critic, cannot see."""
    side = settings["crop_px"]
    height, width = size if side is None else (min(side, size[0]), min(side, size[1]))
    check_size((height, width), stride_px)
    if settings["adversarial"] and (height != width or height < 8 or height & (height - 1)):
        raise ValueError(
            f"codec with a critic (adversarial {settings['adversarial']:g}): it is trained on {height} x {width} px, and a critic "
            "sees squares of a power of two from 8; set train.crop_px to one"
        )


def objectives(settings: dict, network: Autoencoder) -> tuple[Reconstruction, Reconstruction]:
    """Return what trains, and what validates: the same without the critic, whose verdict is another at every step."""
    spec, weight = network.spec, settings["adversarial"]
    sizes = {"latents": spec.latents, "stride_px": spec.stride_px, "kl_weight": settings["kl_weight"]}
    blind = Reconstruction(**sizes)
    if not weight:
        return blind, blind
    return Reconstruction(**sizes, adversarial=weight, scale=Scale(settings["windows"]), r1=settings["r1"]), blind


def built_networks(settings: dict, channels: dict, size: tuple[int, int]) -> dict[str, torch.nn.Module]:
    """Return the autoencoder, and a critic of its training windows where one is asked for."""
    torch.manual_seed(seed_of(settings["seed"], "weights"))
    networks = {MODEL: build_codec(settings, channels)}
    check_windows(settings, size, networks[MODEL].spec.stride_px)
    if settings["adversarial"]:
        side = min(settings["crop_px"] or size[0], size[0])
        networks[CRITIC] = Critic(gan_spec(settings["critic"]), len(channels["target"]), side)
    return networks


def training_means(network: Autoencoder, data: TrainingImages, settings: dict, how: Compute) -> torch.Tensor:
    """Return the posterior means of training images, (MEASURED, latents, h, w) float32 on the CPU, in batches of one shape."""
    numbers, batch, means = shown(len(data), MEASURED), settings["batch"], []
    for first in range(0, len(numbers), batch):
        chosen = numbers[first : first + batch]
        full = [*chosen, *chosen[-1:].repeat(batch - len(chosen))]
        images = np.stack([data.fixed(int(number), settings["crop_px"])[1] for number in full])
        mean, _ = how.coded(network.posterior, how.send(torch.from_numpy(images)))
        means.append(mean[: len(chosen)].cpu())
    return torch.cat(means)


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Train the codec, measure its latents, and write both."""
    settings, how = args.settings, Compute(pick_device(args.device), **args.compute)
    if settings["batch"] < compute.world():
        raise ValueError(f"train.batch {settings['batch']}: expected {compute.world()} or more, one image a process")
    if settings["adversarial"]:  # torch.compile knows no gradient of a gradient, which R1 is
        how = Compute(how.device, **{**args.compute, "compile": False})
    made_from = made_of(settings, data)
    trained_on, held = data.split(settings["validation_share"])
    networks = built_networks(settings, settings["channels"], data.size)
    objective, blind = objectives(settings, networks[MODEL])
    validation = Validation(held, blind, settings, how) if len(held) else None
    log.info("%d fields to train on, %d to validate, %d parameters of the codec", len(trained_on), len(held),
             parameter_count(networks[MODEL]))  # fmt: skip
    with compute.together(how.device):
        adam = {name: ADAM[name] for name in networks}
        training = CodecTraining(networks, objective, settings, how, adam=adam)
        fit(training, trained_on, validation, args.weights, made_from)
    if compute.first():
        network = load_module(args.weights, build_codec(settings, settings["channels"]), training.weights(), how.device)
        network.measure(training_means(network, trained_on, settings, how))
        store.write_json_lines(training.history, args.history)
        store.write_weights(args.weights, network.state_dict(), describe(settings, {}, how))
        finish(args.weights)


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(y, rows)`: (B, C_target, H, W) real stains, encoded and decoded, z-scores within the cut-off."""
    network = load_module(args.weights, build_codec(meta["settings"], meta["channels"]), tensors, how.device)
    codec, cutoff = how.place(Autoencoded(network)), cutoff_of(meta["settings"])

    def paint(y: np.ndarray, rows: list[int]) -> np.ndarray:
        check_size(y.shape[-2:], codec.stride_px)
        latents = how.coded(codec.encode, how.send(torch.from_numpy(y)))
        return how.coded(codec.decode, latents).clamp(-cutoff, cutoff).cpu().numpy()

    return paint


def main(argv=None) -> None:
    """Train a codec."""
    args = parse(main.__doc__, argv)
    args.settings |= {"kind": CODEC.name, "label": "none", "subset": "all"}
    with store.locked(args.weights) if compute.first() else contextlib.nullcontext():
        train(args, open_data(args))


if __name__ == "__main__":
    run(main)
