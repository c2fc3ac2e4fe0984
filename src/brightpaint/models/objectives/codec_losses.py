"""What a codec of stains is trained on: mean absolute error, KL divergence, and a critic if one is asked for.

Both are means over their numbers, of pixels and of latents. Libraries sum the KL divergence over a latent's elements, so that its
weight means another thing with every size of image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from brightpaint.models.networks.equalised import at_least_single
from brightpaint.models.objectives.gan_losses import CRITIC, R1_EVERY, Scale, lazy_adam
from brightpaint.models.objectives.updates import MODEL, Update

ADAM = {MODEL: {}, CRITIC: lazy_adam(R1_EVERY)}


def kl_per_element(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Return the KL divergence of N(mean, variance) from N(0, 1), its mean over all elements (Kingma & Welling, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


@dataclass(frozen=True)
class Reconstruction:
    """Paint the stains again from latents that are drawn as the encoder says.

    Attributes
    ----------
    latents, stride_px : channels of the latent, and pixels along a side that become one of it
    kl_weight : of the KL divergence per element
    adversarial : weight of the critic's verdict; 0 has no critic
    scale : from z-scores to what the critic sees
    r1 : weight of the critic's R1
    """

    latents: int
    stride_px: int
    kl_weight: float
    adversarial: float = 0.0
    scale: Scale | None = None
    r1: float = 0.0
    inputs = 0  # a codec is one of stains

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor]:
        """Draw the noise of the latents of stains of shape (B, C, H, W)."""
        count, _, height, width = shape
        size = (count, self.latents, height // self.stride_px, width // self.stride_px)
        return (torch.randn(size, generator=generator, device=generator.device),)

    @property
    def updates(self) -> tuple[Update, ...]:
        own = (Update(MODEL, self.loss),)
        if not self.adversarial:
            return own
        regularised = Update(CRITIC, self.critic_r1, every=R1_EVERY, word="r1", scale=R1_EVERY * self.r1 / 2)
        return (*own, Update(CRITIC, self.critic, word="critic_loss"), regularised)

    def loss(self, networks: Mapping, x, y, condition, eps) -> torch.Tensor:
        """Mean absolute error and weighted KL divergence per element, and what the critic doubts where there is one."""
        painted, mean, log_variance = networks[MODEL](y, eps)
        total = (painted - y).abs().mean() + self.kl_weight * kl_per_element(mean, log_variance)
        if self.adversarial:
            total = total + self.adversarial * F.softplus(-networks[CRITIC](self.scale.shown(painted))).mean()
        return total

    def critic(self, networks: Mapping, x, y, condition, eps) -> torch.Tensor:
        """Real stains up, painted ones down (`gan_losses`)."""
        with torch.no_grad():
            painted, _, _ = networks[MODEL](y, eps)
        verdicts = (networks[CRITIC](self.scale.shown(images)) for images in (painted, y))
        return sum(F.softplus(sign * verdict).mean() for sign, verdict in zip((1, -1), verdicts))

    def critic_r1(self, networks: Mapping, x, y, condition, eps) -> torch.Tensor:
        """The squared gradient of the logit by a real image, mean over images."""
        real = self.scale.shown(y).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(networks[CRITIC](real).sum(), real, create_graph=True)
        return at_least_single(gradient).square().sum((1, 2, 3)).mean()
