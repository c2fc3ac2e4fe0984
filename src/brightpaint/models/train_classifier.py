"""Train a classifier of noised stains for classifier guidance, as `train` trains a denoiser.

Fields without a label are left out: there is nothing to learn from them.
"""

from __future__ import annotations

import contextlib

import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.codecs.codec import codec_of
from brightpaint.models.fit import open_data, train_network
from brightpaint.models.networks.noise_classifier import Classifier
from brightpaint.models.objectives.losses import Classification
from brightpaint.models.train import parse
from brightpaint.study.kinds import CLASSIFIER
from brightpaint.study.presets import classifier_spec


def build_classifier(settings: dict, channels: dict, classes: int) -> Classifier:
    """Build the classifier that training settings describe."""
    spec = classifier_spec(settings["width"])
    inputs, targets = codec_of(settings).channels(len(channels["input"]), len(channels["target"]))
    return Classifier(spec, inputs, targets, classes)


def main(argv=None) -> None:
    """Train a classifier."""
    args = parse(main.__doc__, argv)
    args.settings["kind"] = CLASSIFIER.name
    with store.locked(args.weights) if compute.first() else contextlib.nullcontext():
        data = open_data(args)
        data.keep_labelled()
        torch.manual_seed(seed_of(args.settings["seed"], "weights"))
        classifier = build_classifier(args.settings, args.settings["channels"], len(data.labels))
        objective = Classification(data.inputs)
        train_network(args, data, classifier, objective, objective)


if __name__ == "__main__":
    run(main)
