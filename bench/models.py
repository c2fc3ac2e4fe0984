"""How fast the models train and paint here: one JSON line a figure.

Each line holds `preset`, `width`, `size_px`, `batch`, `device`, `threads` and `precision`. The first holds the seconds of one
forward pass, of one training step and of painting one field, each an image, and the arithmetic rate of each as a share of
what a plain matrix product of the same type reaches in the same run: the limit to measure against, on a GPU that of
bfloat16 unless `--precision` says otherwise. Of a known card `..._share_of_peak` is the share of what its data sheet promises in
bfloat16. Two more lines hold `training_images_per_s` of whole training steps that read their batches from a plate
stack, with and without `prefetch`.

    python bench/models.py --preset fast --width 32 --size 256

`--parts` adds what painting a part of a plate takes with reading, computing and writing at once and the samples of all
fields in full batches, and one after the other as before, with how far the pixels differ; what saving the state of a
training takes, fetched a kind at a time and tensor by tensor; and on a GPU a step's noise, drawn there and sent there.

`--card` is all of it in one prepared run of less than `--minutes` on one GPU: both presets, several batches, both precisions,
compiled and not. What no time is left for is named (`skipped`). `--toy` tries the same on a CPU at the least size.

    python bench/models.py --card > card.jsonl

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
from painted_part import OFTEN, measure_part
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
from brightpaint.models.paint.field_noise import drawer
from brightpaint.models.schedule import Schedule
from brightpaint.models.steps import Training
from brightpaint.plan.painting import TRAINING_PASSES
from brightpaint.study.presets import spec_of

# Dense bfloat16 TFLOP/s of the makers' data sheets, by what a card's name holds; the first that fits.
PEAKS = {"B200": 2250, "H200": 989, "H100 NVL": 835, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "L4": 121,
         "A40": 150, "A10": 125, "RTX 4090": 165, "RTX 3090": 71}  # fmt: skip
# What `--card` measures, the most wanted first: a compiler's first pass takes a minute or two.
PREPARED = (
    {"preset": "paper", "size": 512, "batch": 16},
    {"preset": "paper", "size": 256, "batch": 28},
    {"preset": "fast", "size": 512, "batch": 32},
    {"preset": "paper", "size": 512, "batch": 2},
    {"preset": "paper", "size": 512, "batch": 4, "precision": "float32"},
    {"preset": "fast", "size": 512, "batch": 32, "compile": True},
    {"preset": "paper", "size": 256, "batch": 28, "compile": True},
)
TOY = {"width": 8, "size": 32, "batch": 2, "steps": 2, "repeats": 1}
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
    return {
        **spent,
        **roofline(
            spent, unet_flop(spec_of(preset, width), 3, 5, size_px), steps, matmul_flop_per_s(repeats, how), device
        ),
    }


def peak_flop_per_s(device: torch.device) -> float | None:
    """Return what a card's data sheet promises in bfloat16; None of a CPU and of a card that is not listed."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((1e12 * tflops for known, tflops in PEAKS.items() if known in name), None)


def roofline(spent: dict, flop: float, steps: int, matmul: float, device: torch.device) -> dict:
    """Return the arithmetic rates of forward pass, training step (three of them) and painting (one a step) as shares of limits."""
    passes = {"forward_s": 1, "train_step_s": TRAINING_PASSES, f"paint_{steps}_steps_s": steps}
    rates = {name.removesuffix("_s"): flop * count / spent[name] for name, count in passes.items()}
    rates = {"forward": rates["forward"], "train": rates["train_step"], "paint": rates[f"paint_{steps}_steps"]}
    peak = peak_flop_per_s(device)
    shares = {f"{name}_share_of_matmul": rate / matmul for name, rate in rates.items()}
    shares |= {f"{name}_share_of_peak": rate / peak for name, rate in rates.items()} if peak else {}
    return {**shares, "matmul_tflops": matmul / 1e12}


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


def measure_saving(args: argparse.Namespace, how: Compute) -> dict:
    """Measure what a training's state takes to come to the CPU, a kind of tensor at a time and tensor by tensor."""
    model = build_denoiser({"preset": args.preset, "width": args.width, "objective": "eps"}, CHANNELS, 0)
    settings = {"images": 10**6, "batch": 1, "learning_rate": 1e-4, "warmup_images": 0, "decay": "constant", "seed": 0,
                "clip_norm": 1.0, "ema_images": 1000}  # fmt: skip
    training = Training({"model": model}, Denoising(3, "eps", "l2", 0.1), settings, how)
    training.step(torch.randn(1, 8, 64, 64), Condition.of_labels(torch.zeros(1, dtype=torch.int64)), 1)

    def one_by_one():
        for values in (training.networks["model"].state_dict(), training.mean):
            [value.cpu() for value in values.values()]
        for entry in training.optimisers["model"].state_dict()["state"].values():
            entry["exp_avg"].cpu(), entry["exp_avg_sq"].cpu(), int(entry["step"])

    return {"save_state_s": seconds(training.state, args.repeats, how.device),
            "save_one_by_one_s": seconds(one_by_one, args.repeats, how.device)}  # fmt: skip


