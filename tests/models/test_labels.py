import numpy as np
import pandas as pd
import pytest

from brightpaint.models.conditions.labels import (
    TWIN,
    active_rows,
    label_indices,
    label_map,
    label_names,
    shown_indices,
    swapped_names,
)


def fields(perturbations, targets=None):
    targets = targets or ["T" if name not in ("DMSO", "") else "" for name in perturbations]
    return pd.DataFrame({"Metadata_perturbation": perturbations, "Metadata_target": targets})


def test_a_twin_takes_half_of_each_plates_dmso_wells_by_name_whole_wells():
    wells = [f"A{n:02d}" for n in range(1, 8)]
    rows = [(plate, well, site, name) for plate in ("P", "Q") for well in wells for site in (1, 2)
            for name in (["drug"] if well in ("A06", "A07") else ["DMSO"])]  # fmt: skip
    fields = pd.DataFrame(rows, columns=["Metadata_Plate", "Metadata_Well", "site", "Metadata_perturbation"])
    names = label_names(fields, "perturbation", twin=True)
    taken = fields[names == TWIN].groupby("Metadata_Plate")["Metadata_Well"].agg(set)
    assert [len(own) for own in taken] == [2, 2] and taken["P"] != taken["Q"]
    assert (names == TWIN).sum() == 8 and (names == "drug").sum() == 8  # both sites of a well go together
    shuffled = label_names(fields.sample(frac=1, random_state=0), "perturbation", twin=True)
    assert names.equals(shuffled.sort_index())
    assert label_map([fields], "perturbation", twin=True) == {"DMSO": 1, "DMSO_twin": 2, "drug": 3}
    assert set(label_indices(fields, "perturbation", {"DMSO_twin": 2}, twin=True)) == {0, 2}


def test_label_map_numbers_names_from_one_whatever_the_order_of_plates():
    first, second = fields(["b", "DMSO", ""]), fields(["a", "b"])
    assert label_map([first, second], "perturbation") == {"DMSO": 1, "a": 2, "b": 3}
    assert label_map([second, first], "perturbation") == label_map([first, second], "perturbation")


def test_dmso_is_a_class_for_targets_too_and_a_set_of_targets_is_one_class():
    table = fields(["x", "DMSO", "y", ""], ["A|B", "", "A", ""])
    numbers = label_map([table], "target")
    assert numbers == {"A": 1, "A|B": 2, "DMSO": 3}
    assert label_indices(table, "target", numbers).tolist() == [2, 3, 1, 0]


def test_unseen_and_unknown_labels_are_null():
    assert label_indices(fields(["new", "", "a"]), "perturbation", {"a": 1}).tolist() == [0, 0, 1]


def test_label_none_is_null_everywhere():
    table = pd.DataFrame({"Metadata_Plate": ["P", "P"]})
    assert label_map([table], "none") == {}
    assert label_indices(table, "none", {"a": 1}).tolist() == [0, 0]


def test_missing_column_and_no_labels_are_errors():
    with pytest.raises(ValueError, match="no column Metadata_target"):
        label_map([pd.DataFrame({"Metadata_perturbation": ["a"]})], "target")
    with pytest.raises(ValueError, match="no training field has one"):
        label_map([fields(["", ""])], "perturbation")


def test_active_rows_leave_out_dmso_inactives_and_empty_wells():
    actives = pd.DataFrame({"Metadata_perturbation": ["a", "b", "DMSO"], "active": [1, 0, 1]})
    table = fields(["DMSO", "a", "b", "", "a"])
    assert active_rows(table, actives).tolist() == [1, 4]
    np.testing.assert_array_equal(active_rows(table, None), np.arange(5))


def test_table_of_actives_without_its_columns_is_an_error():
    with pytest.raises(ValueError, match="active"):
        active_rows(fields(["a"]), pd.DataFrame({"Metadata_perturbation": ["a"]}))


def test_swapped_labels_are_known_ones_of_another_target_and_dmso_keeps_its_own():
    names = ["a1", "a2", "b1", "b2", "c1", "DMSO", "new", ""]
    table = fields(names, ["A", "A", "B", "B", "C", "", "D", ""])
    numbers = {"DMSO": 1, "a1": 2, "a2": 3, "b1": 4, "b2": 5, "c1": 6}
    swapped = swapped_names(table, "perturbation", numbers)
    targets = dict(zip(table["Metadata_perturbation"], table["Metadata_target"]))
    assert set(swapped) == set(swapped.values()) == {"a1", "a2", "b1", "b2", "c1"}
    assert all(targets[name] != targets[wrong] for name, wrong in swapped.items())
    shown = shown_indices(table, "perturbation", numbers, "swapped")
    assert shown.tolist() == [numbers[swapped[name]] for name in names[:5]] + [1, 0, 0]
    again = shown_indices(table.iloc[::-1], "perturbation", numbers, "swapped")
    assert again[::-1].tolist() == shown.tolist()


def test_targets_are_swapped_too_and_one_target_alone_cannot_be():
    table = fields(["a", "b", "DMSO"], ["A", "B", ""])
    assert swapped_names(table, "target", {"A": 1, "B": 2, "DMSO": 3}) == {"A": "B", "B": "A"}
    with pytest.raises(ValueError, match="none can be given a label of another target"):
        swapped_names(fields(["a", "b", "DMSO"], ["A", "A", ""]), "perturbation", {"a": 1, "b": 2})


def test_shown_labels_are_the_own_or_none():
    table, numbers = fields(["a", "b", "DMSO"], ["A", "B", ""]), {"a": 1, "b": 2, "DMSO": 3}
    assert shown_indices(table, "perturbation", numbers, "own").tolist() == [1, 2, 3]
    assert shown_indices(table, "perturbation", numbers, "none").tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="own, none or swapped"):
        shown_indices(table, "perturbation", numbers, "other")
