"""What the trainings of a study's painting models, codecs and classifiers cost, once a fold: floating-point operations by rule."""

from __future__ import annotations

from collections import defaultdict

from brightpaint.plan.limits import training_px
from brightpaint.plan.painting import (
    TRAINING_PASSES,
    base_flop,
    classifier_flop,
    codec_training_flop,
    coding_flop,
    direction_flop,
    network_flop,
)
from brightpaint.study import certain_bases, codecs, style_directions
from brightpaint.study.kinds import KINDS
from brightpaint.study.study import Study

VALIDATION_IMAGES = 128  # passes of one validation, see models/validation.py
# On which a base's error is measured, twice each, at most: see kinds/from_base.py.
MEASURED_FIELDS = 2 * (certain_bases.TRAINED_FIELDS + VALIDATION_IMAGES)


def trainings_flop(study: Study) -> dict[str, float]:
    """Return {rule: floating-point operations} of every training that the arms need."""
    train, wanted, projected = study.config["train"], set(), set()
    size_px, found, whole = training_px(study.config), defaultdict(float), study.config["prepare"]["size_px"]
    for arm in study.arm_names:
        classifier = study.entry("arms", arm)["classifier"]
        for fold in study.entry("arms", arm)["folds"]:
            for each in study.trained_for(arm):
                if style_directions.stands_on_generator(each):
                    projected.add((each["name"], fold))
                if not KINDS[each["kind"]].stepwise:
                    continue
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
            found[rule] += based_flop(study, model, (train["images"] + validated) * (size_px / whole) ** 2)
        else:
            one = classifier_flop(study, study.entry("classifiers", name), size_px)
        found[rule] += one * (TRAINING_PASSES * train["images"] + validated)
    for name, _ in sorted(projected):
        found["train"] += direction_flop(study, study.entry("models", name))
    return dict(found)


def based_flop(study: Study, model: dict, fields: float) -> float:
    """Floating-point operations of a base that is asked for as many pixels as so many fields have, and to measure its error."""
    base = certain_bases.base_of(study.config, model)
    if not base:
        return 0.0
    return (fields + MEASURED_FIELDS) * base_flop(study, {"mean_of": 1}, base, study.config["prepare"]["size_px"])
