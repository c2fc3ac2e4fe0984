"""A study survives kill -9 at random moments: two kills in CI, more than thirty, in every rule, in `make test-all`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

import kills
from conftest import BY_CELLPROFILER, copy_of

pytestmark = [pytest.mark.slow, pytest.mark.cellprofiler]


def unmade(finished, folder):
    """Copy a finished study without what is trained and painted, and what follows from it."""
    copy_of(finished, folder)
    results = folder / "results"
    for name in ("models", "uncertainty", "sweep", "predicted", "metrics", "figures", "tables"):
        shutil.rmtree(results / name)
    for path in [
        *results.glob("*/pert"),
        *results.glob("*/sweep_*"),
        *results.glob("images/mean"),
        *results.glob("images/pixel"),
    ]:
        shutil.rmtree(path)


@pytest.mark.long
def test_a_killed_painting_and_a_killed_measurement_end_as_if_they_had_not_been(finished_study, tmp_path):
    """The fast part of the campaign below: a kill of everything, and one of the jobs alone, at seeded random moments.

    The measurement is CellProfiler's, for its engine the study's: all that it knows of the cells is the same.
    """
    folder, wanted, rng = tmp_path / "killed", "results/cells/pert/T2.parquet", np.random.default_rng(4)
    measured_by_cellprofiler(copy_of(finished_study, folder))
    for path in [*(folder / "results" / "images" / "pert").glob("T2*"), folder / wanted]:
        path.unlink()
    for rule, way in (("sample", "everything"), ("cellprofiler", "jobs")):
        assert kills.hit(folder, rule, float(rng.uniform(0, 1)), way, wanted), f"no job of {rule} ran"
        assert not (folder / wanted).exists()
        kills.unlock(folder)
    kills.finish(folder, "--rerun-incomplete", wanted)
    masks = "results/masks/pert/T2.tif"
    assert np.array_equal(*(tifffile.imread(each / masks) for each in (finished_study, folder)))
    assert kills.differences(finished_study, folder) == [
        f"differs: {masks}"
    ]  # it says who found them; cells are within 1e-6


def measured_by_cellprofiler(folder: Path) -> None:
    """Write CellProfiler into the config of the study in `folder`."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **BY_CELLPROFILER}, sort_keys=False))


@pytest.mark.exhaustive
def test_a_study_killed_in_four_rules_ends_as_if_it_had_not_been(finished_study, tmp_path):
    unmade(finished_study, folder := tmp_path / "killed")
    rng = np.random.default_rng(3)
    for rule, way in (
        ("train", "everything"),
        ("sample", "snakemake"),
        ("engine", "jobs"),
        ("score_images", "everything"),
    ):
        assert kills.hit(folder, rule, float(rng.uniform(0, 1)), way), f"no job of {rule} ran"
        kills.unlock(folder)
    kills.finish(folder, "--rerun-incomplete")
    assert kills.differences(finished_study, folder) == []


@pytest.mark.exhaustive
def test_thirty_kills_over_every_rule_recover(tmp_path, cellprofiler):
    result = kills.campaign(tmp_path, kills=30, studies=3, seed=1)
    assert result["recovered"], result
    assert result["kills"] >= 30
