"""Does any painter from noise beat regression with noise of its own error? Candidates at equal training time, the winner confirmed.

    python bench/calibration.py --folder /tmp/bench_calibration --minutes 15
    BRIGHTPAINT_REAL_DATA=... python bench/calibration.py --folder /tmp/bench_calibration --data quarters isolated

`simulated`: of each seed of --choose a study of plates of its own. Regression and every candidate are trained for --seconds of
CPU (calibrated by short trainings), the floor is fitted, and the workflow paints, measures and scores --samples samples of
--fields fields of a plate that no training saw. The candidate of least mean energy score over these seeds is the winner; it alone
is trained again on the fresh seeds and plates of --confirm, beside regression and floor. What is printed of them are paired
gains of energy and variogram score over both, and spread over error by band, with 95% intervals over wells of all seeds.

`quarters`: the one real field with brightfield and five stains (PCCMA BR00143976), each quarter painted by models of the other
three, cut into tiles; tiles stand for wells. `isolated`: four real fields of NF1 Schwann cells, which have no brightfield: actin is
shown in its place, and DNA and ER are painted; each field is left out in turn. Cells of so few tiles can't be whitened, so
there are scores of images alone: CRPS, spread over error by band, PCC between samples.

Everything done is a line of <folder>/results.jsonl (trainings, scores) or a file of the workflow; the same command goes on where it
was, and stops where --minutes of CPU are spent. --longer 3 trains three times as long. Pictures lie in <folder>/pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import studies
import torch
import yaml
from PIL import Image

from brightpaint import store
from brightpaint.base.intensity import CUTOFF, moments, normalise
from brightpaint.models import train
from brightpaint.models.paint import sample, sweep_fields
from brightpaint.plates.resize import resize
from brightpaint.scores.calibration import calibration_rows, drawn
from brightpaint.scores.calibration.bands import BANDS

ROOT = Path(__file__).parent.parent
STAINS = ["DNA", "RNA", "ER", "AGP", "Mito"]
BASE, FLOOR = "regression", "floor"
# What is tried: how each is trained, and how it paints.
CANDIDATES = {
    "fast": ({"kind": "diffusion"}, {"sampler": "dpmpp", "steps": 25}),
    "residual": ({"kind": "whitened_residual"}, {"sampler": "dpmpp", "steps": 25}),
    "flow": ({"kind": "posterior_flow"}, {"sampler": "ddim", "steps": 25}),
    "bridge": ({"kind": "bridge"}, {"sampler": "ddpm", "steps": 25}),
}
KINDS = {BASE: "regression", FLOOR: "residual_noise", **{name: how[0]["kind"] for name, how in CANDIDATES.items()}}
TRAIN = {
    "batch": 8, "learning_rate": 2e-3, "warmup_images": 100, "decay": "cosine", "clip_norm": 1.0, "ema_images": 400,
    "validate_every_images": 1000, "label_dropout": 0.1,
}  # fmt: skip
PLAIN = {"sampler": "ddim", "steps": 1, "spacing": "level", "eta": 0.0}
REAL_SHARE = 0.3  # of tiles that validate: one of the four of a quarter
SHOT = 10  # batches by which a training's speed is told


class Spent(Exception):
    """The CPU time that was given is used up."""


def cpu_s() -> float:
    """Return the CPU seconds of this process and of those that it waited for."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


