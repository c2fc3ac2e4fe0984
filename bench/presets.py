"""`fast` against `paper` at equal training time: width 16, fields of 128 px, 16 to train on, a held-out plate.

Both are trained for the same seconds (on a CPU those of the process, on a GPU by the clock) on the same plate and painted
by the same sampler with the same noise; after 30, 60, 120, ... s the running mean of the weights paints the plate that no
training saw. `paper` is the published network and objective (eps); `paper-v` is the same network with `fast`'s objective
and output, `fast-eps` is `fast` with the published objective, so that network and objective can be told apart. Learning
rate, batch, clipping and warm-up are the same for all.

Each line has PCC, SSIM and the distance of features: the mean over features of the difference of medians over
fields, in MADs of the real fields. The features are of whole fields (power in four bands, quantiles, skewness, local s.d.
and correlation with DNA of each stain), no cells: CellProfiler finds few whole ones in fields of 128 px. `loss` is the
mean training loss since the line before.

A third plate validates (`validation.Validation`), and as in the workflow the weights of the least loss there are those that paint.
`pcc_of_last` and so on are what the last running mean paints, whatever its loss there.
`validation_eps` and `validation_v` are the losses of eps and of v there, whatever the variant was trained on: the same
images, noise and levels for all.
`fall` is the share by which that least loss has fallen since the line before: where marks double and it is small, the
loss has flattened. `--flat 0.02` ends a training there.

`--cool` adds a second line at a mark: a copy of the training goes on from there for a quarter of its images while its
learning rate falls to 0, so that what a constant rate leaves unsettled is settled; `fall` compares it with the cooled copy before.
`validation_before` is the loss an eighth before the end of it (or before the mark). `continued`, a line a seed, is where the
loss, PCC and feature distance of its cooled copies would end if their last two gains went on as a geometric series; null
where gains do not shrink or are fewer than two. It means something where the marks cooled double.

A training is kept in the folder at each mark: a killed command typed again, or one with later marks, goes on there, and
the last mark of a kept one can be cooled later.
The plates are made by the workflow once a folder; another machine that is given the folder needs no Snakemake.

    python bench/presets.py --folder /tmp/bench_presets --marks 30 60 120 --seeds 1 2 3
    python bench/presets.py --folder /tmp/bench_presets --marks 60 120 240 480 960 1920 3840 --flat 0.02 --width 8 \\
        --train '{"crop_px": 64, "batch": 4, "ema_images": 10000}' --variants fast paper
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import studies
import torch
import yaml
from scipy import ndimage, stats

from brightpaint import store
from brightpaint.base.device import pick_device
from brightpaint.base.intensity import standardise
from brightpaint.base.seeds import seed_of
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.data import TrainingImages
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from brightpaint.models.paint import walk
from brightpaint.models.paint.field_noise import field_noise
from brightpaint.models.schedule import Schedule
from brightpaint.models.steps import Training
from brightpaint.models.trained import load_module
from brightpaint.models.validation import Validation
from brightpaint.scores.images.pixels import pcc, ssim

ROOT = Path(__file__).parent.parent
CHANNELS = {"input": ["Brightfield_L", "Brightfield", "Brightfield_H"], "target": ["DNA", "RNA", "ER", "AGP", "Mito"]}
VARIANTS = {"fast": ("fast", "v"), "paper": ("paper", "eps"), "paper-v": ("paper", "v"), "fast-eps": ("fast", "eps")}
TRAIN = {"images": 10**9, "batch": 8, "crop_px": None, "learning_rate": 1e-3, "warmup_images": 200,
         "decay": "constant", "clip_norm": 1.0, "ema_images": 400, "validate_every_images": 10**9}  # fmt: skip
CALIBRATED_S = 5
VALIDATIONS = 8  # between two marks, and while cooling
COOLED = 0.25  # of its images so far is how long a training cools
STEPS_ON_GPU = 20  # between two looks at the clock, which waits for the GPU
PLATES = ("SIM001", "SIM002", "SIM003")  # one trains, one validates, one tests
BANDS = (0, 1 / 32, 1 / 16, 1 / 8, 1)  # cycles a pixel


def make_plates(folder: Path) -> None:
    """Make three plates of 16 fields of 128 px by the workflow, unless the folder holds them."""
    wanted = [f"results/fields/{plate}.parquet" for plate in PLATES]
    if all((folder / path).exists() for path in wanted):
        return
    lines = (ROOT / "config" / "demo_plates.tsv").read_text().splitlines(keepends=True)
    plates = "".join(line for line in lines if line.split()[0] in ("plate", *PLATES))
    study = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    del study["pathvars"]
    study["plates"], study["folds"] = "plates.tsv", [{"name": "A", "test": ["SIM003"]}]
    study["simulate"] = {"seed": 1, "rows": 4, "columns": 4, "size_px": 128, "cells_per_field": 8}
    study["illumination"], study["prepare"] = {"size_px": 32}, {"size_px": 128}
    studies.make(folder, study, plates, wanted)


def features(field: np.ndarray) -> np.ndarray:
    """Return the features of one field of standardised stains (C, H, W), DNA first: (C * 11,)."""
    fy, fx = np.fft.fftfreq(field.shape[-2]), np.fft.fftfreq(field.shape[-1])
    radius = np.hypot(fy[:, None], fx[None])
    found = []
    for image in field:
        power = np.abs(np.fft.fft2(image)) ** 2 / image.size
        bands = [np.log(power[(radius > low) & (radius <= high)].mean()) for low, high in itertools.pairwise(BANDS)]
        local = ndimage.uniform_filter(image**2, 7) - ndimage.uniform_filter(image, 7) ** 2
        quantiles = np.quantile(image, (0.05, 0.5, 0.95, 0.99))
        found += [*bands, *quantiles, stats.skew(image, axis=None), np.sqrt(np.maximum(local, 0)).mean()]
        found.append(np.corrcoef(image.ravel(), field[0].ravel())[0, 1])
    return np.array(found)


def feature_distance(real: np.ndarray, painted: np.ndarray) -> float:
    """Return the mean over features of |difference of medians| / MAD of the real: two (n, F); constant ones left out."""
    median = np.median(real, axis=0)
    mad = np.median(np.abs(real - median), axis=0)
    usable = mad > 1e-9
    return float(np.mean(np.abs(np.median(painted, axis=0) - median)[usable] / mad[usable]))


class Plate:
    """The held-out plate: its fields, and what is painted on them."""

    def __init__(self, results: Path, plate: str):
        self.fields = store.read_fields(results / "fields" / f"{plate}.parquet")
        stack = store.open_stack(results / "images" / "real" / f"{plate}.tif").select(self.fields)
        read = lambda names: np.stack([stack.images[row][stack.channel_indices(names)] for row in range(len(stack))])  # noqa: E731
        self.x = torch.from_numpy(read(CHANNELS["input"]).astype(np.float32))
        self.real = [standardise(field.astype(np.float32)) for field in read(CHANNELS["target"])]
        self.described = np.array([features(field) for field in self.real])

    def score(self, denoiser, steps: int, seed: int, device: torch.device) -> dict:
        """Paint every field by DDIM, and compare."""
        sources = [field_noise(row, seed) for _, row in self.fields.iterrows()]
        shape = self.real[0].shape
        start = torch.stack([torch.randn(shape, generator=source) for source in sources]).to(device)
        path = Schedule().path(steps, "karras")
        untold = Condition.of_labels(torch.zeros(len(self.x), dtype=torch.int64, device=device))
        told = walk.clipped(walk.at_levels(denoiser, path, device))
        stains = walk.walk(told, start, self.x.to(device), untold, path, sampler="ddim").cpu().numpy()
        painted = [standardise(field) for field in stains]
        pairs = list(zip(self.real, painted))
        similarity = [ssim(a, b, data_range=15) for pair in pairs for a, b in zip(*pair)]
        described = np.array([features(field) for field in painted])
        return {"pcc": float(np.mean([pcc(*pair) for pair in pairs])), "ssim": float(np.mean(similarity)),
                "feature_distance": feature_distance(self.described, described)}  # fmt: skip


class Recorded(Training):
    """A training that keeps every loss, where the workflow's keeps a line of history in place of many."""

    def _record(self, losses: dict[str, torch.Tensor], count: int, weight: float, rate: float) -> None:
        self.losses.setdefault("loss", []).append(losses["loss"])


