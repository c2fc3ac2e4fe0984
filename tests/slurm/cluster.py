"""A real single-node SLURM for tests, and what its accounting says of a run's jobs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from conftest import ROOT, cellprofiler_command

SCRIPT = Path(__file__).parent / "cluster.sh"
WATCHFUL = Path(__file__).parent / "watchful.py"
PROGRAMS = ("sbatch", "sacct", "slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd")
STARTED: list[subprocess.Popen] = []  # every Snakemake of a test, so that none outlives the cluster
FIELDS = "JobID,State,Partition,ReqTRES,Timelimit,Submit,Start,End,ExitCode,Comment"


def why_not() -> str | None:
    """Return why no cluster can be started here, or None."""
    if asked() not in ("1", "try"):
        return "BRIGHTPAINT_SLURM is neither 1 nor try: make test-slurm sets it"
    if os.geteuid():
        return "SLURM is started by root alone: sudo make test-slurm"
    os.environ["PATH"] = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm slurmdbd munge mariadb-server"
    return None


def asked() -> str:
    """Return `1` where the tests must run, `try` where they are skipped if no cluster starts, or nothing."""
    return os.environ.get("BRIGHTPAINT_SLURM", "")


def start(folder: Path) -> None:
    """Start the cluster; its state and logs go to `folder`. RuntimeError says why it did not start."""
    done = subprocess.run(
        [SCRIPT, "start", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"SLURM did not start; its logs are in {folder}/log: {done.stdout.strip()}")


def stop(folder: Path) -> None:
    """Cancel all jobs and end every daemon, and what the tests started."""
    for process in STARTED:
        if process.poll() is None:
            process.kill()
    subprocess.run([SCRIPT, "stop", folder], timeout=600, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def command(folder: Path, *arguments: str) -> list[str]:
    """Return the call that runs a study in `folder` by the SLURM profile as it is shipped."""
    called = [sys.executable, str(WATCHFUL), "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    called += ["--profile", str(ROOT / "slurm"), "--configfile", str(folder / "config.yaml")]
    return [*called, "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10", *arguments]


def environment() -> dict[str, str]:
    """Return the environment in which a study's Snakemake is called."""
    found = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if cellprofiler_command():
        found["BRIGHTPAINT_CELLPROFILER"] = cellprofiler_command()
    return found


def heed_ctrl_c() -> None:
    """Let SIGINT end this process: what a script starts in the background ignores it, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def begin(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start Snakemake on the cluster, in a session of its own; its output goes to snakemake.log in `folder`."""
    with open(folder / "snakemake.log", "a") as log:
        process = subprocess.Popen(
            command(folder, *arguments), stdout=log, stderr=subprocess.STDOUT, env=environment(),
            cwd=folder, start_new_session=True, preexec_fn=heed_ctrl_c,
        )  # fmt: skip
    STARTED.append(process)
    return process


def run(folder: Path, *arguments: str, check: bool = True, timeout_s: float = 600) -> int:
    """Run Snakemake on the cluster to its end."""
    code = begin(folder, *arguments).wait(timeout_s)
    if check and code:
        raise AssertionError(f"Snakemake ended with {code}\n{said(folder)[-6000:]}")
    return code


def said(folder: Path) -> str:
    """Return all that Snakemake has printed in `folder`."""
    return (folder / "snakemake.log").read_text()


def jobs(since: float = 0) -> pd.DataFrame:
    """Return one row a job that was submitted after `since` (seconds of the epoch), of any state, with its `rule`."""
    begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since))
    called = ["sacct", "-X", "-P", "-n", "--starttime", begin, "--format", FIELDS]
    out = subprocess.run(called, text=True, stdout=subprocess.PIPE, check=True).stdout
    rows = [line.split("|", FIELDS.count(",")) for line in out.splitlines()]
    table = pd.DataFrame(rows, columns=FIELDS.split(","))
    table = table[pd.to_datetime(table["Submit"]).map(lambda at: at.timestamp()) + time.timezone >= int(since)]
    table["rule"] = table["Comment"].str.extract(r"rule_(\w+?)(?:_wildcards_|$)", expand=False)
    return table.reset_index(drop=True)


def wait_for(condition, seconds: float, what: str):
    """Return what `condition()` returns as soon as it is true; an error names `what` after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")
