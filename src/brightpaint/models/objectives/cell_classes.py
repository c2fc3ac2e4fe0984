"""What a network of single cells is trained on: the cross-entropy of its classes, rare ones weighted as frequent ones.

On request a second term pulls attention onto the cell, as the Grad-CAMO paper suggests: the share of the class's Grad-CAM
that lies outside the cell's own mask. Like Ross et al. 2017 ("right for the right reasons"), who hold down the gradients of
the input there, it asks for the right answer by the right pixels; here of the very map that Grad-CAMO scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.grad_cam import upsampled
from brightpaint.models.objectives.updates import MODEL, OneNetwork, Update

MASK = "mask"  # the part of a condition that says where the own cell lies, (B, D, H, W) uint8
OUTSIDE = "attention_outside"  # in the history
FAINT = 0.1


def class_weights(labels: np.ndarray, classes: int, how: str) -> list[float]:
    """Return the weight of each class, 1 in the mean over the cells that are trained on.

    Parameters
    ----------
    labels : (N,) numbers of classes from 1, each there at least once
    how : `balanced`, each class counts as much as any other; or `none`, each cell does
    """
    counts = np.bincount(labels - 1, minlength=classes)
    return (len(labels) / (classes * counts)).tolist() if how == "balanced" else [1.0] * classes


@dataclass(frozen=True)
class Attention:
    """How attention is pulled onto the cell.

    Attributes
    ----------
    weight : of the share of attention outside the cell beside the cross-entropy, above 0
    layer : whose map is taken, from 0
    size : of a crop, (D, H, W)
    strides : of the layer, `CellNetwork.strides_of`
    """

    weight: float
    layer: int
    size: tuple[int, int, int]
    strides: tuple[int, int, int]


def outside(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return the share of each map that lies outside the mask: (B, D, H, W) each -> (B,), 0 to 1.

    It is 1 - camo of a map with FAINT of the batch's mean attention added outside, so that a map that fades counts as one that
    lies elsewhere: a share alone is left as well by having no map at all. 0 where the cell has no pixels: there is nowhere to pull.
    """
    total = maps.flatten(1).sum(1)
    inside = (maps * (masks > 0)).flatten(1).sum(1)
    share = 1 - inside / (total + FAINT * total.mean()).clamp(min=torch.finfo(total.dtype).tiny)
    return torch.where(masks.flatten(1).amax(1) > 0, share, 0)


class CellClassification(OneNetwork):
    """Cross-entropy of the class of crops, weighted by class. Crops are all that a network sees: nothing is drawn.

    Parameters
    ----------
    weights : of each class, see `class_weights`
    attention : adds the mean share of attention outside the cell, of the class that is taught; the condition then has a MASK
    """

    inputs = 0  # no channel is brightfield that a network would be shown apart

    def __init__(self, weights: Sequence[float], attention: Attention | None = None):
        self.weights, self.attention = torch.tensor(weights, dtype=torch.float32), attention

    @property
    def updates(self) -> tuple[Update, ...]:
        if self.attention is None:
            return super().updates

        def both(networks, *batch):
            return self.both(networks[MODEL], *batch)

        return (Update(MODEL, both, beside={OUTSIDE: self.attention.weight}),)

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple:
        """Draw nothing."""
        return ()

    def loss(self, model, x, y, condition: Condition) -> torch.Tensor:
        """Return the weighted mean over crops y (B, C, D, H, W); a mean by weights would depend on the batch's classes."""
        labels = condition.labels - 1
        return self._cross_entropy(model(y), labels)

    def both(self, model, x, y, condition: Condition) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cross-entropy, and the mean over crops of the share of attention outside the cell."""
        labels, how = condition.labels - 1, self.attention
        logits, maps = model(y, labels, how.layer)
        away = outside(upsampled(maps, how.size, how.strides), condition.parts[MASK])
        return self._cross_entropy(logits, labels), away.mean()

    def _cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        each = F.cross_entropy(logits.float(), labels, reduction="none")
        return (each * self.weights.to(each.device)[labels]).mean()
