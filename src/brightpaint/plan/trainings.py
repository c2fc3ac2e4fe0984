"""What the trainings of a study's painting models, codecs and classifiers cost, once a fold: floating-point operations by rule."""

from __future__ import annotations

from collections import defaultdict

from brightpaint.plan.limits import training_px
from brightpaint.plan.painting import TRAINING_PASSES, classifier_flop, codec_training_flop, coding_flop, network_flop
from brightpaint.study import codecs
from brightpaint.study.kinds import KINDS
from brightpaint.study.study import Study

VALIDATION_IMAGES = 128  # passes of one validation, see models/validation.py


def trainings_flop(study: Study) -> dict[str, float]:
    """Return {rule: floating-point operations} of every training that the arms need."""
    train, wanted = study.config["train"], set()
    size_px, found = training_px(study.config), defaultdict(float)
    for arm in study.arms + study.translations + study.generations:
        classifier = study.entry("arms", arm)["classifier"]
        for fold in study.entry("arms", arm)["folds"]:
            for each in [model for model in study.trained_for(arm) if KINDS[model["kind"]].stepwise]:
                wanted.add(("train_codec" if KINDS[each["kind"]].stains else "train", each["name"], fold))
            if classifier:
                wanted.add(("train_classifier", classifier, fold))
    validated = VALIDATION_IMAGES * train["images"] / train["validate_every_images"]
    validated *= bool(train["validation_share"])
    for rule, name, _ in sorted(wanted):
        model = study.entry("models", name) if rule != "train_classifier" else {}
        if rule == "train_codec":
            images = codecs.training(study, model)["images"]
            found[rule] += images * codec_training_flop(study, model, size_px)
            found[rule] += validated * images / train["images"] * network_flop(study, model, size_px)
            continue
        if rule == "train":
            one = network_flop(study, model, size_px)
            found[rule] += (train["images"] + validated) * coding_flop(study, model, size_px)[0]
        else:
            one = classifier_flop(study, study.entry("classifiers", name), size_px)
        found[rule] += one * (TRAINING_PASSES * train["images"] + validated)
    return dict(found)
