"""Images that networks learn from without labels, fields or crops, refused before the first step where nothing can be learnt."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

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
            f"{where}: {settings['examples']} of {height} x {width} px, expected {size_px} x {size_px} {exactly}; set gan.size_px, "
            "and size_px of crops or own_crops where it learns from these, to one power of two"
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
    lowest, highest = (np.empty((len(data), len(names)), np.float32) for _ in range(2))
    for number in range(len(data)):
        image = data.fixed(number, None)[1].astype(np.float32)
        check_image(image, data.describe(number), settings)
        lowest[number], highest[number] = image.min((1, 2)), image.max((1, 2))
    check_varied(data.fields["Metadata_Plate"].to_numpy(), lowest, highest, settings)


def check_varied(plates: np.ndarray, lowest: np.ndarray, highest: np.ndarray, settings: dict) -> None:
    """Refuse a channel that never changes, on all plates or on one, or that its window leaves without a grey.

    Parameters
    ----------
    plates : (n,) of each image
    lowest, highest : (n, C) z-scores of each image
    """
    names, examples = settings["channels"]["target"], f"{len(plates)} {settings['examples']}"
    for name, window, low, high in zip(names, settings["windows"], lowest.T, highest.T):
        if high.max() - low.min() < CONSTANT:
            raise ValueError(
                f"channel {name} is constant ({low.min():g}) in all {examples}: a critic would tell painted "
                "ones by it at once; leave it out of gan.channels, or look at its images"
            )
        if np.ptp(np.clip([low.min(), high.max()], *window)) < CONSTANT:
            raise ValueError(
                f"channel {name}: no pixel of {examples} lies within {window[0]:g} to {window[1]:g}, z-scores that are shown "
                f"as black and white, but from {low.min():g} to {high.max():g}; widen gan.window (gan.brightfield_window)"
            )
        for plate in np.unique(plates):
            own = plates == plate
            if own.sum() >= LEAST_IMAGES and high[own].max() - low[own].min() < CONSTANT:
                raise ValueError(
                    f"plate {plate}, channel {name}: constant ({low[own].min():g}) in its {own.sum()} {settings['examples']}, "
                    "and on other plates not: a critic would know the plate by it; leave the channel out of gan.channels, or the "
                    "plate out of the plate table"
                )
