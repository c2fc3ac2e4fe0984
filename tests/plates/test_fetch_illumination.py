"""Published illumination functions: where they lie, what they must be, and what is said where they are not."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from brightpaint.plates import fetch_illumination
from brightpaint.plates.folder import FolderSource
from conftest import planned, snakemake, write_study
from plates_fixture import PLATE, source

FOLDER = "cpg0016-jump/source_2/images/20210614_Batch_1/illum/1053600674"
NAMES = {"Brightfield_L": "LowZBF", "DNA": "DNA", "Mito": "Mito"}  # as one source names its planes


@pytest.fixture
def mirror(tmp_path):
    """A mirror with the functions of three channels, one under an alias, and files that are none."""
    folder = tmp_path / "mirror" / FOLDER
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES.values(), start=1):
        np.save(folder / f"1053600674_Illum{name}.npy", np.full((6, 8), number, np.float64))
    (folder / "1053600674_IllumDNA.txt").touch()
    np.save(folder / "other_IllumER.npy", np.ones((6, 8)))
    return tmp_path / "mirror"


def command(mirror, out, channels=tuple(NAMES), plate=PLATE):
    settings = {"source": source(mirror), "plate": plate, "channels": list(channels)}
    fetch_illumination.main(["--settings", json.dumps(settings), "--published", str(out)])


def test_one_array_a_channel_under_the_studys_name(mirror, tmp_path):
    command(mirror, tmp_path / "P1")
    assert sorted(path.name for path in (tmp_path / "P1").iterdir()) == ["Brightfield_L.npy", "DNA.npy", "Mito.npy"]
    for number, channel in enumerate(NAMES, start=1):
        function = np.load(tmp_path / "P1" / f"{channel}.npy")
        assert function.dtype == np.float32 and function.shape == (6, 8) and (function == number).all()


def test_what_is_not_there_is_named(mirror, tmp_path):
    with pytest.raises(
        ValueError, match="channel ER is missing; expected one of ER, .*found the channels DNA, LowZBF, Mito"
    ):
        command(mirror, tmp_path / "P1", channels=["DNA", "ER"])
    with pytest.raises(
        ValueError, match="plate P1: no none_Illum.*npy in .*/illum/none/; set illumination.method: median"
    ):
        command(mirror, tmp_path / "P1", plate={**PLATE, "barcode": "none"})
    assert not (tmp_path / "P1").exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((6, 8, 2)), r"expected one image of floats, found \(6, 8, 2\) of float64"),
        (np.ones((6, 8), np.uint16), r"expected one image of floats, found \(6, 8\) of uint16"),
        (np.zeros((6, 8)), "expected values above 0, found 0.0"),
        (np.full((6, 8), np.nan), "expected values above 0"),
        (np.array([[{}]], dtype=object), "expected a whole .npy array, found one that cannot be read .*allow_pickle"),
        (np.ones((5, 8)), r"expected \(6, 8\) px as channel Brightfield_L has, found \(5, 8\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_arrays_that_are_no_illumination_function_are_refused(mirror, tmp_path, array, message):
    np.save(mirror / FOLDER / "1053600674_IllumDNA.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"1053600674_IllumDNA.npy \(plate P1, channel DNA\): {message}"):
        command(mirror, tmp_path / "P1")


def test_a_truncated_array_is_refused():
    data = io.BytesIO()
    np.save(data, np.ones((6, 8)))
    with pytest.raises(ValueError, match="x.npy: expected a whole .npy array, found one that cannot be read"):
        fetch_illumination.read_function(data.getvalue()[:-9], "x.npy")


def test_several_plates_do_not_share_functions(mirror):
    found = fetch_illumination.find_functions(FolderSource(mirror), PLATE, ["DNA"])
    assert found == {"DNA": f"{FOLDER}/1053600674_IllumDNA.npy"}


@pytest.mark.slow
def test_the_rule_is_planned_only_when_asked_for(tmp_path):
    folder = write_study(tmp_path, {"source": {"layout": "gallery", "url": str(tmp_path)}})
    assert "fetch_illumination" not in planned(snakemake(folder, "-n").stdout)
    assert planned(snakemake(folder, "-n", "resources/illum/T1").stdout) == {"fetch_illumination": 1}


@pytest.mark.slow
def test_a_pixel_size_fetches_nothing_again(tmp_path):
    """Only what says where the functions lie is in the rule's settings."""
    folder = write_study(tmp_path, {"source": {"layout": "gallery", "url": str(tmp_path)}})
    command = ("-n", "--printshellcmds", "resources/illum/T1")
    before = snakemake(folder, *command).stdout
    plates = (folder / "plates.tsv").read_text().splitlines()
    wider = ["\t".join([line, "pixel_size_um" if n == 0 else "0.598"]) for n, line in enumerate(plates)]
    (folder / "plates.tsv").write_text("\n".join([*wider, ""]))
    after = snakemake(folder, *command).stdout

    def shell(text):
        return [line for line in text.splitlines() if "brightpaint.plates.fetch_illumination" in line]

    assert len(shell(before)) == 1 and shell(before) == shell(after)
