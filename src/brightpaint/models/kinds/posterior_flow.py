"""Posterior-mean rectified flow: from what a base model paints, with a little noise, to stains (Ohayon et al. 2024).

Of all images that are distributed as real ones, those that lie nearest to the real stains in the mean are what the posterior's
mean is transported to. The network sees the image that it moves and no brightfield, so that what it paints hangs on the base
alone: it is no sampler of the variety that a field leaves open, and two of its samples are more alike than they should be. Our
regression has the least absolute error, so that its image is nearer to a median than to the mean that the theory speaks of.
"""

from __future__ import annotations

import argparse
from typing import Callable

import numpy as np
import pandas as pd
import torch

from brightpaint.models.compute import Compute
from brightpaint.models.conditions.shown import condition_shown
from brightpaint.models.data import TrainingImages
from brightpaint.models.kinds import diffusion, from_base
from brightpaint.models.objectives.on_base import Flow, Slope, noise_of
from brightpaint.models.paint import walk, walk_from_base
from brightpaint.models.paint.field_noise import drawer
from brightpaint.models.trained import cutoff_of

tensor_problems = from_base.unit_problems


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Measure the base's error and train the slope of the flow."""
    _, held = from_base.errors(args, data)
    unit = from_base.root_mean_square(held())
    objectives = (Flow(inputs=data.inputs, unit=unit, **dropped) for dropped in from_base.dropouts(args.settings))
    from_base.train(args, data, Slope(from_base.new_unet(args, data), unit), *objectives, {from_base.UNIT: unit})


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)`: what the base paints, moved along the flow from the field's own noise."""
    settings, cutoff = args.settings, cutoff_of(meta["settings"])
    unit = tensors[from_base.UNIT]
    certain, network = from_base.loaded(
        args, tensors, meta, fields, how, lambda unet: Slope(unet, unit), (from_base.UNIT,)
    )
    steps, second = settings["steps"], settings["sampler"] == "heun"
    told = walk.at_levels(network, walk_from_base.even_times(steps), how.device)
    guided, condition = diffusion.guide_all(told, None, [], settings), condition_shown(fields, meta, settings)

    def paint(x: np.ndarray, rows: list[int]) -> np.ndarray:
        m = how.send(torch.from_numpy(certain(x, rows)))
        start = m + noise_of(unit, drawer(fields, rows, settings["seed"], m.shape[1:], how)())
        bright, shown = how.send(torch.from_numpy(x)), condition.rows(rows).to(how.device)
        moved = walk_from_base.flow(guided, start, bright, shown, steps, second=second)
        return moved.clamp(-cutoff, cutoff).cpu().numpy()

    return paint
