"""What a generator and its critic are trained on: StyleGAN2's losses, on images brought to [-1, 1].

The logistic loss (Goodfellow et al. 2014), R1 on real images (Mescheder et al. 2018) in every 16th step, and path length (Karras
et al. 2020, section 3.2) in every 4th. The paper of GAN-DL speaks of Wasserstein; the StyleGAN2 that it is built on has these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from brightpaint.models import compute
from brightpaint.models.networks.equalised import at_least_single
from brightpaint.models.networks.style_generator import Generator
from brightpaint.models.objectives import adaptive
from brightpaint.models.objectives.adaptive import Adaptive
from brightpaint.models.objectives.updates import Update
from brightpaint.study.presets import LATENT

GENERATOR, CRITIC = "generator", "critic"
R1_EVERY, PATH_EVERY = 16, 4
PAINTED, REAL, JUDGED = range(3)  # looks of the critic in a step, whose images are changed each in its way
LOOKS = 3
PATH_DECAY = 0.01  # share of the running mean of path lengths that each step renews
BETAS = (0.0, 0.99)
SMALL = 1e-8


def lazy_adam(every: int) -> dict:
    """Return Adam's options where one step in `every` is regularised by an update more (Karras et al. 2020, appendix B)."""
    share = every / (every + 1)
    return {"lr": share, "betas": tuple(beta**share for beta in BETAS)}


ADAM = {GENERATOR: lazy_adam(PATH_EVERY), CRITIC: lazy_adam(R1_EVERY)}


@dataclass(frozen=True)
class Scale:
    """The fixed line of each channel from z-scores to [-1, 1]; what lies beyond is cut off.

    Attributes
    ----------
    windows : the z-scores that become -1 and 1, of each channel
    """

    windows: Sequence[Sequence[float]]

    def shown(self, images: torch.Tensor) -> torch.Tensor:
        """Return z-scores (B, C, H, W) on the networks' scale."""
        low, high = images.new_tensor(np.asarray(self.windows)).T[..., None, None]  # (C, 1, 1) each
        return ((images - low) * (2 / (high - low)) - 1).clamp(-1, 1)

    def z_scores(self, images: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, H, W) on the networks' scale as z-scores, the inverse of `shown` where nothing was cut off."""
        low, high = images.new_tensor(np.asarray(self.windows)).T[..., None, None]
        return low + (images + 1) * ((high - low) / 2)


class Adversarial:
    """A generator against its critic.

    Parameters
    ----------
    generator : of which sizes are asked, and whose buffer holds the running mean of path lengths
    scale : of the images
    r1, path_length : weights of the regularisations
    mixing : share of images whose style changes from one w to another at a layer (style mixing)
    augment : how images are changed before the critic sees them; None: they are not
    """

    inputs = 0  # all channels are alike to a critic

    def __init__(
        self, generator: Generator, scale: Scale, *, r1: float, path_length: float, mixing: float,
        augment: Adaptive | None = None,
    ):  # fmt: skip
        self.module, self.scale, self.augment = generator, scale, augment
        self.weights, self.mixing = {"r1": r1, "path_length": path_length}, mixing

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw z and where styles change for two paintings, noise for both, and the direction of path lengths.

        Returns
        -------
        z (B, 2, 2, 512), cuts (B, 2), noise (B, noise), direction (B, C, H, W); with augmentation also, last of all, what changes
        the images of each look: (B, 3, 8), (B, 3, 2)
        """
        count, layers = shape[0], self.module.layers
        drawn = {"generator": generator, "device": generator.device}
        normal = partial(torch.randn, **drawn)
        cuts = torch.randint(1, layers, (count, 2), **drawn)
        mixed = torch.rand(count, 2, **drawn) < self.mixing
        z, noise = normal(count, 2, 2, LATENT), normal(count, self.module.noise)
        direction = normal(shape) / math.sqrt(shape[-1] * shape[-2])
        changes = adaptive.draw(count, LOOKS, generator) if self.augment else ()
        return z, torch.where(mixed, cuts, layers), noise, direction, *changes

    def shown(self, images: torch.Tensor, look: int, changes: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return images as the critic is shown them in one of LOOKS."""
        return self.augment.changed(images, *(part[:, look] for part in changes)) if self.augment else images

    @property
    def updates(self) -> tuple[Update, ...]:
        scaled = {"r1": R1_EVERY * self.weights["r1"] / 2, "path_length": PATH_EVERY * self.weights["path_length"]}
        return (
            Update(CRITIC, self.critic, word="critic_loss"),
            Update(CRITIC, self.r1, every=R1_EVERY, word="r1", scale=scaled["r1"]),
            Update(GENERATOR, self.generator, word="generator_loss"),
            Update(GENERATOR, self.path_length, every=PATH_EVERY, word="path_length", scale=scaled["path_length"]),
        )

    def critic(self, networks, x, y, condition, z, cuts, noise, direction, *changes) -> torch.Tensor:
        """Real images up, painted ones down."""
        with torch.no_grad():
            painted, _ = networks[GENERATOR](z[:, 0], cuts[:, 0], noise)
        down = F.softplus(networks[CRITIC](self.shown(painted, PAINTED, changes)))
        logits = networks[CRITIC](self.shown(self.scale.shown(y), REAL, changes))
        if self.augment:
            self.augment.saw(logits)
        return (down + F.softplus(-logits)).mean()

    def generator(self, networks, x, y, condition, z, cuts, noise, direction, *changes) -> torch.Tensor:
        """Painted images up, the form that does not saturate."""
        painted, _ = networks[GENERATOR](z[:, 1], cuts[:, 1], noise)
        return F.softplus(-networks[CRITIC](self.shown(painted, JUDGED, changes))).mean()

    def r1(self, networks, x, y, condition, *drawn) -> torch.Tensor:
        """The squared gradient of the logit by a real image, mean over images; where it is changed, by the image before."""
        real = self.scale.shown(y).detach().requires_grad_()
        logits = networks[CRITIC](self.shown(real, REAL, drawn[4:]))
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        return at_least_single(gradient).square().sum((1, 2, 3)).mean()

    def path_length(self, networks, x, y, condition, z, cuts, noise, direction, *changes) -> torch.Tensor:
        """The squared difference of |J_w^T y| from its running mean, on half of the batch (eq. 4)."""
        half = slice(0, (len(z) + 1) // 2)
        images, styles = networks[GENERATOR](z[half, 1], cuts[half, 1], noise[half])
        (gradient,) = torch.autograd.grad((images * direction[half]).sum(), styles, create_graph=True)
        # A generator that heeds no style has lengths of 0, at which a root has no gradient.
        lengths = (at_least_single(gradient).square().sum(2).mean(1) + SMALL).sqrt()
        mean = self.module.path_mean
        with torch.no_grad():  # the same in every process
            now = compute.total(float(lengths.mean()))[0] / compute.world()
            mean.lerp_(torch.full_like(mean, now), PATH_DECAY)
        return (lengths - mean.clone()).square().mean()
