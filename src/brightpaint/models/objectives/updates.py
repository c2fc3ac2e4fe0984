"""Which losses of a step move which network, and how often.

An objective has `inputs` (the brightfield planes, first channels of an image), `draw(shape, generator)`, which draws all
that is random in a step for the whole batch, and `updates`. The first update's loss is the one that validates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

MODEL = "model"  # the name of a network that is trained alone


@dataclass(frozen=True)
class Update:
    """One gradient step of one network.

    Attributes
    ----------
    network : the only one whose weights move; no gradient reaches the others'
    loss : (networks by name, x, y, condition, *drawn) -> scalar
    every : it is done in steps 0, `every`, 2 `every`, ...: a loss of 16 is a lazy regularisation
    word : the loss's name in the history
    scale : by which the loss is multiplied; the history has it without
    """

    network: str
    loss: Callable[..., torch.Tensor]
    every: int = 1
    word: str = "loss"
    scale: float = 1.0


class OneNetwork:
    """An objective of one network: its `loss(model, x, y, condition, *drawn)` is taken in every step."""

    @property
    def updates(self) -> tuple[Update, ...]:
        return (Update(MODEL, lambda networks, *batch: self.loss(networks[MODEL], *batch)),)
