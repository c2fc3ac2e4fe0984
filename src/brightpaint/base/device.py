"""Where a torch job computes: the CPU, or this process's own GPU. torch is loaded only where a device is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def world() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def has_bfloat16() -> bool:
    """Return whether this job's GPU multiplies bfloat16 itself, as cards from Ampere on do."""
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)


def pick_device(device: str) -> torch.device:
    """Return the torch device for `auto`, `cpu` or `cuda`: in a job of several processes, this process's own GPU."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: this machine shows no GPU to torch; set compute.device to auto or cpu")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    number = int(os.environ.get("LOCAL_RANK", 0))
    if number >= torch.cuda.device_count():
        raise ValueError(
            f"process {number + 1} of this job has no GPU: torch sees {torch.cuda.device_count()}; lower compute.gpus"
        )
    return torch.device("cuda", number) if world() > 1 else torch.device("cuda")
