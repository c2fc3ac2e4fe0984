"""What a study needs of the machine: each check says what was found, or what is missing and what to type."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from brightpaint import store
from brightpaint.base.intensity import CUTOFF
from brightpaint.features.cellpose import find_python
from brightpaint.features.cellprofiler import find_command
from brightpaint.plates import own_table
from brightpaint.plates.tiles import check_size
from brightpaint.study.cell_engines import FAST
from brightpaint.study.kinds import KINDS
from brightpaint.study.study import Study

REMEMBERED_S = 200  # the plugin looks after 180 s at the latest


class Check(NamedTuple):
    """One thing that a study needs: its name, whether it is there, and a sentence."""

    what: str
    there: bool
    said: str


def checks(study: Study, peak_bytes: float, root: Path = Path(".")) -> list[Check]:
    """Return every check that the study's settings call for."""
    found = []
    if study.profiled("real"):
        found += measuring(study.config["cellprofiler"])
        if study.config["cellprofiler"]["segmentation"] == "cellpose":
            found.append(cellpose())
    if any(study.kind_of(arm).gpu for arm in study.arm_names):
        found.append(gpu(study.config["compute"]["device"]))
    found += [
        *formats(study),
        *weights(study, root),
        *images(study, root),
        *own_crops(study, root),
        disk(study, peak_bytes, root),
        slurm(),
    ]
    return [check for check in found if check]


def measuring(settings: dict) -> list[Check]:
    """Check that what measures cells is there: CellProfiler and its Java, or what the fast engine is compiled by."""
    if settings["engine"] != FAST:
        return [cellprofiler(settings["command"]), java()]
    there = importlib.util.find_spec("numba") is not None
    missing = "no package numba: run `make environments`, or set cellprofiler.engine to cellprofiler"
    return [Check("the fast engine", there, "numba" if there else missing)]


def cellprofiler(command: str) -> Check:
    """Check that CellProfiler answers with its version."""
    try:
        program = find_command(command)
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    except (ValueError, OSError, subprocess.TimeoutExpired) as error:
        return Check("CellProfiler", False, str(error))
    answer = (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]
    if done.returncode:
        return Check("CellProfiler", False, f"{program} --version ended with {done.returncode}: {answer}")
    return Check("CellProfiler", True, f"{answer} ({program})")


