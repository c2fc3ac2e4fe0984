"""A critic learnt without labels (GAN-DL) beside all that it must beat, in one table: simulated plates, BBBC013 and MitoCheck.

    python bench/critics.py out --images /data/images --minutes 20 --seeds 1 2 --lite0 lite0.safetensors --cores 2

--minutes is the CPU time of a critic's training, of each seed and data set; the images that go into it are counted from a rate
measured once, and kept. An autoencoder of its width sees as many. A rerun goes on where it was: finished studies, networks and
answers are not made again, a killed training goes on. --lite0 names EfficientNet-Lite0 as safetensors (config/README.md); without
it there are no features of ImageNet.

- simulated: config/gan.yaml, a study a seed; the report's table of spaces, and curves along the axis beside the truth.
- bbbc013: the axis from untreated wells to positive controls. AUC by well of 7.8 nM wortmannin and of 2.5 uM LY294002 against
  untreated wells, beside the field's coefficient of variation of GFP, a number that needs no network; and the column control: the
  axis of rows A to D, whose top dose lies in column 12, reads rows E to H, whose top dose lies in column 1.
- mitocheck: 16 phenotypes of single cells, each movie held out by one of five folds, by one logistic regression in every space.

`gain` is the critic's number less the space's own on the same wells or cells, with the 95% interval of the difference. Nothing is
claimed of a critic whose interval does not say so in every seed. All networks saw the test images, without labels, as the paper's.
Writes critics.tsv, critics.md, critics.json and critics.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import mitocheck
import numpy as np
import pandas as pd
import torch
from critic_studies import (
    CRITIC_SPACE,
    GAN,
    LOOKS,
    bbbc013_rows,
    config_of,
    described,
    gan_rate,
    gan_settings,
    images_for,
    of_bbbc013,
    of_simulated,
    profile_targets,
    seed_studies,
    simulated_rows,
    simulated_targets,
)
from translated_studies import markdown, spent

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.models.image_encoders import read_encoder
from brightpaint.report.style import LINES, STYLE, save
from brightpaint.study import critics
from brightpaint.study.spaces import SPACES

COLUMNS = [
    "data",
    "question",
    "metric",
    "space",
    "seed",
    "value",
    "low",
    "high",
    "null",
    "gain",
    "gain_low",
    "gain_high",
    "n",
]
METRICS = ("accuracy", "macro_f1")
SHUFFLED = "critic, shuffled labels"


def say(**line) -> None:
    print(json.dumps({"bench": "critics", **line}), flush=True)


def of_study(name: str, rows_of, made, targets, args: argparse.Namespace) -> Iterator[dict]:
    """Yield the rows of a data set whose spaces a study makes."""
    for seed, results, lines in seed_studies(name, made, targets, args):
        for line in lines:
            say(data=name, seed=seed, **line)
        yield from ({"data": name, "seed": seed, **row} for row in rows_of(results))


# --- MitoCheck: crops of one's own, by the workflow's commands ---


def run(module: str, words: Sequence[object], seconds: Path) -> None:
    """Run a command of the workflow, and note the CPU seconds that it took."""
    before = spent()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(mitocheck.ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-m", f"brightpaint.models.{module}", *map(str, words)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{module}: {done.stderr[-2000:]}")
    seconds.write_text(f"{(spent() - before)[1]:.0f}\n")


def mitocheck_encoders(folder: Path, crops: Path, settings: dict, lite0: Path | None, first: Path) -> dict[str, Path]:
    """Train and fit what turns crops into numbers, once; return {encoder: its weights}. What no seed changes lies in `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = {key: settings[key] for key in ("size_px", "examples", "channels", "windows")}
    own = {key: settings[key] for key in critics.AUTOENCODER} | seen
    data = ["--stacks", crops, "--fields", crops.with_suffix(".parquet")]
    kept = ["--compute", json.dumps({"save_every_s": 60}), "--device", "cpu"]
    gan = {name: folder / file for name, file in (("weights", "weights.safetensors"), ("untrained", "untrained.safetensors"),
                                                  ("history", "history.jsonl"), ("picture", "samples.png"))}  # fmt: skip
    auto = {"weights": folder / "autoencoder.safetensors", "history": folder / "autoencoder.jsonl"}
    jobs = [("train_gan", settings, gan, kept), ("train_autoencoder", own, auto, kept),
            ("fit_pixels", seen, {"weights": first / "pixels.safetensors"}, [])]  # fmt: skip
    if lite0:
        files = {
            "weights": first / "imagenet.safetensors",
            "collapsed": first / "imagenet_collapsed.safetensors",
            "network": lite0,
        }
        jobs.append(("fit_imagenet", seen, files, []))
    for module, chosen, files, more in jobs:
        seconds = files["weights"].with_suffix(".seconds")
        if not seconds.exists():
            words = [word for name, file in files.items() for word in (f"--{name}", file)]
            run(module, ["--settings", json.dumps(chosen), *more, *data, *words], seconds)
    found = {
        "trained": gan["weights"],
        "untrained": gan["untrained"],
        "autoencoder": auto["weights"],
        "pixels": first / "pixels.safetensors",
    }
    return found | ({"imagenet": first / "imagenet.safetensors"} if lite0 else {})


def encoder_answers(
    path: Path, weights: Path, crops: store.Crops, cells: pd.DataFrame, names: Sequence[str] | None = None
) -> np.ndarray:
    """Return what each cell is called by the numbers of an encoder, from a machine that saw no cell of its fold; made once.

    Parameters
    ----------
    names : labels in place of the cells' own
    """
    if not path.exists():
        torch.set_num_threads(1)
        encoder = read_encoder(weights, torch.device("cpu"))
        numbers = encoder.numbers(np.asarray(crops.images[:, :, 0], np.float32))
        told = cells if names is None else cells.assign(**{"class": names})
        found = mitocheck.answers_of(numbers, told, mitocheck.regression)
        store.write_table(pd.DataFrame({"class": told["class"], "called": found}), path)
    return store.read_table(path)["called"].to_numpy(object)


def mitocheck_rows(args: argparse.Namespace) -> Iterator[dict]:
    """Yield the rows of MitoCheck: accuracy and macro F1 by movie of every space, and what the critic gains over it."""
    base, (_, entry) = args.folder / "mitocheck", mitocheck.study()
    base.mkdir(parents=True, exist_ok=True)
    crops = mitocheck.bring_in(base, entry, args.folds)
    table = crops.table(["Metadata_Plate", "Metadata_label", "group", "ObjectNumber"])
    cells, path = table.set_axis(["fold", "class", "movie", "number"], axis=1), base / "crops.tif"
    study, channels = config_of("mitocheck"), list(crops.channels)
    chosen = gan_settings(study, channels, **GAN, examples=critics.CROPS)
    rate = lambda: gan_rate([path], [path.with_suffix(".parquet")], {**chosen, "seed": 0})  # noqa: E731
    images = images_for(base / "rate.json", args.minutes, rate, GAN["batch"])
    chosen |= {
        "images": images,
        "validate_every_images": max(GAN["batch"], images // LOOKS),
        "ema_images": max(GAN["batch"], images // 20),
    }
    most = mitocheck.answers_of(np.zeros((len(cells), 1)), cells, mitocheck.majority)
    for seed in args.seeds:
        folder = base / f"seed_{seed}_{images}"
        encoders = mitocheck_encoders(folder, path, {**chosen, "seed": seed}, args.lite0, base)
        for file in sorted(folder.glob("*.seconds")):
            say(data="mitocheck", seed=seed, stage=file.stem, cpu_s=float(file.read_text()), images=images)
        said = {critics.ENCODERS[name].space: encoder_answers(weights.with_suffix(".answers.tsv"), weights, crops, cells)
                for name, weights in encoders.items()}  # fmt: skip
        dealt = resampling.seeded("mitocheck", seed, "shuffled").permutation(cells["class"].to_numpy(object))
        shuffled = encoder_answers(folder / "shuffled.tsv", encoders["trained"], crops, cells, dealt)
        others = cells.assign(**{"class": dealt})
        null = mitocheck.summary("", others, shuffled)
        said["the largest class"] = most
        for space, answers in said.items():
            line = mitocheck.summary(space, cells, answers)
            gain = {} if space == CRITIC_SPACE else mitocheck.gained(cells, said[CRITIC_SPACE], answers)
            for metric in METRICS:
                row = {
                    "data": "mitocheck",
                    "question": "16 phenotypes, by movie",
                    "metric": metric,
                    "space": space,
                    "seed": seed,
                }
                row |= dict(zip(("value", "low", "high"), line[metric])) | dict(
                    zip(("gain", "gain_low", "gain_high"), gain.get(metric, ()))
                )
                yield {**row, "null": null[metric][0], "n": len(cells)}


# --- what is said ---


def one_table(rows: Sequence[dict]) -> pd.DataFrame:
    """Return all rows; a space that no seed changes has the same value in each, and another gain of the critic over it."""
    table = pd.DataFrame(list(rows)).reindex(columns=COLUMNS)
    numbers = COLUMNS[COLUMNS.index("value") :]
    return table.assign(**{name: pd.to_numeric(table[name]) for name in numbers})


def claims(table: pd.DataFrame) -> list[str]:
    """Say, question by question, over which spaces the critic gains by its interval in every seed, and which gain over it."""
    said, judged = [], table[table["gain_low"].notna()]
    for (data, question, metric), own in judged.groupby(["data", "question", "metric"], sort=False):
        sides = own.groupby("space", sort=False)
        better = [shown(space) for space, rows in sides if (rows["gain_low"] > 0).all()]
        worse = [shown(space) for space, rows in sides if (rows["gain_high"] < 0).all()]
        words = [f"better than {', '.join(better)}"] * bool(better) + [f"worse than {', '.join(worse)}"] * bool(worse)
        said.append(
            f"{data}, {question} ({metric}): the critic is {' and '.join(words) or 'told from no other space'}."
        )
    return said


def shown(space: str) -> str:
    """Return a space's name for people."""
    return SPACES[space].short if space in SPACES else space


def figure(table: pd.DataFrame) -> plt.Figure:
    """Draw each space's value and interval, a panel a question; seeds beside one another, the shuffled or chance level dotted."""
    panels = list(table.groupby(["data", "question", "metric"], sort=False))
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    drawn, axes = plt.subplots(rows, columns, figsize=(4.6 * columns, 2.6 * rows), layout="constrained", squeeze=False)
    seeds = sorted(set(table["seed"]))
    for axis, ((data, question, metric), own) in zip(axes.flat, panels):
        spaces = list(dict.fromkeys(own["space"]))
        for number, space in enumerate(spaces):
            for place, seed in enumerate(seeds):
                row = own[(own["space"] == space) & (own["seed"] == seed)]
                if not len(row) or not np.isfinite(row["value"].iloc[0]):
                    continue
                value, low, high = row[["value", "low", "high"]].iloc[0].astype(float)
                y, colour = (
                    number + 0.25 * (place - (len(seeds) - 1) / 2),
                    LINES[1] if space == CRITIC_SPACE else "0.35",
                )
                axis.plot([low, high], [y, y], color=colour, linewidth=1.2)
                axis.plot(value, y, "o", color=colour, markersize=4)
        if np.isfinite(level := float(own["null"].astype(float).mean())):
            axis.axvline(level, color="0.5", linestyle=":", linewidth=1)
        axis.set_yticks(range(len(spaces)), [shown(space) for space in spaces], fontsize=7)
        axis.invert_yaxis()
        axis.set_title(f"{data}: {question}", fontsize=7, loc="left")
        axis.set_xlabel(metric, fontsize=7)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    return drawn


def written(table: pd.DataFrame, folder: Path) -> list[str]:
    """Write the table, what it says and its figure; return what it says."""
    said = claims(table)
    store.write_table(store.as_text(table), folder / "critics.tsv")
    rows = [
        {key: "" if value != value or value is None else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]
    (folder / "critics.json").write_text(json.dumps({"rows": rows, "said": said}, indent=1))
    text = [{**row, "space": shown(row["space"])} for row in rows]
    (folder / "critics.md").write_text("\n".join([*said, "", markdown(text)]))
    with plt.rc_context(STYLE):
        save(figure(table), folder / "critics.png", 110)
    return said


DATA = {
    "simulated": lambda args: of_study("simulated", simulated_rows, of_simulated, simulated_targets, args),
    "bbbc013": lambda args: of_study(
        "bbbc013", lambda results: bbbc013_rows(results, described(args.images)), of_bbbc013, profile_targets, args
    ),
    "mitocheck": mitocheck_rows,
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the studies, to write")
    parser.add_argument("--images", type=Path, required=True, help="holds bbbc013_translocation and mitocheck_cells")
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--minutes", type=float, default=20.0, help="of a critic's training, on one core")
    parser.add_argument("--folds", type=int, default=5, help="of movies")
    parser.add_argument("--lite0", type=Path, help="EfficientNet-Lite0, safetensors")
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args(argv)
    os.environ["BRIGHTPAINT_REAL_DATA"] = str(args.images.resolve().parent)
    rows = []
    for name in args.data:
        rows += DATA[name](args)
        said = written(one_table(rows), args.folder)
    print("\n".join(said))


if __name__ == "__main__":
    main()
