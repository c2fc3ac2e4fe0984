"""How fast a generator and its critic train here beside an installable StyleGAN2, in one run; and what a plate costs to embed.

    pip install --no-deps --target peer stylegan2_pytorch einops kornia
    python bench/gan.py --size 64 --batch 8 --peer peer

The peer is lucidrains' stylegan2_pytorch (PyPI), of three channels and for a GPU alone: its generator, critic, gradient penalty
and path lengths are taken as they are, on a CPU, and trained by the schedule here (R1 in every 16th step, path lengths in every
4th), at the width of preset `small`. Cycles of 16 steps alternate; each line says the images a second of CPU of the best cycle.
Memory is the most anonymous memory while training, over that before the networks were built; the peer, second, takes what was
freed and has none. The last line holds the critic's look
at one square, and at a plate of 2,304 fields of 512 px.

Nothing outside `bench` imports this. What the peer loads and never calls here (its data sets, its logs) is left out of its imports.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from brightpaint import store
from brightpaint.models import train_gan
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.image_encoders import ImageEncoder
from brightpaint.models.objectives.gan_losses import ADAM, CRITIC, GENERATOR, PATH_EVERY, R1_EVERY, Adversarial, Scale
from brightpaint.models.see_critic import NAMES

CHANNELS = ["A", "B", "C"]
WINDOW = [-1.5, 6.0]
CYCLE = 16  # steps after which every regularisation has come
FIELDS, FIELD_PX = 2304, 512  # of the paper's plate
LEFT_OUT = ("torchvision", "torchvision.transforms", "aim", "fire", "vector_quantize_pytorch", "stylegan2_pytorch.diff_augment",
            "kornia", "kornia.filters", "retry", "retry.api")  # fmt: skip
CAPACITY = {"generator": 16, "critic": 8}  # by which its widths are those of preset small
WIDEST = 64


def anonymous_mb() -> float:
    """Return the anonymous memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


@contextmanager
def most_memory() -> Iterator[list[float]]:
    """Yield a list whose one number is the most anonymous memory (MB) that was seen meanwhile, over that at the start."""
    found, over, before = [0.0], threading.Event(), anonymous_mb()

    def look() -> None:
        while not over.wait(0.01):
            found[0] = max(found[0], anonymous_mb() - before)

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        yield found
    finally:
        over.set()
        watching.join()


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


# --- ours ---


def noise_images(folder: Path, size_px: int, fields: int = 16) -> TrainingImages:
    """Write a plate stack of noise and open it for training."""
    rng = np.random.default_rng(0)
    with store.StackWriter(folder / "P.tif", (fields, 3, size_px, size_px), CHANNELS, key="bench") as writer:
        for row in range(fields):
            writer.write(row, rng.normal(size=(3, size_px, size_px)))
    keys = {"Metadata_Plate": "P", "Metadata_Well": [f"A{row:02d}" for row in range(fields)]}
    store.write_table(
        pd.DataFrame({**keys, "Metadata_Site": 1, "Metadata_Tile": 1, "Metadata_perturbation": ""}),
        folder / "P.parquet",
    )
    return TrainingImages(
        [folder / "P.tif"], [folder / "P.parquet"], channels={"input": [], "target": CHANNELS}, label="none"
    )


def own_training(folder: Path, args: argparse.Namespace) -> tuple[Callable[[], None], train_gan.GanTraining]:
    """Return a cycle of steps of this project's training, and the training."""
    settings = {
        "preset": "small", "width": None, "size_px": args.size, "crop_px": args.size, "seed": 0, "batch": args.batch,
        "images": 10**7, "learning_rate": 2e-3, "warmup_images": 0, "decay": "constant", "clip_norm": None,
        "ema_images": 1000, "channels": {"input": [], "target": CHANNELS},
    }  # fmt: skip
    how = Compute(prefetch=0)
    generator, critic = train_gan.initial(settings, how)
    objective = Adversarial(generator, Scale([WINDOW] * 3), r1=10.0, path_length=2.0, mixing=0.9)
    training = train_gan.GanTraining({GENERATOR: generator, CRITIC: critic}, objective, settings, how, adam=ADAM)
    batches = training.batches(noise_images(folder, args.size))
    return lambda: [training.step(*batch) for batch in islice(batches, CYCLE)], training


# --- the peer ---


