"""The environments: one pinned list and one conda YAML each, held equal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ENVS = Path(__file__).parent.parent / "envs"


def pins(lines) -> set[str]:
    """Return the `name==version` pins of a requirements list, names normalised."""
    found = [line.split("#")[0].strip() for line in lines]
    return {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() + "==" + pin.split("==")[1] for pin in found if pin}


@pytest.mark.parametrize(
    ("name", "listed"),
    [("brightpaint", "brightpaint"), ("cellpose", "cellpose"), ("cellprofiler", "cellprofiler-py39")],
)
def test_the_conda_yaml_installs_exactly_the_pinned_list(name, listed):
    environment = yaml.safe_load((ENVS / f"{name}.yaml").read_text())
    by_pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    pinned = [line for line in (ENVS / f"{listed}.txt").read_text().splitlines() if line.strip()]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\[\]-]+==[A-Za-z0-9_.]+", line) for line in pinned)
    script = ENVS / f"{name}.post-deploy.sh"
    after = re.findall(r"^ +([a-z-]+==\S+)", script.read_text(), re.MULTILINE) if script.exists() else []
    assert pins([*by_pip, *after]) == pins(pinned)
    assert not pins(by_pip) & pins(after)


def test_what_is_missing_is_said_in_a_sentence_before_anything_is_installed(tmp_path):
    project = tmp_path / "project"
    (project / "envs").mkdir(parents=True)
    (project / "envs" / "build.sh").write_text((ENVS / "build.sh").read_text())
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "dirname", "cat", "head", "readlink"):
        (tools / tool).symlink_to(subprocess.check_output(["which", tool], text=True).strip())
    environment = {"PATH": str(tools), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path / "none")}
    done = subprocess.run(
        ["bash", str(project / "envs" / "build.sh"), "main"], env=environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    for missing in ("Python 3.11 is missing", "Python 3.9 or 3.10", "C compiler is missing", "JDK is missing"):
        assert missing in done.stderr
    assert "apt-get install" in done.stderr
    assert not (project / ".venv").exists()


def test_the_build_script_is_executable():
    assert os.access(ENVS / "build.sh", os.X_OK)


@pytest.mark.skipif(not sys.prefix.endswith(".venv"), reason="not in the environment that make built")
def test_the_code_is_found_from_any_folder_in_the_environment_that_make_built(tmp_path):
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "brightpaint.plates.tabulate", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_container_is_built_from_the_same_lists_by_the_same_script():
    steps = (ENVS / "Dockerfile").read_text()
    lists = re.findall(r"^    list=(?:envs/)?(\S+\.txt)", (ENVS / "build.sh").read_text(), re.MULTILINE)
    for name in {"brightpaint.txt", "cellprofiler-py39.txt", "cellprofiler-py310.txt", "cellprofiler-build.txt"}:
        assert f"envs/{name}" in steps and (ENVS / name).exists()
    assert lists and all(f"envs/{name}" in steps for name in lists if "$" not in name)
    for step in ("check", "main", "cellprofiler"):
        assert f"envs/build.sh {step}" in steps
    assert not re.search(r"pip install|==\d", steps)  # no second list beside them
