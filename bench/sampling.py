"""What samplers and step counts give on the same weights: fidelity, sharpness and seconds, one JSON line each.

Paints some fields of a held-out plate of a finished study again with each sampler: PCC and SSIM with the real stains,
and the share of the real power at fine detail (above 1/8 cycle a pixel) that the painted stains have, since few steps
blur and a higher PCC alone is no gain. Noise is that of `brightpaint.models.sample`: the same for every sampler.

    python bench/sampling.py --results results/demo --arm pert --fold A --plate SIM003 --fields 8
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from brightpaint import store
from brightpaint.evaluation.metrics import pcc, ssim
from brightpaint.intensity import standardise
from brightpaint.models import sampler
from brightpaint.models.labels import shown_indices
from brightpaint.models.sample import field_noise, load_module
from brightpaint.models.schedule import Schedule
from brightpaint.models.train import build_denoiser

DETAIL = 0.125  # cycles a pixel
RUNS = [
    ("ddim", "level", (1, 2, 5, 10, 20, 50)), ("ddim", "karras", (10, 20, 50)), ("dpmpp", "level", (5, 10, 20)),
    ("dpmpp", "karras", (5, 10, 20, 40)), ("heun", "karras", (5, 10, 20)),
]  # fmt: skip


def detail_power(images: np.ndarray) -> np.ndarray:
    """Return the power above DETAIL of (C, H, W) images: (C,)."""
    power = np.abs(np.fft.fft2(images)) ** 2
    fy, fx = np.fft.fftfreq(images.shape[-2]), np.fft.fftfreq(images.shape[-1])
    return (power * (np.hypot(fy[:, None], fx[None]) > DETAIL)).sum(axis=(-2, -1))


class Study:
    """Weights and some held-out fields of a finished study."""

    def __init__(self, results: Path, arm: str, fold: str, plate: str, count: int):
        tensors, self.meta = store.read_weights(results / "models" / arm / fold / "weights.safetensors")
        channels, labels = self.meta["channels"], self.meta["label_map"]
        module = build_denoiser(self.meta["settings"], channels, len(labels))
        self.denoiser = load_module(results, module, tensors, torch.device("cpu"))
        stack = store.open_stack(results / "images" / "real" / f"{plate}.tif")
        fields = store.read_fields(results / "fields" / f"{plate}.parquet")
        self.rows = np.linspace(0, len(fields) - 1, min(count, len(fields))).round().astype(int)
        self.fields = fields
        self.labels = shown_indices(fields, self.meta["settings"]["label"], labels, "own")
        read = lambda names: [stack.images[row][stack.channel_indices(names)].astype(np.float32) for row in self.rows]  # noqa: E731
        self.bright, self.real = read(channels["input"]), [standardise(image) for image in read(channels["target"])]

    def paint(self, place: int, name: str, spacing: str, steps: int) -> np.ndarray:
        """Paint one field: (C, H, W) z-scores, standardised again as for scoring."""
        row = self.rows[place]
        source, shape = field_noise(self.fields.iloc[row], 0), self.real[place].shape
        stains = sampler.sample(
            sampler.clipped(self.denoiser), torch.from_numpy(self.bright[place])[None],
            torch.from_numpy(self.labels[[row]]), Schedule().path(steps, spacing),
            lambda: torch.randn(shape, generator=source)[None], sampler=name,
        )  # fmt: skip
        return standardise(stains[0].numpy())


def measure(study: Study, name: str, spacing: str, steps: int) -> dict:
    """Paint every field with one sampler and compare."""
    started, cpu = time.perf_counter(), time.process_time()
    painted = [study.paint(place, name, spacing, steps) for place in range(len(study.rows))]
    spent, cpu = time.perf_counter() - started, time.process_time() - cpu
    pairs, names = list(zip(study.real, painted)), study.meta["channels"]["target"]
    correlation = np.mean([pcc(*pair) for pair in pairs], axis=0)
    similarity = np.mean([[ssim(a, b, data_range=15) for a, b in zip(*pair)] for pair in pairs])
    detail = np.mean([detail_power(image) / detail_power(real) for real, image in pairs])
    return {"sampler": name, "spacing": spacing, "steps": steps, "pcc": round(float(correlation.mean()), 4),
            **{f"pcc_{channel}": round(float(value), 4) for channel, value in zip(names, correlation)},
            "ssim": round(float(similarity), 4), "detail": round(float(detail), 3), "fields": len(pairs),
            "s_per_field": round(spent / len(pairs), 3), "cpu_s_per_field": round(cpu / len(pairs), 3)}  # fmt: skip


def main(argv=None) -> None:
    """Print one JSON line a sampler and step count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--arm", required=True, help="a model of the study")
    parser.add_argument("--fold", required=True)
    parser.add_argument("--plate", required=True, help="a plate that the fold holds out")
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--ancestral", type=int, nargs="*", default=[200], help="step counts of the ancestral sampler")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    study = Study(args.results, args.arm, args.fold, args.plate, args.fields)
    for name, spacing, counts in [*RUNS, ("ddpm", "level", args.ancestral)]:
        for steps in counts:
            print(json.dumps({"bench": "sampling", **measure(study, name, spacing, steps)}), flush=True)


if __name__ == "__main__":
    main()
