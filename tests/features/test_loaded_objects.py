"""Label images that CellProfiler measures in place of its own segmentation."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from brightpaint import store
from brightpaint.features import cells_part, label_pairs, loaded_objects, pipeline
from brightpaint.features.pipeline import label_file
from conftest import write_pipeline
from features_fixture import FIVE, blobs, read, write_images

PIPELINES = Path(__file__).parents[2] / "resources" / "cellprofiler"
SLIM = PIPELINES / "slim.cppipe"


def squares(order: list[int], size=128, step=40) -> tuple[np.ndarray, np.ndarray]:
    """Draw square nuclei, numbered in `order` (not from the top), each in a larger square cell: (size, size) each.

    Nucleus k is 10 + k rows high and 11 wide, so that every area is its number's own.
    """
    nuclei, cells = np.zeros((2, size, size), np.uint16)
    corners = [(y, x) for y in range(6, size - step + 10, step) for x in range(6, size - step + 10, step)]
    for (y, x), number in zip(corners, order):
        cells[y - 3 : y + 30, x - 3 : x + 28] = number
        nuclei[y : y + 10 + number, x : x + 11] = number
    return nuclei, cells


def write_labels(folder: Path, images: Path, labels: list[tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write label images and their table as the rule cellpose does."""
    folder.mkdir()
    lines = ["file,kept"]
    for row, field in zip(read(images / "load_data.csv"), labels):
        file = row["FileName_OrigDNA"]
        for objects, image in zip(pipeline.LABELLED, field):
            store.write_raw(folder / loaded_objects.label_name(file, objects), image.astype(np.uint16))
        lines.append(f"{file},{label_pairs.count(field[0])}")
    (folder / loaded_objects.OBJECTS_TABLE).write_text("\n".join(lines) + "\n")
    return folder


# --- the pipeline ---


@pytest.mark.parametrize("name", ["slim", "full"])
def test_the_shipped_pipelines_load_nuclei_and_cells_and_keep_all_else(name):
    path = PIPELINES / f"{name}.cppipe"
    before, after = path.read_text(), loaded_objects.adapt(path.read_text(), path)
    names = [[block.partition(":")[0] for block in pipeline.blocks(text)[1:]] for text in (before, after)]
    expected = [word for word in names[0] if word != "IdentifyPrimaryObjects"]
    expected[expected.index("IdentifySecondaryObjects")] = "RelateObjects"
    assert names[1] == expected and f"ModuleCount:{len(expected)}" in after
    kept = [block for block in pipeline.blocks(after)[1:] if "RelateObjects" not in block]
    without_numbers = [block.partition("|")[2] for block in kept]
    assert all(block in before for block in without_numbers)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("IdentifySecondaryObjects:[", "IdentifyMore:[", "Cells come from IdentifyMore, expected one IdentifySecondary"),
        ("be identified:Nuclei", "be identified:Spots", "Nuclei come from no module"),
        ("associated primary objects?:No", "associated primary objects?:Yes", "makes new nuclei"),
        ("the input objects:Nuclei", "the input objects:Spots", "grows Cells from other objects"),
    ],
)  # fmt: skip
def test_an_own_pipeline_that_finds_its_objects_otherwise_is_refused(old, new, message):
    text = SLIM.read_text()
    assert old in text
    with pytest.raises(
        ValueError, match=f"my.cppipe: .*{message}.*mend the pipeline, or set cellprofiler.segmentation"
    ):
        loaded_objects.adapt(text.replace(old, new), Path("my.cppipe"))


def test_load_data_names_the_label_images_beside_the_stains(tmp_path):
    images = write_images(tmp_path / "images", np.zeros((2, 5, 16, 16)))
    text = loaded_objects.load_data(images / "load_data.csv", tmp_path / "labels")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["ObjectsFileName_Cells"] for row in rows] == ["A01_s1_t1_DNA_Cells.tif", "A02_s1_t1_DNA_Cells.tif"]
    assert rows[0]["ObjectsPathName_Nuclei"] == str((tmp_path / "labels").resolve())
    old = read(images / "load_data.csv")
    assert [{key: row[key] for key in old[0]} for row in rows] == old


