"""Shared by all tests: where things are, how Snakemake is called, and one tiny study run once, end to end.

Under `pytest -n` each worker is a process of its own with its own session: what is dear (the study, its S3 server) is
made by the worker that needs it first and read by all (`made_once`).
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import psutil
import pytest
import yaml

import warm

# Before torch: networks as small as a test's gain nothing from a second thread, and two that wait for one another on a
# busy machine made a test six times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
# One folder of all workers, made and removed by the process that starts them: for what tests train and then only read.
if "BRIGHTPAINT_TESTS_SHARED" not in os.environ:
    os.environ["BRIGHTPAINT_TESTS_SHARED"] = tempfile.mkdtemp(prefix="brightpaint-tests-")
    atexit.register(shutil.rmtree, os.environ["BRIGHTPAINT_TESTS_SHARED"], ignore_errors=True)

# Small enough for a minute or two of CPU, and still every stage: two study plates, one predict plate.
TINY_PLATES = """plate\trole\tproject\tsource\tbatch
T1\tstudy\tsimulated\tsource_0\tB1
T2\tstudy\tsimulated\tsource_0\tB2
T3\tpredict\tsimulated\tsource_0\tB3
"""
TINY = {
    "plates": "plates.tsv",
    "pixel_size_um": 1.0,
    "simulate": {"seed": 7, "rows": 2, "columns": 4, "size_px": 128, "cells_per_field": 8},
    "illumination": {"size_px": 32},
    "prepare": {"size_px": 128},
    "folds": [{"name": "A", "test": ["T2"], "predict": ["T3"]}],
    "train": {"images": 48, "batch": 4, "crop_px": 64, "learning_rate": 1e-3},
    "models": [
        {"name": "pert", "label": "perturbation", "preset": "fast", "width": 8},
        {"name": "mean", "kind": "mean"},
        {"name": "pixel", "kind": "pixel"},
    ],
    "arms": [
        {"name": "pert", "model": "pert", "folds": ["A"], "steps": 3},
        {"name": "mean", "model": "mean", "folds": ["A"]},
        {"name": "pixel", "model": "pixel", "folds": ["A"], "profile": False},
    ],
    "sample": {"parts": 2, "batch": 2},
    "cellprofiler": {"pipeline": "quick.cppipe", "parts": 1, "engine": "fast"},
    "figures": {"fields": 1, "dpi": 60},
    "compute": {"device": "cpu", "threads": 1, "torch_threads": 1},
}

# For studies whose tests ask what CellProfiler does: each of its starts costs twenty seconds. A section of its own.
BY_CELLPROFILER = {"cellprofiler": {**TINY["cellprofiler"], "engine": "cellprofiler"}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first, so that no worker idles at the end; --dist loadfile keeps a file's tests in one worker.

    One file makes the finished study; what else reads it comes later, so that no second worker waits for it meanwhile.
    By file, not by group: pytest 9.2 ignores how xdist 3.8 names groups, and tests on SLURM would start several clusters.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        rank = {"test_slurm": 0, "test_workflow": 1}
        studies = {item.path for item in items if "finished_study" in item.fixturenames}
        long = {item.path for item in items if item.path.parent.name == "models" or item.get_closest_marker("long")}
        order = lambda path: 3 if path in studies else 2 if path in long else 4  # noqa: E731
        items.sort(key=lambda item: rank.get(item.path.stem, order(item.path)))


def swept(values: Iterable, kept: Collection) -> list:
    """Return the parameters of a sweep: those `kept` are of every run, the others of `make test-all` alone."""
    return [value if value in kept else pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


def cellprofiler_command() -> str | None:
    """Return the CellProfiler program that `make` built, or one on the PATH."""
    built = ROOT / ".envs" / "cellprofiler" / "bin" / "cellprofiler"
    return os.environ.get("BRIGHTPAINT_CELLPROFILER") or (
        str(built) if built.exists() else shutil.which("cellprofiler")
    )


@pytest.fixture(scope="session")
def cellprofiler() -> str:
    """The real CellProfiler; tests that need it skip where it has not been built."""
    command = cellprofiler_command()
    if not command:
        pytest.skip("no CellProfiler here: run `make environments`, or set BRIGHTPAINT_CELLPROFILER")
    return command


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images and tables; tests that need it skip without it."""
    folder = os.environ.get("BRIGHTPAINT_REAL_DATA")
    if not folder:
        pytest.skip("BRIGHTPAINT_REAL_DATA is not set: no real images here")
    return Path(folder)


