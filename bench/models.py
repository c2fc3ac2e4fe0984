"""How fast the models train and paint here: one JSON line a figure.

Each line holds `preset`, `width`, `size_px`, `batch`, `device`, `threads` and `precision`. The first holds the seconds of one
forward pass, of one training step and of painting one field, each an image, and the arithmetic rate of the forward pass as a
share of what a plain matrix product of the same type reaches in the same run: the limit to measure against, on a
GPU that of bfloat16 unless `--precision` says otherwise. Two more lines hold
`training_images_per_s` of whole training steps that read their batches from a plate stack, with and without `prefetch`.

    python bench/models.py --preset fast --width 32 --size 256

With `--reference`, a checkout of github.com/crosszamirski/guided-I2I, its own code trains and samples in the same run, and
a last line holds both and their ratios (`--preset paper` is its network, at the same width, a multiple of 32, and size).

    python bench/models.py --preset paper --width 32 --size 64 --batch 2 --steps 20 --reference ~/guided-I2I
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from reference import LEVELS, Reference

from brightpaint import store
from brightpaint.base.device import pick_device
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.data import TrainingImages
from brightpaint.models.objectives.denoiser import loss
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from brightpaint.models.operations import unet_flop
from brightpaint.models.paint import walk
from brightpaint.models.schedule import Schedule
from brightpaint.models.steps import Training
from brightpaint.study.presets import spec_of

CHANNELS = {"input": ["L", "M", "H"], "target": ["DNA", "RNA", "ER", "AGP", "Mito"]}


def seconds(work, repeats: int, device: torch.device) -> float:
    """Return the least time of `repeats` calls, after one to warm up; on a CPU in CPU seconds, for it may be shared."""
    work()
    times, clock = [], time.perf_counter if device.type == "cuda" else time.process_time
    for _ in range(repeats):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(clock() - start)
    return min(times)


def matmul_flop_per_s(repeats: int, how: Compute) -> float:
    """Return the arithmetic rate of a matrix product in the type in which the network is computed."""
    side = 8192 if how.device.type == "cuda" else 2048  # a GPU is not busy with less
    a, b = (torch.randn(side, side, device=how.device, dtype=how.dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b, repeats, how.device)


def measure(preset: str, width: int | None, size_px: int, batch: int, steps: int, repeats: int, how: Compute) -> dict:
    """Measure one preset at one size; forward pass and training step as `how` says, painting as `sample` paints."""
    torch.manual_seed(0)
    device = how.device
    denoiser = how.place(build_denoiser({"preset": preset, "width": width, "objective": "eps"}, CHANNELS, 0))
    called = how.runnable(denoiser)
    x, y = (how.send(torch.randn(batch, count, size_px, size_px)) for count in (3, 5))
    gamma = torch.full((batch,), 0.5, dtype=torch.float64, device=device)
    untold = Condition.of_labels(torch.zeros(batch, dtype=torch.int64, device=device))
    optimiser = torch.optim.Adam(denoiser.parameters())

    def forward():
        with torch.no_grad(), how.autocast():
            called(x, y, gamma, untold)

    def train():
        optimiser.zero_grad()
        with how.autocast():
            found = loss(called, x, y, untold, gamma, torch.randn_like(y), "eps")
        found.backward()
        optimiser.step()

    def paint():
        path = Schedule().path(steps)
        told = walk.at_levels(denoiser, path, device)
        walk.walk(walk.clipped(told), torch.randn_like(y), x, untold, path, sampler="ddim")

    spent = {name: seconds(work, repeats, device) / batch for name, work in
             [("forward_s", forward), ("train_step_s", train), (f"paint_{steps}_steps_s", paint)]}  # fmt: skip
    rate = unet_flop(spec_of(preset, width), 3, 5, size_px) / spent["forward_s"]
    return {**spent, "forward_share_of_matmul": rate / matmul_flop_per_s(repeats, how)}


def training_images(folder: Path, size_px: int, fields: int = 16) -> TrainingImages:
    """Write a plate stack of noise and open it for training."""
    rng, names = np.random.default_rng(0), CHANNELS["input"] + CHANNELS["target"]
    with store.StackWriter(folder / "P.tif", (fields, 8, size_px, size_px), names, key="bench") as writer:
        for row in range(fields):
            writer.write(row, rng.normal(size=(8, size_px, size_px)))
    keys = {"Metadata_Plate": "P", "Metadata_Well": [f"A{row:02d}" for row in range(fields)]}
    table = pd.DataFrame({**keys, "Metadata_Site": 1, "Metadata_Tile": 1, "Metadata_perturbation": ""})
    store.write_table(table, folder / "P.parquet")
    return TrainingImages([folder / "P.tif"], [folder / "P.parquet"], channels=CHANNELS, label="none")


def measure_training(args: argparse.Namespace, how: Compute) -> dict:
    """Measure whole training steps: reading, sending, gradient, optimiser, running mean."""
    train = {
        "images": 10**6,
        "batch": args.batch,
        "crop_px": None,
        "learning_rate": 1e-4,
        "warmup_images": 0,
        "seed": 0,
    }
    settings = {**train, "decay": "constant", "clip_norm": 1.0, "ema_images": 1000}
    model = build_denoiser({"preset": args.preset, "width": args.width, "objective": "eps"}, CHANNELS, 0)
    training = Training({"model": model}, Denoising(3, "eps", "l2", 0.1), settings, how)
    with tempfile.TemporaryDirectory() as folder:
        batches = training.batches(training_images(Path(folder), args.size))
        training.step(*next(batches))
        spent = seconds(lambda: [training.step(*batch) for batch in islice(batches, args.repeats)], 2, how.device)
        batches.close()
    return {"prefetch": how.prefetch, "training_images_per_s": args.repeats * args.batch / spent}


def measure_reference(args: argparse.Namespace, device: torch.device, figures: dict, images_per_s: float) -> dict:
    """Measure the reference's training step and sampling at the same width, size and batch, and compare."""
    peer = Reference(args.reference, spec_of(args.preset, args.width).width, device)
    x, y = (torch.randn(args.batch, count, args.size, args.size, device=device) for count in (3, 5))
    labels = torch.zeros(args.batch, dtype=torch.int64, device=device)
    step = seconds(lambda: peer.step(x, y, labels), args.repeats, device) / args.batch
    level = seconds(lambda: peer.level(x, y, labels), args.repeats, device) / args.batch
    own = figures[f"paint_{args.steps}_steps_s"]
    return {"reference_training_images_per_s": 1 / step, "training_ratio": images_per_s * step,
            "reference_s_a_level": level, "own_s_an_evaluation": own / args.steps,
            "reference_field_s": LEVELS * level, "own_field_s": own, "sampling_ratio": LEVELS * level / own}  # fmt: skip


