"""Codecs of the stains (section `codecs`), and the models that see their latents. Torch-free.

A codec is a model of a kind of its own: each entry becomes one of `models`, so that an arm may name it and that rules, paths and
scores treat it as any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightpaint.study.critics import CROPS
from brightpaint.study.kinds import CODEC, KINDS
from brightpaint.study.presets import CodecSpec, codec_spec

if TYPE_CHECKING:
    from brightpaint.study.study import Study

IDENTITY = "identity"  # the codec that there always is: the pixels themselves
SHAPE = ("preset", "width", "latents")
LOSS = ("kl_weight", "adversarial")
INSTEAD = ("images", "batch", "learning_rate")  # of the section `train`
LEAST_CRITIC_PX = 8
# What a codec is as an entry of `models`: it sees no brightfield, and its presets are its own.
PLAIN = {"kind": CODEC.name, "inputs": [], "objective": None}


def as_model(entry: dict, usual: dict) -> dict:
    """Return an entry of `codecs` as one of `models`, whose defaults are `usual`: it is told nothing."""
    return {**usual, **PLAIN, **entry}


def names(study: Study) -> list[str]:
    """Return the names of the study's codecs."""
    return [entry["name"] for entry in study.config["codecs"]]


def stood_on(study: Study, model: dict) -> dict[str, dict]:
    """Return {base or codec: its entry} of what a model reads as it is trained here.

    A base, like given weights, has its codec in it.
    """
    if model["weights"]:
        return {}
    if model["base"]:
        return {"base": study.entry("models", model["base"])}
    return {} if model["codec"] == IDENTITY else {"codec": study.entry("models", model["codec"])}


def trained_for(study: Study, model: dict) -> list[dict]:
    """Return the models that are trained for a model, in order: what it stands on, then itself; none of given weights or images."""
    below = [each for entry in stood_on(study, model).values() for each in trained_for(study, entry)]
    return below if model["weights"] or KINDS[model["kind"]].given else [*below, model]


def spec_of(model: dict) -> CodecSpec:
    """Return the shape of a codec's network, as its entry says."""
    return codec_spec(*(model[key] for key in SHAPE))


def stride_px(study: Study, model: dict) -> int:
    """Return how many pixels along a side become one that a model's network sees: 1 without a codec, and of given weights."""
    own = model["weights"] or model["codec"] == IDENTITY
    return 1 if own else spec_of(study.entry("models", model["codec"])).stride_px


def training(study: Study, model: dict) -> dict:
    """Return what changes the training of a codec, beside its fold and the images' cut-off."""
    shared = {key: value for key, value in study.config["train"].items() if key != "label_dropout"}
    instead = {key: model[key] for key in INSTEAD if model[key] is not None}
    chosen = {key: model[key] for key in (*SHAPE, *LOSS)} | shared | instead
    stains = study.config["channels"]["target"]
    chosen["channels"] = {key: value for key, value in study.config["channels"].items()} | {
        "input": [],
        "target": stains,
    }
    if model["adversarial"]:
        gan = study.config["gan"]
        chosen |= {"critic": model["critic"], "windows": [gan["window"]] * len(stains), "r1": gan["r1"]}
    return chosen


def problems(study: Study) -> Iterator[str]:
    """Say what is wrong with the codecs and with the models and arms that stand on them."""
    known, models = names(study), {model["name"]: model for model in study.config["models"]}
    used = {model["codec"] for model in models.values()}
    for name in known:
        yield from _codec_problems(study, models[name], name in used)
    for model in study.config["models"]:
        codec = model["codec"]
        if codec == IDENTITY:
            continue
        where = f"model {model['name']}: codec {codec}"
        if codec not in known:
            yield f"{where}: there is no such codec; there are: {', '.join([IDENTITY, *known])}"
        elif not (KINDS[model["kind"]].latent or KINDS[model["kind"]].based):
            able = " or ".join(kind.name for kind in KINDS.values() if kind.latent)
            yield f"{where}: kind {model['kind']} sees pixels alone; give it to one of kind {able}"
        elif model["weights"]:
            yield f"{where}: its weights are given, and hold the codec that they were trained on; leave codec out"
        elif model["examples"] == CROPS:
            yield f"{where}: a codec is one of fields, and examples is {model['examples']}; leave one of them out"
    for arm in study.config["arms"]:
        model = models.get(arm["model"])
        if model and arm["classifier"] and model["codec"] != IDENTITY:
            yield (
                f"arm {arm['name']}: classifier {arm['classifier']} tells labels of noised pixels, and model {model['name']} walks "
                "among latents; leave it out, or name a model without codec"
            )
        if model and KINDS[model["kind"]].stains and not any(_tested(study, name) for name in arm["folds"]):
            yield f"arm {arm['name']}: codec {model['name']} shows real stains again, and its folds test no plate; name one in test"


def _tested(study: Study, name: str) -> list[str]:
    """Return the plates that a fold tests; none of one that is not there, which is said by itself."""
    return [plate for fold in study.config["folds"] if fold["name"] == name for plate in fold["test"]]


def _codec_problems(study: Study, model: dict, used: bool) -> Iterator[str]:
    """Say which codec nothing needs, and which sizes its critic cannot see.

    Every preset's stride divides the multiple of 8 px that the schema asks of prepare.size_px and train.crop_px.
    """
    if not used and model["name"] not in [arm["model"] for arm in study.config["arms"]]:
        yield f"codec {model['name']}: no model and no arm names it; leave it out, or give it an arm"
    side = study.config["prepare"]["size_px"]
    seen = min(study.config["train"]["crop_px"] or side, side)
    if model["adversarial"] and not model["weights"] and (seen < LEAST_CRITIC_PX or seen & (seen - 1)):
        yield (
            f"codec {model['name']}: its critic sees the {seen} px that it is trained on, and needs a power of two from "
            f"{LEAST_CRITIC_PX}; set train.crop_px to one, or adversarial: 0"
        )
    window = study.config["gan"]["window"]
    if model["adversarial"] and window[0] >= window[1]:
        yield f"codec {model['name']}: its critic sees stains through gan.window {window}, which is empty; give its lower end first"
