"""The gallery's layout: where a plate's load_data lies, and what is said where it does not."""

from __future__ import annotations

import pytest

from brightpaint.plates import gallery
from brightpaint.plates.folder import FolderSource
from plates_fixture import PLATE, write_gallery


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The plate of the fixture in a mirror."""
    return FolderSource(write_gallery(tmp_path_factory.mktemp("mirror")))


def test_load_data_is_found_in_every_form_and_the_fuller_first(opened):
    assert [key.rpartition("/")[2] for key in gallery.find_load_data(opened, PLATE)] == ["load_data.csv"]


def test_load_data_with_illumination_and_parquet_come_first(tmp_path):
    folder = tmp_path / "p/s/workspace/load_data_csv/b/X"
    folder.mkdir(parents=True)
    for name in gallery.LOAD_DATA:
        (folder / name).touch()
    plate = {"plate": "P", "barcode": "X", "project": "p", "source": "s", "batch": "b"}
    found = gallery.find_load_data(FolderSource(tmp_path), plate)
    assert [key.rpartition("/")[2] for key in found] == [
        "load_data_with_illum.parquet", "load_data_with_illum.csv.gz", "load_data_with_illum.csv",
        "load_data.parquet", "load_data.csv.gz", "load_data.csv",
    ]  # fmt: skip


def test_a_plate_missing_from_the_gallery_names_those_near_it(opened):
    with pytest.raises(
        ValueError, match="plate P1 is missing from the gallery.*1 plates, among them 1053600674.*barcode"
    ):
        gallery.find_load_data(opened, {**PLATE, "barcode": "1053600675"})
    with pytest.raises(ValueError, match="that batch has no plates"):
        gallery.find_load_data(opened, {**PLATE, "batch": "none"})


def test_a_gallery_plate_needs_project_source_and_batch():
    with pytest.raises(ValueError, match="plate P: the gallery's layout needs source, batch; add the column"):
        gallery.plate_row({"plate": "P", "project": "x"})
    row = gallery.plate_row({"plate": "P", "project": "x", "source": "y", "batch": "z"})
    assert row["barcode"] == "P"