def images_of(results: Path, plate: str, count: int | None = None, seed: int = 1) -> TrainingImages:
    """Open the fields of one plate, or `count` of them, others for each seed, unlabelled, to train on or to validate."""
    stack, fields = results / "images" / "real" / f"{plate}.tif", results / "fields" / f"{plate}.parquet"
    if count is not None:
        table = store.read_fields(fields)
        rows = (np.linspace(0, len(table), count, endpoint=False).astype(int) + seed - 1) % len(table)
        fields = results / f"{plate}_{count}_{seed}.parquet"
        store.write_table(table.iloc[sorted(rows)], fields)
    return TrainingImages([stack], [fields], channels=CHANNELS, label="none")


def is_flat(line: dict, args: argparse.Namespace) -> bool:
    """Return whether a mark's last line says that the validation loss fell by less than `--flat` since the mark before."""
    is_last = line["cooled"] == (line["seconds"] in args.cool)
    return is_last and args.flat is not None and line["fall"] is not None and line["fall"] < args.flat


class Kept:
    """A training as it stood at its last mark, in the folder: the same command, or one with later marks, goes on there.

    Attributes
    ----------
    lines : its scores so far, a line a mark
    spent : its seconds of training
    uncooled : its last mark, if it is to be cooled there and was not
    """

    def __init__(self, training: Recorded, variant: str, seed: int, args: argparse.Namespace):
        # Under a cosine the last mark decides every learning rate; else marks can be added.
        settings, device = {**TRAIN, **args.train}, training.how.device.type
        end = args.marks[-1] if settings["decay"] == "cosine" else None
        made_from = [args.width, args.fields, args.steps, settings, device, end]
        name = f"{variant}_{seed}_{store.digest(made_from)[:12]}.safetensors"
        self.training, self.path, self.lines, self.spent = training, args.folder / "states" / name, [], 0.0
        self.uncooled = None
        if not self.path.exists():
            return
        tensors, meta = store.read_weights(self.path)
        self.lines, self.spent = meta["lines"], meta["spent"]
        marks = self.marks()
        if any(mine != asked for mine, asked in zip(marks, args.marks)):
            raise SystemExit(f"{self.path}: expected marks {args.marks}, found {marks}; delete it to begin anew")
        asked, found = set(args.cool) & set(marks), {line["seconds"] for line in self.lines if line["cooled"]}
        self.uncooled = marks[-1] if marks[-1] in asked - found else None
        if asked - {self.uncooled} != found & set(args.marks):
            raise SystemExit(
                f"{self.path}: expected cooled {sorted(asked)}, found {sorted(found)}; delete it to begin anew"
            )
        training.restore(tensors, meta)

    def marks(self) -> list[float]:
        """Return the marks that are behind it."""
        return [line["seconds"] for line in self.lines if not line["cooled"]]

    def fall(self, loss: float, cooled: bool) -> float | None:
        """Return by which share this loss is less than that of the line before of the same kind, None for the first."""
        before = [line["validation"] for line in self.lines if line["cooled"] == cooled]
        return 1 - loss / before[-1] if before else None

    def save(self, spent: float, line: dict) -> None:
        """Keep the training as it is now with one line more, in place of what was kept."""
        self.lines, self.spent = [*self.lines, line], spent
        tensors, meta = self.training.state()
        self.path.parent.mkdir(exist_ok=True)
        store.write_weights(self.path, tensors, {**meta, "lines": self.lines, "spent": spent})


