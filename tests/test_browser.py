"""The report of a finished study, opened in a real browser without a network."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from brightpaint.report import pages
from conftest import snakemake

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def report(finished_study, tmp_path_factory):
    """The report, made as `make demo` makes it."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    snakemake(finished_study, "--report", str(path))
    return path


@pytest.mark.long
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
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900",
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


def asked(page: str, script: str, folder: Path) -> dict:
    """Open a page, let `script` put what it saw into `seen` after a while, and return that."""
    told = f"const seen = {{}}; {script}; document.title = JSON.stringify(seen)"
    told = f"<script>setTimeout(async () => {{ {told} }}, 3000)</script>"
    path, end = folder / "asked.html", page.rindex("</body>")
    path.write_text(page[:end] + told + page[end:])
    dom, console, _ = visit(path, folder)
    assert not [line for line in console if "rror" in line], console
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1]))


@pytest.mark.long
@needs_chromium
def test_the_first_screen_shows_the_answer_and_a_picture_and_its_links_open_pages(report, tmp_path):
    script = """
    const box = name => { const b = document.querySelector(name).getBoundingClientRect(); return [b.top, b.bottom, b.width] };
    seen.screen = [innerWidth, innerHeight]; seen.table = box('#front table'); seen.picture = box('#front img');
    seen.graph = box('#rulegraph'); seen.methods = box('#methods'); seen.text = document.querySelector('#front').innerText;
    seen.drawn = document.querySelector('#front img').naturalWidth;
    const wait = () => new Promise(done => setTimeout(done, 500));
    document.querySelector('#front a').click(); await wait();
    seen.opened = document.querySelector('iframe').src.slice(0, 20);
    app.showCategory('Metrics'); await wait(); seen.metrics = document.querySelector('nav').innerText;
    app.setView({ navbarMode: 'subcategory', category: 'Metrics', subcategory: 'Feature groups' }); await wait();
    seen.toggle = document.querySelector('nav fieldset').innerText"""
    seen = asked(report.read_text(), script, tmp_path)
    width, height = seen["screen"]
    assert width == 1280 and height <= 900
    assert 0 <= seen["table"][0] < seen["table"][1] < seen["picture"][0] < seen["picture"][1] <= height
    assert seen["drawn"] > 500 and seen["picture"][2] > 700 and seen["table"][2] < width
    assert seen["picture"][1] < seen["methods"][0] < seen["graph"][0]
    for words in ("Which arm for which purpose", "to find nuclei", "3 plates", "Beware"):
        assert words in seen["text"], words
    assert seen["opened"].startswith("data:text/html")
    assert {"perturbations", "active", "full"} <= set(seen["toggle"].lower().split())
    assert {"Feature groups", "Tables", "t-SNE"} <= set(seen["metrics"].splitlines())


@needs_chromium
def test_a_long_table_can_be_filtered_and_a_short_one_needs_no_field(tmp_path):
    long = pd.DataFrame({"plate": [f"P{number}" for number in range(12)], "kind": ["old", "new"] * 6})
    page = (
        pages.render("missing.html", counts=pages.table(long), tsv="")
        + str(pages.table(long[:3]).__html__())
        + "</body>"
    )
    script = """
    const field = document.querySelector('input'); seen.fields = document.querySelectorAll('input').length;
    const rows = [...document.querySelectorAll('table')[0].tBodies[0].rows];
    const shown = () => rows.filter(row => !row.hidden).map(row => row.cells[0].innerText);
    const type = text => { field.value = text; field.dispatchEvent(new Event('input')); return shown() };
    seen.both = type('NEW p1'); seen.count = document.querySelector('output').textContent; seen.none = type('zebra');
    seen.all = type(' ').length"""
    seen = asked(page, script, tmp_path)
    assert seen["fields"] == 1 and seen["both"] == ["P1", "P11"] and seen["count"] == " 2 of 12 rows"
    assert seen["none"] == [] and seen["all"] == 12
