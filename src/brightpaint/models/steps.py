"""Networks in training: gradient steps, the running means of their weights, validation, and all that a resume needs.

Most models are one network; a model of several (a generator and its critic) has an optimiser for each, and its
objective says which loss moves which of them in which step.

Progress is counted in images seen. Every random number comes from the seed and the number of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import nn
from torch.func import functional_call
from torch.optim.swa_utils import get_ema_multi_avg_fn

from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.codecs.codec import Codec, Identity
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.data import TrainingImages
from brightpaint.models.objectives.updates import Update
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
    """Networks in training: their parameters, the running means of these, the optimisers' states and the history.

    Parameters
    ----------
    networks : by name; those without a parameter that wants a gradient are frozen, and only asked
    objective : what is drawn at random, and which losses move which network (`objectives.updates`)
    settings : the `train` settings
    how : on what it is computed
    codec : what lies between the pixels and the networks
    adam : {network: options of its optimiser}, where they are not torch's; `lr` is a share of the settings' rate
    keep_at : numbers of images after which the running means are kept for looking at, 0 before the first

    Attributes
    ----------
    optimisers : Adam by network, of those that are trained
    mean : running mean of the weights; where several networks are trained each name begins with its network's
    best : the mean with the least validation loss yet, None before the first validation
    best_loss : that loss
    kept : {number of images: the mean then}, of `keep_at`
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        objective,
        settings: dict,
        how: Compute | None = None,
        *,
        codec: Codec | None = None,
        adam: Mapping[str, dict] | None = None,
        keep_at: Sequence[int] = (),
    ):
        self.how = how or Compute()
        self.networks = {name: self.how.place(network) for name, network in networks.items()}
        self.objective, self.settings, self.codec = objective, settings, self.how.place(codec or Identity())
        self._free = {name: [value for value in network.parameters() if value.requires_grad]
                      for name, network in self.networks.items()}  # fmt: skip
        trained = [name for name in self.networks if self._free[name]]
        options = {name: {"lr": 1.0, **(adam or {}).get(name, {})} for name in trained}
        self._share = {name: options[name].pop("lr") for name in trained}
        self.optimisers = {
            name: torch.optim.Adam(
                self.networks[name].parameters(), lr=settings["learning_rate"], fused=True, **options[name]
            )
            for name in trained
        }
        self._called = {
            name: self.how.runnable(network) if [name] == trained else self.how.compiled(network)
            for name, network in self.networks.items()
        }
        self._prefix = {name: f"{name}." if len(trained) > 1 else "" for name in trained}
        self.mean = {name: value.detach().clone() for name, value in self._weights().items()}
        self.best, self.best_loss = None, None
        self.seen, self.history, self.losses = 0, [], {}
        self._keep_at, self.kept = sorted(keep_at), {}
        self._keep(-1)

    def _keep(self, before: int) -> None:
        """Keep the running means where a wanted number of images was reached since `before`."""
        for images in [images for images in self._keep_at if before < images <= self.seen]:
            self.kept[images] = {name: value.clone() for name, value in self.mean.items()}

    def _weights(self) -> dict[str, torch.Tensor]:
        return {
            prefix + name: value
            for network, prefix in self._prefix.items()
            for name, value in self.networks[network].state_dict().items()
        }

    def batches(self, data: TrainingImages) -> Iterator[tuple[torch.Tensor, Condition, int]]:
        """Yield this process's part of each batch that is left, its condition, and the size of the whole batch."""
        settings, total = self.settings, self.settings["images"]
        firsts = range(self.seen, total, settings["batch"])

        def size(first: int) -> int:
            return min(settings["batch"], total - first)

        def read(first: int):
            part = compute.mine(size(first))[0]
            images, condition = data.batch(settings["seed"], first, size(first), settings["crop_px"], part)
            return torch.from_numpy(images), condition

        made = compute.ahead(read, firsts, self.how.prefetch, self.how.device.type == "cuda")
        for (images, condition), first in zip(made, firsts):
            yield images, condition, size(first)

    def step(self, images: torch.Tensor, condition: Condition, count: int) -> None:
        """Take the updates that are due on a batch of `count` images, and follow them with the running means.

        Parameters
        ----------
        images, condition : this process's part of the batch, (B, C, H, W) z-scores and what they are told
        """
        settings, (part, weight) = self.settings, compute.mine(count)
        words = ("dropout", self.seen, compute.rank()) if compute.rank() else ("dropout", self.seen)
        torch.manual_seed(seed_of(settings["seed"], *words))
        generator = torch.Generator(self.how.device).manual_seed(seed_of(settings["seed"], "step", self.seen))
        x, y = self.how.coded(self.codec.split, self.how.send(images), self.objective.inputs)
        drawn = self.objective.draw((count, *y.shape[1:]), generator)
        batch = x, y, condition.to(self.how.device, non_blocking=True), *(values[part] for values in drawn)
        number, rate = self.seen // settings["batch"], learning_rate(settings, self.seen + count)
        losses = {}
        for update in self.objective.updates:
            if number % update.every == 0:
                losses |= self._update(update, batch, weight, rate)
        self.seen += count
        self._average(ema_decay(settings, self.seen, count))
        self._keep(self.seen - count)
        self._record(losses, count, weight, rate)

    def _update(self, update: Update, batch: tuple, weight: float, rate: float) -> dict[str, torch.Tensor]:
        """Move one network by a loss at a learning rate, and return its terms by their words."""
        free, optimiser, several = self._free[update.network], self.optimisers[update.network], len(self.optimisers) > 1
        for name, network in self.networks.items():
            network.train(name in self.optimisers)
            for value in self._free[name] if several else ():  # only the moved one gathers gradients
                value.requires_grad_(name == update.network)
        with self.how.autocast():
            terms = update.terms(self._called, *batch)
        optimiser.zero_grad()
        (update.whole(terms) * (weight * update.scale)).backward()
        # By hand: DistributedDataParallel refuses a loss that leaves a weight out, as R1 does the last bias.
        if several:
            compute.average([value.grad for value in free if value.grad is not None])
        if self.settings["clip_norm"] is not None:
            nn.utils.clip_grad_norm_(free, self.settings["clip_norm"])
        for group in optimiser.param_groups:
            group["lr"] = rate * self._share[update.network]
        optimiser.step()
        return {word: term.detach() for word, term in terms.items()}

    def _average(self, decay: float) -> None:
        with torch.no_grad():
            now = self._weights()
            get_ema_multi_avg_fn(decay)([self.mean[name] for name in now], list(now.values()), None)

    def _record(self, losses: dict[str, torch.Tensor], count: int, weight: float, rate: float) -> None:
        for word, loss in losses.items():  # no float yet: that would wait for the GPU
            self.losses.setdefault(word, []).append((loss, weight * count / compute.world()))
        total = self.settings["images"]
        if HISTORY_LINES * self.seen // total > HISTORY_LINES * (self.seen - count) // total:
            line = {"images": self.seen}
            for word, values in self._finite_losses().items():
                spent, shown = compute.total(sum(loss * images for loss, images in values), sum(n for _, n in values))
                line[word] = spent / shown
            self.history.append({**line, "learning_rate": rate})
            self.losses = {}

    def _finite_losses(self) -> dict[str, list[list[float]]]:
        came = iter(compute.numbers([loss for values in self.losses.values() for loss, _ in values]))
        losses = {word: [[next(came), images] for _, images in values] for word, values in self.losses.items()}
        if any(not abs(loss) < float("inf") for values in losses.values() for loss, _ in values):
            mend = "lower learning_rate or set clip_norm in the section that trains it (train, codecs, cellnet or gan)"
            raise ValueError(f"the loss is not finite by image {self.seen}; {mend}")
        return losses

    def validate(self, validation: Validation) -> None:
        """Take the running means' validation loss, and keep the means if they are the best yet."""
        loss = validation.loss({name: self._of_mean(name) for name in self.networks})
        self.history.append({"images": self.seen, "validation_loss": loss})
        if self.best_loss is None or loss < self.best_loss:
            self.best, self.best_loss = {name: value.clone() for name, value in self.mean.items()}, loss

    def _of_mean(self, name: str) -> Callable:
        """Return a network for inference, with the running mean of its weights if it is trained."""
        network, prefix = self.networks[name].eval(), self._prefix.get(name)
        if prefix is None:
            return network
        own = {key.removeprefix(prefix): value for key, value in self.mean.items() if key.startswith(prefix)}
        return lambda *inputs: functional_call(network, own, inputs)

    def is_validation_due(self, count: int) -> bool:
        """Return whether the last `count` images passed a multiple of `validate_every_images`, or ended training."""
        every = self.settings["validate_every_images"]
        return self.seen == self.settings["images"] or self.seen // every > (self.seen - count) // every

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights to keep: the best by validation, or the last running mean where nothing validates."""
        return compute.fetched(self.mean if self.best is None else self.best)

    def state(self) -> tuple[dict, dict]:
        """Return everything that a continued training needs, as tensors and as JSON."""
        kinds = {"model": self._weights(), "mean": self.mean, "best": self.best or {}}
        kinds |= {f"at {images}": values for images, values in self.kept.items()}
        steps = {}
        for network, optimiser in self.optimisers.items():
            names = [self._prefix[network] + name for name, _ in self.networks[network].named_parameters()]
            for number, entry in optimiser.state_dict()["state"].items():
                name = names[number]
                kinds.setdefault("first", {})[name] = entry["exp_avg"]
                kinds.setdefault("second", {})[name] = entry["exp_avg_sq"]
                steps[name] = entry["step"]
        # A kind at a time: what is fetched at once lies twice on the GPU meanwhile.
        tensors = {
            f"{kind}.{name}": value for kind, values in kinds.items() for name, value in compute.fetched(values).items()
        }
        steps = dict(zip(steps, map(int, compute.numbers(list(steps.values())))))
        progress = {"seen": self.seen, "steps": steps, "history": self.history, "best_loss": self.best_loss}
        return tensors, {**progress, "losses": self._finite_losses()}

    def restore(self, tensors: dict, meta: dict) -> None:
        """Go on from a `state`; one of version 0.1.0 says `steps` and `losses` for all, since it had one of each."""
        now = self._weights()
        if not 0 <= meta["seen"] <= self.settings["images"]:
            raise ValueError(f"it has seen {meta['seen']} images of {self.settings['images']}")
        wanted = {f"at {images}": images for images in self._keep_at}
        chosen = {kind: {} for kind in ("model", "mean", "best", "first", "second", *wanted)}
        for key, value in tensors.items():
            kind, name = key.split(".", 1)
            if value.shape != now[name].shape or not torch.isfinite(value).all():
                raise ValueError(f"{key} of shape {tuple(value.shape)}: expected finite {tuple(now[name].shape)}")
            chosen[kind][name] = torch.empty_like(now[name]).copy_(value)  # on the model's device, in its layout
        if missing := sorted(now.keys() - chosen["mean"].keys()):
            raise ValueError(f"mean.{missing[0]} is missing")
        steps = meta["steps"] if isinstance(meta["steps"], dict) else dict.fromkeys(now, meta["steps"])
        for network, prefix in self._prefix.items():
            weights = {name: chosen["model"].get(prefix + name) for name in self.networks[network].state_dict()}
            self.networks[network].load_state_dict(
                {name: value for name, value in weights.items() if value is not None}
            )
            self._restore_optimiser(network, chosen, steps)
        self.mean, self.best, self.best_loss = chosen["mean"], chosen["best"] or None, meta["best_loss"]
        self.seen, self.history = meta["seen"], meta["history"]
        self.kept = {images: chosen[kind] for kind, images in wanted.items() if chosen[kind]}
        losses = meta["losses"] if isinstance(meta["losses"], dict) else {"loss": meta["losses"]}
        self.losses = losses if compute.first() else {}  # the others' share of this line is not kept

    def _restore_optimiser(self, network: str, chosen: dict, steps: dict[str, int]) -> None:
        names = [self._prefix[network] + name for name, _ in self.networks[network].named_parameters()]
        state = {  # a parameter that no gradient ever reached has no state
            number: {
                "step": torch.tensor(float(steps[name])),
                "exp_avg": chosen["first"][name],
                "exp_avg_sq": chosen["second"][name],
            }
            for number, name in enumerate(names)
            if name in chosen["first"]
        }
        optimiser = self.optimisers[network]
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
