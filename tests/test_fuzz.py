"""Random configs and tables: each is read, or refused with a ValueError; nothing else is ever raised."""

from __future__ import annotations

import copy
import io
import json
import tempfile
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brightpaint.plates import index, load_data, own_table, platemaps
from brightpaint.study.annotations import NUMBERS
from brightpaint.study.plate_table import read_plates
from brightpaint.study.study import Study
from hostile_config import CONFIG, PLATES, SCHEMAS
from hostile_tables import OWN

FUZZ = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
FULL = {
    **CONFIG,
    "channels": {"input": ["BF"], "target": ["DNA", "RNA"]},
    "source": {"layout": "gallery", "workers": 4, "hash": ["md5"]},
    "prepare": {"size_px": 64, "grid": [1, 2], "pixel_size_um": 1.0, "cutoff": 15},
    "folds": [{"name": "A", "test": ["P3"], "predict": ["Q1"], "held_out": 0.2}, {"name": "B", "test": ["P1"]}],
    "train": {"images": 100, "batch": 2, "crop_px": 32, "learning_rate": 1e-3, "validation_share": 0.1},
    "models": [{"name": "pert", "label": "perturbation", "width": 8, "subset": "active"}, {"name": "mean", "kind": "mean"}],
    "classifiers": [{"name": "guide", "label": "target"}],
    "arms": [
        {"name": "pert", "model": "pert", "folds": ["A"], "guidance_interval": [0.1, 2.0], "classifier": "guide"},
        {"name": "mean", "model": "mean", "folds": ["A", "B"], "steps": 3},
    ],
    "cellprofiler": {"window": [-5, 15], "parts": 2},
    "compute": {"device": "cpu", "torch_threads": 1},
}  # fmt: skip
ODD = [
    float("nan"),
    float("inf"),
    -1,
    0,
    1,
    2.0,
    10**30,
    "",
    "P1",
    "A",
    "pert",
    "x\n",
    "$(touch x)",
    "../x",
    "{plate}",
    True,
    None,
]
VALUES = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=6) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=6,
)  # fmt: skip


