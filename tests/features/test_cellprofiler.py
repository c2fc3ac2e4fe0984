"""CellProfiler's silent failures become errors: mostly on a stand-in program, and on the real one where it matters."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from brightpaint import store
from brightpaint.base import intensity
from brightpaint.features import cellprofiler, own_pipeline, pipeline, tiff
from conftest import write_pipeline
from features_fixture import FIVE, blobs, read, write_images

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "resources" / "cellprofiler"
SLIM = PIPELINES / "slim.cppipe"

# Stands in for CellProfiler: writes whole tables, then spoils what `FAULT` names.
FAKE = """#!{python}
import csv, json, os, shutil, sys
fault, arguments = {fault!r}, sys.argv[1:]
option = lambda name: arguments[arguments.index(name) + 1]
rows = list(csv.DictReader(open(option("--data-file"))))
out, first = option("-o"), [key for key in rows[0] if key.startswith("FileName_")][0]
json.dump([arguments, dict(os.environ), os.getcwd()], open({seen!r}, "w"))
print("Image # 1, module LoadData # 1: CPU_time = 1.00 secs")
if fault == "exit":
    print("the disk caught fire"); sys.exit(3)
if fault == "pipeline":
    print("ERROR: Failed to load pipeline: no module named Paint")
def write(name, header, lines):
    with open(os.path.join(out, name + ".csv"), "w", newline="") as handle:
        csv.writer(handle).writerows([header] + lines)
error = {{"module": "1", "blank": ""}}.get(fault, "0")
image = [[n, row[first], 2, 2, 2, "0", error] for n, row in enumerate(rows, 1)]
header = ["ImageNumber", first, "Count_Nuclei", "Count_Cells", "Count_Cytoplasm", "ModuleError_01LoadData"]
if fault == "row":
    image = image[:-1]
if fault != "no_module_errors":
    header.append("ModuleError_09IdentifyPrimaryObjects")
else:
    header, image = header[:5], [line[:5] for line in image]
if fault == "count":
    image[0][2] = ""
if fault == "long_row":
    image[0].append("x")
if fault == "other_file":
    image[0][1] = "B99.tif"
write("Image", header, image)
os.mkdir(os.path.join(out, "labels"))
for row in rows:
    for name in ("Nuclei", "Cells"):
        path = os.path.join(out, "labels", row[first][:-4] + "_" + name + ".tiff")
        if not (fault == "labels" and name == "Cells"):
            shutil.copy(os.path.join(row["PathName_" + first[9:]], row[first]), path)
        if fault == "cut_labels":
            os.truncate(path, 300)
for name in ("Nuclei", "Cells", "Cytoplasm"):
    lines = [[n, k, 7.5] for n in range(1, len(rows) + 1) for k in (1, 2)]
    if name == "Cells" and fault == "cut":
        lines = lines[:-1]
    if name == "Cells" and fault == "half_row":
        lines[-1] = lines[-1][:2]
    if not (name == "Cytoplasm" and fault == "table"):
        write(name, ["ImageNumber", "ObjectNumber", "AreaShape_Area"], lines)
if fault != "no_done":
    open(option("-d"), "w").write("Failure" if fault == "done" else "Complete")
