"""What a network of single cells is trained on: the cross-entropy of its classes, rare ones weighted as frequent ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.objectives.updates import OneNetwork


def class_weights(labels: np.ndarray, classes: int, how: str) -> list[float]:
    """Return the weight of each class, 1 in the mean over the cells that are trained on.

    Parameters
    ----------
    labels : (N,) numbers of classes from 1, each there at least once
    how : `balanced`, each class counts as much as any other; or `none`, each cell does
    """
    counts = np.bincount(labels - 1, minlength=classes)
    return (len(labels) / (classes * counts)).tolist() if how == "balanced" else [1.0] * classes


class CellClassification(OneNetwork):
    """Cross-entropy of the class of crops, weighted by class. Crops are all that a network sees: nothing is drawn.

    Parameters
    ----------
    weights : of each class, see `class_weights`
    """

    inputs = 0  # no channel is brightfield that a network would be shown apart

    def __init__(self, weights: Sequence[float]):
        self.weights = torch.tensor(weights, dtype=torch.float32)

    def draw(self, shape: tuple, generator: torch.Generator) -> tuple:
        """Draw nothing."""
        return ()

    def loss(self, model, x, y, condition: Condition) -> torch.Tensor:
        """Return the weighted mean over crops y (B, C, D, H, W); a mean by weights would depend on the batch's classes."""
        labels = condition.labels - 1
        each = F.cross_entropy(model(y).float(), labels, reduction="none")
        return (each * self.weights.to(each.device)[labels]).mean()
