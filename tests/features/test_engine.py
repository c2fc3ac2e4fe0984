"""The fast engine's runner: CellProfiler's files, checks and refusals, whatever the parts and threads."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from perturbed_settings import cases, with_line

from brightpaint import store
from brightpaint.features import cellprofiler as runner
from brightpaint.features import cells_part, pipeline
from brightpaint.features.engine import __main__ as engine
from brightpaint.features.engine import known_settings, one_field, pipeline_steps
from brightpaint.features.engine.measured_part import measure
from conftest import ROOT, copy_of, planned, snakemake, write_study
from features_fixture import blobs, read, rows_of, write_images

FULL, SLIM = (ROOT / "resources" / "cellprofiler" / f"{name}.cppipe" for name in ("full", "slim"))
STAINS = ["DNA", "RNA", "AGP"]
FAST = {"pipeline": "quick.cppipe", "parts": 1, "engine": "fast"}


def fields(size: int = 88, stains: int = len(STAINS)) -> np.ndarray:
    """Draw two fields of cells, one of them crowded to the border, and a black one: (3, C, size, size) z-scores."""
    one, _ = blobs(0, size, stains)
    return np.stack([one, np.roll(blobs(1, size, stains)[0], (9, 17), (1, 2)), np.zeros_like(one)])


@pytest.fixture(scope="module")
def part(tmp_path_factory) -> Path:
    """Measure three fields by the slim pipeline; return the folder that holds images, tables and rows.parquet."""
    folder = tmp_path_factory.mktemp("part")
    write_images(folder / "images", fields(), STAINS)
    measure(SLIM, folder / "images", folder / "tables")
    store.write_table(rows_of(["A01", "A02", "A03"], height=88), folder / "rows.parquet")
    return folder


def run(folder: Path, *options: str, name: str = "tables", path: Path = SLIM) -> Path:
    words = ["--pipeline", path, "--images", folder / "images", "--tables", folder / name, *options]
    engine.main([str(word) for word in words])
    return folder / name


# --- what is written ---


def test_a_part_has_the_files_that_cellprofiler_leaves_and_who_measured_it(part):
    names = sorted(path.name for path in (part / "tables").iterdir())
    assert names == ["Cells.csv", "Cytoplasm.csv", "Image.csv", "Nuclei.csv", "engine.json", "labels", "load_data.csv"]
    assert not [path for path in part.iterdir() if path.name.startswith(".")]
    assert store.engine_of(part / "tables") == "fast"
    image = read(part / "tables" / "Image.csv")
    assert [row["ImageNumber"] for row in image] == ["1", "2", "3"] and image[0]["Metadata_Well"] == "A01"
    errors = [name for name in image[0] if name.startswith("ModuleError_")]
    assert "ModuleError_01LoadData" in errors and all(row[name] == "0" for row in image for name in errors)
    assert int(image[0]["Count_Nuclei"]) == 4 and image[2]["Count_Cells"] == "0"


def test_columns_are_sorted_numbers_in_full_and_labels_those_of_the_tables(part):
    for name in ("Nuclei", "Cells", "Cytoplasm"):
        frame = pd.read_csv(part / "tables" / f"{name}.csv")
        columns = list(frame.columns)
        assert columns[:2] == ["ImageNumber", "ObjectNumber"] and columns[2:] == sorted(columns[2:])
        assert all(pd.api.types.is_numeric_dtype(frame[column]) for column in columns)
        assert set(frame["ImageNumber"]) == {1, 2}
        if name in pipeline.LABELLED:
            labels = tifffile.imread(part / "tables" / "labels" / f"A01_s1_t1_DNA_{name}.tiff")
            areas = frame.loc[frame["ImageNumber"] == 1, "AreaShape_Area"].to_numpy()
            np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], areas)
    mean = pd.read_csv(part / "tables" / "Nuclei.csv")["Intensity_MeanIntensity_DNA"].to_numpy()
    assert (mean != mean.astype(np.float32)).any() and ((mean > 0) & (mean < 1)).all()


def test_the_chain_reads_a_part_and_hands_on_who_measured_it(part, tmp_path):
    cells, masks = tmp_path / "cells.parquet", tmp_path / "masks.tif"
    cells_part.write_part(part / "tables", part / "rows.parquet", cells, masks)
    frame = pd.read_parquet(cells)
    assert (
        len(frame) == len(pd.read_csv(part / "tables" / "Nuclei.csv"))
        and "Cytoplasm_Texture_Contrast_DNA_3_00_64" in frame
    )
    assert store.engine_of(cells) == store.engine_of(masks) == "fast"


def test_fields_abreast_and_parts_of_one_field_give_the_same_bytes(part, tmp_path):
    abreast = tmp_path / "abreast"
    engine.main(["--pipeline", str(SLIM), "--images", str(part / "images"), "--tables", str(abreast), "--threads", "3"])
    for path in sorted(path for path in (part / "tables").rglob("*") if path.is_file()):
        assert (abreast / path.relative_to(part / "tables")).read_bytes() == path.read_bytes(), path.name
    lines = {name: (part / "tables" / f"{name}.csv").read_text().splitlines() for name in runner.TABLES[1:]}
    load_data = (part / "images" / "load_data.csv").read_text().splitlines()
    for number in (1, 2, 3):
        (alone := tmp_path / f"images{number}").mkdir()
        (alone / "load_data.csv").write_text("\n".join([load_data[0], load_data[number]]) + "\n")
        (alone / "export.json").write_text((part / "images" / "export.json").read_text())
        measure(SLIM, alone, tmp_path / f"alone{number}")
        for name, (header, *rows) in lines.items():
            found = (tmp_path / f"alone{number}" / f"{name}.csv").read_text().splitlines()
            own = [row.partition(",")[2] for row in rows if row.startswith(f"{number},")]
            assert found[0] == header and [row.partition(",")[2] for row in found[1:]] == own


@pytest.mark.parametrize("images", [np.zeros((0, 3, 16, 16)), np.zeros((1, 3, 64, 64))])
def test_a_part_without_fields_and_one_without_cells_are_read_too(part, tmp_path, images):
    write_images(tmp_path / "images", images, STAINS)
    tables = run(tmp_path)
    rows = store.read_fields(part / "rows.parquet")
    store.write_table(rows[: len(images)], tmp_path / "rows.parquet")
    cells_part.write_part(tables, tmp_path / "rows.parquet", cells := tmp_path / "x.parquet", tmp_path / "x.tif")
    assert len(pd.read_parquet(cells)) == 0 and store.engine_of(cells) == store.engine_of(tmp_path / "x.tif") == "fast"
    if len(images):
        assert (tables / "Nuclei.csv").read_text() == (part / "tables" / "Nuclei.csv").read_text().partition("\n")[
            0
        ] + "\n"
        assert "Cells_AreaShape_Area" in store.read_schema(cells).names
    else:
        assert sorted(path.name for path in tables.iterdir()) == ["engine.json", "load_data.csv"]


# --- label images that are given ---


def write_given(part: Path, folder: Path, order=None) -> Path:
    """Write the label images of a measured part as Cellpose's, its objects numbered in another order."""
    folder.mkdir()
    lines = ["file,kept"]
    for row in read(part / "images" / "load_data.csv"):
        file = row["FileName_OrigDNA"]
        for name in pipeline.LABELLED:
            labels = tifffile.imread(part / "tables" / pipeline.label_file(file, name))
            numbers = np.arange(int(labels.max()) + 1, dtype=np.uint16)
            numbers[1:] = numbers[:0:-1]
            store.write_raw(folder / f"{Path(file).stem}_{name}.tif", numbers[labels])
        lines.append(f"{file},{labels.max()}")
    (folder / "objects.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_given_objects_are_measured_under_their_numbers(part, tmp_path):
    given = write_given(part, tmp_path / "labels")
    measure(SLIM, part / "images", tmp_path / "tables", given)
    found, own = (
        pd.read_csv(folder / "Nuclei.csv").query("ImageNumber == 1")
        for folder in (part / "tables", tmp_path / "tables")
    )
    np.testing.assert_array_equal(own["AreaShape_Area"][::-1], found["AreaShape_Area"])
    np.testing.assert_array_equal(own["Texture_Contrast_RNA_3_00_64"][::-1], found["Texture_Contrast_RNA_3_00_64"])
    cells = pd.read_csv(tmp_path / "tables" / "Cells.csv")
    assert (cells["Parent_Nuclei"] == cells["ObjectNumber"]).all()
    assert set(found.columns) - set(own.columns) == {"Location_Center_Z"}  # as CellProfiler's of loaded objects


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "A02_s1_t1_DNA_Cells.tif").unlink(), "A02_s1_t1_DNA_Cells.tif: expected a TIFF, found nothing"),
        (lambda folder: (folder / "objects.csv").unlink(), "objects.csv is missing; .*rerun cellpose"),
        (lambda folder: store.write_raw(folder / "A02_s1_t1_DNA_Nuclei.tif", np.ones((8, 8), np.uint16)),
         r"A02_s1_t1_DNA_Nuclei.tif \(plate P1, well A02.*labels of \(8, 8\) pixels, expected those of the images"),
        (lambda folder: (folder / "objects.csv").write_text((folder / "objects.csv").read_text().replace(",4", ",5", 1)),
         "loaded 4 Nuclei, the label image holds 5"),
    ],
)  # fmt: skip
def test_label_images_that_do_not_fit_are_refused(part, tmp_path, spoil, message):
    spoil(given := write_given(part, tmp_path / "labels"))
    with pytest.raises(ValueError, match=message):
        measure(SLIM, part / "images", tmp_path / "tables", given)
    assert not (tmp_path / "tables").exists()


