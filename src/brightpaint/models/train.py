"""Train a model on every study plate that a fold does not test (paper 000, Algorithm 1 and section 4.3).

Kinds `mean` and `pixel` are floors with a closed form (`baselines`); they write the same files.

Progress is counted in images seen. Every random number comes from the seed and the number of the image, and an
unfinished training is kept beside the weights, so that the same command goes on where it was killed and ends with
the same bytes on a CPU. A state of other settings or other input is set aside, never mixed in.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from pathlib import Path
from typing import Callable

import torch
from torch import nn
from tqdm import tqdm

import brightpaint
from brightpaint import store
from brightpaint.cli import run
from brightpaint.models import baselines, diffusion
from brightpaint.models.data import TrainingImages, seed_of
from brightpaint.models.network import UNet, parameter_count
from brightpaint.models.presets import spec_of
from brightpaint.models.schedule import Schedule

log = logging.getLogger(__name__)
SAVE_EVERY_S = 60
HISTORY_LINES = 200  # at most, so that a training of any length has a readable loss curve
EMA_RAMP = 0.1  # the running mean never looks back further than this share of the images seen


def pick_device(device: str) -> torch.device:
    """Return the torch device for `auto`, `cpu` or `cuda`."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: this machine shows no GPU to torch; set compute.device to auto or cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def build_denoiser(settings: dict, channels: dict, labels: int) -> diffusion.Denoiser:
    """Build the denoiser that training settings describe, for these channels and this many classes."""
    spec = spec_of(settings["preset"], settings["width"])
    network = UNet(spec, len(channels["input"]), len(channels["target"]), labels)
    output = "preconditioned" if settings["preset"] == "fast" or settings["objective"] == "v" else "eps"
    return diffusion.Denoiser(network, output)


def learning_rate(settings: dict, images: int) -> float:
    """Return the learning rate after `images` images: linear warm-up, then constant or a cosine down to 0."""
    peak, warmup, total = settings["learning_rate"], settings["warmup_images"], settings["images"]
    if images < warmup:
        return peak * images / warmup
    if settings["decay"] == "constant":
        return peak
    share = min(1.0, (images - warmup) / max(1, total - warmup))
    return peak * 0.5 * (1 + float(torch.cos(torch.tensor(share * torch.pi, dtype=torch.float64))))


def ema_decay(settings: dict, seen: int, batch: int) -> float:
    """Return the running mean's decay for one step of `batch` images, when `seen` have been seen with these."""
    half_life = min(settings["ema_images"], EMA_RAMP * seen)
    return 0.5 ** (batch / half_life)