def test_label_images_that_are_missing_or_cut_are_sentences(tmp_path):
    images = write_images(tmp_path / "images", np.zeros((1, 5, 128, 128)))
    labels = write_labels(tmp_path / "labels", images, [squares([1, 2])])
    file = "A01_s1_t1_DNA.tif"
    assert loaded_objects.expected_counts(labels, [file]) == {file: {"Nuclei": 2, "Cells": 2}}
    with pytest.raises(ValueError, match="objects.csv: B.tif is missing.*rerun cellpose"):
        loaded_objects.expected_counts(labels, [file, "B.tif"])
    image = labels / "A01_s1_t1_DNA_Cells.tif"
    image.write_bytes(image.read_bytes()[:9000])
    with pytest.raises(ValueError, match="A01_s1_t1_DNA_Cells.tif: truncated.*rerun cellpose"):
        loaded_objects.expected_counts(labels, [file])
    (labels / "objects.csv").unlink()
    with pytest.raises(ValueError, match="objects.csv is missing"):
        loaded_objects.expected_counts(labels, [file])


def test_another_number_of_objects_than_was_loaded_is_an_error():
    row = {"F": "A.tif", "Count_Nuclei": "3.0", "Count_Cells": "2.0"}
    loaded_objects.check_counts([row], "F", {"A.tif": {"Nuclei": 3, "Cells": 2}})
    with pytest.raises(ValueError, match="A.tif: CellProfiler loaded 2 Cells, the label image holds 3"):
        loaded_objects.check_counts([row], "F", {"A.tif": {"Nuclei": 3, "Cells": 3}})


# --- nuclei and cells, one to one ---


def test_pairs_bear_one_number_and_what_is_left_out_is_counted():
    nuclei, cells = np.zeros((2, 20, 30), int)
    nuclei[0:3, 0:3] = 9  # at the edge
    nuclei[5:9, 5:9] = 7  # in cell 4
    nuclei[5:8, 12:15] = 2  # in cell 4 too, and smaller
    nuclei[15:18, 5:8] = 3  # in no cell
    nuclei[12:16, 20:24] = 5  # mostly in cell 8, a row in cell 6
    cells[4:10, 4:16], cells[13:18, 18:28], cells[10:13, 18:28], cells[1:3, 20:25] = 4, 8, 6, 1
    new_nuclei, new_cells, left = label_pairs.paired(nuclei, cells)
    assert left == {"nuclei": 5, "at_the_edge": 1, "without_a_cell": 2, "cells": 4, "without_a_nucleus": 2, "kept": 2}
    assert new_nuclei.dtype == new_cells.dtype == np.uint16
    assert (new_nuclei[6, 6], new_nuclei[13, 21]) == (2, 1)  # in the order of the nuclei: 5 before 7
    assert (new_cells[new_nuclei > 0] == new_nuclei[new_nuclei > 0]).all()
    assert new_cells[12, 21] == 1 and new_cells[11, 21] == 0  # the nucleus lies in its cell; cell 6 is gone
    assert new_cells[6, 13] == 2  # the smaller nucleus is no hole in the cell


def test_a_nucleus_that_two_cells_share_equally_is_one_cell():
    nuclei, cells = np.zeros((2, 10, 10), int)
    nuclei[4:6, 3:7] = 1
    cells[2:8, 1:5], cells[2:8, 5:9] = 1, 2
    new_nuclei, new_cells, left = label_pairs.paired(nuclei, cells)
    assert left["kept"] == 1 and left["without_a_nucleus"] == 1
    assert set(np.unique(new_cells)) == set(np.unique(new_nuclei)) == {0, 1}


