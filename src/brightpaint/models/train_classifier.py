"""Train a classifier of noised stains for classifier guidance, as `train` trains a denoiser.

Fields without a label are left out: there is nothing to learn from them.
"""

from __future__ import annotations

import logging

import torch

from brightpaint import store
from brightpaint.cli import run
from brightpaint.models.classifier import Classifier, classifier_loss, classifier_spec
from brightpaint.models.data import seed_of
from brightpaint.models.network import parameter_count
from brightpaint.models.train import Training, describe, finish, fit, open_data, parse, pick_device, state_key

log = logging.getLogger(__name__)


def build_classifier(settings: dict, channels: dict, classes: int) -> Classifier:
    """Build the classifier that training settings describe."""
    spec = classifier_spec(settings["width"])
    return Classifier(spec, len(channels["input"]), len(channels["target"]), classes)


def main(argv=None) -> None:
    """Train a classifier."""
    args = parse(main.__doc__, argv)
    settings, device = {**args.settings, "kind": "classifier"}, pick_device(args.device)
    with store.locked(args.weights):
        data = open_data(args, settings["label"])
        data.keep_labelled()
        torch.manual_seed(seed_of(settings["seed"], "weights"))
        classifier = build_classifier(settings, settings["channels"], len(data.labels)).to(device)
        log.info("%d fields, %d classes, %d parameters", len(data), len(data.labels), parameter_count(classifier))
        training = Training(classifier, classifier_loss(classifier, data.inputs), settings)
        fit(training, data, args.weights, state_key(settings, data))
        store.write_json_lines(training.history, args.history)
        store.write_weights(args.weights, training.mean, describe(settings, data.labels))
        finish(args.weights)


if __name__ == "__main__":
    run(main)
