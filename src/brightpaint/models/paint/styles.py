"""A trained generator as what shows real fields as another class: projected to styles, moved along a class direction, painted.

After Phenexplain: a class is a place among the styles of a StyleGAN2, and a real image is shown as another class by moving its
style from one to the other. The generator here learnt without labels, so that a class's place is the mean style of its real
training images, each projected as the source is. Fields are cut into squares of the generator's size, each projected by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint.base.seeds import seed_of
from brightpaint.models.compute import Compute
from brightpaint.models.image_squares import joined, squares
from brightpaint.models.networks.image_critic import Critic
from brightpaint.models.networks.style_generator import Generator
from brightpaint.models.objectives.gan_losses import CRITIC, GENERATOR, Scale
from brightpaint.models.objectives.style_distance import StyleDistance
from brightpaint.models.paint.field_noise import field_noise
from brightpaint.models.paint.project import Projection, nearer, project
from brightpaint.models.see_critic import build_critic, build_generator, part_of
from brightpaint.models.trained import load_module
from brightpaint.study.presets import LATENT
from brightpaint.study.style_directions import PLUS

BATCH = 16  # squares at once, the last batch filled up: with another shape the last bits may differ
DRAWN = 4096  # styles, of which the mean and the spread are taken


@dataclass(frozen=True)
class Styles:
    """A generator, and how real squares are projected to its styles.

    Attributes
    ----------
    centre : (512,) the mean style
    spread : s.d. of styles about it
    rows : styles of a square: 1 in W, one a layer in W+
    steps : of projection, in W+ as many again
    scale : from z-scores to what the networks see
    critic : whose maps are compared beside pixels; None: pixels alone
    size_px : height and width of a square
    """

    generator: Generator
    critic: Critic | None
    scale: Scale
    centre: torch.Tensor
    spread: float
    rows: int
    steps: int
    device: torch.device
    size_px: int

    def project(self, images: np.ndarray, noise: torch.Tensor) -> Projection:
        """Return the styles of squares (n, C, S, S), z-scores, painted with `noise` (n, .): all on the CPU."""
        found = [self._projected(images[part].astype(np.float32), noise[part]) for part in _batches(len(images))]
        parts = {name: torch.cat([getattr(one, name).cpu() for one in found])[: len(images)] for name in FOUND}
        return Projection(**parts)

    def _projected(self, images: np.ndarray, noise: torch.Tensor) -> Projection:
        """Project one batch."""
        noise = noise.to(self.device)
        distance = StyleDistance(self.critic, self.scale.shown(torch.from_numpy(images).to(self.device)))

        def paint(styles: torch.Tensor) -> torch.Tensor:
            return self._painted(styles, noise)

        found = project(paint, distance, self.centre.expand(len(images), 1, -1), self.spread, self.steps)
        if self.rows == 1:
            return found
        start = found.styles.expand(-1, self.rows, -1)
        return nearer(found, project(paint, distance, start, self.spread, self.steps))

    def paint(self, styles: torch.Tensor, noise: torch.Tensor) -> np.ndarray:
        """Return squares (n, C, S, S), float32 z-scores, of styles (n, L, 512) and noise (n, .)."""
        painted = []
        for part in _batches(len(styles)):
            with torch.no_grad():
                images = self._painted(styles[part].to(self.device), noise[part].to(self.device))
                painted.append(self.scale.z_scores(images).cpu().numpy())
        return np.concatenate(painted)[: len(styles)]

    def drawn(self, source: torch.Generator, count: int) -> torch.Tensor:
        """Draw styles of no image, (count, L, 512), the same in all layers."""
        z = torch.randn(count, LATENT, generator=source)
        styles = []
        for part in _batches(count):
            with torch.no_grad():
                styles.append(self.generator.mapping(z[part].to(self.device)).cpu())
        return torch.cat(styles)[:count, None].expand(-1, self.rows, -1)

    def _painted(self, styles: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return self.generator.painted(styles.expand(-1, self.generator.layers, -1), noise)


FOUND = ("styles", "begun", "ended", "update")


def _batches(count: int) -> list[list[int]]:
    """Return the numbers of batches of BATCH, the last filled up with its last."""
    firsts = range(0, count, BATCH)
    return [[min(number, count - 1) for number in range(first, first + BATCH)] for first in firsts]


def mean_style(generator: Generator, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of many styles of a generator, (512,), and their s.d. about it, ()."""
    z = torch.randn(DRAWN, LATENT, generator=torch.Generator().manual_seed(seed_of(seed, "mean style")))
    with torch.no_grad():
        w = generator.mapping(z.to(generator.start.device))
    return w.mean(0), (w - w.mean(0)).square().mean().sqrt()