class Training:
    """A model in training: its parameters, their running mean, the optimiser's state and the history.

    Parameters
    ----------
    model : what is trained
    step_loss : (images (B, C, H, W), labels (B,), generator) -> loss; the generator is seeded per step
    settings : the `train` settings
    """

    def __init__(self, model: nn.Module, step_loss: Callable, settings: dict):
        self.model, self.step_loss, self.settings = model, step_loss, settings
        self.optimiser = torch.optim.Adam(model.parameters(), lr=settings["learning_rate"])
        self.device = next(model.parameters()).device
        self.mean = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.seen, self.history, self.losses = 0, [], []

    def step(self, data: TrainingImages) -> None:
        """Take one gradient step on the next batch, and follow it with the running mean."""
        settings = self.settings
        count = min(settings["batch"], settings["images"] - self.seen)
        images, labels = data.batch(settings["seed"], self.seen, count, settings["crop_px"])
        torch.manual_seed(seed_of(settings["seed"], "dropout", self.seen))
        generator = torch.Generator(self.device).manual_seed(seed_of(settings["seed"], "step", self.seen))
        self.model.train()
        images, labels = torch.from_numpy(images).to(self.device), torch.from_numpy(labels).to(self.device)
        loss = self.step_loss(images, labels, generator)
        self.optimiser.zero_grad()
        loss.backward()
        if settings["clip_norm"] is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), settings["clip_norm"])
        self.seen += count
        rate = learning_rate(settings, self.seen)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self._average(ema_decay(settings, self.seen, count))
        self._record(loss.item(), count, rate)

    def _average(self, decay: float) -> None:
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.mean[name].lerp_(value, 1 - decay)

    def _record(self, loss: float, count: int, rate: float) -> None:
        if not torch.isfinite(torch.tensor(loss)):
            mend = "lower train.learning_rate or set train.clip_norm"
            raise ValueError(f"the loss is {loss} at image {self.seen}; {mend}")
        self.losses.append(loss * count)
        total = self.settings["images"]
        if HISTORY_LINES * self.seen // total > HISTORY_LINES * (self.seen - count) // total:
            shown = self.seen - (self.history[-1]["images"] if self.history else 0)
            self.history.append({"images": self.seen, "loss": sum(self.losses) / shown, "learning_rate": rate})
            self.losses = []

    def state(self) -> tuple[dict, dict]:
        """Return everything that a continued training needs, as tensors and as JSON."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"mean.{name}": value for name, value in self.mean.items()}
        steps = 0
        names = [name for name, _ in self.model.named_parameters()]
        for number, entry in self.optimiser.state_dict()["state"].items():
            name, steps = names[number], int(entry["step"])
            tensors |= {f"first.{name}": entry["exp_avg"], f"second.{name}": entry["exp_avg_sq"]}
        return tensors, {"seen": self.seen, "steps": steps, "history": self.history, "losses": self.losses}

    def restore(self, tensors: dict, meta: dict) -> None:
        """Go on from a `state`."""
        chosen = {}
        for kind in ("model", "mean", "first", "second"):
            prefix = f"{kind}."
            chosen[kind] = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        self.model.load_state_dict(chosen["model"])
        self.mean = {name: value.to(self.device) for name, value in chosen["mean"].items()}
        groups = self.optimiser.state_dict()["param_groups"]
        step = torch.tensor(float(meta["steps"]))
        state = {  # a parameter that no gradient ever reached has no state
            number: {"step": step.clone(), "exp_avg": chosen["first"][name], "exp_avg_sq": chosen["second"][name]}
            for number, (name, _) in enumerate(self.model.named_parameters())
            if name in chosen["first"]
        }
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.seen, self.history, self.losses = meta["seen"], meta["history"], meta["losses"]


def denoising_loss(denoiser: diffusion.Denoiser, settings: dict, inputs: int) -> Callable:
    """Return the `step_loss` of a denoiser (paper 000, Algorithm 1) with label dropout."""
    schedule = Schedule()

    def step_loss(images, labels, generator):
        x, y = images[:, :inputs], images[:, inputs:]
        gamma = schedule.draw(len(y), generator)
        eps = torch.randn(y.shape, generator=generator, device=y.device)
        dropped = torch.rand(len(y), generator=generator, device=y.device) < settings["label_dropout"]
        labels = torch.where(dropped, torch.zeros_like(labels), labels)
        return diffusion.loss(denoiser, x, y, labels, gamma, eps, settings["objective"])

    return step_loss


def fit(training: Training, data: TrainingImages, weights: Path, key: str) -> None:
    """Train to the end, keeping the state of an unfinished training in `<weights>.partial`."""
    partial = weights.with_name(weights.name + ".partial")
    if partial.exists():
        tensors, meta = store.read_weights(partial)
        if meta["key"] == key:
            training.restore(tensors, meta)
            log.info("going on from image %d", training.seen)
        else:
            stale = weights.with_name(weights.name + ".stale")
            os.replace(partial, stale)
            log.info("%s is of other settings or input: set aside as %s", partial, stale)
    total, saved = training.settings["images"], time.monotonic()
    with tqdm(total=total, initial=training.seen, disable=None, unit="image") as bar:
        while training.seen < total:
            training.step(data)
            bar.update(training.seen - bar.n)
            if time.monotonic() - saved > SAVE_EVERY_S and training.seen < total:
                tensors, meta = training.state()
                store.write_weights(partial, tensors, {**meta, "key": key})
                saved = time.monotonic()


def finish(weights: Path) -> None:
    """Remove the state of a finished training."""
    for suffix in (".partial", ".stale"):
        weights.with_name(weights.name + suffix).unlink(missing_ok=True)


def describe(settings: dict, labels: dict) -> dict:
    """Return the metadata of a weights file."""
    versions = {"brightpaint": brightpaint.__version__, "torch": str(torch.__version__)}
    own = {key: value for key, value in settings.items() if key != "channels"}
    return {"settings": own, "channels": settings["channels"], "label_map": labels, "versions": versions}


def parse(description: str, argv) -> argparse.Namespace:
    """Read the command line that both training commands share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stacks", type=Path, nargs="+", required=True)
    parser.add_argument("--fields", type=Path, nargs="+", required=True)
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    return args


def open_data(args: argparse.Namespace, label: str) -> TrainingImages:
    """Open the training images that a command line names."""
    if args.settings["subset"] == "active" and len(args.active) != 1:
        raise ValueError(f"subset active needs one table of actives, found {len(args.active)}; give it with --active")
    actives = store.read_table(args.active[0]) if args.settings["subset"] == "active" else None
    return TrainingImages(args.stacks, args.fields, channels=args.settings["channels"], label=label, actives=actives)


def state_key(settings: dict, data: TrainingImages) -> str:
    """Return the digest of what an unfinished training was made from."""
    files = [store.fingerprint(stack.path) for stack in data.stacks]
    return store.digest(settings, files, data.fields.to_csv(index=False), data.labels)


def main(argv=None) -> None:
    """Train a model."""
    args = parse(main.__doc__, argv)
    settings, device = args.settings, pick_device(args.device)
    with store.locked(args.weights):
        data = open_data(args, settings["label"])
        meta = describe(settings, data.labels)
        if settings["kind"] != "diffusion":
            tensors, history = baselines.fit(settings["kind"], data)
        else:
            torch.manual_seed(seed_of(settings["seed"], "weights"))
            denoiser = build_denoiser(settings, settings["channels"], len(data.labels)).to(device)
            log.info("%d fields, %d classes, %d parameters", len(data), len(data.labels), parameter_count(denoiser))
            training = Training(denoiser, denoising_loss(denoiser, settings, data.inputs), settings)
            fit(training, data, args.weights, state_key(settings, data))
            tensors, history = training.mean, training.history
        store.write_json_lines(history, args.history)
        store.write_weights(args.weights, tensors, meta)
        finish(args.weights)


if __name__ == "__main__":
    run(main)
