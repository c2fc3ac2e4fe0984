"""Hostile input of class directions among a generator's styles, by the real commands `train` and `translate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from brightpaint import store
from brightpaint.models import train
from brightpaint.models.fit import describe
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.paint import source_fields, translate
from brightpaint.models.see_critic import build_critic, build_generator
from gan_fixture import SETTINGS as GAN
from hostile import Case, copied
from hostile_models import write_stack
from models_fixture import CHANNELS, SETTINGS, TARGETS, make_plate, train_arguments

OWN = {"input": [], "target": TARGETS}
MODEL = {**SETTINGS, "kind": "style_direction", "label": "perturbation", "channels": OWN,
         "projection": {"space": "w", "steps": 1, "images": 2}}  # fmt: skip
DESCRIBED = {key: GAN[key] for key in ("preset", "width", "size_px", "windows", "seed")}


def write_generator(path: Path, **changes) -> dict:
    """Write an untrained generator and critic, 16 px; return their tensors."""
    settings = {**GAN, "kind": "gan", **changes}
    networks = {"generator": build_generator(settings, OWN), "critic": build_critic(settings, OWN)}
    tensors = {
        f"{name}.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()
    }
    store.write_weights(path, tensors, describe(settings, {}))
    return tensors


def inputs(folder: Path) -> None:
    """Write a plate P1, a generator, a denoiser, and class directions, none of which is trained."""
    make_plate(folder, "P1", 4)
    tensors = write_generator(folder / "gan.safetensors")
    store.write_weights(
        folder / "other.safetensors", build_denoiser(SETTINGS, CHANNELS, 0).state_dict(), describe(SETTINGS, {})
    )
    described = describe({**MODEL, "generator": DESCRIBED}, {"DMSO": 1, "cpd1": 2})
    store.write_weights(folder / "weights.safetensors", {**tensors, "means": torch.zeros(2, 1, 512)}, described)


def directions(what: str, *words: str, base="gan.safetensors", spoil=lambda folder: None, **changes) -> Case:
    """A case of `train` on P1 and a generator."""

    def prepared(folder: Path):
        copied(inputs, folder)
        spoil(folder)
        chosen = {**MODEL, "stands_on": {"base": str(folder / base)}, **changes}
        line = train_arguments(folder / "out", [(folder / "P1.tif", folder / "P1.parquet")], chosen)
        return train.main, line, [folder / "out" / name for name in ("weights.safetensors", "weights.jsonl")]

    return Case("class directions", what, prepared, words)


def moved(what: str, spoil, *words: str) -> Case:
    """A case of `translate` by class directions that were spoilt."""

    def prepared(folder: Path):
        copied(inputs, folder)
        rows, out = folder / "rows.parquet", folder / "out"
        chosen = json.dumps({"source": None, "targets": "all", "fields": None})
        weights = folder / "weights.safetensors"
        line = [
            "--settings",
            chosen,
            "--arm",
            "moved",
            "--weights",
            weights,
            "--fields",
            folder / "P1.parquet",
            "--rows",
            rows,
        ]
        source_fields.main([str(word) for word in line])
        spoil(folder)
        settings = {"seed": 0, "from_noise": False, "brightfield": False, "inputs": [], "batch": 2}
        outputs = [out / name for name in ("001.tif", "001.tsv", "001.inversion.tsv")]
        line = [
            "--settings",
            json.dumps(settings),
            "--device",
            "cpu",
            "--weights",
            weights,
            "--stack",
            folder / "P1.tif",
        ]
        line += ["--rows", rows, "--part", "1", "--parts", "1"]
        line += [
            word for name, path in zip(("predicted", "seconds", "inversion"), outputs) for word in (f"--{name}", path)
        ]
        return translate.main, [str(word) for word in line], outputs

    return Case("class directions", what, prepared, words)


def respoilt(change):
    """Return what rewrites the class directions, their tensors and metadata changed by `change(tensors, meta)`."""

    def spoil(folder: Path) -> None:
        tensors, meta = store.read_weights(folder / "weights.safetensors")
        change(tensors, meta)
        store.write_weights(folder / "weights.safetensors", tensors, meta)

    return spoil


def nan(folder: Path) -> None:
    images = np.array(store.open_stack(folder / "P1.tif").images)
    images[2, 2, 5:28, 5:28] = np.nan
    write_stack(folder, images)


def small(folder: Path) -> None:
    make_plate(folder, "P1", 4, size_px=24)


def of_crops(folder: Path) -> None:
    write_generator(folder / "gan.safetensors", examples="crops")


def layers(tensors: dict, meta: dict) -> None:
    tensors["means"] = torch.zeros(2, 6, 512)


def classes(tensors: dict, meta: dict) -> None:
    tensors["means"] = torch.zeros(3, 1, 512)


def flat(tensors: dict, meta: dict) -> None:
    tensors["means"] = torch.zeros(2, 512)


def no_steps(tensors: dict, meta: dict) -> None:
    meta["settings"]["projection"]["steps"] = "many"


def no_generator(tensors: dict, meta: dict) -> None:
    meta["settings"]["generator"] = "gan.safetensors"


def wider(tensors: dict, meta: dict) -> None:
    meta["settings"]["generator"]["width"] = 8


CASES = [
    directions("a denoiser in place of a generator", "other.safetensors: it holds a model of kind diffusion; expected gan",
               base="other.safetensors"),
    directions("a generator of other stains", "gan.safetensors paints DNA, ER, but the study's stains are DNA", "leave gan.",
               channels={"input": [], "target": ["DNA"]}),
    directions("a generator of crops", "gan.safetensors learnt crops of single cells", "train it on fields (gan.examples)",
               spoil=of_crops),
    directions("a generator of another cut-off", "was trained on images cut off at 15 s.d., but the study's at 9", cutoff=9),
    directions("fields that its squares don't fill", "P1.tif: fields of 24 x 24 px", "squares of 16 px", "set prepare.size_px",
               spoil=small),
    directions("nan in a field", "plate P1, well A03, site 1", "channel DNA: not finite; delete its stack", spoil=nan,
               projection={"space": "w", "steps": 1, "images": 8}),
    moved("means of another space", respoilt(layers), "its mean styles have 6 rows, expected 1 in W", "train it again"),
    moved("means of more classes", respoilt(classes), "it has 3 mean styles of 2 classes", "train it again"),
    moved("means that are no styles", respoilt(flat), "expected the tensor means of shape (classes, layers, 512), found (2, 512)"),
    moved("no number of steps", respoilt(no_steps), "its projection is", "expected a space, w or w+, and 1 to 10000 steps"),
    moved("a generator by name alone", respoilt(no_generator), "its generator is 'gan.safetensors'; expected one of preset"),
    moved("a generator of another width", respoilt(wider), "its tensors do not fit its own settings", "train it again"),
    moved("a plate that its squares don't fill", small, "P1.tif: fields of 24 x 24 px", "squares of 16 px", "set prepare.size_px"),
]  # fmt: skip
