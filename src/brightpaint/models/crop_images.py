"""Training images that are crops of single cells: random batches of several plates' crops, and what they are told.

Like `data.TrainingImages`, a source of `batch(seed, first, count) -> (images, Condition)`; the crops, and how they are flipped
and turned, are the store's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.labels import label_indices, label_map


def open_all(paths: Sequence[str | Path]) -> list[store.Crops]:
    """Open files of crops in the order of their names, by which crops are counted through all of them."""
    return [store.open_crops(path) for path in sorted(map(Path, paths))]


def with_masks(paths: Sequence[str | Path], what: str) -> None:
    """Refuse crops of one's own that came without masks, whose masks are 1 everywhere; `what` asks for them."""
    for one in open_all(paths):
        if not one.meta.get("masks", True):
            raise ValueError(
                f"{one.path}: its crops have no masks, and {what} asks where their cells are; give own_crops.mask or "
                "own_crops.threshold, or leave it out"
            )


def rows_of(crops: Sequence[store.Crops], columns: Sequence[str]) -> pd.DataFrame:
    """Return these columns of the crops' tables, one row a crop, counted through all files."""
    tables = [one.table(list(dict.fromkeys(columns))) for one in crops if len(one)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(dict.fromkeys(columns)))


def label_columns(crops: Sequence[store.Crops], label: str) -> list[str]:
    """Return the columns by which the crops' classes are known."""
    if label == "none":
        return []
    known = "Metadata_perturbation" in crops[0].table_columns()
    return [f"Metadata_{label}", *(["Metadata_perturbation"] if known else [])]


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
    named : the class name of every crop, counted through all files, in place of `label`; a crop of "" is left out
    numbers : {class name: number from 1} of `named`
    shown : (images, masks, numbers of the crops) -> images: what is changed about a batch before a network sees it
    told_mask : part of the condition by which a network is told the own cell's mask, (B, D, H, W) uint8; none without it

    Attributes
    ----------
    labels : {class name: number from 1}
    rows : of the table of the crops taken: their group and label
    chosen : which crops they are, counted through all files
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        channels: Sequence[str] | None = None,
        label: str = "none",
        groups: Sequence[str] | None = None,
        masked: bool = False,
        brightness: float = 0.0,
        named: Sequence[str] | None = None,
        numbers: Mapping[str, int] | None = None,
        shown: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None,
        told_mask: str | None = None,
    ):
        crops = open_all(paths)
        table = rows_of(crops, ["group", *label_columns(crops, label)])
        taken = np.ones(len(table), bool) if groups is None else table["group"].isin(set(groups)).to_numpy()
        if named is not None:
            taken &= np.asarray(named, object) != ""
        self.chosen = np.flatnonzero(taken)
        self.rows, self.masked, self.shown = table.iloc[self.chosen].reset_index(drop=True), masked, shown
        self.told_mask = told_mask
        self._source = store.CropBatches(crops, channels=channels, rows=self.chosen, brightness=brightness)
        self.labels = label_map([self.rows], label) if named is None else dict(numbers)
        classes = label_indices(table, label, self.labels) if named is None else [self.labels.get(n, 0) for n in named]
        self.condition = Condition.of_labels(torch.as_tensor(np.asarray(classes, np.int64)))

    def __len__(self) -> int:
        return len(self._source)

    def batch(
        self, seed: int, first: int, count: int, crop_px: int | None = None, mine: slice = slice(None)
    ) -> tuple[np.ndarray, Condition]:
        """Return the training images `first` to `first + count - 1` and what they are told, or the part `mine` of them.

        Parameters
        ----------
        crop_px : None; crops are shown whole

        Returns
        -------
        images : (count, C, D, H, W) float32
        condition : of `count` images
        """
        images, masks, numbers = self._source.batch(seed, first, count, mine)
        return self._changed(images, masks, numbers), self._told(numbers, masks)

    def fixed(self, number: int, crop_px: int | None = None) -> tuple[str, np.ndarray, Condition]:
        """Return validation image `number`, as it lies: its name, (C, D, H, W), and what it is told; beyond the last again."""
        chosen = self.chosen[[number % len(self)]]
        images, masks = self._source.take(chosen)
        return str(chosen[0]), self._changed(images, masks, chosen)[0], self._told(chosen, masks)

    def take(self, numbers: Sequence[int]) -> np.ndarray:
        """Return these crops, counted through all files, as they lie: (n, C, D, H, W) float32."""
        numbers = np.asarray(numbers, np.int64)
        return self._changed(*self._source.take(numbers), numbers)

    def masks(self, numbers: Sequence[int]) -> np.ndarray:
        """Return the masks of these crops, as they lie: (n, 2, D, H, W) float32 of 0 and 1, own cell and all cells."""
        return self._source.take(numbers)[1]

    def _told(self, numbers: np.ndarray, masks: np.ndarray) -> Condition:
        """Return what crops are told: their classes and, where it is asked for, where their cells lie."""
        known = self.condition.rows(numbers)
        own = {self.told_mask: torch.from_numpy(masks[:, 0].astype(np.uint8))} if self.told_mask else {}
        return Condition({**known.parts, **own}) if own else known

    def _changed(self, images: np.ndarray, masks: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        images = images * masks[:, :1] if self.masked else images
        return images if self.shown is None else self.shown(images, masks, numbers)
