"""Show cells to a trained classifier: its last activations and logits, in batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from brightpaint.models.crop_images import CropImages, open_all
from brightpaint.models.networks.cell_network import CellNetwork, build_cell_network
from brightpaint.models.trained import load_module, read_model
from brightpaint.study.kinds import CELLNET

BATCH = 64  # cells at once, the last batch filled up: with another shape the last bits may differ


@dataclass(frozen=True)
class TrainedCells:
    """A trained classifier of cells.

    Attributes
    ----------
    settings : what it was trained by, `size`, `masked` and `pixel_um` of the crops among it
    channels : of a crop, in order
    labels : {class: number from 1}
    """

    path: Path
    network: CellNetwork
    settings: dict
    channels: list[str]
    labels: dict[str, int]
    device: torch.device

    def numbers(self, images: np.ndarray) -> np.ndarray:
        """Return the last activations of crops (n, C, D, H, W), z-scores: (n, F) float32."""
        found = [np.zeros((0, self.network.features), np.float32)]
        for first in range(0, len(images), BATCH):
            part = np.asarray(images[first : first + BATCH], np.float32)
            filled = np.concatenate([part, np.zeros((BATCH - len(part), *part.shape[1:]), np.float32)])
            with torch.inference_mode():
                crops = torch.from_numpy(filled).to(self.device)
                found.append(self.network.pooled(self.network.maps(crops))[: len(part)].cpu().numpy())
        return np.concatenate(found)

    def logits(self, numbers: np.ndarray) -> np.ndarray:
        """Return the logits of last activations, (n, F) -> (n, K) float32; class k is number k + 1."""
        with torch.inference_mode():
            return self.network.logits(torch.from_numpy(numbers).to(self.device)).cpu().numpy()


def read_network(path: Path, device: torch.device) -> TrainedCells:
    """Read the weights of a classifier of cells, ready to look."""
    tensors, meta = read_model(path, (CELLNET.name,))
    network = build_cell_network(meta["settings"], meta["channels"], len(meta["label_map"]))
    load_module(path, network, tensors, device)
    return TrainedCells(path, network, meta["settings"], meta["channels"]["target"], meta["label_map"], device)


class CellReader:
    """The crops of some plates as a trained classifier sees them.

    Parameters
    ----------
    paths : files of crops; cells are counted through them in the order of their names
    shown : see `CropImages`

    Raises
    ------
    ValueError
        where crops are of another size than those that it was trained on
    """

    def __init__(self, paths: Sequence[Path], trained: TrainedCells, shown: Callable | None = None):
        for one in open_all(paths):
            size = list(one.images.shape[2:])
            if len(one) and size != trained.settings["size"]:
                raise ValueError(
                    f"{one.path}: crops of {size} (D, H, W), expected {trained.settings['size']} as {trained.path} was trained "
                    "on; rerun crops and train_cellnet"
                )
        self.trained = trained
        settings = {"channels": trained.channels, "masked": trained.settings["masked"]}
        self.crops = CropImages(paths, **settings, shown=shown)

    def batches(self, numbers: Sequence[int]):
        """Yield (crops (BATCH, C, D, H, W) on the device, how many of them count) for these cells, in order."""
        numbers = np.asarray(numbers, np.int64)
        for first in range(0, len(numbers), BATCH):
            images = self.crops.take(numbers[first : first + BATCH])
            count = len(images)
            images = np.concatenate([images, np.zeros((BATCH - count, *images.shape[1:]), np.float32)])
            yield torch.from_numpy(images).to(self.trained.device), count

    def activations(self, numbers: Sequence[int]) -> np.ndarray:
        """Return the last activations of these cells, (n, F) float32."""
        numbers = np.asarray(numbers, np.int64)
        parts = [numbers[first : first + BATCH] for first in range(0, len(numbers), BATCH)]
        found = [self.trained.numbers(self.crops.take(part)) for part in parts]
        return np.concatenate([np.zeros((0, self.trained.network.features), np.float32), *found])

    def logits(self, numbers: Sequence[int]) -> np.ndarray:
        """Return the logits of these cells, (n, K) float32; class k is number k + 1."""
        return self.trained.logits(self.activations(numbers))
