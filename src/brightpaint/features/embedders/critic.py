"""Take a critic's 512 numbers of every field, a network trained without labels to tell real images from painted ones.

Of what stands beside a critic (an untrained one, an autoencoder, pixels, ImageNet's features) the numbers are taken by the same
code: what the weights are of says which they are.

A field larger than what the critic sees is cut into squares that lie beside one another in its middle; the mean of their numbers is
the field's. No cell is segmented.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.features.embedders import vectors
from brightpaint.features.embedders.seer import Seer
from brightpaint.models.image_encoders import ImageEncoder, read_encoder
from brightpaint.models.image_squares import squares

log = logging.getLogger(__name__)


def embedder(critic: ImageEncoder) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of one field, (C, H, W) float32 z-scores -> (1, F): the mean over its squares."""

    def see(image: np.ndarray) -> np.ndarray:
        found = critic.numbers(squares(image, critic.size_px))
        return found.astype(np.float64).mean(0, keepdims=True).astype(np.float32)

    return see


def seer(weights: Path, settings: dict, device: torch.device) -> Seer:
    """Return the critic as what makes its space of fields."""
    critic = read_encoder(weights, device, settings)
    see = embedder(critic)
    return Seer(critic.channels, lambda images: np.concatenate([see(image[:, 0]) for image in images]))


def main(argv=None) -> None:
    """Take a critic's numbers of every field of a plate."""
    parser = vectors.parser(main.__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    settings, critic = args.settings, read_encoder(args.weights, pick_device(args.device), args.settings)
    settings["channels"] = {**settings["channels"], "input": critic.channels, "target": critic.channels}
    stack, rows = vectors.open_rows(args.stack, args.rows)
    made_from = [store.fingerprint(args.stack), store.file_digest(args.weights), args.arm]
    sides = stack.images.shape[-2:]
    if min(sides) < critic.size_px:
        raise ValueError(
            f"{args.stack}: fields of {sides[0]} x {sides[1]} px, and {args.weights} sees {critic.size_px} x {critic.size_px}; set "
            "gan.size_px to a power of two up to that, and train it again"
        )
    log.info("%s: %d fields, %d numbers a field", args.arm, len(rows), len(critic.names))
    found = vectors.plate_vectors(
        stack,
        rows,
        embedder(critic),
        len(critic.names),
        args.table,
        arm=args.arm,
        settings=settings,
        made_from=made_from,
        of=["field"],
    )
    values = pd.DataFrame(found[:, 0], columns=critic.names)
    store.write_table(pd.concat([vectors.metadata_of(rows), values], axis=1), args.table)


if __name__ == "__main__":
    run(main)
