"""Which classes of wells a study sets against one another (`axes`, `zero_shot`), and what is wrong with what it asks. Torch-free.

An axis runs from one control class to another in a space (rule axis); zero-shot classes are told apart in numbers that were not
made for them (rule zero_shot). A class is named by an annotation of the field tables, whichever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from brightpaint.study.annotations import ANNOTATIONS, PERTURBATION
from brightpaint.study.critics import is_trained
from brightpaint.study.spaces import SPACES, Space, seen_of
from brightpaint.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

SECTIONS = ("axes", "zero_shot")
OF_PLACE = ("Plate", "Source", "Batch")  # beside the annotations: what a field's plate says
CLASSES = (*(name.removeprefix("Metadata_") for name in ANNOTATIONS), *OF_PLACE)
WELL = "Well"  # as `groups`: a well of a plate
GROUPS = (WELL, *CLASSES)
STRICT, SEEN = "strict", "test images seen"


def text_of(frame: pd.DataFrame, annotation: str) -> pd.Series:
    """Return each row's value of an annotation as text: numbers as people write them (24, 0.5), "" where there is none.

    Treatments of an older table, which has none, are its perturbations. A table without the annotation is an error.
    """
    column = f"Metadata_{annotation}"
    if column == "Metadata_treatment" and column not in frame:
        column = PERTURBATION
    if column not in frame:
        raise ValueError(f"{annotation}: the wells have no such annotation, expected the column {column}; found "
                         f"{', '.join(name for name in frame if name.startswith('Metadata_'))}")  # fmt: skip
    values = frame[column]
    if values.dtype.kind == "f":
        return values.map(lambda value: "" if value != value else f"{value:.3g}").astype(str)
    return values.fillna("").astype(str)


def group_names(frame: pd.DataFrame, groups: str) -> pd.Series:
    """Return what is held out together with each row: its well, or its value of an annotation."""
    if groups == WELL:
        return frame["Metadata_Plate"].astype(str) + "/" + frame["Metadata_Well"].astype(str)
    return text_of(frame, groups)


def classes_of(entry: Mapping) -> dict[str, list[str]]:
    """Return {class: values of the annotation}: of an axis `-` and `+`, of zero-shot each by its own name, or none for all."""
    if "positive" in entry:
        return {"-": entry["negative"], "+": entry["positive"]}
    return {name: [name] for name in entry["classes"]}


def refuse_classes(frame: pd.DataFrame, entry: Mapping, where: str) -> list[str]:
    """Say which classes wells do not have, or have in too few groups to hold one out.

    Parameters
    ----------
    frame : one row a well
    entry : of the config
    where : what the sentences begin with
    """
    values, groups = text_of(frame, entry["annotation"]), group_names(frame, entry["groups"])
    known, found = sorted(set(values) - {""}), []
    wanted = classes_of(entry) or {name: [name] for name in known}
    some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "") or "none"
    if len(wanted) < 2:
        found.append(
            f"{where}: {entry['annotation']} has {len(wanted)} values among the wells ({some}), expected two or more"
        )
    for name, own in wanted.items():
        for value in own:
            if value not in known:
                found.append(f"{where}: no well has {entry['annotation']} {value}; found: {some}")
        count, wells = groups[values.isin(own)].nunique(), int(values.isin(own).sum())
        if wells and count < 2:
            unit = "well" if entry["groups"] == WELL else entry["groups"]
            more = "" if unit == "well" else f" ({wells} wells)"
            found.append(f"{where}: class {name} ({', '.join(own)}) has one {unit}{more}, expected two or more: one is held "
                         "out; add wells, or name more values")  # fmt: skip
    return found or list(_plates_apart(frame, values, wanted, entry, where))


def _plates_apart(
    frame: pd.DataFrame, values: pd.Series, wanted: Mapping[str, Sequence[str]], entry: Mapping, where: str
) -> Iterable[str]:
    """Say which class shares no plate with another, where what is held out, or how plates are normalised, would hide that."""
    plates = frame["Metadata_Plate"].astype(str)
    of_class = {name: set(plates[values.isin(own)]) for name, own in wanted.items()}
    for name, own in of_class.items():
        others = set().union(*(plates for other, plates in of_class.items() if other != name))
        if not own & others and (entry["groups"] == WELL or entry["normalise"] == "plate"):
            mend = ["groups: Plate"] * (entry["groups"] == WELL) + ["normalise: none"] * (entry["normalise"] == "plate")
            yield (
                f"{where}: no plate has wells of both class {name} and another, so that plates alone would tell them apart, or "
                f"normalising each would hide what does; set {' and '.join(mend)}, with two plates or more of each class"
            )
            return


def spaces_beside(study: Study, entry: Mapping) -> list[str]:
    """Return the spaces that an entry names, and where the study trains a critic, all others that it makes of whole plates.

    A critic's accuracy says nothing alone: it and its baselines stand wherever one of them could. Of another study's wells only
    what is named is told apart.
    """
    named = list(entry["spaces"])
    if not is_trained(study) or entry.get("study"):
        return named
    beside = [name for name, space in SPACES.items() if space.whole(study.config) and space.arms(study)]
    return named + [name for name in beside if name not in named]


def arms_of(study: Study, entry: Mapping) -> list[tuple[str, str]]:
    """Return the (arm, space) pairs that an entry asks for: arms without profiles in a space have none there."""
    return [
        (arm, name)
        for name in spaces_beside(study, entry)
        if name in SPACES
        for arm in entry["arms"]
        if arm in SPACES[name].arms(study)
    ]


def asked(study: Study, section: str) -> list[tuple[str, str, str]]:
    """Return the (name, arm, space) of each axis, or of what is told apart zero-shot."""
    return [(entry["name"], arm, space) for entry in study.config[section] for arm, space in arms_of(study, entry)]


def seen_by(study: Study, entry: Mapping, space: Space) -> dict[str, list[str]]:
    """Return {what was fitted on images of wells that are tested: their plates}; nothing of the axis itself is."""
    found = seen_of(study, space)
    if entry["normalise"] == "none" and space.by_plate(study.config):
        found["the normalisation of plates"] = study.by_role("study")
    return {what: plates for what, plates in found.items() if plates}


def axis_problems(study: Study) -> Iterable[str]:
    """Say what no schema can of `axes`, `zero_shot` and the axes of `doses`."""
    for section in SECTIONS:
        names = [entry["name"] for entry in study.config[section]]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{section}: the name {name} occurs twice"
        for entry in study.config[section]:
            yield from _entry_problems(study, entry, f"{section}.{entry['name']}")
    names = [entry["name"] for entry in study.config["axes"]]
    for name in study.config["doses"]["axes"]:
        if name not in names:
            yield f"doses.axes: no axis is called {name}; there are: {', '.join(names) or 'none'}"


def _entry_problems(study: Study, entry: Mapping, where: str) -> Iterable[str]:
    if not study.config["perturbations"]:
        yield f"{where}: axes need perturbations: true"
    for key, known in (("annotation", CLASSES), ("groups", GROUPS)):
        if entry[key] not in known:
            yield f"{where}: {key} {entry[key]} is no annotation of wells; expected one of {', '.join(known)}"
    if "classes" in entry and entry["groups"] in OF_PLACE and entry["normalise"] == "plate":
        yield (
            f"{where}: groups {entry['groups']} and normalise plate: a plate that is held out leaves no well to normalise it by; "
            "set normalise: none, or groups: Well"
        )
    classes = classes_of(entry)
    values = [value for own in classes.values() for value in own]
    for value in sorted({value for value in values if values.count(value) > 1}):
        yield f"{where}: {value} is in both classes, expected in one"
    for name in entry["spaces"]:
        if name not in SPACES:
            yield f"{where}: no space is called {name}; there are: {', '.join(SPACES)}"
        elif not SPACES[name].arms(study):
            yield f"{where}: the study does not plan {SPACES[name].rule}, which makes the space {name}; ask for it, or leave it out"
    known = sorted({arm for space in SPACES.values() for arm in space.arms(study)})
    for arm in entry["arms"]:
        if arm not in known:
            yield f"{where}: arm {arm} has no profiles in any space; those that have: {', '.join(known)}"
    if entry["protocol"] == STRICT:
        yield from _strict_problems(study, entry, where)


def _strict_problems(study: Study, entry: Mapping, where: str) -> Iterable[str]:
    for arm, name in arms_of(study, entry):
        space = SPACES[name]
        for what, plates in seen_by(study, entry, space).items():
            if set(space.plates(study, arm)) <= set(plates):
                yield (
                    f"{where}: protocol strict, but {what} saw every plate of arm {arm} in the space {name}, so that no image is "
                    "left to test on; set protocol: seen, which the results then name, or leave the space out"
                )
                break


def tested_plates(plates: Sequence[str], seen: Mapping[str, Sequence[str]], protocol: str) -> list[str]:
    """Return the plates on whose wells an accuracy and a scale may rest: all, or by `strict` those that nothing saw."""
    return [plate for plate in plates if protocol != STRICT or not any(plate in own for own in seen.values())]


def protocol_name(plates: Iterable[str], seen: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the name of the protocol that was kept on tested plates, and what saw their images."""
    plates = set(plates)
    saw = [what for what, own in seen.items() if plates & set(own)]
    return (SEEN if saw else STRICT), "; ".join(saw)


def plates_of(study: Study, entry: Mapping) -> list[str]:
    """Return the plates whose wells an entry classes, of any of its arms and spaces."""
    found = [plate for arm, name in arms_of(study, entry) for plate in SPACES[name].plates(study, arm)]
    return list(dict.fromkeys(found))
