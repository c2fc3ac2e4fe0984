"""A study killed at seeded random moments until every rule was hit, and what is left of it compared with an undisturbed run.

A rule is hit when one of its jobs is running at the kill. Its moment is a random share of the time that the rule took
undisturbed. Three ways to die: everything at once (a node that fails), Snakemake alone (its jobs live on, as on a
cluster), the jobs alone (out of memory). After each, what README tells a user: `--unlock`, and the same command again
with `--rerun-incomplete`.

    python tests/kills.py --folder /tmp/kills --kills 30 --studies 3 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from conftest import BY_CELLPROFILER, snakemake, snakemake_command, write_study

STARTED = re.compile(r"^(?:local)?rule (\w+):$")
JOB = re.compile(r"^    jobid: (\d+)$")
FINISHED = re.compile(r"^Finished jobid: (\d+) \(Rule: (\w+)\)$")
WAYS = ("everything", "snakemake", "jobs")
BUSY = "is being made by another process"  # a job that outlived its Snakemake holds its lock
TIMED = ("sweep",)  # holds seconds, as .seconds.tsv files and what is made from them do
MEASURED = ("cells", "medians", "profiles", "selection", "active", "metrics", "tables")  # from CellProfiler: to 1e-6
SECONDS = 1800


@dataclass
class Watch:
    """Which jobs of a Snakemake run are running, by its log.

    Attributes
    ----------
    running : {job number: (rule, moment it was first seen)}
    seconds : {rule: seconds of its first finished job}, in the order in which rules began
    """

    log: Path
    running: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    _read: int = 0
    _rule: str = ""

    def look(self) -> None:
        """Read what was logged since the last look."""
        text = self.log.read_bytes()[self._read :]
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            self._note(line)

    def _note(self, line: str) -> None:
        if found := STARTED.match(line):
            self._rule = found[1]
            self.seconds.setdefault(self._rule, None)
        elif (found := JOB.match(line)) and self._rule:
            self.running[found[1]], self._rule = (self._rule, time.monotonic()), ""
        elif found := FINISHED.match(line):
            rule, began = self.running.pop(found[1], (found[2], time.monotonic()))
            if self.seconds.get(rule) is None:
                self.seconds[rule] = time.monotonic() - began

    def began(self, rule: str) -> float | None:
        """Return when a job of `rule` that is still running began, or None."""
        return next((moment for name, moment in self.running.values() if name == rule), None)


@contextlib.contextmanager
def snakemake_run(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen, Watch]]:
    """Start Snakemake in a process group of its own; whatever is left of it at the end is killed."""
    words = ("--no-hooks", "--show-failed-logs")  # Snakemake's own, of which `Watch` reads what runs
    command, environment = snakemake_command(folder, "--cores", "2", *words, *arguments)
    log = folder / f"run{len(list(folder.glob('run*.log'))):03d}.log"
    with open(log, "w") as handle:
        process = subprocess.Popen(command, stdout=handle, stderr=handle, env=environment, start_new_session=True)
    yield process, Watch(log)
    if process.poll() is None:
        kill(process, "everything")


def kill(process: subprocess.Popen, way: str) -> None:
    """Kill -9 in one of three ways, and wait for Snakemake to end."""
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        if way == "everything":
            os.killpg(process.pid, signal.SIGKILL)
        elif way == "snakemake":
            process.kill()
        else:
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
    process.wait()


def finish(folder: Path, *arguments: str) -> Watch:
    """Run to the end; while a job that outlived its Snakemake is at work, wait and run again."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with snakemake_run(folder, *arguments) as (process, watch):
            while process.poll() is None and time.monotonic() < until:
                watch.look()
                time.sleep(0.05)
        watch.look()
        said = watch.log.read_text()
        if process.returncode == 0:
            return watch
        if BUSY not in said:
            break
        time.sleep(2)
        unlock(folder)
    raise AssertionError(f"{watch.log}: the study did not finish\n{said[-6000:]}")


def unlock(folder: Path) -> None:
    """Type what README says after a crash."""
    snakemake(folder, "--unlock")


def hit(folder: Path, rule: str, delay_s: float, way: str, *arguments: str) -> bool:
    """Run until a job of `rule` has run for `delay_s`, then kill; False where it was over sooner or never came."""
    until = time.monotonic() + SECONDS
    with snakemake_run(folder, "--rerun-incomplete", *arguments) as (process, watch):
        while process.poll() is None and time.monotonic() < until:
            watch.look()
            began = watch.began(rule)
            if began is not None and time.monotonic() - began >= delay_s:
                kill(process, way)
                return True
            time.sleep(0.02)
    if process.returncode and BUSY not in (said := watch.log.read_text()):
        raise AssertionError(f"{watch.log}: the study failed where nothing was killed\n{said[-6000:]}")
    return False


