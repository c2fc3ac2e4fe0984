"""Which arms of a study show what a condition does: pairs that differ in its value and in nothing else. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from brightpaint.study.conditions import CATEGORY, CONDITIONS, NUMBER, ordered
from brightpaint.study.spaces import SPACES
from brightpaint.study.study import Study

# What tells nothing but where an image comes from: its values are those of training plates, and so are its real images.
OF_PLATES = ("source", "batch", "plate")
READ = tuple(
    name for name, told in CONDITIONS.items() if told.form in (CATEGORY, NUMBER) and told.column != "Metadata_Well"
)
OWN = object()  # a field's own value of a condition
APART = ("name", "conditions", "profile")  # in what two arms may differ beside


def changes_of(study: Study, entry: Mapping) -> list[tuple[str, str, str]]:
    """Return (condition, arm before, arm after) of each two arms that differ in one condition's value."""
    arms, found = [study.entry("arms", name) for name in entry["arms"]], []
    for one, other in combinations(arms, 2):
        if any(one[key] != other[key] for key in one if key not in APART):
            continue
        set_by = [arm["conditions"] for arm in (one, other)]
        differ = [
            name for name in ordered({*set_by[0], *set_by[1]}) if set_by[0].get(name, OWN) != set_by[1].get(name, OWN)
        ]
        if len(differ) == 1 and all(each.get(differ[0]) is not None for each in set_by):
            found.append((differ[0], one["name"], other["name"]))
    return found


def factors_of(study: Study, entry: Mapping) -> list[str]:
    """Return what is read: the conditions that are changed, and those that the entry names beside."""
    return ordered({*(name for name, _, _ in changes_of(study, entry)), *entry["factors"]})


def problems(study: Study) -> Iterator[str]:
    """Say what no schema can of `effects`."""
    names = [entry["name"] for entry in study.config["effects"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"effects: the name {name} occurs twice"
    for entry in study.config["effects"]:
        where = f"effects {entry['name']}"
        if missing := [name for name in entry["arms"] if name not in study.arms]:
            yield f"{where}: there is no arm {', '.join(missing)} that paints; arms: {', '.join(study.arms)}"
            continue
        if unknown := [name for name in entry["spaces"] if name not in SPACES]:
            yield f"{where}: there is no space {', '.join(unknown)}; spaces: {', '.join(SPACES)}"
            continue
        for name in entry["spaces"]:
            if lacking := [arm for arm in ("real", *entry["arms"]) if arm not in SPACES[name].arms(study)]:
                yield f"{where}: {', '.join(lacking)} is not in the space {name} in this study; name another, or ask for it"
        if not (changes := changes_of(study, entry)):
            yield (
                f"{where}: no two of its arms differ in the value of one condition and in nothing else; give two arms of one model "
                "that differ so, such as conditions: {batch: B1} and {batch: B2}"
            )
        for name in dict.fromkeys(name for name, _, _ in changes if name not in READ):
            yield f"{where}: {name} can't be read from images by a linear probe; read: {', '.join(READ)}"


def asked(study: Study) -> list[tuple[str, str]]:
    """Return the (name, space) of each table of effects."""
    return [(entry["name"], space) for entry in study.config["effects"] for space in entry["spaces"]]
