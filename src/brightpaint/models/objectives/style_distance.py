"""How far a painted image is from a real one, for finding the style that paints it: by pixels, and by a critic's maps.

Pixels are compared at several sizes, so that a bright cell that lies a little off is pulled towards its place; the critic's maps,
of all its sizes, add texture. At each place a map's channels are brought to length 1 first (Zhang et al. 2018, eq. 1, without
weights that were learnt elsewhere).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from brightpaint.models.networks.equalised import activated
from brightpaint.models.networks.image_critic import Critic

POOLED = (1, 2, 4, 8)  # pixels along a side that are compared as one
FEATURES = 0.1  # weight of the maps: both parts are then about as large for an image of another field
SMALL = 1e-8


def critic_maps(critic: Critic, images: torch.Tensor) -> list[torch.Tensor]:
    """Return the maps after each of a critic's blocks, finest first, channels of length 1 at each place."""
    h, found = activated(critic.image(images)), []
    for block in critic.blocks:
        h = block(h)
        found.append(h * torch.rsqrt(h.square().sum(1, keepdim=True) + SMALL))
    return found


class StyleDistance:
    """The distance of painted images from real ones, each from its own.

    Parameters
    ----------
    critic : whose maps are compared; None compares pixels alone
    real : (B, C, S, S) on the networks' scale
    """

    def __init__(self, critic: Critic | None, real: torch.Tensor):
        self.critic, self.real = critic, real
        with torch.no_grad():
            self.maps = critic_maps(critic, real) if critic else []

    def __call__(self, painted: torch.Tensor) -> torch.Tensor:
        """Return (B,) of images (B, C, S, S)."""
        apart = painted - self.real
        sizes = [size for size in POOLED if size <= apart.shape[-1]]
        found = sum((F.avg_pool2d(apart, size) if size > 1 else apart).square().mean((1, 2, 3)) for size in sizes)
        found = found / len(sizes)
        if self.critic:
            pairs = zip(critic_maps(self.critic, painted), self.maps)
            found = found + FEATURES * sum((own - theirs).square().sum(1).mean((1, 2)) for own, theirs in pairs)
        return found
