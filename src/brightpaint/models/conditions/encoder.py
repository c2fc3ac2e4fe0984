"""The one encoder of conditions: it sums what it is given onto the noise embedding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from brightpaint.models.compute import unreduced
from brightpaint.models.conditions.condition import LABEL, Condition


class ConditionEncoder(nn.Module):
    """Embed what the images are told. A part that an image lacks is exactly the zero vector, and nothing is learnt of it.

    Parameters
    ----------
    labels : how many classes there are; class 0, none, has a row of zeros that is never trained
    width : E, that of the embedding
    sd : s.d. of the untrained class embeddings
    numbers : {name of a part: K}
    """

    def __init__(self, labels: int, width: int, sd: float, numbers: Mapping[str, int] | None = None):
        super().__init__()
        self.table = nn.Embedding(labels + 1, width, padding_idx=0)
        nn.init.normal_(self.table.weight, std=sd)
        with torch.no_grad():
            self.table.weight[0].zero_()
        self.numbers = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(count, width), nn.SiLU(), nn.Linear(width, width))
                for name, count in (numbers or {}).items()
            }
        )

    def forward(self, embedding: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Return `embedding` (B, E) plus that of each part, in the condition's order; a part not given adds nothing."""
        for name, part in condition.parts.items():
            if name == LABEL:
                embedding = embedding + self.table(part)  # (B,) -> (B, E)
            elif name in self.numbers:
                embedding = embedding + self._of_numbers(name, part)
            else:
                raise ValueError(
                    f"condition {name}: this network knows {', '.join((LABEL, *self.numbers))}; retrain it"
                )
        return embedding

    def _of_numbers(self, name: str, values: torch.Tensor) -> torch.Tensor:
        known = torch.isfinite(values).all(dim=1, keepdim=True)
        with unreduced(values):  # (B, K) -> (B, E)
            return self.numbers[name](values.masked_fill(~known, 0.0)).masked_fill(~known, 0.0)
