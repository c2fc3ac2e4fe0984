"""What the images of a batch are told beside brightfield: a class, and other conditions such as a dose or a molecule.

A condition has named parts, and an image may lack any of them: it is then a zero embedding to the network
(`encoder.ConditionEncoder`), never a value that stands for nothing. What lacks all of them is the null condition, which
guidance without a classifier and label dropout show.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

LABEL = "label"


@dataclass(frozen=True, eq=False)
class Condition:
    """The condition of B images.

    Attributes
    ----------
    parts : {name: tensor}, at least one, all on one device: a class as (B,) int64 from 1, 0 where there is none; numbers
        as (B, K) float32, not a number where they are not known (one of K that is unknown leaves out all K)
    """

    parts: dict[str, torch.Tensor]

    @classmethod
    def of_labels(cls, labels: torch.Tensor) -> Condition:
        """Return the condition of images that are told nothing but a class: (B,) int64, 0 for none."""
        return cls({LABEL: labels})

    @classmethod
    def of(cls, labels: np.ndarray, told: Mapping[str, np.ndarray]) -> Condition:
        """Return the condition of images of these classes, told this beside: arrays of the same types."""
        return cls({name: torch.from_numpy(part) for name, part in {LABEL: labels, **told}.items()})

    @classmethod
    def join(cls, conditions: Sequence[Condition]) -> Condition:
        """Return the conditions of several batches, with the same parts, as those of one."""
        return cls({name: torch.cat([each.parts[name] for each in conditions]) for name in conditions[0].parts})

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    @property
    def labels(self) -> torch.Tensor:
        """The classes, (B,) int64, 0 for none."""
        return self.parts[LABEL]

    def null(self) -> Condition:
        """Return the condition of as many images that are told nothing."""
        return self._each(lambda part: torch.full_like(part, nothing(part)))

    def rows(self, rows) -> Condition:
        """Return the conditions of these images: a slice, a list of numbers or an array of them."""
        return self._each(lambda part: part[rows])

    def without(self, dropped: torch.Tensor) -> Condition:
        """Return the condition without what is `dropped`, bool on the condition's device: (B,) of all parts of an image, or
        (B, P) of each by itself, in the condition's order."""
        by_part = dropped[:, None].expand(-1, len(self.parts)) if dropped.ndim == 1 else dropped
        if by_part.shape != (len(self), len(self.parts)):
            raise ValueError(
                f"dropped of shape {tuple(dropped.shape)}: expected {len(self)} images by the parts {', '.join(self.parts)}"
            )
        return Condition(
            {
                name: part.masked_fill(gone.view(-1, *[1] * (part.ndim - 1)), nothing(part))
                for (name, part), gone in zip(self.parts.items(), by_part.unbind(dim=1))
            }
        )

    def lacking(self, names: Collection[str]) -> Condition:
        """Return the condition of images that are not told these parts."""
        return Condition(
            {name: torch.full_like(part, nothing(part)) if name in names else part for name, part in self.parts.items()}
        )

    def to(self, device: torch.device, non_blocking: bool = False) -> Condition:
        """Return the condition on a device."""
        return self._each(lambda part: part.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Condition:
        """Return the condition in memory from which a GPU can fetch it by itself."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Condition:
        return Condition({name: change(part) for name, part in self.parts.items()})


def nothing(part: torch.Tensor) -> float:
    """Return the value that says that an image lacks a part: 0 for a class, not a number for numbers."""
    return float("nan") if part.is_floating_point() else 0
