"""The section `erased`: off by default, what it plans for which spaces, and what is refused before anything runs."""

from __future__ import annotations

import re

import pytest
import yaml

from brightpaint.study import subjects
from brightpaint.study.erased import erased_problems
from brightpaint.study.study import Study
from conftest import ROOT, planned, snakemake, write_study

CROPS = {"size_um": 64, "size_px": 64, "arms": ["real", "pert"]}
CELLNET = {"label": "treatment", "arms": ["real", "pert"]}
GAN = {"preset": "small", "size_px": 64, "images": 1000}


def load(folder, changes: dict) -> Study:
    write_study(folder, {"source": {"layout": "simulated"}, **changes})
    return Study.load(yaml.safe_load((folder / "config.yaml").read_text()), ROOT / "workflow" / "schemas", folder)


def test_spaces_of_cells_and_of_fields_are_asked_where_they_are_named(tmp_path):
    spaces = {"crops": CROPS, "cellnet": CELLNET, "gan": GAN}
    study = load(tmp_path, spaces)
    assert not any("erased" in table for table in subjects.score_tables(study, "real"))
    study = load(tmp_path, {**spaces, "erased": {"spaces": ["cellnet", "critic"], "arms": ["real", "pert"]}})
    assert list(erased_problems(study)) == []
    own = [table for table in subjects.score_tables(study, "pert") if "erased" in table]
    assert own == ["<results>/scores/erased/cellnet/pert.parquet", "<results>/scores/erased/critic/pert.parquet"]
    done = snakemake(tmp_path, "-n", "-p")
    assert planned(done.stdout)["score_erased"] == 4
    words = [re.sub(r" +", " ", line) for line in done.stdout.splitlines() if "score_erased --space" in line]
    found = {(space, arm): next(line for line in words if f"--space {space} " in line and f"--arm {arm} " in line)
             for space in ("cellnet", "critic") for arm in ("real", "pert")}  # fmt: skip
    cells, fields = found["cellnet", "real"], found["critic", "pert"]
    assert (
        "--images results/crops/real/T1.tif results/crops/real/T2.tif --rows --labels --split results/cellnet" in cells
    )
    assert "--weights results/gan/weights.safetensors --images results/images/pert/T2.tif" in fields
    assert "--rows results/images/pert/T2.parquet --labels results/masks/pert/T2.tif --split" in fields


REFUSED = {
    "unknown": ({"spaces": ["dinos"]}, "erased.spaces: no space is called dinos; those of networks are: dino, cellnet, critic"),
    "measured": ({"spaces": ["cellprofiler"]}, "erased.spaces: cellprofiler is not what a network makes of an image"),
    "not planned": ({"spaces": ["dino"]}, "erased.spaces: the study does not plan dino, which makes the space dino; ask for it"),
    "no such arm": ({"spaces": ["cellnet"], "arms": ["mean"]}, "erased.arms: mean has no place in the space cellnet; there are:"),
    "no cells": ({"spaces": ["critic"], "arms": ["brightfield"]}, "erased.arms: brightfield has no place in the space critic"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_network_or_no_cells_is_refused(tmp_path, name):
    chosen, said = REFUSED[name]
    study = load(tmp_path, {"crops": CROPS, "cellnet": CELLNET, "gan": GAN, "erased": chosen})
    assert any(said in problem for problem in erased_problems(study)), list(erased_problems(study))


def test_a_field_whose_cells_nobody_measures_has_none_to_erase(tmp_path):
    study = load(tmp_path, {"gan": GAN, "erased": {"spaces": ["critic"], "arms": ["pixel"]}})
    assert list(erased_problems(study)) == [
        "erased.arms: no cells of pixel are measured, so that nothing says where they lie in its fields; leave it out"
    ]
    refused = snakemake(tmp_path, "-n", check=False).stdout
    assert "config: erased.arms: no cells of pixel are measured" in refused