def check_fills(size: tuple[int, int], size_px: int, where: str) -> None:
    """Raise ValueError unless squares of a generator's size fill a field: what they leave over could not be painted."""
    if any(side % size_px or not side for side in size):
        raise ValueError(
            f"{where}: fields of {size[0]} x {size[1]} px, and the generator paints squares of {size_px} px, which don't fill "
            "them; set prepare.size_px to a multiple of gan.size_px"
        )


def styles_of(path: Path, tensors: Mapping, settings: Mapping, channels: dict, how: Compute) -> Styles:
    """Return the styles of a generator and its critic, which `tensors` hold, as the settings of a model say.

    Parameters
    ----------
    path : of the weights file, for messages
    settings : `generator`, of what shape both are and what they see, and `projection`
    channels : of an image, `target`
    """
    described, chosen = settings["generator"], settings["projection"]
    generator, critic = (
        load_module(path, build(described, channels), part_of(tensors, name), how.device)
        for build, name in ((build_generator, GENERATOR), (build_critic, CRITIC))
    )
    centre, spread = mean_style(generator, described["seed"])
    rows = generator.layers if chosen["space"] == PLUS else 1
    scale, steps = Scale(described["windows"]), chosen["steps"]
    return Styles(generator, critic, scale, centre, float(spread), rows, steps, how.device, described["size_px"])


@dataclass(frozen=True)
class StyleTranslator:
    """What `translate` asks of a model: see `translator.Translator`.

    A latent is what is left of a square's style when the place of its class is taken off: (B, n, L, 512) of n squares a field.

    Attributes
    ----------
    means : {class: (L, 512) its place}
    settings : of the arm: seed, from_noise
    cutoff : largest |z-score| of what is painted
    size : height and width of a field, multiples of a square's
    """

    styles: Styles
    means: Mapping[str, torch.Tensor]
    settings: Mapping
    cutoff: float
    size: tuple[int, int]

    def shown(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return what it is told of fields beside their stains: no brightfield."""
        return x

    def up(self, x: np.ndarray, y: np.ndarray, name: str, rows: pd.DataFrame) -> tuple[torch.Tensor, dict]:
        """Return the latents of stains (B, C, H, W) of class `name`, and how well they were found, {word: (B,)}."""
        # A batch is filled up with its last field, which needs no projecting again.
        _, once, again = np.unique(rows.index.to_numpy(), return_index=True, return_inverse=True)
        cut = [squares(y[number], self.styles.size_px) for number in once]
        drawn = [self._drawn(rows.iloc[number], len(cut[0])) for number in once]
        if self.settings["from_noise"]:
            fresh = [self.styles.drawn(source, len(cut[0])) for _, source in drawn]
            latents, steps = torch.stack(fresh) - self.styles.centre.cpu(), 0
            update = torch.full(latents.shape[:2], float("nan"))
        else:
            found, steps = (
                self.styles.project(np.concatenate(cut), torch.cat([noise for noise, _ in drawn])),
                self.styles.steps,
            )
            latents, update = ((found.styles - self.means[name]).unflatten(0, (len(once), -1)),
                               found.update.unflatten(0, (len(once), -1)))  # fmt: skip
        away = latents.flatten(1).double() / self.styles.spread
        counted = torch.full((len(once),), steps)
        taken = counted * (1 if self.styles.rows == 1 else 2)  # in W, and from there in W+
        report = {
            "steps": counted, "iterations": taken, "unsettled_steps": torch.zeros_like(counted), "largest_update": update.amax(1),
            "latent_mean": away.mean(1), "latent_sd": away.std(1, unbiased=False),
            "latent_neighbour_r": torch.full((len(once),), float("nan")),
        }  # fmt: skip
        return latents[again], {word: values.numpy()[again] for word, values in report.items()}

    def down(self, x: np.ndarray, latents: torch.Tensor, name: str, rows: pd.DataFrame) -> np.ndarray:
        """Return stains (B, C, H, W) float32 that the latents show as class `name`."""
        count = latents.shape[1]
        noise = torch.cat([self._drawn(row, count)[0] for _, row in rows.iterrows()])
        painted = self.styles.paint((latents + self.means[name]).flatten(0, 1), noise)
        parts = np.clip(painted, -self.cutoff, self.cutoff).reshape(len(rows), count, *painted.shape[1:])
        return np.stack([joined(part, self.size) for part in parts])

    def _drawn(self, row: pd.Series, count: int) -> tuple[torch.Tensor, torch.Generator]:
        """Return the noise of the squares of a field (count, .), the same as every class, and where more is drawn from."""
        source = field_noise(row, self.settings["seed"])
        return torch.randn(count, self.styles.generator.noise, generator=source), source
