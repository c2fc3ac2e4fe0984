"""Studies that translate, made stage by stage for several benchmarks: what is finished is not begun again, and says its time."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from studies import ROOT, make

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from brightpaint.models.steps import Training

# What Snakemake is asked for, stage by stage; the last is the whole study, its report's figures and tables too.
STAGES = {
    "plates": ["plates"],
    "training": ["results/models/{model}/{fold}/weights.safetensors"],
    "translations": ["models"],
    "cells": ["features"],
    "scores": ["scores"],
    "report": [],
}
DONE = "stages.json"
WARM, TIMED = 4, 24  # steps of a training that measure its rate


def read_study(name: str) -> tuple[dict, str]:
    """Return a shipped config as a study in a folder of its own, and its plate table."""
    study = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    del study["pathvars"]
    return {**study, "plates": "plates.tsv"}, (ROOT / "config" / f"{name}_plates.tsv").read_text()


def spent() -> np.ndarray:
    """Return wall and CPU seconds, those of jobs that have ended among them."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([time.monotonic(), sum(each.ru_utime + each.ru_stime for each in used)])


def run_stages(
    folder: Path,
    study: dict,
    plates: str,
    *,
    cores: int,
    last: str = "report",
    stages: dict[str, list[str]] | None = None,
) -> Iterator[dict]:
    """Make a study up to one of STAGES, or of other `stages`; yield a line a stage: `stage, wall_s, cpu_s, kept` (finished before).

    Snakemake itself goes on where it was within a stage. A study of other settings is begun at its first stage again, of which
    Snakemake reruns what they change.
    """
    key, path = store.digest(study, plates), folder / DONE
    done = json.loads(path.read_text()) if path.exists() else {}
    done = done if done.get("key") == key else {"key": key, "stages": {}}
    names = {"model": study["models"][0]["name"], "fold": study["folds"][0]["name"]} if study["models"] else {}
    stages = stages or STAGES
    for stage in list(stages)[: list(stages).index(last) + 1]:
        kept = stage in done["stages"]
        if not kept:
            before = spent()
            make(folder, study, plates, [target.format(**names) for target in stages[stage]], cores=cores)
            wall, cpu = spent() - before
            done["stages"][stage] = {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1)}
            path.write_text(json.dumps(done))
        yield {"stage": stage, **done["stages"][stage], "kept": kept}


def training_rate(results: Path, plates: Sequence[str], study: dict) -> float:
    """Return the images a second of CPU at which a study's first model trains on prepared plates here."""
    model, channels, settings = study["models"][0], study["channels"], study["train"]
    paths = [results / "images" / "real" / f"{plate}.tif" for plate in plates]
    tables = [results / "fields" / f"{plate}.parquet" for plate in plates]
    data = TrainingImages(paths, tables, channels=channels, label=model["label"], twin=model.get("twin", False))
    network = build_denoiser(
        {"preset": model.get("preset", "fast"), "width": None, "objective": "v"}, channels, len(data.labels)
    )
    rule = Denoising(len(channels["input"]), "v", "l2", 0.1)
    return rate_of(Training({"model": network}, rule, settings, Compute(prefetch=0)), data)


def rate_of(training: Training, data, warm: int = WARM, timed: int = TIMED) -> float:
    """Return the images a second of CPU at which a training goes on in `timed` steps, after `warm` others."""
    batches = training.batches(data)
    for batch in islice(batches, warm):
        training.step(*batch)
    start = time.process_time()
    for batch in islice(batches, timed):
        training.step(*batch)
    batches.close()
    return timed * training.settings["batch"] / (time.process_time() - start)


def images_for(
    folder: Path, minutes: float, plates: Sequence[str], study: dict, plate_table: str, *, cores: int
) -> int:
    """Return how many images a study trains on in so many minutes of one core; measured once, and kept in `folder`.

    Kept, since a training of other length would be another training: a rerun goes on with this one.
    """
    path = folder / "rate.json"
    if not path.exists():
        probe = folder / "rate"
        for _ in run_stages(probe, study, plate_table, cores=cores, last="plates"):
            pass
        path.write_text(json.dumps({"images_per_s": training_rate(probe / "results", plates, study)}))
    batch = study["train"]["batch"]
    return int(json.loads(path.read_text())["images_per_s"] * 60 * minutes / batch) * batch


def beside(results: Path, arm: str, space: str = "cellprofiler") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what a finished study says of a translation: rows of its metrics, and its classes beside their references."""
    classes = store.read_table(results / "scores" / "shifts" / space / f"{arm}.classes.parquet")
    return store.read_table(results / "metrics" / f"{arm}.parquet"), classes


def reference_means(classes: pd.DataFrame, columns: Sequence[str] = ("distance", "kept")) -> pd.DataFrame:
    """Return the means over classes that are no controls of each reference's columns: one row a reference."""
    own = classes[classes["control"] == ""]
    return own.groupby("reference", sort=False)[list(columns)].mean()


def clustered(values: np.ndarray, clusters: Sequence[str], seed: str) -> tuple[float, float, float]:
    """Return the mean and its 95% interval when whole clusters are drawn anew."""
    values = np.asarray(values, np.float64)
    return float(values.mean()), *resampling.bootstrap_ratio(
        values, np.ones(len(values)), clusters, resampling.seeded(seed)
    )


def markdown(rows: Sequence[dict]) -> str:
    """Return rows as a Markdown table; numbers with three figures."""
    text = lambda value: f"{value:.3g}" if isinstance(value, float) else str(value)  # noqa: E731
    heads = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return (
        "\n".join([*lines, *("| " + " | ".join(text(row.get(key, "")) for key in heads) + " |" for row in rows)]) + "\n"
    )
