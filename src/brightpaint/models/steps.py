"""A model in training: gradient steps, the running mean of its weights, validation, and all that a resume needs.

Progress is counted in images seen. Every random number comes from the seed and the number of the image.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.func import functional_call
from torch.optim.swa_utils import get_ema_multi_avg_fn

from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.validation import Validation

HISTORY_LINES = 200  # of training loss at most, so that a training of any length has a readable curve
EMA_RAMP = 0.1  # the running mean never looks back further than this share of the images seen


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
    objective : what is drawn at random, and the loss (`objectives`)
    settings : the `train` settings
    how : on what it is computed

    Attributes
    ----------
    mean : running mean of the weights
    best : the mean with the least validation loss yet, None before the first validation
    best_loss : that loss
    """

    def __init__(self, model: nn.Module, objective, settings: dict, how: Compute | None = None):
        self.how = how or Compute()
        self.model, self.objective, self.settings = self.how.place(model), objective, settings
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=settings["learning_rate"], fused=True)
        self.called = self.how.runnable(self.model)
        self.mean = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.best, self.best_loss = None, None
        self.seen, self.history, self.losses = 0, [], []

    def batches(self, data: TrainingImages) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
        """Yield this process's part of each batch that is left, its labels, and the size of the whole batch."""
        settings, total = self.settings, self.settings["images"]
        firsts = range(self.seen, total, settings["batch"])

        def size(first: int) -> int:
            return min(settings["batch"], total - first)

        def read(first: int):
            return data.batch(settings["seed"], first, size(first), settings["crop_px"], compute.mine(size(first))[0])

        made = compute.ahead(read, firsts, self.how.prefetch, self.how.device.type == "cuda")
        for (images, labels), first in zip(made, firsts):
            yield images, labels, size(first)

    def step(self, images: torch.Tensor, labels: torch.Tensor, count: int) -> None:
        """Take one gradient step on a batch of `count` images, and follow it with the running mean.

        Parameters
        ----------
        images, labels : this process's part of the batch, (B, C, H, W) z-scores and (B,)
        """
        settings, (part, weight) = self.settings, compute.mine(count)
        words = ("dropout", self.seen, compute.rank()) if compute.rank() else ("dropout", self.seen)
        torch.manual_seed(seed_of(settings["seed"], *words))
        generator = torch.Generator(self.how.device).manual_seed(seed_of(settings["seed"], "step", self.seen))
        drawn = self.objective.draw((count, images.shape[1] - self.objective.inputs, *images.shape[2:]), generator)
        self.model.train()
        images, labels = self.how.send(images), labels.to(self.how.device, non_blocking=True)
        with self.how.autocast():
            loss = self.objective.loss(self.called, images, labels, *(values[part] for values in drawn))
        self.optimiser.zero_grad()
        (loss * weight).backward()
        if settings["clip_norm"] is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), settings["clip_norm"])
        self.seen += count
        rate = learning_rate(settings, self.seen)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self._average(ema_decay(settings, self.seen, count))
        self._record(loss.detach(), count, weight, rate)

    def _average(self, decay: float) -> None:
        with torch.no_grad():
            now = self.model.state_dict()
            get_ema_multi_avg_fn(decay)([self.mean[name] for name in now], list(now.values()), None)

    def _record(self, loss: torch.Tensor, count: int, weight: float, rate: float) -> None:
        self.losses.append((loss, weight * count / compute.world()))  # no float yet: that would wait for the GPU
        total = self.settings["images"]
        if HISTORY_LINES * self.seen // total > HISTORY_LINES * (self.seen - count) // total:
            losses = self._finite_losses()
            spent, shown = compute.total(sum(loss * images for loss, images in losses), sum(n for _, n in losses))
            self.history.append({"images": self.seen, "loss": spent / shown, "learning_rate": rate})
            self.losses = []

    def _finite_losses(self) -> list[list[float]]:
        losses = [[float(loss), images] for loss, images in self.losses]
        if any(not abs(loss) < float("inf") for loss, _ in losses):
            mend = "lower train.learning_rate or set train.clip_norm"
            raise ValueError(f"the loss is not finite by image {self.seen}; {mend}")
        return losses

    def validate(self, validation: Validation) -> None:
        """Take the running mean's validation loss, and keep the mean if it is the best yet."""
        self.model.eval()
        loss = validation.loss(lambda *inputs: functional_call(self.model, self.mean, inputs))
        self.history.append({"images": self.seen, "validation_loss": loss})
        if self.best_loss is None or loss < self.best_loss:
            self.best, self.best_loss = {name: value.clone() for name, value in self.mean.items()}, loss

    def is_validation_due(self, count: int) -> bool:
        """Return whether the last `count` images passed a multiple of `validate_every_images`, or ended training."""
        every = self.settings["validate_every_images"]
        return self.seen == self.settings["images"] or self.seen // every > (self.seen - count) // every

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights to keep: the best by validation, or the last running mean where nothing validates."""
        return self.mean if self.best is None else self.best

    def state(self) -> tuple[dict, dict]:
        """Return everything that a continued training needs, as tensors and as JSON."""
        kinds = {"model": self.model.state_dict(), "mean": self.mean, "best": self.best or {}}
        tensors = {f"{kind}.{name}": value for kind, values in kinds.items() for name, value in values.items()}
        steps = 0
        names = [name for name, _ in self.model.named_parameters()]
        for number, entry in self.optimiser.state_dict()["state"].items():
            name, steps = names[number], int(entry["step"])
            tensors |= {f"first.{name}": entry["exp_avg"], f"second.{name}": entry["exp_avg_sq"]}
        progress = {"seen": self.seen, "steps": steps, "history": self.history, "best_loss": self.best_loss}
        return tensors, {**progress, "losses": self._finite_losses()}

    def restore(self, tensors: dict, meta: dict) -> None:
        """Go on from a `state`."""
        now = self.model.state_dict()
        if not 0 <= meta["seen"] <= self.settings["images"]:
            raise ValueError(f"it has seen {meta['seen']} images of {self.settings['images']}")
        chosen = {kind: {} for kind in ("model", "mean", "best", "first", "second")}
        for key, value in tensors.items():
            kind, name = key.split(".", 1)
            if value.shape != now[name].shape or not torch.isfinite(value).all():
                raise ValueError(f"{key} of shape {tuple(value.shape)}: expected finite {tuple(now[name].shape)}")
            chosen[kind][name] = torch.empty_like(now[name]).copy_(value)  # on the model's device, in its layout
        if missing := sorted(now.keys() - chosen["mean"].keys()):
            raise ValueError(f"mean.{missing[0]} is missing")
        self.model.load_state_dict(chosen["model"])
        self.mean, self.best, self.best_loss = chosen["mean"], chosen["best"] or None, meta["best_loss"]
        groups = self.optimiser.state_dict()["param_groups"]
        step = torch.tensor(float(meta["steps"]))
        state = {  # a parameter that no gradient ever reached has no state
            number: {"step": step.clone(), "exp_avg": chosen["first"][name], "exp_avg_sq": chosen["second"][name]}
            for number, (name, _) in enumerate(self.model.named_parameters())
            if name in chosen["first"]
        }
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.seen, self.history = meta["seen"], meta["history"]
        self.losses = meta["losses"] if compute.first() else []  # the others' share of this line is not kept