class Bench:
    """What was done in a folder, each of it once."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.folder, self.path = args, args.folder, args.folder / "results.jsonl"
        self.share, self.warm = args.validation_share, 0.0
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.done = {tuple(line["key"]): line for line in map(json.loads, lines)}

    def once(self, key: tuple, work) -> dict:
        """Return the line of a key, made by `work()` where it is not there yet."""
        key = tuple(map(str, key))
        if key not in self.done:
            if cpu_s() > 60 * self.args.minutes:
                raise Spent(key)
            started = cpu_s()
            self.done[key] = {"key": list(key), **work(), "cpu_s": round(cpu_s() - started, 1)}
            with self.path.open("a") as file:
                file.write(json.dumps(self.done[key]) + "\n")
        return self.done[key]

    # --- trainings -------------------------------------------------------------------------------

    def settings(self, name: str, channels: dict, seed: int, images: int, crop_px: int, base: Path | None) -> dict:
        """Return the settings of one training, as the workflow would give them."""
        shape = {"label": "none", "preset": "fast", "width": self.args.width, "objective": "v", "loss": "l2"}
        own = {"subset": "all", "held_out": [], "images": images, "seed": seed, "crop_px": crop_px}
        stands = {"stands_on": {"base": str(base)}} if base else {}
        share = {"validation_share": self.share}
        return {"kind": KINDS[name], **shape, **TRAIN, **own, **share, "channels": channels, **stands}

    def trained(self, where: Path, name: str, data: tuple[list[Path], list[Path]], channels: dict, seed: int) -> Path:
        """Train one model for the seconds that are given; return its weights."""
        weights = where / f"{name}.safetensors"
        base = None if name in (BASE, "fast") else where / f"{BASE}.safetensors"
        where.mkdir(parents=True, exist_ok=True)

        def fit(images: int, path: Path) -> float:
            started = cpu_s()
            settings = self.settings(name, channels, seed, images, self.args.crop_px, base)
            train.main(["--settings", json.dumps(settings), "--device", "cpu", "--stacks", *map(str, data[0]), "--fields",
                        *map(str, data[1]), "--weights", str(path), "--history", str(path.with_suffix(".jsonl"))])  # fmt: skip
            return cpu_s() - started

        def work() -> dict:
            batch = TRAIN["batch"]
            if name == FLOOR:
                return {"images": 0, "seconds": fit(batch, weights)}
            trial = where / f"{name}.trial.safetensors"
            if not self.warm:  # the first training of a process loads what later ones find
                self.warm = fit(batch, trial)
            short, longer = fit(batch, trial), fit((1 + SHOT) * batch, trial)
            rate = max(longer - short, longer / 4) / (SHOT * batch)  # what is fixed may be measured too large
            images = max(batch, round(self.args.seconds * self.args.longer / rate / batch) * batch)
            return {"images": images, "seconds": fit(images, weights), "ms_an_image": round(1000 * rate, 2)}

        if line := self.once(
            ("train", where.relative_to(self.folder), name, self.args.seconds, self.args.longer), work
        ):
            print(json.dumps({"bench": "calibration", **line}), flush=True)
        return weights


# --- simulated plates ----------------------------------------------------------------------------


def simulated_study(args: argparse.Namespace, seed: int, weights: dict[str, Path]) -> dict:
    """Return a study of three plates whose arms paint from these weights; without any, one that makes its plates."""
    config = yaml.safe_load((ROOT / "config" / "calibration.yaml").read_text())
    for key in ("pathvars", "sweep"):
        del config[key]
    columns = 8
    rows, left = divmod(args.fields, columns)
    if left or not 1 <= rows <= 16:
        raise SystemExit(f"--fields {args.fields}: expected a multiple of {columns}, from {columns} to {16 * columns}")
    side = args.size_px
    simulate = {
        "seed": seed,
        "rows": rows,
        "columns": columns,
        "size_px": side,
        "cells_per_field": 8 * (side / 128) ** 2,
    }
    config |= {"plates": "plates.tsv", "simulate": simulate, "prepare": {"size_px": side}}
    config["models"] = [
        {"name": name, "kind": KINDS[name], "weights": str(path.resolve())} for name, path in weights.items()
    ]
    config["arms"] = [
        {"name": name, "model": name, "folds": ["A"], **CANDIDATES.get(name, ({}, {}))[1]} for name in weights
    ]
    config["calibration"] = {"arms": list(weights), "fields": args.fields, "samples": args.samples}
    config["sample"] |= {"parts": 1}
    config["cellprofiler"] |= {"parts": 1}
    return config


def plates_table(seed: int) -> str:
    """Return plates.tsv: plates of the seed's own names, so that wells and noise differ from seed to seed."""
    rows = [f"S{seed}P{number}\tstudy\tsimulated\tsource_0\t2026010{number}_Batch_{number}\n" for number in (1, 2, 3)]
    return "plate\trole\tproject\tsource\tbatch\n" + "".join(rows)