# --- refusals ---


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), r"A02_s1_t1_RNA.tif \(plate P1, well A02.*channel RNA\): trunc"),
        (lambda path: path.unlink(), "well A02, site 1, tile 1, channel RNA.*found nothing.*rerun export"),
        (lambda path: store.write_raw(path, np.zeros((8, 8), np.uint16)), "well A02, site 1, tile 1: channels differ in size"),
        (lambda path: tifffile.imwrite(path, np.zeros((16, 16), np.float32)), "A02.*expected one 16-bit greyscale page"),
    ],
)  # fmt: skip
def test_images_that_cellprofilers_run_refuses_are_refused(tmp_path, spoil, message):
    images = write_images(tmp_path / "images", np.zeros((2, 3, 16, 16)), STAINS)
    spoil(images / "A02_s1_t1_RNA.tif")
    with pytest.raises(ValueError, match=message):
        run(tmp_path)
    assert not (tmp_path / "tables").exists()


def test_a_pipeline_that_the_engine_does_not_know_whole_is_refused_before_images_are_read(tmp_path):
    write_images(tmp_path / "images", np.zeros((1, 3, 16, 16)), STAINS)
    (tmp_path / "images" / "A01_s1_t1_RNA.tif").unlink()
    own = tmp_path / "own.cppipe"
    own.write_text(SLIM.read_text().replace("Threshold strategy:Global", "Threshold strategy:Adaptive", 1))
    with pytest.raises(ValueError, match="module 7, IdentifyPrimaryObjects: 'Threshold strategy' is 'Adaptive'"):
        run(tmp_path, path=own)


