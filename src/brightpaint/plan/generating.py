"""Whether treatments can be generated and held out, as far as the wells of a study's plates are known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.models.paint.class_choice import in_order, listed
from brightpaint.models.paint.generated_rows import wanted_rows
from brightpaint.models.split import split_keys
from brightpaint.plan.held_back import held_table
from brightpaint.plan.translating import Wells
from brightpaint.study.annotations import DMSO, PERTURBATION
from brightpaint.study.generations import HELD_OUT, split_folds, told_of_treatments
from brightpaint.study.study import Study


def problems(study: Study, root: Path = Path(".")) -> Iterator[str]:
    """Say what is wrong with what folds hold out and arms generate, each thing once."""
    said: dict[str, None] = {}
    wells, tables = Wells(study, root), {}
    for fold in split_folds(study):
        try:
            tables[fold] = held_table(study, fold, wells)
        except ValueError as error:
            said[str(error)] = None
    for name in study.generations:
        said.update(dict.fromkeys(_of_arm(study, name, wells, tables, root)))
    yield from said


def _of_arm(study: Study, name: str, wells: Wells, tables: dict[str, pd.DataFrame | None], root: Path) -> Iterator[str]:
    yield from _given_weights(study, name, root)
    arm, known = study.entry("arms", name), []
    wanted = arm["generate"]["treatments"]
    for fold in arm["folds"]:
        for plate in study.entry("folds", fold)["test"]:
            try:
                table = wells.of(plate)
            except ValueError as error:
                yield f"arm {name}: {error}"
                return
            known.append(None if table is None else split_keys(table))
            if table is None or (wanted == HELD_OUT and tables.get(fold) is None):
                continue
            where = f"arm {name}, plate {plate}"
            if not (known[-1][PERTURBATION] == DMSO).any():
                yield f"{where}: the plate has no well of {DMSO}, from which every effect is measured; test a plate with some"
            if isinstance(wanted, str):
                try:
                    wanted_rows(known[-1], wanted, tables.get(fold), where)
                except ValueError as error:
                    yield str(error)
    if isinstance(wanted, list) and known and all(table is not None for table in known):
        yield from _unknown(f"arm {name}", wanted, pd.concat(known, ignore_index=True))


def _unknown(where: str, wanted: list[str], wells: pd.DataFrame) -> Iterator[str]:
    there = wells[~wells[PERTURBATION].isin([DMSO, ""])]
    names = {*there["Metadata_treatment"], *there[PERTURBATION]}
    if missing := [name for name in wanted if name not in names]:
        yield (
            f"{where}: generate.treatments: no test plate has {listed(missing)}; they have "
            f"{listed(in_order(set(there['Metadata_treatment'])))}; name some of these, or perturbations at all of their doses"
        )


def _given_weights(study: Study, name: str, root: Path) -> Iterator[str]:
    """Say what given weights tell of themselves that a generation can't use."""
    model = study.model_of(name)
    path = root / model["weights"] if model["weights"] else None
    if not (path and path.is_file()):
        return
    meta = store.read_weights(path, tensors=False)[1]
    if seen := meta.get("channels", {}).get("input", []):
        yield f"arm {name}: {path} was trained with brightfield ({', '.join(seen)}), and generate paints without; give others"
    settings = meta.get("settings", {})
    told = {"label": settings.get("label", "none"), "conditions": settings.get("conditions", {})}
    if not told_of_treatments(told):
        yield f"arm {name}: {path} was told nothing of what a well was given, so that all treatments would look alike; give others"
