import numpy as np
import pandas as pd
import pytest

from brightpaint.models.labels import active_rows, label_indices, label_map


def fields(perturbations, targets=None):
    targets = targets or ["T" if name not in ("DMSO", "") else "" for name in perturbations]
    return pd.DataFrame({"Metadata_perturbation": perturbations, "Metadata_target": targets})


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
