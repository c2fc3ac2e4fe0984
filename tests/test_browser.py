"""The report of a finished study, opened in a real browser without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def report(finished_study):
    """The report, made as `make demo` makes it."""
    path = finished_study / "report.html"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory"]
    command += [str(finished_study), "--configfile", str(finished_study / "config.yaml"), "--report", str(path)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def test_the_report_names_every_result_and_fills_the_methods_in(report):
    text = report.read_text()
    assert report.stat().st_size < 30e6
    for word in ("montage", "training loss", "active subset", "Metrics", "CellProfiler", "DDIM"):
        assert word in text, word
    assert "{{" not in text.split("<script")[0]


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt-get install chromium")
def test_the_report_opens_in_a_browser_without_network_or_errors(report, tmp_path):
    log = tmp_path / "net.json"
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", f"--log-net-log={log}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000", "--dump-dom", f"file://{report}",
        ],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert "Workflow" in done.stdout and "Images" in done.stdout, done.stdout[:500]
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    assert not [line for line in console if "rror" in line], console
    urls = {
        event["params"]["url"]
        for event in json.loads(log.read_text())["events"]
        if isinstance(event.get("params"), dict) and str(event["params"].get("url", "")).startswith("http")
    }
    assert not urls
