"""Hostile input of the critic that is learnt without labels, by the real commands `train_gan` and `critic`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
import torch
from safetensors.torch import save_file

from brightpaint import store
from brightpaint.features import own_crops
from brightpaint.features.embedders import critic, critic_cells, own_critic
from brightpaint.models import fit, fit_imagenet, fit_pixels, train_autoencoder, train_gan
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.see_critic import build_critic
from cells_fixture import plate_wells, write_cells
from gan_fixture import SETTINGS as GAN_SETTINGS
from gan_fixture import arguments, words_of
from hostile import Case, copied
from hostile_config import config
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


def dead_on_a_plate(folder: Path) -> None:
    """Write P1 so that nothing lights up in one stain, beside P2 as it should be."""
    make_plate(folder, "P2", FIELDS)
    respoilt(constant)(folder)


def two_plates(what: str, spoil, *words: str) -> Case:
    def prepared(folder):
        copied(plate, folder)
        spoil(folder)
        pairs = [tuple(folder / f"{name}.{end}" for end in ("tif", "parquet")) for name in ("P1", "P2")]
        names = ("weights.safetensors", "untrained.safetensors", "history.jsonl", "samples.png")
        return train_gan.main, arguments(folder, pairs, "out"), [folder / "out" / name for name in names]

    return Case("training of a critic", what, prepared, words)


CELL_CHANNELS = {"input": [], "target": ["DNA", "RNA"]}


def of_crops(what: str, *words: str, spoil=None, channels=None, wells=None, **more) -> Case:
    """Return a case of crops of a plate; `spoil(images)` changes their pixels in place."""

    def prepared(folder):
        crops(folder, spoil, wells, **more)
        return training(folder, examples="crops", channels=channels or CELL_CHANNELS)

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


def crops(folder: Path, spoil=None, wells=None, **more) -> Path:
    path = write_cells(folder / "P1.tif", wells=wells or plate_wells(1), **more)
    if spoil:
        pixels = tifffile.memmap(path, mode="r+")
        spoil(pixels)
        pixels.flush()
    return path


def nan_of_a_cell(pixels: np.ndarray) -> None:
    pixels[13, 1, 0, 2, 2] = np.nan


def dark_cells(pixels: np.ndarray) -> None:
    pixels[:, 0] = -1.5


def weights(folder: Path, size_px: int = 16, channels: dict | None = None) -> Path:
    """Write a critic as it begins."""
    settings = {**GAN_SETTINGS, "kind": "gan", "size_px": size_px, "channels": channels or GAN_SETTINGS["channels"]}
    tensors = {
        f"critic.{name}": value for name, value in build_critic(settings, settings["channels"]).state_dict().items()
    }
    path = folder / "weights.safetensors"
    store.write_weights(path, tensors, fit.describe(settings, {}))
    return path


def embedding(what: str, spoil, *words: str, size_px: int = 16, renormalise: bool = False) -> Case:
    """Return a case of a critic that is shown a spoilt plate."""

    def prepared(folder):
        copied(plate, folder)
        spoil(folder)
        seen = json.dumps({"channels": CHANNELS, "cutoff": 15, "renormalise": renormalise})
        line = ["--settings", seen, "--device", "cpu", "--arm", "real", "--stack", folder / "P1.tif", "--rows"]
        line += [folder / "P1.parquet", "--weights", weights(folder, size_px), "--table", folder / "out" / "P1.parquet"]
        return critic.main, line, [folder / "out" / "P1.parquet"]

    return Case("critic", what, prepared, words)


def embedding_cells(what: str, *words: str, spoil=None, own: bool = False, **more) -> Case:
    """Return a case of a critic that is shown spoilt crops, of a plate or of one's own."""

    def prepared(folder):
        path, out = crops(folder, spoil, cells=2, **more), folder / "out" / "cells.parquet"
        line = [
            "--device",
            "cpu",
            "--weights",
            weights(folder, channels=CELL_CHANNELS),
            "--crops",
            path,
            "--cells",
            out,
        ]
        if own:
            return own_critic.main, line, [out]
        keys = [*store.FIELD_KEYS, "Metadata_perturbation"]
        rows = store.read_table(path.with_suffix(".parquet"), keys).drop_duplicates(ignore_index=True)
        store.write_table(rows, folder / "rows.parquet")
        medians = folder / "out" / "P1.parquet"
        return critic_cells.main, [*line, "--rows", folder / "rows.parquet", "--medians", medians], [out, medians]

    return Case("critic of one's own crops" if own else "critic of cells", what, prepared, words)


PAGES = np.random.default_rng(0).normal(size=(6, 8, 8)).astype(np.float32)


def with_value(value: float) -> np.ndarray:
    pages = PAGES.copy()
    pages[3, 4, 5] = value
    return pages


