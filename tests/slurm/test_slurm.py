"""The workflow on a real single-node SLURM: jobs get what their rules ask for, and whatever is killed goes on.

One tiny study is disturbed on its way and then finished; an undisturbed run, here and without a cluster, says what
its bytes should be. Trainings are held up (SIGSTOP) where a moment must not be missed: no test depends on speed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cluster
import psutil
import pytest

from brightpaint import store
from conftest import copy_of, snakemake, write_study

pytestmark = pytest.mark.slow
PAINTED = "results/images/pert/T2.tif"
WEIGHTS = "results/models/pert/A/weights.safetensors"
# What follows these would be forty jobs more of the same kind, each of which starts Snakemake twice.
REACHED = [
    "results/active/perturbations.tsv",
    "results/medians/pert/T2.parquet",
    "results/models/mean/A/weights.safetensors",
]
IMAGES = 600  # five seconds of one core and more: no hold comes too late
LONG = 1800  # seconds after which a wait is given up; a free machine takes a tenth of it


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory):
    """The cluster, for all tests of this module."""
    if reason := cluster.why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o755)
    for parent in folder.parents:  # munge and MariaDB run as users of their own
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    try:
        started(folder)
        yield folder
    finally:
        cluster.stop(folder)


def started(folder: Path) -> None:
    """Start the cluster; with BRIGHTPAINT_SLURM=try a machine that cannot is a reason to skip, no failure."""
    try:
        cluster.start(folder)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        if cluster.asked() != "try":
            raise
        pytest.skip(str(error))


def tiny_study(folder: Path) -> Path:
    """Two simulated plates, one network and one floor."""
    models = [{"name": "pert", "label": "perturbation", "preset": "fast", "width": 8}, {"name": "mean", "kind": "mean"}]
    arms = [
        {"name": "pert", "model": "pert", "folds": ["A"], "steps": 2},
        {"name": "mean", "model": "mean", "folds": ["A"]},
    ]
    plates = "plate\trole\tproject\tsource\tbatch\n"
    plates += "".join(f"T{number}\tstudy\tsimulated\tsource_0\tB{number}\n" for number in (1, 2))
    changes = {
        "source": {"layout": "simulated"},
        "folds": [{"name": "A", "test": ["T2"]}],
        "train": {"images": IMAGES, "batch": 4, "crop_px": 64, "learning_rate": 1e-3},
        "models": models,
        "arms": arms,
        "sample": {"parts": 1, "batch": 2},
        "compute": {"device": "cpu", "torch_threads": 1, "save_every_s": 0},
    }
    return write_study(folder, changes, plates)


def begun(folder: Path) -> Path:
    """Write the study, with plate T1 prepared and T2 simulated here: a job of the cluster starts Snakemake twice."""
    snakemake(tiny_study(folder), "--cores", "2", "--", "results/flags/T1.tsv", "resources/index/T2.parquet")
    return folder


def undisturbed(folder: Path) -> Path:
    """Bring a study to its painted plate here, without a cluster."""
    snakemake(folder, "--cores", "2", "--resources", "gpu=1", "--", PAINTED)
    return folder


def trainings(folder: Path) -> list[psutil.Process]:
    """Return the trainings of `pert` that run in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            here = process.cwd() == str(folder)
        except psutil.Error:
            continue
        if here and line[1:3] == ["-m", "brightpaint.models.train"] and WEIGHTS in line:
            found.append(process)
    return found


def held_up(folder: Path) -> psutil.Process:
    """Wait for a training that saves itself while it is watched, and stop its clock."""
    partial, first_seen = folder / f"{WEIGHTS}.partial", {}

    def has_saved():
        changed = partial.stat().st_mtime_ns if partial.exists() else 0
        return next((each for each in trainings(folder) if first_seen.setdefault(each.pid, changed) != changed), None)

    process = cluster.wait_for(has_saved, LONG, "a training that saves itself")
    process.suspend()
    return process


def go_on(training: psutil.Process) -> None:
    """Let a training's clock run again, so that it can answer the signal that waits for it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        training.resume()


def running(rule: str) -> list[str]:
    """Return the ids of a rule's jobs that SLURM runs now."""
    listed = subprocess.run(
        ["squeue", "-h", "-t", "RUNNING", "-o", "%i %k"], text=True, capture_output=True, check=True
    )
    return [line.split()[0] for line in listed.stdout.splitlines() if f"rule_{rule}_" in line]


