"""Hostile input of codecs and of what stands on them, by the real commands `train_codec` and `train`."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from brightpaint import store
from brightpaint.models import train, train_codec
from brightpaint.models.fit import describe
from brightpaint.models.objectives.losses import build_denoiser
from codec_fixture import CRITIC, SETTINGS
from hostile import Case, copied
from models_fixture import CHANNELS, make_plate, train_arguments
from models_fixture import SETTINGS as MODEL


def inputs(folder: Path) -> None:
    """Write a plate P1, the weights of a codec of its stains, and of a denoiser that sees brightfield; neither is trained."""
    make_plate(folder, "P1", 4)
    codec = train_codec.build_codec(SETTINGS, SETTINGS["channels"]).state_dict()
    store.write_weights(folder / "codec.safetensors", codec, describe({**SETTINGS, "kind": "codec"}, {}))
    seeing = {**MODEL, "channels": CHANNELS}
    denoiser = build_denoiser(seeing, CHANNELS, 0).state_dict()
    store.write_weights(folder / "seeing.safetensors", denoiser, describe(seeing, {}))


def respoilt(change):
    """Return what rewrites the codec's weights with its tensors changed by `change(tensors)`."""

    def spoil(folder: Path) -> None:
        tensors, meta = store.read_weights(folder / "codec.safetensors")
        change(tensors)
        store.write_weights(folder / "codec.safetensors", tensors, meta)

    return spoil


def training(command, settings: dict, spoil=lambda folder: None):
    """Return what prepares a case: P1 and weights, spoilt, and a training whose `stands_on` lies among them."""

    def prepared(folder: Path):
        copied(inputs, folder)
        spoil(folder)
        standing = {what: str(folder / name) for what, name in settings.get("stands_on", {}).items()}
        chosen = {**settings, **({"stands_on": standing} if standing else {})}
        words = train_arguments(folder, [(folder / "P1.tif", folder / "P1.parquet")], chosen)
        return command, words, [folder / "weights.safetensors", folder / "weights.jsonl"]

    return prepared


def nan(tensors: dict) -> None:
    tensors["centre"] = torch.full_like(tensors["centre"], torch.nan)


def lost(tensors: dict) -> None:
    del tensors["decoder.0.weight"]


coding = functools.partial(training, train_codec.main)
OF_CODEC = {**MODEL, "stands_on": {"codec": "codec.safetensors"}}
OF_BASE = {**MODEL, "kind": "controlnet", "stands_on": {"base": "seeing.safetensors"}}
CASES = [
    Case("training of a codec", "squares that its stride does not divide", coding({**SETTINGS, "crop_px": 18}),
         ("images of 18 x 18 px: the codec needs multiples of 4", "set train.crop_px")),
    Case("training of a codec", "squares that a critic cannot see", coding({**SETTINGS, **CRITIC, "crop_px": 24}),
         ("trained on 24 x 24 px", "squares of a power of two", "set train.crop_px")),
    Case("training on latents", "a codec of other stains",
         training(train.main, {**OF_CODEC, "channels": {**CHANNELS, "target": ["ER", "DNA"]}}),
         ("codec.safetensors is a codec of the stains DNA, ER", "the study's are ER, DNA", "train one on these")),
    Case("training on latents", "a codec of another cut-off", training(train.main, {**OF_CODEC, "cutoff": 9}),
         ("codec.safetensors was trained on images cut off at 15 s.d.", "at 9", "set prepare.cutoff")),
    Case("training on latents", "a codec with nan", training(train.main, OF_CODEC, respoilt(nan)),
         ("codec.safetensors", "tensor centre holds values that are not finite", "train it again")),
    Case("training on latents", "a codec without a tensor", training(train.main, OF_CODEC, respoilt(lost)),
         ("codec", "decoder.0.weight", "train it again")),
    Case("training on latents", "a denoiser in place of a codec",
         training(train.main, {**OF_CODEC, "stands_on": {"codec": "seeing.safetensors"}}),
         ("seeing.safetensors: it holds a model of kind diffusion; expected codec",)),
    Case("ControlNet", "a base that sees brightfield", training(train.main, OF_BASE),
         ("seeing.safetensors sees brightfield itself (BF_L, BF)", "train a base without (inputs: [])")),
    Case("whitened residual", "a base that paints from noise",
         training(train.main, {**MODEL, "kind": "whitened_residual", "stands_on": {"base": "seeing.safetensors"}}),
         ("seeing.safetensors: it holds a model of kind diffusion; expected regression or pixel", "train it again")),
    Case("bridge", "no base", training(train.main, {**MODEL, "kind": "bridge"}),
         ("weights.safetensors: its settings name no base to stand on", "set base in its entry of models")),
]  # fmt: skip
