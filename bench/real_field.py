"""The real field, every quarter in turn as the test, with settings tuned inside the other three.

For each test quarter the number of training images and of sampling steps is chosen inside its three training quarters:
train on two, judge on the third (the next quarter in turn), by the mean PCC of the five stains. With these settings the
default is trained on all three, once a seed, and painted with that seed's noise; beside it the same training without the
Wiener gain on the noisy stains (the state before issue 4), the regression baseline and the per-pixel one. The test
quarter is opened for scoring alone.

Every training is a line of <folder>/results.jsonl, and what is there already is not run again.

    BRIGHTPAINT_REAL_DATA=... python bench/real_field.py --folder /tmp/bench_real_field
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import studies
import torch
import yaml

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.models import train
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.kinds import pixel
from brightpaint.models.objectives import denoiser
from brightpaint.models.objectives.losses import build_denoiser, build_regressor
from brightpaint.models.paint import walk
from brightpaint.models.paint.field_noise import field_noise
from brightpaint.models.schedule import Schedule
from brightpaint.models.trained import load_module
from brightpaint.scores.images.pixels import pcc
from brightpaint.study.study import Study

ROOT = Path(__file__).parent.parent
QUARTERS = (1, 2, 3, 4)
KINDS = ("default", "before", "regression", "pixel")


def study() -> dict:
    """Return config/real_field.yaml with every quarter a plate of its own."""
    config = yaml.safe_load((ROOT / "config" / "real_field.yaml").read_text())
    del config["pathvars"]
    config["plates"] = "plates.tsv"
    config["source"]["table"] = str(ROOT / config["source"]["table"])
    config["folds"] = [{"name": f"fold{number}", "test": [f"quarter{number}"]} for number in QUARTERS]
    for arm in config["arms"]:
        arm["folds"] = [fold["name"] for fold in config["folds"]]
    return config


def prepare(folder: Path) -> dict:
    """Make the stack of each quarter by the workflow; return the study's settings with defaults filled in."""
    rows = "".join(f"quarter{number}\tstudy\tBR00143976\t{number}\n" for number in QUARTERS)
    wanted = [f"results/fields/quarter{number}.parquet" for number in QUARTERS]
    studies.make(folder, study(), "plate\trole\tbarcode\tregion\n" + rows, wanted)
    return Study.load(study(), ROOT / "workflow" / "schemas", folder).config


def before(y: torch.Tensor, gamma: torch.Tensor, sd: float = 1.0) -> torch.Tensor:
    """Show the network the noisy stains as they are, as before the Wiener gain."""
    return y


