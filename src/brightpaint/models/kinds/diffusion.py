"""The diffusion model: a U-Net that finds the noise in stains, and paints by walking from noise to image."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Callable

import numpy as np
import pandas as pd
import torch

from brightpaint.base.seeds import seed_of
from brightpaint.models.codecs.codec import codec_of
from brightpaint.models.compute import Compute
from brightpaint.models.conditions import vocabulary
from brightpaint.models.conditions.condition import LABEL
from brightpaint.models.conditions.labels import shown_indices
from brightpaint.models.conditions.shown import condition_shown, parts_shown
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import train_network
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from brightpaint.models.paint import walk
from brightpaint.models.paint.field_noise import drawer
from brightpaint.models.paint.translator import Translator
from brightpaint.models.schedule import schedule_of
from brightpaint.models.train_classifier import build_classifier
from brightpaint.models.trained import cutoff_of, load_module, read_model
from brightpaint.study.conditions import shares as dropout_shares
from brightpaint.study.kinds import CLASSIFIER


def objectives(settings: dict, inputs: int) -> list[Denoising]:
    """Return what trains, and what validates, in which every label and condition is shown."""
    dropped = (settings["label_dropout"], dropout_shares(settings.get("conditions", {}))), (0.0, ())
    how = settings["objective"], settings["loss"]
    own = bool(settings.get("blur_px"))
    return [Denoising(inputs, *how, share, schedule_of(settings), others, own) for share, others in dropped]


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Train the denoiser."""
    settings = args.settings
    torch.manual_seed(seed_of(settings["seed"], "weights"))
    model = build_denoiser(settings, settings["channels"], len(data.labels), vocabulary.parts(data.vocabulary))
    train_network(args, data, model, *objectives(settings, data.inputs))


def load_guide(
    paths: list[Path], settings: dict, path: list[float], channels: dict, fields: pd.DataFrame, how: Compute
) -> Callable | None:
    """Return `wrap(denoise, rows)` that adds classifier guidance for these field rows, or None without a classifier.

    A field whose label the classifier never saw is left unguided.
    """
    if not paths or settings["guidance_scale"] == 0:
        return None
    tensors, meta = read_model(paths[0], (CLASSIFIER.name,))
    if meta["channels"] != channels:
        raise ValueError(
            f"{paths[0]} was trained on channels {meta['channels']}, but the denoiser on {channels}; train both on the same"
        )
    module = build_classifier(meta["settings"], channels, len(meta["label_map"]))
    classifier = how.painting(load_module(paths[0], module, tensors, how.device))
    classifier = walk.at_levels(classifier, path, how.device)
    shown = "swapped" if settings["sampling_label"] == "swapped" else "own"
    classes = shown_indices(fields, meta["settings"]["label"], meta["label_map"], shown) - 1

    def wrap(denoise, rows):
        wanted = torch.from_numpy(classes[rows]).to(how.device)
        return walk.guided(denoise, classifier, wanted, settings["guidance_scale"])

    return wrap


def sampling_path(settings: dict, trained: dict) -> list[float]:
    """Return the gammas that an arm's sampling visits by a model's schedule, from that of pure noise to 1."""
    return schedule_of(trained).path(settings["steps"], settings["spacing"])


def guide_all(denoise: walk.Denoise, guide: Callable | None, rows: list[int], settings: dict) -> walk.Denoise:
    """Wrap a denoiser with the guidance that an arm asks for, within its interval of noise."""
    scales = {LABEL: settings["label_scale"]} if settings["sampling_label"] != "none" else {}
    strong = walk.classifier_free(denoise, scales | settings.get("condition_scales", {}))
    strong = guide(strong, rows) if guide else strong
    interval = settings["guidance_interval"]
    return walk.within(strong, denoise, *interval) if interval else strong


def sampled_as_coded(settings: dict, trained: dict) -> dict:
    """Return an arm's settings; of a model `as_coded` ancestral steps have the posterior's variance, which is DDIM's with eta 1."""
    ancestral = trained.get("as_coded") and settings["sampler"] == "ddpm"
    return {**settings, "sampler": "ddim", "eta": 1.0} if ancestral else settings


def translator(args: argparse.Namespace, tensors: dict, meta: dict, how: Compute) -> Translator:
    """Return what inverts stains under one class and paints the latents as others, as an arm's settings say."""
    settings, trained, numbers = args.settings, meta["settings"], meta["label_map"]
    denoiser = build_denoiser(trained, meta["channels"], len(numbers), vocabulary.parts(meta.get("conditions", {})))
    denoiser = how.painting(load_module(args.weights, denoiser, tensors, how.device))
    path = sampling_path(settings, trained)[settings["steps"] - settings["walked"] :]
    told = walk.at_levels(denoiser, path, how.device)

    def others(rows: pd.DataFrame, own: bool) -> dict[str, np.ndarray]:
        return parts_shown(rows, meta, settings, own=own)

    return Translator(
        told, guide_all(told, None, [], settings), path, settings, numbers, others, how.place(codec_of(trained, tensors)),
        cutoff_of(trained), how, bool(trained.get("blur_px")),
    )  # fmt: skip


def walker(
    told: walk.Denoise, settings: dict, meta: dict, fields: pd.DataFrame, how: Compute, path: list[float], *, planes: int,
    bound: float = float("inf"), guide: Callable | None = None,
) -> Callable[[torch.Tensor, list[int]], torch.Tensor]:  # fmt: skip
    """Return `walked(seen, rows)`: from the noise of these field rows down a path, as an arm's settings say.

    Parameters
    ----------
    told : a denoiser that may be asked at every level of the path
    planes : of what is walked
    bound : largest value of what is clean, to which each step clips
    guide : from `load_guide`
    """
    condition = condition_shown(fields, meta, settings)

    def walked(seen: torch.Tensor, rows: list[int]) -> torch.Tensor:
        draw = drawer(fields, rows, settings["seed"], (planes, *seen.shape[-2:]), how)
        return walk.walk(
            walk.clipped(guide_all(told, guide, rows, settings), bound), draw(), seen, condition.rows(rows).to(how.device),
            path, sampler=settings["sampler"], eta=settings["eta"], draw=draw,
        )  # fmt: skip

    return walked


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)`, (B, C_input, H, W) float32 and B field rows -> (B, C_target, H, W) float32."""
    settings = sampled_as_coded(args.settings, meta["settings"])
    trained, cutoff = meta["settings"], cutoff_of(meta["settings"])
    channels, parts = meta["channels"], vocabulary.parts(meta.get("conditions", {}))
    denoiser = build_denoiser(trained, channels, len(meta["label_map"]), parts)
    denoiser = how.painting(load_module(args.weights, denoiser, tensors, how.device))
    codec = how.place(codec_of(trained, tensors))
    _, painted = codec.channels(len(channels["input"]), len(channels["target"]))
    path = sampling_path(settings, trained)
    if args.classifier and codec.stride_px > 1:
        raise ValueError(
            f"{args.weights} walks among latents, and {args.classifier[0]} tells labels of noised pixels; leave the arm's "
            "classifier out"
        )
    guide = load_guide(args.classifier, settings, path, channels, fields, how)
    told = walk.at_levels(denoiser, path, how.device)
    walked = walker(told, settings, meta, fields, how, path, planes=painted, bound=codec.bound(cutoff), guide=guide)

    def paint(x: np.ndarray, rows: list[int]) -> np.ndarray:
        seen = how.coded(codec.see, how.send(torch.from_numpy(x)))
        return how.coded(codec.decode, walked(seen, rows)).clamp(-cutoff, cutoff).cpu().numpy()

    return paint
