"""brightpaint as a module of another workflow: names get a prefix, folders are the module's own, outer rules run beside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, TINY, TINY_PLATES, planned

OUTER = """
configfile: "outer.yaml"


module brightpaint:
    snakefile: "SNAKEFILE"
    config: config["painting"]


use rule * from brightpaint as brightpaint_*


rule everything:
    default_target: True
    input:
        rules.brightpaint_all.input,
        "counted.txt",


rule count:
    input:
        "painted/resources/index/T1.parquet",
    output:
        "counted.txt",
    shell:
        "ls -l {input} > {output}"
"""
PATHVARS = {name: f"painted/{name}" for name in ("results", "resources", "logs", "benchmarks")}


@pytest.fixture
def outer(tmp_path) -> Path:
    """A workflow of one rule that uses brightpaint on the tiny study."""
    study = {**json.loads(json.dumps(TINY)), "source": {"layout": "simulated"}, "pathvars": PATHVARS}
    study["cellprofiler"]["pipeline"] = "slim"
    (tmp_path / "plates.tsv").write_text(TINY_PLATES)
    (tmp_path / "outer.yaml").write_text(yaml.safe_dump({"painting": study, "other": 1}))
    (tmp_path / "Snakefile").write_text(OUTER.replace("SNAKEFILE", str(ROOT / "workflow" / "Snakefile")))
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.mark.slow
def test_another_workflow_plans_every_rule_under_a_prefix(outer):
    said = run(outer, "-n")
    jobs = planned(said)
    assert jobs["brightpaint_fetch"] == jobs["brightpaint_prepare"] == 3 and jobs["count"] == 1
    assert set(jobs) - {"count", "everything"} == {name for name in jobs if name.startswith("brightpaint_")}
    outputs = re.findall(r"^    output: (.*)$", said, re.MULTILINE)
    assert all(path.startswith(("painted/", "counted")) for line in outputs for path in line.split(", "))
    stopped = planned(run(outer, "-n", "brightpaint_plates"))
    assert stopped["brightpaint_flag"] == 3 and not {"brightpaint_train", "count"} & set(stopped)


@pytest.mark.long
@pytest.mark.slow
def test_its_jobs_run_in_the_outer_workflows_folder(outer):
    run(outer, "--cores", "2", "counted.txt")
    assert (outer / "painted/resources/index/T1.parquet").exists()
    assert "T1.parquet" in (outer / "counted.txt").read_text()
    made = {path.name for path in outer.iterdir()} - {".snakemake", ".cache"}
    assert made == {"Snakefile", "outer.yaml", "plates.tsv", "painted", "counted.txt"}
