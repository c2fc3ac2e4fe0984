"""The one encoder of conditions: it sums what it is given onto the noise embedding.

Numbers are told as in DiffusionSat (Khanna et al. 2024): scaled to 0..1000, by the sinusoid of the time step and a network of
their own. Unlike there, a part that an image lacks is a zero embedding, not the number 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from brightpaint.models.compute import unreduced
from brightpaint.models.conditions.condition import LABEL, Condition
from brightpaint.models.networks.sinusoid import frequencies, sinusoid
from brightpaint.study.conditions import CATEGORY, MOLECULE, NUMBER, Part

LONGEST = 10000.0  # of the sinusoid's periods, in units of 1 / 1000 of a number's range: that of the time step
SINUSOID = 64  # cosines and sines of a number


class Numbers(nn.Module):
    """Embed K numbers, scaled to 0..1000 over their training range: (B, K) -> (B, E)."""

    def __init__(self, count: int, width: int):
        super().__init__()
        self.register_buffer("frequencies", frequencies(SINUSOID, LONGEST), persistent=False)  # not among the weights
        self.layers = nn.Sequential(nn.Linear(count * SINUSOID, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        waves = [sinusoid(value, self.frequencies) for value in values.unbind(dim=1)]  # K of (B, SINUSOID)
        return self.layers(torch.cat(waves, dim=1))


def vector_layers(count: int, width: int) -> nn.Module:
    """Return what embeds a vector of K entries, a molecule's: (B, K) -> (B, E)."""
    return nn.Sequential(nn.Linear(count, width), nn.SiLU(), nn.Linear(width, width))


def table_of(count: int, width: int, sd: float) -> nn.Embedding:
    """Return embeddings of `count` classes numbered from 1; 0, none, is a row of zeros that is never trained."""
    table = nn.Embedding(count + 1, width, padding_idx=0)
    nn.init.normal_(table.weight, std=sd)
    with torch.no_grad():
        table.weight[0].zero_()
    return table


class ConditionEncoder(nn.Module):
    """Embed what the images are told. A part that an image lacks is exactly the zero vector, and nothing is learnt of it.

    Parameters
    ----------
    labels : how many classes there are
    width : E, that of the embedding
    sd : s.d. of the untrained class embeddings
    parts : {name: how it is embedded} of what may be told beside the label
    """

    def __init__(self, labels: int, width: int, sd: float, parts: Mapping[str, Part] | None = None):
        super().__init__()
        self.table = table_of(labels, width, sd)
        self.tables, self.numbers, self.vectors = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for name, part in (parts or {}).items():
            if part.form == CATEGORY:
                self.tables[name] = table_of(part.count, width, sd)
            elif part.form == NUMBER:
                self.numbers[name] = Numbers(part.count, width)
            elif part.form == MOLECULE:
                self.vectors[name] = vector_layers(part.count, width)
            else:
                raise ValueError(f"condition {name}: form {part.form!r}: expected {CATEGORY}, {NUMBER} or {MOLECULE}")

    def forward(self, embedding: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Return `embedding` (B, E) plus that of each part, in the condition's order; a part not given adds nothing."""
        for name, part in condition.parts.items():
            if name == LABEL:
                embedding = embedding + self.table(part)  # (B,) -> (B, E)
            elif name in self.tables:
                embedding = embedding + self.tables[name](part)
            elif name in self.numbers:
                embedding = embedding + _known(self.numbers[name], part)
            elif name in self.vectors:
                embedding = embedding + _known(self.vectors[name], part)
            else:
                known = ", ".join((LABEL, *self.tables, *self.numbers, *self.vectors))
                raise ValueError(f"condition {name}: this network knows {known}; retrain it")
        return embedding


def _known(network: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Return a network's embedding of the rows of `values` (B, K) that are whole, zeros for the others: (B, E)."""
    known = torch.isfinite(values).all(dim=1, keepdim=True)
    with unreduced(values):
        return network(values.masked_fill(~known, 0.0)).masked_fill(~known, 0.0)
