"""Training images: fields of several plate stacks, cropped, flipped and turned, never a whole plate in memory.

Everything random about image n of a training is drawn from (seed, n), so that an interrupted training goes on
as if nothing had happened. Plates are ordered by name, whatever the order of the files.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.seeds import seed_of
from brightpaint.models.conditions import vocabulary
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.labels import active_rows, label_indices, label_map
from brightpaint.models.split import held_out_rows, validation_wells


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


TURNED = 0.5  # of the images


class TrainingImages:
    """The fields that a model is trained on.

    Parameters
    ----------
    stacks, tables : paths of plate stacks and of their field tables, in the same order
    channels : `input` and `target` channel names
    label : `none`, or the annotation that is the class, see `labels.label_names`
    actives : table of actives, if the model is trained on the active subset
    held_out : names or share of the perturbations that are left out (`split.held_out_perturbations`)
    twin : whether half of the DMSO wells are of a class of their own (`labels.twin_fields`)
    conditions : what is told beside the label, `conditions` of a model
    turned : share of the images that are turned by 90 degrees

    Attributes
    ----------
    labels : {class name: number from 1}; a held-out perturbation has none
    fields : the field tables of the chosen rows, plates in the order of their names
    condition : what those are told
    vocabulary : what the conditions mean, see `conditions.vocabulary`
    """

    def __init__(
        self, stacks: Sequence, tables: Sequence, *, channels: dict, label: str, actives=None, held_out=(), twin=False,
        conditions: Mapping[str, Mapping] | None = None, turned: float = TURNED,
    ):  # fmt: skip
        if len(stacks) != len(tables) or not stacks:
            raise ValueError(f"{len(stacks)} stacks and {len(tables)} field tables; expected as many, at least one")
        read = [(stack, store.read_fields(table), table) for stack, table in zip(stacks, tables)]
        opened = [(store.open_stack(stack).select(fields), fields, table) for stack, fields, table in read]
        opened.sort(key=lambda plate: plate_of(plate[1], plate[2]))
        self._images, self._places = [], []
        self.stacks = [stack for stack, _, _ in opened]
        for number, (stack, fields, path) in enumerate(opened):
            check_rows(stack, fields, path)
            self._images.append((stack.images, stack.channel_indices(channels["input"] + channels["target"])))
            self._places += [(number, row) for row in range(len(fields))]
        self.fields = pd.concat([fields for _, fields, _ in opened], ignore_index=True)
        held = held_out_rows(self.fields, held_out)
        self.held_out = sorted(set(self.fields.loc[held, "Metadata_perturbation"])) if held.any() else []
        rows = active_rows(self.fields, actives)
        rows = rows[~held[rows]]
        if not len(rows):
            why = "none of their perturbations is active; train with subset: all" if actives is not None else "no rows"
            raise ValueError(f"no fields to train on in {[str(table) for table in tables]}: {why}")
        sizes = {images.shape[-2:] for images, _ in self._images}
        if len(sizes) != 1:
            raise ValueError(f"plates of different sizes: {[(str(s.path), s.images.shape[-2:]) for s in self.stacks]}")
        self.size, self.turned = sizes.pop(), turned
        self.inputs = len(channels["input"])
        self.labels = label_map([self.fields.iloc[rows]], label, twin)
        self.vocabulary, told = vocabulary.learn_and_tell(self.fields.iloc[rows], conditions or {})
        told = vocabulary.spread(told, rows, len(self.fields))
        self.condition = Condition.of(label_indices(self.fields, label, self.labels, twin), told)
        self._keep(rows)

    def __len__(self) -> int:
        return len(self._places)

    def _keep(self, rows: np.ndarray) -> None:
        self._places = [self._places[row] for row in rows]
        self.fields = self.fields.iloc[rows].reset_index(drop=True)
        self.condition = self.condition.rows(rows)

    def keep_labelled(self) -> None:
        """Leave out the fields without a label."""
        self._keep(np.flatnonzero(self.condition.labels.numpy()))

    def split(self, share: float) -> tuple[TrainingImages, TrainingImages]:
        """Return the fields to train on and those of this share of wells, which validate (maybe none)."""
        validates = validation_wells(self.fields, share)
        parts = copy.copy(self), copy.copy(self)
        for part, rows in zip(parts, (~validates, validates)):
            part._keep(np.flatnonzero(rows))
        return parts

    def describe(self, number: int) -> str:
        """Name training image `number` as an error message does: its stack, and plate, well, site and tile."""
        return f"{self.stacks[self._places[number][0]].path}: {store.describe_field(self.fields.iloc[number])}"

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

    def batch(
        self, seed: int, first: int, count: int, crop_px: int | None, mine: slice = slice(None)
    ) -> tuple[np.ndarray, Condition]:
        """Return the training images `first` to `first + count - 1` and what they are told, or the part `mine` of
        them.

        Returns
        -------
        images : (count, C, crop, crop) z-scores in the stack's float16, flipped and turned
        condition : of `count` images
        """
        chosen = list(enumerate(self.order(seed, first, count), start=first))[mine]
        images = None
        for place, (image, number) in enumerate(chosen):
            rng = np.random.default_rng(seed_of(seed, "image", image))
            plate, row = self._places[number]
            stack, channels = self._images[plate]
            view = augment(stack[row][(slice(None), *random_window(self.size, crop_px, rng))], rng, self.turned)
            if images is None:
                images = np.empty((len(chosen), len(channels), *view.shape[1:]), stack.dtype)
            for channel, source in enumerate(channels):  # the only copy: from the mapped file to the batch
                images[place, channel] = view[source]
        return images, self.condition.rows([number for _, number in chosen])

    def fixed(self, number: int, crop_px: int | None) -> tuple[str, np.ndarray, Condition]:
        """Return validation image `number`: its name, its (C, h, w) window drawn from that name, and its
        condition.

        Beyond the last field they begin again with another window, under another name.
        """
        again, row = divmod(number, len(self))
        name = "/".join(str(self.fields.loc[row, key]) for key in store.FIELD_KEYS) + f"/{again}"
        window = random_window(self.size, crop_px, np.random.default_rng(seed_of("validation", name)))
        return name, self.field(row, window), self.condition.rows([row])


def random_window(size: tuple[int, int], crop_px: int | None, rng: np.random.Generator) -> tuple[slice, slice]:
    """Return a random square window of side `crop_px` (the whole image where that is None or larger)."""
    if crop_px is None:
        return slice(None), slice(None)
    starts = [int(rng.integers(0, max(side - crop_px, 0) + 1)) for side in size]
    return slice(starts[0], starts[0] + crop_px), slice(starts[1], starts[1] + crop_px)


def augment(image: np.ndarray, rng: np.random.Generator, turned: float = TURNED) -> np.ndarray:
    """Flip left-right, flip up-down and turn by 90 degrees, each with probability 1/2 (paper 000, section 4.3).

    `turned` is another share of turns: the authors' code draws one of four turns in half of the images, an odd one in a quarter.
    An image that is not square is not turned. The result is a view of `image`.
    """
    flip_x, flip_y, turn = rng.random(3) < (0.5, 0.5, turned)
    image = image[..., ::-1] if flip_x else image
    image = image[..., ::-1, :] if flip_y else image
    turned = turn and image.shape[-1] == image.shape[-2]
    return np.rot90(image, axes=(-2, -1)) if turned else image