"""


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images", np.zeros((2, 5, 16, 16)))


def fake(tmp_path: Path, fault: str = "") -> str:
    program = tmp_path / "cellprofiler"
    program.write_text(FAKE.format(python=sys.executable, fault=fault, seen=str(tmp_path / "seen.json")))
    program.chmod(0o755)
    return str(program)


def run(tmp_path, images, command, pipeline_path=SLIM):
    tables = tmp_path / "tables"
    words = ["--command", command, "--pipeline", pipeline_path, "--images", images, "--tables", tables]
    cellprofiler.main([str(word) for word in words])
    return tables


@pytest.fixture(autouse=True)
def no_other_cellprofiler(monkeypatch, request):
    if "cellprofiler" not in request.fixturenames:
        monkeypatch.delenv("BRIGHTPAINT_CELLPROFILER", raising=False)


# --- the run ---


def test_whole_tables_arrive_and_nothing_else_is_left(tmp_path, images):
    tables = run(tmp_path, images, fake(tmp_path))
    names = sorted(path.name for path in tables.iterdir())
    assert names == ["Cells.csv", "Cytoplasm.csv", "Image.csv", "Nuclei.csv", "labels", "load_data.csv"]
    assert len(list((tables / "labels").iterdir())) == 4
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tables")]


def test_cellprofiler_runs_in_a_private_folder_without_our_python_path_or_proxies(tmp_path, images, monkeypatch):
    for name in ("PYTHONPATH", "http_proxy", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY", "PYTHONHOME"):
        monkeypatch.setenv(name, "/leak")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    # The stand-in is Python as well: only a variable that CellProfiler must not see would break it.
    monkeypatch.delenv("PYTHONHOME")
    tables = run(tmp_path, images, fake(tmp_path))
    arguments, environment, folder = json.loads((tmp_path / "seen.json").read_text())
    assert "/leak" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["HOME"] == environment["TMPDIR"] == folder
    assert Path(folder).parent == tables.parent and not Path(folder).exists()
    assert arguments[:2] == ["-c", "-r"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("exit", r"exit code 3 .* at or after plate P1, well A01, site 1.*\n(.*\n)*.*the disk caught fire"),
        ("done", "said 'Failure'"),
        ("no_done", "said 'nothing'"),
        ("pipeline", "did not load whole: ERROR: Failed to load pipeline"),
        ("table", r"Cytoplasm.csv were not written, found \['Cells.csv', 'Image.csv', 'Nuclei.csv'\]"),
        ("row", "Image.csv has 1 rows, expected 2"),
        ("module", "plate P1, well A01, site 1, tile 1: .*ModuleError_09IdentifyPrimaryObjects is '1', expected 0"),
        ("blank", "ModuleError_09IdentifyPrimaryObjects is '', expected 0"),
        ("no_module_errors", "no ModuleError_ column"),
        ("other_file", "'B99.tif' in FileName_OrigDNA, which load_data.csv does not"),
        ("cut", "Cells.csv has 3 whole or cut rows, expected 4"),
        ("half_row", "Cells.csv has 4 whole or cut rows"),
        ("labels", "well A01, site 1, tile 1: labels/A01_s1_t1_DNA_Cells.tiff: expected a TIFF, found nothing"),
        ("cut_labels", "labels/A01_s1_t1_DNA_Nuclei.tiff: truncated"),
    ],
)
def test_each_silent_failure_is_an_error_and_leaves_no_tables(tmp_path, images, fault, message):
    with pytest.raises(ValueError, match=message) as caught:
        run(tmp_path, images, fake(tmp_path, fault))
    assert "cellprofiler.pipeline" in str(caught.value)
    assert not (tmp_path / "tables").exists()


def test_the_command_line_ends_with_one_error_and_code_1(tmp_path, images):
    words = ["--command", fake(tmp_path, "exit"), "--pipeline", SLIM, "--images", images, "--tables", tmp_path / "t"]
    command = [sys.executable, "-m", "brightpaint.features.cellprofiler", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    environment.pop("BRIGHTPAINT_CELLPROFILER", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "error: CellProfiler ended with exit code 3" in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_a_part_without_fields_runs_nothing(tmp_path):
    images = write_images(tmp_path / "images", np.zeros((0, 5, 16, 16)))
    tables = run(tmp_path, images, "/no/such/program")
    assert [path.name for path in tables.iterdir()] == ["load_data.csv"]


# --- where the program is ---


def test_a_program_that_is_nowhere_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cellprofiler, "ENVIRONMENT", tmp_path / "none")
    with pytest.raises(ValueError, match="run `make environments`"):
        cellprofiler.find_command("cellprofiler")


def test_the_program_is_the_variables_then_the_given_then_the_one_that_make_built(tmp_path, monkeypatch):
    built, given = tmp_path / "built", tmp_path / "given"
    for path in (built, given):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cellprofiler, "ENVIRONMENT", built)
    assert cellprofiler.find_command("cellprofiler") == str(built)
    assert cellprofiler.find_command(str(given)) == str(given)
    with pytest.raises(ValueError, match="'/no/such'"):
        cellprofiler.find_command("/no/such")
    monkeypatch.setenv("BRIGHTPAINT_CELLPROFILER", str(given))
    assert cellprofiler.find_command("/no/such") == str(given)


def test_the_modules_that_run_beside_cellprofiler_need_only_the_standard_library():
    code = (
        "import sys; before = set(sys.modules)\nimport brightpaint.features.cellprofiler\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'brightpaint'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n" + code],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "[]"


# --- TIFFs ---


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 3}, {"tile": (16, 16)}, {"compression": "zlib"}])
def test_every_kind_of_whole_tiff_is_read_as_tifffile_reads_it(tmp_path, byteorder, bigtiff, options):
    image = np.random.default_rng(0).integers(0, 9999, (2, 20, 24), np.uint16)
    tifffile.imwrite(
        tmp_path / "x.tif", image, byteorder=byteorder, bigtiff=bigtiff, photometric="minisblack", **options
    )
    assert tiff.check(tmp_path / "x.tif") == [(20, 24), (20, 24)]


@pytest.mark.parametrize("share", [0, 0.002, 0.01, 0.5, 0.99])
def test_a_truncated_tiff_is_refused(tmp_path, share):
    path = tmp_path / "x.tif"
    store.write_raw(path, np.zeros((64, 64), np.uint16))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match="truncated|expected a"):
        tiff.check(path)


def test_garbage_and_nothing_are_refused(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(ValueError, match="expected a TIFF, found 106 bytes that begin with b'GIF8'"):
        tiff.check(tmp_path / "x.tif")
    with pytest.raises(ValueError, match="found nothing"):
        tiff.check(tmp_path / "y.tif")


@pytest.mark.parametrize("spoil", ["cut", "missing", "garbage"])
def test_a_bad_image_is_named_by_plate_well_site_and_channel_before_anything_runs(tmp_path, images, spoil):
    path = images / "A02_s1_t1_ER.tif"
    whole = path.read_bytes()
    path.unlink() if spoil == "missing" else path.write_bytes(whole[:-9] if spoil == "cut" else b"no image")
    with pytest.raises(ValueError, match=r"A02_s1_t1_ER.tif \(plate P1, well A02, site 1, tile 1, channel ER\)"):
        run(tmp_path, images, fake(tmp_path))
    assert not (tmp_path / "seen.json").exists()


def test_channels_of_unlike_size_are_refused(tmp_path, images):
    store.write_raw(images / "A01_s1_t1_ER.tif", np.zeros((8, 8), np.uint16))
    with pytest.raises(ValueError, match="well A01, site 1, tile 1: channels differ in size"):
        run(tmp_path, images, fake(tmp_path))


# --- pipelines ---


def find(text: str, setting: str) -> list[str]:
    return re.findall(rf"^    {re.escape(setting)}:(.*)$", text, re.M)


@pytest.mark.parametrize("name", ["slim", "full"])
def test_a_shipped_pipeline_at_1_um_and_five_channels_is_left_as_it_is(name):
    path = PIPELINES / f"{name}.cppipe"
    assert pipeline.adapt(path, FIVE, 1.0).strip() == path.read_text().strip()


def test_diameters_follow_the_pixel_size():
    assert find(pipeline.adapt(SLIM, FIVE, 0.5), pipeline.DIAMETER) == ["20,80"]
    assert find(pipeline.adapt(SLIM, FIVE, 1.27), pipeline.DIAMETER) == ["8,31"]
    with pytest.raises(ValueError, match=r"5 um leaves the smallest nuclei 2 px.*raise prepare.size_px"):
        pipeline.adapt(SLIM, FIVE, 5.0)
    with pytest.raises(ValueError, match="rerun export"):
        pipeline.adapt(SLIM, FIVE, None)


@pytest.mark.parametrize(("channels", "body"), [(["RNA", "DNA"], {"OrigRNA"}), (["DNA", "AGP", "Lipid"], {"OrigAGP"}),
                                                ([*FIVE, "Lyso"], {"OrigRNA", "OrigAGP"})])  # fmt: skip
def test_other_channels_are_measured_in_every_module(channels, body):
    text = pipeline.adapt(SLIM, channels, 1.0)
    originals = ", ".join("Orig" + name for name in channels)
    assert set(find(text, "Select images to measure")) == {originals, ", ".join(channels)}
    modules = pipeline.blocks(text)[1:]
    numbers = [int(re.search(r"module_num:(\d+)", block)[1]) for block in modules]
    assert numbers == list(range(1, len(modules) + 1)) and f"ModuleCount:{len(modules)}" in text
    backgrounds = [block for block in modules if pipeline.EACH_CHANNEL in block]
    assert [pipeline.value(block, "Name the output image") for block in backgrounds] == channels
    for block, name in zip(backgrounds, channels):
        assert set(re.findall(r"Orig\w+", block)) == {"Orig" + name}
    grown = next(block for block in modules if pipeline.value(block, "Name the output image") == "CellBody")
    assert set(re.findall(r"Orig\w+", grown)) == body
    pipeline.check_channels(text, channels, SLIM)


@pytest.mark.parametrize("channels", [["RNA", "AGP"], ["DNA", "ER", "Mito"]])
def test_stains_without_nuclei_or_cell_bodies_must_be_named(channels):
    with pytest.raises(
        ValueError, match="finds nuclei in DNA and cells in AGP or RNA.*name others in cellprofiler.nuclear"
    ):
        pipeline.adapt(SLIM, channels, 1.0)


@pytest.mark.parametrize("bodies", [["NFH"], ["NFH", "MAP2"], ["DAPI", "MAP2", "NFH"]])
def test_nuclei_and_cells_are_found_in_the_stains_that_are_named(bodies):
    channels = ["MAP2", "DAPI", "NFH"]
    text = pipeline.adapt(SLIM, channels, 1.0, {"nuclear_stain": "DAPI", "cell_stains": bodies})
    assert find(text, "Select the input image") == ["OrigDAPI", "CellBody"]
    body = next(
        block for block in pipeline.blocks(text) if pipeline.value(block, "Name the output image") == "CellBody"
    )
    averaged = [value for name, value in pipeline.settings(body) if name == "Select the image"]
    assert averaged == ([f"Orig{name}" for name in bodies] if len(bodies) > 1 else ["OrigNFH"] * 2)
    assert len(pipeline.settings(body)) == 9 + 4 * len(averaged)
    words = re.findall(r"\w+", text)
    assert not {"DNA", "RNA", "ER", "AGP", "Mito", "OrigDNA", "OrigRNA", "OrigAGP"} & set(words)
    assert find(text, "Select images to measure")[-1] == ", ".join(channels)


def test_one_stain_alone_is_correlated_with_nothing():
    text = pipeline.adapt(SLIM, ["Hoechst"], 1.0, {"nuclear_stain": "Hoechst", "cell_stains": ["Hoechst"]})
    names = [block.partition(":")[0] for block in pipeline.blocks(text)[1:]]
    assert "MeasureColocalization" not in names and names.count("ImageMath") == 2


@pytest.mark.parametrize("name", ["CellBody", "OrigDNA", "LabelsCells"])
def test_a_stain_called_as_an_image_of_the_pipelines_own_is_refused(name):
    with pytest.raises(ValueError, match=f"channels.target: {name} is what the shipped pipelines call"):
        pipeline.adapt(SLIM, ["DNA", "RNA", name], 1.0)


def test_a_users_own_pipeline_is_taken_as_it_is_but_must_find_its_channels(tmp_path, images):
    own = tmp_path / "own.cppipe"
    text = SLIM.read_text().replace(pipeline.TEMPLATE, "mine").replace("OrigMito", "OrigLyso")
    own.write_text(text)
    assert pipeline.adapt(own, FIVE, 0.3) == text
    with pytest.raises(ValueError, match="reads OrigLyso, but load_data.csv offers OrigDNA, OrigRNA"):
        run(tmp_path, images, fake(tmp_path), own)


def spoilt(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("LoadData:[", "Images:[", "must begin with LoadData in place of Images: brightpaint hands it load_data.csv"),
        ("Load images based on this data?:Yes", "Load images based on this data?:No", "'Load images .* set to Yes"),
        ("Rescale intensities?:Yes", "Rescale intensities?:No", "'Rescale intensities.' set to Yes"),
        ("MeasureGranularity:[", "CorrectIlluminationApply:[", "CorrectIlluminationApply must go: .* corrected"),
        ("identified:Cytoplasm", "identified:Rims", "it makes Cells, .*Nuclei, Rims, so Cytoplasm are missing"),
        ("measure:Nuclei, Cells, Cytoplasm", "measure:Nuclei", "measures nothing of Cytoplasm: add MeasureObject"),
        ("ExportToSpreadsheet:[", "ExportToDatabase:[", "must end with ExportToSpreadsheet"),
        ("Add a prefix to file names?:No", "Add a prefix to file names?:Yes", "'Add a prefix .* set to No"),
        (
            "Default Output Folder|",
            "Default Output Folder sub-folder|x",
            "'Output file location' set to Default Output",
        ),
        ("to your object data file?:No", "to your object data file?:Yes", "'Add image metadata columns .* set to No"),
        (
            "Export all measurement types?:Yes",
            "Export all measurement types?:No",
            "export Image, Nuclei, Cells, Cytoplasm",
        ),
    ],
)
def test_an_own_pipeline_that_cannot_serve_is_refused_with_what_to_mend(tmp_path, images, old, new, message):
    text = spoilt(SLIM.read_text().replace(pipeline.TEMPLATE, "mine"), old, new)
    if "Cytoplasm: add" in message:
        text = text.replace("measure:Nuclei, Cytoplasm", "measure:Nuclei").replace(
            "measure:Cytoplasm", "measure:Nuclei"
        )
    own = tmp_path / "own.cppipe"
    own.write_text(text)
    with pytest.raises(ValueError, match=f"own.cppipe: .*{message}.*Mend it in CellProfiler"):
        run(tmp_path, images, fake(tmp_path), own)
    assert not (tmp_path / "seen.json").exists()


@pytest.mark.parametrize("name", ["slim", "full"])
def test_the_shipped_pipelines_keep_the_rules_of_own_ones(name):
    assert own_pipeline.problems((PIPELINES / f"{name}.cppipe").read_text()) == []


def test_a_disabled_module_counts_for_nothing():
    head, *modules = pipeline.blocks(SLIM.read_text())
    off = [block.replace("enabled:True", "enabled:False") if "Tertiary" in block else block for block in modules]
    assert "Cytoplasm are missing" in own_pipeline.problems("\n\n".join([head, *off]))[0]


def test_the_modules_that_save_label_images_come_last_and_are_numbered():
    text = pipeline.save_labels(SLIM.read_text(), FIVE)
    names = [block.partition(":")[0] for block in pipeline.blocks(text)[1:]]
    assert names[-4:] == ["ConvertObjectsToImage", "SaveImages"] * 2 and f"ModuleCount:{len(names)}" in text
    assert find(text, "Select the input objects")[-2:] == ["Nuclei", "Cells"]
    assert pipeline.label_file("A01_s1_t1_DNA.tif", "Nuclei") == "labels/A01_s1_t1_DNA_Nuclei.tiff"


def test_a_pipeline_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no such pipeline"):
        pipeline.adapt(tmp_path / "x.cppipe", FIVE, 1.0)
    (tmp_path / "x.cppipe").write_text("{}")
    with pytest.raises(ValueError, match="not a CellProfiler pipeline"):
        pipeline.adapt(tmp_path / "x.cppipe", FIVE, 1.0)


# --- the real program ---


# The whole of `full` is run in test_engine.py, which compares its tables column by column.


@pytest.mark.long
@pytest.mark.cellprofiler
def test_the_real_program_finds_cells_in_stains_of_any_name(tmp_path, cellprofiler, real_data):
    from brightpaint.features import cellprofiler as module

    channels, folder = ["DAPI", "F-actin", "488nm"], real_data / "images" / "nf1_schwann_3ch"
    files = [tifffile.imread(folder / f"D6_s2_{name}.tif").astype(float) for name in ("DAPI", "RFP", "GFP")]
    field = np.array([intensity.standardise(plane[::2, ::2], 15) for plane in np.array(files)[:, :600, :600]])
    images = write_images(tmp_path / "images", field[None], channels, pixel_um=1.0)
    described = json.loads((images / "export.json").read_text())
    named = {"nuclear_stain": "DAPI", "cell_stains": ["488nm", "F-actin"]}
    (images / "export.json").write_text(json.dumps({**described, **named}))
    module.measure(cellprofiler, SLIM, images, tmp_path / "tables")
    truth = tifffile.imread(folder / "D6_s2_masks.tif")[0, :600:2, :600:2] > 0
    found = tifffile.imread(next((tmp_path / "tables" / "labels").glob("*Nuclei.tiff"))) > 0
    within = ndimage.binary_fill_holes(found) & truth
    assert within.sum() > 0.6 * found.sum() and len(read(tmp_path / "tables" / "Cells.csv")) >= 4
    columns = " ".join(read(tmp_path / "tables" / "Nuclei.csv")[0])
    for feature in ("Intensity_MeanIntensity_488nm", "Texture_Contrast_F-actin", "Correlation_Manders_DAPI_488nm"):
        assert feature in columns


@pytest.mark.long
@pytest.mark.cellprofiler
def test_a_pipeline_that_the_real_program_loads_only_part_way_is_an_error(tmp_path, cellprofiler):
    from brightpaint.features import cellprofiler as module

    write_pipeline(own := tmp_path / "own.cppipe")
    own.write_text(own.read_text().replace("MeasureObjectIntensity:[", "MeasurePaint:["))
    images = write_images(tmp_path / "images", blobs()[0][None])
    with pytest.raises(ValueError, match="did not load whole|were not written|exit code"):
        module.measure(cellprofiler, own, images, tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


@pytest.mark.cellprofiler
def test_the_shipped_pipelines_are_what_their_script_writes(tmp_path, cellprofiler):
    shutil.copy(PIPELINES / "make_pipelines.py", tmp_path)
    python = Path(cellprofiler).parent / "python"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([str(python), str(tmp_path / "make_pipelines.py")], check=True, capture_output=True, env=environment)
    for name in ("slim", "full"):
        assert (tmp_path / f"{name}.cppipe").read_text() == (PIPELINES / f"{name}.cppipe").read_text()


@pytest.mark.cellprofiler
def test_the_module_runs_in_cellprofilers_own_python(tmp_path, cellprofiler):
    images = write_images(tmp_path / "images", np.zeros((2, 5, 16, 16)))
    words = ["--command", fake(tmp_path), "--pipeline", SLIM, "--images", images, "--tables", tmp_path / "tables"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    environment.pop("BRIGHTPAINT_CELLPROFILER", None)
    python = Path(cellprofiler).parent / "python"
    command = [str(python), "-m", "brightpaint.features.cellprofiler", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert (tmp_path / "tables" / "Nuclei.csv").exists()
