"""The sliced Wasserstein distance of images: between small patches of the levels of a pyramid. Pure functions.

One of the three measures by which Mol2Image is judged (Yang et al., CVPR 2021), of images of 64 px; their code of it was not
published, so this is the distance as it was proposed (Karras et al., ICLR 2018, section 5): patches of 7 x 7 px of all channels,
drawn from each level of a Laplacian pyramid down to 16 px, each channel of either side scaled to mean 0 and s.d. 1; the mean over
random directions of the Wasserstein distance along them. Fine levels tell of textures, coarse ones of shapes; brightness and
contrast of a whole side are scaled away.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SIDE_PX, COARSEST_PX, PATCH_PX = 64, 16, 7
DIRECTIONS, BINS = 64, 256
KERNEL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # Burt and Adelson 1983


def reduced_px(height: int, width: int) -> int:
    """Return the side of what `reduced` makes of an image."""
    return min(SIDE_PX, 2 ** int(np.log2(min(height, width))))


def reduced(images: np.ndarray) -> np.ndarray:
    """Return the middle of images averaged to SIDE_PX, as Mol2Image sees the middle 512 px; smaller ones to a power of two.

    Parameters
    ----------
    images : (n, C, H, W)

    Returns
    -------
    (n, C, s, s) float32
    """
    wanted = reduced_px(*images.shape[-2:])
    factor = min(images.shape[-2:]) // wanted
    kept = wanted * factor
    top, left = ((length - kept) // 2 for length in images.shape[-2:])
    square = np.asarray(images[..., top : top + kept, left : left + kept], np.float32)
    return square.reshape(*images.shape[:2], wanted, factor, wanted, factor).mean(axis=(3, 5))


def smoothed(images: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Return images smoothed by the pyramid's kernel along both sides."""
    for axis in (-2, -1):
        images = ndimage.convolve1d(images, KERNEL * gain, axis=axis, mode="mirror")
    return images


def enlarged(images: np.ndarray) -> np.ndarray:
    """Return images of twice the side, as a Laplacian pyramid takes them: (..., s, s) -> (..., 2 s, 2 s)."""
    wide = np.zeros((*images.shape[:-2], 2 * images.shape[-2], 2 * images.shape[-1]), images.dtype)
    wide[..., ::2, ::2] = images
    return smoothed(wide, 2.0)


def pyramid(images: np.ndarray) -> list[np.ndarray]:
    """Return the levels of a Laplacian pyramid, the finest first: what each adds, and what is left, of COARSEST_PX or more."""
    levels = []
    while images.shape[-1] >= 2 * COARSEST_PX:
        coarser = smoothed(images)[..., ::2, ::2]
        levels.append(images - enlarged(coarser))
        images = coarser
    return [*levels, images]


def patches_of(level: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return patches drawn from one image's level: (C, s, s) -> (count, C, P, P), P being PATCH_PX, or s where that is less."""
    side = min(PATCH_PX, level.shape[-1])
    places = rng.integers(0, level.shape[-1] - side + 1, size=(count, 2))
    return np.stack([level[:, y : y + side, x : x + side] for y, x in places])


def scaled(patches: np.ndarray) -> np.ndarray:
    """Return patches with each channel's mean 0 and s.d. 1 over all of them, as vectors: (n, C, P, P) -> (n, C P P)."""
    centre = patches.mean(axis=(0, 2, 3), keepdims=True)
    sd = patches.std(axis=(0, 2, 3), keepdims=True)
    return ((patches - centre) / np.where(sd > 0, sd, 1.0)).reshape(len(patches), -1)


def directions_of(length: int, rng: np.random.Generator) -> np.ndarray:
    """Return DIRECTIONS random directions of length 1: (length, DIRECTIONS) float32."""
    drawn = rng.standard_normal((length, DIRECTIONS))
    return (drawn / np.linalg.norm(drawn, axis=0)).astype(np.float32)


def sliced(sides: tuple, owners: tuple, weights: np.ndarray) -> np.ndarray:
    """Return the sliced Wasserstein distance of two sides, as often as owners are weighted: (B,).

    Along each direction the integral of the absolute difference of the two distribution functions, on BINS steps between the least
    and the largest of both. An owner counts by its weight, on both sides alike, however many vectors it has there.

    Parameters
    ----------
    sides : (n, K) and (m, K), along K directions
    owners : (n,) and (m,) int in 0..T-1, each on both sides or weighted 0: the treatment
    weights : (B, T)
    """
    count = weights.shape[1]
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    total = np.zeros(len(weights))
    for one, other in zip(*(side.T for side in sides)):
        low = min(one.min(), other.min())
        width = (max(one.max(), other.max()) - low) / BINS
        if width > 0:
            apart = _held(one, owners[0], low, width, count) - _held(other, owners[1], low, width, count)
            total += np.abs(shares @ np.cumsum(apart, axis=1)).sum(axis=1) * width
    return total / sides[0].shape[1]


def _held(values: np.ndarray, owners: np.ndarray, low: float, width: float, count: int) -> np.ndarray:
    """Return the share of each owner's values in each of BINS steps, (T, BINS); 0 of one without values."""
    steps = np.minimum(((values - low) / width).astype(np.int64), BINS - 1)
    held = np.bincount(owners * BINS + steps, minlength=count * BINS).reshape(count, BINS).astype(np.float64)
    each = held.sum(axis=1, keepdims=True)
    return np.divide(held, each, out=np.zeros_like(held), where=each > 0)
