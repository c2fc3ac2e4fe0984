"""Which losses of a step move which network, and how often.

An objective has `inputs` (the brightfield planes, first channels of an image), `draw(shape, generator)`, which draws all
that is random in a step for the whole batch, and `updates`. The first update's loss is the one that validates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

MODEL = "model"  # the name of a network that is trained alone


@dataclass(frozen=True)
class Update:
    """One gradient step of one network.

    Attributes
    ----------
    network : the only one whose weights move; no gradient reaches the others'
    loss : (networks by name, x, y, condition, *drawn) -> scalar; with `beside`, that and a scalar for each of these
    every : it is done in steps 0, `every`, 2 `every`, ...: a loss of 16 is a lazy regularisation
    word : the loss's name in the history
    scale : by which the loss is multiplied; the history has it without
    beside : {word: weight} of further terms of the same step; the history has each by its word, without its weight
    """

    network: str
    loss: Callable[..., torch.Tensor]
    every: int = 1
    word: str = "loss"
    scale: float = 1.0
    beside: Mapping[str, float] = field(default_factory=dict)

    def terms(self, networks: Mapping[str, Callable], *batch: object) -> dict[str, torch.Tensor]:
        """Return {word: scalar} of the loss and what is beside it."""
        found = self.loss(networks, *batch)
        return dict(zip([self.word, *self.beside], found)) if self.beside else {self.word: found}

    def whole(self, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return what is minimised, without `scale`: the loss, and the weighted terms beside it."""
        whole = terms[self.word]
        for word, weight in self.beside.items():
            whole = whole + weight * terms[word]
        return whole


class OneNetwork:
    """An objective of one network: its `loss(model, x, y, condition, *drawn)` is taken in every step."""

    @property
    def updates(self) -> tuple[Update, ...]:
        return (Update(MODEL, lambda networks, *batch: self.loss(networks[MODEL], *batch)),)
