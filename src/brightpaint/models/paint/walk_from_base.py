"""Walks that begin at what a base model paints, along no noise schedule: a flow's and a bridge's. Pure functions.

As in `walk`, all images of a batch are at one level, a float; guidance wraps the network, and drawing noise is the caller's.
"""

from __future__ import annotations

import math
from typing import Callable

import torch

from brightpaint.models.conditions.condition import Condition


def even_times(steps: int) -> list[float]:
    """Return steps + 1 times from 0 to 1."""
    if steps < 1:
        raise ValueError(f"steps {steps}: expected 1 or more")
    return [step / steps for step in range(steps + 1)]


def flow(
    slope: Callable, z: torch.Tensor, x: torch.Tensor, condition: Condition, steps: int, *, second: bool = False
) -> torch.Tensor:
    """Follow a flow from its start to stains (Ohayon et al. 2024: Euler's rule in even steps).

    Parameters
    ----------
    slope : (x, z, time, condition) -> dz / dt, asked at every time but the last; it is one of `even_times`
    z : (B, C, H, W), where it starts
    second : Heun's rule, which asks twice a step but for the last

    Returns
    -------
    (B, C, H, W) at time 1; after one step from z what is likeliest in the mean
    """
    times = even_times(steps)
    with torch.no_grad():
        for now, then in zip(times[:-1], times[1:]):
            first = slope(x, z, now, condition)
            ahead = z + (then - now) * first
            if second and then < 1:
                ahead = z + (then - now) / 2 * (first + slope(x, ahead, then, condition))
            z = ahead
    return z


def bridge(
    found: Callable, z: torch.Tensor, x: torch.Tensor, condition: Condition, steps: int, draw: Callable
) -> torch.Tensor:
    """Walk a bridge of variance 1 from 0 to an error (Liu et al. 2023, Algorithm 2), each step drawn between z and what is found.

    Between an error at share 1 of the way and z at share a, the bridge has at share b > a the mean error - (1 - b) / (1 - a)
    (error - z) and the variance (1 - b) (b - a) / (1 - a). Of an error that is white noise of s.d. 1, N steps
    paint the variance 1 - H_N / N, H_N = 1 + 1/2 + ... + 1/N: 0 in one step, 0.85 in 25.

    Parameters
    ----------
    found : (x, z, share, condition) -> the error, at every share but the last; it is one of `even_times`
    z : (B, C, H, W) of zeros, the base's own image
    draw : returns standard normal noise like `z`, new at each call

    Returns
    -------
    (B, C, H, W), an error in its units
    """
    shares = even_times(steps)
    with torch.no_grad():
        for now, then in zip(shares[:-1], shares[1:]):
            error = found(x, z, now, condition)
            left = (1 - then) / (1 - now)
            z = error - left * (error - z)
            if then < 1:
                z = z + math.sqrt(left * (then - now)) * draw()
    return z
