"""Samplers: one update rule between two noise levels, and the loop that walks it from noise to image.

Ancestral sampling (paper 000, eq. 8; Ho et al. 2020) and DDIM (Song et al. 2021) differ only in how much noise
the rule puts back. Guidance is a wrapper round the denoiser: no sampler knows of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Callable

import torch

from brightpaint.models.diffusion import Denoise

CUTOFF = 15.0  # largest |z-score| of a prepared image; predictions of clean stains are clipped to it at every step


def step(
    y: torch.Tensor,
    gamma_from: float,
    gamma_to: float,
    eps: torch.Tensor,
    eta: float,
    *,
    noise: torch.Tensor | None = None,
    large_variance: bool = False,
) -> torch.Tensor:
    """Move noisy stains from one noise level to another (Song et al. 2021, eq. 12).

    Parameters
    ----------
    y : (B, C, H, W) stains at `gamma_from`
    gamma_from, gamma_to : the levels; gamma_to < gamma_from walks upwards, towards noise (eta 0)
    eps : the noise found in `y`
    eta : 0 is deterministic; 1 has the mean of ancestral sampling
    noise : standard normal, like `y`; None adds no noise
    large_variance : at eta 1, add noise of variance 1 - alpha as the paper does (eq. 8), in place of that
        variance times (1 - gamma_to) / (1 - gamma_from)

    Returns
    -------
    (B, C, H, W) stains at `gamma_to`
    """
    alpha = gamma_from / gamma_to
    variance = eta**2 * (1 - gamma_to) / (1 - gamma_from) * (1 - alpha)
    clean = (y - math.sqrt(1 - gamma_from) * eps) / math.sqrt(gamma_from)
    moved = math.sqrt(gamma_to) * clean + math.sqrt(max(1 - gamma_to - variance, 0.0)) * eps
    if noise is None:
        return moved
    return moved + math.sqrt(1 - alpha if large_variance else variance) * noise


def clipped(denoise: Denoise, cutoff: float = CUTOFF) -> Denoise:
    """Wrap a denoiser so that the clean stains it implies stay within +- `cutoff`, as in the paper's code."""

    def bounded(x, y, gamma, labels):
        level = gamma.double()[:, None, None, None]
        signal, noise = level.sqrt().float(), (1 - level).sqrt().float()
        eps = denoise(x, y, gamma, labels)
        clean = (y - noise * eps) / signal
        outside = clean.abs() > cutoff
        return torch.where(outside, (y - signal * clean.clamp(-cutoff, cutoff)) / noise, eps)

    return bounded


def guided(denoise: Denoise, log_probability: Callable, classes: torch.Tensor, scale: float) -> Denoise:
    """Wrap a denoiser with classifier guidance: eps - sqrt(1 - gamma) s g (Dhariwal & Nichol 2021, Algorithm 2).

    g is the gradient of log p(k | y_t) with respect to the noisy stains. In ancestral sampling this moves the
    mean by s Sigma g / sqrt(alpha), which is their Algorithm 1 in the limit of many steps (within 0.5% at 2000).

    Parameters
    ----------
    log_probability : (x, y, gamma) -> (B, K) log-probabilities of classes 0 to K - 1
    classes : (B,) int64, the class wanted of each field; negative for a field to leave unguided
    scale : s
    """

    def guide(x, y, gamma, labels):
        eps = denoise(x, y, gamma, labels)
        if scale == 0 or not (classes >= 0).any():
            return eps
        with torch.enable_grad():
            variable = y.detach().requires_grad_()
            table = log_probability(x, variable, gamma)
            chosen = table.gather(1, classes.clamp(min=0)[:, None])[:, 0]
            gradient = torch.autograd.grad(torch.where(classes >= 0, chosen, 0.0).sum(), variable)[0]
        noise = (1 - gamma.double()).sqrt().float()[:, None, None, None]
        return eps - scale * noise * gradient

    return guide


def sample(
    denoise: Denoise,
    x: torch.Tensor,
    labels: torch.Tensor,
    path: Sequence[float],
    draw: Callable[[], torch.Tensor],
    *,
    sampler: str,
    eta: float = 0.0,
) -> torch.Tensor:
    """Paint stains from noise (paper 000, Algorithm 2).

    Parameters
    ----------
    denoise : (x, y, gamma, labels) -> eps
    x : (B, C_input, H, W) brightfield, z-scores
    labels : (B,) int64
    path : gammas from that of pure noise to 1, see `Schedule.path`
    draw : returns standard normal noise (B, C_target, H, W), new at each call
    sampler : `ddpm` (ancestral, variance 1 - alpha; eq. 8 exactly when `path` visits every level) or `ddim`
    eta : for `ddim`, the share of ancestral noise

    Returns
    -------
    (B, C_target, H, W) stains, z-scores
    """
    if sampler not in ("ddpm", "ddim"):
        raise ValueError(f"sampler {sampler!r}: expected ddpm or ddim")
    ancestral = sampler == "ddpm"
    eta = 1.0 if ancestral else eta
    y = draw()
    with torch.no_grad():
        for gamma_from, gamma_to in zip(path[:-1], path[1:]):
            gamma = torch.full((len(y),), gamma_from, dtype=torch.float64, device=y.device)
            eps = denoise(x, y, gamma, labels)
            noise = draw() if eta > 0 and gamma_to < 1 else None
            y = step(y, gamma_from, gamma_to, eps, eta, noise=noise, large_variance=ancestral)
    return y