def cellpose() -> Check:
    """Check that cellpose's own environment has cellpose."""
    try:
        python = find_python()
        done = subprocess.run(
            [python, "-c", "import importlib.metadata as m; print(m.version('cellpose'))"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    except (ValueError, OSError, subprocess.TimeoutExpired) as error:
        return Check("cellpose", False, str(error))
    if done.returncode:
        return Check("cellpose", False, f"{python} has no cellpose: run `make cellpose-environment`")
    return Check("cellpose", True, f"{done.stdout.strip()} ({python})")


WRITERS = {"h5ad": ("profiles", "anndata"), "ome-zarr": ("deliver", "ngio")}  # format: (key that asks for it, package)


def formats(study: Study) -> Iterator[Check]:
    """Check that the packages are there which write the formats that the study asks for."""
    for name, (key, package) in WRITERS.items():
        if name in study.config[key]:
            there = importlib.util.find_spec(package) is not None
            missing = f"no package {package}: run `make environments`, or leave {name} out of {key}"
            yield Check(f"{key}: {name}", there, package if there else missing)


def java() -> Check:
    """Check that CellProfiler finds a Java to start."""
    home = os.environ.get("JAVA_HOME")
    found = (
        str(Path(home) / "bin" / "java") if home and (Path(home) / "bin" / "java").exists() else shutil.which("java")
    )
    missing = "no java: apt-get install default-jdk-headless, or set JAVA_HOME"
    return Check("Java", bool(found), found or missing)


def gpu(device: str) -> Check:
    """Check that torch sees a GPU, unless the study says that it shall not."""
    if device == "cpu":
        return Check("GPU", True, "not asked for (compute.device: cpu)")
    import torch

    if torch.cuda.is_available():
        return Check("GPU", True, f"{torch.cuda.get_device_name()} ({torch.cuda.device_count()} visible)")
    return Check("GPU", False, "torch sees none here: networks would run on the CPU; on a cluster, jobs ask for theirs")


def slurm() -> Check | None:
    """Check that squeue remembers ended jobs for longer than the profile's slowest look at them; None without SLURM."""
    if not shutil.which("scontrol"):
        return None
    try:
        said = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", said, re.MULTILINE)
    if not found:
        return None
    if int(found[1]) < REMEMBERED_S:
        fix = "write slurm-status-command: sacct into workflow/profiles/slurm/config.yaml"
        return Check("SLURM", False, f"squeue forgets ended jobs after {found[1]} s (MinJobAge); {fix}")
    return Check("SLURM", True, f"squeue remembers ended jobs for {found[1]} s")


def weights(study: Study, root: Path) -> Iterator[Check]:
    """Check that weights named by path are there, and that models' were trained on images cut off as the study's are."""
    if (path := study.config["gan"]["imagenet"]) and study.config["gan"]["preset"]:
        there = (root / path).is_file()
        yield Check("weights of ImageNet", there, path if there else f"{path} is not there; correct gan.imagenet")
    here = study.config["prepare"]["cutoff"]
    for model in study.config["models"]:
        if path := model["weights"]:
            problem = weights_problem(root / path, here)
            said = f"{path} {problem} {KINDS[model['kind']].section}.{model['name']}.weights" if problem else path
            yield Check(f"weights of {model['name']}", not problem, said)


def weights_problem(path: Path, cutoff: float) -> str:
    """Return what is wrong with given weights in a study whose images are cut off there, or nothing."""
    if not path.exists():
        return "is not there; correct"
    own = store.read_weights(path, tensors=False)[1].get("settings", {}).get("cutoff", CUTOFF)
    told = f"was trained on images cut off at {own} s.d.; set prepare.cutoff ({cutoff}) to it, or correct"
    return "" if own == cutoff else told


def images(study: Study, root: Path) -> Iterator[Check]:
    """Check that a local source of images and its table are there (no network is asked)."""
    source = study.config["source"]
    if source["layout"] == "simulated":
        return
    for key in ("url", "table", "compounds", "metadata", "wells", "molecules", "exclude"):
        path = (source[key] or "").removeprefix("file://")
        if path and "://" not in path:
            there = (root / path).exists()
            told = own_columns_told(source, root) if there and key == "table" else ""
            said = f"{path}; {told}" if told else path
            yield Check(f"source.{key}", there, said if there else f"{path} is not there; correct source.{key}")
    if source["layout"] == "table" and "://" not in (source["url"] or "").removeprefix("file://"):
        yield from shapes(study, root)


def own_columns_told(source: dict, root: Path) -> str:
    """Say which columns of the user's own CSV are taken for what, and which not."""
    try:
        return own_table.columns_told({**source, "table": str(root / source["table"])})
    except ValueError as error:
        return str(error)


def shapes(study: Study, root: Path) -> Iterator[Check]:
    """Check that the first image of each plate of one's own can be cut into square tiles; say of each size once."""
    source, seen = study.config["source"], set()
    folder, table = root / source["url"].removeprefix("file://"), root / (source["table"] or "")
    if not (folder.is_dir() and table.is_file()):
        return
    plates = {name: study.plates[name] for name in study.used_plates()}
    for plate, file in own_table.first_files({**source, "table": str(table)}, plates).items():
        try:
            with open(folder / file, "rb") as handle:
                shape = store.raw_shape(handle)
        except (ValueError, OSError):
            continue  # the rules index and fetch say what is wrong with it
        try:
            check_size(shape, {**study.config["prepare"], "raw_pixel_um": study.pixel_size_um(plate)})
        except ValueError as error:
            yield Check(f"images of plate {plate}", False, f"{file}: {error}")
        else:
            if shape not in seen:
                yield Check("size of images", True, f"{shape[0]} x {shape[1]} px ({file})")
            seen.add(shape)


def own_crops(study: Study, root: Path) -> Iterator[Check]:
    """Check that the CSVs which list crops of one's own are there."""
    for entry in study.config["own_crops"]:
        where, there = f"own_crops.{entry['name']}.table", (root / entry["table"]).is_file()
        yield Check(where, there, entry["table"] if there else f"{entry['table']} is not there; correct {where}")


def disk(study: Study, peak_bytes: float, root: Path) -> Check:
    """Check the free space where results and resources will lie."""
    places = {}
    for key in ("results", "resources"):
        folder = (root / study.config["pathvars"][key]).resolve()
        while not folder.exists():
            folder = folder.parent
        places[folder.stat().st_dev] = (folder, shutil.disk_usage(folder).free)
    folder, free = min(places.values(), key=lambda place: place[1])
    needed = f"{peak_bytes / 1e9:,.1f} GB at most"
    if free < peak_bytes:
        return Check(
            "disk", False, f"{free / 1e9:,.1f} GB free at {folder}, {needed} needed; set pathvars to a larger disk"
        )
    return Check("disk", True, f"{free / 1e9:,.0f} GB free at {folder}, {needed} needed")
