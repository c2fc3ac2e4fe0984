"""What a cluster is asked for on behalf of a network: minutes and memory, in proportion to the study's images.

A limit that fits the paper's study is refused or never starts for a small one: partitions of cards often end at a few
hours, nodes at less than 16 GB. So smaller studies ask for less than the paper's, which is the upper end of a training's
time and of memory. A painting's time has no upper end: guidance or a mean of samples takes several times the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from brightpaint.plan.painting import (
    codec_training_flop,
    gan_flop,
    generated_count,
    sampling_flop,
    source_count,
    translating_flop,
)
from brightpaint.study import codecs
from brightpaint.study.choice import plate_tiles
from brightpaint.study.critics import is_trained
from brightpaint.study.presets import gan_sides, gan_spec
from brightpaint.study.samplers import asked_at_once
from brightpaint.study.study import Study

PAPER_PX, PAPER_BATCH, PAPER_IMAGES = 512, 2, 250_000
PLATE_FIELDS = 2304  # of a plate whose fields are not known when a study is planned, as the paper's
TRAINING_MIN, LEAST_MIN = 2880, 120  # twice the paper's 24 hours; start and waiting
# A painting's limit over its planned minutes: 12 hours for a part of the paper's plate, planned as 6.4.
SLACK = 1.875
SMALL_MB, LARGE_MB = 6000, 16000  # torch with CUDA is most of the first, batches and activations the rest
# Of a generator and its critic: without maps, and maps of each size that a batch keeps (46 were measured, docs/performance.md).
GAN_GPU_MB, GAN_LEAST_MB, GAN_MAPS = 12000, 2000, 50
CODEC_MAPS = 6  # of a codec's block that are kept: its norms, activations and convolutions
# A GPU does the published 14 TFLOP/s, a core 67 GFLOP/s (resources/rates.tsv).
CORE_S_PER_GPU_S = 200


def training_px(config: dict) -> int:
    """Return the side of the images that are trained on: that of the crops, or of whole fields."""
    return config["train"]["crop_px"] or config["prepare"]["size_px"]


def training_minutes(config: dict, of_pixels: float = 1.0) -> int:
    """Return the time limit of a training, which goes on where it was after it: 120 to 2,880 minutes.

    Parameters
    ----------
    config : the study's settings, defaults filled in
    of_pixels : what a step takes of one on pixels, where latents are seen (`painting.latent_share`)
    """
    share = of_pixels * config["train"]["images"] * training_px(config) ** 2 / (PAPER_IMAGES * PAPER_PX**2)
    slower = CORE_S_PER_GPU_S if config["compute"]["device"] == "cpu" else 1
    return max(LEAST_MIN, round(TRAINING_MIN * min(1.0, share * slower)))


def painting_minutes(
    study: Study, name: str, rates: dict[str, float], *, plate: str, parts: int, samples: int = 1
) -> int:
    """Return the time limit of one part of a plate's painting, which goes on where it was after it: 120 minutes or more.

    It is in proportion to the plan's own account of the part, for a plate of 2,304 fields (how many there are is not known
    when a study is planned) or the fields of the sweep. More `sample.parts` make it shorter.

    Parameters
    ----------
    study : its settings
    name : an arm of its, or a point of its sweep
    rates : from resources/rates.tsv (`painting.read_rates`)
    plate : which is painted; it may be cut into tiles
    parts : of it
    samples : how often each field is painted
    """
    rows, columns = study.config["prepare"]["grid"]
    fields = PLATE_FIELDS * len(plate_tiles(study.plates[plate], rows * columns))
    if name in [point["name"] for point in study.sweep_points]:
        fields = min(fields, study.config["sweep"]["fields"])
    if name in study.drawn:
        fields = min(fields, study.config["calibration"]["fields"]) * study.config["calibration"]["samples"]
    if name in study.generations:
        fields = math.ceil(generated_count(study, name, fields))
    return _minutes(study, sampling_flop, name, rates, fields, parts, samples)


def translating_minutes(study: Study, name: str, rates: dict[str, float], *, plate: str, parts: int) -> int:
    """Return the time limit of one part of a plate's translation, in proportion to the plan's own account of it; see above."""
    rows, columns = study.config["prepare"]["grid"]
    fields = PLATE_FIELDS * len(plate_tiles(study.plates[plate], rows * columns))
    drawn = math.ceil(source_count(study.entry("arms", name), fields))
    return _minutes(study, translating_flop, name, rates, drawn, parts, 1)


def _minutes(study: Study, flop_of: Callable, name: str, rates: dict, fields: int, parts: int, samples: int) -> int:
    batch = study.config["sample"]["batch"]
    try:
        once = flop_of(study, name)
    except ValueError:  # given weights that cannot be read: the job ends at once and says so
        return LEAST_MIN
    flop = samples * math.ceil(fields / parts / batch) * batch * once  # the last batch is padded
    return max(LEAST_MIN, round(SLACK * flop / _rate(study, rates) / 60))


def _rate(study: Study, rates: dict[str, float], cores: int = 1) -> float:
    """Return the operations a second of the study's device: a GPU, or so many cores."""
    on_cpu = study.config["compute"]["device"] == "cpu"
    return rates["cpu_gflops"] * 1e9 * cores if on_cpu else rates["gpu_tflops"] * 1e12


