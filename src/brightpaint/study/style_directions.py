"""Models that stand on the study's own generator (section `gan`) and move its styles: what is wrong with them. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightpaint.study.critics import FIELDS, is_trained, seen_channels
from brightpaint.study.kinds import KINDS

if TYPE_CHECKING:
    from brightpaint.study.study import Study

W, PLUS = "w", "w+"
SPACES = (W, PLUS)  # one style of a square, or one a layer
MOST_STEPS = 10_000  # as in the config's schema


def stands_on_generator(model: dict) -> bool:
    """Return whether a model is found by the study's own generator; given weights hold theirs."""
    return KINDS[model["kind"]].styled and not model["weights"]


def projection(model: dict) -> dict:
    """Return how a model projects, as its training takes it; {} of a kind that does not."""
    return {"projection": model["projection"]} if KINDS[model["kind"]].styled else {}


def problems(study: Study) -> Iterator[str]:
    """Say which models can't move styles, and which arms ask of them what they don't do."""
    able = " or ".join(kind.name for kind in KINDS.values() if kind.styled)
    for model in study.config["models"]:
        where = f"model {model['name']}"
        if not KINDS[model["kind"]].styled:
            if model["projection"]:
                yield f"{where}: projection, but kind {model['kind']} projects nothing; leave it out, or take kind {able}"
            continue
        if not model["projection"] and not model["weights"]:
            yield f"{where}: kind {model['kind']} projects real images to styles; say how, projection: {{}} for what is usual"
        if study.inputs(model) and not model["weights"]:
            yield f"{where}: kind {model['kind']} is shown no brightfield; give it inputs: []"
        if model["conditions"]:
            yield f"{where}: kind {model['kind']} is told a class alone; leave conditions out"
        if stands_on_generator(model):
            yield from _generator_problems(study, where)
    named = {model["name"]: model for model in study.config["models"]}
    for arm in study.config["arms"] + study.config["translations"]:
        model = named.get(arm["model"])
        if not model or not KINDS[model["kind"]].styled:
            continue
        where, said = f"arm {arm['name']}", f"model {model['name']} of kind {model['kind']}"
        if not arm["translate"]:
            yield f"{where}: {said} shows real fields as other classes, and predicts none; give the arm translate: {{}}"
        elif arm["translate"]["strength"] < 1:
            yield f"{where}: translate.strength is of a walk to noise, and {said} moves styles; leave it out"


def _generator_problems(study: Study, where: str) -> Iterator[str]:
    """Say why the study's generator can't paint its fields."""
    chosen, stains = study.config["gan"], study.config["channels"]["target"]
    if not is_trained(study):
        yield f"{where}: it moves the styles of the study's own generator, and none is trained; set gan.preset (small or gandl)"
        return
    if chosen["examples"] != FIELDS or chosen["own_crops"]:
        yield f"{where}: it shows fields, and the generator learns crops (gan.examples); set gan.examples: {FIELDS}"
    elif seen_channels(study) != stains:
        yield (
            f"{where}: the generator paints {', '.join(seen_channels(study))}, and the study's stains are {', '.join(stains)}; "
            "leave gan.channels out"
        )
    side, size_px = study.config["prepare"]["size_px"], chosen["size_px"]
    if side > size_px and side % size_px:
        yield (
            f"{where}: fields of {side} px (prepare.size_px) are no whole number of the generator's squares of {size_px} px "
            "(gan.size_px), with which they are painted; give a multiple"
        )