def places(value, place=()) -> list[tuple]:
    """Return the path of every value within a config."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, item in inner for found in places(item, (*place, key)))]


def replaced(config: dict, place: tuple, value):
    """Return a copy of a config with one value replaced."""
    if not place:
        return value
    config = copy.deepcopy(config)
    inner = config
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return config


def ask(study: Study) -> None:
    """Ask a study everything that the Snakefile asks when a plan is made."""
    study.used_plates(), study.lookup_plates(), study.never_tested(), json.dumps(study.config, allow_nan=False)
    for plate in study.plates:
        study.channels(plate), study.pixel_size_um(plate), study.arms_of(plate)
    for arm in study.arms:
        study.profiled(arm), study.model_of(arm)
        for plate in study.test_plates(arm) + study.predict_plates(arm):
            study.training_plates(study.fold_of(arm, plate))


def load(folder: Path, config, table: bytes) -> bool:
    """Load a study; return whether it was accepted."""
    (folder / "plates.tsv").write_bytes(table)
    try:
        study = Study.load(config, SCHEMAS, folder)
    except ValueError as error:
        assert str(error).strip() and len(str(error)) < 20000
        return False
    ask(study)
    return True


FOLDER = tempfile.TemporaryDirectory()


@settings(FUZZ, max_examples=100)
@given(st.sampled_from(places(FULL)), VALUES)
def test_a_config_with_one_value_replaced_is_a_study_or_a_sentence(place, value):
    load(Path(FOLDER.name), replaced(FULL, place, value), PLATES.encode())


def test_the_config_that_is_fuzzed_is_a_study(tmp_path):
    assert load(tmp_path, FULL, PLATES.encode())


CELLS = st.sampled_from(["", "A01", "a1", "A0", "0", "1", "1.0", "-1", "9" * 50, "nan", '"', "\t", ",", "\n", "\r", "\0", "../x",
                         "https://[", "s3://b", "s3://b/%2e%2e/x", "$(touch x)", "é", "\ufeff", "P1,P2", "A01:D06", "cpd"]) \
    | st.text(max_size=5)  # fmt: skip


@st.composite
def mutated(draw, text: str, separator: str) -> bytes:
    """Return a table of which some cells, lines or bytes are not as they were."""
    lines = [line.split(separator) for line in text.splitlines()]
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.integers(0, len(lines) - 1))
        lines[row][draw(st.integers(0, len(lines[row]) - 1))] = draw(CELLS)
    data = "\n".join(separator.join(line) for line in lines).encode(errors="surrogatepass")
    return draw(
        st.sampled_from(
            [data, data, data, data[: len(data) // 2], data.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + data]
        )
    )


@settings(FUZZ, max_examples=60)
@given(mutated(PLATES.replace("batch", "wells").replace("\tB", "\tA0"), "\t") | st.binary(max_size=60))
def test_a_plate_table_is_read_or_refused(table):
    load(Path(FOLDER.name), CONFIG, table)
    path = Path(FOLDER.name) / "plates.tsv"
    try:
        assert read_plates(path, SCHEMAS / "plates.schema.yaml")
    except ValueError as error:
        assert "plates.tsv" in str(error)


@settings(FUZZ, max_examples=60)
@given(mutated(OWN, ",") | st.binary(max_size=60))
def test_a_table_of_ones_own_images_is_read_or_refused(table):
    path = Path(FOLDER.name) / "images.csv"
    path.write_bytes(table)
    chosen = {"table": str(path), "compounds": None, "exclude": None}
    try:
        files, wells = own_table.table_plate({"source": chosen, "plate": {"plate": "X1"}, "channels": ["Brightfield"]})
        index.check_fields(files, wells, "X1")
    except ValueError as error:
        assert str(error)
    else:
        assert all(".." not in key.split("/") and not key.startswith("/") for key in files.keys())
        assert files.wells() <= set(wells["Metadata_Well"])


HEAD = "Metadata_Plate,Metadata_Well,Metadata_Site,FileName_OrigDNA,PathName_OrigDNA\n"
LOAD = HEAD + "X,A01,1,a.tif,/d/cpg/s/\nX,A02,1,b.tif,/d/cpg/s/\n"


class Nothing:
    """A source that lists no file."""

    def walk(self, prefix: str) -> list:
        return []


@settings(FUZZ, max_examples=60)
@given(mutated(LOAD, ",") | st.binary(max_size=60), st.sampled_from(["x.csv", "x.csv", "x.csv.gz", "x.parquet"]))
def test_a_load_data_table_is_read_or_refused(table, name):
    plate = {"plate": "X", "barcode": "X", "project": "cpg", "source": "s", "batch": "b"}
    try:
        opened = load_data.read(io.BytesIO(table), name)
        chosen = load_data.match_channels(["DNA"], load_data.image_columns(opened.columns), {}, name)
        files = list(load_data.image_files(opened, chosen, plate, Nothing(), name))
    except ValueError as error:
        assert str(error)
    else:
        assert all(".." not in key.split("/") and not key.startswith("/") for *_, key in files)
        assert all(site >= 1 for _, site, *_ in files)


PLATEMAP = "well_position\tbroad_sample\tsolvent\nA01\tcpd\tDMSO\nA02\t\tDMSO\n"
KNOWN = pd.DataFrame({"broad_sample": ["cpd"], "target": ["T"], "control_type": [""], "pert_iname": ["c"]})


@settings(FUZZ, max_examples=60)
@given(mutated(PLATEMAP, "\t") | st.binary(max_size=60))
def test_a_platemap_is_read_or_refused(table):
    try:
        wells = platemaps.annotate_wells(platemaps.read_text_table(table, "map.txt"), KNOWN, "map.txt")
    except ValueError as error:
        assert "map.txt" in str(error)
    else:
        assert wells["Metadata_Well"].is_unique and wells.drop(columns=NUMBERS).notna().all(axis=None)