def simulated(bench: Bench, stage: str, seed: int, names: list[str]) -> Path:
    """Train models on a seed's plates and have their samples scored; return the study's folder."""
    folder, plates = bench.folder / f"{stage}{seed}", [f"S{seed}P{number}" for number in (1, 2, 3)]

    def made(wanted: list[str], weights: dict[str, Path], word: str) -> None:
        study = simulated_study(bench.args, seed, weights)
        study["folds"] = [{"name": "A", "test": [plates[2]]}]
        if not weights:
            study |= {"models": [], "arms": [], "folds": [], "calibration": {}}
        bench.once((word, stage, seed), lambda: studies.make(folder, study, plates_table(seed), wanted) or {})

    real = [[f"results/{kind}/{plate}.{end}" for plate in plates[:2]] for kind, end in
            (("images/real", "tif"), ("fields", "parquet"))]  # fmt: skip
    made([*real[0], *real[1]], {}, "plates")
    channels = {"input": ["Brightfield_L", "Brightfield", "Brightfield_H"], "target": STAINS}
    data = tuple([folder / path for path in paths] for paths in real)
    weights = {name: bench.trained(folder / "models", name, data, channels, seed) for name in names}
    made([f"results/scores/calibration/{name}.parquet" for name in names], weights, "scores")
    for name in names:
        simulated_picture(bench, folder, plates[2], name)
    return folder


def simulated_picture(bench: Bench, folder: Path, plate: str, name: str) -> dict:
    """Draw the first field of a plate: real, and samples of an arm."""
    real, rows = (
        folder / f"results/images/real/{plate}.tif",
        store.read_fields(folder / f"results/fields/{plate}.parquet"),
    )
    arm = name if name == BASE else f"draws_{name}"
    stack, painted = store.open_gathered(folder / f"results/images/{arm}/{plate}.tif")
    key = painted.iloc[0]
    truth = store.open_stack(real).select(rows)
    place = int(np.flatnonzero((rows[store.FIELD_KEYS] == key[store.FIELD_KEYS]).all(axis=1))[0])
    shown = [np.asarray(truth.images[place][truth.channel_indices(STAINS)]), *np.asarray(stack.images[:3])]
    return draw(bench.folder / "pictures" / f"{folder.name}_{name}.png", shown[: 2 if name == BASE else 4])


def draw(path: Path, images: list[np.ndarray]) -> dict:
    """Write images (C, H, W), z-scores, as a picture: a row of each, its channels side by side."""
    path.parent.mkdir(exist_ok=True)
    rows = [np.concatenate(list((np.clip((image + 1.5) / 6, 0, 1) * 255).astype(np.uint8)), axis=1) for image in images]
    Image.fromarray(np.concatenate(rows, axis=0)).save(path)
    return {"picture": path.name}


def scored(folders: list[Path], names: list[str], samples: int) -> Iterator[dict]:
    """Yield what samples show of the fields of several studies together: `calibration_rows`, wells told apart by study."""
    tables = {}
    for name in names:
        read = [store.read_table(folder / f"results/scores/calibration/{name}.fields.parquet") for folder in folders]
        tables[name] = pd.concat(
            [
                table.assign(Metadata_Well=folder.name + "/" + table["Metadata_Well"].astype(str))
                for folder, table in zip(folders, read)
            ],
            ignore_index=True,
        )
    for name in names:
        yield from rows_of(tables, name, samples)


def rows_of(tables: dict[str, pd.DataFrame], name: str, samples: int) -> Iterator[dict]:
    """Yield the rows of one arm beside regression and floor; `tables` are of single fields, by arm."""
    own, others = tables[name], {word: tables[word] for word in (BASE, FLOOR) if word != name and word in tables}
    count = 1 if name == BASE else samples
    images, cells = own[own["Channel"] != drawn.CELLS], own[own["Channel"] == drawn.CELLS]
    channels = list(dict.fromkeys(images["Channel"]))
    kept = {
        "pcc_drawn",
        "pcc_between",
        "crps",
        "spread_error",
        "energy",
        "variogram",
        "component_spread",
        "count_spread",
    }
    kept |= {f"spread_error_{band}" for band in BANDS}
    found = list(calibration_rows.image_rows(images, others, count, channels, "bench"))
    found += list(calibration_rows.cell_rows(cells, others, count, "bench")) if len(cells) else []
    for row in found:
        gain = "_gain_" in row["metric"]
        if row.get("channel", "all") == "all" and (row["metric"] in kept or gain):
            numbers = {
                key: round(float(row[key]), 4) for key in ("value", "low", "high") if np.isfinite(row.get(key, np.nan))
            }
            yield {"arm": name, "metric": row["metric"], "n": int(row["n"]), **numbers}


