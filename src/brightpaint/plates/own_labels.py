"""What models are to be told must stand in the user's own CSV: said before anything runs, not as the training starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from brightpaint.plates import own_columns, own_table
from brightpaint.study.annotations import ANNOTATIONS, NUMBERS
from brightpaint.study.kinds import KINDS
from brightpaint.study.plate_table import safe_name
from brightpaint.study.study import Study

ALWAYS = ["Plate", "Well", "Source", "Batch"]  # of every field, whatever the CSV says
TEXT = [name.removeprefix("Metadata_") for name in ANNOTATIONS if name not in NUMBERS]
SAID_BY = {"treatment": "perturbation"}  # a perturbation at its dose, or without one


def label_problems(study: Study) -> Iterator[str]:
    """Say which labels of what is trained here the user's own CSV does not give to any training well.

    Nothing is said of other layouts, and of a CSV that is not there (the plan and the rule index say that). Of the rows no
    more are read than it takes to find each label once.
    """
    source, wanted = study.config["source"], _wanted(study)
    if source["layout"] != "table" or not wanted or not Path(source["table"] or "").is_file():
        return
    for key, (label, _) in list(wanted.items()):
        if label not in [*TEXT, *ALWAYS]:
            yield f"{key}: {label}, which is no annotation of fields that is text; expected one of {', '.join([*TEXT, *ALWAYS])}"
            del wanted[key]
    with own_table.opened(source) as (table, columns):
        names: dict[str, set[str]] = {}  # a plate's in the CSV, and as the plate table can hold it
        open_ = {key: pair for key, pair in wanted.items() if not _said_elsewhere(study, *pair)}
        for row in table.records() if open_ else ():
            if row["plate"] not in names:
                names[row["plate"]] = {row["plate"], safe_name(row["plate"])}
            open_ = {
                key: (label, plates)
                for key, (label, plates) in open_.items()
                if not (names[row["plate"]] & set(_barcodes(study, plates)) and row.get(SAID_BY.get(label, label)))
            }
            if not open_:
                return
    for key, (label, plates) in open_.items():
        yield f"{key}: {label}, but {_lacking(study, source['table'], columns, SAID_BY.get(label, label), plates)}"


def _wanted(study: Study) -> dict[str, tuple[str, list[str]]]:
    """Return {key of the config: (label, training plates)} of what is trained here with a label."""
    found: dict[str, tuple[str, list[str]]] = {}
    for arm in study.every_arm:
        model, guide = study.model_of(arm["name"]), arm["classifier"]
        trained = [("models", model)] if KINDS[model["kind"]].labels and not model["weights"] else []
        trained += [("classifiers", study.entry("classifiers", guide))] if guide else []
        plates = [plate for fold in arm["folds"] for plate in study.training_plates(fold)]
        for section, entry in trained:
            if entry["label"] != "none":
                label, others = found.get(f"{section}.{entry['name']}.label", (entry["label"], []))
                found[f"{section}.{entry['name']}.label"] = label, list(dict.fromkeys(others + plates))
    return found


def _said_elsewhere(study: Study, label: str, plates: list[str]) -> bool:
    """Return whether something else than the CSV gives the label: the plate table, or a compound table by its compounds."""
    source = study.config["source"]
    by_compound = {"target": source["compounds"], "control_type": source["compounds"],
                   "smiles": source["compounds"] or source["molecules"]}  # fmt: skip
    by_plate = label == "cell_line" and any(study.plates[plate].get("cell_line") for plate in plates)
    return label in ALWAYS or bool(by_compound.get(label)) or by_plate


def _barcodes(study: Study, plates: list[str]) -> list[str]:
    return [study.plates[plate].get("barcode", plate) for plate in plates]


def _lacking(study: Study, path: str, columns: own_columns.Taken, column: str, plates: list[str]) -> str:
    """Say that the CSV lacks a column, or says nothing in it on the training plates, and what to do."""
    words = [*own_columns.SPELLINGS[column], *own_columns.INSTEAD.get(column, [])][:2]
    others = f" (or {', '.join(words)})" if words else ""
    told = f" ({told})" if (told := own_columns.told(columns)) else ""
    if column in columns.sources:
        return (
            f"{path} says nothing in its column {columns.sources[column][0]} on the training plates "
            f"{', '.join(_barcodes(study, plates))}{told}; fill it in, or set label: none"
        )
    return f"{path} has no column {column}{others}{told}; add it, or set label: none"
