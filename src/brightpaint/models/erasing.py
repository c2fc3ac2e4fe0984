"""Take the cell, or all but the cell, out of crops, to ask a network what it tells without it.

Erased by its own mask a cell leaves its silhouette, and shape alone may tell classes apart. So the hole is what this cell and a
few others, the donors, would cover together if all stood in its place: which of the shapes is its own is not told. (A donor's
mask alone would have to be widened until it holds the cell, and by how much tells how far the two differ.) It is filled with the
background that lies nearest, carried on as waves and noise, so that a background that tells a class goes on there: filled with
pixels drawn one by one a hole looked like no background, and a network that reads the background alone was lost. What surrounds a
cell is erased by a donor's background, its pixels drawn one by one: neither structure nor brightness of it is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import fft, ndimage

from brightpaint import store
from brightpaint.base.seeds import seed_of
from brightpaint.models.crop_images import open_all

CELL, BACKGROUND, BOTH = "cell", "background", "both"
# The same number of pixels, half an image away: what erasing does, whatever is erased.
CELL_ELSEWHERE, BACKGROUND_ELSEWHERE = "cell elsewhere", "background elsewhere"
MARGIN_PX = 2  # beyond the cell, where its blurred edge still shines
DONORS = 3  # whose shapes hide the cell's
NEAREST = 3  # times the hole's pixels: the background from which it is filled
LEAST_POOL = 96  # pixels of it at least, where there are so many
MOST_WAVES, LEAST_WAVE = 24, 0.01  # of a background; the share of its variance that a wave must take
FINE = 256  # places of a spectrum to which a small crop's are doubled: a wave need not fit into the crop


def cycle(count: int, *names: object) -> np.ndarray:
    """Return an order of `count` cells drawn by names, (count,): the donor of each is the one before it, of the first the last."""
    return np.random.default_rng(seed_of("donors", *names)).permutation(count)


def donors_of(numbers: Sequence[int], *names: object) -> np.ndarray:
    """Return the donors of each of these crops, (n, DONORS): others where there are enough, each a donor as often as any."""
    numbers = np.asarray(numbers, np.int64)
    order, found = cycle(len(numbers), *names), np.empty((len(numbers), DONORS), np.int64)
    for place in range(DONORS):
        found[order, place] = numbers[np.roll(order, place + 1)]
    return found


def moved(other: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return another cell's mask moved onto the middle of this one, (D, H, W) bool; what would leave the crop is cut off."""
    if not other.any():
        return np.zeros_like(own)
    places, middle = np.nonzero(other), [place.mean() for place in np.nonzero(own)]
    there = [place + round(at - place.mean()) for place, at in zip(places, middle)]
    inside = np.logical_and.reduce([(place >= 0) & (place < side) for place, side in zip(there, own.shape)])
    found = np.zeros_like(own)
    found[tuple(place[inside] for place in there)] = True
    return found