def test_cells_that_fill_the_field_leave_one_pixel_and_empty_fields_stay_empty():
    nuclei = np.zeros((10, 10), int)
    nuclei[4:6, 4:6] = 1
    _, cells, _ = label_pairs.paired(nuclei, np.ones((10, 10), int))
    assert (cells == 0).sum() == 1
    for one, other in ((nuclei, nuclei * 0), (nuclei * 0, nuclei), (nuclei * 0, nuclei * 0)):
        new_nuclei, new_cells, left = label_pairs.paired(one, other)
        assert not new_nuclei.any() and not new_cells.any() and left["kept"] == 0
    with pytest.raises(ValueError, match="unlike size"):
        label_pairs.paired(nuclei, nuclei[:5])


# --- the real program ---


@pytest.mark.long
@pytest.mark.cellprofiler
def test_the_real_program_measures_the_objects_it_is_given_under_their_numbers(tmp_path, cellprofiler):
    from brightpaint.features import cellprofiler as module

    few, none = squares([5, 2, 8, 1, 9, 3, 7, 4, 6]), squares([])
    full = (few[0], np.where(few[1] > 0, few[1], 9))  # a confluent field: no background
    full[1][0, 0] = 0  # as label_pairs.paired leaves it
    images = write_images(tmp_path / "images", np.stack([blobs()[0]] * 3))
    labels = write_labels(tmp_path / "labels", images, [few, none, full])
    tables = tmp_path / "tables"
    write_pipeline(tmp_path / "quick.cppipe")
    module.measure(cellprofiler, tmp_path / "quick.cppipe", images, tables, labels)
    image = read(tables / "Image.csv")
    for name in ("Nuclei", "Cells", "Cytoplasm"):
        assert [float(row[f"Count_{name}"]) for row in image] == [9, 0, 9]
    for name, known in zip(("Nuclei", "Cells"), zip(few, none, full)):
        rows = read(tables / f"{name}.csv")
        found = {(int(row["ImageNumber"]), int(row["ObjectNumber"])): float(row["AreaShape_Area"]) for row in rows}
        areas = {
            (field, number): float((labelled == number).sum())
            for field, labelled in enumerate(known, 1)
            for number in np.unique(labelled[labelled > 0])
        }
        assert found == areas
    parents = [(row["Parent_Nuclei"], row["ObjectNumber"]) for row in read(tables / "Cells.csv")]
    assert len(parents) == 18 and all(float(parent) == float(number) for parent, number in parents)
    for row, field in zip(read(images / "load_data.csv"), (few, none, full)):
        for name, labelled in zip(("Nuclei", "Cells"), field):
            saved = store.read_raw(tables / label_file(row["FileName_OrigDNA"], name))
            assert np.array_equal(saved, labelled)
    keys, objects = cells_part.read_tables(tables)
    joined = cells_part.join_compartments(*(objects[name] for name in ("Nuclei", "Cells", "Cytoplasm")))
    assert len(joined) == 18 and len(keys) == 3
    assert (joined["ObjectNumber"] == joined["Cells_Parent_Nuclei"]).all()
    assert f"Intensity_MeanIntensity_{FIVE[0]}" in " ".join(joined.columns)


@pytest.mark.exhaustive
@pytest.mark.cellprofiler
def test_the_real_program_takes_the_lowest_cell_of_a_full_field_for_background_and_is_found_out(tmp_path, cellprofiler):
    from brightpaint.features import cellprofiler as module

    nuclei, cells = squares([5, 2, 8, 1, 9, 3, 7, 4, 6])
    images = write_images(tmp_path / "images", blobs()[0][None])
    labels = write_labels(tmp_path / "labels", images, [(nuclei, np.where(cells > 0, cells, 9))])
    write_pipeline(tmp_path / "quick.cppipe")
    with pytest.raises(ValueError, match="CellProfiler loaded 8 Cells, the label image holds 9"):
        module.measure(cellprofiler, tmp_path / "quick.cppipe", images, tmp_path / "tables", labels)
    assert not (tmp_path / "tables").exists()