def cooled(training: Recorded, data: TrainingImages, validation: Validation) -> Recorded:
    """Return a copy of a training that went on for COOLED of its images, its learning rate falling to 0 meanwhile."""
    tensors, meta = training.state()
    # Past its warm-up a cosine falls from the peak to 0: so the copy's warm-up ends where it begins.
    ends = {"decay": "cosine", "warmup_images": training.seen, "images": round(training.seen * (1 + COOLED))}
    copy = Recorded(deepcopy(training.networks), training.objective, {**training.settings, **ends}, training.how)
    copy.restore(tensors, {**meta, "history": list(meta["history"])})
    due = list(np.linspace(training.seen, ends["images"], VALIDATIONS + 1)[1:])
    for batch in copy.batches(data):
        copy.step(*batch)
        if copy.seen >= due[0]:
            copy.validate(validation)
            due.pop(0)
    return copy


def continued(values: list[float]) -> float | None:
    """Return where values end whose last two gains go on as a geometric series; None where they do not shrink."""
    if len(values) < 3:
        return None
    earlier, gain = values[-2] - values[-3], values[-1] - values[-2]
    if gain == 0 or gain * earlier < 0:
        return values[-1]
    if abs(gain) >= abs(earlier):
        return None
    return values[-1] + gain**2 / (earlier - gain)


