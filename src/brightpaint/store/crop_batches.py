"""Random batches of single-cell crops from memory-mapped files, flipped and turned: float32, ten thousand a second.

Everything random about crop n of a training is drawn from (seed, n), so that neither batch size nor the number of
processes changes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from brightpaint.base.seeds import seed_of
from brightpaint.store.crop_stacks import CROP_KEYS, Crops
from brightpaint.store.names import describe_field

WORDS = 4  # random 64-bit words that Philox draws at once
ALIKE = 0.02  # by which pixels may differ and count as one size: a crop is a whole number of them
AT_ONCE = 8  # crops of 5 x 96 px that stay in a processor's cache from one step to the next


class CropBatches:
    """A source of random batches from the crops of one or several plates.

    Parameters
    ----------
    crops : files of crops, of one size, with the same pixels
    channels : names, in the order wanted; all that the first has where none are named
    rows : numbers of the crops to draw from, counted through all files; all without it
    augment : whether crops are flipped and turned
    brightness : b; each channel of a crop is multiplied by 1 - b to 1 + b and raised by -b to b, in z-scores
    """

    def __init__(self, crops: Sequence[Crops], *, channels: Sequence[str] | None = None, rows: np.ndarray | None = None,
                 augment: bool = True, brightness: float = 0.0):  # fmt: skip
        if not crops:
            raise ValueError("no file of crops is named; expected at least one")
        crops = [one for one in crops if len(one)] or crops[:1]  # of a plate without cells not even the size is known
        _check_alike(crops)
        self._crops, self.channels = crops, tuple(channels or crops[0].channels)
        self._images = [np.asarray(one.images) for one in crops]  # a plain view: a memmap's own indexing is slow
        self._masks = [np.asarray(one.masks) for one in crops]
        self._picked = [_positions(one, self.channels) for one in crops]
        self._ends = np.cumsum([len(one) for one in crops])
        self._rows = np.arange(self._ends[-1]) if rows is None else np.asarray(rows, np.int64)
        if not len(self._rows):
            raise ValueError(f"{crops[0].path}: there are no crops to draw from; choose others")
        if self._rows.min() < 0 or self._rows.max() >= self._ends[-1]:
            raise ValueError(
                f"{crops[0].path}: rows {self._rows.min()} to {self._rows.max()} of {self._ends[-1]} crops"
            )
        self.augment, self.brightness, self._orders = augment, float(brightness), {}

    def __len__(self) -> int:
        return len(self._rows)

    def order(self, seed: int, first: int, count: int) -> np.ndarray:
        """Return the crops shown as `first` to `first + count - 1`, (count,): every crop once before any twice."""
        epochs, places = np.divmod(np.arange(first, first + count), len(self))
        chosen = np.empty(count, np.int64)
        for epoch in np.unique(epochs):
            if (seed, epoch) not in self._orders:
                permuted = np.random.default_rng(seed_of(seed, "epoch", epoch)).permutation(len(self))
                self._orders = {**dict(list(self._orders.items())[-1:]), (seed, epoch): permuted}
            chosen[epochs == epoch] = self._orders[seed, epoch][places[epochs == epoch]]
        return self._rows[chosen]

    def batch(self, seed: int, first: int, count: int, mine: slice = slice(None)) -> tuple:
        """Return crops `first` to `first + count - 1` of a training, or the part `mine` of them.

        Returns
        -------
        images : (count, C, D, H, W) float32
        masks : (count, 2, D, H, W) float32, 0 and 1: own cell, all cells
        numbers : (count,) which crops they are, counted through all files
        """
        numbers = self.order(seed, first, count)[mine]
        words = _random_words(seed, first, count, 1 + 2 * len(self.channels))[mine]
        turns = (words[:, 0] >> np.uint64(61)).astype(int) if self.augment else np.zeros(len(numbers), int)
        images, masks = self._read(numbers, turns, words)
        return images, masks, numbers

    def take(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return these crops, counted through all files, as they lie: images and masks as `batch` gives them.

        Raises
        ------
        ValueError
            naming file, place, cell and channel of a crop that is not finite
        """
        numbers = np.asarray(numbers, np.int64)
        images, masks = self._read(numbers, np.zeros(len(numbers), int), None)
        if not (finite := np.isfinite(images).all((2, 3, 4))).all():
            place, channel = np.argwhere(~finite)[0]
            where = f"{self.describe(numbers[place])}, channel {self.channels[channel]}"
            raise ValueError(f"{where}: not finite; delete the file and rerun what makes it (crops, own_crops)")
        return images, masks

    def describe(self, number: int) -> str:
        """Name a crop, counted through all files, as an error message does: file, plate, well, site, tile and cell."""
        file = int(np.searchsorted(self._ends, number, side="right"))
        row = self._crops[file].table(CROP_KEYS).iloc[int(number) - (int(self._ends[file - 1]) if file else 0)]
        return f"{self._crops[file].path}: {describe_field(row)}, cell {row['ObjectNumber']}"

    def _read(self, numbers: np.ndarray, turns: np.ndarray, words: np.ndarray | None) -> tuple:
        files = np.searchsorted(self._ends, numbers, side="right")
        rows = numbers - np.concatenate([[0], self._ends])[files]
        places = list(zip(files.tolist(), rows.tolist(), turns.tolist()))
        images = np.empty((len(places), len(self.channels), *self._images[0].shape[2:]), np.float32)
        masks = np.empty((len(places), *self._masks[0].shape[1:]), np.uint8)
        for mask, (file, row, turn) in zip(masks, places):
            mask[...] = oriented(self._masks[file][row], turn)
        for begin in range(0, len(places), AT_ONCE):
            some = slice(begin, begin + AT_ONCE)
            as_float32(self._oriented_images(places[some]), images[some])
            if words is not None:
                self._brighten(images[some], words[some])
        return images, masks.astype(np.float32)

    def _oriented_images(self, places: list[tuple]) -> np.ndarray:
        """Return the crops at these (file, row, orientation) as they are stored."""
        images = np.empty((len(places), len(self.channels), *self._images[0].shape[2:]), self._images[0].dtype)
        for image, (file, row, turn) in zip(images, places):
            stored, picked = self._images[file][row], self._picked[file]
            image[...] = oriented(stored if picked is None else stored[picked], turn)
        return images

    def _brighten(self, images: np.ndarray, words: np.ndarray) -> None:
        """Change the brightness of crops in place, each channel by itself, by their random words."""
        if self.brightness:
            uniform = (words[:, 1 : 1 + 2 * len(self.channels)] >> np.uint64(11)) * 2.0**-52 - 1  # in [-1, 1)
            gain, shift = np.split((self.brightness * uniform).astype(np.float32), 2, axis=1)  # (N, C) each
            images *= 1 + gain[..., None, None, None]
            images += shift[..., None, None, None]


