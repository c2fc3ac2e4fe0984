"""A diffusion model without brightfield, told of it by a trained copy of its encoder (`networks.control_net`)."""

from __future__ import annotations

import argparse

import torch

from brightpaint.base.seeds import seed_of
from brightpaint.models.certain_base import check_told
from brightpaint.models.conditions import vocabulary
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import train_network
from brightpaint.models.kinds import diffusion
from brightpaint.models.networks.control_net import ControlNet
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.standing import BASE

painter, translator = diffusion.painter, diffusion.translator


def load_base(network: ControlNet, args: argparse.Namespace, labels: dict[str, int], told: dict) -> None:
    """Put the base's weights, which `standing` has read, into a network, and begin the copy with them."""
    path = args.settings["stood_on"]["base"]
    check_told(args.settings["base"], labels, told, path)
    own = {name.removeprefix(BASE): value for name, value in args.stands.items() if name.startswith(BASE)}
    try:
        network.base.load_state_dict(own)
    except RuntimeError as error:
        raise ValueError(f"{path}: its tensors do not fit its own settings ({error}); train it again") from error
    network.copy_base()


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Train the copy; the base's weights stand in what is written as they were read."""
    settings = args.settings
    torch.manual_seed(seed_of(settings["seed"], "weights"))
    model = build_denoiser(settings, settings["channels"], len(data.labels), vocabulary.parts(data.vocabulary))
    load_base(model.network, args, data.labels, data.vocabulary)
    args.stands = {name: value for name, value in args.stands.items() if not name.startswith(BASE)}
    del settings["stood_on"]
    train_network(args, data, model, *diffusion.objectives(settings, data.inputs))
