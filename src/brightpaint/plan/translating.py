"""Whether translations can be made, as far as it is known before anything runs: what the wells of their plates hold.

Known are the wells of simulated plates, of the user's own CSV, and of an index that has been made; the classes that a model
will know are those of its training plates, or stand in its given weights. What isn't known is said by the rule itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.models.conditions.labels import label_names
from brightpaint.models.paint.class_choice import check_wells, source_of, targets_of
from brightpaint.plan.held_back import trained_wells
from brightpaint.plates import own_table
from brightpaint.plates.simulator import phenotypes
from brightpaint.study import translations
from brightpaint.study.annotations import ANNOTATIONS, treatments
from brightpaint.study.choice import used_wells
from brightpaint.study.kinds import KINDS
from brightpaint.study.study import Study


def problems(study: Study, root: Path = Path(".")) -> Iterator[str]:
    """Say what is wrong with the translations of a study, each thing once."""
    said: dict[str, None] = {}
    wells = Wells(study, root)
    companions = {translations.PREFIX + name for name in study.translations}
    for name in study.translations:
        for fold in study.entry("arms", name)["folds"] if name not in companions else []:
            said.update(dict.fromkeys(_of_fold(study, name, fold, wells, root)))
    yield from said


class Wells:
    """What the wells of a study's plates hold, each plate read once."""

    def __init__(self, study: Study, root: Path):
        self._study, self._root, self._read = study, root, {}

    def of(self, plate: str) -> pd.DataFrame | None:
        """Return Metadata_Plate, Metadata_Well and annotations of the wells that a plate uses; None where they are not known."""
        if plate not in self._read:
            self._read[plate] = self._known(plate)
        return self._read[plate]

    def _known(self, plate: str) -> pd.DataFrame | None:
        source, row = self._study.config["source"], self._study.plates[plate]
        if source["layout"] == "simulated":
            table = phenotypes.draw_layout(self._study.config["simulate"], layout=row.get("layout", "standard"))
        elif source["layout"] == "table" and (self._root / (source["table"] or "")).is_file():
            table = own_table.plate_wells(source, row.get("barcode", plate), self._root)
        elif (made := self._root / self._study.config["pathvars"]["resources"] / "index" / f"{plate}.parquet").exists():
            table = store.read_table(made).drop_duplicates("Metadata_Well")
        else:
            return None
        table = table.assign(
            **{name: row[key] for key, name in FROM_PLATES.items() if row.get(key)}, Metadata_Plate=plate
        )
        used = used_wells(row)
        table = table[table["Metadata_Well"].isin(used)] if used else table
        if "Metadata_treatment" not in table and "Metadata_perturbation" in table:
            table = table.assign(Metadata_treatment=treatments(table))
        return table[[name for name in KEPT if name in table]].reset_index(drop=True)


FROM_PLATES = {"cell_line": "Metadata_cell_line", "source": "Metadata_Source", "batch": "Metadata_Batch"}
KEPT = ["Metadata_Plate", "Metadata_Well", "Metadata_Source", "Metadata_Batch", *ANNOTATIONS]


def trained_classes(study: Study, model: dict, fold: str, wells: Wells, root: Path) -> tuple[str, list[str] | None]:
    """Return the label of a model and the classes that it knows, or will know; None where that is not known yet."""
    if model["weights"]:
        path = root / model["weights"]
        if not path.is_file():
            return model["label"], None  # said among the checks
        meta = store.read_weights(path, tensors=False)[1]
        return meta.get("settings", {}).get("label", "none"), sorted(meta.get("label_map", {}))
    kept = trained_wells(study, fold, wells)
    if model["label"] == "none" or model["subset"] == "active" or kept is None:
        return model["label"], None
    return model["label"], sorted(set(label_names(kept, model["label"], model["twin"])) - {""})


def _of_fold(study: Study, name: str, fold: str, wells: Wells, root: Path) -> Iterator[str]:
    """Say what is wrong with a translation on the plates that one fold tests."""
    arm, model = study.entry("arms", name), study.model_of(name)
    yield from _given_weights(study, name, model, root)
    try:
        label, known = trained_classes(study, model, fold, wells, root)
        tables = {plate: wells.of(plate) for plate in study.entry("folds", fold)["test"]}
    except ValueError as error:
        yield f"arm {name}: {error}"
        return
    for plate, table in tables.items():
        if known is None or table is None or label == "none":
            continue
        where = f"arm {name}, plate {plate}"
        try:
            classes = label_names(table, label)
            controls = table.get("Metadata_control_type", pd.Series("", index=table.index))
            source = source_of(arm["translate"], label, classes, controls, known, where)
            targets_of(arm["translate"]["targets"], source, known, where)
            if named := translations.source_wells(arm["translate"]):
                check_wells(named, table["Metadata_Well"], classes, source, where)
        except ValueError as error:
            yield str(error)


def _given_weights(study: Study, name: str, model: dict, root: Path) -> Iterator[str]:
    """Say what given weights tell of themselves that a translation can't use."""
    path = root / model["weights"] if model["weights"] else None
    if not (path and path.is_file()):
        return
    meta = store.read_weights(path, tensors=False)[1]
    held = meta.get("settings", {}).get("kind")
    if held != model["kind"] and (held not in KINDS or alone(held) or alone(model["kind"])):
        yield f"arm {name}: {path} holds a model of kind {held}, and {model['name']} is of kind {model['kind']}; name its kind"
        return
    seen, given = meta.get("channels", {}).get("input", []), study.entry("arms", name)["translate"]["brightfield"]
    if meta.get("settings", {}).get("label", "none") == "none":
        yield f"arm {name}: {path} was told no class to translate between; give weights of a model with a label"
    if seen and not given:
        yield (
            f"arm {name}: {path} was trained with brightfield ({', '.join(seen)}), and the translation gives it none; set "
            "translate.brightfield: true, or give weights of a model without"
        )
    yield from _square_problems(study, name, path, meta)
    if given and not seen:
        yield f"arm {name}: translate.brightfield is true, and {path} sees no brightfield; leave it out"


def alone(kind: str) -> bool:
    """Return whether a kind translates in a way of its own, so that its weights must be named as such."""
    return KINDS[kind].styled or KINDS[kind].outlined


def _square_problems(study: Study, name: str, path: Path, meta: dict) -> Iterator[str]:
    """Say whether a generator in given weights, if there is one, can't paint the study's fields."""
    size_px = (meta["settings"].get("generator") or {}).get("size_px")
    side = study.config["prepare"]["size_px"]
    if isinstance(size_px, int) and size_px > 0 and side % size_px:
        yield (
            f"arm {name}: {path} paints squares of {size_px} px, which don't fill fields of {side} px; set prepare.size_px to a "
            "multiple"
        )