def hole(own: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Return what is erased of a cell: its mask and others', moved onto its middle, and a margin about all of them.

    Parameters
    ----------
    own, others : (D, H, W) bool each

    Returns
    -------
    (D, H, W) bool; nothing where `own` has no pixels
    """
    if not own.any():
        return np.zeros_like(own)
    covered = np.logical_or.reduce([own, *(moved(other, own) for other in others)])
    return ndimage.distance_transform_edt(~covered) <= MARGIN_PX


def waves_of(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return an image's background as a few waves, fitted where it is known and carried on everywhere, (C, D, H, W) float32.

    Parameters
    ----------
    image : (C, D, H, W)
    known : (D, H, W) bool, some of it True

    Wave after wave is subtracted, that first which leaves least (of all channels, each with its own amplitude and phase), until the
    next would take less of the variance than LEAST_WAVE or than the strongest wave of white noise does, or MOST_WAVES are found:
    matching pursuit, as frequency selective extrapolation fills lost blocks (Kaup, Meisinger and Aach 2005). What is carried on
    stays within the background's own range.
    """
    padded = tuple(fft.next_fast_len(max(side, min(2 * side, FINE))) if side > 1 else 1 for side in known.shape)
    axes = tuple(range(1, 4))
    weights = known.astype(np.float32)
    window = fft.fftn(weights, padded).astype(np.complex64)
    count, level = float(weights.sum()), image[:, known].mean(axis=1)[:, None, None, None]
    # The spectra of what is left, of which each wave takes the window's, moved to the wave's place and to its mirror's.
    varied = (image - level) * weights
    left = fft.fftn(varied.astype(np.float32), padded, axes=axes).astype(np.complex64)
    share = max(LEAST_WAVE, 3 * np.log(count) / count)
    found, least = np.zeros_like(left), share * float((varied**2).sum())
    for _ in range(MOST_WAVES):
        strength = (np.abs(left) ** 2).sum(axis=0)
        place = np.unravel_index(strength.argmax(), padded)
        if 2 * strength[place] / count <= least:
            break
        mirror, twice = tuple(-np.array(place) % padded), window[tuple(2 * np.array(place) % padded)]
        own = left[(slice(None), *place)]
        alone = count**2 - np.abs(twice) ** 2
        # A wave that is its own mirror, or can't be told from it on so few pixels, has no phase.
        amplitude = (own * count - own.conj() * twice) / alone if alone > 1e-3 * count**2 else own / (2 * count)
        for at, height in ((place, amplitude), (mirror, amplitude.conj())):
            left -= height[:, None, None, None] * np.roll(window, at, axis=(0, 1, 2))
            found[(slice(None), *at)] += height
    inside = (slice(None), *(slice(side) for side in known.shape))
    carried = fft.ifftn(found, axes=axes).real[inside] * np.prod(padded) + level
    low, high = (end(image[:, known], axis=1)[:, None, None, None] for end in (np.min, np.max))
    return np.clip(carried, low, high).astype(np.float32)


def cell_erased(image: np.ndarray, cells: np.ndarray, gone: np.ndarray, rng) -> np.ndarray:
    """Return a crop with a hole filled with the nearest background, carried on: its waves, and noise of what they leave of it.

    Parameters
    ----------
    image : (C, D, H, W)
    cells, gone : (D, H, W) bool, all cells, and the hole
    """
    if not gone.any():
        return image
    near, changed = nearest_background(cells, gone), image.copy()
    if not near.any():
        changed[:, gone] = 0  # a cell that fills its crop: the mean of the field
        return changed
    carried = waves_of(image, near)
    grain = (image - carried)[:, near]
    changed[:, gone] = carried[:, gone] + grain[:, rng.integers(0, grain.shape[1], int(gone.sum()))]
    return changed


def nearest_background(cells: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Return the background that lies nearest to a hole, (D, H, W) bool, from which it is filled."""
    rims = ndimage.distance_transform_edt(~cells) <= MARGIN_PX if cells.any() else cells
    # Where cells stand shoulder to shoulder their rims, or they themselves.
    pool = next((kind for kind in (~gone & ~rims, ~gone & ~cells, ~gone) if kind.any()), np.zeros_like(gone))
    if not pool.any():
        return pool
    far = np.where(pool, ndimage.distance_transform_edt(~gone), np.inf)
    last = min(max(NEAREST * int(gone.sum()), LEAST_POOL), int(pool.sum())) - 1
    return far <= np.partition(far[pool], last)[last]


def background_of(image: np.ndarray, own: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the pixels of a crop outside all cells, (C, n); where cells are everywhere, of the neighbours; else zeros."""
    pool = ~cells if not cells.all() else ~own
    return image[:, pool] if pool.any() else np.zeros((len(image), 1), image.dtype)


def surroundings_erased(image: np.ndarray, kept: np.ndarray, background: np.ndarray, rng) -> np.ndarray:
    """Return a crop with all but what is kept, (D, H, W) bool, drawn from a background, (C, n)."""
    changed = image.copy()
    changed[:, ~kept] = background[:, rng.integers(0, background.shape[1], int((~kept).sum()))]
    return changed


def elsewhere(mask: np.ndarray) -> np.ndarray:
    """Return a mask half an image away along height and width, (D, H, W) bool, going on at the opposite border."""
    return np.roll(mask, [side // 2 for side in mask.shape[1:]], axis=(1, 2))


def erased(what: str, image: np.ndarray, masks: np.ndarray, others: Sequence[np.ndarray], background: np.ndarray, rng):
    """Return an image with something erased.

    Parameters
    ----------
    what : `CELL`, `BACKGROUND`, `BOTH`, which leaves a picture of background alone, or one of the first two elsewhere
    image : (C, D, H, W)
    masks : (2, D, H, W) bool, own cell and all cells
    others : (D, H, W) bool each, masks of other cells, which hide the own one's shape
    background : (C, n), pixels of the background of another image
    """
    if what in (CELL, CELL_ELSEWHERE):
        gone = hole(masks[0], others)
        return cell_erased(image, masks[1], gone if what == CELL else elsewhere(gone), rng)
    kept = {BACKGROUND: masks[0], BACKGROUND_ELSEWHERE: elsewhere(masks[0]), BOTH: np.zeros_like(masks[0])}[what]
    return surroundings_erased(image, kept, background, rng)


class Erasing:
    """What `CropImages` takes for `shown`: crops with something erased, the same whenever they are shown.

    Parameters
    ----------
    what : see `erased`
    paths : files of crops, by which they are counted
    channels : of the crops that are shown
    numbers : the crops that may be shown, and be donors
    """

    def __init__(self, what: str, paths: Sequence[Path], channels: Sequence[str], numbers: Sequence[int]):
        self.what, self._source = what, store.CropBatches(open_all(paths), channels=channels)
        self._donors = dict(zip(np.asarray(numbers).tolist(), donors_of(numbers, what)))

    def __call__(self, images: np.ndarray, masks: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return (n, C, D, H, W) with what is to be erased; `masks` (n, 2, D, H, W) lie as the images do."""
        if not len(images):
            return images
        donors = np.stack([self._donors[number] for number in numbers.tolist()])  # (n, DONORS)
        theirs, masks_of = self._source.take(donors.ravel())
        theirs, masks_of = (side.reshape(*donors.shape, *side.shape[1:]) for side in (theirs, masks_of > 0))
        parts = zip(images, masks > 0, theirs, masks_of, numbers.tolist())
        return np.stack([self._one(*part) for part in parts])

    def _one(self, image: np.ndarray, masks: np.ndarray, donors: np.ndarray, theirs: np.ndarray, number: int):
        """Change one crop: its masks (2, D, H, W), and those of its donors (DONORS, 2, D, H, W)."""
        rng = np.random.default_rng(seed_of("erased", self.what, number))
        return erased(self.what, image, masks, theirs[:, 0], background_of(donors[0], *theirs[0]), rng)