def bringing_in(what: str, images: np.ndarray, *words: str) -> Case:
    """Return a case of TIFFs of one's own, of two channels, that come into the crop store."""

    def prepared(folder):
        tifffile.imwrite(folder / "a.tif", images, photometric="minisblack")
        table = "file,index,label,group\n" + "".join(f"a.tif,{n},x,g\n" for n in range(len(images) // 2))
        (folder / "cells.csv").write_text(table)
        out = folder / "out" / "mine.tif"
        line = [folder, "--table", folder / "cells.csv", "--channels", "DNA,RNA", "--crops", out]
        return own_crops.main, line, [out, out.with_suffix(".parquet")]

    return Case("crops of one's own", what, prepared, words)


GAN = {"preset": "small", "size_px": 64}


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
    refused("a window in which nothing lies", lambda folder: None, "channel ER: no pixel of 9 fields lies within 40 to 60",
            "widen gan.window", windows=[[-3, 3], [40, 60]]),
    two_plates("a channel that never changes on one plate", dead_on_a_plate,
               "plate P1, channel ER: constant (0.25) in its 9 fields", "leave the channel out of gan.channels"),
    refused("a stain that there is not", lambda folder: None, "P1.tif: channels ['GFP'] are missing",
            channels={"input": [], "target": ["DNA", "GFP"]}),
    of_crops("crops that are not square", "crops of 16 x 24 px, expected 16 x 16 exactly", "one power of two", size=(1, 16, 24)),
    of_crops("crops of several planes", "P1.tif: crops of 3 planes, expected one", "crops.channels", cells=2, size=(3, 16, 16)),
    of_crops("crops that are no power of two", "crops of 24 x 24 px, expected 16 x 16 exactly", "one power of two",
             size=(1, 24, 24)),
    of_crops("nan in a crop", "P1.tif: plate P1, well A02, site 1, tile 1, cell 2, channel RNA: not finite", "rerun what makes it",
             spoil=nan_of_a_cell),
    of_crops("crops of a channel that never changes", "channel DNA is constant (-1.5) in all 96 crops", "gan.channels",
             spoil=dark_cells),
    of_crops("one crop", "P1.tif: 1 crops to train on, expected 8 at least", wells={"A01": "a"}, cells=1),
    of_crops("crops without a channel", "P1.tif: crops have no channel GFP; they have DNA, RNA", "crops.channels",
             channels={"input": [], "target": ["DNA", "GFP"]}),
    bringing_in("nan in a TIFF", with_value(np.nan), "cells.csv: row 3, channel RNA", "a.tif: page 3, pixel (4, 5) is nan",
                "mend the file, or leave it out"),
    bringing_in("infinity in a TIFF", with_value(-np.inf), "cells.csv: row 3, channel RNA", "a.tif: page 3, pixel (4, 5) is -inf"),
    embedding("nan in a field", respoilt(nan), "P1.tif: plate P1, well A03, site 1, tile 1, channel DNA: not finite",
              "rerun what makes it", renormalise=True),
    embedding("infinity in a field", respoilt(infinite), "P1.tif: plate P1, well A05, site 1, tile 1, channel ER: not finite"),
    embedding("fields smaller than its squares", lambda folder: None, "P1.tif: fields of 32 x 32 px, and", "sees 64 x 64",
              "set gan.size_px", size_px=64),
    embedding("a stain that is not there", lambda folder: make_plate(folder, "P1", FIELDS, channels=["BF", "DNA"]),
              "P1.tif: channels ['ER'] are missing; it holds ['BF', 'DNA']"),
    embedding_cells("nan in a crop", "P1.tif: plate P1, well B01, site 1, tile 1, cell 2, channel RNA: not finite",
                    "rerun what makes it", spoil=nan_of_a_cell),
    embedding_cells("crops of another size", "P1.tif: crops of (1, 24, 24) (D, H, W), expected (1, 16, 16)",
                    "rerun crops and train_gan", size=(1, 24, 24)),
    embedding_cells("nan in a crop", "P1.tif: plate P1, well B01, site 1, tile 1, cell 2, channel RNA: not finite",
                    spoil=nan_of_a_cell, own=True),
    config("a critic of images that are no power of two", "gan.size_px: 96 is not one of [64, 128, 256, 512, 1024]",
           gan={**GAN, "size_px": 96}),
    config("a critic of a stain that there is not", "gan.channels: GFP is not among the study's channels",
           gan={**GAN, "channels": ["GFP"]}),
    config("a critic of squares larger than fields", "gan.size_px: 1024, but fields have", "(prepare.size_px); give a power of two",
           gan={**GAN, "size_px": 1024}),
    config("a critic's window upside down", "gan: window [3, 1] is empty", "give its lower end", gan={**GAN, "window": [3, 1]}),
    config("a critic of crops that there are none of", "gan.examples: crops are what it learns from",
           "crops.size_um is not given", gan={**GAN, "examples": "crops"}),
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
