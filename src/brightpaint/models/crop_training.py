"""Training images that are single cells: crops of several plates in place of fields, for models that fields are painted by.

What `data.TrainingImages` is for fields: the same wells validate, the same perturbations are held out, and everything random
about image n is drawn from (seed, n). Crops are shown whole; `train.crop_px`, which is of fields, cuts nothing here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.models.conditions import vocabulary
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.labels import active_rows, label_indices, label_map
from brightpaint.models.crop_images import open_all
from brightpaint.models.split import held_out_rows, validation_wells


class TrainingCrops:
    """The single cells that a model is trained on.

    Parameters
    ----------
    paths : files of crops of one plane
    channels : `input` and `target` channel names, all of them among the crops'
    label, actives, held_out, conditions : as of `TrainingImages`

    Attributes
    ----------
    labels : {class name: number from 1}; a held-out perturbation has none
    fields : the rows of the crops that are trained on
    condition : what those are told
    vocabulary : what the conditions mean
    stacks : the files, by name
    """

    def __init__(
        self, paths: Sequence[str | Path], *, channels: dict, label: str, actives=None, held_out=(),
        conditions: Mapping[str, Mapping] | None = None,
    ):  # fmt: skip
        self.stacks = open_all(paths)
        names = [*channels["input"], *channels["target"]]
        for one in self.stacks:
            if one.images.shape[2] != 1:
                raise ValueError(
                    f"{one.path}: crops of {one.images.shape[2]} planes, expected one; this network sees no depth: name other "
                    "crops.channels"
                )
            if missing := [name for name in names if name not in one.channels]:
                raise ValueError(f"{one.path}: crops have no channel {', '.join(missing)}; they have {', '.join(one.channels)}; "
                                 "name them in crops.channels")  # fmt: skip
        every = pd.concat([one.table() for one in self.stacks], ignore_index=True)
        self._names, self.inputs = names, len(channels["input"])
        held = held_out_rows(every, held_out)
        self.held_out = sorted(set(every.loc[held, "Metadata_perturbation"])) if held.any() else []
        rows = active_rows(every, actives)
        rows = rows[~held[rows]]
        if not len(rows):
            raise ValueError(
                f"no crops to train on in {[str(one.path) for one in self.stacks]}; see their counts.tsv for why"
            )
        self.labels = label_map([every.iloc[rows]], label)
        self.vocabulary, told = vocabulary.learn_and_tell(every.iloc[rows], conditions or {})
        told = vocabulary.spread(told, rows, len(every))
        self._told = Condition.of(label_indices(every, label, self.labels), told)
        self._every = every
        self._keep(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def _keep(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.fields = self._every.iloc[rows].reset_index(drop=True)
        self.condition = self._told.rows(rows)
        self._source = store.CropBatches(self.stacks, channels=self._names, rows=rows) if len(rows) else None

    def split(self, share: float) -> tuple[TrainingCrops, TrainingCrops]:
        """Return the crops to train on and those of this share of wells, which validate (maybe none)."""
        validates = validation_wells(self.fields, share)
        parts = copy.copy(self), copy.copy(self)
        for part, chosen in zip(parts, (~validates, validates)):
            part._keep(self._rows[chosen])
        return parts

    def batch(
        self, seed: int, first: int, count: int, crop_px: int | None, mine: slice = slice(None)
    ) -> tuple[np.ndarray, Condition]:
        """Return the training images `first` to `first + count - 1`, (count, C, H, W) float32, and what they are told, or the
        part `mine` of them."""
        images, _, numbers = self._source.batch(seed, first, count, mine)
        return images[:, :, 0], self._told.rows(numbers)

    def describe(self, number: int) -> str:
        """Name training image `number` as an error message does."""
        return self._source.describe(self._rows[number])

    def fixed(self, number: int, crop_px: int | None) -> tuple[str, np.ndarray, Condition]:
        """Return validation image `number` as it lies: its name, (C, H, W) and its condition; beyond the last they begin again."""
        again, row = divmod(number, len(self))
        keys = [str(self.fields.loc[row, key]) for key in store.CROP_KEYS]
        images, _ = self._source.take(self._rows[[row]])
        return "/".join([*keys, str(again)]), images[0, :, 0], self.condition.rows([row])
