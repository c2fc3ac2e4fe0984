"""Objectives of models that stand on a base, which paints without noise: what is learnt is what its image m leaves open.

Three ways to the stains y, and what the network's output means on each:

`Whitened` : the error in units of its own noise, u (`whitened_error`), is denoised. Its s.d. is 1 and it has no colour, so that a
    network whose output is 0, preconditioned for an s.d. of 1, is the denoiser of that noise: untrained, it paints the floor.
`Flow` : posterior-mean rectified flow (Ohayon et al. 2024, arXiv 2410.00418). A straight line leads from m with a
    little noise to y, and the network tells its slope from where it is, and not from brightfield: that makes it the transport
    of least error among those whose images are distributed as real ones, and no sampler of what else could be there.
`Bridge` : image-to-image Schroedinger bridge (Liu et al. 2023, arXiv 2302.05872, section 3), from m to y through noise whose
    variance is largest between them, in units of the error's root mean square, by which its noise is as wide as the error.

The base is asked for each crop, told all that the image is told; the condition is dropped of the network alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Callable

import torch
from torch import nn

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.objectives import denoiser
from brightpaint.models.objectives.losses import SCHEDULE, dropped, noise
from brightpaint.models.objectives.updates import MODEL, Update
from brightpaint.models.objectives.whitened_error import WhitenedError
from brightpaint.models.schedule import Schedule

BASE_NETWORK = "base"  # its name among the networks of a training: frozen
START_SHARE = 0.5  # s.d. of a flow's first noise, of the error's: without any it could make one image of one alone
LEAST_TIME = 1e-3  # of a bridge, below which nothing is left to find


@dataclass(frozen=True, kw_only=True)
class OnBase:
    """What the three share.

    Attributes
    ----------
    inputs : number of brightfield planes, the first channels of an image of the stack
    dropout, others : shares of the images that are not told their label, and each other condition
    """

    inputs: int
    dropout: float = 0.0
    others: tuple[float, ...] = ()

    @property
    def updates(self) -> tuple[Update, ...]:
        return (Update(MODEL, self.loss),)

    def untold(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Draw what images are not told."""
        return dropped(count, generator, self.dropout, self.others)

    def loss(self, networks: Mapping[str, Callable], x, y, condition: Condition, *drawn) -> torch.Tensor:
        raise NotImplementedError


def painted(networks: Mapping[str, Callable], x: torch.Tensor, condition: Condition) -> torch.Tensor:
    """Return what the base paints: (B, C_input, H, W) -> (B, C_target, H, W) float32, without gradients."""
    with torch.no_grad():
        return networks[BASE_NETWORK](x, condition).float()


@dataclass(frozen=True, kw_only=True)
class Whitened(OnBase):
    """Find the noise that was added to the whitened error.

    Attributes
    ----------
    error : what whitens the errors of the images that are shown
    objective, norm, schedule : as in `losses.Denoising`
    painted : judge what is wrong as it is painted, and not in white units
    """

    error: WhitenedError
    objective: str
    norm: str
    schedule: Schedule = SCHEDULE
    painted: bool = False

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw gamma, eps and what is not told, for stains of shape (B, C, H, W)."""
        return *noise(shape, generator, self.schedule), self.untold(shape[0], generator)

    def loss(self, networks, x, y, condition, gamma, eps, untold):
        m = painted(networks, x, condition)
        u, seen = self.error.to(y.device)(y, m), torch.cat([x, m], dim=1)
        told, weigh = condition.without(untold), partial(self.error.judged, painted=self.painted)
        return denoiser.loss(networks[MODEL], seen, u, told, gamma, eps, self.objective, self.norm, weigh)


def in_units(values: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Return images (B, C, H, W) divided by a unit of each channel, 1 where that is 0."""
    return values / torch.where(unit > 0, unit, 1).to(values.device)[:, None, None]


@dataclass(frozen=True, kw_only=True)
class Flow(OnBase):
    """Tell the slope of the line from m, with noise, to y.

    Attributes
    ----------
    unit : (C,) root mean square of the base's error on wells that validate, by which slopes are counted
    """

    unit: torch.Tensor

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw times from 0 to 1, (B,) float64, the noise of the start, and what is not told."""
        time = torch.rand(shape[0], generator=generator, device=generator.device, dtype=torch.float64)
        eps = torch.randn(shape, generator=generator, device=generator.device)
        return time, eps, self.untold(shape[0], generator)

    def loss(self, networks, x, y, condition, time, eps, untold):
        start = painted(networks, x, condition) + noise_of(self.unit, eps)
        share = time.float()[:, None, None, None]
        slope = networks[MODEL](x, start + share * (y - start), time, condition.without(untold))
        return (in_units(slope - (y - start), self.unit) ** 2).mean()


def noise_of(unit: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """Return the noise with which a flow starts from m: `eps` is standard normal, (B, C, H, W)."""
    return START_SHARE * unit.to(eps.device)[:, None, None] * eps


class Slope(nn.Module):
    """A network of a flow with the meaning of its output: called, it returns the slope, z-scores a unit of time.

    Parameters
    ----------
    network : network(x, z, time, condition); it is shown no plane beside z
    unit : as of `Flow`
    """

    def __init__(self, network: nn.Module, unit: torch.Tensor):
        super().__init__()
        self.network = network
        self.register_buffer("unit", unit.float()[:, None, None], persistent=False)

    def forward(self, x, z, time, condition):
        return self.unit * self.network(x[:, :0], z, time, condition)


@dataclass(frozen=True, kw_only=True)
class Bridge(OnBase):
    """Find the error of the base from a point between it and 0, which is m.

    Attributes
    ----------
    unit : (C,) root mean square of the base's error on the images that are shown
    """

    unit: torch.Tensor

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw 1 - time, (B,) float64 from 0 (at m) to 1, noise, and what is not told."""
        share = torch.rand(shape[0], generator=generator, device=generator.device, dtype=torch.float64)
        eps = torch.randn(shape, generator=generator, device=generator.device)
        return share * (1 - LEAST_TIME), eps, self.untold(shape[0], generator)

    def loss(self, networks, x, y, condition, near, eps, untold):
        m = painted(networks, x, condition)
        error, seen = in_units(y - m, self.unit), torch.cat([x, m], dim=1)
        found = networks[MODEL](seen, bridged(error, near, eps), near, condition.without(untold))
        return ((found - error) ** 2 / (1 - near.float())[:, None, None, None]).mean()


def bridged(error: torch.Tensor, near: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """Return a point of the bridge between an error, in its units, and 0 (Liu et al. 2023, section 3.2, of variance 1 in all).

    Parameters
    ----------
    error, eps : (B, C, H, W), the second standard normal
    near : (B,) float64, share of the way from 0 to the error, 1 - t
    """
    signal, spread = near, (near * (1 - near)).sqrt()
    return signal.float()[:, None, None, None] * error + spread.float()[:, None, None, None] * eps


class Bridged(nn.Module):
    """A network of a bridge with the meaning of its output: called, it returns the error that it finds, in units.

    An error of s.d. 1 is at each point, by what is known there, as large as the point itself: error = z + sqrt(t) raw, which is
    the paper's own output (X_t - X_0) / sigma_t with the sign turned, and what EDM's preconditioning comes to.

    Parameters
    ----------
    network : network(x, z, near, condition), whose x are brightfield and what the base paints
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x, z, near, condition):
        return z + (1 - near).sqrt().float()[:, None, None, None] * self.network(x, z, near, condition)
