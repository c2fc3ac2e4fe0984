"""What the network's output means, and the loss it is trained on. The network itself knows neither.

`paper` emits eps, as Saharia et al. 2022 do. `fast` is preconditioned as in Karras et al. 2022 (EDM), for stains whose
s.d. is `RESIDUAL_SD` once brightfield and neighbourhood are known: nearly everywhere it emits the clean stains, and
only where little noise is left a correction to the noisy ones. So it never has to carry white noise through the
network, which a small network trained for minutes cannot (its pictures come out filled with noise).
"""

from __future__ import annotations

from typing import Callable

import torch
from torch import nn

RESIDUAL_SD = 0.25


def scales(gamma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sqrt(gamma) and sqrt(1 - gamma) as (B, 1, 1, 1) float32, computed in float64."""
    gamma = gamma.double()[:, None, None, None]
    return gamma.sqrt().float(), (1 - gamma).sqrt().float()


def add_noise(y: torch.Tensor, gamma: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """Return the noisy stains (Saharia et al. 2022, eq. 1); `y`, `eps` are (B, C, H, W), `gamma` is (B,)."""
    signal, noise = scales(gamma)
    return signal * y + noise * eps


class Denoiser(nn.Module):
    """A network with the meaning of its output: called, it returns eps.

    Parameters
    ----------
    network : network(x, y, gamma, condition), (B, C, H, W)
    output : what the network emits, `eps` or `preconditioned`
    sd : of what is denoised, for which it is preconditioned
    """

    def __init__(self, network: nn.Module, output: str, sd: float = RESIDUAL_SD):
        super().__init__()
        if output not in ("eps", "preconditioned"):
            raise ValueError(f"output {output!r}: expected eps or preconditioned")
        self.network, self.output, self.sd = network, output, sd

    def forward(self, x, y, gamma, condition):
        if self.output == "eps":
            return self.network(x, y, gamma, condition)
        return preconditioned_eps(self.network(x, seen(y, gamma, self.sd), gamma, condition), y, gamma, self.sd)


def seen(y: torch.Tensor, gamma: torch.Tensor, sd: float = RESIDUAL_SD) -> torch.Tensor:
    """Return the noisy stains as the network sees them: weighed by the share of the signal in them.

    The weight is sqrt(gamma) sd / sqrt(V), the Wiener gain of stains of that s.d. in units of it: white noise alone
    weighs nothing, so that where sampling starts the brightfield image decides and not the draw of the noise.
    """
    signal, noise = scales(gamma)
    return y * (signal * sd / ((signal * sd) ** 2 + noise**2).sqrt())


def preconditioned_eps(
    raw: torch.Tensor, y: torch.Tensor, gamma: torch.Tensor, sd: float = RESIDUAL_SD
) -> torch.Tensor:
    """Return eps for a preconditioned output: clean = c_skip y + c_out raw (Karras et al. 2022, table 1).

    In the variance-preserving form, with V = gamma sd^2 + 1 - gamma: c_skip = sqrt(gamma) sd^2 / V and
    c_out = sd sqrt((1 - gamma) / V); eps = (y - sqrt(gamma) clean) / sqrt(1 - gamma), multiplied out.
    """
    signal, noise = scales(gamma)
    variance = (signal * sd) ** 2 + noise**2
    return noise / variance * y - signal * sd / variance.sqrt() * raw


def loss(
    denoiser: Callable, x, y, condition, gamma, eps, objective: str, norm: str = "l2", weigh: Callable | None = None
) -> torch.Tensor:
    """Return the L2 or L1 loss on eps or on v, averaged over everything (paper 000, Algorithm 1, line 5).

    v = sqrt(gamma) eps - sqrt(1 - gamma) y (Salimans & Ho 2022): an error of v is that of eps by sqrt(gamma), so
    levels of much noise, where the brightfield image alone must tell, weigh more.

    Parameters
    ----------
    x, y : (B, C, H, W) brightfield and clean stains, z-scores
    condition : of B images
    gamma : (B,)
    eps : like `y`, standard normal
    objective : `eps` as in the paper, or `v`
    norm : `l2` as in the paper, or `l1`, which paints less variety (found by Saharia et al. 2022)
    weigh : what the error counts as, a linear map of (B, C, H, W); as it is without one
    """
    if norm not in ("l1", "l2"):
        raise ValueError(f"loss {norm!r}: expected l1 or l2")
    if objective not in ("eps", "v"):
        raise ValueError(f"objective {objective!r}: expected eps or v")
    error = denoiser(x, add_noise(y, gamma, eps), gamma, condition) - eps
    error = error / scales(gamma)[0] if objective == "v" else error
    error = weigh(error) if weigh else error
    return (error**2 if norm == "l2" else error.abs()).mean()
