"""A predicted plate as OME-TIFFs: whole headers, true numbers, same bytes, and CellProfiler reads them."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.features import deliver, export
from conftest import write_pipeline
from features_fixture import FIVE, blobs, read, rows_of, write_prediction

SETTINGS = {"window": [-5, 15], "channels": FIVE, "pixel_size_um": 0.5, "cutoff": 15, "inputs": ["Phase_1", "Phase_2"]}


@pytest.fixture
def plate(tmp_path):
    return write_prediction(tmp_path)


def run(folder, out="predicted", settings=SETTINGS):
    words = ["--settings", json.dumps(settings)]
    for name, file in (("stack", "stack.tif"), ("rows", "rows.parquet"), ("fields", "fields.parquet"), ("folder", out)):
        words += [f"--{name}", str(folder / file)]
    deliver.main(words)
    return folder / out


def test_files_hold_the_standardised_prediction_with_channel_and_pixel_size(tmp_path, plate):
    folder = run(tmp_path)
    listed = pd.read_csv(folder / "load_data.csv")
    assert listed["Metadata_Well"].tolist() == ["A01", "B02"]
    path = folder / listed["FileName_OrigER"][1]
    counts = tifffile.imread(path)
    assert counts.dtype == np.uint16 and counts.shape == (128, 128)
    back = export.from_counts(counts, (-5, 15))
    assert np.abs(back - plate[1][FIVE.index("ER")]).max() < 0.02  # float16 between, at z-scores up to 5
    with tifffile.TiffFile(path) as tif:
        root = ElementTree.fromstring(tif.ome_metadata)
    pixels = root.find(".//{*}Pixels")
    assert root.find(".//{*}Channel").get("Name") == "ER"
    assert float(pixels.get("PhysicalSizeX")) == float(pixels.get("PhysicalSizeY")) == 0.5 * 256 / 128
    assert pixels.get("PhysicalSizeXUnit") == "µm"


def test_uuids_are_stable_and_all_different(tmp_path, plate):
    first, second = run(tmp_path), run(tmp_path, "again")
    names = sorted(path.name for path in first.glob("*.tif"))
    assert len(names) == 10
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    uuids = {ElementTree.fromstring(tifffile.TiffFile(first / name).ome_metadata).get("UUID") for name in names}
    assert len(uuids) == 10


def test_the_readme_says_what_a_count_means(tmp_path, plate):
    text = (run(tmp_path) / "README.txt").read_text()
    assert "plate P1: 2 fields, channels DNA, RNA, ER, AGP, Mito" in text
    assert "-5 + c / 65535 * 20" in text and "1 um a pixel" in text


@pytest.mark.parametrize(
    ("inputs", "label", "sentence"),
    [
        (["Phase_1", "Phase_2"], "", "painted by a model from the channels Phase_1, Phase_2; no cell"),
        (["BF"], "target", "from the channel BF; no cell of this plate was stained.\nThe model was told each field's target."),
        ([], "perturbation", "by a model that saw no image of this plate; no cell"),
    ],
)  # fmt: skip
def test_the_readme_says_what_the_model_saw_and_was_told(tmp_path, plate, inputs, label, sentence):
    settings = {**SETTINGS, "inputs": inputs, **({"label": label} if label else {})}
    text = (run(tmp_path, settings=settings) / "README.txt").read_text()
    assert sentence in text and "brightfield" not in text and ("was told" in text) == bool(label)


def test_a_second_run_replaces_the_folder_whole(tmp_path, plate):
    folder = run(tmp_path)
    (folder / "stray.txt").write_text("left over")
    run(tmp_path)
    assert not (folder / "stray.txt").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_plate_without_predictions_or_another_table_is_refused(tmp_path, plate):
    store.write_table(rows_of(["A01"])[store.FIELD_KEYS], tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="1 rows, but .* holds 2 fields"):
        run(tmp_path)
    store.write_table(rows_of(["A01", "Z09"])[store.FIELD_KEYS], tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="well Z09, .*not in the plate's field table"):
        run(tmp_path)
    assert not (tmp_path / "predicted").exists()


@pytest.mark.long
@pytest.mark.cellprofiler
def test_the_real_cellprofiler_reads_what_was_delivered(tmp_path, plate, cellprofiler):
    from brightpaint.features import cellprofiler as module

    folder = run(tmp_path)
    (folder / "export.json").write_text(json.dumps({"pixel_size_um": 1.0}))
    write_pipeline(tmp_path / "quick.cppipe")
    module.measure(cellprofiler, tmp_path / "quick.cppipe", folder, tmp_path / "tables")
    images = read(tmp_path / "tables" / "Image.csv")
    expected = blobs()[1]
    assert [int(float(row["Count_Nuclei"])) for row in images] == [expected, expected]
    for row, field in zip(images, plate):  # CellProfiler saw the counts that were meant: mean 0 is 5 / 20
        for channel in FIVE:
            assert float(row[f"Intensity_MeanIntensity_Orig{channel}"]) == pytest.approx(0.25, abs=1e-3)
            highest = (field[FIVE.index(channel)].max() + 5) / 20
            assert float(row[f"Intensity_MaxIntensity_Orig{channel}"]) == pytest.approx(highest, abs=1e-3)
