"""Locations, parents and children."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import relations
from brightpaint.features.engine.objects import Objects


def of_rows(*rows: str, count: int | None = None) -> Objects:
    labels = np.array([[int(digit) for digit in row] for row in rows], np.int32)
    return Objects(labels, int(labels.max()) if count is None else count)


def test_locations_are_centres_of_pixels():
    labels = np.random.default_rng(0).integers(0, 6, (20, 30)).astype(np.int32)
    labels[labels == 4] = 0
    found = relations.measure(Objects(labels, 6))
    assert list(found) == ["Location_Center_X", "Location_Center_Y", "Location_Center_Z", "Number_Object_Number"]
    for number in (1, 2, 3, 5):
        y, x = ndimage.center_of_mass(labels == number)
        assert found["Location_Center_X"][number - 1] == pytest.approx(x, rel=1e-12)
        assert found["Location_Center_Y"][number - 1] == pytest.approx(y, rel=1e-12)
    assert np.isnan(found["Location_Center_X"][[3, 5]]).all() and not found["Location_Center_Z"].any()
    assert list(found["Number_Object_Number"]) == [1, 2, 3, 4, 5, 6]
    assert "Location_Center_Z" not in relations.measure(Objects(labels, 6), depth=False)


def test_no_object_is_no_row():
    none = of_rows("00", "00")
    assert all(column.shape == (0,) for column in relations.measure(none).values())
    parents, children = relations.relate("Nuclei", none, "Cells", none)
    assert parents["Children_Cells_Count"].shape == children["Parent_Nuclei"].shape == (0,)


def test_a_parent_holds_most_of_its_child_and_of_equals_is_the_first():
    parents = of_rows("1122220", "1122220", "0000333", count=4)
    children = of_rows("0111022", "0111022", "4440055", count=6)
    of_parents, of_children = relations.relate("Cells", parents, "Spots", children)
    assert of_children == {"Parent_Cells": pytest.approx([2, 2, 0, 0, 3, 0])}
    assert of_parents == {"Children_Spots_Count": pytest.approx([0, 2, 1, 0])}
    assert relations.parents_of(np.array([[1, 2]], np.int32), np.array([[1, 1]], np.int32), 1) == [1]


def test_unshrunk_nuclei_are_found_by_their_cells():
    nuclei = of_rows("0100020", "0000000")
    cells = of_rows("2220111", "2220111")  # cell 2 holds nucleus 1
    cytoplasm = of_rows("2020101", "2220111")
    assert not relations.relate("Nuclei", nuclei, "Cytoplasm", cytoplasm)[1]["Parent_Nuclei"].any()
    of_nuclei, of_cytoplasm = relations.relate_unshrunk(("Nuclei", nuclei), ("Cells", cells), ("Cytoplasm", cytoplasm))
    assert list(of_cytoplasm["Parent_Nuclei"]) == [2, 1] and list(of_nuclei["Children_Cytoplasm_Count"]) == [1, 1]
