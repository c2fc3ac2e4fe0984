"""The environments: one pinned list and one conda YAML each, held equal; what runs apart from what tests."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
import yaml
from packaging.requirements import Requirement

ENVS = Path(__file__).parent.parent / "envs"
PROJECT = tomllib.loads((ENVS.parent / "pyproject.toml").read_text())["project"]
UNPINNED = {"setuptools"}  # torch asks for it, and every environment has one
MADE_BY_MAKE = pytest.mark.skipif(not sys.prefix.endswith(".venv"), reason="not in the environment that make built")


def pins(lines) -> set[str]:
    """Return the `name==version` pins of a requirements list, names normalised."""
    found = [line.split("#")[0].strip() for line in lines]
    return {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() + "==" + pin.split("==")[1] for pin in found if pin}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def listed_names(path: Path) -> set[str]:
    return {pin.split("==")[0] for pin in pins(path.read_text().splitlines())}


def brought_by(requirements: list[str]) -> set[str]:
    """Return the names of all that these requirements install here, by the installed packages' own metadata."""
    todo, seen = [Requirement(text) for text in requirements], set()
    while todo:
        wanted = todo.pop()
        if (key := (plain(wanted.name), frozenset(wanted.extras))) in seen:
            continue
        seen.add(key)
        for text in importlib.metadata.requires(wanted.name) or []:
            below = Requirement(text)
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in {"", *wanted.extras}):
                todo.append(below)
    return {name for name, _ in seen}


@MADE_BY_MAKE
def test_what_runs_what_writes_other_formats_and_what_tests_stand_in_lists_of_their_own_without_a_package_too_many():
    runs = brought_by(PROJECT["dependencies"])
    extras = ("formats", "engine", "umap", "molecules", "test")
    formats, engine, umap, structures, tests = (brought_by(PROJECT["optional-dependencies"][extra]) for extra in extras)
    assert listed_names(ENVS / "brightpaint.txt") == runs - UNPINNED
    assert listed_names(ENVS / "formats.txt") == formats - runs
    assert listed_names(ENVS / "engine.txt") == engine - runs
    assert listed_names(ENVS / "umap.txt") == umap - runs - engine
    assert listed_names(ENVS / "molecules.txt") == structures - runs
    assert listed_names(ENVS / "brightpaint-test.txt") == tests - runs - formats - engine - umap - structures


@MADE_BY_MAKE
def test_the_pins_are_installed_and_new_enough():
    lists = ("brightpaint", "formats", "engine", "umap", "molecules", "brightpaint-test")
    pinned = pins([pin for name in lists for pin in (ENVS / f"{name}.txt").read_text().split()])
    found = {
        f"{plain(one.metadata['Name'])}=={one.version.split('+')[0]}" for one in importlib.metadata.distributions()
    }
    assert pinned <= found
    further = PROJECT["optional-dependencies"]
    for text in PROJECT["dependencies"] + [text for extra in further.values() for text in extra]:
        assert Requirement(text).specifier.contains(importlib.metadata.version(Requirement(text).name)), text


@MADE_BY_MAKE
def test_what_the_code_imports_is_declared():
    further = PROJECT["optional-dependencies"]
    named = PROJECT["dependencies"] + [
        text for extra in ("formats", "engine", "umap", "molecules") for text in further[extra]
    ]
    declared = {plain(Requirement(text).name) for text in named}
    imported = set()
    for path in (ENVS.parent / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            imported |= {name.split(".")[0] for name in names}
    imported -= sys.stdlib_module_names | {
        "brightpaint",
        "cellpose",
        "cv2",
    }  # these two have an environment of their own
    homes = importlib.metadata.packages_distributions()
    undeclared = {name for name in imported if not {plain(home) for home in homes.get(name, [])} & declared}
    assert "scipy" in imported and not undeclared


@pytest.mark.parametrize(
    ("name", "lists"),
    [
        ("brightpaint", ["brightpaint"]),
        ("formats", ["brightpaint", "formats"]),
        ("engine", ["brightpaint", "engine"]),
        ("molecules", ["brightpaint", "molecules"]),
        ("umap", ["brightpaint", "engine", "umap"]),
        ("cellpose", ["cellpose"]),
        ("cellprofiler", ["cellprofiler-py39"]),
    ],
)
def test_the_conda_yaml_installs_exactly_the_pinned_lists(name, lists):
    environment = yaml.safe_load((ENVS / f"{name}.yaml").read_text())
    by_pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    lines = [line for listed in lists for line in (ENVS / f"{listed}.txt").read_text().splitlines()]
    pinned = [line for line in lines if line.strip()]
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


@MADE_BY_MAKE
def test_the_code_is_found_from_any_folder_in_the_environment_that_make_built(tmp_path):
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "brightpaint.plates.tabulate", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_container_is_built_from_the_same_lists_by_the_same_script():
    steps = (ENVS / "Dockerfile").read_text()
    for name in {
        "brightpaint.txt",
        "formats.txt",
        "engine.txt",
        "umap.txt",
        "molecules.txt",
        "cellprofiler-py39.txt",
        "cellprofiler-py310.txt",
        "cellprofiler-build.txt",
    }:
        assert f"envs/{name}" in steps and (ENVS / name).exists()
    assert "brightpaint-test.txt" not in steps and "cellpose.txt" not in steps
    for step in ("check", "runtime", "cellprofiler"):
        assert f"envs/build.sh {step}" in steps
    assert not re.search(r"pip install|==\d", steps)  # no second list beside them


@pytest.mark.parametrize(
    ("step", "lists"),
    [
        ("main", ["brightpaint", "formats", "engine", "umap", "molecules", "brightpaint-test"]),
        ("runtime", ["brightpaint", "formats", "engine", "umap", "molecules"]),
    ],
)
def test_a_whole_environment_is_not_built_again_and_one_with_another_list_is(tmp_path, step, lists):
    """The stamp holds every list that was installed; pip stands in, so that nothing is."""
    (tmp_path / "envs").mkdir()
    for name in (
        "build.sh",
        *(f"{each}.txt" for each in ("brightpaint", "formats", "engine", "umap", "molecules", "brightpaint-test")),
    ):
        (tmp_path / "envs" / name).write_text((ENVS / name).read_text())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" >>"$(dirname "$0")/asked"\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (tmp_path / ".envs" / "cellprofiler").mkdir(parents=True)
    (tmp_path / ".envs" / "cellprofiler" / ".built").touch()
    command = ["bash", str(tmp_path / "envs" / "build.sh"), step]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
    options = " ".join(f"--requirement envs/{name}.txt" for name in lists)
    asked = python.with_name("asked")
    assert asked.read_text() == f"-m pip install --quiet {options}\n"
    assert (tmp_path / ".venv" / ".built").read_text() == "".join((ENVS / f"{name}.txt").read_text() for name in lists)
    with open(tmp_path / "envs" / f"{lists[-1]}.txt", "a") as listed:
        listed.write("another==1\n")
    subprocess.run(command, check=True, capture_output=True)
    assert asked.read_text().count("pip install") == 2
