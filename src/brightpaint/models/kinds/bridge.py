"""Schroedinger bridge from what a base model paints to stains (image-to-image, Liu et al. 2023), from the paper alone.

Where a diffusion model begins with noise, the bridge begins with the base's image and puts noise in on its way: in one step it
paints a mean, in many it samples. Its noise is white and as wide as the base's error; see `objectives.on_base`.
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
from brightpaint.models.objectives.on_base import Bridge, Bridged
from brightpaint.models.paint import walk, walk_from_base
from brightpaint.models.paint.field_noise import drawer
from brightpaint.models.trained import cutoff_of

tensor_problems = from_base.unit_problems


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Measure the base's error and train what finds it from any point of the bridge."""
    trained, held = (from_base.root_mean_square(pairs()) for pairs in from_base.errors(args, data))
    objectives = (
        Bridge(inputs=data.inputs, unit=unit, **dropped)
        for unit, dropped in zip((trained, held), from_base.dropouts(args.settings))
    )
    from_base.train(args, data, Bridged(from_base.new_unet(args, data)), *objectives, {from_base.UNIT: held})


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)`: what the base paints, walked along the bridge by the field's own noise."""
    settings, cutoff = args.settings, cutoff_of(meta["settings"])
    certain, network = from_base.loaded(args, tensors, meta, fields, how, Bridged, (from_base.UNIT,))
    unit = tensors[from_base.UNIT].to(how.device)[:, None, None]
    told = walk.at_levels(network, walk_from_base.even_times(settings["steps"]), how.device)
    guided, condition = diffusion.guide_all(told, None, [], settings), condition_shown(fields, meta, settings)

    def paint(x: np.ndarray, rows: list[int]) -> np.ndarray:
        m = certain(x, rows)
        seen, m = how.send(torch.from_numpy(np.concatenate([x, m], axis=1))), how.send(torch.from_numpy(m))
        draw = drawer(fields, rows, settings["seed"], m.shape[1:], how)
        shown = condition.rows(rows).to(how.device)
        error = walk_from_base.bridge(guided, torch.zeros_like(m), seen, shown, settings["steps"], draw)
        return (m + unit * error).clamp(-cutoff, cutoff).cpu().numpy()

    return paint
