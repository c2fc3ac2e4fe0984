"""Regression with Gaussian noise of its own error: what a generative model must beat, since it has learnt nothing but two moments.

y = m + s(m) u, with m what a base model paints without noise, s the s.d. of its error by what it painted (each stain by
itself, about 0, so that a bias counts as spread), and u stationary Gaussian noise whose spectrum, ring by ring of spatial
frequency and from stain to stain, is that of (y - m) / s(m). Both are fitted on fields of the wells that validate: a network's
error is smaller where it was trained. What is drawn is as right as one Gaussian for all fields can be, and knows nothing of cells.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Iterator
from typing import Callable

import numpy as np
import pandas as pd
import torch
from scipy.fft import irfft2, rfft2
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.device import pick_device
from brightpaint.models import compute, kinds
from brightpaint.models.certain_base import BASE, base_of
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import describe
from brightpaint.models.kinds import floors
from brightpaint.models.objectives.whitened_error import ring_map, roots
from brightpaint.models.paint.field_noise import field_noise
from brightpaint.models.trained import cutoff_of
from brightpaint.models.validation import IMAGES, shown

LEVELS = 16  # of what is painted, between which the s.d. of the error is a line
FINE = 600  # bins between the cut-offs, of which levels are made
OWN = ("levels", "sd", "spectrum", "side")
log = logging.getLogger(__name__)


def rings_of(side: int) -> int:
    """Return how many rings a spectrum of fields of `side` pixels has: up to the corner, half a cycle a pixel either way."""
    return int(np.rint(np.sqrt(0.5) * side)) + 1


def doubled(height: int, width: int) -> np.ndarray:
    """Return how often each coefficient of `rfft2` stands in the whole transform: (H, W // 2 + 1), 1 or 2."""
    counts = np.full((height, width // 2 + 1), 2.0)
    counts[:, 0] = 1
    if width % 2 == 0:
        counts[:, -1] = 1
    return counts


def error_levels(pairs: Iterable[tuple[np.ndarray, np.ndarray]], cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Fit the s.d. of the error by what was painted.

    Parameters
    ----------
    pairs : what was painted and the real stains, (C, H, W) each, within +-cutoff

    Returns
    -------
    levels, sd : (C, LEVELS) float64: levels of as many pixels each, their mean and the root mean square error there
    """
    edges, totals = np.linspace(-cutoff, cutoff, FINE + 1)[1:-1], None
    for painted, real in pairs:
        totals = np.zeros((3, len(painted), FINE)) if totals is None else totals
        for channel, (m, y) in enumerate(zip(painted.astype(np.float64), real)):
            bins = np.searchsorted(edges, m.ravel())
            for place, weights in enumerate((None, m.ravel(), (y - m).ravel() ** 2)):
                totals[place, channel] += np.bincount(bins, weights=weights, minlength=FINE)
    found = [_levels_of(*totals[:, channel]) for channel in range(totals.shape[1])]
    return np.array([levels for levels, _ in found]), np.array([sd for _, sd in found])


def _levels_of(counts: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join fine bins to LEVELS of nearly as many pixels; where there are fewer bins than that, the last one stands again."""
    share = (np.cumsum(counts) - counts / 2) / counts.sum()
    groups = np.minimum((share * LEVELS).astype(int), LEVELS - 1)
    joined = [np.bincount(groups, weights=values, minlength=LEVELS) for values in (counts, sums, squares)]
    kept = joined[0] > 0
    count, total, square = (values[kept] for values in joined)
    levels, sd = total / count, np.sqrt(square / count)
    missing = LEVELS - len(levels)
    return np.append(levels, np.full(missing, levels[-1])), np.append(sd, np.full(missing, sd[-1]))


def sd_at(painted: np.ndarray, levels: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return the s.d. of the error at each pixel: (C, H, W) painted -> (C, H, W) float64; constant beyond the levels."""
    return np.stack([np.interp(image, *line) for image, *line in zip(painted.astype(np.float64), levels, sd)])


def cross_spectrum(residuals: Iterable[np.ndarray], side: int) -> np.ndarray:
    """Fit the cross-spectrum of residuals over stains, ring by ring.

    Parameters
    ----------
    residuals : (C, H, W) each, of s.d. about 1
    side : pixels whose whole cycles are rings

    Returns
    -------
    (rings, C, C) float64, symmetric; scaled so that noise drawn by it has the variance 1 (0 where there is no residual)
    """
    rings, sums, counts = rings_of(side), None, None
    for residual in residuals:
        waves, weights = rfft2(residual, norm="ortho"), doubled(*residual.shape[1:])
        places = ring_map(*residual.shape[1:], side).ravel()
        flat = waves.reshape(len(waves), -1)
        sums = np.zeros((rings, len(flat), len(flat))) if sums is None else sums
        counts = np.zeros(rings) if counts is None else counts
        counts += np.bincount(places, weights=weights.ravel(), minlength=rings)
        for i in range(len(flat)):
            for j in range(i + 1):
                # The opposite coefficient, which rfft2 leaves out, has the conjugate: the imaginary part cancels.
                product = (flat[i] * flat[j].conj()).real * weights.ravel()
                sums[:, i, j] += np.bincount(places, weights=product, minlength=rings)
                sums[:, j, i] = sums[:, i, j]
    found = sums / np.maximum(counts, 1)[:, None, None]
    scale = np.sqrt(np.einsum("rcc,r->c", found, counts) / counts.sum())
    scale = np.where(scale > 0, scale, 1)
    return found / np.outer(scale, scale)


def coloured(white: np.ndarray, filters: np.ndarray, side: int) -> np.ndarray:
    """Give white noise a spectrum: (C, H, W) of s.d. 1 -> (C, H, W) float64; `filters` from `roots`."""
    places = np.minimum(ring_map(*white.shape[1:], side), len(filters) - 1)
    waves = rfft2(white.astype(np.float64), norm="ortho")
    mixed = np.zeros_like(waves)
    for i in range(len(waves)):
        for j in range(len(waves)):
            mixed[i] += filters[:, i, j][places] * waves[j]
    return irfft2(mixed, s=white.shape[1:], norm="ortho")


def noised(painted: np.ndarray, noise: np.ndarray, levels: np.ndarray, sd: np.ndarray, cutoff: float) -> np.ndarray:
    """Return m + s(m) u within +-cutoff, (C, H, W) float32; what was painted, to the bit, where there is no error."""
    spread = sd_at(painted, levels, sd)
    drawn = np.clip(painted + spread * noise, -cutoff, cutoff)
    return np.where(spread > 0, drawn, painted).astype(np.float32)


def validated(args: argparse.Namespace, data: TrainingImages, how: Compute) -> Callable[[], Iterator]:
    """Return a function that yields what the base paints of validation fields, and their real stains, (C, H, W) each."""
    settings = args.settings
    _, held = data.split(settings["validation_share"])
    if not len(held):
        wells = len(data.fields[store.WELL_KEYS].drop_duplicates())
        raise ValueError(
            f"none of {wells} wells validates at train.validation_share {settings['validation_share']:g}, and the error of the "
            "base must be measured where it was not trained; raise validation_share, or take more wells"
        )
    return painted_pairs(args, held, how, "that validate")


def painted_pairs(
    args: argparse.Namespace, part: TrainingImages, how: Compute, words: str, most: int = IMAGES
) -> Callable:
    """Return a function that yields what the base paints of these fields, `most` of them, and their real stains, as `validated`."""
    settings = args.settings
    tensors, meta = base_of(args.stands, {"settings": settings, "channels": settings["channels"]})
    own = {key: value for key, value in settings.items() if key != "conditions"}  # as an arm that sets none of them
    told = argparse.Namespace(settings={**own, "sampling_label": "own"}, weights=args.weights, classifier=[])
    paint = kinds.of(meta["settings"]["kind"]).painter(told, tensors, meta, part.fields, how)
    chosen = np.unique(shown(len(part), most) % len(part))
    log.info("the error of the base on %d of %d fields %s", len(chosen), len(part), words)

    def pairs():
        for number in tqdm(chosen, disable=None, unit="field"):
            image = part.field(int(number))
            yield paint(image[None, : part.inputs], [int(number)])[0], image[part.inputs :]

    return pairs


def fit(pairs: Callable[[], Iterator], cutoff: float) -> tuple[dict[str, torch.Tensor], float]:
    """Fit the noise, reading the pairs of `validated` twice.

    Returns
    -------
    tensors : levels, sd (C, LEVELS), spectrum (rings, C, C), side (1,)
    error : the mean squared error of what was painted
    """
    squares, sizes = [], set()

    def noted():
        for painted, real in pairs():
            squares.append(float(np.mean((painted - real) ** 2, dtype=np.float64)))
            sizes.add(painted.shape[1:])
            yield painted, real

    levels, sd = error_levels(noted(), cutoff)
    side = max(max(size) for size in sizes)

    def residuals():
        for painted, real in pairs():
            spread = sd_at(painted, levels, sd)
            yield np.divide(real - painted, spread, out=np.zeros_like(spread), where=spread > 0)

    spectrum = cross_spectrum(residuals(), side)
    fitted = {"levels": levels, "sd": sd, "spectrum": spectrum, "side": np.array([side])}
    return {name: torch.from_numpy(values) for name, values in fitted.items()}, float(np.mean(squares))


def tensor_problems(tensors: dict, channels: dict) -> Iterator[str]:
    """Yield what is wrong with the noise's own tensors; the base's are its own kind's to judge, when it paints."""
    targets, own = len(channels["target"]), {name: floors.shape_of(tensors, name) for name in OWN}
    side = int(tensors["side"][0]) if own["side"] == (1,) else 0
    wanted = {"levels": (targets, LEVELS), "sd": (targets, LEVELS), "side": (1,)}
    wanted["spectrum"] = (rings_of(side), targets, targets)
    for name, shape in wanted.items():
        if own[name] != shape:
            yield f"expected the tensor {name} of shape {shape}, found {own[name] or None} among {sorted(tensors)[:5]}"
    if not any(name.startswith(BASE) for name in tensors):
        yield f"expected the tensors of a base model, {BASE}..., found {sorted(tensors)[:5]}"


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Fit the noise on what the base model paints of fields that validate, and write both."""
    if not compute.first():
        return
    if not args.stands:
        raise ValueError(f"{args.weights}: its settings name no base to stand on; set base in its entry of models")
    how = Compute(pick_device(args.device), **args.compute)
    tensors, error = fit(validated(args, data, how), cutoff_of(args.settings))
    store.write_json_lines(floors.history(data, error), args.history)
    base = args.settings["base"]
    described = describe(args.settings, base["label_map"], how, base.get("conditions"))
    store.write_weights(args.weights, {**tensors, **args.stands}, described)


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)`: what the base paints, and noise of the field's own name and sample."""
    own, base = base_of(tensors, meta)
    certain = kinds.of(base["settings"]["kind"]).painter(args, own, base, fields, how)
    levels, sd = tensors["levels"].numpy(), tensors["sd"].numpy()
    filters, side = roots(tensors["spectrum"].numpy()), int(tensors["side"][0])
    cutoff, seed = cutoff_of(meta["settings"]), args.settings["seed"]

    def paint(x: np.ndarray, rows: list[int]) -> np.ndarray:
        images = []
        for row, painted in zip(rows, certain(x, rows)):
            white = torch.randn(painted.shape, generator=field_noise(fields.iloc[row], seed)).numpy()
            images.append(noised(painted, coloured(white, filters, side), levels, sd, cutoff))
        return np.stack(images)

    return paint
