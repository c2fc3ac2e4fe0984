"""Train a model on every study plate that a fold does not test (paper 000, Algorithm 1 and section 4.3).

What training means is the model's kind's own (`models.kinds`); every kind writes the same files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path

import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.models import compute, kinds
from brightpaint.models.fit import open_data
from brightpaint.models.standing import stand


def parse(description: str, argv) -> argparse.Namespace:
    """Read the command line that both training commands share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compute", type=json.loads, default={}, help="JSON: precision, compile, prefetch, ...")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stacks", type=Path, nargs="+", required=True)
    parser.add_argument("--fields", type=Path, nargs="+", required=True)
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    args.stands = {}  # tensors of what the model stands on
    return args


def main(argv=None) -> None:
    """Train a model."""
    args = parse(main.__doc__, argv)
    with store.locked(args.weights) if compute.first() else contextlib.nullcontext():
        args.settings, args.stands = stand(args.settings)
        kinds.of(args.settings["kind"]).train(args, open_data(args))


if __name__ == "__main__":
    run(main)
