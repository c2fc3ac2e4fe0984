"""Build a generator and its critic by their weights: the critic as an encoder of images, 512 numbers each."""

from __future__ import annotations

from pathlib import Path

import torch

from brightpaint.models.image_encoders import read_checked
from brightpaint.models.networks.image_critic import Critic
from brightpaint.models.networks.style_generator import Generator
from brightpaint.models.objectives.gan_losses import CRITIC, GENERATOR
from brightpaint.models.trained import load_module
from brightpaint.study.kinds import GAN
from brightpaint.study.presets import CRITIC_FEATURES, gan_spec

NAMES = [f"Critic_{number:03d}" for number in range(CRITIC_FEATURES)]


def build_critic(settings: dict, channels: dict) -> Critic:
    """Build the critic that training settings describe."""
    return Critic(gan_spec(settings["preset"], settings["width"]), len(channels["target"]), settings["size_px"])


def build_generator(settings: dict, channels: dict) -> Generator:
    """Build the generator that training settings describe."""
    return Generator(gan_spec(settings["preset"], settings["width"]), len(channels["target"]), settings["size_px"])


def part_of(tensors: dict, network: str) -> dict:
    """Return the tensors of one network of several."""
    return {
        name.removeprefix(f"{network}."): value for name, value in tensors.items() if name.startswith(f"{network}.")
    }


def encoder_of(path: Path, tensors: dict, meta: dict, device: torch.device) -> tuple[Critic, list[str]]:
    """Return the critic of a weights file, ready to look, and the names of its numbers (see `image_encoders`)."""
    critic = build_critic(meta["settings"], meta["channels"])
    return load_module(path, critic, part_of(tensors, CRITIC), device), NAMES


def read_generator(path: Path, device: torch.device) -> Generator:
    """Read the generator of a weights file: the running mean of its weights, which is what is sampled."""
    tensors, meta = read_checked(path, (GAN.name,))
    return load_module(path, build_generator(meta["settings"], meta["channels"]), part_of(tensors, GENERATOR), device)
