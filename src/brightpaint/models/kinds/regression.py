"""The denoiser's U-Net without noise: it paints in one pass, by least absolute error."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Callable

import numpy as np
import pandas as pd
import torch
from torch import nn

from brightpaint.base.seeds import seed_of
from brightpaint.models.codecs.codec import codec_of
from brightpaint.models.compute import Compute
from brightpaint.models.conditions import vocabulary
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.conditions.shown import condition_shown
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import train_network
from brightpaint.models.objectives.losses import Regression, build_regressor
from brightpaint.models.trained import cutoff_of, load_module
from brightpaint.study.conditions import shares


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Train the regressor; in validation every label and condition is shown."""
    settings = args.settings
    torch.manual_seed(seed_of(settings["seed"], "weights"))
    model = build_regressor(settings, settings["channels"], len(data.labels), vocabulary.parts(data.vocabulary))
    dropped = (settings["label_dropout"], shares(settings.get("conditions", {}))), (0.0, ())
    train_network(args, data, model, *(Regression(data.inputs, *each) for each in dropped))


class Certain(nn.Module):
    """What the regressor paints of any square of a field, for what stands on it: (B, C_input, H, W) -> (B, C_target, H, W)."""

    def __init__(self, regressor: nn.Module, codec: nn.Module, cutoff: float):
        super().__init__()
        self.regressor, self.codec, self.cutoff = regressor, codec, cutoff

    def forward(self, x: torch.Tensor, condition: Condition) -> torch.Tensor:
        return self.codec.decode(self.regressor(self.codec.see(x), condition)).clamp(-self.cutoff, self.cutoff)


def certain(path: Path, tensors: dict, meta: dict) -> Certain:
    """Return a regressor as `Certain`, from its weights; `path` is of the file that they are read for."""
    regressor = build_regressor(
        meta["settings"], meta["channels"], len(meta["label_map"]), vocabulary.parts(meta.get("conditions", {}))
    )
    loaded = load_module(path, regressor, tensors, torch.device("cpu"))
    return Certain(loaded, codec_of(meta["settings"], tensors), cutoff_of(meta["settings"]))


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows)` of a network that paints in one pass, without noise."""
    trained, parts, cutoff = meta["settings"], vocabulary.parts(meta.get("conditions", {})), cutoff_of(meta["settings"])
    regressor = build_regressor(trained, meta["channels"], len(meta["label_map"]), parts)
    regressor = how.painting(load_module(args.weights, regressor, tensors, how.device))
    condition, codec = condition_shown(fields, meta, args.settings), how.place(codec_of(trained, tensors))

    def paint(x: np.ndarray, rows: list[int]) -> np.ndarray:
        seen = how.coded(codec.see, how.send(torch.from_numpy(x)))
        with torch.no_grad():
            latents = regressor(seen, condition.rows(rows).to(how.device))
        return how.coded(codec.decode, latents).clamp(-cutoff, cutoff).cpu().numpy()

    return paint
