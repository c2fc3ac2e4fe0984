"""One part of a plate painted as `sample` and `uncertainty` do it, and one batch, one sample and one write after the other.

For bench/models.py: the plate is noise, the weights are random, and both ways must end in the same pixels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from brightpaint import store
from brightpaint.models import kinds
from brightpaint.models.compute import Compute
from brightpaint.models.fit import describe
from brightpaint.models.objectives.losses import build_denoiser, build_regressor
from brightpaint.models.paint.sample import paint_rows
from brightpaint.models.paint.samples import Samples, StandardisedSpread
from brightpaint.models.trained import read_model
from brightpaint.study.kinds import KINDS

SAMPLING = {"sampler": "ddim", "eta": 0.0, "spacing": "level", "sampling_label": "own", "label_scale": 1.0,
            "guidance_interval": None, "guidance_scale": 1.0, "seed": 0}  # fmt: skip
OFTEN = 4  # samples of a field where there are several


def write_model(path: Path, kind: str, preset: str, width: int | None, channels: dict) -> None:
    """Write untrained weights that paint something: their last convolution is no longer 0."""
    torch.manual_seed(0)
    needed = {"kind": kind, "preset": preset, "width": width, "objective": "v", "loss": "l2", "label": "none"}
    build = build_denoiser if KINDS[kind].walks else build_regressor
    model = build(needed, channels, 0)
    torch.nn.init.normal_(model.network.last.weight, std=0.02)
    store.write_weights(path, model.state_dict(), describe({**needed, "channels": channels}, {}))


def one_after_the_other(
    paint: Callable, stack: store.Stack, inputs: list[str], writer: store.StackWriter, batch: int, samples: Samples
) -> None:
    """Paint a part as it was done before: read a batch of fields, paint it once a sample, write it; the last batch padded."""
    planes = stack.channel_indices(inputs)
    for start in range(0, len(stack), batch):
        fields = list(range(start, min(start + batch, len(stack))))
        full = fields + fields[-1:] * (batch - len(fields))
        x = np.stack([stack.images[field][planes].astype(np.float32) for field in full])
        takers = [samples.begin(field) for field in fields]
        for place in range(len(samples.numbers)):
            images = paint(x, [samples.row(field, place) for field in full])
            for taker, image in zip(takers, images):
                taker.add(image)
        for field, taker in zip(fields, takers):
            writer.write(field, taker.image())


def measure_part(kind: str, often: int, args: argparse.Namespace, how: Compute, folder: Path, channels: dict) -> dict:
    """Paint the plate in `folder` in both ways in turns, and return the least seconds of each and how far the pixels differ."""
    weights, stack = folder / f"{kind}.safetensors", store.open_stack(folder / "P.tif")
    fields = store.read_fields(folder / "P.parquet")
    write_model(weights, kind, args.preset, args.width, channels)
    told = argparse.Namespace(settings={**SAMPLING, "steps": args.steps}, weights=weights, classifier=[])
    samples = (
        Samples(range(1, often), lambda row: StandardisedSpread(stack.images[row][3:], 15.0))
        if often > 1
        else Samples()
    )
    paint = kinds.of(kind).painter(told, *read_model(weights), samples.table(fields), how)
    rows, shape = np.arange(len(stack)), (len(stack), len(channels["target"]), *stack.images.shape[-2:])
    ways = {
        "before": lambda writer: one_after_the_other(paint, stack, channels["input"], writer, args.batch, samples),
        "after": lambda writer: paint_rows(paint, stack, channels["input"], rows, writer, args.batch, samples),
    }
    paint(np.zeros((args.batch, len(channels["input"]), *shape[-2:]), np.float32), [0] * args.batch)
    spent: dict[str, list[float]] = {f"{way}{clock}": [] for way in ways for clock in ("_s", "_cpu_s")}
    for _ in range(args.repeats):
        for way, work in ways.items():
            (folder / f"{way}.tif").unlink(missing_ok=True)
            start, cpu = time.perf_counter(), time.process_time()
            with store.StackWriter(folder / f"{way}.tif", shape, channels["target"], key="bench") as writer:
                work(writer)
            spent[f"{way}_s"].append(time.perf_counter() - start)
            spent[f"{way}_cpu_s"].append(time.process_time() - cpu)
    before, after = (np.array(store.open_stack(folder / f"{way}.tif").images, np.float32) for way in ways)
    least = {name: min(seconds) for name, seconds in spent.items()}
    return {"part": kind, "samples": often, "fields": len(stack), **least, "ratio": least["after_s"] / least["before_s"],
            "largest_difference": float(np.abs(before - after).max())}  # fmt: skip
