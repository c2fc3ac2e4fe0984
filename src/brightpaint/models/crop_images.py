"""Training images that are crops of single cells: random batches of several plates' crops, and what they are told.

Like `data.TrainingImages`, a source of `batch(seed, first, count) -> (images, Condition)`; the crops, and how they are flipped
and turned, are the store's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.labels import label_indices, label_map


class CropImages:
    """The crops that a model is trained on.

    Parameters
    ----------
    paths : files of crops; they are ordered by name, whatever the order here
    channels : names in order; all where none are named
    label : `none`, or the annotation that is the class, see `labels.label_names`
    groups : the groups whose crops are taken (a well, a movie: never split), all without it
    masked : whether what lies outside the own cell is 0
    brightness : see `store.CropBatches`

    Attributes
    ----------
    labels : {class name: number from 1}
    rows : of the table of the crops taken: their group and label
    """

    def __init__(self, paths: Sequence[str | Path], *, channels: Sequence[str] | None = None, label: str = "none",
                 groups: Sequence[str] | None = None, masked: bool = False, brightness: float = 0.0):  # fmt: skip
        crops = [store.open_crops(path) for path in sorted(map(Path, paths))]
        needed = ["group"] if label == "none" else ["group", f"Metadata_{label}"]
        if label != "none" and "Metadata_perturbation" in crops[0].table_columns():
            needed.append("Metadata_perturbation")
        table = pd.concat([one.table(list(dict.fromkeys(needed))) for one in crops if len(one)], ignore_index=True)
        chosen = np.arange(len(table)) if groups is None else np.flatnonzero(table["group"].isin(set(groups)))
        self.rows, self.masked = table.iloc[chosen].reset_index(drop=True), masked
        self._source = store.CropBatches(crops, channels=channels, rows=chosen, brightness=brightness)
        self.labels = label_map([self.rows], label)
        self.condition = Condition.of_labels(torch.from_numpy(label_indices(table, label, self.labels)))

    def __len__(self) -> int:
        return len(self._source)

    def batch(self, seed: int, first: int, count: int, mine: slice = slice(None)) -> tuple[np.ndarray, Condition]:
        """Return the training images `first` to `first + count - 1` and what they are told, or the part `mine` of them.

        Returns
        -------
        images : (count, C, D, H, W) float32
        condition : of `count` images
        """
        images, masks, numbers = self._source.batch(seed, first, count, mine)
        return images * masks[:, :1] if self.masked else images, self.condition.rows(numbers)
