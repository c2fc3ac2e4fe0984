"""Images that networks learn from without labels, fields or crops, refused before the first step where nothing can be learnt."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from brightpaint import store
from brightpaint.models.crop_training import TrainingCrops
from brightpaint.models.data import TrainingImages

LEAST_IMAGES = 8  # of which a distribution can be said to be learnt at all
CONSTANT = 1e-3  # z-scores between the least and the largest of a channel that never changes


def parser(description: str, written: Sequence[str]) -> argparse.ArgumentParser:
    """Return the command line of what learns from such images; `written` are the files that it writes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compute", type=json.loads, default={}, help="JSON: precision, compile, prefetch, ...")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stacks", type=Path, nargs="+", required=True, help="plate stacks, or files of crops")
    parser.add_argument("--fields", type=Path, nargs="+", required=True, help="their tables, in the same order")
    for name in written:
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser


def open_images(args: argparse.Namespace) -> TrainingImages | TrainingCrops:
    """Open the training images that a command line names: fields, or crops of single cells."""
    chosen = {"channels": args.settings["channels"], "label": "none"}
    if args.settings["examples"] == "crops":
        return TrainingCrops(args.stacks, **chosen)
    return TrainingImages(args.stacks, args.fields, **chosen)


def fixed_images(data: TrainingImages | TrainingCrops, size_px: int, most: int) -> Iterator[np.ndarray]:
    """Yield so many images of all plates at most, the same every time: (C, size_px, size_px) float32 z-scores."""
    for number in np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).astype(int)):
        yield data.fixed(int(number), size_px)[1].astype(np.float32)


def check_image(image: np.ndarray, where: str, settings: dict) -> None:
    """Refuse an image that the networks cannot be shown: (C, H, W), of another size or not finite; `where` names it."""
    size_px, (height, width) = settings["size_px"], image.shape[1:]
    exactly, fits = "at least", min(height, width) >= size_px
    if settings["examples"] == "crops":
        exactly, fits = "exactly", (height, width) == (size_px, size_px)
    if not fits:
        raise ValueError(
            f"{where}: {settings['examples']} of {height} x {width} px, expected {size_px} x {size_px} {exactly}; set gan.size_px "
            "to what they are, a power of two"
        )
    bad = ~np.isfinite(image).all((1, 2))
    if bad.any():
        name = settings["channels"]["target"][bad.argmax()]
        raise ValueError(f"{where}, channel {name}: not finite; delete its stack and rerun what makes it")


def check_data(data: TrainingImages | TrainingCrops, settings: dict) -> None:
    """Refuse images that nothing can be learnt from: too few, too small, not finite, or with a channel that never changes."""
    names, least = settings["channels"]["target"], max(settings.get("batch", 0), LEAST_IMAGES)
    if len(data) < least:
        raise ValueError(
            f"{data.stacks[0].path}: {len(data)} {settings['examples']} to train on, expected {least} at least, as many as a batch "
            f"has (gan.batch), and {LEAST_IMAGES}: a critic learns so few by heart; train on more plates"
        )
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for number in range(len(data)):
        image = data.fixed(number, None)[1].astype(np.float32)
        check_image(image, store.describe_field(data.fields.iloc[number]), settings)
        low, high = np.minimum(low, image.min((1, 2))), np.maximum(high, image.max((1, 2)))
    for name, lowest, highest in zip(names, low, high):
        if highest - lowest < CONSTANT:
            raise ValueError(
                f"channel {name} is constant ({lowest:g}) in all {len(data)} {settings['examples']}: a critic would tell painted "
                "ones by it at once; leave it out of gan.channels, or look at its images"
            )
