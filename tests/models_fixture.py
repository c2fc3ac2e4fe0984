"""Small plate stacks for the models' tests: blobs that show in brightfield, and a stain level that only the label tells."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from brightpaint import store
from brightpaint.models import train
from conftest import made_in

INPUTS, TARGETS = ["BF_L", "BF"], ["DNA", "ER"]
CHANNELS = {"input": INPUTS, "target": TARGETS}
SETTINGS = {
    "kind": "diffusion",
    "label": "none",
    "preset": "fast",
    "width": 8,
    "objective": "v",
    "loss": "l2",
    "subset": "all",
    "images": 24,
    "batch": 4,
    "crop_px": 16,
    "learning_rate": 2e-3,
    "warmup_images": 8,
    "decay": "cosine",
    "clip_norm": 1.0,
    "ema_images": 8,
    "validation_share": 0,
    "validate_every_images": 8,
    "held_out": [],
    "label_dropout": 0.1,
    "seed": 3,
    "channels": CHANNELS,
}
SAMPLING = {
    "sampler": "ddim",
    "steps": 3,
    "eta": 0.0,
    "spacing": "level",
    "sampling_label": "own",
    "label_scale": 1.0,
    "guidance_interval": None,
    "guidance_scale": 1.0,
    "seed": 0,
    "batch": 2,
    "subset": "all",
}


def make_fields(count: int, seed: int, size_px: int = 32) -> tuple[np.ndarray, list[str]]:
    """Return (count, 4, size, size) z-scored images and their perturbations.

    DNA follows brightfield; ER follows it with the sign that the label decides, which brightfield does not show.
    """
    rng = np.random.default_rng(seed)
    names = ["DMSO" if number % 2 == 0 else "cpd1" for number in range(count)]
    images = []
    for name in names:
        blobs = gaussian_filter(rng.normal(size=(size_px, size_px)), 3)
        blobs = (blobs - blobs.mean()) / blobs.std()
        sign = 1 if name == "DMSO" else -1
        images.append(np.stack([blobs, 0.5 * blobs + 0.1 * rng.normal(size=blobs.shape), blobs, sign * blobs]))
    return np.stack(images), names


def make_plate(
    folder: Path, plate: str, count: int = 6, seed: int = 0, channels=(*INPUTS, *TARGETS), size_px: int = 32
) -> tuple[Path, Path]:
    """Write a plate stack and its field table; return their paths."""
    images, names = make_fields(count, seed, size_px)
    wanted = [(*INPUTS, *TARGETS).index(name) if name in (*INPUTS, *TARGETS) else 0 for name in channels]
    stack, table = folder / f"{plate}.tif", folder / f"{plate}.parquet"
    shape = (count, len(channels), size_px, size_px)
    with store.StackWriter(stack, shape, channels, key="test") as writer:
        for number in range(count):
            writer.write(number, images[number][wanted])
    fields = pd.DataFrame(
        {
            "Metadata_Plate": plate,
            "Metadata_Well": [f"A{number + 1:02d}" for number in range(count)],
            "Metadata_Site": 1,
            "Metadata_Tile": 1,
            "Metadata_Source": "s",
            "Metadata_Batch": "b",
            "Metadata_perturbation": names,
            "Metadata_target": ["" if name == "DMSO" else "T1" for name in names],
            "Metadata_control_type": ["negcon" if name == "DMSO" else "" for name in names],
        }
    )
    store.write_table(fields, table)
    return stack, table


def train_arguments(folder: Path, plates: list[tuple[Path, Path]], settings: dict, name: str = "weights") -> list[str]:
    """Return the command line of `train` (and of `train_classifier`)."""
    stacks, tables = zip(*plates)
    words = ["--settings", json.dumps(settings), "--device", "cpu", "--threads", "1", "--stacks", *stacks]
    words += ["--fields", *tables, "--active"]
    words += ["--weights", folder / f"{name}.safetensors", "--history", folder / f"{name}.jsonl"]
    return [str(word) for word in words]


def sample_arguments(
    weights: Path,
    plate: tuple[Path, Path],
    out: Path,
    part: int = 1,
    parts: int = 1,
    classifier=(),
    how=None,
    **changes,
) -> list[str]:
    """Return the command line of `sample`; `how` is what `--compute` says, None to leave it out."""
    words = ["--settings", json.dumps({**SAMPLING, **changes}), "--device", "cpu", "--threads", "1"]
    words += [] if how is None else ["--compute", json.dumps(how)]
    words += ["--weights", weights, "--classifier", *classifier, "--stack", plate[0], "--fields", plate[1], "--active"]
    words += ["--part", f"{part:03d}", "--parts", parts, "--predicted", out, "--seconds", out.with_suffix(".tsv")]
    return [str(word) for word in words]


def made(name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that lasts as long as the tests, which the first worker that asks for it fills."""
    return made_in(Path(os.environ["BRIGHTPAINT_TESTS_SHARED"]), name, make)


@functools.cache
def labelled_plates() -> list[tuple[Path, Path]]:
    """Return two training plates and a test plate."""
    seeds = {f"P{seed}": seed for seed in (1, 2, 3)}
    folder = made("plates", lambda folder: [make_plate(folder, name, 8, seed=seed) for name, seed in seeds.items()])
    return [(folder / f"{name}.tif", folder / f"{name}.parquet") for name in seeds]


@functools.cache
def labelled_weights() -> Path:
    """Return the weights of a model that learned to heed its label."""
    settings = {
        **SETTINGS,
        "label": "perturbation",
        "images": 3200,
        "batch": 8,
        "learning_rate": 4e-3,
        "ema_images": 300,
    }
    plates = labelled_plates()[:2]
    return (
        made("labelled", lambda folder: train.main(train_arguments(folder, plates, settings))) / "weights.safetensors"
    )
