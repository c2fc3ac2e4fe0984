"""Write each conda YAML from its pinned list: `python envs/write_yaml.py`. A test holds the two equal."""

from pathlib import Path

ENVS = Path(__file__).parent
HEAD = """# The same versions as envs/{list}.txt, for `snakemake --sdm conda`. Written by envs/write_yaml.py.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python={python}
{conda}  - pip
  - pip:
{options}{pins}"""

# CellProfiler's bridge to Java is built against a JDK and an old numpy; its list is whole, so nothing is resolved.
CELLPROFILER = [
    "  - openjdk=17",
    "  - c-compiler",
    "  - cxx-compiler",
    "  - numpy=1.24.4",
    "  - cython=0.29",
    "  - setuptools=69.5.1",
]
OPTIONS = ["--no-deps", "--no-build-isolation"]


def write(name: str, listed: str, python: str, conda: list[str], options: list[str]) -> None:
    pins = (ENVS / f"{listed}.txt").read_text().split()
    text = HEAD.format(
        list=listed,
        python=python,
        conda="".join(f"{line}\n" for line in conda),
        options="".join(f'      - "{option}"\n' for option in options),
        pins="".join(f"      - {pin}\n" for pin in pins),
    )
    (ENVS / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    write("brightpaint", "brightpaint", "3.11", [], [])
    write("cellprofiler", "cellprofiler-py39", "3.9", CELLPROFILER, OPTIONS)
