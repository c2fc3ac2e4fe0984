"""Networks that turn an image into numbers, each of which makes a space: a critic, and what stands beside it (`study.critics`).

What kind a weights file is of says which module builds it (`study.kinds`). All see the same squares on the same scale, in batches
of one shape, so that their numbers differ by the networks alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import nn

from brightpaint.models.objectives.gan_losses import Scale
from brightpaint.models.trained import check_cutoff, read_model
from brightpaint.study.kinds import ENCODER_KINDS, TRAINED

BATCH = 16  # images at once, the last batch filled up: with another shape the last bits may differ
LARGEST_PX = 1024  # as in the config's schema


def read_checked(path: Path, expected: tuple[str, ...] = ENCODER_KINDS) -> tuple[dict, dict]:
    """Read `(tensors, meta)` of an encoder of one of the `expected` kinds, whose settings say what it is shown."""
    tensors, meta = read_model(path, expected)
    check_seen(path, meta["settings"], meta["channels"])
    return tensors, meta


def check_seen(path: Path, settings: dict, channels: dict) -> None:
    """Raise ValueError unless settings say of what size the images are that networks see, and by which line they are scaled."""
    size_px, windows = (settings.get(key) for key in ("size_px", "windows"))
    count = len(channels["target"])
    if type(size_px) is not int or not 8 <= size_px <= LARGEST_PX or size_px & (size_px - 1):
        raise ValueError(
            f"{path}: its size_px is {size_px!r}, expected a power of two up to {LARGEST_PX}; train it again"
        )
    if not (isinstance(windows, list) and len(windows) == count and all(map(_is_window, windows))):
        raise ValueError(
            f"{path}: its windows are {windows!r}, expected two z-scores of each of {count} channels; train it again"
        )


def _is_window(window) -> bool:
    return (
        isinstance(window, list)
        and len(window) == 2
        and all(isinstance(z, (int, float)) for z in window)
        and window[0] < window[1]
    )


@dataclass(frozen=True)
class ImageEncoder:
    """A network that turns images into numbers, ready to look.

    Attributes
    ----------
    network : `embed`: (B, C, size_px, size_px) on the networks' scale -> (B, F), each image by itself
    names : of the F numbers
    channels : of an image, in order
    size_px : height and width of what it sees
    scale : from z-scores to what it sees
    """

    path: Path
    network: nn.Module
    names: list[str]
    channels: list[str]
    size_px: int
    scale: Scale
    device: torch.device

    def numbers(self, images: np.ndarray) -> np.ndarray:
        """Return the numbers of images (n, C, size_px, size_px), z-scores: (n, F) float32."""
        found = [np.zeros((0, len(self.names)), np.float32)]
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


def read_encoder(path: Path, device: torch.device, cutoff: dict | None = None) -> ImageEncoder:
    """Read the encoder of a weights file; `cutoff` are the study's settings that may name one."""
    tensors, meta = read_checked(path)
    settings, channels = meta["settings"], meta["channels"]
    check_cutoff(settings, cutoff or {}, path)
    module = import_module(TRAINED[settings["kind"]].encoder)
    network, names = module.encoder_of(path, tensors, meta, device)
    return ImageEncoder(
        path, network, names, channels["target"], settings["size_px"], Scale(settings["windows"]), device
    )
