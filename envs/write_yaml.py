"""Write each conda YAML from its pinned list: `python envs/write_yaml.py`. A test holds the two equal."""

from pathlib import Path

ENVS = Path(__file__).parent
HEAD = """# The same versions as {lists}, for `snakemake --sdm conda`. Written by envs/write_yaml.py.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python={python}
{conda}  - pip
  - pip:
{pins}"""

# What CellProfiler's bridge to Java is compiled with.
COMPILERS = [
    "  - openjdk=17",
    "  - c-compiler",
    "  - cxx-compiler",
    "  - numpy=1.24.4",
    "  - cython=0.29",
    "  - setuptools=69.5.1",
]
# Compiled against that numpy, or asking for a window library and a database that a headless run never loads: pip's
# options for that cannot stand in a YAML, so Snakemake runs a script after the rest is there.
AFTER = ("cellprofiler", "cellprofiler-core", "centrosome", "python-bioformats", "python-javabridge")
SCRIPT = """#!/usr/bin/env bash
# The rest of envs/{list}.txt, run by `snakemake --sdm conda` in the new environment. Written by envs/write_yaml.py.
set -euo pipefail
JAVA_HOME="${{JAVA_HOME:-$CONDA_PREFIX}}" python -m pip install --no-deps --no-build-isolation \\
{pins}
"""


def write(name: str, lists: list[str], python: str, conda: list[str], after: tuple[str, ...] = ()) -> None:
    pins = [pin for listed in lists for pin in (ENVS / f"{listed}.txt").read_text().split()]
    now = [pin for pin in pins if pin.split("==")[0] not in after]
    text = HEAD.format(
        lists=" and ".join(f"envs/{listed}.txt" for listed in lists),
        python=python,
        conda="".join(f"{line}\n" for line in conda),
        pins="".join(f"      - {pin}\n" for pin in now),
    )
    (ENVS / f"{name}.yaml").write_text(text)
    if after:
        later = " \\\n".join(f"    {pin}" for pin in pins if pin not in now)
        (ENVS / f"{name}.post-deploy.sh").write_text(SCRIPT.format(list=lists[0], pins=later))


if __name__ == "__main__":
    write("brightpaint", ["brightpaint"], "3.11", [])
    write("formats", ["brightpaint", "formats"], "3.11", [])
    write("engine", ["brightpaint", "engine"], "3.11", [])
    write("molecules", ["brightpaint", "molecules"], "3.11", [])
    write("umap", ["brightpaint", "engine", "umap"], "3.11", [])
    write("cellpose", ["cellpose"], "3.11", [])
    write("cellprofiler", ["cellprofiler-py39"], "3.9", COMPILERS, AFTER)
