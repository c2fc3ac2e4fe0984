"""Project images to the styles by which a generator paints them (Karras et al. 2020, section 5; Abdal et al. 2019).

The styles of each image are moved by Adam until what they paint is near the image. In W an image has one style, which all layers
take, and begins at the generator's mean style. In W+ each layer has its own: it begins with the style of W, from which it comes
nearer, and may leave what the generator knows. Noise is given, not sought: what it decides is no style.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

RATE = 0.1  # of Adam, in s.d. of styles, of one row
BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Projection:
    """What was found for B images.

    Attributes
    ----------
    styles : (B, L, D)
    begun, ended : (B,) distance of what the styles paint that it began with, and of what they paint now
    update : (B,) the largest last step of a number of the style, in s.d. of styles
    """

    styles: torch.Tensor
    begun: torch.Tensor
    ended: torch.Tensor
    update: torch.Tensor


def rate_at(step: int, steps: int, rows: int) -> float:
    """Return Adam's rate in one of `steps` steps: half a cosine down to 0, so that the last styles are at rest.

    A step moves the styles of all layers at once, each by the rate: of several rows each goes less far.
    """
    return RATE / math.sqrt(rows) * 0.5 * (1 + math.cos(math.pi * step / steps))


def project(
    paint: Callable[[torch.Tensor], torch.Tensor],
    distance: Callable[[torch.Tensor], torch.Tensor],
    start: torch.Tensor,
    spread: float,
    steps: int,
) -> Projection:
    """Find the styles of B images, each by itself: nothing of one reaches another.

    Parameters
    ----------
    paint : styles (B, L, D) -> images
    distance : images -> (B,), of each from the one that is sought
    start : (B, L, D) styles
    spread : s.d. of styles, in which steps are taken: how large a generator's styles are does not matter then
    steps : of Adam
    """
    moved = torch.zeros_like(start, requires_grad=True)
    adam = torch.optim.Adam([moved], lr=RATE, betas=BETAS)
    begun = before = None
    for step in range(steps):
        adam.param_groups[0]["lr"] = rate_at(step, steps, start.shape[1])
        far = distance(paint(start + spread * moved))
        (moved.grad,) = torch.autograd.grad(far.sum(), moved)
        begun, before = far.detach() if begun is None else begun, moved.detach().clone()
        adam.step()
    found = start + spread * moved.detach()
    with torch.no_grad():
        ended = distance(paint(found))
    return Projection(found, begun, ended, (moved.detach() - before).abs().flatten(1).amax(1))


def nearer(one: Projection, other: Projection) -> Projection:
    """Return of each image the styles that are nearer; as begun stands what the first began with."""
    better = other.ended < one.ended
    styles = torch.where(better[:, None, None], other.styles, one.styles.expand_as(other.styles))
    ended, update = (torch.where(better, *pair) for pair in ((other.ended, one.ended), (other.update, one.update)))
    return Projection(styles, one.begun, ended, update)
