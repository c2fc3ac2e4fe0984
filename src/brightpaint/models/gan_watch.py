"""Look at a generator and its critic as they are trained: how far samples are from real images, pictures, and when to stop.

A loss says little of a game of two. Two distances of Gaussians (as FID) say more, of the critic's own features and of
statistics that no network learns, each beside its floor, the distance of two halves of the real images. A critic's features
change as it learns: compare each with its own floor, not with an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.image import imsave

from brightpaint import store
from brightpaint.base.seeds import seed_of
from brightpaint.models.compute import Compute
from brightpaint.models.networks.image_critic import Critic, spread_of
from brightpaint.models.networks.style_generator import Generator
from brightpaint.models.objectives.gan_losses import Scale
from brightpaint.study.presets import LATENT

IMAGES = 128  # of each half of the real images, and of painted ones; fewer where there are fewer
BATCH = 16  # images at once, whatever the training's batch: bits depend on it
BANDS, COARSE = 8, 8  # of the power spectrum; pixels along a side by which images are compared
PICTURED = 6  # samples and real images side by side
IN_A_ROW = 2  # looks that must agree before a training is stopped
COLLAPSED = 0.02  # of the distance between real images
WON = 0.01  # mean logistic loss of a critic that is never in doubt


def frechet(left: np.ndarray, right: np.ndarray) -> float:
    """Return the Frechet distance of Gaussians fitted to rows (n, F) and (m, F) (Heusel et al. 2017, eq. 6).

    tr((C1 C2)^(1/2)) is the sum of the singular values of X1 X2^T, X the centred rows over sqrt(n - 1): exact however few rows
    there are. Those of R1 R2^T are the same, X = Q R.
    """
    means = left.mean(0), right.mean(0)
    rows = [(side - mean) / np.sqrt(len(side) - 1) for side, mean in zip((left, right), means)]
    factors = [np.linalg.qr(side, mode="r") for side in rows]
    cross = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    return float(np.square(means[0] - means[1]).sum() + sum(np.square(side).sum() for side in rows) - 2 * cross)


def statistics_of(images: np.ndarray) -> np.ndarray:
    """Return what no network learns: of each channel mean, s.d., quantiles and log power in bands, and correlations: (n, F).

    Parameters
    ----------
    images : (n, C, S, S) float32
    """
    flat = images.reshape(*images.shape[:2], -1).astype(np.float64)
    mean, sd = flat.mean(2), flat.std(2)
    quantiles = np.quantile(flat, [0.01, 0.1, 0.5, 0.9, 0.99], axis=2)
    power = np.abs(np.fft.rfft2((flat - mean[..., None]).reshape(images.shape))) ** 2 / flat.shape[2]
    frequency = np.hypot(np.fft.fftfreq(images.shape[2])[:, None], np.fft.rfftfreq(images.shape[3])[None])
    band = np.minimum((frequency * 2 * BANDS).astype(int), BANDS - 1)
    bands = [np.log(power[..., band == number].mean(-1) + 1e-6) for number in range(BANDS)]
    scaled = (flat - mean[..., None]) / (sd[..., None] + 1e-6)
    cross = np.einsum("nip,njp->nij", scaled, scaled) / flat.shape[2]
    upper = np.triu_indices(images.shape[1], 1)
    return np.concatenate([mean, sd, *quantiles, *bands, cross[:, upper[0], upper[1]]], axis=1)


def apart(images: np.ndarray) -> float:
    """Return the mean distance between images, root mean square over pixels of 8 x 8: a pixel's own noise tells nothing apart."""
    side = images.shape[-1] // COARSE
    coarse = (
        images.reshape(*images.shape[:2], COARSE, side, COARSE, side)
        .mean((3, 5))
        .reshape(len(images), -1)
        .astype(np.float64)
    )
    squared = np.square(coarse).sum(1)
    distances = np.maximum(squared[:, None] + squared - 2 * coarse @ coarse.T, 0) / coarse.shape[1]
    return float(np.sqrt(distances)[np.triu_indices(len(images), 1)].mean())


def samples(
    generator: Callable, shape: Generator, count: int, seed: int, how: Compute, truncation: float = 1.0
) -> np.ndarray:
    """Paint `count` images of fixed random numbers, (count, C, S, S) float32 on the networks' scale.

    Parameters
    ----------
    generator : called as `shape`, with the weights to sample by
    shape : the generator's module
    truncation : how far styles keep from the mean style, 1 as drawn
    """
    painted, centre = [], None
    if truncation != 1:
        many = torch.randn(4096, LATENT, generator=torch.Generator().manual_seed(seed_of(seed, "mean style")))
        centre = shape.mean_style(many.to(how.device))
    for first in range(0, count, BATCH):
        source = torch.Generator().manual_seed(seed_of(seed, "samples", first))
        z, noise = (torch.randn(BATCH, *size, generator=source) for size in ((2, LATENT), (shape.noise,)))
        cut = torch.full((BATCH,), shape.layers)
        with torch.no_grad(), how.autocast():
            images, _ = generator(*(value.to(how.device) for value in (z, cut, noise)), centre, truncation)
        painted.append(images.float().cpu().numpy())
    return np.concatenate(painted)[:count]


def batches(images: np.ndarray, how: Compute):
    """Yield images (n, C, S, S) as batches of BATCH on the device, the last filled up, and how many of each count."""
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        filled = np.concatenate([part, np.repeat(part[-1:], BATCH - len(part), 0)])
        yield how.send(torch.from_numpy(filled)), len(part)