def main(argv=None) -> None:
    """Print one JSON line for one preset, and two for its training."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--preset", default="fast", choices=["fast", "paper"])
    parser.add_argument("--width", type=int, default=None)
    parser.add_argument("--size", type=int, default=256, help="height and width in pixels")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20, help="network evaluations a field")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"], help="of training")
    parser.add_argument("--compile", action="store_true", help="compile the network that trains")
    parser.add_argument("--prefetch", type=int, default=2, help="threads that read ahead, in the last line")
    parser.add_argument(
        "--reference", type=Path, help="checkout of crosszamirski/guided-I2I to measure in the same run"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    how = Compute(device, precision=args.precision, compile=args.compile)
    figures = measure(args.preset, args.width, args.size, args.batch, args.steps, args.repeats, how)
    shown = {"preset": args.preset, "width": args.width, "size_px": args.size, "batch": args.batch}
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    shown |= {"device": named, "threads": args.threads, "precision": str(how.dtype), "compile": args.compile}
    print(json.dumps({**shown, **figures}), flush=True)
    rates = []
    for prefetch in (0, args.prefetch):
        trained = measure_training(args, replace(how, prefetch=prefetch))
        rates.append(trained["training_images_per_s"])
        print(json.dumps({**shown, **trained}), flush=True)
    if args.reference:
        print(json.dumps({**shown, **measure_reference(args, device, figures, max(rates))}), flush=True)


if __name__ == "__main__":
    main()