def snakemake_command(folder: Path, *arguments: str, root: Path = ROOT) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs the workflow in `folder`, which holds its config.yaml, and its environment."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(folder)]
    if "--configfile" not in arguments:
        command += ["--configfile", str(folder / "config.yaml")]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if cellprofiler_command():
        environment["BRIGHTPAINT_CELLPROFILER"] = cellprofiler_command()
    return [*command, *arguments], environment


@functools.cache
def warm_python(*modules: str, seed: str = "") -> warm.Warm:
    """A Python that has `modules` loaded, one of all workers (one more for each `seed`), until the tests end."""
    name = f"warm-{zlib.crc32(' '.join([seed, *modules]).encode()):08x}"
    folder = made_in(
        Path(os.environ["BRIGHTPAINT_TESTS_SHARED"]), name, lambda folder: warm.start(folder, modules, whole_run().pid)
    )
    return warm.Warm(folder)


# Snakemake 9.27 looks for jobs to start once a second for *each* time that it has started some, and each time the solver
# of its scheduler is a process: with hundred jobs behind it that is much of a core, while a job waits for one.
QUICK = ["--scheduler", "greedy", "--max-jobs-per-timespan", "100000/1h"]


def snakemake(
    folder: Path, *arguments: str, check: bool = True, fresh: bool = False, root: Path = ROOT, seed: str = ""
) -> subprocess.CompletedProcess:
    """Run the workflow in `folder`, by the code in `root`; all output is in `.stdout`.

    Snakemake and the `python` of its jobs are forks of processes that have their libraries loaded (warm.py), or, if
    `fresh`, started as a user's are. Another `seed`: by other processes, in which sets have another order.
    """
    command, environment = snakemake_command(folder, *arguments, root=root)
    if root != ROOT:
        environment["PYTHONPATH"] = str(root / "src")
    if fresh:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    else:
        if not {"-n", "--touch", "--unlock", "--report"} & set(arguments):
            jobs = warm_python(*warm.WORKING, seed=seed).program.parent
            environment["PATH"] = f"{jobs}:{environment['PATH']}"
            command[3:3] = QUICK
        done = warm_python(*warm.PLANNING, seed=seed).run(command[1:], environment)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command[2:])}\n{done.stdout[-6000:]}")
    return done


# A third of the time of slim: the rest is measured in tests/features.
MEASURED = ("MeasureImageIntensity", "MeasureObjectSizeShape", "MeasureObjectIntensity:")


def write_pipeline(path: Path) -> None:
    """Write a pipeline of one's own: slim, but of its measurements only size, shape and the intensity of two stains."""
    from brightpaint.features import pipeline

    head, *modules = pipeline.blocks((ROOT / "resources" / "cellprofiler" / "slim.cppipe").read_text())
    kept = [block for block in modules if not block.startswith("Measure") or block.startswith(MEASURED)]
    listed = [i for i, block in enumerate(kept) if block.startswith("MeasureObjectIntensity:")]
    kept[listed[0]] = re.sub(r"(Select images to measure:).*", r"\1DNA, AGP", kept[listed[0]])
    path.write_text(pipeline.renumbered(head, kept))


def write_study(folder: Path, changes: dict | None = None, plates: str = TINY_PLATES) -> Path:
    """Write the tiny study's config, plate table and pipeline into `folder`; `changes` replace whole sections."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plates.tsv").write_text(plates)
    write_pipeline(folder / TINY["cellprofiler"]["pipeline"])
    study = {**json.loads(json.dumps(TINY)), **(changes or {})}
    (folder / "config.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder


def planned(output: str) -> dict[str, int]:
    """Return {rule: jobs} of a dry run's output."""
    jobs: dict[str, int] = {}
    if "Job stats:" in output:
        for line in output.split("Job stats:")[1].splitlines()[3:]:
            words = line.split()
            if len(words) != 2 or words[0] == "total":
                break
            jobs[words[0]] = int(words[1])
    jobs.pop("all", None)
    return jobs


# Two thousand jobs that do nothing, with the least that a rule of ours has: what planning costs Snakemake itself.
PLAIN = """
rule all:
    input: expand("out/{n}.txt", n=range(1000))
rule second:
    input: "mid/{n}.txt"
    output: "out/{n}.txt"
    log: "logs/second/{n}.log"
    shell: "cp {input} {output} 2> {log}"
rule first:
    output: "mid/{n}.txt"
    log: "logs/first/{n}.log"
    shell: "echo {wildcards.n} > {output} 2> {log}"
"""


