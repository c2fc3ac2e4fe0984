"""Diffusion of what a base model leaves open, in units of its error's own noise: y = m + s(m) L u.

m is what the base paints without noise, s the s.d. of its error by what it painted, and L the root of that error's
cross-spectrum, as kind `residual_noise` fits them on wells that validate. Were the error Gaussian and alike everywhere, u were
white noise of s.d. 1, and a network whose output is 0 is the denoiser of that: untrained, the model paints that kind's floor, by
any sampler that keeps the s.d. (`walk.unit_sd`: DPM-Solver++(2M) in 25 even steps does; DDIM in 10 leaves 0.83 of it). The
network learns what is not so: which errors go together in a cell. The floor is the first of the weights that are validated.

A network is trained on crops, and is asked of whole fields only what fits a crop: longer waves, the mean among them, are denoised
as the white noise that they are in these units, so that the floor's own are painted there whatever was learnt. It learns in white
units, and is validated as it paints.
"""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path
from typing import Callable

import numpy as np
import pandas as pd
import torch

from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.kinds import diffusion, from_base, residual_noise
from brightpaint.models.objectives.denoiser import Denoiser
from brightpaint.models.objectives.on_base import Whitened
from brightpaint.models.objectives.whitened_error import WhitenedError, fitting, roots
from brightpaint.models.paint import walk
from brightpaint.models.schedule import schedule_of
from brightpaint.models.trained import cutoff_of

UNIT_SD = 1.0  # of the whitened error
LONGEST = "longest_px"  # what weights say of it in their settings
NEAR = 0.02  # how far the s.d. that a sampler keeps may lie from it
log = logging.getLogger(__name__)
tensor_problems = residual_noise.tensor_problems


def denoiser_of(network: torch.nn.Module) -> Denoiser:
    """Return the denoiser of a network, preconditioned for an s.d. of 1."""
    return Denoiser(network, "preconditioned", UNIT_SD)


def longest_in(crop_px: int | None, size: tuple[int, int]) -> int:
    """Return the longest wave, pixels, of which every direction of a crop shows the whole; without crops, of a field."""
    return min(crop_px or max(size), *size)


def longest_of(settings: dict, path: Path) -> float:
    """Return the longest wave, pixels, of which weights' network is asked; those of before this was counted are asked of all.

    Raises
    ------
    ValueError
        naming the file, where that is no length
    """
    longest = settings.get(LONGEST, float("inf"))
    if not isinstance(longest, (int, float)) or isinstance(longest, bool) or not longest > 0:
        raise ValueError(
            f"{path}: its {LONGEST} is {longest!r}; expected a number over 0; train it again, or set models.weights to a file that "
            "brightpaint wrote"
        )
    return longest


def within_crops(denoise: walk.Denoise, longest_px: float) -> walk.Denoise:
    """Wrap a denoiser of white noise of s.d. 1 so that waves longer than `longest_px` are denoised exactly, which keeps them."""
    if longest_px == float("inf"):
        return denoise
    masks: dict[tuple, torch.Tensor] = {}  # laid on the device once

    def asked(x, y, gamma, condition):
        size, exact = tuple(y.shape[-2:]), math.sqrt(1 - gamma) * y
        if size not in masks:
            masks[size] = torch.from_numpy(fitting(*size, longest_px)).to(y.device)
        answer = denoise(x, y, gamma, condition).float() - exact
        return exact + torch.fft.irfft2(torch.fft.rfft2(answer) * masks[size], s=size)

    return asked


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Measure the base's error and train the denoiser of what is left of it when it is whitened."""
    settings = args.settings = {**args.settings, LONGEST: longest_in(args.settings["crop_px"], data.size)}
    longest = settings[LONGEST]
    trained, held = (residual_noise.fit(pairs, cutoff_of(settings))[0] for pairs in from_base.errors(args, data))
    how = {"objective": settings["objective"], "norm": settings["loss"], "schedule": schedule_of(settings)}
    objectives = (
        Whitened(inputs=data.inputs, error=WhitenedError(fitted, longest), painted=fitted is held, **how, **dropped)
        for fitted, dropped in zip((trained, held), from_base.dropouts(settings))
    )
    from_base.train(args, data, denoiser_of(from_base.new_unet(args, data)), *objectives, held)


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)`: what the base paints, and an error drawn by walking from the field's own noise."""
    settings, trained, channels = args.settings, meta["settings"], meta["channels"]
    certain, network = from_base.loaded(args, tensors, meta, fields, how, denoiser_of, residual_noise.OWN)
    path = diffusion.sampling_path(settings, trained)
    warn_of_spread(settings, path)
    told = within_crops(walk.at_levels(network, path, how.device), longest_of(trained, args.weights))
    walked = diffusion.walker(told, settings, meta, fields, how, path, planes=len(channels["target"]))
    levels, sd, side = tensors["levels"].numpy(), tensors["sd"].numpy(), int(tensors["side"][0])
    filters, cutoff = roots(tensors["spectrum"].numpy()), cutoff_of(trained)

    def paint(x: np.ndarray, rows: list[int]) -> np.ndarray:
        m = certain(x, rows)
        u = walked(how.send(torch.from_numpy(np.concatenate([x, m], axis=1))), rows).float().cpu().numpy()
        drawn = [residual_noise.coloured(each, filters, side) for each in u]
        return np.stack([residual_noise.noised(*each, levels, sd, cutoff) for each in zip(m, drawn)])

    return paint


def warn_of_spread(settings: dict, path: list[float]) -> None:
    """Say so where the way of sampling paints another spread than the error's, even of noise that is denoised exactly."""
    kept = walk.unit_sd(path, sampler=settings["sampler"], eta=settings["eta"])
    if abs(kept - 1) > NEAR:
        log.warning(
            "%s in %d steps (%s) paints %.2f of the error's s.d., even with an exact denoiser; take dpmpp in 25 even steps or more",
            settings["sampler"], settings["steps"], settings["spacing"], kept,
        )  # fmt: skip
