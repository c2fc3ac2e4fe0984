"""The noise schedule: how much of the image is left at each of T levels, shared by denoiser and classifier.

`gamma` is the share of the image's variance in the noisy image (Saharia et al. 2022, eq. 1). The betas rise
linearly from 1e-6 to 0.01 over 2000 levels as in the code of the paper; the (10e-6, 0.001) that the paper
prints leaves gamma_T = 0.36 and could not start from pure noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch

RHO = 7.0  # Karras et al. 2022
# Just beyond what training and sampling reach (-10.03 at gamma_T, 13.82 at level 1): the ends, gamma 0 and 1, where
# log-SNR is infinite, are told nearly as the outermost levels that a network knows, and no other level changes.
LOG_SNR_RANGE = (-10.1, 13.9)
# Where nothing is to be left: a thousandth of the stains' s.d., the least that float32 can tell from noise without loss.
NEAREST = 1e-6
SIGMA_MIN = 0.01  # noise of a hundredth of a stain's s.d., which no eye and no feature sees


@dataclass(frozen=True)
class Schedule:
    """A linear schedule of T noise levels.

    Attributes
    ----------
    first, last : beta of level 1 and of level T
    levels : T
    zero : whether the roots of the gammas are shifted and stretched so that nothing is left at level T (Lin et al. 2024,
        Algorithm 1): NEAREST, which stands for nothing
    """

    first: float = 1e-6
    last: float = 0.01
    levels: int = 2000
    zero: bool = False

    @cached_property
    def gammas(self) -> np.ndarray:
        """(T + 1,) float64; gammas[t] is gamma after t noising steps, gammas[0] = 1."""
        betas = np.linspace(self.first, self.last, self.levels)
        gammas = np.concatenate([[1.0], np.cumprod(1 - betas)])
        if not self.zero:
            return gammas
        roots, nearest = np.sqrt(gammas), np.sqrt(NEAREST)
        return (nearest + (1 - nearest) * (roots - roots[-1]) / (1 - roots[-1])) ** 2

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Draw gammas for training: t uniform in 2..T, then gamma uniform between levels t-1 and t.

        (The paper's code counts levels from 0 and writes 1..T-1.)

        Returns
        -------
        (count,) float64 on the generator's device
        """
        device = generator.device
        gammas = on_device(self, device)
        t = torch.randint(2, self.levels + 1, (count,), generator=generator, device=device)
        share = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        return gammas[t - 1] + share * (gammas[t] - gammas[t - 1])

    def path(self, steps: int, spacing: str = "level") -> list[float]:
        """Return steps + 1 gammas from gamma_T to 1.

        Parameters
        ----------
        steps : from 1 to T
        spacing : `level`, evenly spaced in t (steps = T visits every level); or `karras`, sigma^(1/7) evenly spaced
            from that of level T to SIGMA_MIN, then 1 (Karras et al. 2022, eq. 5): more steps where details form
        """
        if not 1 <= steps <= self.levels:
            raise ValueError(f"steps {steps}: expected from 1 to {self.levels}, the number of noise levels")
        if spacing == "karras":
            first = ((1 - self.gammas[-1]) / self.gammas[-1]) ** (0.5 / RHO)
            sigmas = np.linspace(first, SIGMA_MIN ** (1 / RHO), max(steps, 2))[:steps] ** RHO
            return [*(1 / (1 + sigmas**2)).tolist(), 1.0]
        if spacing != "level":
            raise ValueError(f"spacing {spacing!r}: expected level or karras")
        visited = np.round(np.linspace(self.levels, 0, steps + 1)).astype(int)
        return [float(gamma) for gamma in self.gammas[visited]]


def schedule_of(settings: dict) -> Schedule:
    """Return the schedule that a model's settings name (`terminal_snr`)."""
    return Schedule(zero=settings.get("terminal_snr") == "zero")


@cache
def on_device(schedule: Schedule, device: torch.device) -> torch.Tensor:
    """Return the schedule's gammas (T + 1,) float64 on the device, copied there once: a copy a step would wait."""
    return torch.as_tensor(schedule.gammas, device=device)


def log_snr(gamma: torch.Tensor) -> torch.Tensor:
    """Return log(gamma / (1 - gamma)), the logarithm of the signal-to-noise ratio, in float64."""
    gamma = gamma.double()
    return torch.log(gamma) - torch.log1p(-gamma)


def bounded_log_snr(gamma: torch.Tensor) -> torch.Tensor:
    """Return log-SNR in float64, finite at every gamma from 0 to 1."""
    return log_snr(gamma).clamp(*LOG_SNR_RANGE)
