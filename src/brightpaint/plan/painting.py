"""What painting one field by an arm costs, in floating-point operations: the one account that plan and limits both read.

A cluster's time limits are asked for whenever the Snakefile is read, so nothing here loads torch.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

from brightpaint.models import operations
from brightpaint.study import certain_bases, codecs, generations, style_directions
from brightpaint.study.critics import seen_channels
from brightpaint.study.kinds import KINDS
from brightpaint.study.presets import PICTURE_PX, CodecSpec, classifier_spec, codec_spec, gan_spec, spec_of
from brightpaint.study.samplers import asked_at_once, steps_inverted, steps_walked, walked_share
from brightpaint.study.study import Study

WELLS, HELD_SHARE = 384, 0.25  # of a plate; of its treatments, where a generation shows those that are held out
SOURCE_SHARE = 0.25  # of a plate's fields, where a translation takes all of its class or those of named wells
TRAINING_PASSES = 3  # forward, and twice as much backward (Kaplan et al. 2020, section 2.1)


def read_rates(path: Path) -> dict[str, float]:
    """Read resources/rates.tsv: {rate: value}."""
    with open(path, newline="", encoding="utf-8") as handle:
        return {row["rate"]: float(row["value"]) for row in csv.DictReader(handle, delimiter="\t")}


def network_flop(study: Study, model: dict, size_px: int) -> int:
    """Floating-point operations of one image through a model's network: of a codec the way there and back."""
    inputs, targets, codec = len(study.inputs(model)), len(study.config["channels"]["target"]), codec_seen(study, model)
    if KINDS[model["kind"]].stains:
        return sum(operations.codec_flop(codecs.spec_of(model), targets, size_px))
    if codec:
        inputs, targets, size_px = inputs * codec.stride_px**2, codec.latents, -(-size_px // codec.stride_px)
    count = operations.control_flop if KINDS[model["kind"]].based else operations.unet_flop
    inputs = KINDS[model["kind"]].planes(inputs, targets)
    return count(spec_of(model["preset"], model["width"]), inputs, targets, size_px)


def codec_seen(study: Study, model: dict) -> CodecSpec | None:
    """Return the shape of the codec whose latents a model sees: that of given weights stands in their file; None of pixels."""
    if isinstance(model["codec"], dict):
        return codec_spec(*(model["codec"].get(key) for key in codecs.SHAPE))
    if model["codec"] == codecs.IDENTITY or model["weights"]:
        return None
    codec = study.entry("models", model["codec"])
    return codecs.spec_of({**codec, **network_of(codec)})


def coding_flop(study: Study, model: dict, size_px: int) -> tuple[int, int]:
    """Floating-point operations to encode one image's stains for a model, and to decode what it paints; 0 of pixels."""
    codec = codec_seen(study, model)
    return operations.codec_flop(codec, len(study.config["channels"]["target"]), size_px) if codec else (0, 0)


def scoring_flop(study: Study, name: str) -> float:
    """Floating-point operations of a network to score one field of an arm: an arm of a codec has its stains encoded once more."""
    model, size_px = study.model_of(name), study.config["prepare"]["size_px"]
    if not KINDS[model["kind"]].stains:
        return 0.0
    spec = codecs.spec_of({**model, **network_of(model)})
    return float(operations.codec_flop(spec, len(study.config["channels"]["target"]), size_px)[0])


def codec_training_flop(study: Study, model: dict, size_px: int) -> float:
    """Floating-point operations of training a codec on one image, its critic's included."""
    total = TRAINING_PASSES * network_flop(study, model, size_px)
    if not model["adversarial"]:
        return total
    critic = operations.critic_flop(gan_spec(model["critic"]), len(study.config["channels"]["target"]), size_px)
    painted = operations.codec_flop(codecs.spec_of(model), len(study.config["channels"]["target"]), size_px)
    return total + operations.CODEC_CRITIC_PASSES * critic + sum(painted)


def latent_share(study: Study, model: dict) -> float:
    """Return what a training step takes of one on pixels: less on latents, more where a base is asked beside; else 1."""
    size_px = study.config["train"]["crop_px"] or study.config["prepare"]["size_px"]
    base = certain_bases.base_of(study.config, model)
    if base:
        own = network_flop(study, model, size_px)
        return 1 + base_flop(study, {"mean_of": 1}, base, size_px) / (TRAINING_PASSES * own)
    if codec_seen(study, model) is None:
        return 1.0
    pixels = network_flop(study, {**model, "codec": codecs.IDENTITY}, size_px)
    latents = network_flop(study, model, size_px) + coding_flop(study, model, size_px)[0] / TRAINING_PASSES
    return latents / pixels


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


def projecting_flop(study: Study, model: dict) -> tuple[float, float, int]:
    """Return the floating-point operations of a model that moves styles, to project one square and to paint one, and its side.

    Of given weights the generator stands in their file.
    """
    chosen, own = study.config["gan"], model["projection"] or {"steps": 0}
    if (path := Path(model["weights"] or "")).is_file():
        from brightpaint import store  # not before it is needed: it loads pandas

        said = store.read_weights(path, tensors=False)[1].get("settings", {})
        chosen, own = said.get("generator", chosen), said.get("projection", own)
    sizes = (
        gan_spec(chosen["preset"] or "small", chosen["width"]),
        len(study.config["channels"]["target"]),
        chosen["size_px"],
    )
    generator, critic = float(operations.generator_flop(*sizes)), float(operations.critic_flop(*sizes))
    steps = own["steps"] * (2 if own.get("space") == style_directions.PLUS else 1)
    return steps * TRAINING_PASSES * (generator + critic), generator, chosen["size_px"]


def direction_flop(study: Study, model: dict) -> float:
    """Floating-point operations to find a model's class directions; of how many classes is not known before: as in paper 001."""
    return UNKNOWN_CLASSES * model["projection"]["images"] * projecting_flop(study, model)[0]


def network_of(model: dict) -> dict:
    """Return a model's kind and the shape of its network: those of given weights stand in their file, not in the config."""
    path, keys = Path(model["weights"]) if model["weights"] else None, ("kind", "preset", "width", "codec", "latents")
    if not (path and path.is_file()):
        return {key: model[key] for key in keys if key in model}
    from brightpaint import store  # not before it is needed: it loads pandas

    own = store.read_weights(path, tensors=False)[1].get("settings", {})
    kind = KINDS.get(own.get("kind"))
    if kind and not kind.stepwise:  # it adds noise to what a network paints, its base
        own = own.get("base", {}).get("settings", own)
    return {**{key: own.get(key) for key in keys}, "codec": own.get("codec", codecs.IDENTITY)}


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
    model, size_px = {**model, **network_of(model)}, study.config["prepare"]["size_px"]
    if KINDS[model["kind"]].styled:
        once, painted, side = projecting_flop(study, model)
        return (once * (not arm["translate"]["from_noise"]) + translated_rows(arm) * painted) * max(
            1, size_px // side
        ) ** 2
    one, (encode, decode) = network_flop(study, model, size_px), coding_flop(study, model, size_px)
    down = steps_walked({**arm, "steps": walked_share(arm)}) * asked_at_once(arm)
    return float(one * (steps_inverted(arm) + translated_rows(arm) * down) + encode + translated_rows(arm) * decode)


def source_count(arm: dict, plate_fields: float) -> float:
    """Return how many fields of a plate a translation starts from, at most, where the plate has so many."""
    fields = arm["translate"]["fields"]
    return min(fields, plate_fields) if isinstance(fields, int) else plate_fields * SOURCE_SHARE


def generated_count(study: Study, name: str, plate_fields: float) -> float:
    """Return how many fields a generation paints of a plate, at most: those of each treatment, and of DMSO."""
    chosen, simulated = study.entry("arms", name)["generate"], study.config["source"]["layout"] == "simulated"
    wells = min(WELLS, plate_fields)
    if simulated:
        simulate = study.config["simulate"]
        wells = min(plate_fields, simulate["rows"] * simulate["columns"] * (1 - simulate["dmso_share"]))
    wanted = chosen["treatments"]
    names = len(wanted) if isinstance(wanted, list) else wells * (HELD_SHARE if wanted == generations.HELD_OUT else 1)
    return chosen["fields"] * (math.ceil(names) + generations.CONTROLS)


def base_flop(study: Study, arm: dict, base: dict, size_px: int) -> float:
    """Floating-point operations of what an arm's model stands on to paint one field, once a sample."""
    base = {**base, **network_of(base)}
    passes = KINDS[base["kind"]].passes(arm) * arm["mean_of"]
    return (
        float(passes * (network_flop(study, base, size_px) + coding_flop(study, base, size_px)[1])) if passes else 0.0
    )


def sampling_flop(study: Study, name: str) -> float:
    """Floating-point operations to paint one field by an arm; 0 for the closed-form floors."""
    arm, model = study.entry("arms", name), study.model_of(name)
    size_px, base = study.config["prepare"]["size_px"], certain_bases.base_of(study.config, model)
    total = base_flop(study, arm, base, size_px) if base else 0.0
    model = {**model, **network_of(model)}
    kind, given = study.kind_of(name), KINDS[model["kind"]]
    passes = given.passes(arm) * (arm["mean_of"] if kind.noises and not kind.stepwise else 1) if given.stepwise else 0
    if not passes:
        return total
    total += (
        passes * network_flop(study, model, size_px) + arm.get("mean_of", 1) * coding_flop(study, model, size_px)[1]
    )
    if (
        KINDS[model["kind"]].walks and arm["classifier"] and arm["guidance_scale"]
    ):  # one pass forward, and back to its input
        entry = study.entry("classifiers", arm["classifier"])
        total += TRAINING_PASSES * steps_walked(arm) * classifier_flop(study, entry, size_px)
    return total
