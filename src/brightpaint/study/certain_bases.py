"""Models that stand on what another of the same fold paints without noise, and what is wrong with such a base. Torch-free.

They add noise of its error, or learn what it leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightpaint.study.kinds import KINDS, Kind

if TYPE_CHECKING:
    from brightpaint.study.study import Study

TRAINED_FIELDS = 32  # on which a base's error is measured where it was trained


def base_of(config: dict, model: dict) -> dict | None:
    """Return the entry of the model on whose image `model` stands; None where it stands on none, or its weights are given."""
    if not model.get("base") or model["weights"] or not KINDS[model["kind"]].noises:
        return None
    return next((entry for entry in config["models"] if entry["name"] == model["base"]), None)


def problems(study: Study) -> Iterator[str]:
    """Say which models name a base that they can't stand on, or none."""
    for model in [model for model in study.config["models"] if KINDS[model["kind"]].noises]:
        where = f"model {model['name']}"
        if not model["weights"]:
            yield from _own_problems(study, model, where)
        elif model["base"]:
            yield f"{where}: weights hold the base that they stand on; leave base {model['base']} out"


def can_bear(base: Kind, kind: Kind) -> bool:
    """Return whether a kind can stand on another's image: one that is trained on crops asks for that of a crop."""
    return base.local if kind.stepwise else base.sure


def unfit(base: Kind) -> str:
    """Say why a kind can't bear another that names it."""
    return (
        "paints a whole field alone, and crops of it are trained on"
        if base.sure
        else "does not paint one certain image"
    )


def _own_problems(study: Study, model: dict, where: str) -> Iterator[str]:
    base = base_of(study.config, model)
    kind = KINDS[model["kind"]]
    able = [entry["name"] for entry in study.config["models"] if can_bear(KINDS[entry["kind"]], kind)]
    if base is None or base["name"] not in able:
        found = "names no base" if not model["base"] else f"base {model['base']} " + (
            f"is of kind {base['kind']}, which {unfit(KINDS[base['kind']])}" if base else "is no model")  # fmt: skip
        yield f"{where}: {found}; it stands on a model that paints without noise: {', '.join(able) or 'add one to models'}"
        return
    if kind.stepwise and model["examples"] != "fields":
        yield f"{where}: examples {model['examples']}, but its base's error is measured on fields; leave examples out"
    for key in ("label", "conditions", "subset", *(("twin",) if kind.stepwise else ())):
        if model[key] != base[key]:
            yield f"{where}: {key} {model[key]}, but its base {base['name']} has {base[key]}; give it {key}: {base[key]}"
    if model["inputs"] is not None and model["inputs"] != study.inputs(base):
        yield f"{where}: inputs {model['inputs']}, but its base {base['name']} sees {study.inputs(base)}; leave inputs out"
    if not study.config["train"]["validation_share"]:
        yield (
            f"{where}: train.validation_share is 0, and the error of its base is measured on wells that validate; raise it, to "
            "0.1 say"
        )
