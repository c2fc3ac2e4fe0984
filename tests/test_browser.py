"""The report of a finished study, opened in a real browser without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import snakemake

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def report(finished_study, tmp_path_factory):
    """The report, made as `make demo` makes it."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    snakemake(finished_study, "--report", str(path))
    return path


def test_the_report_names_every_result_and_fills_the_methods_in(report):
    text = report.read_text()
    assert report.stat().st_size < 30e6
    for word in ("montage", "training loss", "active subset", "Metrics", "CellProfiler", "DDIM"):
        assert word in text, word
    assert "{{" not in text.split("<script")[0]


def visit(path: Path, folder: Path) -> tuple[str, list[str], set[str]]:
    """Open a page; return its DOM, the console's lines and the web addresses that the page itself asked for."""
    log = folder / "net.json"
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", f"--log-net-log={log}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000", "--dump-dom", f"file://{path}",
        ],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    asked = [
        event["params"] for event in json.loads(log.read_text())["events"] if isinstance(event.get("params"), dict)
    ]
    # The browser's own requests (its clock, its updates) have no origin.
    own = "not an origin"
    urls = {
        asking["url"]
        for asking in asked
        if asking.get("initiator", own) != own and str(asking.get("url", "")).startswith("http")
    }
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line], urls


needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt-get install chromium")


@needs_chromium
def test_a_page_that_asks_for_the_network_is_noticed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<img src="http://example.com/x.png"><script>console.error("Error: oh")</script>')
    _, console, urls = visit(page, tmp_path)
    assert urls == {"http://example.com/x.png"}
    assert any("Error: oh" in line for line in console)


@needs_chromium
def test_the_report_opens_in_a_browser_without_network_or_errors(report, tmp_path):
    dom, console, urls = visit(report, tmp_path)
    assert "Workflow" in dom and "Images" in dom, dom[:500]
    assert not [line for line in console if "rror" in line], console
    assert not urls
