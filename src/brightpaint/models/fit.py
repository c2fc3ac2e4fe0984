"""Train a network step by step, and keep an unfinished training so that the same command goes on with it.

The state lies beside the weights and is written from time to time and on SIGTERM (a cluster's preemption); the training
goes on where it was stopped and ends with the same bytes on a CPU. A state of other settings or other input is set
aside, never mixed in.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

import brightpaint
from brightpaint import store
from brightpaint.base.device import pick_device
from brightpaint.models import compute
from brightpaint.models.codecs.codec import codec_of
from brightpaint.models.compute import Compute
from brightpaint.models.crop_training import TrainingCrops
from brightpaint.models.data import TURNED, TrainingImages
from brightpaint.models.networks.unet import parameter_count
from brightpaint.models.objectives.updates import MODEL
from brightpaint.models.steps import Training
from brightpaint.models.validation import Validation

log = logging.getLogger(__name__)
STOPPED = 128 + signal.SIGTERM  # the exit code that shells give a process that SIGTERM ended


@contextlib.contextmanager
def told_to_stop() -> Iterator[list]:
    """Yield a list that is empty until SIGTERM comes, in place of dying of it."""
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def differences(found: dict, expected: dict) -> list[str]:
    """Say which entries of two JSON objects differ: `learning_rate: found 0.1, expected 0.2`."""
    keys = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    return [f"{key}: found {found.get(key)}, expected {expected.get(key)}" for key in keys]


def resume(training: Training, partial: Path, made_from: dict) -> None:
    """Go on from `partial` if it is an unfinished training of the same making; else set it aside."""
    if not partial.exists():
        return
    tensors, meta = store.read_weights(partial)
    compute.total(0)  # every process has read it
    different = differences(meta.get("made_from") or {}, made_from)
    if not different:
        try:
            training.restore(tensors, meta)
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(
                f"{partial}: expected an unfinished training of these settings, found one that does not fit them "
                f"({type(error).__name__}: {error}); delete it to begin this training anew"
            ) from error
        log.info("going on from image %d", training.seen)
    elif compute.first():
        stale = partial.with_suffix(".stale")
        store.replace(partial, stale)
        log.info("%s is of another training (%s): set aside as %s", partial, "; ".join(different), stale)


def fit(
    training: Training, data: TrainingImages, validation: Validation | None, weights: Path, made_from: dict, *,
    untrained: bool = False,
):  # fmt: skip
    """Train to the end, keeping the state of an unfinished training in `<weights>.partial`.

    `untrained`: the networks as they begin are validated too, and are what is kept where no step makes them better.

    Raises
    ------
    SystemExit
        with code 143 after SIGTERM, once the step in hand is done and the state is written
    """
    partial = weights.with_name(weights.name + ".partial")
    made_from = json.loads(json.dumps(made_from))  # as it will be read back
    resume(training, partial, made_from)
    if untrained and validation and not training.seen:
        training.validate(validation)
    total, saved = training.settings["images"], time.monotonic()
    bar = tqdm(total=total, initial=training.seen, disable=None if compute.first() else True, unit="image")
    with bar, told_to_stop() as came, contextlib.closing(training.batches(data)) as batches:
        for images, condition, count in batches:
            training.step(images, condition, count)
            if validation and training.is_validation_due(count):
                training.validate(validation)
            bar.update(count)
            stop = compute.total(len(came))[0] > 0  # whoever was told, all stop after the same step
            due = stop or time.monotonic() - saved > training.how.save_every_s
            if due and compute.first() and training.seen < total:
                tensors, meta = training.state()
                store.write_weights(partial, tensors, {**meta, "made_from": made_from})
                saved = time.monotonic()
            if stop and training.seen < total:
                log.info("stopped by SIGTERM at image %d; run the same command to go on", training.seen)
                raise SystemExit(STOPPED)


def finish(weights: Path) -> None:
    """Remove the state of a finished training."""
    for suffix in (".partial", ".stale"):
        weights.with_name(weights.name + suffix).unlink(missing_ok=True)


def describe(settings: dict, labels: dict, how: Compute | None = None, vocabulary: dict | None = None) -> dict:
    """Return the metadata of a weights file."""
    versions = {"brightpaint": brightpaint.__version__, "torch": str(torch.__version__)}
    own = {key: value for key, value in settings.items() if key != "channels"}
    if how:
        versions["computed"] = f"{how}, {compute.world()} process(es)"
    told = {"conditions": vocabulary} if vocabulary else {}
    return {"settings": own, "channels": settings["channels"], "label_map": labels, **told, "versions": versions}


def open_data(args: argparse.Namespace) -> TrainingImages | TrainingCrops:
    """Open the training images that a command line names: fields, or crops of single cells."""
    settings = args.settings
    if settings["subset"] == "active" and len(args.active) != 1:
        raise ValueError(f"subset active needs one table of actives, found {len(args.active)}; give it with --active")
    actives = store.read_actives(args.active[0]) if settings["subset"] == "active" else None
    chosen = {"label": settings["label"], "held_out": settings["held_out"], "conditions": settings.get("conditions")}
    if settings.get("examples") == "crops":
        return TrainingCrops(args.stacks, channels=settings["channels"], actives=actives, **chosen)
    chosen |= {"twin": settings.get("twin", False), "turned": settings.get("turned_share", TURNED)}
    return TrainingImages(args.stacks, args.fields, channels=settings["channels"], actives=actives, **chosen)


def made_of(settings: dict, data: TrainingImages) -> dict:
    """Return what an unfinished training was made from: its settings, and a digest of each input."""
    stacks = {f"stack {number}": store.fingerprint(stack.path) for number, stack in enumerate(data.stacks, start=1)}
    fields = store.digest(data.fields.to_csv(index=False), data.labels, *([data.vocabulary] if data.vocabulary else []))
    return {**settings, **stacks, "fields and labels": fields}


def train_network(args: argparse.Namespace, data: TrainingImages, model: nn.Module, objective, blind) -> None:
    """Train one network by an objective, see `train_networks`."""
    train_networks(args, data, {MODEL: model}, objective, blind)


def train_networks(
    args: argparse.Namespace, data: TrainingImages, networks: dict[str, nn.Module], objective, blind, adam=None,
    untrained: bool = False,
) -> None:  # fmt: skip
    """Train networks by an objective and write their weights.

    Parameters
    ----------
    networks, objective, adam : see `Training`
    blind : the objective without dropout of the condition, which validates
    untrained : see `fit`
    """
    settings, how = args.settings, Compute(pick_device(args.device), **args.compute)
    if settings["batch"] < compute.world():
        raise ValueError(f"train.batch {settings['batch']}: expected {compute.world()} or more, one image a process")
    made_from = made_of(settings, data)
    shown, held = data.split(settings["validation_share"])
    codec = codec_of(settings, args.stands)
    validation = Validation(held, blind, settings, how, codec) if len(held) else None
    log.info("%d fields to train on, %d to validate, %d classes, %d parameters", len(shown), len(held),
             len(data.labels), sum(map(parameter_count, networks.values())))  # fmt: skip
    with compute.together(how.device):
        training = Training(networks, objective, settings, how, codec=codec, adam=adam)
        fit(training, shown, validation, args.weights, made_from, untrained=untrained)
    if compute.first():
        store.write_json_lines(training.history, args.history)
        described = describe(settings, data.labels, how, data.vocabulary)
        store.write_weights(args.weights, {**training.weights(), **args.stands}, described)
        finish(args.weights)
