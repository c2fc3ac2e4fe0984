"""Cellpose as an option: what runs without it, and the real one with a small model that is trained here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from brightpaint import store
from brightpaint.base import intensity
from brightpaint.features import cellpose as cellpose_segment
from brightpaint.features import crops, loaded_objects
from brightpaint.scores.cells.object_overlap import overlap
from brightpaint.study.study import Study
from cellpose_fixture import cell_field, stains, train_model
from conftest import BY_CELLPROFILER, ROOT, TINY, planned, snakemake, write_study
from features_fixture import annotated, read, rows_of, write_images

SETTINGS = {
    "nuclei": "small", "cells": "small", "nucleus_diameter_um": 15.0, "cell_diameter_um": 30.0, "flow_threshold": 0.4,
    "cellprob_threshold": 0.0,
}  # fmt: skip
SIMULATED = {"source": {"layout": "simulated"}}


@pytest.fixture(scope="session")
def cellpose() -> str:
    """The Python of the real cellpose's environment; tests that need it skip where it has not been built."""
    command = os.environ.get("BRIGHTPAINT_CELLPOSE") or str(cellpose_segment.ENVIRONMENT)
    if not shutil.which(command):
        pytest.skip("no cellpose here: run `make cellpose-environment`, or set BRIGHTPAINT_CELLPOSE to its python")
    return command


def run(folder: Path, images: Path, settings: dict, python: str = "/not/here") -> subprocess.CompletedProcess:
    """Run the command as the rule does, from brightpaint's own environment."""
    command = [sys.executable, "-m", "brightpaint.features.cellpose", "--settings", json.dumps(settings)]
    command += ["--device", "cpu", "--threads", "1", "--images", str(images), "--labels", str(folder / "labels")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "BRIGHTPAINT_CELLPOSE": python}
    return subprocess.run(
        [*command, "--counts", str(folder / "counts.csv")], env=environment, capture_output=True, text=True
    )


# --- without cellpose ---


def test_an_environment_that_has_not_been_built_is_a_sentence(tmp_path):
    images = write_images(tmp_path / "images", np.zeros((1, 5, 16, 16)))
    done = run(tmp_path, images, SETTINGS)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "cellpose's Python was not found at /not/here; run `make cellpose-environment`" in done.stderr
    assert not (tmp_path / "labels").exists()


def test_an_environment_without_cellpose_is_a_sentence_and_no_endless_start(tmp_path):
    images = write_images(tmp_path / "images", np.zeros((1, 5, 16, 16)))
    done = run(tmp_path, images, SETTINGS, sys.executable)
    assert done.returncode == 1 and "has no cellpose: run `make cellpose-environment`" in done.stderr


def test_diameters_are_scaled_to_prepared_pixels():
    assert cellpose_segment.diameter_px(15, 1.25, "nucleus_diameter_um") == 12
    assert cellpose_segment.diameter_px(None, None, "nucleus_diameter_um") is None
    with pytest.raises(ValueError, match="nucleus_diameter_um: 15 um are 3.0 px of 5 um.*raise prepare.size_px"):
        cellpose_segment.diameter_px(15, 5.0, "nucleus_diameter_um")
    with pytest.raises(ValueError, match="cell_diameter_um needs the size of a prepared pixel.*rerun export"):
        cellpose_segment.diameter_px(30, None, "cell_diameter_um")


