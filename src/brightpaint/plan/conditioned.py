"""Whether fields can be told the conditions of a model, as far as the wells of its plates are known before anything runs.

What a model will know of its conditions is learnt from the wells of its training plates, as training does, and asked of the wells
that each arm paints. What isn't known yet is said by the rule itself.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from brightpaint import store
from brightpaint.models.conditions import vocabulary
from brightpaint.plan.held_back import trained_wells
from brightpaint.plan.translating import Wells
from brightpaint.study.conditions import CONDITIONS, MOLECULE
from brightpaint.study.study import Study


def conditioned(study: Study) -> list[str]:
    """Return the arms, translations and generations too, that are painted by a model with conditions."""
    return [name for name in study.arm_names if study.model_of(name)["conditions"]]


def problems(study: Study, root: Path = Path(".")) -> Iterator[str]:
    """Say what is wrong with the conditions of a study's models and arms, each thing once."""
    said: dict[str, None] = {}
    wells = Wells(study, root)
    for name in conditioned(study):
        for fold in study.entry("arms", name)["folds"]:
            said.update(dict.fromkeys(_of_fold(study, name, fold, wells, root)))
    yield from said


def known_vocabulary(study: Study, model: dict, fold: str, wells: Wells, root: Path) -> dict[str, dict] | None:
    """Return what a model knows, or will know, of its conditions; None where that is not known yet."""
    if model["weights"]:
        path = root / model["weights"]
        return store.read_weights(path, tensors=False)[1].get("conditions", {}) if path.is_file() else None
    kept = trained_wells(study, fold, wells) if model["subset"] != "active" else None
    if kept is None:
        return None
    try:
        return vocabulary.learn(kept, _readable(model["conditions"]))
    except ValueError as error:
        raise ValueError(f"model {model['name']}, fold {fold}: {error}") from None


def _readable(named: dict) -> dict:
    """Return those of some conditions that can be looked at here: molecules only where RDKit is (jobs have it)."""
    there = importlib.util.find_spec("rdkit") is not None
    return {name: value for name, value in named.items() if there or CONDITIONS[name].form != MOLECULE}


def _of_fold(study: Study, name: str, fold: str, wells: Wells, root: Path) -> Iterator[str]:
    arm, model = study.entry("arms", name), study.model_of(name)
    try:
        known = known_vocabulary(study, model, fold, wells, root)
    except ValueError as error:
        yield str(error)
        return
    folds = study.entry("folds", fold)
    vectors = model["conditions"].get("molecule", {}).get("vectors")
    for plate in folds["test"] + folds["predict"]:
        try:
            table = wells.of(plate)
            if known is not None and table is not None:
                vocabulary.tell(table, _readable(known), shown=_readable(arm["conditions"]), vectors=vectors)
        except ValueError as error:
            yield f"arm {name}: {error}"
