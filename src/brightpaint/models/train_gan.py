"""Train a StyleGAN2 without labels on fields or on crops of single cells: a generator, and the critic whose numbers make a space.

Kept are the generator's running mean, which is sampled, and the critic as it stands at the end, with the mean spread of training
images; beside them an untrained critic, the space's baseline, and samples beside real images.
"""

from __future__ import annotations

import argparse
import contextlib
import logging

import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.seeds import seed_of
from brightpaint.models import compute, gan_watch
from brightpaint.models.compute import Compute
from brightpaint.models.fit import describe, finish, fit, made_of
from brightpaint.models.networks.unet import parameter_count
from brightpaint.models.objectives.adaptive import Adaptive
from brightpaint.models.objectives.gan_losses import ADAM, CRITIC, GENERATOR, Adversarial, Scale
from brightpaint.models.see_critic import build_critic, build_generator
from brightpaint.models.steps import Training
from brightpaint.models.unlabelled import check_data, open_images, parser
from brightpaint.study.kinds import GAN

log = logging.getLogger(__name__)


class GanTraining(Training):
    """A generator and its critic in training: in place of validation they are looked at, and a game that is over is stopped."""

    def step(self, images: torch.Tensor, condition, count: int) -> None:
        """Take a step, adjust how images are changed, and say so in the history."""
        lines, augment = len(self.history), self.objective.augment
        super().step(images, condition, count)
        if augment:
            augment.adjust(self.seen // self.settings["batch"])
            for line in self.history[lines:]:
                line["augmented"] = augment.p

    def state(self) -> tuple[dict, dict]:
        """Return everything that a continued training needs, what changes images among it."""
        tensors, meta = super().state()
        return tensors, meta | ({"augment": self.objective.augment.state()} if self.objective.augment else {})

    def restore(self, tensors: dict, meta: dict) -> None:
        """Go on from a `state`."""
        super().restore(tensors, meta)
        if self.objective.augment:
            self.objective.augment.restore(meta["augment"])

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
    objective = Adversarial(
        generator, scale, **weights, augment=Adaptive(**settings["ada"]) if "ada" in settings else None
    )
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
    args = parser(main.__doc__, ("weights", "history", "untrained", "picture")).parse_args(argv)
    torch.set_num_threads(args.threads)
    args.settings |= {"kind": GAN.name, "crop_px": args.settings["size_px"], "warmup_images": 0, "decay": "constant"}
    with store.locked(args.weights) if compute.first() else contextlib.nullcontext():
        train(args)


if __name__ == "__main__":
    run(main)