def test_rules_of_cellpose_are_planned_where_it_is_asked_for_alone(tmp_path):
    done = snakemake(write_study(tmp_path / "a", {**SIMULATED, **BY_CELLPROFILER}), "-n", "-p")
    plain = planned(done.stdout)
    assert "cellpose" not in plain and "parts/labels" not in done.stdout
    chosen = {"cellprofiler": {"pipeline": "slim", "parts": 2, "segmentation": "cellpose"}}
    models = {"cellpose": {"nuclei": "./my_nuclei", "cells": "cyto3"}}
    folder = write_study(tmp_path / "b", {**SIMULATED, **chosen, **models})
    (folder / "my_nuclei").touch()
    done = snakemake(folder, "-n", "-p")
    jobs = planned(done.stdout)
    assert jobs["cellpose"] == jobs["cellprofiler"] == jobs["export"] == 2 * plain["cellprofiler"]
    measured = done.stdout.split("rule cellprofiler:")[1:]
    assert all("results/parts/labels/" in job.split("output:")[0] for job in measured)
    segmented = done.stdout.split("rule cellpose:")[1:]
    assert all("my_nuclei" in job.split("output:")[0] for job in segmented)  # so that other weights rerun it
    assert '"nucleus_diameter_um": 17' in done.stdout
    own = (ROOT / "resources" / "cellprofiler" / "slim.cppipe").read_text()
    (folder / "own.cppipe").write_text(own.replace("associated primary objects?:No", "associated primary objects?:Yes"))
    write_study(folder, {**SIMULATED, **models, "cellprofiler": {**chosen["cellprofiler"], "pipeline": "own.cppipe"}})
    done = snakemake(folder, "-n", check=False)
    assert done.returncode == 1 and "own.cppipe: IdentifySecondaryObjects makes new nuclei" in done.stdout


def test_stains_and_models_that_cannot_serve_are_refused(tmp_path):
    write_study(tmp_path)
    study = {**TINY, "cellprofiler": {"segmentation": "cellpose"}, "channels": {"target": ["DNA", "ER"]}}
    with pytest.raises(
        ValueError, match="cell_stains: cellpose grows cells over AGP and RNA unless .* channels.target is DNA, ER"
    ):
        Study.load(study, ROOT / "workflow" / "schemas", tmp_path)
    study = {**TINY, "cellprofiler": {"segmentation": "cellpose"}, "cellpose": {"cells": "/not/here/model"}}
    with pytest.raises(ValueError, match="config: cellpose.cells: there is no file /not/here/model"):
        Study.load(study, ROOT / "workflow" / "schemas", tmp_path)
    study["cellprofiler"] = {}
    Study.load(study, ROOT / "workflow" / "schemas", tmp_path)  # not looked at where it is off


# --- a stand-in for the network ---


class Threshold:
    """Finds the connected bright pixels of the first channel, and remembers what it was asked."""

    def __init__(self, limit: float):
        self.limit, self.asked = limit, []

    def eval(self, image, **options):
        self.asked.append({"shape": image.shape, **options})
        plane = image if image.ndim == 2 else image[..., 0]
        return ndimage.label(plane > self.limit)[0], None, None


def test_each_stain_is_asked_for_its_objects_at_its_size_and_what_is_found_is_written(tmp_path, monkeypatch):
    planes, nuclei, cells = cell_field(5)
    images = write_images(tmp_path / "images", np.stack([stains(planes)] * 2), pixel_um=0.5)
    low, high = (store.read_raw(images / f"A01_s1_t1_{name}.tif") for name in ("DNA", "RNA"))
    models = {"n": Threshold((low.min() + low.max()) / 2), "c": Threshold((high.min() + high.max()) / 2)}
    monkeypatch.setattr(cellpose_segment, "load_model", lambda name, device: models[name])
    monkeypatch.setattr(cellpose_segment, "settle", lambda threads: None)
    settings = {**SETTINGS, "nuclei": "n", "cells": "c", "cell_diameter_um": None}
    counts = tmp_path / "counts.csv"
    cellpose_segment.segment(settings, images, tmp_path / "labels", counts, device="cpu", threads=1)
    asked = models["n"].asked[0], models["c"].asked[1]
    assert [one["channels"] for one in asked] == [[0, 0], [1, 2]]
    assert [one["diameter"] for one in asked] == [30.0, None]
    assert [one["shape"] for one in asked] == [(192, 192), (192, 192, 3)]
    assert asked[0]["flow_threshold"] == 0.4 and asked[0]["cellprob_threshold"] == 0.0
    rows = read(counts)
    assert [row["Metadata_Well"] for row in rows] == ["A01", "A02"] and int(rows[0]["nuclei"]) == 14
    files = [row["FileName_OrigDNA"] for row in read(images / "load_data.csv")]
    kept = loaded_objects.expected_counts(tmp_path / "labels", files)
    for file in files:
        written = store.read_raw(tmp_path / "labels" / loaded_objects.label_name(file, "Nuclei"))
        assert written.dtype == np.uint16 and written.max() == kept[file]["Nuclei"] == int(rows[0]["kept"]) > 0