def train(variant: str, seed: int, results: Path, plate: Plate, args: argparse.Namespace):
    """Train one variant, and yield its scores after each number of seconds, until its loss is flat."""
    device = pick_device(args.device)
    on_gpu = device.type == "cuda"
    preset, objective = VARIANTS[variant]
    settings = {"preset": preset, "width": args.width, "objective": objective}
    torch.manual_seed(seed_of(seed, "weights"))
    model = build_denoiser(settings, CHANNELS, 0)
    chosen = {**TRAIN, **args.train, "seed": seed}
    rule = Denoising(3, objective, "l2", 0.0)
    how, clock = Compute(device, prefetch=args.prefetch), time.perf_counter if on_gpu else time.process_time
    training, unseen = Recorded({"model": model}, rule, chosen, how), images_of(results, PLATES[1])
    validation = Validation(unseen, rule, chosen, how)
    other = "v" if objective == "eps" else "eps"
    validation_of_other = Validation(unseen, Denoising(3, other, "l2", 0.0), chosen, how)
    kept = Kept(training, variant, seed, args)

    def scored(training: Recorded, mark: float, is_cooled: bool) -> dict:
        loss, training.losses = float(torch.stack(training.losses["loss"]).mean()), {}
        load = lambda tensors: load_module(Path(variant), build_denoiser(settings, CHANNELS, 0), tensors, device)  # noqa: E731
        before, now = (entry["validation_loss"] for entry in training.history[-2:])
        best = load(training.best)
        painted = last = plate.score(best, args.steps, seed, device)
        if now != training.best_loss:  # else the last running mean is the best
            last = plate.score(load(training.mean), args.steps, seed, device)
        return {"variant": variant, "seed": seed, "seconds": mark, "cooled": is_cooled, "images": training.seen,
                "loss": loss, "validation_before": before, "validation_now": now,
                "validation": training.best_loss, "fall": kept.fall(training.best_loss, is_cooled),
                f"validation_{objective}": training.best_loss, f"validation_{other}": validation_of_other.loss({"model": best}),
                **painted,
                **{f"{name}_of_last": value for name, value in last.items()}}  # fmt: skip

    data, spent = images_of(results, PLATES[0], args.fields, seed), kept.spent

    def cool(mark: float) -> dict:
        kept.save(spent, scored(cooled(training, data, validation), mark, True))
        return kept.lines[-1]

    if kept.uncooled is not None:
        cool(kept.uncooled)
    for line in kept.lines:
        if line["seconds"] <= args.marks[-1]:
            yield line
            if is_flat(line, args):
                return
    batches = training.batches(data)
    batches = itertools.chain([next(batches)], batches)  # begun now: they end at images, which is guessed below
    marks = [0.0, *args.marks]
    for last, mark in itertools.pairwise(marks[len(kept.marks()) :]):
        for until in np.linspace(last, mark, VALIDATIONS + 1)[1:]:
            while spent < until or not training.losses:
                started = clock()
                # As many images as the time will have been enough for: the cosine of the learning rate follows it.
                if spent > CALIBRATED_S:
                    chosen["images"] = max(training.seen + 1, round(training.seen * args.marks[-1] / spent))
                for _ in range(STEPS_ON_GPU if on_gpu else 1):
                    training.step(*next(batches))
                if on_gpu:
                    torch.cuda.synchronize(device)
                spent += clock() - started
            training.validate(validation)
        kept.save(spent, scored(training, mark, False))
        yield kept.lines[-1]
        if mark in args.cool:
            yield cool(mark)
        if is_flat(kept.lines[-1], args):
            return


