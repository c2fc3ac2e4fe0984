"""Which wells a classifier of cells is trained on, which validate it, and which test it: whole wells, never their cells.

Drawn from the names of wells and classes alone: no seed, no model and no order of files changes them. A group is a well, or
what else the crops' `group` keeps together (a movie, which may show several classes).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from brightpaint.base.seeds import seed_of

TRAIN, VALIDATE, TEST = "train", "validate", "test"
UNSEEN = ""  # a group without a class, or of a class that cannot be tested
HELD_OUT = (TEST, UNSEEN)  # groups of which no network has seen a cell


class Groups:
    """The groups that hold cells with a class.

    Parameters
    ----------
    cells : one row a cell: `group`, `plate` and `name`, its class ("" for none)

    Attributes
    ----------
    classes : {group: names of the classes of its cells}
    plate : {group: its plate}
    """

    def __init__(self, cells: pd.DataFrame):
        known = cells[cells["name"] != ""].drop_duplicates(["group", "name"])
        self.classes = {group: sorted(names) for group, names in known.groupby("group")["name"]}
        self.plate = dict(zip(known["group"], known["plate"]))

    def of(self, name: str, among: Iterable[str]) -> list[str]:
        """Return the groups among these that hold cells of a class, in the order of their names."""
        return sorted(group for group in among if name in self.classes[group])

    def counts(self, among: Iterable[str]) -> Counter:
        """Return {class: groups among these that hold cells of it}."""
        return Counter(name for group in among for name in self.classes[group])


def drawn(groups: Groups, among: set[str], chosen: set[str], candidates: Sequence[str], word: str) -> str | None:
    """Return the candidate to choose next: of a plate with few chosen ones, and never the last group of a class."""
    left, taken = groups.counts(among - chosen), Counter(groups.plate[group] for group in chosen)
    free = [
        group for group in candidates if group not in chosen and all(left[name] > 1 for name in groups.classes[group])
    ]
    size = Counter(groups.plate[group] for group in among)
    of_plate = {plate: taken[plate] / count for plate, count in size.items()}
    return min(free, key=lambda group: (of_plate[groups.plate[group]], seed_of(word, group)), default=None)


def tested_groups(groups: Groups, share: float) -> set[str]:
    """Return the groups that test: of each class this share, one at least where it has two, over all plates."""
    among, chosen = set(groups.classes), set()
    for name, count in sorted(groups.counts(among).items(), key=lambda item: (item[1], item[0])):
        own = groups.of(name, among)
        wanted = min(max(1, round(share * count)), count - 1)
        while len(chosen.intersection(own)) < wanted and (group := drawn(groups, among, chosen, own, "cells, test")):
            chosen.add(group)
    return chosen


def validating_groups(groups: Groups, among: set[str], share: float) -> set[str]:
    """Return the groups among these that validate: this share of them, classes in turn."""
    chosen, total = set(), groups.counts(among)
    for _ in range(round(share * len(among))):
        taken = groups.counts(chosen)
        order = sorted(total, key=lambda name: (taken[name] / total[name], seed_of("cells, class", name)))
        picks = (drawn(groups, among, chosen, groups.of(name, among), "cells, validate") for name in order)
        if (group := next(filter(None, picks), None)) is None:
            break
        chosen.add(group)
    return chosen


def plate_tests(cells: pd.DataFrame, groups: Groups, test_plates: Sequence[str]) -> set[str]:
    """Return the groups of the plates that test; one that no cell lies on, or a group of several plates, is an error."""
    plates = sorted(set(cells["plate"]))
    if gone := sorted(set(test_plates) - set(plates)):
        some = ", ".join(plates[:10]) + (", ..." if len(plates) > 10 else "")
        raise ValueError(f"cellnet.test_plates: no cell lies on {', '.join(gone)}; cells lie on: {some}")
    several = cells.groupby("group")["plate"].unique()
    if len(several := several[several.map(len) > 1]):
        raise ValueError(
            f"cellnet.test_plates: group {several.index[0]} has cells on {' and '.join(sorted(several.iloc[0])[:2])}, expected "
            "one plate a group; write the plate into own_crops.group, or leave test_plates out"
        )
    return {group for group, plate in groups.plate.items() if plate in set(test_plates)}


def split_groups(
    cells: pd.DataFrame, *, label: str, test_share: float, test_plates: Sequence[str], validation_share: float
) -> pd.DataFrame:
    """Give every group its role.

    Parameters
    ----------
    cells : one row a cell: `group`, `plate` and `name`, its class ("" for none)
    label : what the classes are, for errors
    test_share : of each class's groups that test
    test_plates : plates that test, all of their groups; then `test_share` says nothing
    validation_share : of the other groups

    Returns
    -------
    One row a group, by name: `group, plate, role, cells, classes` (names of its cells' classes that are kept, joined by `|`)

    Raises
    ------
    ValueError
        where fewer than two classes can be both trained on and tested, and see `plate_tests`
    """
    known = Groups(cells)
    tests = plate_tests(cells, known, test_plates) if test_plates else tested_groups(known, test_share)
    both = set(known.counts(tests)) & set(known.counts(set(known.classes) - tests))
    if len(both) < 2:
        found = f"{len(known.counts(known.classes))} classes, {len(both)} of them in groups of both sides"
        raise ValueError(
            f"label {label}: expected two classes or more to train on in some wells and to test on in others, found {found}; "
            "choose another cellnet.label, more plates, or other cellnet.test_plates"
        )
    kept = Groups(cells[cells["name"].isin(both)])
    trained = set(kept.classes) - tests
    validates = validating_groups(kept, trained, validation_share)
    role = {group: TEST if group in tests else VALIDATE if group in validates else TRAIN for group in kept.classes}
    table = cells.groupby("group", sort=True).agg(plate=("plate", "first"), cells=("name", "size")).reset_index()
    table["role"] = [role.get(group, UNSEEN) for group in table["group"]]
    table["classes"] = ["|".join(kept.classes.get(group, [])) for group in table["group"]]
    return table[["group", "plate", "role", "cells", "classes"]]


def shuffled_names(cells: pd.DataFrame, role: Sequence[str]) -> np.ndarray:
    """Deal the classes of a role's cells out anew: what a network learns of them is chance.

    Every group, and so every class, is dealt all classes in the proportions that they have among the role's cells. If whole
    wells changed their labels by lot, a class of few wells would keep its own in more or fewer than it should, and a network,
    which answers with the likelier class, would make much of little.

    Parameters
    ----------
    cells : one row a cell: `group` and `name`, its class ("" for none, which it keeps)
    role : of each cell's group

    Returns
    -------
    (N,) class names, as many of each class among the cells of a role as before
    """
    names, roles = cells["name"].to_numpy(object).copy(), np.asarray(role, object)
    for one in sorted(set(roles) - {UNSEEN}):
        rows = np.flatnonzero((roles == one) & (names != ""))
        rows = rows[np.random.default_rng(seed_of("shuffled", one)).permutation(len(rows))]
        own = cells.iloc[rows].assign(row=rows).sort_values(["name", "group"], kind="stable")
        within = own.groupby("name")
        place = (within.cumcount() + 0.5) / within["name"].transform("size")  # each class spread evenly along the deal
        names[own["row"]] = own.assign(place=place).sort_values(["place", "name"])["name"]
    return names
