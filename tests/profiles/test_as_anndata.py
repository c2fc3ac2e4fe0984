"""Profiles as AnnData: the same rows and numbers as the parquet, what a feature's name says, opened by scanpy's reader."""

from __future__ import annotations

import json

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from brightpaint import __version__, store
from brightpaint.profiles import as_anndata, feature_parts

STAINS = ["Brightfield", "DNA", "RNA", "DNA_low"]
CELLS = ["Nuclei_AreaShape_Area", "Cells_Correlation_Overlap_RNA_DNA", "Cytoplasm_Texture_Contrast_DNA_low_3_00_64"]
MADE = {"profile": {"recipe": "paper"}, "unit": "perturbation"}


def wells(features=CELLS, dtype="float64"):
    """Three wells: a compound at a dose, DMSO and a well of nothing without cells."""
    keys = {"Metadata_Plate": "0012", "Metadata_Well": ["A01", "A02", "B01"], "Metadata_perturbation": ["X", "DMSO", ""],
            "Metadata_treatment": ["X@3.33uM", "DMSO", ""], "Metadata_dose": [3.33, np.nan, np.nan],
            "Metadata_target": ["µ|A", "", ""], "Metadata_cells": [40, 12, 0]}  # fmt: skip
    numbers = np.random.default_rng(0).normal(size=(3, len(features)))
    numbers[2] = np.nan
    return pd.DataFrame(keys).join(pd.DataFrame(numbers, columns=features).astype(dtype))


def written(folder, table, space="cellprofiler", arm="pert", channels=STAINS, name="wells"):
    store.write_table(table, folder / f"{name}.parquet")
    words = ["--space", space, "--arm", arm, "--settings", json.dumps({"channels": channels, "made": MADE})]
    as_anndata.main([*words, "--profiles", str(folder / f"{name}.parquet"), "--h5ad", str(folder / f"{name}.h5ad")])
    return folder / f"{name}.h5ad"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_file_holds_the_rows_and_numbers_of_the_table(tmp_path, dtype):
    table = wells(dtype=dtype)
    read = anndata.read_h5ad(written(tmp_path, table))
    assert read.X.dtype == dtype
    np.testing.assert_array_equal(read.X, table[CELLS].to_numpy())
    assert list(read.obs_names) == ["0012/A01", "0012/A02", "0012/B01"] and list(read.var_names) == CELLS
    for name in [name for name in table if name.startswith("Metadata_")]:
        expected, found = table[name], read.obs[name]
        np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
    assert list(read.obs["Metadata_Plate"]) == ["0012"] * 3  # text, whatever it looks like
    assert read.obs["Metadata_dose"].dtype == "float64" and read.obs["Metadata_cells"].dtype.kind == "i"


def test_what_a_feature_is_and_what_made_the_table_stand_beside_the_numbers(tmp_path):
    read = anndata.read_h5ad(written(tmp_path, wells()))
    assert read.var.to_numpy().tolist() == [
        ["Nuclei", "AreaShape", ""],
        ["Cells", "Correlation", "DNA|RNA"],
        ["Cytoplasm", "Texture", "DNA_low"],
    ]
    assert list(read.var.columns) == feature_parts.PARTS == ["compartment", "group", "channel"]
    made = read.uns["brightpaint"]
    told = {key: made[key] for key in ("version", "arm", "space", "rows")}
    assert told == {"version": __version__, "arm": "pert", "space": "cellprofiler", "rows": "wells"}
    assert list(made["channels"]) == STAINS and json.loads(made["settings"]) == MADE


def test_older_readers_find_strings_of_the_kind_that_they_know(tmp_path):
    """anndata reads string-array and dataframe 0.2.0 from 0.8 on; nullable strings, or categories, it would not be."""
    with h5py.File(written(tmp_path, wells())) as file:
        kinds = {name: column.attrs["encoding-type"] for name, column in file["obs"].items()}
        assert kinds["Metadata_target"] == kinds["_index"] == "string-array"
        assert set(kinds.values()) == {"string-array", "array"} and file["obs"].attrs["encoding-version"] == "0.2.0"
        assert file["obs/Metadata_target"][0].decode() == "µ|A"


def test_a_network_has_its_own_names_and_a_perturbation_its_own_rows(tmp_path):
    numbers = ["DINO_DNA_0000", "DINO_DNA_low_0001", "DINO_Brightfield_0383"]
    table = (
        wells(numbers, "float32")
        .drop(columns=["Metadata_Well"])[:2]
        .rename(columns={"Metadata_cells": "Metadata_fields"})
    )
    read = anndata.read_h5ad(written(tmp_path, table, "dino", "brightfield", name="perturbations"))
    assert list(read.obs_names) == ["0012/X", "0012/DMSO"] and read.uns["brightpaint"]["rows"] == "perturbations"
    assert read.var.to_numpy().tolist() == [["", "DINO", "DNA"], ["", "DINO", "DNA_low"], ["", "DINO", "Brightfield"]]
    by_dose = anndata.read_h5ad(
        written(tmp_path, table.assign(Metadata_unit="treatment"), "dino", name="perturbations")
    )
    assert list(by_dose.obs_names) == ["0012/X@3.33uM", "0012/DMSO"]


def test_the_same_table_gives_the_same_bytes(tmp_path):
    one = written(tmp_path, wells()).read_bytes()
    assert written(tmp_path, wells()).read_bytes() == one


def test_a_table_that_is_none_of_the_space_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"wells.parquet: columns \['DINO_DNA_0000'\] are neither .* rerun profile"):
        written(tmp_path, wells(["DINO_DNA_0000"]))
    with pytest.raises(ValueError, match="h5ad: the row 0012/A01 occurs twice"):
        written(tmp_path, wells().assign(Metadata_Well="A01"))
    assert not (tmp_path / "wells.h5ad").exists()


def test_channels_are_found_in_names_as_pipelines_write_them():
    names = {
        "Nuclei_Intensity_MeanIntensity_OrigDNA": ["DNA"],  # one's own pipeline, whose images bear these names
        "Cells_Correlation_K_DNA_DNA_low": ["DNA", "DNA_low"],
        "Cells_RadialDistribution_FracAtD_RNA_1of4": ["RNA"],
        "Cells_Granularity_1_RNA": ["RNA"],
        "Cells_Intensity_MeanIntensity_DNAx": [],
        "Cells_AreaShape_Area": [],
    }
    assert {name: feature_parts.cell_channels(name, STAINS) for name in names} == names
    assert feature_parts.cell_channels("Cells_Intensity_MeanIntensity_DNA", []) == []


def test_scanpys_reader_opens_it(tmp_path):
    import scanpy

    table = wells()
    read = scanpy.read_h5ad(written(tmp_path, table))
    assert read.shape == (3, 3) and list(read.obs["Metadata_treatment"]) == ["X@3.33uM", "DMSO", ""]
    kept = read[read.obs["Metadata_cells"] > 0, read.var["channel"] == "DNA_low"]
    np.testing.assert_array_equal(kept.X[:, 0], table[CELLS[2]][:2])