def test_tables_that_were_cut_short_are_refused_without_a_word_of_cellprofiler(part, tmp_path):
    tables = tmp_path / "tables"
    rows = runner.read_csv(part / "images" / "load_data.csv")
    (tables / "labels").mkdir(parents=True)
    for path in (path for path in (part / "tables").rglob("*") if path.is_file()):
        (tables / path.relative_to(part / "tables")).write_bytes(path.read_bytes())
    runner.check_tables(tables, rows, part / "images", [])
    lines = (tables / "Cells.csv").read_text().splitlines()
    (tables / "Cells.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(ValueError, match="Cells.csv has .* whole or cut rows, expected") as caught:
        runner.check_tables(tables, rows, part / "images", [])
    assert "last lines" not in str(caught.value) and "rerun this rule" in str(caught.value)


def test_the_command_line_ends_with_one_error_and_code_1(tmp_path):
    write_images(tmp_path / "images", np.zeros((1, 3, 16, 16)), STAINS)
    words = ["--pipeline", tmp_path / "none.cppipe", "--images", tmp_path / "images", "--tables", tmp_path / "tables"]
    command = [sys.executable, "-m", "brightpaint.features.engine", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 1 and "none.cppipe: there is no such pipeline" in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_every_module_whose_settings_are_known_is_done_by_something():
    assert one_field.DONE_BY.keys() == known_settings.MODULES.keys()


# --- settings, and the workflow ---

# Of settings that are honoured, those whose change this field cannot show: {(module, setting): why}.
UNSHOWN = {
    ("ImageMath", "Set values less than 0 equal to 0?"): "no object has a pixel below its image's first percentile",
    ("ImageMath", "Set values greater than 1 equal to 1?"): "intensities are of 0 to 1, and so are their differences",
    ("ImageMath", "Replace invalid values with 0?"): "there is none",
    ("ImageMath", "Name the output image"): "what reads it by the old name is refused; here it is left out",
    ("IdentifyPrimaryObjects", "Speed up by using lower-resolution image to find local maxima?"): "of more than 10 px",
    (
        "IdentifyPrimaryObjects",
        "Automatically calculate minimum allowed distance between local maxima?",
    ): "6.7 px, not 7",
    ("IdentifySecondaryObjects", "Fill holes in identified objects?"): "no cell has a hole",
    ("IdentifySecondaryObjects", "Threshold smoothing scale"): "a tenth of a pixel smooths nothing",
    ("MeasureColocalization", "Method for Costes thresholding"): "the searches end at the same counts",
}
MEASURED = ("MeasureTexture", "MeasureGranularity", "MeasureColocalization")


def busy() -> dict[str, np.ndarray]:
    """Draw a field on which settings tell: nuclei of many sizes that touch, one with a hole, one at the border."""
    generator, (rows, columns) = np.random.default_rng(3), np.mgrid[:96, :96]
    planes = generator.normal(0, 0.02, (len(STAINS), 96, 96))
    for row, column, radius in [
        (20, 20, 9),
        (20, 34, 8),
        (26, 70, 14),
        (60, 24, 5),
        (70, 60, 11),
        (84, 80, 10),
        (50, 95, 9),
        (44, 50, 2.6),
    ]:
        distance = np.hypot(rows - row, columns - column)
        for n, plane in enumerate(planes):
            plane += (0.5 + 0.1 * n) / (1 + np.exp((distance - (radius if n == 0 else 1.7 * radius)) / 1.2))
    planes[0] -= 0.6 * (np.hypot(rows - 26, columns - 70) < 3)
    return {
        f"Orig{name}": np.rint(np.clip(plane, 0, 1) * 40000).astype(np.uint16)
        for name, plane in zip(STAINS, planes + 0.1)
    }


def numbers_of(text: str, images: dict) -> dict:
    """Return all that a pipeline measures of a field."""
    steps = pipeline_steps.steps_of(text, Path("own.cppipe"))
    pipeline_steps.check_flow(steps, list(images), [], Path("own.cppipe"))
    field = one_field.measure_field(steps, images, {})
    return {
        name: {column: values.tobytes() for column, values in table.items()} for name, table in field.tables.items()
    }


def around(text: str, number: int) -> tuple[str, int]:
    """Return a pipeline without the modules that only measure objects but this one, and where this one stands then."""
    blocks = pipeline.blocks(text)
    kept = [at for at, block in enumerate(blocks) if at == number or not block.startswith(("MeasureObject", *MEASURED))]
    return "\n\n".join(blocks[at] for at in kept) + "\n", kept.index(number)


@pytest.mark.exhaustive
def test_a_setting_that_is_taken_changes_what_is_measured():
    """Each setting of the full pipeline is changed by itself; the numbers of the objects follow."""
    images, silent, shown = busy(), set(), set()
    text = pipeline.adapt(FULL, STAINS, 1.0)
    plain = {}
    for number, line, value in cases(text):
        own, at = around(text, number)
        changed = with_line(own, at, line, value)
        try:
            if pipeline_steps.steps_of(changed, Path("own.cppipe")) == pipeline_steps.steps_of(own, Path("own.cppipe")):
                continue
            found = numbers_of(changed, images)
        except ValueError:
            continue
        if own not in plain:
            plain[own] = numbers_of(own, images)
        block = pipeline.blocks(text)[number]
        key = (block.partition(":")[0], pipeline.settings(block)[line - 1][0])
        (silent if found == plain[own] else shown).add(key)
    assert silent - shown == UNSHOWN.keys()
    assert len(shown) > 30


def dry_run(folder: Path, changes: dict, *arguments: str) -> tuple[int, str]:
    write_study(folder, {"source": {"layout": "simulated"}, "cellprofiler": {**FAST, **changes}})
    done = snakemake(folder, "-n", "--quiet", "rules", *arguments, check=False)
    return done.returncode, done.stdout


def test_the_engine_is_planned_in_cellprofilers_place(tmp_path):
    code, said = dry_run(tmp_path, {})
    assert code == 0 and planned(said)["engine"] == 3 and "cellprofiler" not in planned(said)


def test_a_pipeline_that_the_engine_cannot_honour_is_refused_at_planning(tmp_path):
    write_study(tmp_path)
    text = (tmp_path / "quick.cppipe").read_text().replace("Regularization factor:0.05", "Regularization factor:none")
    (tmp_path / "own.cppipe").write_text(text)
    code, said = dry_run(tmp_path, {"pipeline": "own.cppipe"})
    refused = (
        r"cellprofiler.pipeline: own.cppipe: module \d+, IdentifySecondaryObjects: 'Regularization factor' is 'none'"
    )
    assert code and re.search(refused, said)
    assert dry_run(tmp_path, {"pipeline": "own.cppipe", "engine": "cellprofiler"})[0] == 0


@pytest.mark.slow
def test_a_study_whose_engine_is_changed_measures_every_arm_anew(finished_study, tmp_path):
    folder = copy_of(finished_study, tmp_path / "study")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert "Nothing to be done" in snakemake(folder, "-n").stdout
    config["cellprofiler"]["engine"] = "cellprofiler"
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    jobs = planned(snakemake(folder, "-n", "--quiet", "rules").stdout)
    cells = len(list((folder / "results" / "cells").glob("*/*.parquet")))
    assert jobs["cellprofiler"] == jobs["cells"] == cells > 1
    assert not {"engine", "train", "sample", "prepare"} & set(jobs)


@pytest.mark.long
@pytest.mark.cellprofiler
def test_every_column_is_cellprofilers_on_the_same_part(tmp_path, cellprofiler, monkeypatch):
    """The full pipeline on drawn cells, noise and a black field, by both, column by column; docs/agreement.md has real ones."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import agreement

    stains = ["DNA", "RNA", "AGP", "Lyso"]
    noise = np.random.default_rng(0).normal(0, 1, (1, len(stains), 88, 88))
    stacks = np.concatenate([fields(stains=len(stains)), noise])
    images = write_images(tmp_path / "images", stacks, stains, plate="007")
    runner.measure(cellprofiler, FULL, images, tmp_path / "theirs")
    check_full(tmp_path / "theirs")
    measure(FULL, images, tmp_path / "own")
    objects, columns = agreement.compare(images, tmp_path / "theirs", tmp_path / "own")
    assert all(row["all pixels equal"] for row in objects) and sum(row["nuclei"] for row in objects) >= 6
    apart = {f"{one['objects']}_{one['column']}": one["apart"] for one in columns}
    assert len(apart) > 1500
    far = {name: values.max() for name, values in apart.items() if (values > 1e-5).any()}
    known = re.compile(r"Zernike|Texture_Correlation|Orientation")  # of drawn shapes: docs/agreement.md
    assert not [name for name in far if not known.search(name)], far
    assert np.mean(np.concatenate(list(apart.values())) <= 1e-6) > 0.99


def check_full(tables: Path) -> None:
    """See that CellProfiler itself measured drawn discs as it should, and nothing on a black field and on noise."""
    counts = [int(float(row["Count_Nuclei"])) for row in read(tables / "Image.csv")]
    assert counts[0] == 4 and counts[2:] == [0, 0]
    nuclei = read(tables / "Nuclei.csv")
    assert len(nuclei) == sum(counts) and len(nuclei[0]) > 900
    # Discs of radius 8 with a soft edge: the outline lies on its foot, within 3 px.
    assert np.pi * 8**2 < np.median([float(row["AreaShape_Area"]) for row in nuclei]) < np.pi * 11**2
    columns = " ".join(nuclei[0])
    for feature in ("Intensity_MeanIntensity_Lyso", "Texture_Contrast_Lyso_10_03_256", "Granularity_16_Lyso",
                    "RadialDistribution_ZernikePhase_Lyso_9_9", "Correlation_Costes_DNA_Lyso", "AreaShape_Zernike_9_9",
                    "Neighbors_NumberOfNeighbors_1"):  # fmt: skip
        assert feature in columns
    # The share of RNA that lies in the nucleus. With the background left in, every pixel would pass and it would be 1.
    manders = [float(row["Correlation_Manders_RNA_DNA"]) for row in read(tables / "Cells.csv")]
    assert 0.2 < min(manders) and max(manders) < 0.8


def test_the_bench_of_agreement_sees_what_differs(part, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import agreement

    theirs = tmp_path / "theirs"
    shutil.copytree(part / "tables", theirs)
    words = [
        f"{part / 'images'}={theirs}",
        "--pipeline",
        "slim",
        "--folder",
        str(tmp_path),
        "--columns",
        str(tmp_path / "c.tsv"),
    ]
    agreement.main(words)
    said, columns = capsys.readouterr().out, store.read_table(tmp_path / "c.tsv")
    assert "True" in said and "False" not in said and "CPU-s a field, start" in said
    assert (columns["share to 1e-06"].dropna() == 1).all() and len(columns) > 700
    frame = pd.read_csv(theirs / "Cells.csv")
    frame.loc[0, "Intensity_MeanIntensity_RNA"] *= 1.001
    frame.loc[1, "AreaShape_Solidity"] = np.nan
    frame.to_csv(theirs / "Cells.csv", index=False)
    labels = theirs / "labels" / "A02_s1_t1_DNA_Nuclei.tiff"
    image = tifffile.imread(labels)
    image[tuple(np.argwhere(image > 0)[0])] = 0
    store.write_raw(labels, image)
    agreement.main(words)
    said, columns = capsys.readouterr().out, store.read_table(tmp_path / "c.tsv").set_index(["objects", "column"])
    assert columns.loc[("Cells", "Intensity_MeanIntensity_RNA"), "largest"] == pytest.approx(1e-3, rel=1e-2)
    assert np.isinf(columns.loc[("Cells", "AreaShape_Solidity"), "largest"]) and "False" in said
    assert columns.loc[("Nuclei", "AreaShape_Area"), "values"] < columns.loc[("Cells", "AreaShape_Area"), "values"]
