"""Whole wells train, validate and test; each class on both sides; nothing but names decides; shuffled labels tell nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.models.cell_split import TEST, TRAIN, UNSEEN, VALIDATE, shuffled_names, split_groups

ASKED = {"label": "treatment", "test_share": 0.25, "test_plates": [], "validation_share": 0.15}


def cells_of(wells: dict[tuple[str, str], str], each: int = 3) -> pd.DataFrame:
    """Return cells: {(plate, well): class}."""
    rows = [{"group": f"{plate}/{well}", "plate": plate, "name": name} for (plate, well), name in wells.items()]
    return pd.DataFrame([row for row in rows for _ in range(each)])


def plates(count: int, compounds: int, dmso: int = 4) -> dict[tuple[str, str], str]:
    """Return plates of one well a compound, at the same place on each, and some of DMSO."""
    wells = {(f"P{plate}", f"B{one:02d}"): f"c{one:02d}" for plate in range(count) for one in range(compounds)}
    return wells | {(f"P{plate}", f"A{one:02d}"): "DMSO" for plate in range(count) for one in range(dmso)}


def test_no_well_stands_on_two_sides_and_every_class_on_both():
    cells = cells_of(plates(4, 10))
    split = split_groups(cells, **ASKED)
    assert split["group"].is_unique and set(split["group"]) == set(cells["group"]) and split["cells"].eq(3).all()
    assert set(split["role"]) == {TRAIN, VALIDATE, TEST}
    by_class = split.groupby("classes")["role"].value_counts().unstack(fill_value=0)
    assert (by_class[TEST] == [4, *[1] * 10]).all() and (by_class[TRAIN] >= 1).all()
    assert split.query("role == 'test'").groupby("plate").size().between(3, 4).all()  # spread over the plates
    assert (split["role"] == VALIDATE).sum() == round(0.15 * (56 - 14))


def test_only_names_decide():
    cells = cells_of(plates(3, 6))
    backwards = cells.iloc[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(split_groups(cells, **ASKED), split_groups(backwards, **ASKED))


def test_plates_test_whole_where_they_are_named():
    wells = plates(3, 4) | {("P0", "C01"): "only here", ("P2", "C01"): "never trained"}
    split = split_groups(cells_of(wells), **ASKED | {"test_plates": ["P2"]}).set_index("group")
    assert (split.query("plate == 'P2'")["role"].drop("P2/C01") == TEST).all()
    assert split.loc[["P0/C01", "P2/C01"], "role"].eq(UNSEEN).all() and split.loc["P0/C01", "classes"] == ""
    assert not split.query("plate != 'P2'")["role"].eq(TEST).any()


def test_plates_that_test_must_have_cells_and_groups_of_their_own():
    cells = cells_of(plates(2, 3))
    with pytest.raises(ValueError, match="cellnet.test_plates: no cell lies on P7; cells lie on: P0, P1"):
        split_groups(cells, **ASKED | {"test_plates": ["P1", "P7"]})
    shared = cells.assign(group=cells["group"].str[-3:])
    with pytest.raises(
        ValueError, match="group A00 has cells on P0 and P1, expected one plate a group; write the plate into"
    ):
        split_groups(shared, **ASKED | {"test_plates": ["P1"]})


def test_groups_of_several_classes_stay_whole_and_classes_stay_on_both_sides():
    rng = np.random.default_rng(1)
    rows = [{"group": f"M{movie}", "plate": "all", "name": name}
            for movie in range(20) for name in rng.choice(list("abcde"), size=1 + movie % 3, replace=False)]  # fmt: skip
    rows += [{"group": "M3", "plate": "all", "name": "rare"}, {"group": "M4", "plate": "all", "name": ""}]
    cells = pd.DataFrame(rows)
    split = split_groups(cells, **ASKED)
    kept = split.assign(name=split["classes"].str.split("|")).explode("name").query("name != ''")
    assert set(kept["name"]) == set("abcde")  # the rare one has one movie
    for role in (TRAIN, TEST):
        assert set(kept.loc[kept["role"] == role, "name"]) == set("abcde")


def test_what_cannot_be_tested_is_refused_by_label():
    lone = cells_of({("P1", "A01"): "a", ("P1", "A02"): "b", ("P1", "A03"): "b"})
    with pytest.raises(ValueError, match="label treatment: expected two classes or more .* found 2 classes, 1 of them"):
        split_groups(lone, **ASKED)


def test_two_wells_a_class_are_enough():
    split = split_groups(cells_of({("P1", f"A{n}"): "ab"[n % 2] for n in range(4)}), **ASKED)
    assert split.groupby("classes")["role"].apply(sorted).tolist() == [[TEST, TRAIN]] * 2


@pytest.mark.parametrize("compounds, dmso", [(1, 4), (7, 4), (12, 2), (1, 5)])
def test_shuffled_labels_tell_nothing_of_class_or_well(compounds, dmso):
    cells = cells_of(plates(4, compounds, dmso), each=40)
    split = split_groups(cells, **ASKED)
    roles = cells["group"].map(dict(zip(split["group"], split["role"]))).to_numpy(object)
    names = shuffled_names(cells, roles)
    for role in (TRAIN, VALIDATE, TEST):
        own, dealt = cells[roles == role], names[roles == role]
        assert sorted(own["name"]) == sorted(dealt)
        for of in (own["name"], own["group"]):
            found = pd.crosstab(of, dealt)
            expected = np.outer(found.sum(axis=1), found.sum()) / len(own)
            assert np.abs(found - expected).to_numpy().max() <= 3.5


def test_groups_of_several_classes_are_shuffled_too_and_cells_without_one_stay():
    cells = pd.DataFrame(
        [{"group": f"M{n % 4}", "name": ["a", "b", "b", ""][n // 4 % 4], "plate": "x"} for n in range(320)]
    )
    names = shuffled_names(cells, [TRAIN] * 320)
    assert (names[cells["name"] == ""] == "").all() and sorted(names) == sorted(cells["name"])
    found = pd.crosstab(cells["name"], names).loc[["a", "b"], ["a", "b"]].to_numpy()
    np.testing.assert_allclose(found, [[80 / 3, 160 / 3], [160 / 3, 320 / 3]], atol=1.5)
