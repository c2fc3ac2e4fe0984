"""Invert a deterministic sampler: find the latent from which its own steps paint an image back (PhenDiff, paper 001).

Walking upwards takes each step's noise from where the step begins, and painting takes it from where it ended: so a plain
inversion comes back only as far as its steps are small. Here each step is solved for the level that it goes to, y' with
step(y' down to y) = y, by fixed-point iterations of the same update rule (Pan et al. 2023): what is iterated until it rests
is undone exactly, whatever the number of steps. Nothing is clipped: what is cut off can't be found again.

An exact way back is no proof of a good latent: where the latent lies is decided by the steps alone (`latent_moments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.paint.walk import Denoise, check_path, noise_share, step, walk
from brightpaint.study.samplers import UNDOABLE

SETTLED = 1e-6


@dataclass(frozen=True)
class Inversion:
    """What was found for B images.

    Attributes
    ----------
    latents : (B, C, H, W) at the last level of the path
    iterations : (B,) int64, fixed-point iterations of all steps
    unsettled : (B,) int64, how many steps ended with an update above the tolerance; all of them without iterations
    largest_update : (B,) the largest last update of any step and pixel, NaN without iterations
    """

    latents: torch.Tensor
    iterations: torch.Tensor
    unsettled: torch.Tensor
    largest_update: torch.Tensor


def largest(values: torch.Tensor) -> torch.Tensor:
    """Return the largest absolute value of each image, (B, ...) -> (B,)."""
    return values.abs().flatten(1).amax(dim=1)


def eps_of_the_way_down(denoise: Denoise, y, x, condition: Condition, high: float, low: float, sampler: str):
    """Return the eps by which `walk` goes from the noisier level `high` to `low`, for images `y` at `high`."""
    eps = denoise(x, y, high, condition)
    if sampler == "heun" and low < 1:
        eps = (eps + denoise(x, step(y, high, low, eps, 0.0), low, condition)) / 2
    return eps


def settle(
    guess: torch.Tensor, wanted, inner: int, tolerance: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Iterate y <- wanted(y) for each image by itself until it rests, `inner` times at most.

    An image whose update grows is moved by half as much from then on: so iterations that swing about the fixed point rest too.

    Returns
    -------
    (B, C, H, W), the last update (B,) and the iterations (B,)
    """
    y, share = guess, guess.new_ones(len(guess))
    update, count = (
        guess.new_full((len(guess),), float("inf")),
        torch.zeros(len(guess), dtype=torch.int64, device=y.device),
    )
    for _ in range(inner):
        moving = update > tolerance
        if not bool(moving.any()):
            break
        change = wanted(y) - y
        size = largest(change)
        share = torch.where(moving & (size > update), share / 2, share)
        whole = (share == 1)[:, None, None, None]  # not y + change, whose rounding would keep it from resting
        moved = torch.where(whole, y + change, y + share[:, None, None, None] * change)
        y = torch.where(moving[:, None, None, None], moved, y)
        update, count = torch.where(moving, size, update), count + moving
    return y, update, count


def invert(
    denoise: Denoise,
    y: torch.Tensor,
    x: torch.Tensor,
    condition: Condition,
    path: Sequence[float],
    *,
    sampler: str = "ddim",
    inner: int = 5,
    tolerance: float = SETTLED,
) -> Inversion:
    """Walk images upwards, so that `walk` with the same sampler along the same path paints them back.

    Each image is iterated by itself and left alone once it rests, so that its neighbours in a batch change nothing.

    Parameters
    ----------
    denoise : (x, y, gamma, condition) -> eps, unclipped; asked at every level of the path
    y : (B, C_target, H, W) stains at `path[0]`: images at gamma 1
    x : (B, C_input, H, W) brightfield, z-scores; no channel for a model that sees none
    condition : of the B images as they are
    path : gammas that fall, `Schedule.path(...)` backwards
    sampler : `ddim` or `heun`; without iterations `dpmpp` too
    inner : most fixed-point iterations of a step; 0 is the plain inversion of PhenDiff
    tolerance : an image rests once no pixel's update is larger, in s.d. of the noise

    Raises
    ------
    ValueError
        for a path that does not fall, and for a sampler whose steps can't be undone one by one
    """
    check_path(path)
    if path[-1] > path[0]:
        raise ValueError(
            f"path from gamma {path[0]} to {path[-1]}: an inversion walks from the image to noise; turn it round"
        )
    noise_share(sampler, 0.0, path, None)
    if inner and sampler not in UNDOABLE:
        raise ValueError(f"sampler {sampler} can't be undone step by step; use {' or '.join(UNDOABLE)}, or inner: 0")
    steps, none = len(path) - 1, torch.zeros(len(y), dtype=torch.int64, device=y.device)
    if not inner:
        latents = walk(denoise, y, x, condition, path, sampler=sampler)
        return Inversion(latents, none, none + steps, y.new_full((len(y),), float("nan")))
    iterations, unsettled, worst = none, none, y.new_zeros(len(y))
    with torch.no_grad():
        for low, high in zip(path[:-1], path[1:]):  # gamma falls from low noise to high noise

            def wanted(guess, y=y, low=low, high=high):
                eps = eps_of_the_way_down(denoise, guess, x, condition, high, low, sampler)
                return step(y, low, high, eps, 0.0)

            guess = step(y, low, high, denoise(x, y, low, condition), 0.0)
            y, update, count = settle(guess, wanted, inner, tolerance)
            iterations, unsettled = iterations + count, unsettled + (update > tolerance)
            worst = torch.maximum(worst, update)
    return Inversion(y, iterations, unsettled, worst)


def latent_moments(latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return mean, s.d. and correlation of neighbouring pixels of each image's latent, (B,) each: 0, 1 and 0 for white noise.

    Neighbours are taken along rows and columns, each channel about its own mean.
    """
    own = latents.double() - latents.double().mean(dim=(2, 3), keepdim=True)
    variance = (own**2).mean(dim=(1, 2, 3)).clamp(min=1e-12)
    pairs = [(own[..., 1:] * own[..., :-1]), (own[..., 1:, :] * own[..., :-1, :])]
    shared = sum(pair.sum(dim=(1, 2, 3)) for pair in pairs) / max(1, sum(pair[0].numel() for pair in pairs))
    values = latents.double()
    return values.mean(dim=(1, 2, 3)), values.flatten(1).std(dim=1, unbiased=False), shared / variance