def report(bench: Bench, key: str, rows: Iterator[dict]) -> list[dict]:
    """Print rows, each a JSON line, and return them."""
    found = [{"bench": "calibration", "of": key, **row} for row in rows]
    for row in found:
        print(json.dumps(row), flush=True)
    return found


def run_simulated(bench: Bench) -> None:
    """Choose a candidate, and confirm it."""
    args, every = bench.args, [BASE, FLOOR, *bench.args.candidates]
    chosen = [simulated(bench, "choose", seed, every) for seed in args.choose]
    rows = report(bench, "choose", scored(chosen, every, args.samples))
    energy = {row["arm"]: row["value"] for row in rows if row["metric"] == "energy" and row["arm"] in args.candidates}
    winner = min(energy, key=energy.get)
    print(json.dumps({"bench": "calibration", "winner": winner, "energy": energy}), flush=True)
    names = [BASE, FLOOR, winner]
    confirmed = [simulated(bench, "confirm", seed, names) for seed in args.confirm]
    if confirmed:
        report(bench, "confirm", scored(confirmed, names, args.samples))


# --- real fields ---------------------------------------------------------------------------------


def tiles_of(images: dict[str, np.ndarray], channels: list[str], grid: int, size_px: int) -> np.ndarray:
    """Cut a field into grid x grid tiles of z-scores: (grid^2, C, size, size), each image and channel by itself."""
    whole = {name: resize(image.astype(np.float32), grid * size_px) for name, image in images.items()}
    found = []
    for row, column in np.ndindex(grid, grid):
        window = tuple(slice(place * size_px, (place + 1) * size_px) for place in (row, column))
        cut = [whole[name][window] for name in channels]
        found.append(np.stack([normalise(image, *moments(image), cutoff=CUTOFF) for image in cut]))
    return np.stack(found)