def child_seconds(work: Callable):
    """Return what `work()` returns and the CPU seconds of the processes that it started and waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.fixture(scope="session")
def plain_planning_s(tmp_path_factory) -> float:
    """CPU seconds that Snakemake takes here to plan PLAIN: the unit of the limits on our own plans."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "Snakefile").write_text(PLAIN)
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--snakefile", str(folder / "Snakefile")]
    run = lambda: subprocess.run([*command, "-n", "--quiet", "rules"], check=True, capture_output=True)  # noqa: E731
    return child_seconds(run)[1]


def code_of_a_fork(work: Callable[[], object]) -> int:
    """Return the exit code of a process of its own that does `work`, and that nothing tidies up after."""
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def made_in(root: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder `name` of `root` that `make(folder)` filled, in the first process that asked for it."""
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder, whole = root / name, root / f"{name}.whole"
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


def made_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make(folder)` filled, in the first of pytest's workers that asked for it."""
    root = tmp_path_factory.getbasetemp()
    return made_in(root.parent if "PYTEST_XDIST_WORKER" in os.environ else root, name, make)


def whole_run() -> psutil.Process:
    """Return the process that ends when all tests have: pytest, or what started this worker of it."""
    here = psutil.Process()
    return here.parent() if "PYTEST_XDIST_WORKER" in os.environ else here


@pytest.fixture(scope="session")
def simulated_gallery(tmp_path_factory) -> Path:
    """A mirror of the gallery with the tiny study's three simulated plates, and their truth tables beside it."""
    return made_once(tmp_path_factory, "gallery", simulate_gallery)


def simulate_gallery(folder: Path) -> None:
    """Simulate the tiny study's plates into `folder`."""
    from brightpaint.plates import simulate

    channels = ["Brightfield_L", "Brightfield", "Brightfield_H", "DNA", "RNA", "ER", "AGP", "Mito"]
    header, *rows = [line.split("\t") for line in TINY_PLATES.strip().splitlines()]
    for row in rows:
        plate = {**dict(zip(header, row)), "channels": channels}
        settings = {**simulation_settings(), "pixel_size_um": 1.0, "plate": plate}
        truth = folder / "truth" / f"{plate['plate']}.tsv"
        simulate.main(["--settings", json.dumps(settings), "--mirror", str(folder / "mirror"), "--truth", str(truth)])


def simulation_settings() -> dict:
    """Return the tiny study's `simulate` section with the schema's defaults."""
    from brightpaint.study.schema import validate

    return validate(TINY, ROOT / "workflow" / "schemas" / "config.schema.yaml", "config")["simulate"]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory, simulated_gallery) -> str:
    """Address of a real S3 server on loopback, in a process of its own, with the simulated gallery in its bucket."""

    def start(folder: Path) -> None:
        command = [sys.executable, str(Path(__file__).parent / "faulty_s3.py"), str(simulated_gallery / "mirror")]
        with open(folder / "log", "w") as log:
            server = subprocess.Popen(
                [*command, "cellpainting-gallery", str(whole_run().pid), str(folder / "url")], stdout=log, stderr=log
            )
        while not (folder / "url").exists():
            if server.poll() is not None:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.05)

    return (made_once(tmp_path_factory, "s3", start) / "url").read_text()


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory, s3_server) -> Path:
    """The tiny study, run once from the S3 server to its last table. Read it alone.

    What changes a file of it works on a copy: `copy_of`.
    """

    def finish(folder: Path) -> None:
        source = {"layout": "gallery", "url": "s3://cellpainting-gallery", "endpoint_url": s3_server}
        write_transformer(folder / "weights" / "tiny")
        arms = [{**TINY["arms"][0], "samples": 2}, *TINY["arms"][1:]]
        points = [{"sampler": "ddpm", "steps": 4}, {"sampler": "dpmpp", "steps": 2, "spacing": "karras"}]
        sweep, embed = {"fields": 3, "points": points}, {"weights": "weights/tiny"}
        write_study(folder, {"source": source, "arms": arms, "sweep": sweep, "embed": embed})
        # One engine at a time: on a clean checkout two would compile the same functions, of 20 CPU-s each.
        one = ("--set-threads", "engine=2", "--show-failed-logs")
        (folder / "run.txt").write_text(snakemake(folder, "--cores", "2", *one).stdout)

    return made_once(tmp_path_factory, "study", finish)


def copy_of(finished: Path, folder: Path) -> Path:
    """Copy a finished study, times and links too, for tests that change it."""
    return shutil.copytree(finished, folder, symlinks=True)


def write_transformer(folder: Path) -> Path:
    """Write a vision transformer of DINO's structure, small and random, as `embed.weights` wants it."""
    import torch
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    network = ViTModel(ViTConfig(patch_size=8, initializer_range=0.3, **size), add_pooling_layer=False)
    network.save_pretrained(folder)
    return folder
