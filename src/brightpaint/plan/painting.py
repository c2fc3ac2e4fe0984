"""What painting one field by an arm costs, in floating-point operations: the one account that plan and limits both read.

A cluster's time limits are asked for whenever the Snakefile is read, so nothing here loads torch.
"""

from __future__ import annotations

import csv
from pathlib import Path

from brightpaint.models import operations
from brightpaint.study.critics import seen_channels
from brightpaint.study.kinds import KINDS
from brightpaint.study.presets import PICTURE_PX, classifier_spec, gan_spec, spec_of
from brightpaint.study.samplers import asked_at_once, steps_inverted, steps_walked, walked_share
from brightpaint.study.study import Study

SOURCE_SHARE = 0.25  # of a plate's fields, where a translation takes all of its class or those of named wells
TRAINING_PASSES = 3  # forward, and twice as much backward (Kaplan et al. 2020, section 2.1)


def read_rates(path: Path) -> dict[str, float]:
    """Read resources/rates.tsv: {rate: value}."""
    with open(path, newline="", encoding="utf-8") as handle:
        return {row["rate"]: float(row["value"]) for row in csv.DictReader(handle, delimiter="\t")}


def network_flop(study: Study, model: dict, size_px: int) -> int:
    """Floating-point operations of one image through a model's network."""
    sizes = len(study.inputs(model)), len(study.config["channels"]["target"]), size_px
    return operations.unet_flop(spec_of(model["preset"], model["width"]), *sizes)


def classifier_flop(study: Study, entry: dict, size_px: int) -> int:
    """Floating-point operations of one image through a classifier; its few classes cost nothing to speak of."""
    channels = study.config["channels"]
    sizes = len(channels["input"]), len(channels["target"])
    return operations.classifier_flop(classifier_spec(entry["width"]), *sizes, 2, size_px)


def gan_flop(study: Study) -> dict[str, float]:
    """Floating-point operations of one image: `training` of generator and critic, `autoencoder`, that of one, and one look of the
    `critic`, or at a `picture` by the network trained on photographs."""
    chosen = study.config["gan"]
    sizes = gan_spec(chosen["preset"], chosen["width"]), len(seen_channels(study)), chosen["size_px"]
    critic = float(operations.critic_flop(*sizes))
    autoencoder = TRAINING_PASSES * operations.autoencoder_flop(*sizes)
    picture = operations.lite_flop(min(max(chosen["size_px"], PICTURE_PX[0]), PICTURE_PX[1]))
    return {
        "training": operations.gan_training_flop(*sizes),
        "autoencoder": autoencoder,
        "critic": critic,
        "picture": picture,
    }


def network_of(model: dict) -> dict:
    """Return a model's `kind`, `preset` and `width`: those of given weights stand in their file, not in the config."""
    path = Path(model["weights"]) if model["weights"] else None
    if not (path and path.is_file()):
        return {key: model[key] for key in ("kind", "preset", "width")}
    from brightpaint import store  # not before it is needed: it loads pandas

    own = store.read_weights(path, tensors=False)[1].get("settings", {})
    return {key: own.get(key) for key in ("kind", "preset", "width")}


UNKNOWN_CLASSES = (
    25  # of a translation to every class, as in paper 001: how many there are is not known before the training
)


def translated_rows(arm: dict) -> int:
    """Return the classes that a translation shows of each source field, its own among them."""
    targets = arm["translate"]["targets"]
    if isinstance(targets, dict) and targets.get("um"):
        compounds = 1 if isinstance(targets["compound"], str) else len(targets["compound"])
        return 1 + compounds * len(targets["um"])
    return 1 + len(targets) if isinstance(targets, list) else UNKNOWN_CLASSES


def translating_flop(study: Study, name: str) -> float:
    """Floating-point operations to invert one field and paint it as every class; the inversion at most, unsettled to its end."""
    arm, model = study.entry("arms", name), study.model_of(name)
    one = network_flop(study, {**model, **network_of(model)}, study.config["prepare"]["size_px"])
    down = steps_walked({**arm, "steps": walked_share(arm)}) * asked_at_once(arm)
    return float(one * (steps_inverted(arm) + translated_rows(arm) * down))


def source_count(arm: dict, plate_fields: float) -> float:
    """Return how many fields of a plate a translation starts from, at most, where the plate has so many."""
    fields = arm["translate"]["fields"]
    return min(fields, plate_fields) if isinstance(fields, int) else plate_fields * SOURCE_SHARE


def sampling_flop(study: Study, name: str) -> float:
    """Floating-point operations to paint one field by an arm; 0 for the closed-form floors."""
    arm, model = study.entry("arms", name), study.model_of(name)
    model = {**model, **network_of(model)}
    size_px = study.config["prepare"]["size_px"]
    passes = KINDS[model["kind"]].passes(arm)
    if not passes:
        return 0.0
    total = passes * network_flop(study, model, size_px)
    if (
        KINDS[model["kind"]].noise and arm["classifier"] and arm["guidance_scale"]
    ):  # one pass forward, and back to its input
        entry = study.entry("classifiers", arm["classifier"])
        total += TRAINING_PASSES * steps_walked(arm) * classifier_flop(study, entry, size_px)
    return total
