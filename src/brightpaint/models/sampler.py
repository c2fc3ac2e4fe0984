"""Samplers: one update rule between two noise levels, and the loop that walks it from noise to image.

Ancestral sampling (paper 000, eq. 8; Ho et al. 2020) and DDIM (Song et al. 2021) differ only in how much noise
the rule puts back; Heun (Karras et al. 2022) and DPM-Solver++(2M) (Lu et al. 2022) hand it a better eps. Guidance is a
wrapper round the denoiser: no sampler knows of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Callable

import torch

from brightpaint.models.diffusion import Denoise

SAMPLERS = ("ddpm", "ddim", "dpmpp", "heun")
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


def classifier_free(denoise: Denoise, scale: float) -> Denoise:
    """Wrap a denoiser with classifier-free guidance: eps_null + s (eps_label - eps_null) (Ho & Salimans 2022, eq. 6).

    Their weight w is s - 1: 1 is the labelled model itself, more goes further from what it paints without a label.
    A batch without labels is not guided; each guided evaluation is two of the network.
    """

    def guide(x, y, gamma, labels):
        eps = denoise(x, y, gamma, labels)
        if scale == 1 or not (labels > 0).any():
            return eps
        unlabelled = denoise(x, y, gamma, torch.zeros_like(labels))
        return unlabelled + scale * (eps - unlabelled)

    return guide


def within(guide: Denoise, denoise: Denoise, low: float, high: float) -> Denoise:
    """Guide only at noise levels sigma = sqrt((1 - gamma) / gamma) from `low` to `high` (Kynkaanniemi et al. 2024).

    Elsewhere the label is shown and nothing is amplified, which costs no evaluation more.
    """

    def limited(x, y, gamma, labels):
        sigma = math.sqrt((1 - float(gamma[0])) / float(gamma[0]))  # one level a batch in sampling
        return (guide if low <= sigma <= high else denoise)(x, y, gamma, labels)

    return limited


def second_order(
    y: torch.Tensor, eps: torch.Tensor, clean_before: torch.Tensor | None, gammas: Sequence[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the eps of DPM-Solver++(2M)'s extrapolated clean stains, and the clean stains that `eps` implies.

    With lambda = log sqrt(gamma / (1 - gamma)), h its step and r = h_before / h (Lu et al. 2022, Algorithm 2):
    D = (1 + 1 / 2r) clean - 1 / 2r clean_before. The first step has nothing before it and the last goes to
    lambda = infinity: both are of first order, which is DDIM.

    Parameters
    ----------
    y, eps : (B, C, H, W) at `gammas[1]`
    clean_before : the clean stains implied at `gammas[0]`, None at the first step
    gammas : the levels before, here and next
    """
    before, here, after = gammas
    clean = (y - math.sqrt(1 - here) * eps) / math.sqrt(here)
    if clean_before is None or after >= 1:
        return eps, clean
    lambdas = [0.5 * (math.log(gamma) - math.log1p(-gamma)) for gamma in gammas]
    weight = 0.5 * (lambdas[2] - lambdas[1]) / (lambdas[1] - lambdas[0])  # 1 / 2r
    extrapolated = (1 + weight) * clean - weight * clean_before
    return (y - math.sqrt(here) * extrapolated) / math.sqrt(1 - here), clean


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
    sampler : `ddpm` (ancestral, variance 1 - alpha; eq. 8 exactly when `path` visits every level), `ddim`,
        `dpmpp` (DPM-Solver++(2M)) or `heun` (two evaluations a step, but for the last)
    eta : for `ddim`, the share of ancestral noise

    Returns
    -------
    (B, C_target, H, W) stains, z-scores
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler {sampler!r}: expected one of {', '.join(SAMPLERS)}")
    ancestral = sampler == "ddpm"
    eta = {"ddpm": 1.0, "ddim": eta}.get(sampler, 0.0)
    y, clean = draw(), None

    def found(stains, gamma):
        return denoise(x, stains, torch.full((len(y),), gamma, dtype=torch.float64, device=y.device), labels)

    with torch.no_grad():
        for place, (gamma_from, gamma_to) in enumerate(zip(path[:-1], path[1:])):
            eps = found(y, gamma_from)
            if sampler == "heun" and gamma_to < 1:  # Karras et al. 2022, Algorithm 1: the mean of both ends' slopes
                eps = (eps + found(step(y, gamma_from, gamma_to, eps, 0.0), gamma_to)) / 2
            if sampler == "dpmpp":
                before = path[place - 1] if place else gamma_from
                eps, clean = second_order(y, eps, clean, (before, gamma_from, gamma_to))
            noise = draw() if eta > 0 and gamma_to < 1 else None
            y = step(y, gamma_from, gamma_to, eps, eta, noise=noise, large_variance=ancestral)
    return y