def kill_until_hit(folder: Path, rules: Sequence[str], seconds: dict, rng: np.random.Generator) -> list[dict]:
    """Kill one job of each of `rules`, in the order in which they run; return the kills that hit."""
    hits = []
    for rule in rules:
        share, way = float(rng.uniform(0, 0.9)), str(rng.choice(WAYS))
        for attempt in range(4):
            forced = ["--forcerun", rule] if attempt > 1 else []  # it was over sooner than we looked: once more
            if hit(folder, rule, share * (seconds[rule] or 0) / (attempt + 1), way, *forced):
                hits.append({"rule": rule, "share": round(share, 2), "way": way})
                unlock(folder)
                break
            time.sleep(2)
            unlock(folder)
    return hits


def artefacts(folder: Path) -> dict[str, Path]:
    """Return every file below results and resources but logs, benchmarks and seconds, hidden ones too, by name."""
    found = {}
    for top in ("results", "resources"):
        for path in (folder / top).rglob("*"):
            name = path.relative_to(folder)
            other = {"logs", "benchmarks", *TIMED} & set(name.parts) or path.name.endswith(".seconds.tsv")
            if path.is_file() and not other and path.name != ".snakemake_timestamp":
                found[str(name)] = path
    return found


def differences(expected: Path, found: Path) -> list[str]:
    """Say in what two finished studies differ: names, bytes, and tables from CellProfiler beyond 1e-6."""
    here, there = artefacts(expected), artefacts(found)
    said = [f"only undisturbed: {name}" for name in sorted(here.keys() - there.keys())]
    said += [f"only disturbed: {name}" for name in sorted(there.keys() - here.keys())]
    for name in sorted(here.keys() & there.keys()):
        ours, theirs = here[name].read_bytes(), there[name].read_bytes()
        theirs = theirs.replace(str(found).encode(), str(expected).encode())  # load_data.csv names its own folder
        if ours != theirs and not _close(here[name], there[name], name):
            said.append(f"differs: {name}")
    return said


def _close(one: Path, other: Path, name: str) -> bool:
    if name.split("/")[1] not in MEASURED or one.suffix not in (".parquet", ".tsv"):
        return False
    read = pd.read_parquet if one.suffix == ".parquet" else lambda path: pd.read_csv(path, sep="\t")
    try:
        pd.testing.assert_frame_equal(read(one), read(other), rtol=1e-6, atol=1e-9)
    except AssertionError:
        return False
    return True


def main(argv=None) -> None:
    """Kill a study again and again, and say whether it recovered: one JSON line a kill, one for the end."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30, help="at least so many; each rule is hit at least once")
    parser.add_argument("--studies", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    result = campaign(args.folder, kills=args.kills, studies=args.studies, seed=args.seed)
    raise SystemExit(0 if result["recovered"] else 1)


def campaign(root: Path, *, kills: int, studies: int, seed: int) -> dict:
    """Kill studies below `root` until every rule was hit and there were `kills`; return what happened."""
    changes = {"source": {"layout": "simulated"}, **BY_CELLPROFILER}
    calm = write_study(root / "undisturbed", changes)
    seconds = finish(calm).seconds
    order = [rule for rule in seconds if rule != "all"]
    rng, hits, wrong = np.random.default_rng(seed), [], []
    extra = rng.choice(order, max(0, kills - len(order))).tolist()
    wanted = sorted([*order, *extra], key=order.index)
    for number in range(studies):
        folder = write_study(root / f"disturbed{number}", changes)
        left = [rule for rule in dict.fromkeys(order) if rule not in {each["rule"] for each in hits}]
        mine = wanted[number::studies] if number < studies - 1 else _remaining(wanted, hits, left, order)
        for each in (found := kill_until_hit(folder, mine, seconds, rng)):
            print(json.dumps({"study": number, **each}), flush=True)
        hits += found
        finish(folder, "--rerun-incomplete")
        wrong += [f"study {number}: {line}" for line in differences(calm, folder)]
    missed = sorted(set(order) - {each["rule"] for each in hits})
    result = {"bench": "kills", "kills": len(hits), "rules": len(order), "missed": missed, "differences": wrong,
              "recovered": not wrong and not missed and len(hits) >= kills}  # fmt: skip
    print(json.dumps(result), flush=True)
    return result


def _remaining(wanted: list, hits: list, left: list, order: list) -> list:
    """Return what the last study must hit: the rules never hit, and kills enough for the number asked for."""
    more = [rule for rule in wanted if rule not in left][: max(0, len(wanted) - len(hits) - len(left))]
    return sorted([*left, *more], key=order.index)


if __name__ == "__main__":
    main()
