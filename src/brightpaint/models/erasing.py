"""Take the cell, or all but the cell, out of crops, to ask a network what it tells without it.

Erased by its own mask a cell leaves its silhouette, and shape alone may tell classes apart. So the hole has the shape of
another cell, the donor's, and is filled with pixels of the background that lies nearest, drawn one by one. It is widened alike
for all cells, by so much that 19 of 20 are held; widened by what each cell needs, it would tell how far cell and donor
differ, and with that the cell's shape. The twentieth's hole is widened further, and tells something of its size. What surrounds
a cell is erased by the donor's background, its pixels drawn one by one: neither structure nor brightness of it is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from brightpaint import store
from brightpaint.base.seeds import seed_of
from brightpaint.models.crop_images import open_all

CELL, BACKGROUND, BOTH = "cell", "background", "both"
MARGIN_PX = 2  # beyond the cell, where its blurred edge still shines
HELD = 0.95  # share of cells that the common widening holds
MEASURED = 256  # cells by which it is found
LEAST_POOL = 32  # pixels of the background from which a hole is filled, where there are so many


def cycle(count: int, *names: object) -> np.ndarray:
    """Return an order of `count` cells drawn by names, (count,): the donor of each is the one before it, of the first the last."""
    return np.random.default_rng(seed_of("donors", *names)).permutation(count)


def donors_of(numbers: Sequence[int], *names: object) -> np.ndarray:
    """Return the donor of each of these crops, another of them where there is one, (n,)."""
    numbers = np.asarray(numbers, np.int64)
    order, found = cycle(len(numbers), *names), np.empty_like(numbers)
    found[order] = numbers[np.roll(order, 1)]
    return found


def distance_from(other: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return how far each position lies from another's mask once that is moved onto the middle of a cell, (D, H, W) px.

    Parameters
    ----------
    other, own : (D, H, W) bool; an `other` without pixels is the cell's middle alone, `own` has some
    """
    middle = np.array([place.mean() for place in np.nonzero(own)])
    places = np.nonzero(other) if other.any() else tuple(np.round(middle)[:, None].astype(int))
    step = np.round(middle - [place.mean() for place in places]).astype(int)
    seed = np.zeros_like(own)
    seed[tuple(np.clip(place + by, 0, side - 1) for place, by, side in zip(places, step, own.shape))] = True
    return ndimage.distance_transform_edt(~seed)


def widening(owns: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    """Return by how many pixels donors' masks are widened so that HELD of the cells and their margin lie within; 0 of none."""
    needed = [distance_from(other, own)[own].max() for own, other in zip(owns, others) if own.any()]
    return float(np.quantile(needed, HELD, method="higher")) + MARGIN_PX if needed else 0.0


def hole(own: np.ndarray, other: np.ndarray, wide: float = 0.0) -> np.ndarray:
    """Return what is erased of a cell: another's mask, moved onto its middle and widened, further where the cell still reaches out.

    Parameters
    ----------
    own, other : (D, H, W) bool
    wide : pixels, from `widening`

    Returns
    -------
    (D, H, W) bool; nothing where `own` has no pixels
    """
    if not own.any():
        return np.zeros_like(own)
    away = distance_from(other, own)
    return away <= max(away[own].max() + MARGIN_PX, wide)


def cell_erased(image: np.ndarray, cells: np.ndarray, gone: np.ndarray, rng) -> np.ndarray:
    """Return a crop with a hole filled with the nearest background.

    Parameters
    ----------
    image : (C, D, H, W)
    cells, gone : (D, H, W) bool, all cells, and the hole
    """
    if not gone.any():
        return image
    changed, pool = image.copy(), ~gone & ~cells
    pool = pool if pool.any() else ~gone  # where cells stand shoulder to shoulder, theirs
    if not pool.any():
        changed[:, gone] = 0  # a cell that fills its crop: the mean of the field
        return changed
    near = np.argsort(ndimage.distance_transform_edt(~gone)[pool], kind="stable")[: max(int(gone.sum()), LEAST_POOL)]
    changed[:, gone] = image[:, pool][:, near][:, rng.integers(0, len(near), int(gone.sum()))]
    return changed


def background_of(image: np.ndarray, own: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the pixels of a crop outside all cells, (C, n); where cells are everywhere, of the neighbours; else zeros."""
    pool = ~cells if not cells.all() else ~own
    return image[:, pool] if pool.any() else np.zeros((len(image), 1), image.dtype)


def surroundings_erased(image: np.ndarray, kept: np.ndarray, background: np.ndarray, rng) -> np.ndarray:
    """Return a crop with all but what is kept, (D, H, W) bool, drawn from a background, (C, n)."""
    changed = image.copy()
    changed[:, ~kept] = background[:, rng.integers(0, background.shape[1], int((~kept).sum()))]
    return changed


class Erasing:
    """What `CropImages` takes for `shown`: crops with something erased, the same whenever they are shown.

    Parameters
    ----------
    what : `CELL`, `BACKGROUND`, or `BOTH`, which leaves a crop of background alone
    paths : files of crops, by which they are counted
    channels : of the crops that are shown
    numbers : the crops that may be shown, and be donors
    """

    def __init__(self, what: str, paths: Sequence[Path], channels: Sequence[str], numbers: Sequence[int]):
        self.what, self._source = what, store.CropBatches(open_all(paths), channels=channels)
        numbers, donors = np.asarray(numbers, np.int64), donors_of(numbers, what)
        self._donors = dict(zip(numbers.tolist(), donors.tolist()))
        some = cycle(len(numbers), what)[:MEASURED] if what == CELL else []
        pairs = [self._source.take(side[some])[1][:, 0] > 0 for side in (numbers, donors)]
        self.wide = widening(*pairs)

    def __call__(self, images: np.ndarray, masks: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return (n, C, D, H, W) with what is to be erased; `masks` (n, 2, D, H, W) lie as the images do."""
        donors, donor_masks = self._source.take([self._donors[number] for number in numbers.tolist()])
        parts = zip(images, masks > 0, donors, donor_masks > 0, numbers.tolist())
        return np.stack([self._one(*part) for part in parts]) if len(images) else images

    def _one(self, image: np.ndarray, masks: np.ndarray, donor: np.ndarray, theirs: np.ndarray, number: int):
        rng = np.random.default_rng(seed_of("erased", self.what, number))
        if self.what == CELL:
            return cell_erased(image, masks[1], hole(masks[0], theirs[0], self.wide), rng)
        kept = masks[0] if self.what == BACKGROUND else np.zeros_like(masks[0])
        return surroundings_erased(image, kept, background_of(donor, *theirs), rng)
