"""The noise that a field is painted from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import torch

from brightpaint import store
from brightpaint.base.seeds import seed_of
from brightpaint.models.compute import Compute


def field_noise(row: pd.Series, seed: int, sample: int = 0) -> torch.Generator:
    """Return the source of a field's noise: the same for the same plate, well, site, tile, seed and sample.

    Sample 0 is what the arm's stack holds; the others are painted for their spread. A row that is a draw itself
    (`Metadata_draw`) has the noise of the sample of that number.
    """
    sample = sample or int(row.get("Metadata_draw", 0))
    further = ("sample", sample) if sample else ()
    return torch.Generator().manual_seed(seed_of(*(row[key] for key in store.FIELD_KEYS), seed, *further))


def further(sources: Sequence[torch.Generator], device: torch.device) -> list[torch.Generator]:
    """Return the fields' sources of all noise but the first: on a CPU the same ones, on a GPU its own, of the same seeds.

    A step's noise drawn on the CPU would be sent at every step; drawn where it is needed it costs a small kernel a field.
    """
    if device.type == "cpu":
        return list(sources)
    return [torch.Generator(device).manual_seed(source.initial_seed()) for source in sources]


def drawer(
    fields: pd.DataFrame, rows: Sequence[int], seed: int, shape: Sequence[int], how: Compute
) -> Callable[[], torch.Tensor]:
    """Return what draws standard normal noise for a batch of field rows, new at each call: (B, *shape) float32 on the device.

    The first is from the CPU's generators, so that every device paints from the same noise.
    """
    sources = [field_noise(fields.iloc[row], seed) for row in rows]
    later: list[torch.Generator] = []

    def draw() -> torch.Tensor:
        chosen = later or sources
        noise = torch.stack([torch.randn(tuple(shape), generator=source, device=source.device) for source in chosen])
        if not later:
            later.extend(further(sources, how.device))
            noise = noise.pin_memory() if how.device.type == "cuda" else noise
        return how.send(noise)

    return draw
