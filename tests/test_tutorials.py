"""The tutorials' commands, typed as they stand there, on a made export."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from brightpaint import store
from conftest import ROOT, planned, snakemake

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(my_\w+\.(?:tsv|yaml))`")
LAYOUT = "well,perturbation,target,control_type\nA01,DMSO,,negcon\nA02,cpd1,T1,\nB01,cpd2,T1,\nB02,cpd3,T2|T3,\n"
WELLS = (
    "well,perturbation,target,control_type,dose,unit,cell_line\n"
    "A01,DMSO,,negcon,,,U2OS\nA02,wortmannin,PIK3CA,,250,nM,U2OS\n"
)


def follow(page: str, folder: Path) -> list[str]:
    """Write each file that the page shows under the name it gave last, run each `bash` block; return what they printed."""
    text = (ROOT / "docs" / page).read_text()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                   "PYTHONPATH": str(ROOT / "src"), "SNAKEMAKE_SNAKEFILE": ""}  # fmt: skip
    printed = []
    for block in BLOCK.finditer(text):
        language, body = block.groups()
        if language in ("tsv", "yaml"):
            (folder / FILE.findall(text[: block.start()])[-1]).write_text(body)
        if language == "bash":
            body = body.replace("snakemake -n", f"snakemake --snakefile {ROOT / 'Snakefile'} -n")
            done = subprocess.run(["bash", "-euc", body], cwd=folder, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{page}: {body}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
            printed.append(done.stdout + done.stderr)
    return printed


def image(path: Path) -> None:
    """Write a small image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_raw(path, np.random.default_rng(0).integers(100, 4000, (16, 16), dtype=np.uint16))


def test_from_a_folder_of_tiffs_to_a_report(tmp_path):
    for plate in ("MyPlate1", "MyPlate2", "MyPlate3"):
        for row, column, channel in np.ndindex(2, 2, 6):
            name = f"r{row + 1:02d}c{column + 1:02d}f01p01-ch{channel + 1}sk1fk1fl1.tiff"
            image(tmp_path / "export" / plate / "Images" / name)
    (tmp_path / "layout.csv").write_text(LAYOUT)
    for well in ("A01", "A02"):
        (tmp_path / "stacks" / "MyPlate1").mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(
            tmp_path / "stacks" / "MyPlate1" / f"{well}_s1.tif",
            np.ones((2, 16, 16), np.uint8),
            photometric="minisblack",
        )
    (tmp_path / "wells.csv").write_text(WELLS)
    *_, plan, _ = follow("tutorial_own_images.md", tmp_path)
    jobs = planned(plan)
    assert jobs["fetch"] == jobs["prepare"] == 3 and jobs["train"] == 4
    assert {"profile", "active", "score_images", "metrics", "montage", "worst"} <= set(jobs)
    table = (tmp_path / "images.csv").read_text()
    assert "MyPlate1,A01,1,DNA,MyPlate1/Images/r01c01f01p01-ch5sk1fk1fl1.tiff,DMSO,,negcon" in table
    assert (
        "MyPlate1,A02,1,GFP,MyPlate1/A02_s1_GFP.tif,wortmannin,PIK3CA,,0.25,U2OS"
        in (tmp_path / "stacks.csv").read_text()
    )
    assert store.read_raw(tmp_path / "single" / "MyPlate1" / "A02_s1_GFP.tif").max() == 1


@pytest.mark.long
def test_from_brightfield_alone_to_stains_in_fiji(tmp_path, given_weights):
    for well, plane in (("A01", 1), ("A01", 2), ("A01", 3)):
        image(tmp_path / "export" / "MyPlate" / f"MyPlate_{well}_T0001F001L01A06Z{plane:02d}C06.tif")
    (tmp_path / "weights.safetensors").write_bytes(given_weights.read_bytes())
    described, _, plan = follow("tutorial_brightfield.md", tmp_path)
    assert re.search(r"^sees +Brightfield_L, Brightfield, Brightfield_H$", described, re.MULTILINE)
    assert re.search(r"^paints +DNA, RNA, ER, AGP, Mito$", described, re.MULTILINE)
    jobs = planned(plan)
    assert jobs["sample"] >= 1 and jobs["deliver"] == 1 and "train" not in jobs


@pytest.fixture
def given_weights(tmp_path) -> Path:
    """Weights of a small untrained network with the demo's channels."""
    from brightpaint.models.objectives.losses import build_denoiser

    channels = {
        "input": ["Brightfield_L", "Brightfield", "Brightfield_H"],
        "target": ["DNA", "RNA", "ER", "AGP", "Mito"],
    }
    settings = {"kind": "diffusion", "label": "perturbation", "preset": "fast", "width": 8, "objective": "v"}
    meta = {"settings": settings, "channels": channels, "label_map": {"DMSO": 1, "cpd1": 2}, "versions": {"torch": "0"}}
    tensors = build_denoiser(settings, channels, 2).state_dict()
    store.write_weights(tmp_path / "given" / "w.safetensors", tensors, meta)
    return tmp_path / "given" / "w.safetensors"


def test_no_command_names_a_file_behind_the_config():
    """--configfile takes every word that follows it: the target was read as a second config."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("config/*"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.py")]
    behind = re.compile(r"--configfile [\w./]+ +[\w./<{]+[\w/]")
    assert behind.search("snakemake --configfile a.yaml results/x.tsv")
    assert sum(page.name == "README.md" for page in pages) >= 2
    assert not [(page, what) for page in pages if page.is_file() for what in behind.findall(page.read_text())]


def test_the_readme_s_one_file_is_planned(tmp_path):
    command = re.search(
        r"`snakemake (results/demo/\S+) (--cores 2 --configfile config/demo.yaml)`", (ROOT / "README.md").read_text()
    )
    shutil.copytree(ROOT / "config", tmp_path / "config")
    jobs = planned(snakemake(tmp_path, command[1], *command[2].split(), "-n").stdout)
    assert jobs["metrics"] == 1 and jobs["train"] == 1 and "montage" not in jobs


def test_what_is_no_weights_file_is_refused_by_name(tmp_path):
    from brightpaint.models.describe import describe

    (tmp_path / "w.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="w.safetensors: not a brightpaint weights file"):
        describe(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="there is no such file"):
        describe(tmp_path / "none.safetensors")
