"""Samplers: one update rule between two noise levels, and the loop that walks it between noise and image.

Ancestral sampling (paper 000, eq. 8; Ho et al. 2020) and DDIM (Song et al. 2021) differ only in how much noise
the rule puts back; Heun (Karras et al. 2022) and DPM-Solver++(2M) (Lu et al. 2022) hand it a better eps. Guidance is a
wrapper round the denoiser: no sampler knows of it.

All images of a batch are at one level, a number known before the walk starts: it is a Python float everywhere here, and
`at_levels` alone turns it into the tensor that a network is told. So nothing in a step waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Callable

import torch

from brightpaint.base.intensity import CUTOFF
from brightpaint.models.conditions.condition import Condition
from brightpaint.study.samplers import SAMPLERS

# denoise(x, y, gamma, condition) -> eps, gamma a float: every sampler and every guidance sees only this.
Denoise = Callable[[torch.Tensor, torch.Tensor, float, Condition], torch.Tensor]


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
    gamma_from, gamma_to : the levels, in (0, 1]; gamma_to < gamma_from walks upwards, towards noise (eta 0)
    eps : the noise found in `y`
    eta : 0 is deterministic; 1 has the mean of ancestral sampling
    noise : standard normal, like `y`; None adds no noise
    large_variance : at eta 1, add noise of variance 1 - alpha as the paper does (eq. 8), in place of that
        variance times (1 - gamma_to) / (1 - gamma_from)

    Returns
    -------
    (B, C, H, W) stains at `gamma_to`
    """
    if eta and gamma_to < gamma_from:
        raise ValueError(
            f"from gamma {gamma_from} to {gamma_to} with eta {eta}: upwards no noise is put back; set eta to 0"
        )
    alpha = gamma_from / gamma_to
    variance = eta**2 * (1 - gamma_to) / (1 - gamma_from) * (1 - alpha) if gamma_from < 1 else 0.0
    clean = (y - math.sqrt(1 - gamma_from) * eps) / math.sqrt(gamma_from)
    moved = math.sqrt(gamma_to) * clean + math.sqrt(max(1 - gamma_to - variance, 0.0)) * eps
    if noise is None:
        return moved
    return moved + math.sqrt(1 - alpha if large_variance else variance) * noise


def at_levels(network: Callable, path: Sequence[float], device: torch.device) -> Callable:
    """Let a network that is told its noise level by a tensor be asked at the levels of a path, by their numbers.

    The levels are laid on the device once, here: a tensor made in every step would make the host wait for the device.

    Parameters
    ----------
    network : (x, y, gamma, ...) with gamma (B,) float64, as denoiser and classifier are
    path : gammas

    Returns
    -------
    (x, y, gamma, ...) with gamma one of `path`
    """
    levels = dict(zip(path, torch.tensor(path, dtype=torch.float64, device=device).unbind()))

    def asked(x, y, gamma, *told):
        return network(x, y, levels[gamma].expand(len(y)), *told)

    return asked


