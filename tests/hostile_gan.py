"""Hostile input of the critic that is learnt without labels, by the real commands `train_gan` and `critic`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from brightpaint import store
from brightpaint.features.embedders import critic
from brightpaint.models import fit, fit_imagenet, fit_pixels, train_autoencoder, train_gan
from brightpaint.models.objectives.losses import build_denoiser
from cells_fixture import plate_wells, write_cells
from gan_fixture import SETTINGS as GAN_SETTINGS
from gan_fixture import arguments, words_of
from hostile import Case, copied
from hostile_models import write_stack
from models_fixture import CHANNELS, SETTINGS, make_plate

FIELDS = 9


def plate(folder: Path) -> None:
    """Write a plate P1 of nine fields of 32 px."""
    make_plate(folder, "P1", FIELDS)


def training(folder: Path, paths=("P1.tif", "P1.parquet"), **changes):
    words = arguments(folder, [tuple(folder / name for name in paths)], "out", **changes)
    names = ("weights.safetensors", "untrained.safetensors", "history.jsonl", "samples.png")
    return train_gan.main, words, [folder / "out" / name for name in names]


def refused(what: str, spoil, *words: str, **changes) -> Case:
    def prepared(folder):
        copied(plate, folder)
        spoil(folder)
        return training(folder, **changes)

    return Case("training of a critic", what, prepared, words)


def respoilt(change):
    """Return what rewrites P1.tif with its pixels changed in place by `change(images)`."""

    def spoil(folder: Path) -> None:
        images = np.array(store.open_stack(folder / "P1.tif").images)
        change(images)
        write_stack(folder, images)

    return spoil


def infinite(images: np.ndarray) -> None:
    images[4, 3, 0, 31] = np.inf


def nan(images: np.ndarray) -> None:
    images[2, 2, 5, 5] = np.nan


def constant(images: np.ndarray) -> None:
    images[:, 3] = 0.25


def one_field(folder: Path) -> None:
    make_plate(folder, "P1", 1)


def of_crops(what: str, *words: str, **more) -> Case:
    def prepared(folder):
        write_cells(folder / "P1.tif", wells=plate_wells(1), **more)
        channels = {"input": [], "target": ["DNA", "RNA"]}
        return training(folder, examples="crops", channels=channels)

    return Case("training of a critic", what, prepared, words)


def baseline(module, what: str, spoil, *words: str, written=("weights",), more=()) -> Case:
    """Return a case of what a critic must beat, on a plate that was spoilt."""

    def prepared(folder):
        copied(plate, folder)
        spoil(folder)
        files = [folder / "out" / f"{name}.x" for name in written]
        line = [*words_of([(folder / "P1.tif", folder / "P1.parquet")], **OWN), *more]
        line += [word for name, file in zip(written, files) for word in (f"--{name}", str(file))]
        (folder / "out").mkdir(exist_ok=True)
        return module.main, [str(folder / word[1:]) if word.startswith("@") else word for word in line], files

    return Case("baseline of a critic", what, prepared, words)


def not_lite0(folder: Path) -> None:
    save_file(build_denoiser(SETTINGS, CHANNELS, 0).state_dict(), str(folder / "lite0.safetensors"))


def pickled(folder: Path) -> None:
    torch.save({"_conv_stem.weight": torch.zeros(1)}, folder / "lite0.safetensors")


OWN = {key: GAN_SETTINGS[key] for key in ("preset", "width", "images", "batch", "learning_rate", "clip_norm", "ema_images",
                                          "validate_every_images", "seed")}  # fmt: skip
LITE0 = {"written": ("weights", "collapsed"), "more": ("--network", "@lite0.safetensors")}


def embedding_by_a_denoiser(folder: Path):
    copied(plate, folder)
    tensors = build_denoiser(SETTINGS, CHANNELS, 0).state_dict()
    store.write_weights(folder / "weights.safetensors", tensors, fit.describe(SETTINGS, {}))
    words = ["--settings", json.dumps({"channels": CHANNELS, "cutoff": 15, "renormalise": True}), "--arm", "real"]
    words += [
        "--stack",
        folder / "P1.tif",
        "--rows",
        folder / "P1.parquet",
        "--weights",
        folder / "weights.safetensors",
    ]
    return (
        critic.main,
        [str(word) for word in [*words, "--table", folder / "out" / "P1.parquet"]],
        [folder / "out" / "P1.parquet"],
    )


CASES = [
    refused("nan in a field", respoilt(nan), "plate P1, well A03, site 1", "channel DNA: not finite", "rerun what makes it"),
    refused("infinity in a field", respoilt(infinite), "plate P1, well A05, site 1", "channel ER: not finite"),
    refused("a channel that never changes", respoilt(constant), "channel ER is constant (0.25) in all 9 fields", "gan.channels"),
    refused("one field", one_field, "P1.tif: 1 fields to train on, expected 8 at least", "train on more plates"),
    refused("fields smaller than its images", lambda folder: None, "plate P1, well A01",
            "fields of 32 x 32 px, expected 64 x 64 at least", "set gan.size_px", size_px=64),
    refused("a stain that there is not", lambda folder: None, "P1.tif: channels ['GFP'] are missing",
            channels={"input": [], "target": ["DNA", "GFP"]}),
    of_crops("crops that are not square", "crops of 16 x 24 px, expected 16 x 16 exactly", "a power of two", size=(1, 16, 24)),
    of_crops("crops of several planes", "P1.tif: crops of 3 planes, expected one", "crops.channels", cells=2, size=(3, 16, 16)),
    baseline(train_autoencoder, "nan in a field", respoilt(nan), "plate P1, well A03, site 1", "channel DNA: not finite",
             written=("weights", "history")),
    baseline(fit_pixels, "a channel that never changes", respoilt(constant), "channel ER is constant (0.25) in all 9 fields"),
    baseline(fit_pixels, "one field", one_field, "P1.tif: 1 fields to train on, expected 8 at least"),
    baseline(fit_imagenet, "weights of another network", not_lite0, "gan.imagenet: ", "lite0.safetensors lacks ",
             "expected EfficientNet-Lite0's weights", **LITE0),
    baseline(fit_imagenet, "a pickle", pickled, "gan.imagenet: ", "expected safetensors, found something else", **LITE0),
    Case("critic", "the weights of a denoiser", embedding_by_a_denoiser,
         ("weights.safetensors: it holds a model of kind diffusion; expected gan", "train it again")),
]  # fmt: skip
