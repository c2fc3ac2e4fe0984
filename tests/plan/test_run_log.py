"""What a run shows in the place of Snakemake's own words: on a terminal a block that is redrawn, in a file few lines."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import warm
from brightpaint.plan.run_log import tail
from brightpaint.plan.screen import Screen
from conftest import QUICK, ROOT, snakemake, warm_python, write_study

# Sixty jobs and one that fails, as the real Snakefile shows them; `slow` waits to be interrupted.
SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT / "src")!r})
from snakemake.logging import logger
from brightpaint.plan.run_log import RunLog
RUN_LOG = RunLog(workflow, "results")
if workflow.is_main_process:
    RUN_LOG.attach(logger)
onstart:
    RUN_LOG.begin(log, lambda jobs: {{}})
onsuccess:
    RUN_LOG.end(log, well=True, next_step="type this")
onerror:
    RUN_LOG.end(log, well=False)
rule all:
    input: expand("plates/{{n}}", n=range(60)), "models/a", "models/b"
rule slow:
    input: "slow"
include: "rules/plates.smk"
include: "rules/models.smk"
"""
PLATES = """
rule fetch:
    output: "plates/{n}"
    log: "logs/fetch/{n}.log"
    shell: "touch {output}"
rule wait:
    output: "slow"
    shell: "sleep 60; touch {output}"
"""
MODELS = """
rule train:
    output: "models/{name}"
    log: "logs/train/{name}.log"
    shell: "for n in $(seq 40); do echo line $n; done > {log};"
           " echo 'error: plate SIM003, well A01: %s' >> {log}; test {wildcards.name} = b && touch {output}"
""" % ("expected this and found that; " * 5)  # noqa: UP031  # braces are Snakemake's


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "rules" / "plates.smk").write_text(PLATES)
    (tmp_path / "rules" / "models.smk").write_text(MODELS)
    return tmp_path


def run(folder: Path, *arguments: str):
    command = ["-m", "snakemake", *QUICK, "--directory", str(folder), "--snakefile", str(folder / "Snakefile")]
    return warm_python(*warm.PLANNING).run([*command, "--cores", "4", *arguments], dict(os.environ))


def terminal(columns: int = 80, rows: int = 24) -> tuple[int, int]:
    """Return the two ends of a terminal of this size: what is read, and what a program writes to."""
    near, far = os.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return near, far


def shown(near: int, until: str = "", seconds: float = 300) -> str:
    """Read what a terminal was written, until a word or its end."""
    text, began = "", time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            part = os.read(near, 65536).decode()
        except OSError:
            break
        text += part
        if not part or (until and until in text):
            break
    return text


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").splitlines()


def test_a_file_gets_few_lines_and_of_a_failure_its_log_and_last_lines(tiny):
    done = run(tiny, "--keep-going")
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and len(lines) < 35, done.stdout
    assert (
        re.fullmatch(r"62 jobs to do\. All that is done is written down in \.snakemake/log/.*", lines[1])
        and "\x1b" not in done.stdout
    )
    assert [line.split()[2] for line in lines if " plates " in line] == ["15/60", "30/60", "45/60", "60/60"]
    failed = lines.index("FAILED    train (name a)")
    assert lines[failed + 1] == "log       logs/train/a.log" and lines[failed + 2] == "  | line 34"
    assert lines[failed + 9].startswith("  | error: plate SIM003, well A01: expected this and found that; expected")
    end = next(n for n, line in enumerate(lines) if line.startswith("Stopped"))
    assert re.fullmatch(r"Stopped after 0:\d\d: 1 job failed, 61 of 62 are done\.", lines[end])
    assert lines[end + 1] == "  train (name a): logs/train/a.log"
    log = lines[end + 3].split()[1]
    assert log.startswith(".snakemake/log/") and "reason: Missing output files: plates/7" in (tiny / log).read_text()
    assert "Traceback" not in done.stdout and lines[-1].startswith("go on    the same command again")


