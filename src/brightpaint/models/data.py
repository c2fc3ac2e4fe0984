"""Training images: fields of several plate stacks, cropped, flipped and turned, never a whole plate in memory.

Everything random about image n of a training is drawn from (seed, n), so that an interrupted training goes on
as if nothing had happened. Plates are ordered by name, whatever the order of the files.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.models.labels import active_rows, label_indices, label_map


def seed_of(*words: object) -> int:
    """Return a seed made from stable words, e.g. seed_of(7, "noise", 1200)."""
    return zlib.crc32("/".join(map(str, words)).encode())


def plate_of(fields: pd.DataFrame, path: str | Path) -> str:
    """Return the one plate that a field table is about."""
    plates = sorted(fields["Metadata_Plate"].unique())
    if len(plates) != 1:
        raise ValueError(f"{path}: expected the fields of one plate, found plates {plates}")
    return plates[0]


def check_rows(stack: store.Stack, fields: pd.DataFrame, path: str | Path) -> None:
    """Raise ValueError unless row n of the table can be field n of the stack."""
    if len(stack) != len(fields):
        raise ValueError(
            f"{stack.path} holds {len(stack)} fields but {path} has {len(fields)} rows; delete both and rerun `prepare`"
        )


class TrainingImages:
    """The fields that a model is trained on.

    Parameters
    ----------
    stacks, tables : paths of plate stacks and of their field tables, in the same order
    channels : `input` and `target` channel names
    label : `none`, `perturbation` or `target`
    actives : table of actives, if the model is trained on the active subset

    Attributes
    ----------
    labels : {class name: number from 1}
    fields : the field tables of the chosen rows, plates in the order of their names
    """

    def __init__(self, stacks: Sequence, tables: Sequence, *, channels: dict, label: str, actives=None):
        if len(stacks) != len(tables) or not stacks:
            raise ValueError(f"{len(stacks)} stacks and {len(tables)} field tables; expected as many, at least one")
        read = [(stack, store.read_fields(table), table) for stack, table in zip(stacks, tables)]
        opened = [(store.open_stack(stack).select(fields), fields, table) for stack, fields, table in read]
        opened.sort(key=lambda plate: plate_of(plate[1], plate[2]))
        self._images, self._places, kept = [], [], []
        self.stacks = [stack for stack, _, _ in opened]
        for number, (stack, fields, path) in enumerate(opened):
            check_rows(stack, fields, path)
            self._images.append((stack.images, stack.channel_indices(channels["input"] + channels["target"])))
            rows = active_rows(fields, actives)
            self._places += [(number, int(row)) for row in rows]
            kept.append(fields.iloc[rows])
        self.fields = pd.concat(kept, ignore_index=True)
        if not self._places:
            why = "none of their perturbations is active; train with subset: all" if actives is not None else "no rows"
            raise ValueError(f"no fields to train on in {[str(table) for table in tables]}: {why}")
        sizes = {images.shape[-2:] for images, _ in self._images}
        if len(sizes) != 1:
            raise ValueError(f"plates of different sizes: {[(str(s.path), s.images.shape[-2:]) for s in self.stacks]}")
        self.size = sizes.pop()
        self.inputs = len(channels["input"])
        self.labels = label_map([self.fields], label)
        self.label_indices = label_indices(self.fields, label, self.labels)

    def __len__(self) -> int:
        return len(self._places)

    def keep_labelled(self) -> None:
        """Leave out the fields without a label."""
        kept = np.flatnonzero(self.label_indices)
        self._places = [self._places[number] for number in kept]
        self.fields = self.fields.iloc[kept].reset_index(drop=True)
        self.label_indices = self.label_indices[kept]

    def field(self, number: int, window: tuple[slice, slice] = (slice(None), slice(None))) -> np.ndarray:
        """Return (C, h, w) float32 z-scores of one field, inputs before targets; `window` cuts rows and columns."""
        plate, row = self._places[number]
        images, channels = self._images[plate]
        return np.stack([images[row, channel][window] for channel in channels]).astype(np.float32)

    def order(self, seed: int, first: int, count: int) -> list[int]:
        """Return the fields shown as images `first` to `first + count - 1`: every field once before any twice."""
        chosen, orders = [], {}
        for image in range(first, first + count):
            epoch, place = divmod(image, len(self))
            if epoch not in orders:
                orders[epoch] = np.random.default_rng(seed_of(seed, "epoch", epoch)).permutation(len(self))
            chosen.append(int(orders[epoch][place]))
        return chosen

    def batch(self, seed: int, first: int, count: int, crop_px: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the training images `first` to `first + count - 1` and their labels.

        Returns
        -------
        images : (count, C, crop, crop) float32 z-scores, flipped and turned
        labels : (count,) int64
        """
        chosen = self.order(seed, first, count)
        images = []
        for image, number in enumerate(chosen, start=first):
            rng = np.random.default_rng(seed_of(seed, "image", image))
            images.append(augment(self.field(number, random_window(self.size, crop_px, rng)), rng))
        return np.stack(images), self.label_indices[chosen]


def random_window(size: tuple[int, int], crop_px: int | None, rng: np.random.Generator) -> tuple[slice, slice]:
    """Return a random square window of side `crop_px` (the whole image where that is None or larger)."""
    if crop_px is None:
        return slice(None), slice(None)
    starts = [int(rng.integers(0, max(side - crop_px, 0) + 1)) for side in size]
    return slice(starts[0], starts[0] + crop_px), slice(starts[1], starts[1] + crop_px)


def augment(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flip left-right, flip up-down and turn by 90 degrees, each with probability 1/2 (paper 000, section 4.3).

    An image that is not square is not turned.
    """
    flip_x, flip_y, turn = rng.random(3) < 0.5
    image = image[..., ::-1] if flip_x else image
    image = image[..., ::-1, :] if flip_y else image
    turned = turn and image.shape[-1] == image.shape[-2]
    return np.ascontiguousarray(np.rot90(image, axes=(-2, -1)) if turned else image)
