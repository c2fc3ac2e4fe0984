"""Draw which rule feeds which, from Snakemake's own rule graphs of the paper's study, the demo and the simulated doses.

    python -m brightpaint.plan.rulegraph            (make rulegraph) writes docs/rulegraph.md, which GitHub shows as a picture

`all` is left out: it asks for the results of most rules. `fetch_illumination` joins where the config asks for
published illumination functions.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from brightpaint import store
from brightpaint.base import cli

ROOT = Path(__file__).parents[3]
STUDIES = ("config/config.yaml", "config/demo.yaml", "config/doses.yaml")
HEADING = "# Which rule feeds which\n\nWritten by `make rulegraph`; a test holds it equal to the rules.\n\n"


def edges_of(mermaid: str) -> set[tuple[str, str]]:
    """Return the (from, to) pairs of rule names of Snakemake's Mermaid text, without those to `all`."""
    names = dict(re.findall(r"^\s*(id\d+)\[(.+?)\]", mermaid, re.MULTILINE))
    pairs = re.findall(r"^\s*(id\d+)\s*-->\s*(id\d+)", mermaid, re.MULTILINE)
    if not pairs:
        raise ValueError(f"snakemake --rulegraph printed no edges\n{mermaid[-2000:]}")
    return {(names[one], names[other]) for one, other in pairs if names[other] != "all"}


def rule_graph(config: str) -> set[tuple[str, str]]:
    """Return the edges of one study's rule graph, whatever of it has been made."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", config]
    command += ["--rulegraph", "mermaid-js", "--forceall", "--nolock"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"snakemake --rulegraph ended with {done.returncode}\n{done.stderr[-2000:]}")
    return edges_of(done.stdout)


def as_text(edges: set[tuple[str, str]]) -> str:
    """Return the page: Mermaid text with the edges in alphabetical order."""
    lines = [f"    {one} --> {other}" for one, other in sorted(edges)]
    return HEADING + "\n".join(["```mermaid", "flowchart TB", *lines, "```", ""])


def main(argv: list[str] | None = None) -> None:
    """Write docs/rulegraph.md."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "rulegraph.md")
    args = parser.parse_args(argv)
    text = as_text(set().union(*map(rule_graph, STUDIES)))
    with store.atomic(args.page) as partial:
        partial.write_text(text)


if __name__ == "__main__":
    cli.run(main)