def clipped(denoise: Denoise, cutoff: float = CUTOFF) -> Denoise:
    """Wrap a denoiser so that the clean stains it implies stay within +- `cutoff`, as in the paper's code.

    At gamma 1 there is nothing to bound: the clean stains are `y`, whatever eps is.
    """

    def bounded(x, y, gamma, condition):
        eps = denoise(x, y, gamma, condition)
        if gamma >= 1:
            return eps
        signal, noise = math.sqrt(gamma), math.sqrt(1 - gamma)
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
    classes : (B,) int64, the class wanted of each field; negative for a field to leave unguided. Looked at here and
        now, once a batch: a batch with nothing to guide is handed back as it came, which changes no value
    scale : s
    """
    if scale == 0 or not bool((classes >= 0).any()):
        return denoise
    wanted, unwanted = classes.clamp(min=0)[:, None], classes < 0

    def guide(x, y, gamma, condition):
        eps = denoise(x, y, gamma, condition)
        with torch.enable_grad():
            variable = y.detach().requires_grad_()
            chosen = log_probability(x, variable, gamma).gather(1, wanted)[:, 0]
            gradient = torch.autograd.grad(chosen.masked_fill(unwanted, 0.0).sum(), variable)[0]
        return eps - scale * math.sqrt(1 - gamma) * gradient

    return guide


def classifier_free(denoise: Denoise, scales: Mapping[str, float]) -> Denoise:
    """Wrap a denoiser with classifier-free guidance by each part of the condition (Ho & Salimans 2022, eq. 6, a factor).

    eps + sum over parts of (s - 1) (eps - eps_without), eps told everything and eps_without all but the part: each part goes
    further from what the model paints without it, the others told. 1 is the model told its condition; of a single part it is
    theirs, eps_null + s (eps - eps_null), whose weight w is s - 1.

    Each guided evaluation is one of the network on 1 + P times the images, P the parts whose scale is not 1: the batch with its
    condition, then without each. It is so for a batch that lacks the part too, since a network's last bits depend on how many
    images it is given.

    Parameters
    ----------
    scales : {part: s}
    """
    scales = {name: scale for name, scale in scales.items() if scale != 1}
    if not scales:
        return denoise

    def guide(x, y, gamma, condition):
        if foreign := [name for name in scales if name not in condition.parts]:
            known = ", ".join(condition.parts)
            raise ValueError(f"condition_scales: the model is not told {', '.join(foreign)}; it is told {known}")
        told = Condition.join([condition, *(condition.lacking([name]) for name in scales)])
        times = 1 + len(scales)
        eps, *without = denoise(torch.cat([x] * times), torch.cat([y] * times), gamma, told).chunk(times)
        if times == 2:
            return without[0] + scales[next(iter(scales))] * (eps - without[0])
        return eps + sum((scale - 1) * (eps - each) for scale, each in zip(scales.values(), without))

    return guide


def within(guide: Denoise, denoise: Denoise, low: float, high: float) -> Denoise:
    """Guide only at noise levels sigma = sqrt((1 - gamma) / gamma) from `low` to `high` (Kynkaanniemi et al. 2024).

    Elsewhere the label is shown and nothing is amplified, which costs no evaluation more.
    """

    def limited(x, y, gamma, condition):
        sigma = math.sqrt((1 - gamma) / gamma)
        return (guide if low <= sigma <= high else denoise)(x, y, gamma, condition)

    return limited


def second_order(
    y: torch.Tensor, eps: torch.Tensor, clean_before: torch.Tensor | None, gammas: Sequence[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the eps of DPM-Solver++(2M)'s extrapolated clean stains, and the clean stains that `eps` implies.

    With lambda = log sqrt(gamma / (1 - gamma)), h its step and r = h_before / h (Lu et al. 2022, Algorithm 2):
    D = (1 + 1 / 2r) clean - 1 / 2r clean_before. The first step has nothing before it, and no noise is
    lambda = infinity: the step to it, and upwards the two from it on, are of first order, which is DDIM.

    Parameters
    ----------
    y, eps : (B, C, H, W) at `gammas[1]`
    clean_before : the clean stains implied at `gammas[0]`, None at the first step
    gammas : the levels before, here and next
    """
    before, here, after = gammas
    clean = (y - math.sqrt(1 - here) * eps) / math.sqrt(here)
    if clean_before is None or max(gammas) >= 1:
        return eps, clean
    lambdas = [0.5 * (math.log(gamma) - math.log1p(-gamma)) for gamma in gammas]
    weight = 0.5 * (lambdas[2] - lambdas[1]) / (lambdas[1] - lambdas[0])  # 1 / 2r
    extrapolated = (1 + weight) * clean - weight * clean_before
    return (y - math.sqrt(here) * extrapolated) / math.sqrt(1 - here), clean


