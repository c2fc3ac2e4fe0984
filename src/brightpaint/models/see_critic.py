"""Show images to a trained critic: 512 numbers each, in batches of one shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from brightpaint.models.networks.image_critic import Critic
from brightpaint.models.networks.style_generator import Generator
from brightpaint.models.objectives.gan_losses import CRITIC, GENERATOR, Scale
from brightpaint.models.trained import check_cutoff, load_module, read_model
from brightpaint.study.kinds import GAN
from brightpaint.study.presets import CRITIC_FEATURES, gan_spec

BATCH = 16  # images at once, the last batch filled up: with another shape the last bits may differ
LARGEST_PX = 1024  # as in the config's schema
NAMES = [f"Critic_{number:03d}" for number in range(CRITIC_FEATURES)]


def build_critic(settings: dict, channels: dict) -> Critic:
    """Build the critic that training settings describe."""
    return Critic(gan_spec(settings["preset"], settings["width"]), len(channels["target"]), settings["size_px"])


def build_generator(settings: dict, channels: dict) -> Generator:
    """Build the generator that training settings describe."""
    return Generator(gan_spec(settings["preset"], settings["width"]), len(channels["target"]), settings["size_px"])


def read_checked(path: Path) -> tuple[dict, dict]:
    """Read `(tensors, meta)` of a generator and its critic whose settings say what networks to build."""
    tensors, meta = read_model(path, (GAN.name,))
    size_px, windows = (meta["settings"].get(key) for key in ("size_px", "windows"))
    count = len(meta["channels"]["target"])
    if type(size_px) is not int or not 8 <= size_px <= LARGEST_PX or size_px & (size_px - 1):
        raise ValueError(
            f"{path}: its size_px is {size_px!r}, expected a power of two up to {LARGEST_PX}; train it again"
        )
    if not (isinstance(windows, list) and len(windows) == count and all(map(_is_window, windows))):
        raise ValueError(
            f"{path}: its windows are {windows!r}, expected two z-scores of each of {count} channels; train it again"
        )
    return tensors, meta


def _is_window(window) -> bool:
    return (
        isinstance(window, list)
        and len(window) == 2
        and all(isinstance(z, (int, float)) for z in window)
        and window[0] < window[1]
    )


def part_of(tensors: dict, network: str) -> dict:
    """Return the tensors of one network of several."""
    return {
        name.removeprefix(f"{network}."): value for name, value in tensors.items() if name.startswith(f"{network}.")
    }


@dataclass(frozen=True)
class TrainedCritic:
    """A trained critic.

    Attributes
    ----------
    channels : of an image, in order
    size_px : height and width of what it sees
    scale : from z-scores to what it sees
    """

    path: Path
    network: Critic
    channels: list[str]
    size_px: int
    scale: Scale
    device: torch.device

    def numbers(self, images: np.ndarray) -> np.ndarray:
        """Return the critic's numbers of images (n, C, size_px, size_px), z-scores: (n, 512) float32."""
        found = [np.zeros((0, CRITIC_FEATURES), np.float32)]
        for first in range(0, len(images), BATCH):
            part = np.asarray(images[first : first + BATCH], np.float32)
            filled = np.concatenate([part, np.zeros((BATCH - len(part), *part.shape[1:]), np.float32)])
            with torch.inference_mode():
                shown = self.scale.shown(torch.from_numpy(filled).to(self.device))
                found.append(self.network.embed(shown)[: len(part)].cpu().numpy())
        found = np.concatenate(found)
        if not np.isfinite(found).all():
            raise ValueError(f"{self.path}: it answers with values that are not finite; train it again")
        return found


def read_critic(path: Path, device: torch.device, cutoff: dict | None = None) -> TrainedCritic:
    """Read the critic of a weights file, ready to look; `cutoff` are the study's settings that may name one."""
    tensors, meta = read_checked(path)
    settings, channels = meta["settings"], meta["channels"]
    check_cutoff(settings, cutoff or {}, path)
    network = load_module(path, build_critic(settings, channels), part_of(tensors, CRITIC), device)
    return TrainedCritic(path, network, channels["target"], settings["size_px"], Scale(settings["windows"]), device)


def read_generator(path: Path, device: torch.device) -> Generator:
    """Read the generator of a weights file: the running mean of its weights, which is what is sampled."""
    tensors, meta = read_checked(path)
    return load_module(path, build_generator(meta["settings"], meta["channels"]), part_of(tensors, GENERATOR), device)