def training_mb(config: dict, stride_px: int = 1) -> int:
    """Return the memory of a training: 6,000 to 16,000 MB, by the pixels of a batch, or by its latents of so many pixels a side."""
    return _megabytes(config["train"]["batch"] * (training_px(config) / stride_px) ** 2)


def painting_mb(config: dict, arm: dict, stride_px: int = 1) -> int:
    """Return the memory of a painting: as a training's of a quarter of the pixels, since no gradients are kept.

    Guidance without a classifier asks the network about twice the images at once.
    """
    images = config["sample"]["batch"] * asked_at_once(arm)
    return _megabytes(images * (config["prepare"]["size_px"] / stride_px) ** 2 / 4)


def codec_minutes(study: Study, model: dict, rates: dict[str, float]) -> int:
    """Return the time limit of a codec's training, which goes on where it was after it: 120 to 2,880 minutes."""
    images = codecs.training(study, model)["images"]
    rate = _rate(study, rates, cores=study.config["compute"]["torch_threads"])
    seconds = images * codec_training_flop(study, model, training_px(study.config)) / rate
    return max(LEAST_MIN, min(TRAINING_MIN, round(SLACK * seconds / 60)))


def codec_mb(study: Study, model: dict) -> int:
    """Return the memory of a codec's training; on a GPU the maps lie in its own memory.

    On a CPU a batch's maps are kept for the way back: at each level CODEC_MAPS float32 a block, on either way.
    """
    if study.config["compute"]["device"] != "cpu":
        return GAN_GPU_MB
    spec, side = codecs.spec_of(model), training_px(study.config)
    levels = enumerate(spec.multipliers)
    maps = sum(spec.width * multiplier * (side / 2**level) ** 2 for level, multiplier in levels) * (2 * spec.blocks + 1)
    return round(GAN_LEAST_MB + 4 * CODEC_MAPS * codecs.training(study, model)["batch"] * maps / 1e6)


def gan_minutes(study: Study, rates: dict[str, float]) -> int:
    """Return the time limit of a generator's and critic's training, which goes on where it was after it: 120 to 2,880 minutes."""
    if not is_trained(study):
        return LEAST_MIN
    rate = _rate(study, rates, cores=study.config["compute"]["torch_threads"])
    seconds = study.config["gan"]["images"] * gan_flop(study)["training"] / rate
    return max(LEAST_MIN, min(TRAINING_MIN, round(SLACK * seconds / 60)))


def gan_mb(study: Study) -> int:
    """Return the memory of a generator's and critic's training; on a GPU the maps lie in its own memory.

    On a CPU a batch's maps are kept for the way back, GAN_MAPS float32 of each layer's size.
    """
    chosen = study.config["gan"]
    if not is_trained(study) or study.config["compute"]["device"] != "cpu":
        return GAN_GPU_MB
    spec = gan_spec(chosen["preset"], chosen["width"])
    maps = sum(spec.channels(side) * side**2 for side in gan_sides(chosen["size_px"]))
    return round(GAN_LEAST_MB + 4 * GAN_MAPS * chosen["batch"] * maps / 1e6)


def _megabytes(pixels: float) -> int:
    return round(SMALL_MB + (LARGE_MB - SMALL_MB) * min(1.0, pixels / (PAPER_BATCH * PAPER_PX**2)))