def oriented(image: np.ndarray, turn: int) -> np.ndarray:
    """Return one of the eight orientations of a square (0: as it lies) as a view; what is not square is only flipped."""
    image = image[..., ::-1] if turn & 1 else image
    image = image[..., ::-1, :] if turn & 2 else image
    return image.swapaxes(-1, -2) if turn & 4 and image.shape[-1] == image.shape[-2] else image


def as_float32(images: np.ndarray, into: np.ndarray) -> None:
    """Write float16 numbers as float32: by torch, which uses the processor's own conversion and a third of NumPy's time."""
    import torch

    torch.from_numpy(into).copy_(torch.from_numpy(images))


def _random_words(seed: int, first: int, count: int, wanted: int) -> np.ndarray:
    """Return (count, at least `wanted`) random 64-bit words, those of crop n drawn from (seed, n) alone."""
    blocks = -(-wanted // WORDS)
    generator = np.random.Philox(key=seed_of(seed, "crop"), counter=first * blocks)
    return generator.random_raw(count * blocks * WORDS).reshape(count, -1)


def _positions(crops: Crops, channels: Sequence[str]) -> list[int] | None:
    """Return the positions of channels by name; None where they are all, in order."""
    missing = [name for name in channels if name not in crops.channels]
    if missing:
        raise ValueError(f"{crops.path}: channels {missing} are missing; it holds {list(crops.channels)}")
    picked = [crops.channels.index(name) for name in channels]
    return None if picked == list(range(len(crops.channels))) else picked


def _check_alike(crops: Sequence[Crops]) -> None:
    """Refuse crops that cannot stand in one batch."""
    first = crops[0]
    for one in crops:
        if one.images.shape[2:] != first.images.shape[2:]:
            found, expected = f"crops of {one.images.shape[2:]}", f"{first.images.shape[2:]} (D, H, W)"
        elif not math.isclose(_pixel(one), _pixel(first), rel_tol=ALIKE):
            found, expected = f"pixels of {_pixel(one)} um", f"{_pixel(first)}"
        else:
            continue
        raise ValueError(
            f"{one.path}: {found} where {first.path} has {expected}; give crops.size_px, to which all are brought, and "
            "rerun crops"
        )


def _pixel(crops: Crops) -> float:
    return crops.meta.get("pixel_um") or 1.0