def real_groups(data: str) -> tuple[dict[str, np.ndarray], dict]:
    """Return {group that is left out together: its tiles (N, C, H, W)}, and the channels."""
    root = Path(os.environ["BRIGHTPAINT_REAL_DATA"]) / "images"
    if data == "isolated":
        folder, channels = root / "nf1_schwann_3ch", {"input": ["RFP"], "target": ["DAPI", "GFP"]}
        every, groups = [*channels["input"], *channels["target"]], {}
        for name in ("B7_s3", "D6_s2", "D7_s1", "F7_s2"):
            images = {channel: store.read_raw(folder / f"{name}_{channel}.tif") for channel in every}
            side = min(min(image.shape) for image in images.values())
            groups[name] = tiles_of({key: image[:side, :side] for key, image in images.items()}, every, 3, 128)
        return groups, channels
    folder, channels = root / "pccma_BR00143976_C03_s3", {"input": ["Brightfield"], "target": STAINS}
    files = pd.read_csv(ROOT / "config" / "real_field.csv").set_index("channel")["file"]
    every = [*channels["input"], *channels["target"]]
    images = {channel: store.read_raw(folder / files[channel]) for channel in every}
    tiles = tiles_of(images, every, 4, 136)
    quarter = [2 * (number // 8) + (number % 4) // 2 for number in range(16)]
    return {f"quarter{q + 1}": tiles[[place for place in range(16) if quarter[place] == q]] for q in range(4)}, channels


def write_tiles(folder: Path, name: str, tiles: np.ndarray, channels: dict) -> tuple[Path, Path]:
    """Write tiles as a plate stack and its field table, each tile a well."""
    folder.mkdir(parents=True, exist_ok=True)
    stack, table = folder / f"{name}.tif", folder / f"{name}.parquet"
    with store.StackWriter(stack, tiles.shape, [*channels["input"], *channels["target"]], key="bench") as writer:
        for number, tile in enumerate(tiles):
            writer.write(number, tile)
    wells = [f"{name}_{number:02d}" for number in range(len(tiles))]
    fields = pd.DataFrame({"Metadata_Plate": name, "Metadata_Well": wells, "Metadata_Site": 1, "Metadata_Tile": 1})
    store.write_table(fields.assign(Metadata_perturbation="", stack_row=np.arange(len(tiles))), table)
    return stack, table


def paint(bench: Bench, weights: Path, name: str, plate: tuple[Path, Path], seed: int, out: Path) -> dict:
    """Paint every tile of a plate, several times where a model paints from noise."""
    count = 1 if name == BASE else bench.args.samples
    fields = store.read_fields(plate[1])
    rows = sweep_fields.drawn_rows(fields, count)
    store.write_table(rows, out.with_suffix(".rows.parquet"))
    how = {**PLAIN, **CANDIDATES.get(name, ({}, {}))[1], "seed": seed, "batch": 4, "subset": "all"}
    how |= {"sampling_label": "own", "label_scale": 1.0, "guidance_scale": 1.0, "guidance_interval": None}
    sample.main(["--settings", json.dumps(how), "--device", "cpu", "--weights", str(weights), "--stack", str(plate[0]),
                 "--fields", str(out.with_suffix(".rows.parquet")), "--part", "1", "--parts", "1", "--predicted", str(out),
                 "--seconds", str(out.with_suffix(".tsv"))])  # fmt: skip
    return {"file": out.name}


def run_real(bench: Bench, data: str) -> None:
    """Leave out each group of tiles in turn, train on the others, and score the samples of its tiles."""
    groups, channels = real_groups(data)
    bench.share = max(bench.share, REAL_SHARE)
    names, tables = [BASE, FLOOR, *bench.args.candidates], {}
    for seed in bench.args.choose:
        for left in list(groups)[: bench.args.groups]:
            folder = bench.folder / data / f"{left}_{seed}"
            plates = {name: write_tiles(folder / "tiles", name, tiles, channels) for name, tiles in groups.items()}
            others = [plates[name] for name in groups if name != left]
            truth, fields = store.open_stack(plates[left][0]), store.read_fields(plates[left][1])
            for name in names:
                weights = bench.trained(folder, name, tuple(map(list, zip(*others))), channels, seed)
                out, count = folder / f"{name}.tif", 1 if name == BASE else bench.args.samples
                bench.once(
                    ("paint", data, left, seed, name), partial(paint, bench, weights, name, plates[left], seed, out)
                )
                painted = store.open_stack(out)
                places = np.arange(len(fields) * count).reshape(len(fields), count)
                table = drawn.image_table(truth, painted, places, fields, channels["target"], CUTOFF)
                tables.setdefault(name, []).append(table.assign(Metadata_Well=f"{seed}/" + table["Metadata_Well"]))
                shown = [
                    np.asarray(truth.images[0][truth.channel_indices(channels["target"])]),
                    *np.asarray(painted.images[: min(3, count)]),
                ]
                draw(bench.folder / "pictures" / f"{data}_{left}_{seed}_{name}.png", shown)
    joined = {name: pd.concat(found, ignore_index=True) for name, found in tables.items()}
    report(bench, data, (row for name in names for row in rows_of(joined, name, bench.args.samples)))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--folder", type=Path, required=True)
    line.add_argument("--data", nargs="+", choices=("simulated", "quarters", "isolated"), default=["simulated"])
    line.add_argument("--choose", type=int, nargs="*", default=[101, 102, 103, 104, 105], help="seeds that choose")
    line.add_argument(
        "--confirm", type=int, nargs="*", default=[201, 202, 203, 204, 205], help="fresh seeds and plates"
    )
    line.add_argument("--candidates", nargs="+", choices=list(CANDIDATES), default=list(CANDIDATES))
    line.add_argument("--fields", type=int, default=64, help="test fields of a seed, and fields of each training plate")
    line.add_argument("--samples", type=int, default=8)
    line.add_argument("--groups", type=int, default=4, help="of a real field's tiles that are left out, each in turn")
    line.add_argument("--size-px", type=int, default=128)
    line.add_argument("--crop-px", type=int, default=64)
    line.add_argument("--width", type=int, default=16)
    line.add_argument("--seconds", type=float, default=150, help="CPU seconds of each training")
    line.add_argument("--longer", type=float, default=1, help="times as long")
    line.add_argument("--validation-share", type=float, default=0.2)
    line.add_argument("--minutes", type=float, default=600, help="of CPU, after which nothing new begins")
    return line


def main(argv: list[str] | None = None) -> None:
    """Run what is asked for; say where the time was spent."""
    args = parser().parse_args(argv)
    torch.set_num_threads(1)
    bench = Bench(args)
    try:
        for data in args.data:
            run_simulated(bench) if data == "simulated" else run_real(bench, data)
    except Spent as left:
        print(
            f"--minutes {args.minutes:g} are spent; next: {' '.join(left.args[0])}; the same command goes on",
            flush=True,
        )


if __name__ == "__main__":
    main()