def check_path(path: Sequence[float]) -> None:
    """Raise ValueError unless these are gammas in (0, 1] that rise all the way, towards the image, or fall all the way."""
    pairs = list(zip(path[:-1], path[1:]))
    one_way = all(a < b for a, b in pairs) or all(a > b for a, b in pairs)
    if not path or not one_way or min(path) <= 0 or max(path) > 1:
        raise ValueError(f"path {list(path)}: expected gammas in (0, 1] that rise all the way or fall all the way")


def noise_share(sampler: str, eta: float, path: Sequence[float], draw: Callable | None) -> float:
    """Return the share of ancestral noise that a sampler puts back; raise ValueError where it can't along this path."""
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler {sampler!r}: expected one of {', '.join(SAMPLERS)}")
    eta = {"ddpm": 1.0, "ddim": eta}.get(sampler, 0.0)
    if eta > 0 and path[-1] < path[0]:
        raise ValueError(
            f"sampler {sampler} with eta {eta}: upwards no noise is put back; walk by ddim of eta 0, dpmpp or heun"
        )
    if eta > 0 and draw is None:
        raise ValueError(f"sampler {sampler} with eta {eta} puts noise back; give `draw`, its source")
    return eta


def walk(
    denoise: Denoise,
    y: torch.Tensor,
    x: torch.Tensor,
    condition: Condition,
    path: Sequence[float],
    *,
    sampler: str,
    eta: float = 0.0,
    draw: Callable[[], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Walk stains along a path of noise levels: down from noise to image (paper 000, Algorithm 2), or up, which inverts.

    Parameters
    ----------
    denoise : (x, y, gamma, condition) -> eps, asked at every level but the last (by `heun` there too, unless it is 1)
    y : (B, C_target, H, W) stains at `path[0]`: standard normal where sampling starts, a latent, or an image at gamma 1
    x : (B, C_input, H, W) brightfield, z-scores
    condition : of the B images
    path : gammas; from that of pure noise to 1 to paint, see `Schedule.path`, and the same backwards to invert
    sampler : `ddpm` (ancestral, variance 1 - alpha; eq. 8 exactly when `path` visits every level), `ddim`,
        `dpmpp` (DPM-Solver++(2M)) or `heun` (two evaluations a step, but one to gamma 1)
    eta : for `ddim`, the share of ancestral noise
    draw : returns standard normal noise like `y`, new at each call; asked only by `ddpm` and by eta > 0, which
        can't walk upwards

    Returns
    -------
    (B, C_target, H, W) stains at `path[-1]`; z-scores at gamma 1
    """
    check_path(path)
    eta, clean = noise_share(sampler, eta, path, draw), None
    with torch.no_grad():
        for place, (gamma_from, gamma_to) in enumerate(zip(path[:-1], path[1:])):
            eps = denoise(x, y, gamma_from, condition)
            if sampler == "heun" and gamma_to < 1:  # Karras et al. 2022, Algorithm 1: the mean of both ends' slopes
                eps = (eps + denoise(x, step(y, gamma_from, gamma_to, eps, 0.0), gamma_to, condition)) / 2
            if sampler == "dpmpp":
                before = path[place - 1] if place else gamma_from
                eps, clean = second_order(y, eps, clean, (before, gamma_from, gamma_to))
            noise = draw() if eta > 0 and gamma_to < 1 else None
            y = step(y, gamma_from, gamma_to, eps, eta, noise=noise, large_variance=sampler == "ddpm")
    return y


def unit_sd(path: Sequence[float], *, sampler: str, eta: float = 0.0) -> float:
    """Return the s.d. that a walk paints of white noise of s.d. 1, denoised exactly: eps = sqrt(1 - gamma) y. 1 is right.

    A walk is linear then: it is taken once, of a vector with one entry for each draw of noise.
    """
    draws = iter(torch.eye(len(path), dtype=torch.float64)[:, None])  # the start, and one a step at most
    exact = lambda x, y, gamma, condition: math.sqrt(1 - gamma) * y  # noqa: E731
    return float(walk(exact, next(draws), None, None, path, sampler=sampler, eta=eta, draw=lambda: next(draws)).norm())
