"""A predicted plate as OME-TIFFs: what Fiji and CellProfiler need to know is in them, the same bytes every time."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.features import cellprofiler as runner
from brightpaint.features import deliver
from brightpaint.features.export import from_counts, renormalise

SETTINGS = {"window": [-5, 15], "channels": ["DNA", "RNA"], "pixel_size_um": 0.65, "cutoff": 15}


@pytest.fixture
def plate(tmp_path):
    """Two predicted fields of 32 px, cut from 64 raw pixels: (stack, rows, fields) paths."""
    generator = np.random.default_rng(5)
    keys = {"Metadata_Plate": "P1", "Metadata_Well": ["A01", "B02"], "Metadata_Site": 1, "Metadata_Tile": 1}
    rows = pd.DataFrame(keys)
    with store.StackWriter(tmp_path / "stack.tif", (2, 2, 32, 32), ["DNA", "RNA"], key="test") as writer:
        for n in range(2):
            writer.write(n, 3 + 2 * generator.standard_normal((2, 32, 32)))
    store.write_table(rows, tmp_path / "rows.parquet")
    store.write_table(rows.assign(height_px=64), tmp_path / "fields.parquet")
    return [tmp_path / name for name in ("stack.tif", "rows.parquet", "fields.parquet")]


def run(plate, folder, settings=SETTINGS):
    stack, rows, fields = plate
    deliver.deliver(settings, stack_path=stack, rows_path=rows, fields_path=fields, folder=folder)


def test_the_images_are_16_bit_and_say_channel_and_pixel_size(plate, tmp_path):
    run(plate, tmp_path / "out")
    with tifffile.TiffFile(tmp_path / "out" / "A01_s1_t1_RNA.ome.tif") as tif:
        image, described = tif.asarray(), tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
    assert image.dtype == np.uint16 and image.shape == (32, 32)
    assert described["Channel"]["Name"] == "RNA"
    assert described["PhysicalSizeX"] == pytest.approx(1.3)  # 0.65 um, 64 raw pixels on 32
    expected = renormalise(store.open_stack(plate[0]).images[0, 1], 15)
    np.testing.assert_allclose(from_counts(image, (-5, 15)), expected, atol=20 / 65535)


def test_load_data_lists_every_field_with_files_that_exist(plate, tmp_path):
    run(plate, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "load_data.csv")
    assert list(table["Metadata_Well"]) == ["A01", "B02"]
    for channel in ("DNA", "RNA"):
        for folder, name in zip(table[f"PathName_Orig{channel}"], table[f"FileName_Orig{channel}"]):
            assert folder == str((tmp_path / "out").resolve())
            assert (tmp_path / "out" / name).exists()
    assert "painted by a model" in (tmp_path / "out" / "README.txt").read_text()


def test_the_same_plate_gives_the_same_bytes(plate, tmp_path):
    run(plate, tmp_path / "out")
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    run(plate, tmp_path / "out")
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_a_plate_without_fields_and_a_missing_channel_are_refused(plate, tmp_path):
    with pytest.raises(ValueError, match=r"channels \['ER'\] are missing"):
        run(plate, tmp_path / "out", {**SETTINGS, "channels": ["DNA", "ER"]})
    assert not (tmp_path / "out").exists()
    empty = store.read_fields(plate[1]).iloc[:0]
    with store.StackWriter(tmp_path / "none.tif", (0, 2, 32, 32), ["DNA", "RNA"], key="test"):
        pass
    store.write_table(empty, tmp_path / "none.parquet")
    with pytest.raises(ValueError, match="no fields were predicted"):
        run([tmp_path / "none.tif", tmp_path / "none.parquet", plate[2]], tmp_path / "out")


@pytest.mark.cellprofiler
@pytest.mark.slow
def test_cellprofiler_reads_what_was_delivered(finished_study, cellprofiler, tmp_path, monkeypatch):
    from conftest import ROOT

    monkeypatch.setenv("BRIGHTPAINT_CELLPROFILER", cellprofiler)
    folder = finished_study / "results" / "predicted" / "pert" / "T3"
    pipeline = ROOT / "resources" / "cellprofiler" / "slim.cppipe"
    command = ["--command", cellprofiler, "--pipeline", str(pipeline), "--images", str(folder)]
    runner.main([*command, "--tables", str(tmp_path / "tables")])
    images = pd.read_csv(tmp_path / "tables" / "Image.csv")
    assert len(images) == len(pd.read_csv(folder / "load_data.csv"))
    assert json.dumps(images["Count_Nuclei"].tolist())