def test_a_part_without_fields_loads_no_model_and_a_missing_model_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cellpose_segment, "settle", lambda threads: None)
    images = write_images(tmp_path / "images", np.zeros((0, 5, 16, 16)))
    counts = tmp_path / "counts.csv"
    cellpose_segment.segment(SETTINGS, images, tmp_path / "labels", counts, device="cpu", threads=1)
    assert read(counts) == [] and (tmp_path / "labels" / "objects.csv").exists()
    images = write_images(tmp_path / "more", np.zeros((1, 5, 16, 16)))
    settings = {**SETTINGS, "nuclei": "/not/here/model"}
    with pytest.raises(ValueError, match="/not/here/model: there is no such cellpose model; correct cellpose.nuclei"):
        cellpose_segment.segment(settings, images, tmp_path / "other", counts, device="cpu", threads=1)
    assert not (tmp_path / "other").exists()


# --- the real cellpose ---


@pytest.fixture(scope="session")
def model(cellpose, tmp_path_factory) -> Path:
    """A small model of drawn cells."""
    return train_model(cellpose, tmp_path_factory.mktemp("model"))


def test_a_model_trained_here_finds_nuclei_and_cells_of_a_field_it_never_saw(tmp_path, cellpose, model):
    planes, nuclei, cells = cell_field(99)
    black = np.zeros_like(planes)
    fields = np.stack([stains(planes), np.stack([black[0]] * 5)])
    images = write_images(tmp_path / "images", fields)
    settings = {**SETTINGS, "nuclei": str(model), "cells": str(model)}
    done = run(tmp_path, images, settings, cellpose)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {
        (row["FileName_OrigDNA"], name): store.read_raw(
            tmp_path / "labels" / loaded_objects.label_name(row["FileName_OrigDNA"], name)
        )
        for row in read(images / "load_data.csv")
        for name in ("Nuclei", "Cells")
    }
    file = "A01_s1_t1_DNA.tif"
    for name, truth in (("Nuclei", nuclei), ("Cells", cells)):
        assert overlap(truth, found[file, name])["f1"] >= 0.8
        assert not found["A02_s1_t1_DNA.tif", name].any()
    inside = found[file, "Nuclei"] > 0
    assert (found[file, "Cells"][inside] == found[file, "Nuclei"][inside]).all()
    counts = read(tmp_path / "counts.csv")
    assert [int(row["kept"]) for row in counts] == [found[file, "Nuclei"].max(), 0]
    assert counts[0]["Metadata_Well"] == "A01"
    loaded_objects.expected_counts(tmp_path / "labels", [file])
    again = tmp_path / "again"
    again.mkdir()
    assert run(again, images, settings, cellpose).returncode == 0
    for path in (tmp_path / "labels").iterdir():
        assert path.read_bytes() == (again / "labels" / path.name).read_bytes()


