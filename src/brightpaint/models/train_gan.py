"""Train a StyleGAN2 without labels on fields or on crops of single cells: a generator, and the critic whose numbers make a space.

Kept are the generator's running mean, which is sampled, and the critic as it stands at the end, with the mean spread of training
images; beside them an untrained critic, the space's baseline, and samples beside real images.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
from pathlib import Path

import numpy as np
import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.seeds import seed_of
from brightpaint.models import compute, gan_watch
from brightpaint.models.compute import Compute
from brightpaint.models.crop_training import TrainingCrops
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import describe, finish, fit, made_of
from brightpaint.models.networks.unet import parameter_count
from brightpaint.models.objectives.gan_losses import ADAM, CRITIC, GENERATOR, Adversarial, Scale
from brightpaint.models.see_critic import build_critic, build_generator
from brightpaint.models.steps import Training
from brightpaint.study.kinds import GAN

LEAST_IMAGES = 8  # of which a distribution can be said to be learnt at all
CONSTANT = 1e-3  # z-scores between the least and the largest of a channel that never changes
log = logging.getLogger(__name__)


class GanTraining(Training):
    """A generator and its critic in training: in place of validation they are looked at, and a game that is over is stopped."""

    def validate(self, watch: gan_watch.Watch) -> None:
        """Look at the samples of the running mean, by the critic as it is; every process goes on alike, the first one looks."""
        if compute.first():
            networks = self.networks[GENERATOR].eval(), self.networks[CRITIC].eval()
            found = watch.look(self._of_mean(GENERATOR), *networks, self.seen)
            self.history.append({"images": self.seen, **found})
            if said := gan_watch.problem(self.history):
                raise ValueError(said)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights to keep: the generator's running mean, and the critic as it is."""
        kept = {name: value for name, value in self.mean.items() if name.startswith(f"{GENERATOR}.")}
        return kept | {f"{CRITIC}.{name}": value for name, value in self.networks[CRITIC].state_dict().items()}


def open_images(args: argparse.Namespace) -> TrainingImages | TrainingCrops:
    """Open the training images that a command line names: fields, or crops of single cells."""
    chosen = {"channels": args.settings["channels"], "label": "none"}
    if args.settings["examples"] == "crops":
        return TrainingCrops(args.stacks, **chosen)
    return TrainingImages(args.stacks, args.fields, **chosen)


def check_image(image: np.ndarray, where: str, settings: dict) -> None:
    """Refuse an image that the networks cannot be shown: (C, H, W), of another size or not finite; `where` names it."""
    size_px, (height, width) = settings["size_px"], image.shape[1:]
    exactly, fits = "at least", min(height, width) >= size_px
    if settings["examples"] == "crops":
        exactly, fits = "exactly", (height, width) == (size_px, size_px)
    if not fits:
        raise ValueError(
            f"{where}: {settings['examples']} of {height} x {width} px, expected {size_px} x {size_px} {exactly}; set gan.size_px "
            "to what they are, a power of two"
        )
    bad = ~np.isfinite(image).all((1, 2))
    if bad.any():
        name = settings["channels"]["target"][bad.argmax()]
        raise ValueError(f"{where}, channel {name}: not finite; delete its stack and rerun what makes it")


def check_data(data: TrainingImages | TrainingCrops, settings: dict) -> None:
    """Refuse images that nothing can be learnt from: too few, too small, not finite, or with a channel that never changes."""
    names, least = settings["channels"]["target"], max(settings["batch"], LEAST_IMAGES)
    if len(data) < least:
        raise ValueError(
            f"{data.stacks[0].path}: {len(data)} {settings['examples']} to train on, expected {least} at least, as many as a batch "
            f"has (gan.batch), and {LEAST_IMAGES}: a critic learns so few by heart; train on more plates"
        )
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for number in range(len(data)):
        image = data.fixed(number, None)[1].astype(np.float32)
        check_image(image, store.describe_field(data.fields.iloc[number]), settings)
        low, high = np.minimum(low, image.min((1, 2))), np.maximum(high, image.max((1, 2)))
    for name, lowest, highest in zip(names, low, high):
        if highest - lowest < CONSTANT:
            raise ValueError(
                f"channel {name} is constant ({lowest:g}) in all {len(data)} {settings['examples']}: a critic would tell painted "
                "ones by it at once; leave it out of gan.channels, or look at its images"
            )


def initial(settings: dict, how: Compute) -> tuple:
    """Return a generator and a critic as they begin, the critic with the spread of the untrained generator's own images."""
    torch.manual_seed(seed_of(settings["seed"], "weights"))
    generator, critic = (build(settings, settings["channels"]) for build in (build_generator, build_critic))
    generator, critic = how.place(generator).eval(), how.place(critic).eval()
    painted = gan_watch.samples(generator, generator, 4 * gan_watch.BATCH, settings["seed"], how)
    critic.spread.fill_(gan_watch.mean_spread(critic, painted, how))
    return generator, critic


def train(args: argparse.Namespace) -> None:
    """Train, and write weights, history, the untrained critic and a picture."""
    # Never compiled: torch.compile knows no gradient of a gradient, which both regularisations are.
    settings, how = args.settings, Compute(pick_device(args.device), **{**args.compute, "compile": False})
    if settings["batch"] < compute.world():
        raise ValueError(f"gan.batch {settings['batch']}: expected {compute.world()} or more, one image a process")
    data, scale = open_images(args), Scale(settings["windows"])
    folder = args.weights.parent / "samples"
    if not args.weights.with_name(args.weights.name + ".partial").exists():
        check_data(data, settings)
        for path in folder.glob("*.png") if compute.first() else ():
            path.unlink()
    generator, critic = initial(settings, how)
    untrained = {f"{CRITIC}.{name}": value.clone() for name, value in critic.state_dict().items()}
    weights = {key: settings[key] for key in ("r1", "path_length", "mixing")}
    objective = Adversarial(generator, scale, **weights)
    watch = gan_watch.Watch(data, settings["size_px"], scale, settings["seed"], how, folder)
    log.info("%d images to train on, %d parameters of the generator, %d of the critic", len(data),
             *map(parameter_count, (generator, critic)))  # fmt: skip
    with compute.together(how.device):
        training = GanTraining({GENERATOR: generator, CRITIC: critic}, objective, settings, how, adam=ADAM)
        fit(training, data, watch, args.weights, made_of(settings, data))
    if compute.first():
        real = watch.real(0, watch.count)
        critic.spread.fill_(gan_watch.mean_spread(critic, real, how))
        painted = gan_watch.samples(training._of_mean(GENERATOR), generator, gan_watch.PICTURED, settings["seed"], how)
        gan_watch.write_picture(args.picture, gan_watch.picture(real[: gan_watch.PICTURED], painted))
        described = describe(settings, {}, how)
        store.write_json_lines(training.history, args.history)
        store.write_weights(args.untrained, untrained, described)
        store.write_weights(args.weights, training.weights(), described)
        finish(args.weights)


def main(argv=None) -> None:
    """Train a generator and its critic."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compute", type=json.loads, default={}, help="JSON: precision, compile, prefetch, ...")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stacks", type=Path, nargs="+", required=True, help="plate stacks, or files of crops")
    parser.add_argument("--fields", type=Path, nargs="+", required=True, help="their tables, in the same order")
    for name in ("weights", "history", "untrained", "picture"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    args.settings |= {"kind": GAN.name, "crop_px": args.settings["size_px"], "warmup_images": 0, "decay": "constant"}
    with store.locked(args.weights) if compute.first() else contextlib.nullcontext():
        train(args)


if __name__ == "__main__":
    run(main)