def test_nothing_is_changed_in_a_dry_run_and_where_snakemakes_own_words_are_asked_for(tiny):
    planned = run(tiny, "-n", "plates/1").stdout
    assert "SNAKEMAKE\n" in planned and "reason: Missing output files" in planned and "jobs to do" not in planned
    (tiny / "plates").mkdir()
    own = run(tiny, "--no-hooks", "plates/2").stdout
    assert "SNAKEMAKE\n" in own and "Finished jobid" in own and "jobs to do" not in own
    assert run(tiny, "--quiet", "all", "--", "plates/3").stdout.strip() == ""
    there = run(tiny, "plates/3").stdout
    assert "Nothing to be done" in there and "SNAKEMAKE" not in there


def test_a_run_that_ends_well_says_where_to_look(tiny):
    lines = run(tiny, "models/b").stdout.splitlines()
    assert re.fullmatch(r"Done: 1 job in 0:\d\d\.", lines[-4])
    assert [line.split()[0] for line in lines[-3:]] == ["results", "log", "report"] and "type this" in lines[-1]


def test_a_terminal_is_redrawn_and_ctrl_c_reaches_snakemake(tiny):
    near, far = terminal()
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "slow", "plates/1"]
    process = subprocess.Popen(
        command,
        cwd=tiny,
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(far)
    text = shown(near, "now       wait")
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does at Ctrl-C: all of its foreground gets it
    text += shown(near)
    os.close(near)
    assert process.wait(30) == 1 and not (tiny / "slow").exists()
    lines = plain(text)
    assert max(map(len, lines)) < 80 and re.search(r"\x1b\[\dA\x1b\[J", text)
    assert any(re.fullmatch(r"Stopped before the end, after 0:\d\d: [01] of 2 are done\.", line) for line in lines), (
        text
    )


def test_what_is_said_stands_above_the_block_and_is_folded_at_the_width_of_the_terminal():
    near, far = terminal(columns=40)
    with open(far, "w") as stream:
        os.environ["TERM"], before = "xterm", os.environ.get("TERM", "")
        screen = Screen(stream, lambda: ["a" * 90, "b"])
        os.environ["TERM"] = before
        screen.draw()
        screen.say("word " * 12)
        screen.close()
        screen.say("last")
        stream.flush()
        text = shown(near, "last")  # a terminal may hand on what it was written in parts
    os.close(near)
    assert max(map(len, plain(text))) == 39  # the block is cut, words are folded
    assert "\x1b[2A\x1b[Jword word" in text  # over the block that stood there
    assert plain(text)[-3:] == ["a" * 39, "b", "last"]


def test_the_tail_of_a_log_is_its_last_lines_without_colours_bars_and_endless_lines(tmp_path):
    log = tmp_path / "log"
    log.write_text("first\n" * 50 + "\x1b[31mred\x1b[0m\n\n10%\r20%\r30%\n" + "x" * 5000 + "\n")
    *_, red, ten, twenty, thirty, long = tail(str(log))
    assert (red, ten, twenty, thirty) == ("red", "10%", "20%", "30%") and len(long) < 700 and len(tail(str(log))) == 8
    assert tail(str(tmp_path / "none")) == []


def test_the_workflow_itself_is_shown_so(tmp_path):
    """A table with a site that is none: the first rule fails, and its sentence is what a user reads."""
    folder = write_study(tmp_path, {"source": {"layout": "table", "table": "own.csv"}})
    (folder / "own.csv").write_text("plate,well,site,channel,file,perturbation\nT1,A01,x,DNA,a.tif,p\n")
    done = snakemake(folder, "--cores", "1", "resources/index/T1.parquet", check=False)
    assert done.returncode == 1 and "FAILED    index (plate T1)" in done.stdout, done.stdout
    assert "  | error: " in done.stdout and "own.csv" in done.stdout.split("  | error: ")[1]
    assert "Stopped after" in done.stdout and "reason:" not in done.stdout and "set -euo" not in done.stdout


def test_a_whole_study_is_told_in_few_lines(finished_study):
    lines = (finished_study / "run.txt").read_text().splitlines()
    assert len(lines) < 80 and max(map(len, lines)) < 150
    assert {"plates", "models", "features", "profiles", "scores", "report", "all"} <= {
        line.split()[1] for line in lines if re.match(r"\d\d:\d\d:\d\d ", line)
    }
    end = ["Done:", "results", "log", *([] if "MAKELEVEL" in os.environ else ["report"])]  # make writes it itself
    assert [line.split()[0] for line in lines[-len(end) :]] == end