def mean_spread(critic: Critic, images: np.ndarray, how: Compute) -> float:
    """Return the mean spread that a critic sees in batches of images (n, C, S, S)."""
    found = []
    for part, _ in batches(images, how):
        with torch.no_grad(), how.autocast():
            found.append(float(spread_of(critic.maps(part)).mean()))
    return float(np.mean(found))


def picture(real: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """Lay images out, a row a channel, real ones left of a white line: (n, C, S, S) and (m, C, S, S) -> (H, W) uint8."""
    sides = [np.concatenate([np.concatenate(list(image), 0) for image in part], 1) for part in (real, painted)]
    grey = [np.rint(127.5 * (np.clip(side, -1, 1) + 1)).astype(np.uint8) for side in sides]
    line = np.full((len(grey[0]), max(2, real.shape[-1] // 16)), 255, np.uint8)
    return np.concatenate([grey[0], line, grey[1]], 1)


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write a grey picture as PNG, whole or not at all."""
    with store.atomic(path) as temporary:
        imsave(str(temporary), pixels, cmap="gray", vmin=0, vmax=255, format="png")


class Watch:
    """A fixed sample of real images and of random numbers, and what is said of networks by them.

    Parameters
    ----------
    data : of which the real images are, `fixed(number, crop_px)`
    size_px, scale, seed : of the training
    folder : where pictures go, one a look
    """

    def __init__(self, data, size_px: int, scale: Scale, seed: int, how: Compute, folder: Path):
        self.data, self.size_px, self.scale, self.seed, self.how, self.folder = data, size_px, scale, seed, how, folder
        self.count = min(IMAGES, len(data) // 2)

    def real(self, first: int, count: int) -> np.ndarray:
        """Return so many real images, (count, C, S, S) float32 on the networks' scale, the same every time, from all plates."""
        step = len(self.data) // (2 * self.count)
        numbers = [number * step for number in range(first, first + count)]
        images = [self.data.fixed(number, self.size_px)[1] for number in numbers]
        return self.scale.shown(torch.from_numpy(np.stack(images).astype(np.float32))).numpy()

    def look(self, generator: Callable, shape: Generator, critic: Critic, seen: int) -> dict[str, float]:
        """Measure a generator and its critic after `seen` images, and write a picture."""
        halves = [self.real(first, self.count) for first in (0, self.count)]
        painted = samples(generator, shape, self.count, self.seed, self.how)
        critic.spread.fill_(mean_spread(critic, halves[0], self.how))
        features = [self._features(critic, part) for part in (*halves, painted)]
        if not all(np.isfinite(part).all() for part in (painted, *features)):
            raise ValueError(f"samples, or what the critic says, are not finite by image {seen}; lower gan.learning_rate, or set "
                             "gan.clip_norm")  # fmt: skip
        found = {}
        for word, parts in (
            ("critic", features),
            ("statistics", scaled([statistics_of(part) for part in (*halves, painted)])),
        ):
            size = float(parts[0].var(0, ddof=1).sum()) or 1.0
            found[f"frechet_{word}"] = frechet(parts[0], parts[2]) / size
            found[f"frechet_{word}_floor"] = frechet(parts[0], parts[1]) / size
        logits = [self._logits(critic, part) for part in (halves[0], painted)]
        doubt = (F.softplus(-logits[0]).mean() + F.softplus(logits[1]).mean()) / 2
        found |= {
            "real_logit": float(logits[0].mean()),
            "painted_logit": float(logits[1].mean()),
            "doubt": float(doubt),
        }
        found["diversity"] = apart(painted) / max(apart(halves[0]), 1e-6)
        write_picture(self.folder / f"{seen:012d}.png", picture(halves[0][:PICTURED], painted[:PICTURED]))
        return found

    def _features(self, critic: Critic, images: np.ndarray) -> np.ndarray:
        return self._each(critic.embed, images).double().numpy()

    def _logits(self, critic: Critic, images: np.ndarray) -> torch.Tensor:
        return self._each(critic, images).double()

    def _each(self, network: Callable, images: np.ndarray) -> torch.Tensor:
        found = []
        for part, count in batches(images, self.how):
            with torch.no_grad(), self.how.autocast():
                found.append(network(part)[:count].float().cpu())
        return torch.cat(found)


def scaled(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return numbers (n, F) on the scale of the first: each of its s.d. 1; one that does not vary there is left out."""
    sd = parts[0].std(0)
    return [part[:, sd > 1e-9] / sd[sd > 1e-9] for part in parts]


def problem(history: Sequence[dict]) -> str | None:
    """Return what the last looks agree is wrong, with advice; None where nothing is."""
    looks = [line for line in history if "diversity" in line][-IN_A_ROW:]
    if len(looks) < IN_A_ROW:
        return None
    last = looks[-1]
    if all(line["diversity"] < COLLAPSED for line in looks):
        return (
            f"the generator has collapsed by image {last['images']}: its samples differ by {last['diversity']:.1%} of what "
            "real images do; look at the pictures beside the weights, then raise gan.r1, lower gan.learning_rate, or train on more "
            "images"
        )
    if all(line["doubt"] < WON for line in looks):
        return (
            f"the critic wins outright by image {last['images']}: its loss is {last['doubt']:.2g} and teaches the generator "
            "nothing; raise gan.r1 (tenfold), lower gan.learning_rate, or train on more images"
        )
    return None