def test_crops_are_cut_by_what_a_published_network_finds_in_real_cells(tmp_path, cellpose, real_data):
    """The middle of well A05 of BBBC013, its GFP in the place of RNA."""
    pages = tifffile.imread(real_data / "images" / "bbbc013_translocation" / "wells" / "A05.tif")[:, 192:448, 192:448]
    image, channels = intensity.standardise(pages[::-1], 15).astype(np.float16), ["DNA", "RNA"]
    images = write_images(tmp_path / "images", image[None].astype(np.float32), channels)
    network = str(real_data / "weights" / "cellpose_from_scellseg_fp16.pth")
    sizes = {"nucleus_diameter_um": 16.0, "cell_diameter_um": 30.0}
    done = run(tmp_path, images, SETTINGS | sizes | {"nuclei": network, "cells": network}, cellpose)
    assert done.returncode == 0, done.stderr[-3000:]
    file = read(images / "load_data.csv")[0]["FileName_OrigDNA"]
    names = ["Nuclei", "Cells"]
    labels = np.stack([store.read_raw(tmp_path / "labels" / loaded_objects.label_name(file, name)) for name in names])
    rows, numbers = annotated(rows_of(["A01"], height=256)), np.setdiff1d(labels[1], 0).astype(np.int64)
    assert len(numbers) == int(read(tmp_path / "counts.csv")[0]["kept"]) >= 15
    with store.StackWriter(tmp_path / "stack.tif", (1, 2, 256, 256), channels, key="test") as writer:
        writer.write(0, image)
    store.write_table(rows, tmp_path / "rows.parquet")
    store.write_masks(tmp_path / "masks.tif", rows, [labels], names, (256, 256))
    cells = pd.DataFrame({**rows.iloc[0], "ObjectNumber": numbers, "Cells_Parent_Nuclei": numbers.astype(float)})
    store.write_table(cells, tmp_path / "cells.parquet")
    how = {"size_um": 32, "size_px": None, "border": "drop", "objects": "nuclei", "max_per_field": None, "cutoff": 15,
           "renormalise": True, "channels": [[name, [name]] for name in channels], "pixel_size_um": 1.0}  # fmt: skip
    files = {"stack": "stack.tif", "rows": "rows.parquet", "fields": "rows.parquet", "cells": "cells.parquet",
             "masks": "masks.tif", "crops": "crops.tif", "counts": "counts.tsv"}  # fmt: skip
    paths = [word for name, path in files.items() for word in (f"--{name}", str(tmp_path / path))]
    crops.main(["--settings", json.dumps(how), "--arm", "real", *paths])
    found, counts = store.open_crops(tmp_path / "crops.tif"), store.read_table(tmp_path / "counts.tsv").iloc[0]
    assert counts["cells"] == len(numbers) == counts["crops"] + counts["at_border"] and counts["crops"] >= 8
    brighter = []
    for crop, (number, y, x) in enumerate(found.table()[["ObjectNumber", "y_px", "x_px"]].to_numpy()):
        assert (y, x) == pytest.approx(ndimage.center_of_mass(labels[0] == number))
        top, left = (int(np.floor(middle - 16 + 1)) for middle in (y, x))
        near = [(t, s) for t in (top - 1, top, top + 1) for s in (left - 1, left, left + 1)]
        (place,) = {(t, s) for t, s in near if (found.images[crop, :, 0] == image[:, t : t + 32, s : s + 32]).all()}
        window = labels[:, place[0] : place[0] + 32, place[1] : place[1] + 32]
        assert (found.masks[crop, 0, 0] == (window[1] == number)).all() and (
            found.masks[crop, 1, 0] == (window[1] > 0)
        ).all()
        dna = found.images[crop, 0, 0].astype(float)
        brighter.append(dna[window[0] == number].mean() - dna[window[1] == 0].mean())
    assert np.median(brighter) > 1  # single ones may lie beside nuclei that were left out


def test_a_model_that_is_none_or_unknown_is_a_sentence(tmp_path, cellpose):
    (tmp_path / "poor").write_bytes(b"no weights")
    script = """
import sys
from brightpaint.features.cellpose import load_model
for name in sys.argv[1:]:
    try:
        load_model(name, "cpu")
    except ValueError as error:
        print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [cellpose, "-c", script, str(tmp_path / "poor"), "cyto9"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    assert "poor: not the weights of a cellpose 3 model" in said
    assert "cyto9 is neither a file nor one of cellpose's models (cyto3, nuclei," in said
