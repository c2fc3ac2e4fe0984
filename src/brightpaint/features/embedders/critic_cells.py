"""Take a critic's 512 numbers of every cell of a plate, by its crop, and of every field the median cell.

The critic was trained on crops without labels, so that no well is held out on account of them. That it saw a plate's images is
told by the protocol of axes (`study.axes`).
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.features.embedders.cellnet import medians_of_plate, write_cells
from brightpaint.features.embedders.seer import Seer
from brightpaint.models.crop_images import CropImages
from brightpaint.models.image_encoders import ImageEncoder, read_encoder

log = logging.getLogger(__name__)


class CropReader:
    """The crops of a plate as a critic sees them.

    Raises
    ------
    ValueError
        where crops are of another size than those that it was trained on
    """

    def __init__(self, path: Path, trained: ImageEncoder):
        crops = store.open_crops(path)
        expected = (1, trained.size_px, trained.size_px)
        if len(crops) and crops.images.shape[2:] != expected:
            raise ValueError(
                f"{path}: crops of {crops.images.shape[2:]} (D, H, W), expected {expected} as {trained.path} was trained on; "
                "rerun crops and train_gan"
            )
        self.trained, self.crops = trained, CropImages([path], channels=trained.channels) if len(crops) else None

    def activations(self, numbers: Sequence[int]) -> np.ndarray:
        """Return the numbers of these cells, (n, F) float32."""
        return self.trained.numbers(self.crops.take(numbers)[:, :, 0])


def seer(weights: Path, settings: dict, device: torch.device) -> Seer:
    """Return the critic as what makes its space of cells."""
    critic = read_encoder(weights, device)
    return Seer(critic.channels, lambda images: critic.numbers(images[:, :, 0]))


def main(argv=None) -> None:
    """Take a critic's numbers of every cell of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    for name in ("weights", "crops", "rows", "cells", "medians"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    reader = CropReader(args.crops, read_encoder(args.weights, pick_device(args.device)))
    write_cells(reader, args.crops, reader.trained.names, args.cells, store.file_digest(args.weights))
    frame = medians_of_plate(args.cells, store.read_fields(args.rows), {}, reader.trained.names, "all")
    log.info("%d fields, %d of them without cells", len(frame), (frame["Metadata_cells"] == 0).sum())
    store.write_table(frame, args.medians)


if __name__ == "__main__":
    run(main)