def no_jobs() -> bool:
    return not subprocess.run(["squeue", "-h"], text=True, capture_output=True, check=True).stdout.strip()


def unlock(folder: Path) -> None:
    """Do what the README tells a user to do after Snakemake was killed."""
    snakemake(folder, "--unlock")


def half_written(folder: Path) -> list[str]:
    """Return what stands under a declared name of the training, or under a temporary one anywhere."""
    odd = [WEIGHTS] if (folder / WEIGHTS).exists() else []
    return odd + [str(path) for path in folder.glob("results/**/*.tmp*")]


def seen_at_last_stop(folder: Path) -> int:
    """Return the images that the unfinished training had seen."""
    return store.read_weights(folder / f"{WEIGHTS}.partial")[1]["seen"]


@pytest.fixture(scope="module")
def disturbed(slurm, tmp_path_factory) -> dict:
    """The study brought to its painted plate through scancel, SIGKILL, a time limit and Ctrl-C; what was seen on the way."""
    pool = ThreadPoolExecutor(1)
    folder = begun(tmp_path_factory.mktemp("disturbed"))
    calm = copy_of(folder, tmp_path_factory.mktemp("undisturbed") / "study")
    seen, often = {"began": time.time()}, ["--retries", "9"]

    first = cluster.begin(folder, *often, PAINTED)
    cancelled = cluster.wait_for(lambda: running("fetch"), LONG, "a job of fetch")[0]
    subprocess.run(["scancel", cancelled], check=True)
    seen["cancelled"] = cancelled

    training = held_up(folder)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    seen["alive after SIGKILL"] = training.is_running() and running("train")
    unlock(folder)
    second = cluster.begin(folder, *often, PAINTED)
    refusal = "is being made by another process; wait for it, or stop it and rerun"
    cluster.wait_for(lambda: refusal in cluster.said(folder), LONG, "the refusal of a second training")
    subprocess.run(["scancel", *seen["alive after SIGKILL"]], check=True)
    go_on(training)
    cluster.wait_for(lambda: not training.is_running(), 600, "the end of the cancelled training")

    training = held_up(folder)
    second.send_signal(signal.SIGSTOP)  # else the next attempt empties the log, before it is read on a busy machine
    for job in running("train"):
        subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=1"], check=True)
    seen["undisturbed"] = pool.submit(undisturbed, calm)  # a minute's wait, put to use
    timed_out = cluster.wait_for(lambda: list(of_state("train", "TIMEOUT", seen["began"])), LONG, "the time limit")
    go_on(training)
    cluster.wait_for(lambda: not training.is_running(), 600, "the end of the training")  # sacct says TIMEOUT at once
    seen["timed out"], seen["log"] = timed_out[0], (folder / "logs/train/pert/A.log").read_text()
    seen["images"] = [seen_at_last_stop(folder)]
    second.send_signal(signal.SIGCONT)

    training = held_up(folder)
    os.killpg(second.pid, signal.SIGINT)
    cluster.wait_for(lambda: not running("train"), LONG, "Ctrl-C to reach the cluster")
    go_on(training)
    seen["code of Ctrl-C"] = second.wait(LONG)
    cluster.wait_for(no_jobs, 600, "the end of all jobs after Ctrl-C")
    seen["half written"] = half_written(folder)
    seen["images"].append(seen_at_last_stop(folder))

    cluster.run(folder, PAINTED, timeout_s=LONG)
    return {**seen, "folder": folder}


def of_state(rule: str, state: str, since: float):
    """Return the ids of a rule's jobs in `state`."""
    table = cluster.jobs(since)
    return table["JobID"][table["rule"].eq(rule) & table["State"].str.startswith(state)]


def test_a_cancelled_job_is_submitted_again(disturbed):
    table = cluster.jobs(disturbed["began"]).set_index("JobID")
    assert table.loc[disturbed["cancelled"], "State"].startswith("CANCELLED")
    comment = table.loc[disturbed["cancelled"], "Comment"]
    assert "COMPLETED" in set(table["State"][table["Comment"].eq(comment)])


