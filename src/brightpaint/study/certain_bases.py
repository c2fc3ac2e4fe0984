"""Models that add noise to what another model of the same fold paints, and what is wrong with such a base. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brightpaint.study.kinds import KINDS

if TYPE_CHECKING:
    from brightpaint.study.study import Study


def base_of(config: dict, model: dict) -> dict | None:
    """Return the entry of the model to which `model` adds noise; None where it adds none, or its weights are given."""
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


def _own_problems(study: Study, model: dict, where: str) -> Iterator[str]:
    base = base_of(study.config, model)
    able = [entry["name"] for entry in study.config["models"] if KINDS[entry["kind"]].sure]
    if base is None or base["name"] not in able:
        found = "names no base" if not model["base"] else f"base {model['base']} " + (
            f"is of kind {base['kind']}, which does not paint one certain image" if base else "is no model")  # fmt: skip
        yield f"{where}: {found}; it stands on a model that paints without noise: {', '.join(able) or 'add one to models'}"
        return
    for key in ("label", "conditions", "subset"):
        if model[key] != base[key]:
            yield f"{where}: {key} {model[key]}, but its base {base['name']} has {base[key]}; give it {key}: {base[key]}"
    if model["inputs"] is not None and model["inputs"] != study.inputs(base):
        yield f"{where}: inputs {model['inputs']}, but its base {base['name']} sees {study.inputs(base)}; leave inputs out"
    if not study.config["train"]["validation_share"]:
        yield (
            f"{where}: train.validation_share is 0, and the error of its base is measured on wells that validate; raise it, to "
            "0.1 say"
        )
