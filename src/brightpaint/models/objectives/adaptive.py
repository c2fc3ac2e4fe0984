"""Adaptive augmentation of what a critic sees (StyleGAN2-ADA, Karras et al. 2020b): no critic that knows few plates by heart.

Real and painted images are changed by the same chances, wherever the critic sees them, and gradients go through the change; so the
generator is never taught to paint a changed image. Changes keep what a biologist reads: flips, turns by 90 degrees, and shifts by
whole pixels, in this order, none of which makes a new grey value; intensity only if asked. Each is done with probability p, which
follows the share of real images that the critic is sure of.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from brightpaint.models import compute
from brightpaint.models.networks.equalised import at_least_single

EVERY = 4  # steps between two adjustments of p
MOST = 0.8  # of p: beyond, changed images can be painted for their own sake (section 2.2)
SHIFT = 0.125  # of an image's side, at most
SCALE_OCTAVES, BRIGHTNESS = 0.2, 0.1  # s.d. of the factor, as a power of 2, and of the shift, of all channels alike
FLIP, TURN, MOVE, LIGHT = range(4)  # places of their gates among the chances
CHANCES, AMOUNTS = 8, 2  # uniform numbers and normal ones that an image takes


def draw(count: int, looks: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw what changes the images of so many looks: chances (B, looks, 8) uniform, amounts (B, looks, 2) normal."""
    drawn = {"generator": generator, "device": generator.device}
    return torch.rand(count, looks, CHANCES, **drawn), torch.randn(count, looks, AMOUNTS, **drawn)


def reflected(places: torch.Tensor, side: int) -> torch.Tensor:
    """Return places beyond an image's edge as those that its mirror image shows there."""
    places = places.abs()
    return torch.where(places >= side, 2 * (side - 1) - places, places)


def sources(chances: torch.Tensor, p: float, side: int) -> torch.Tensor:
    """Return which pixel of its image each pixel shows, (B, side * side): flipped, turned, then shifted; chances (B, 8)."""
    done, value = chances[:, :4] < p, chances[:, 4:]
    reach = int(SHIFT * side)
    shift = ((value[:, 2:] * (2 * reach + 1)).long() - reach) * done[:, MOVE, None]  # (B, 2), from -reach to reach
    turns = (value[:, 1] * 4).long() * done[:, TURN]
    flips = ((value[:, 0] * 2).long() * done[:, FLIP]).bool()
    places = torch.arange(side, device=chances.device)
    y, x = (reflected(places - by[:, None], side) for by in shift.T)  # (B, side) each
    y, x = y[:, :, None].expand(-1, -1, side), x[:, None, :].expand(-1, side, -1)
    for _ in range(3):  # a turn: what lies at (y, x) came from (x, side - 1 - y)
        turned = (turns > 0)[:, None, None]
        y, x = torch.where(turned, x, y), torch.where(turned, side - 1 - y, x)
        turns = turns - 1
    return (y * side + torch.where(flips[:, None, None], side - 1 - x, x)).flatten(1)


@dataclass
class Adaptive:
    """The probability p of a change, and what it follows.

    Attributes
    ----------
    target : share of real images on the real side less that of others that p holds the critic to
    images : over which p goes from 0 to 1 at most
    intensity : whether images are also made brighter or darker
    p : the probability
    signs, seen : since the last adjustment: of the critic's logits of real images, and how many
    """

    target: float
    images: int
    intensity: bool = False
    p: float = 0.0
    signs: float = 0.0
    seen: int = 0

    def changed(self, images: torch.Tensor, chances: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, S, S) as the critic is shown them; at p = 0 the same tensor."""
        if not self.p:
            return images
        flat = images.flatten(2)
        places = sources(chances, self.p, images.shape[-1])[:, None].expand_as(flat)
        images = flat.gather(2, places).view_as(images)
        if self.intensity:
            done = (chances[:, LIGHT] < self.p).to(images.dtype)[:, None, None, None]
            factor, shift = (amount[:, None, None, None].to(images.dtype) for amount in amounts.T)
            lit = (images + 1) * 2 ** (SCALE_OCTAVES * factor * done) - 1
            images = lit + BRIGHTNESS * shift * done
        return images

    def saw(self, logits: torch.Tensor) -> None:
        """Note what the critic says of real images."""
        self.signs += float(at_least_single(logits.detach()).sign().sum())
        self.seen += len(logits)

    def adjust(self, step: int) -> None:
        """After every fourth step bring p up where the critic is surer of real images than the target, else down."""
        if step % EVERY:
            return
        signs, seen = (compute.total(value)[0] for value in (self.signs, float(self.seen)))
        if seen:
            over = signs / seen - self.target
            self.p = min(MOST, max(0.0, self.p + ((over > 0) - (over < 0)) * seen / self.images))
        self.signs, self.seen = 0.0, 0

    def state(self) -> dict[str, float]:
        """Return what a continued training needs, as JSON."""
        return {"p": self.p, "signs": self.signs, "seen": self.seen}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from a `state`; the signs of other processes' images are not kept."""
        self.p = float(state["p"])
        own = compute.first()
        self.signs, self.seen = (float(state["signs"]), int(state["seen"])) if own else (0.0, 0)
