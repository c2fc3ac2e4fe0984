"""Take the numbers of a critic, or of a baseline of it, of every crop of one's own: no plates, so no fields and no profiles."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.features.embedders.cellnet import write_cells
from brightpaint.features.embedders.critic_cells import CropReader
from brightpaint.models.image_encoders import read_encoder


def main(argv: Sequence[str] | None = None) -> None:
    """Take the numbers of every crop of one's own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    for name in ("weights", "crops", "cells"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    reader = CropReader(args.crops, read_encoder(args.weights, pick_device(args.device)))
    write_cells(reader, args.crops, reader.trained.names, args.cells, store.file_digest(args.weights))


if __name__ == "__main__":
    run(main)