def main() -> None:
    """Print one JSON line a variant, seed and training time, then the means over seeds with their s.d."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--marks", type=float, nargs="+", default=[30, 60, 120], help="seconds of training")
    parser.add_argument("--device", default="cpu", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--prefetch", type=int, default=0, help="threads that read batches ahead")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=["fast", "paper", "paper-v"])
    parser.add_argument("--train", type=json.loads, default={}, help="JSON of train settings other than TRAIN's")
    parser.add_argument(
        "--flat", type=float, help="end a training where its validation loss fell by less than this share"
    )
    parser.add_argument(
        "--cool", type=float, nargs="*", default=[], help="marks at which a copy goes on with a falling learning rate"
    )
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--fields", type=int, help="train on so many fields of the plate, not on all")
    parser.add_argument("--steps", type=int, default=20, help="DDIM steps of every variant")
    args = parser.parse_args()
    args.marks, args.cool = sorted(args.marks), sorted(args.cool)
    if missing := set(args.cool) - set(args.marks):
        parser.error(f"--cool {sorted(missing)[0]:g}: expected some of the marks {args.marks}")
    if args.cool and args.train.get("decay") == "cosine":
        parser.error("--cool: expected a constant learning rate, found the decay cosine")
    torch.set_num_threads(1)
    named = torch.cuda.get_device_name() if pick_device(args.device).type == "cuda" else "cpu"
    make_plates(args.folder)
    results = args.folder / "results"
    plate, lines = Plate(results, PLATES[2]), []
    for seed, variant in itertools.product(args.seeds, args.variants):
        for line in train(variant, seed, results, plate, args):
            lines.append(line)
            shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()}
            print(json.dumps({"bench": "presets", "width": args.width, "device": named, **shown}), flush=True)
    numbers = ["images", "loss", "validation", "validation_eps", "validation_v", "pcc", "ssim", "feature_distance"]
    table = pd.DataFrame(lines)
    for (variant, mark, is_cooled), part in table.groupby(["variant", "seconds", "cooled"]):
        shown = {name: [round(part[name].mean(), 4), round(part[name].std(), 4)] for name in numbers}
        of = {"bench": "presets", "variant": variant, "seconds": mark, "cooled": bool(is_cooled)}
        print(json.dumps({**of, "mean and s.d.": shown}), flush=True)
    for (variant, seed), part in table[table["cooled"]].groupby(["variant", "seed"]):
        ends = {name: continued(list(part[name])) for name in ("validation", "pcc", "feature_distance")}
        print(json.dumps({"bench": "presets", "variant": variant, "seed": seed, "continued": ends}), flush=True)


if __name__ == "__main__":
    main()
