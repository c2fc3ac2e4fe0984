"""The denoiser's U-Net without noise: it paints in one pass, by least absolute error."""

from __future__ import annotations

import argparse
from typing import Callable

import numpy as np
import pandas as pd
import torch

from brightpaint.base.seeds import seed_of
from brightpaint.models.codecs.codec import codec_of
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.labels import shown_indices
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import train_network
from brightpaint.models.objectives.losses import Regression, build_regressor
from brightpaint.models.trained import cutoff_of, load_module


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Train the regressor; in validation every label is shown."""
    settings = args.settings
    torch.manual_seed(seed_of(settings["seed"], "weights"))
    model = build_regressor(settings, settings["channels"], len(data.labels))
    train_network(args, data, model, *(Regression(data.inputs, share) for share in (settings["label_dropout"], 0.0)))


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)` of a network that paints in one pass, without noise."""
    trained, numbers, cutoff = meta["settings"], meta["label_map"], cutoff_of(meta["settings"])
    regressor = build_regressor(trained, meta["channels"], len(numbers))
    regressor = how.painting(load_module(args.weights, regressor, tensors, how.device))
    labels = shown_indices(fields, trained["label"], numbers, args.settings["sampling_label"])
    condition, codec = Condition.of_labels(torch.from_numpy(labels)), how.place(codec_of(trained, tensors))

    def paint(x: np.ndarray, rows: list[int], sample: int = 0) -> np.ndarray:
        seen = how.coded(codec.see, how.send(torch.from_numpy(x)))
        with torch.no_grad():
            latents = regressor(seen, condition.rows(rows).to(how.device))
        return how.coded(codec.decode, latents).clamp(-cutoff, cutoff).cpu().numpy()

    return paint