def test_a_killed_snakemake_leaves_its_job_and_a_second_writer_is_refused(disturbed):
    assert disturbed["alive after SIGKILL"]  # and the refusal was waited for, in the second run's output


def test_a_job_over_its_time_limit_is_told_so_and_its_training_saves_itself(disturbed):
    assert "stopped by SIGTERM at image" in disturbed["log"]
    said = cluster.said(disturbed["folder"])
    assert f"'{disturbed['timed out']}'" in said and "TIMEOUT" in said
    assert 0 < disturbed["images"][0] < IMAGES


def test_ctrl_c_ends_the_jobs_and_leaves_nothing_half_written(disturbed):
    assert disturbed["code of Ctrl-C"] != 0
    assert disturbed["half written"] == []
    assert disturbed["images"][0] < disturbed["images"][1] < IMAGES  # it went on in between, and was saved again


def test_what_was_disturbed_ends_with_the_bytes_of_an_undisturbed_run(disturbed):
    undisturbed = disturbed["undisturbed"].result(LONG)
    for name in (WEIGHTS, PAINTED, "results/images/real/T2.tif"):
        assert (disturbed["folder"] / name).read_bytes() == (undisturbed / name).read_bytes(), name
    history = store.read_json_lines((disturbed["folder"] / WEIGHTS).with_name("history.jsonl"))
    counts = [line["images"] for line in history if "loss" in line]
    assert counts == sorted(set(counts)) and counts[-1] == IMAGES


@pytest.fixture(scope="module")
def finished(disturbed) -> dict:
    """The study to its active perturbations, with too little memory for `select` at first."""
    since = time.time()
    low = [
        "--set-resources",
        "select:mem_mb=350 * attempt",
        "train:slurm_partition=gpu",
        "sample:slurm_partition=gpu",
    ]
    cluster.run(disturbed["folder"], *low, "--", *REACHED, timeout_s=LONG)
    return {**disturbed, "resumed": since}


def test_a_job_over_its_memory_comes_back_with_more(finished):
    table = cluster.jobs(finished["resumed"])
    select = table[table["rule"].eq("select")].reset_index(drop=True)
    assert list(select["State"].str.startswith("COMPLETED")) == [False] * (len(select) - 1) + [True]
    asked = select["ReqTRES"].str.extract(r"mem=(\d+)M", expand=False).astype(int)
    logs = finished["folder"] / ".snakemake" / "slurm_logs" / "rule_select"
    killed = next(logs.rglob(f"{select['JobID'][0]}.log"))  # in a folder of its space
    assert "exceeded memory limit" in killed.read_text()
    assert len(select) >= 2 and list(asked) == [350 * attempt for attempt in range(1, len(select) + 1)]


def test_the_study_goes_to_its_actives_and_sacct_shows_what_was_asked_for(finished):
    assert all((finished["folder"] / name).exists() for name in REACHED)
    assert "Nothing to be done" in snakemake(finished["folder"], "-n", "--", *REACHED).stdout
    table = cluster.jobs(finished["began"])
    done = table[table["State"].eq("COMPLETED")]
    rules = set(done["rule"].dropna())
    assert {"fetch", "prepare", "train", "sample", "gather", "select", "active"} <= rules
    train = done[done["Comment"].eq("rule_train_wildcards_pert_A")].iloc[-1]
    assert "gres/gpu=1" in train["ReqTRES"] and "mem=6312M" in train["ReqTRES"]
    assert train["Partition"] == "gpu" and train["Timelimit"] == "02:00:00"
    floor = done[done["Comment"].eq("rule_train_wildcards_mean_A")].iloc[-1]
    assert "gpu" not in floor["ReqTRES"]
    prepare = done[done["Comment"].eq("rule_prepare_wildcards_T2")].iloc[-1]
    assert "cpu=4" in prepare["ReqTRES"] and "mem=4000M" in prepare["ReqTRES"] and prepare["Partition"] == "cpu"


def test_one_part_is_measured_by_one_job(finished):
    """export, engine and cells_part are a group in the profile: one wait in the queue, one start."""
    comments = cluster.jobs(finished["resumed"])["Comment"]
    assert not comments.str.contains("rule_export|rule_engine|rule_cells_part").any()
    measured = len(list((finished["folder"] / "results" / "cells").glob("*/*.parquet")))
    assert comments.str.contains("measure").sum() == measured > 1
