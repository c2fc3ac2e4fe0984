"""The gallery's layout: where a plate's load_data lies, and what is said where it does not."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from brightpaint.plates import gallery, load_data
from brightpaint.plates.folder import FolderSource
from conftest import ROOT
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


def test_the_plates_of_the_bray_set_are_looked_for_where_it_has_them(tmp_path):
    """The set's paths and names of channels are as others' public code reads them."""
    project = "cpg0012-wawer-bioactivecompoundprofiling/broad"
    own = tmp_path / project / "workspace/load_data_csv/CDRP/24277/load_data.csv"
    own.parent.mkdir(parents=True)
    own.touch()
    rows = pd.read_csv(ROOT / "config" / "cpg0012_plates.tsv", sep="\t", dtype=str).to_dict("records")
    plate = gallery.plate_row(rows[0])
    assert [tmp_path / key for key in gallery.find_load_data(FolderSource(tmp_path), plate)] == [own]
    assert gallery.images(plate) == f"{project}/images/CDRP/images"
    assert gallery.metadata(plate) == f"{project}/workspace/metadata"
    study = yaml.safe_load((ROOT / "config" / "cpg0012.yaml").read_text())
    found = ["Hoechst", "ERSyto", "ERSytoBleed", "Ph_golgi", "Mito"]
    channels = load_data.match_channels(study["channels"]["target"], found, load_data.read_aliases(), "load_data.csv")
    assert channels == {"DNA": "Hoechst", "ER": "ERSyto", "RNA": "ERSytoBleed", "AGP": "Ph_golgi", "Mito": "Mito"}
