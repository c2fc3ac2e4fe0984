"""What the real CellProfiler makes of bad input, and that each of its failures, silent or not, is an error here.

tests/features/test_cellprofiler.py holds the same to a stand-in program, which is fast; here the stand-in's claims are checked.
Every test is one start of CellProfiler, or several at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from test_segmentation import SLIM, segmentation_only

from brightpaint.base.intensity import standardise
from brightpaint.features import cellprofiler as module
from brightpaint.features import pipeline
from features_fixture import FIVE, blobs, read, write_images

pytestmark = pytest.mark.cellprofiler


def short(folder, name="short.cppipe"):
    """Write the segmentation alone; label images and tables are saved as ever."""
    path = folder / name
    path.write_text(pipeline.save_labels(segmentation_only(SLIM), FIVE))
    return path


def start(command, folder, pipeline_path, images):
    """Start CellProfiler as `measure` does, without the checks before and after."""
    folder.mkdir()
    (folder / "tables").mkdir()
    return module.run_cellprofiler(module.find_command(command), pipeline_path, images.resolve(), folder)


@pytest.mark.long
def test_a_truncated_tiff_passes_in_silence_black_has_no_rows_and_coarse_noise_has_cells(tmp_path, cellprofiler):
    field, expected = blobs()
    noise = np.random.default_rng(0).normal(0, 1, field.shape)
    clouds = standardise(ndimage.gaussian_filter(noise, (0, 4, 4)))  # grain as large as nuclei
    images = write_images(tmp_path / "images", np.stack([field, field, np.zeros_like(field), noise, clouds]))
    cut = images / "A02_s1_t1_DNA.tif"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    # CellProfiler: exit 0, Complete, whole tables, half of the nuclei.
    start(cellprofiler, tmp_path / "run", short(tmp_path), images)
    tables = tmp_path / "run" / "tables"
    counts = [int(float(row["Count_Nuclei"])) for row in read(tables / "Image.csv")]
    # White noise is too fine for nuclei of 10 um; clouds are not: an empty field may be full of cells.
    assert counts[0] == expected and counts[1] < expected and counts[2] == counts[3] == 0 and counts[4] > 3
    numbers = [row["ImageNumber"] for row in read(tables / "Nuclei.csv")]
    assert [numbers.count(str(n)) for n in range(1, 6)] == counts
    for n, wanted in enumerate(counts, 1):
        labels = tifffile.imread(tables / pipeline.label_file(f"A{n:02d}_s1_t1_DNA.tif", "Nuclei"))
        assert np.array_equal(np.unique(labels), np.arange(wanted + 1))  # a pixel is its ObjectNumber
    rows = read(images / "load_data.csv")
    with pytest.raises(ValueError, match=r"A02_s1_t1_DNA.tif \(plate P1, well A02.*channel DNA\): truncated"):
        module.check_images(rows, FIVE)


@pytest.mark.exhaustive
def test_what_always_continue_leaves_blank_is_an_error(tmp_path, cellprofiler):
    program = tmp_path / "lenient"
    program.write_text(f'#!/bin/sh\nexec "{module.find_command(cellprofiler)}" "$@" --always-continue\n')
    program.chmod(0o755)
    images = write_images(tmp_path / "images", np.stack([blobs()[0]] * 2))
    (images / "A02_s1_t1_DNA.tif").write_bytes(b"no image" * 50)
    last = start(str(program), tmp_path / "run", short(tmp_path), images)  # exit 0 and Complete
    measured = read(tmp_path / "run" / "tables" / "Image.csv")
    assert not measured[1]["Count_Nuclei"].strip() or measured[1]["Count_Nuclei"] == "nan"
    with pytest.raises(ValueError, match=r"well A02, site 1, tile 1: a module failed: ModuleError_.* expected 0"):
        module.check_tables(tmp_path / "run" / "tables", read(images / "load_data.csv"), images, last)


@pytest.mark.exhaustive
def test_missing_and_garbage_files_other_channels_absent_and_half_loaded_pipelines_end_with_an_error(
    tmp_path, cellprofiler
):
    field = blobs()[0][None]
    parts = {name: write_images(tmp_path / name, field) for name in ("missing", "garbage", "channel", "absent", "half")}
    (parts["missing"] / "A01_s1_t1_DNA.tif").unlink()
    (parts["garbage"] / "A01_s1_t1_DNA.tif").write_bytes(b"no image" * 50)
    pipelines = dict.fromkeys(parts, short(tmp_path))
    pipelines["channel"] = tmp_path / "channel.cppipe"
    pipelines["channel"].write_text(pipelines["missing"].read_text().replace("OrigMito", "OrigLyso"))
    pipelines["absent"] = tmp_path / "absent.cppipe"
    pipelines["half"] = tmp_path / "half.cppipe"
    pipelines["half"].write_text(pipelines["missing"].read_text().replace("IdentifyTertiaryObjects:[", "FindPaint:["))

    def outcome(name):
        run = tmp_path / f"{name}.run"
        try:
            last = start(cellprofiler, run, pipelines[name], parts[name])
            module.check_tables(run / "tables", read(parts[name] / "load_data.csv"), parts[name], last)
        except ValueError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = dict(zip(parts, pool.map(outcome, parts)))
    for name, words in said.items():
        print(name, words.splitlines()[:1])
    for name in ("missing", "garbage", "channel", "absent"):
        assert "CellProfiler ended with exit code" in said[name] or "did not load whole" in said[name]
    assert "did not load whole" in said["half"] or "were not written" in said["half"] or "exit code" in said["half"]
    # The same faults, found before CellProfiler starts.
    for name, message in (("missing", "found nothing"), ("garbage", "expected a TIFF"), ("channel", "reads OrigLyso"),
                          ("absent", "there is no such pipeline")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            chosen = {"channel": _own(tmp_path), "absent": pipelines["absent"]}.get(name, SLIM)
            module.measure(cellprofiler, chosen, parts[name], tmp_path / "tables")


def _own(folder):
    own = folder / "own.cppipe"
    own.write_text(SLIM.read_text().replace(pipeline.TEMPLATE, "mine").replace("OrigMito", "OrigLyso"))
    return own


def test_an_own_pipeline_is_measured_and_its_objects_are_labelled(tmp_path, cellprofiler):
    field, expected = blobs()
    images = write_images(tmp_path / "images", field[None])
    own = tmp_path / "own.cppipe"
    head, *modules = pipeline.blocks(SLIM.read_text().replace(pipeline.TEMPLATE, "mine"))
    kept = [block for block in modules if not block.startswith(("MeasureTexture", "MeasureGranularity", "MeasureColo"))]
    own.write_text(pipeline.renumbered(head, kept))
    module.measure(cellprofiler, own, images, tmp_path / "tables")
    cells = read(tmp_path / "tables" / "Cells.csv")
    assert len(cells) == expected and "Intensity_MeanIntensity_ER" in cells[0] and "Texture" not in " ".join(cells[0])
    for name in pipeline.LABELLED:
        labels = tifffile.imread(tmp_path / "tables" / pipeline.label_file("A01_s1_t1_DNA.tif", name))
        areas = {
            int(float(row["ObjectNumber"])): float(row["AreaShape_Area"])
            for row in read(tmp_path / "tables" / f"{name}.csv")
        }
        assert {number: (labels == number).sum() for number in areas} == areas