def measure_noise(args: argparse.Namespace, how: Compute) -> dict:
    """Measure what a step's noise takes for a batch of fields: drawn where it is needed, and drawn on the CPU and sent."""
    shape = (5, args.size, args.size)
    fields = pd.DataFrame({key: range(args.batch) for key in store.FIELD_KEYS})
    rows = list(range(args.batch))
    draw = drawer(fields, rows, 0, shape, how)
    draw()  # the first is the CPU's
    return {"noise_s": seconds(draw, args.repeats, how.device),
            "noise_sent_s": seconds(lambda: drawer(fields, rows, 0, shape, how)(), args.repeats, how.device)}  # fmt: skip


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


def say(args: argparse.Namespace, device: torch.device, figures: dict) -> None:
    """Print one line: what was measured, and how."""
    shown = {"preset": args.preset, "width": args.width, "size_px": args.size, "batch": args.batch}
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    shown |= {"device": named, "threads": args.threads, "compile": args.compile}
    print(json.dumps({**shown, **figures}), flush=True)


def measure_all(args: argparse.Namespace, device: torch.device) -> None:
    """Print the lines of one preset at one size."""
    how = Compute(device, precision=args.precision, compile=args.compile)
    told = {"precision": str(how.dtype)}
    figures = measure(args.preset, args.width, args.size, args.batch, args.steps, args.repeats, how)
    say(args, device, {**told, **figures})
    rates = []
    for prefetch in (0, args.prefetch):
        trained = measure_training(args, replace(how, prefetch=prefetch))
        flop = TRAINING_PASSES * unet_flop(spec_of(args.preset, args.width), 3, 5, args.size)
        rates.append(trained["training_images_per_s"])
        peak = peak_flop_per_s(device)
        share = {"training_share_of_peak": rates[-1] * flop / peak} if peak else {}
        say(args, device, {**told, **trained, **share})
    if args.parts:
        measure_parts(args, how)
    if args.reference:
        say(args, device, {**told, **measure_reference(args, device, figures, max(rates))})


def measure_parts(args: argparse.Namespace, how: Compute) -> None:
    """Print what a part of a plate, saving and a step's noise take, each beside how it was done before."""
    with tempfile.TemporaryDirectory() as folder:
        training_images(Path(folder), args.size, args.fields)
        for kind, often in (("regression", 1), ("diffusion", 1), ("diffusion", OFTEN)):
            part = measure_part(kind, often, args, how, Path(folder), CHANNELS)
            say(args, how.device, {"precision": str(how.dtype), **part})
    found = measure_saving(args, how) | (measure_noise(args, how) if how.device.type == "cuda" or args.toy else {})
    say(args, how.device, found)


def measure_card(args: argparse.Namespace, device: torch.device) -> None:
    """Print the lines of the prepared run, until `--minutes` would be passed by one as long as the longest so far."""
    start, longest = time.monotonic(), 0.0
    for place, chosen in enumerate(PREPARED):
        asked = {
            "width": None,
            "precision": "auto",
            "compile": False,
            "parts": place in (0, 2),
            "steps": 5,
            "repeats": 2,
        }
        own = argparse.Namespace(**{**vars(args), **asked, **chosen, **(TOY if args.toy else {})})
        began = time.monotonic()
        if began - start + longest > 60 * args.minutes:
            say(own, device, {"skipped": f"{args.minutes:g} minutes are over"})
            continue
        try:
            measure_all(own, device)
        except torch.OutOfMemoryError as error:
            say(own, device, {"skipped": str(error).split(". ")[0]})
        longest = max(longest, time.monotonic() - began)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def main(argv=None) -> None:
    """Print JSON lines for one preset, or for the prepared run of a card."""
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
        "--parts", action="store_true", help="measure a part of a plate and the saving of a training too"
    )
    parser.add_argument("--fields", type=int, default=18, help="of that part")
    parser.add_argument("--card", action="store_true", help="the prepared run, whatever the other options say")
    parser.add_argument("--minutes", type=float, default=7, help="after which the prepared run begins nothing more")
    parser.add_argument("--toy", action="store_true", help="the prepared run at the least size, to try it")
    parser.add_argument(
        "--reference", type=Path, help="checkout of crosszamirski/guided-I2I to measure in the same run"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    (measure_card if args.card else measure_all)(args, pick_device(args.device))


if __name__ == "__main__":
    main()