class Bench:
    """Trainings and scores of one folder, each of them done once."""

    def __init__(self, folder: Path, config: dict, width: int | None):
        self.folder, self.config, self.width = folder, config, width
        self.path = folder / "results.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.done = {tuple(line["key"]): line for line in map(json.loads, lines)}

    def settings(self, kind: str, images: int, seed: int) -> dict:
        """Return the settings of one training: the study's, but for the number of images and the seed."""
        entry = {"default": "diffusion", "before": "diffusion"}.get(kind, kind)
        model = {"kind": entry, "label": "none", "preset": "fast", "width": self.width, "objective": "v", "loss": "l2"}
        own = {"subset": "all", "held_out": [], "images": images, "seed": seed}
        return {**model, **self.config["train"], **own, "channels": self.config["channels"]}

    def train(self, kind: str, quarters: tuple, settings: dict, name: str) -> Path:
        """Train on these quarters; return the weights."""
        results = self.folder / "results"
        stacks = [str(results / "images" / "real" / f"quarter{number}.tif") for number in quarters]
        fields = [str(results / "fields" / f"quarter{number}.parquet") for number in quarters]
        weights = self.folder / "models" / f"{name}.safetensors"
        weights.parent.mkdir(exist_ok=True)
        train.main(["--settings", json.dumps(settings), "--stacks", *stacks, "--fields", *fields, "--weights",
                    str(weights), "--history", str(weights.with_suffix(".jsonl")), "--device", "cpu"])  # fmt: skip
        return weights

    def score(self, weights: Path, quarter: int, steps: int, seed: int) -> list[float]:
        """Paint a quarter; return the PCC of each stain."""
        tensors, meta = store.read_weights(weights)
        fields = store.read_fields(self.folder / "results" / "fields" / f"quarter{quarter}.parquet")
        stack = store.open_stack(self.folder / "results" / "images" / "real" / f"quarter{quarter}.tif").select(fields)
        read = lambda names: stack.images[0][stack.channel_indices(names)].astype(np.float32)  # noqa: E731
        bright, real = read(meta["channels"]["input"]), read(meta["channels"]["target"])
        x, untold = torch.from_numpy(bright)[None], Condition.of_labels(torch.zeros(1, dtype=torch.int64))
        kind = meta["settings"]["kind"]
        if kind == "pixel":
            painted = pixel.predict(tensors, bright)
        elif kind == "regression":
            module = load_module(weights, build_regressor(meta["settings"], meta["channels"], 0), tensors, x.device)
            with torch.no_grad():
                painted = module(x, untold)[0].numpy()
        else:
            module = load_module(weights, build_denoiser(meta["settings"], meta["channels"], 0), tensors, x.device)
            path = Schedule().path(steps, "level")
            start = torch.randn(real.shape, generator=field_noise(fields.iloc[0], seed))[None]
            told = walk.clipped(walk.at_levels(module, path, x.device))
            painted = walk.walk(told, start, x, untold, path, sampler="ddim")[0].numpy()
        return [round(float(value), 4) for value in pcc(standardise(real), standardise(painted))]

    def run(self, kind: str, quarters: tuple, test: int, images: int, seed: int, steps: tuple) -> dict:
        """Train once and score with each number of steps; return {steps: PCC of each stain}."""
        quarters = tuple(sorted(quarters))
        key = (kind, "".join(map(str, quarters)), test, images, seed, self.width or 0)
        if key not in self.done or not set(map(str, steps)) <= set(self.done[key]["pcc"]):
            started = time.process_time()
            seen = before if kind == "before" else denoiser.seen
            with mock.patch.object(denoiser, "seen", seen):
                weights = self.train(kind, quarters, self.settings(kind, images, seed), "-".join(map(str, key)))
                scores = {str(count): self.score(weights, test, count, seed) for count in steps}
            line = {"key": list(key), "pcc": scores, "cpu_s": round(time.process_time() - started, 1)}
            self.done[key] = line
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        return self.done[key]["pcc"]

    def tune(self, kind: str, test: int, grid: dict) -> dict:
        """Choose images and steps inside the three quarters that are not `test`."""
        judge = test % 4 + 1
        others = tuple(number for number in QUARTERS if number not in (test, judge))
        steps = grid["steps"] if kind in ("default", "before") else (1,)
        found = []
        for images in grid["images"]:
            for count, values in self.run(kind, others, judge, images, 1, tuple(steps)).items():
                found.append((float(np.mean(values)), images, int(count)))
        best = max(found)
        return {"images": best[1], "steps": best[2], "inner_pcc": round(best[0], 4)}


def summary(rows: list[dict], channels: list[str]) -> list[dict]:
    """Return, for each kind, mean and seeds' s.d. of the mean PCC, by quarter and over quarters."""
    frame, lines = pd.DataFrame(rows), []
    for kind, part in frame.groupby("kind", sort=False):
        means = part.groupby("seed")["mean"].mean()
        line = {"bench": "real_field", "kind": kind, "seeds": len(means), "quarters": part["test"].nunique()}
        line |= {"mean_pcc": round(means.mean(), 4), "sd_over_seeds": round(means.std(), 4) if len(means) > 1 else None}
        line |= {f"quarter{test}": round(values.mean(), 4) for test, values in part.groupby("test")["mean"]}
        lines.append(line | {name: round(part[name].mean(), 4) for name in channels})
    return lines


def main() -> None:
    """Tune, train and score; print one JSON line a training of the outer loop, then the summary."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--quarters", type=int, nargs="+", default=list(QUARTERS), help="test quarters")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--images", type=int, nargs="+", default=[800, 1600, 3200], help="grid of training images")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 5], help="grid of sampling steps")
    parser.add_argument("--width", type=int, help="of the first level; the preset's own by default")
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench, rows = Bench(args.folder, prepare(args.folder), args.width), []
    channels, grid = bench.config["channels"]["target"], {"images": args.images, "steps": args.steps}
    for seed, test, kind in itertools.product(args.seeds, args.quarters, args.kinds):
        # The state before is given the default's settings, so that only the gain differs.
        chosen = {"images": 1, "steps": 1} if kind == "pixel" else bench.tune(
            "default" if kind == "before" else kind, test, grid)  # fmt: skip
        training = tuple(number for number in QUARTERS if number != test)
        scores = bench.run(kind, training, test, chosen["images"], seed, (chosen["steps"],))
        values = scores[str(chosen["steps"])]
        rows.append(
            {"kind": kind, "test": test, "seed": seed, "mean": float(np.mean(values)), **dict(zip(channels, values))}
        )
        print(json.dumps({"bench": "real_field", **rows[-1], **chosen}), flush=True)
    for line in summary(rows, channels):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
