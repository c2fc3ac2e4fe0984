"""What a cluster is asked for on behalf of a network: minutes and memory, in proportion to the study's images.

A limit that fits the paper's study is refused or never starts for a small one: partitions of cards often end at a few
hours, nodes at less than 16 GB. So the paper's study is the upper end, and smaller ones ask for less.
"""

from __future__ import annotations

from brightpaint.config import NETWORKS
from brightpaint.sweep_config import evaluations

PAPER_PX, PAPER_BATCH, PAPER_IMAGES = 512, 2, 250_000
PAPER_STEPS, PAPER_PARTS = 2000, 24  # evaluations of the network a field; parts of a plate of 2,304 fields
TRAINING_MIN, PAINTING_MIN, LEAST_MIN = (
    2880,
    720,
    120,
)  # twice the paper's 24 hours; a part of a plate; start and waiting
SMALL_MB, LARGE_MB = 6000, 16000  # torch with CUDA is most of the first, batches and activations the rest
# A GPU does the published 14 TFLOP/s, a core 67 GFLOP/s (resources/rates.tsv).
CORE_S_PER_GPU_S = 200


def training_px(config: dict) -> int:
    """Return the side of the images that are trained on: that of the crops, or of whole fields."""
    return config["train"]["crop_px"] or config["prepare"]["size_px"]


def training_minutes(config: dict) -> int:
    """Return the time limit of a training, which goes on where it was after it: 120 to 2,880 minutes.

    Parameters
    ----------
    config : the study's settings, defaults filled in
    """
    share = config["train"]["images"] * training_px(config) ** 2 / (PAPER_IMAGES * PAPER_PX**2)
    return _minutes(TRAINING_MIN, share, config)


def painting_minutes(config: dict, arm: dict, kind: str, samples: int = 1) -> int:
    """Return the time limit of one part of a plate's painting, which goes on where it was after it: 120 to 720 minutes.

    It is that of a plate of 2,304 fields: how many there are is not known when a study is planned.

    Parameters
    ----------
    config : the study's settings, defaults filled in
    arm : one of its `arms`, or a point of its sweep
    kind : of its model: regression passes once, the closed-form floors pass no network
    samples : how often each field is painted
    """
    passes = samples * evaluations(arm) if kind == "diffusion" else int(kind in NETWORKS)
    fields = PAPER_PARTS / config["sample"]["parts"]
    share = fields * passes / PAPER_STEPS * config["prepare"]["size_px"] ** 2 / PAPER_PX**2
    return _minutes(PAINTING_MIN, share, config)


def training_mb(config: dict) -> int:
    """Return the memory of a training: 6,000 to 16,000 MB, by the pixels of a batch."""
    return _megabytes(config["train"]["batch"] * training_px(config) ** 2)


def painting_mb(config: dict) -> int:
    """Return the memory of a painting: as a training's of a quarter of the pixels, since no gradients are kept."""
    return _megabytes(config["sample"]["batch"] * config["prepare"]["size_px"] ** 2 / 4)


def _minutes(most: int, share: float, config: dict) -> int:
    slower = CORE_S_PER_GPU_S if config["compute"]["device"] == "cpu" else 1
    return max(LEAST_MIN, round(most * min(1.0, share * slower)))


def _megabytes(pixels: float) -> int:
    return round(SMALL_MB + (LARGE_MB - SMALL_MB) * min(1.0, pixels / (PAPER_BATCH * PAPER_PX**2)))
