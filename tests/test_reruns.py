"""What reruns after a change, where a study of its own is needed: the rest of README's table is in test_workflow.py."""

from __future__ import annotations

import os
import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from conftest import ROOT, TINY_PLATES, copy_of, planned, snakemake, write_study

pytestmark = pytest.mark.slow

# What Snakemake asks of conda. No package is installed: the environment of these tests has them all.
CONDA = """#!/bin/sh
case "$1 $2" in
"clean -y") ;;
"info --json") echo '{"conda_prefix": "PREFIX", "platform": "linux-64"}' ;;
"--version ") echo "conda 24.7.1" ;;
"config --get") echo '{"get": {"channel_priority": "strict"}}' ;;
"env create") for last; do :; done; mkdir -p "$last" ;;
*) echo "conda: unexpected $*" >&2; exit 2 ;;
esac
"""


@pytest.fixture
def conda(tmp_path) -> Path:
    """Write a stand-in for conda; return the folder to put on the PATH."""
    folder = tmp_path / "conda" / "bin"
    folder.mkdir(parents=True)
    (folder / "conda").write_text(CONDA.replace("PREFIX", str(folder.parent)))
    (folder / "conda").chmod(0o755)
    (folder / "activate").write_text("")
    return folder


@pytest.fixture
def clone(tmp_path) -> Path:
    """Copy the workflow, so that its environments can be changed."""
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("workflow", "envs", "resources/cellprofiler", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("channels.tsv", "sources.tsv", "rates.tsv"):
        shutil.copy(ROOT / "resources" / name, folder / "resources")
    return folder


def run_clone(clone: Path, folder: Path, *arguments: str) -> str:
    """Run a copy of the workflow up to the index of one plate; return all that it says."""
    copied = ("--snakefile", str(clone / "Snakefile"))
    return snakemake(folder, "--cores", "1", *arguments, *copied, "resources/index/T1.parquet").stdout


@pytest.mark.long
def test_a_changed_environment_reruns_its_jobs_with_conda_and_turning_conda_on_reruns_all(
    clone, conda, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", f"{conda}:{os.environ['PATH']}")
    folder = write_study(tmp_path / "study", {"source": {"layout": "simulated"}})
    yaml = clone / "envs" / "brightpaint.yaml"
    run = partial(run_clone, clone, folder)
    with_conda, both = ("--sdm", "conda"), {"simulate": 1, "index": 1}
    why = "Software environment definition has changed"
    run()
    assert planned(turned_on := run("-n", *with_conda)) == both and why in turned_on
    spared = ("--rerun-triggers", "mtime", "params", "input", "code")  # as README says
    assert "Nothing to be done" in run("-n", *with_conda, *spared)
    run(*with_conda)
    assert "Nothing to be done" in run("-n", *with_conda)
    yaml.write_text(yaml.read_text() + "# another build\n")
    assert planned(changed := run("-n", *with_conda)) == both and why in changed


@pytest.mark.long
def test_a_changed_environment_reruns_nothing_without_conda(clone, tmp_path):
    folder = write_study(tmp_path / "study", {"source": {"layout": "simulated"}})
    yaml, run = clone / "envs" / "brightpaint.yaml", partial(run_clone, clone, folder)
    run()
    yaml.write_text(yaml.read_text() + "# another build\n")
    assert "Nothing to be done" in run("-n")


@pytest.mark.exhaustive
def test_a_study_plate_less_trains_again_where_it_took_part_and_prepares_nothing(tmp_path):
    shared = {"source": {"layout": "simulated"}, "models": [{"name": "mean", "kind": "mean"}],
              "arms": [{"name": "mean", "model": "mean", "folds": ["A", "B"]}]}  # fmt: skip
    folds = [{"name": "A", "test": ["T2"]}, {"name": "B", "test": ["T1", "T4"]}]  # A trains on T1 and T4, B on T2
    four = TINY_PLATES + "T4\tstudy\tsimulated\tsource_0\tB4\n"
    folder = write_study(tmp_path, {**shared, "folds": folds}, four)
    wanted = [f"results/models/mean/{fold}/weights.safetensors" for fold in "AB"]
    snakemake(folder, "--cores", "2", *wanted)
    made = {path: path.stat().st_mtime_ns for path in sorted((folder / "results" / "images").rglob("T4*"))}
    assert made
    folds[1]["test"] = ["T1"]
    write_study(tmp_path, {**shared, "folds": folds})
    assert planned(snakemake(folder, "-n", *wanted).stdout) == {"train": 1}
    whole = planned(snakemake(folder, "-n").stdout)
    assert whole["train"] == 1 and {"sample", "score_images", "montage"} <= set(whole)
    assert not {"simulate", "index", "fetch", "illumination", "prepare", "quality"} & set(whole)
    assert {path: path.stat().st_mtime_ns for path in made} == made  # a plate that left the study keeps its files


def test_what_the_changelog_says_takes_a_finished_study_over_into_a_version_of_other_commands(
    clone, finished_study, tmp_path
):
    folder = copy_of(finished_study, tmp_path / "study")
    for wing in ("models", "features", "embedders", "profiles", "scores"):
        rules = clone / "workflow" / "rules" / f"{wing}.smk"
        rules.write_text(re.sub(r"(?<!\) )python -m", "env python -m", rules.read_text()))  # not of $(launch 1) python
    before = planned(snakemake(folder, "-n", root=clone).stdout)
    assert {"sample", "gather", "engine", "cells", "select", "profile", "score_images", "metrics"} <= set(before)
    assert not {"index", "fetch", "prepare", "train"} & set(before)
    (told,) = re.findall(r"`snakemake (--cores 1 --touch .*?)`", (ROOT / "CHANGELOG.md").read_text())
    snakemake(folder, *told.split(), root=clone)
    after = planned(snakemake(folder, "-n", root=clone).stdout)
    assert {"score_images", "metrics", "metrics_table", "worst"} <= set(after)
    stages = ("plates", "models", "features", "embedders", "profiles")
    made = "".join((clone / "workflow" / "rules" / f"{wing}.smk").read_text() for wing in stages)
    assert not set(after) & set(re.findall(r"^rule (\w+):", made, re.MULTILINE))