class Peer:
    """The peer's generator and critic, trained by the schedule here."""

    def __init__(self, folder: Path, size_px: int, batch: int):
        own = self._imported(folder)
        self.code, self.size_px, self.batch = own, size_px, batch
        self.styles = own.StyleVectorizer(512, 3, 0.1)
        self.generator = own.Generator(size_px, 512, CAPACITY["generator"], fmap_max=WIDEST)
        self.critic = own.Discriminator(size_px, CAPACITY["critic"], fmap_max=WIDEST)
        painted = [*self.styles.parameters(), *self.generator.parameters()]
        self.painter, self.judge = (
            torch.optim.Adam(values, 2e-4, (0.5, 0.9)) for values in (painted, self.critic.parameters())
        )
        self.step_number, self.path_mean = 0, 0.0

    @staticmethod
    def _imported(folder: Path) -> types.ModuleType:
        """Import the peer's module on a machine without a GPU: what is never called here is an empty module."""
        sys.path.insert(0, str(folder))
        for name in LEFT_OUT:
            if name not in sys.modules:
                empty = types.ModuleType(name)
                empty.__getattr__ = lambda word: types.SimpleNamespace()  # noqa: B023
                empty.__path__ = []
                sys.modules[name] = empty
        sys.modules["kornia.filters"].filter2d = filtered
        has_gpu, torch.cuda.is_available = torch.cuda.is_available, lambda: True
        try:
            return importlib.import_module("stylegan2_pytorch.stylegan2_pytorch")
        finally:
            torch.cuda.is_available = has_gpu

    def paint(self) -> tuple[torch.Tensor, torch.Tensor]:
        layers = self.generator.num_layers
        styles = self.styles(torch.randn(self.batch, 512))[:, None].expand(-1, layers, -1)
        return self.generator(styles, torch.rand(self.batch, self.size_px, self.size_px, 1)), styles

    def step(self, images: torch.Tensor) -> None:
        """Take one step: critic, R1 where due, generator, path lengths where due."""
        with torch.no_grad():
            painted, _ = self.paint()
        self._moved(self.judge, lambda: self.code.hinge_loss(self.critic(images)[0], self.critic(painted)[0]))
        if self.step_number % R1_EVERY == 0:
            real = images.clone().requires_grad_()
            self._moved(self.judge, lambda: self.code.gradient_penalty(real, self.critic(real)[0]))
        self._moved(self.painter, lambda: self.critic(self.paint()[0])[0].mean())
        if self.step_number % PATH_EVERY == 0:
            self._moved(self.painter, self._path_loss)
        self.step_number += 1

    def _path_loss(self) -> torch.Tensor:
        images, styles = self.paint()
        half = slice(0, (self.batch + 1) // 2)
        lengths = self.code.calc_pl_lengths(styles, images)[half]
        self.path_mean += 0.01 * (float(lengths.detach().mean()) - self.path_mean)
        return (lengths - self.path_mean).square().mean()

    @staticmethod
    def _moved(optimiser: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> None:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()


def filtered(x: torch.Tensor, kernel: torch.Tensor, normalized: bool = False) -> torch.Tensor:
    """Filter every channel by one kernel with mirrored edges, as kornia's filter2d does for the peer."""
    kernel = kernel / kernel.abs().sum() if normalized else kernel
    kernel, about = kernel[:, None].expand(x.shape[1], 1, -1, -1), kernel.shape[-1] // 2
    return nn.functional.conv2d(nn.functional.pad(x, (about,) * 4, mode="reflect"), kernel, groups=x.shape[1])


# --- what is said ---


def embedding(critic: nn.Module, size_px: int, repeats: int) -> dict[str, float]:
    """Return the CPU milliseconds of one square, and the CPU hours of a plate's fields as squares."""
    encoder = ImageEncoder(
        Path("bench"), critic.eval(), NAMES, CHANNELS, size_px, Scale([WINDOW] * 3), torch.device("cpu")
    )
    images = np.random.default_rng(0).normal(size=(32, 3, size_px, size_px)).astype(np.float32)
    encoder.numbers(images)
    one = min(cpu_seconds(lambda: encoder.numbers(images)) for _ in range(repeats)) / len(images)
    return {"square_ms": 1e3 * one, "plate_cpu_h": one * FIELDS * (FIELD_PX // size_px) ** 2 / 3600}


def main(argv=None) -> None:
    """Print a JSON line of each training, one of both, and one of embedding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2, help="cycles of 16 steps, of each")
    parser.add_argument("--peer", type=Path, help="folder that holds stylegan2_pytorch and einops")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shown = {"size_px": args.size, "batch": args.batch, "channels": 3, "device": "cpu", "threads": 1}
    cycles, numbers = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        with most_memory() as memory:
            cycles["own"], training = own_training(Path(folder), args)
            rates = {"own": [cpu_seconds(cycles["own"])]}
        numbers["own"] = sum(value.numel() for network in training.networks.values() for value in network.parameters())
        if args.peer:
            images = torch.rand(args.batch, 3, args.size, args.size)
            peer = Peer(args.peer, args.size, args.batch)
            cycles["peer"] = lambda: [peer.step(images) for _ in range(CYCLE)]
            rates["peer"] = [cpu_seconds(cycles["peer"])]
            numbers["peer"] = sum(
                value.numel() for part in (peer.styles, peer.generator, peer.critic) for value in part.parameters()
            )
        for _ in range(args.repeats):
            for name, cycle in cycles.items():
                rates[name].append(cpu_seconds(cycle))
    rate = {name: CYCLE * args.batch / min(spent[1:]) for name, spent in rates.items()}
    for name in rate:
        line = {
            "what": name,
            "images_per_s": rate[name],
            "parameters": numbers[name],
            **({"memory_mb": round(memory[0])} if name == "own" else {}),
        }
        print(json.dumps({**shown, **line}), flush=True)
    if args.peer:
        print(json.dumps({**shown, "what": "both", "ratio": rate["own"] / rate["peer"]}), flush=True)
    line = embedding(training.networks[CRITIC], args.size, args.repeats)
    print(json.dumps({**shown, "what": "embedding", **{name: float(f"{value:.3g}") for name, value in line.items()}}))
    assert all(math.isfinite(value) for value in rate.values())


if __name__ == "__main__":
    main()
