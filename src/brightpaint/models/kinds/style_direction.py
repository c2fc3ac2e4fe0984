"""Class directions among the styles of the study's own StyleGAN2 (after Phenexplain): a class is the mean style of its real images.

Nothing is trained here: real squares of every class, of training plates alone, are projected to styles (`paint.project`), and the
means of these are the weights, beside the generator and the critic that they were found by.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator

import numpy as np
import torch

from brightpaint import store
from brightpaint.base.device import pick_device
from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.fit import describe, finish, fit, made_of
from brightpaint.models.image_encoders import check_seen
from brightpaint.models.kinds.floors import shape_of
from brightpaint.models.paint.styles import BATCH, Styles, StyleTranslator, check_fills, styles_of
from brightpaint.models.trained import cutoff_of
from brightpaint.study.presets import GAN_PRESETS, LATENT
from brightpaint.study.style_directions import MOST_STEPS, SPACES

log = logging.getLogger(__name__)
MEANS = "means"


def chosen(data: TrainingImages, most: int, squares: int) -> list[tuple[int, int]]:
    """Return (class number, image of `data.fixed`) of the squares that are projected: `most` of each class, or all that differ.

    They are spread evenly over the fields of the class, whose order is that of plates and wells; where fields are too few, each is
    looked at again in another window.

    Parameters
    ----------
    squares : how many lie in a field
    """
    labels, found = data.condition.labels.numpy(), []
    for number in sorted(data.labels.values()):
        fields = np.flatnonzero(labels == number)
        first = np.unique(np.linspace(0, len(fields) - 1, min(most, len(fields))).astype(int)) if len(fields) else []
        looks = [int(fields[one]) + again * len(data) for again in range(squares) for one in first]
        found += [(number, look) for look in looks[:most]]
    return found


class Projecting:
    """Squares on their way to styles, a batch at a time, as `fit` goes through a training.

    Attributes
    ----------
    kept : (seen, L, 512) styles found yet
    begun, ended : (seen,) their distances
    """

    def __init__(self, styles: Styles, places: list[tuple[int, int]], settings: dict, how: Compute):
        self.styles, self.places, self.how, self.seen = styles, places, how, 0
        self.settings, self.channels = {"images": len(places), "seed": settings["seed"]}, settings["channels"]["target"]
        self.kept, self.begun, self.ended = torch.zeros(0, styles.rows, LATENT), torch.zeros(0), torch.zeros(0)

    def batches(self, data: TrainingImages) -> Iterator[tuple]:
        """Yield squares (B, C, S, S), their names and their number."""
        while self.seen < len(self.places):
            part = self.places[self.seen : self.seen + BATCH]
            looked = [data.fixed(look, self.styles.size_px) for _, look in part]
            yield np.stack([image for _, image, _ in looked]), [name for name, _, _ in looked], len(part)

    def step(self, images: np.ndarray, names: list[str], count: int) -> None:
        """Project a batch."""
        if not (finite := np.isfinite(images).all((2, 3))).all():
            row, channel = np.argwhere(~finite)[0]
            where = store.describe_field(dict(zip(store.FIELD_KEYS, names[row].split("/"))))
            raise ValueError(
                f"{where}, channel {self.channels[channel]}: not finite; delete its stack and rerun prepare"
            )
        sources = [
            torch.Generator().manual_seed(seed_of(self.settings["seed"], "projected", *name.split("/")))
            for name in names
        ]
        size = self.styles.generator.noise
        found = self.styles.project(images, torch.stack([torch.randn(size, generator=source) for source in sources]))
        self.kept = torch.cat([self.kept, found.styles])
        self.begun, self.ended = torch.cat([self.begun, found.begun]), torch.cat([self.ended, found.ended])
        self.seen += count

    def state(self) -> tuple[dict, dict]:
        """Return all that goes on with it needs."""
        return {"kept": self.kept, "begun": self.begun, "ended": self.ended}, {"seen": self.seen}

    def restore(self, tensors: dict, meta: dict) -> None:
        """Go on from a `state`."""
        if meta["seen"] > len(self.places) or len(tensors["kept"]) != meta["seen"]:
            raise ValueError(
                f"{len(tensors['kept'])} styles of {meta['seen']} images, of {len(self.places)} that are sought"
            )
        self.kept, self.begun, self.ended = (tensors[name] for name in ("kept", "begun", "ended"))
        self.seen = meta["seen"]


def class_lines(projecting: Projecting, labels: dict[str, int]) -> list[dict]:
    """Return a line of history a class: how many squares, and their mean distance before and after."""
    numbers, lines = np.array([number for number, _ in projecting.places]), []
    for name, number in labels.items():
        own = torch.from_numpy(numbers == number)
        begun, ended = (float(part[own].double().mean()) for part in (projecting.begun, projecting.ended))
        lines.append(
            {"images": int(own.sum()), "class": name, "mean_style": begun, "loss": ended, "learning_rate": 0.0}
        )
    return lines


def train(args: argparse.Namespace, data: TrainingImages) -> None:
    """Project real squares of every class, and write the mean style of each."""
    settings, how = (
        args.settings,
        Compute(pick_device(args.device), **{**args.compute, "precision": "float32", "compile": False}),
    )
    if not compute.first():
        return
    path = args.weights
    check_fills(data.size, settings["generator"]["size_px"], str(data.stacks[0].path))
    styles = styles_of(path, args.stands, settings, settings["channels"], how)
    shown, _ = data.split(settings["validation_share"])
    most, side = settings["projection"]["images"], styles.size_px
    places = chosen(shown, most, (data.size[0] // side) * (data.size[1] // side))
    lost = sorted(set(data.labels) - {name for name in data.labels if data.labels[name] in dict(places)})
    if lost:
        raise ValueError(f"{path}: no training field of the class {', '.join(lost[:5])} is left beside those that validate; give "
                         "it more wells, or set train.validation_share to 0")  # fmt: skip
    log.info("%d squares of %d classes to project in %d steps each", len(places), len(data.labels), styles.steps)
    projecting = Projecting(styles, places, settings, how)
    fit(projecting, shown, None, path, made_of({**settings, "computed": str(how)}, data))
    numbers = torch.tensor([number for number, _ in places])
    means = [projecting.kept[numbers == number].double().mean(0).float() for number in sorted(data.labels.values())]
    store.write_json_lines(class_lines(projecting, data.labels), args.history)
    store.write_weights(path, {**args.stands, MEANS: torch.stack(means)}, describe(settings, data.labels, how))
    finish(path)


def tensor_problems(tensors: dict, channels: dict) -> Iterator[str]:
    """Yield what is wrong with the means of a weights file; generator and critic say themselves what does not fit."""
    shape = shape_of(tensors, MEANS)
    if len(shape) != 3 or shape[2] != LATENT or not shape[0]:
        yield f"expected the tensor {MEANS} of shape (classes, layers, {LATENT}), found {shape or None}"


def check_weights(path, tensors: dict, meta: dict) -> None:
    """Raise ValueError where a weights file says of its generator or its projections what cannot be."""
    described, how = (meta["settings"].get(key) for key in ("generator", "projection"))
    wrong = ""
    if not isinstance(described, dict) or described.get("preset") not in GAN_PRESETS:
        wrong = f"its generator is {described!r}; expected one of preset {' or '.join(GAN_PRESETS)}"
    elif not (isinstance(how, dict) and how.get("space") in SPACES and type(how.get("steps")) is int
              and 1 <= how["steps"] <= MOST_STEPS):  # fmt: skip
        wrong = f"its projection is {how!r}; expected a space, {' or '.join(SPACES)}, and 1 to {MOST_STEPS} steps"
    elif len(tensors[MEANS]) != len(meta["label_map"]):
        wrong = f"it has {len(tensors[MEANS])} mean styles of {len(meta['label_map'])} classes"
    if wrong:
        raise ValueError(f"{path}: {wrong}; train it again, or set models.weights to a file that brightpaint wrote")
    check_seen(path, described, meta["channels"])


def translator(args: argparse.Namespace, tensors: dict, meta: dict, how: Compute) -> StyleTranslator:
    """Return what projects stains of one class to styles and paints them as others, as an arm's settings say."""
    check_weights(args.weights, tensors, meta)
    settings, means = meta["settings"], tensors[MEANS]
    networks = {name: value for name, value in tensors.items() if name != MEANS}
    styles = styles_of(args.weights, networks, settings, meta["channels"], how)
    if means.shape[1] != styles.rows:
        raise ValueError(f"{args.weights}: its mean styles have {means.shape[1]} rows, expected {styles.rows} in "
                         f"{settings['projection']['space'].upper()}; train it again")  # fmt: skip
    size = store.open_stack(args.stack).images.shape[-2:]
    check_fills(size, styles.size_px, str(args.stack))
    places = {name: means[number - 1] for name, number in meta["label_map"].items()}
    return StyleTranslator(styles, places, args.settings, cutoff_of(settings), tuple(size))
