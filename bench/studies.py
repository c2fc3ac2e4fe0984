"""Make files of a study by the workflow: what several benchmarks begin with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def check_kept(folder: Path, asked: dict) -> None:
    """Refuse a folder that holds pieces made with other settings; of a new one keep those that are asked for."""
    path, text = folder / "settings.json", json.dumps(asked)
    if path.exists() and path.read_text() != text:
        raise SystemExit(
            f"{path}: made with other settings, {path.read_text()}, asked for {text}; delete the folder to begin anew, or give "
            "another"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make(folder: Path, study: dict, plates: str, wanted: list[str], cores: int = 1) -> None:
    """Write a study's config.yaml and plates.tsv to a folder, and have Snakemake make the wanted files in it.

    Its jobs run by the Python of this process, whether or not its environment is activated; a run that was killed before is
    gone on with, its lock and what it left half made in the way of nothing. SystemExit with the end of Snakemake's output
    if it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plates.tsv").write_text(plates)
    (folder / "config.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(folder / "config.yaml"), "--cores", str(cores), "--show-failed-logs"]
    command += ["--rerun-incomplete", "--nolock", *wanted]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
