"""Models that stand on another model of the study, their base: what they take of it, and what is wrong with them. Torch-free.

Those that add noise to what their base paints take nothing of its entry: `certain_bases` is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightpaint.study.kinds import KINDS

if TYPE_CHECKING:
    from brightpaint.study.study import Study

OWN = (
    "name",
    "kind",
    "base",
    "inputs",
    "loss",
    "weights",
    "blur_px",
)  # all else of its entry a model takes of its base

BLUR_PX = (
    4.0  # as long as a nucleus' radius at about a micrometre a pixel: where cells lie is left, and not how they look
)


def inherit(models: list[dict], usual: dict) -> Iterator[str]:
    """Give each model of a kind that is based what it takes of its base, and say which of these it was given otherwise.

    Parameters
    ----------
    models : entries with the schema's defaults, which are changed
    usual : these defaults
    """
    named = {model["name"]: model for model in models}
    for model in models:
        if KINDS[model["kind"]].outlined and model["blur_px"] is None and not model["weights"]:
            model["blur_px"] = BLUR_PX
    for model in [model for model in models if KINDS[model["kind"]].based and model["base"] in named]:
        base = named[model["base"]]
        for key in [key for key in model if key not in OWN]:
            if model[key] not in (usual[key], base[key]):
                yield (
                    f"model {model['name']}: {key} {model[key]}, but its base {base['name']} has {base[key]}, which it takes; "
                    "leave it out"
                )
            model[key] = base[key]


def problems(study: Study) -> Iterator[str]:
    """Say which models name a base that can't be one, or lack one, and which are told of stains where they can't be."""
    models = {model["name"]: model for model in study.config["models"]}
    yield from _outlined_problems(study, models)
    able = " or ".join(kind.name for kind in KINDS.values() if kind.based or kind.noises)
    bearing = " or ".join(kind.name for kind in KINDS.values() if kind.bears)
    for model in [model for model in models.values() if not KINDS[model["kind"]].noises]:
        where, base = f"model {model['name']}", models.get(model["base"])
        if not KINDS[model["kind"]].based:
            if model["base"]:
                yield f"{where}: base {model['base']}, but kind {model['kind']} stands on none; leave it out, or take kind {able}"
        elif model["weights"]:
            if model["base"]:
                yield f"{where}: its weights are given, and hold the base that they were trained on; leave base out"
        elif not model["base"]:
            yield f"{where}: kind {model['kind']} stands on a model without brightfield; name it in base"
        elif base is None:
            yield f"{where}: there is no model {model['base']} to stand on; there are: {', '.join(models)}"
        elif not KINDS[base["kind"]].bears:
            yield f"{where}: its base {base['name']} is of kind {base['kind']}; expected {bearing}"
        elif study.inputs(base) and not base["weights"]:
            yield f"{where}: its base {base['name']} sees brightfield itself; give the base inputs: []"


def _outlined_problems(study: Study, models: dict[str, dict]) -> Iterator[str]:
    """Say what is wrong with models that are told of a field's own stains, and which arms would have them predict what they see."""
    able = " or ".join(kind.name for kind in KINDS.values() if kind.outlined)
    for model in models.values():
        where = f"model {model['name']}"
        if not KINDS[model["kind"]].outlined:
            if model["blur_px"] is not None:
                yield f"{where}: blur_px, but kind {model['kind']} blurs nothing; leave it out, or take kind {able}"
        elif model["weights"]:
            if model["blur_px"] is not None:
                yield f"{where}: its weights are given, and say by how much they blur; leave blur_px out"
        elif study.inputs(model):
            yield f"{where}: kind {model['kind']} is told of a field by its stains, and sees no brightfield; give it inputs: []"
    for arm in study.config["arms"] + study.config["generations"]:
        model = models.get(arm["model"])
        if model and KINDS[model["kind"]].outlined:
            yield (
                f"arm {arm['name']}: model {model['name']} of kind {model['kind']} is told of a field's own stains: it shows real "
                "fields as other classes, and predicts none; give the arm translate: {}"
            )
