"""Train and sample with the reference's own public code (crosszamirski/guided-I2I), for comparison in the same run.

Nothing of it is kept here: its network is imported from a checkout. A step is what its `Palette.train_step` does (Adam at
8e-5, loss.item(), the running mean of every step), a level of sampling its `p_sample`, of which it takes 2,000 a field.
It reads batches from memory here, which spares it its data loader.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch
from torch.nn.functional import mse_loss

LEVELS = 2000
# Its config/Target2.json, but for width and size; `image_size` changes nothing in it.
UNET = {"in_channel": 8, "out_channel": 5, "channel_mults": [1, 2, 4, 8], "attn_res": [16], "num_head_channels": 32,
        "res_blocks": 2, "dropout": 0.2, "image_size": 512, "num_classes": 118}  # fmt: skip
BETAS = {"schedule": "linear", "n_timestep": LEVELS, "linear_start": 1e-6, "linear_end": 0.01}


@contextlib.contextmanager
def imported(folder: Path) -> Iterator[ModuleType]:
    """Yield the reference's models/networks/unet.py; the command-line helpers that it imports and never calls are mocked.

    Its packages are found only inside the context (it imports its U-Net when a network is built), and forgotten after.
    """
    if not (folder / "models" / "network.py").exists():
        raise ValueError(
            f"{folder}: no models/networks/unet.py; give a checkout of github.com/crosszamirski/guided-I2I"
        )
    modules = {"script_util": mock.MagicMock()}
    with mock.patch.dict(sys.modules, modules), mock.patch.object(sys, "path", [str(folder), *sys.path]):
        sys.modules.pop("models", None)
        yield importlib.import_module("models.network")


class Reference:
    """The reference's network in training, as its `Palette` holds it."""

    def __init__(self, folder: Path, width: int, device: torch.device):
        self.device = device
        schedules = {phase: BETAS for phase in ("train", "test")}
        with imported(folder) as module:
            self.net = module.Network({**UNET, "inner_channel": width}, schedules, init_type="kaiming").to(device)
        self.net.init_weights()
        self.net.set_loss(mse_loss)
        self.net.set_new_noise_schedule(device=device)
        self.mean = copy.deepcopy(self.net)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=8e-5)

    def step(self, x: torch.Tensor, y: torch.Tensor, labels: torch.Tensor) -> float:
        """Take one training step on brightfield, stains and labels."""
        self.net.train()
        self.optimiser.zero_grad()
        loss = self.net(y, labels, x)
        loss.backward()
        self.optimiser.step()
        value = loss.item()
        for now, mean in zip(self.net.parameters(), self.mean.parameters()):
            mean.data = mean.data * 0.9999 + now.data * (1 - 0.9999)
        return value

    def level(self, x: torch.Tensor, y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Take one of the sampler's 2,000 steps."""
        self.net.eval()
        t = torch.full((len(x),), LEVELS // 2, dtype=torch.long, device=self.device)
        return self.net.p_sample(y, t, labels, gradient=0, classifier_scale=1, y_cond=x)
