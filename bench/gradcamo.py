"""Grad-CAMO on planted truth: the simulator's cells with treatments that change them, with stripes behind them, with both.

Three classes of simulated cells, cropped by the simulator's own outlines. `clean`: treatments change the stains of the cells.
`confounded`: treatments do nothing to the cells, while each has stripes of its own in the background. `both`: both. Of `both` two
networks are trained, one with its attention pulled onto the cell (cellnet.attention_weight); each is asked for the same held-out
wells with their stripes and without (the cells of `clean`). Each is learnt by `train_cellnet` and explained by `gradcamo`.

    python bench/gradcamo.py --seeds 0 1 2 --folder /tmp/bench_gradcamo

Prints one JSON line a seed and arm; the folder then has gradcamo.json, gradcamo.md and gradcamo.png. The same command goes on where
a killed one stopped, also within a training; a folder of other settings is refused.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from studies import check_kept

from brightpaint import store
from brightpaint.features import crop_windows
from brightpaint.models import train_cellnet
from brightpaint.plates import simulate
from brightpaint.plates.simulator import confounder, imaging, phenotypes
from brightpaint.report.style import LINES, STYLE
from brightpaint.scores.cells import gradcamo
from brightpaint.scores.cells.verdicts import AT, AWAY, by_default

STAINS = ["DNA", "AGP", "Mito"]
EFFECTS = [
    {},
    {"mito_potential": 8.0},
    {"actin_fibres": 8.0},
]  # scores of a cell, by class; an untreated one has 0 in each
PERIODS_UM = [8.5, 13.0, 19.0]  # of the classes' stripes: the names are chosen by what the simulator draws for them
PIXEL_UM, FIELD_PX, CELLS, SITES, STRENGTH = 1.0, 288, 9, 2, 4.0  # the last of the stripes
SETTINGS = {
    "label": "perturbation", "test_share": 0.25, "test_plates": [], "validation_share": 0.15, "masked": False,
    "brightness": 0.0, "class_weights": "balanced", "blocks": 1, "dropout": 0.1, "batch": 32, "learning_rate": 4e-3,
    "warmup_images": 320, "decay": "cosine", "clip_norm": 1.0, "ema_images": 300, "validate_every_images": 2000, "local": True,
}  # fmt: skip
CLEAN, CONFOUNDED, BOTH = "clean", "confounded", "both"
PULLED = "both, attention pulled"
WITHOUT = ", stripes gone"
TRAINED = {CLEAN: CLEAN, CONFOUNDED: CONFOUNDED, BOTH: BOTH, PULLED: BOTH}  # on which study each network
LEAST_ACCURACY, LEAST_LIFT, MOST_LIFT = 0.9, 1.5, 0.5
SAVE_EVERY_S = 60  # of an unfinished training


def treatments(seed: int) -> dict[str, dict[str, float]]:
    """Return {name: scores of its cells}: of a hundred names those whose stripes come nearest to the periods."""
    drawn = {f"SIM-{number:03d}": confounder.stripes_of(f"SIM-{number:03d}", seed=seed) for number in range(1, 101)}
    names = [min(drawn, key=lambda name: abs(drawn[name].period_um - period)) for period in PERIODS_UM]
    return dict(zip(names, EFFECTS))


def field(name: str, study: str, plate: str, well: str, site: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the stains of a field, (C, 1, H, W), and its label image, (1, H, W)."""
    effects = {} if study == CONFOUNDED else treatments(seed)[name]
    state = {key: float(effects.get(key, 0)) for key in phenotypes.PARAMETERS}
    names = (seed, plate, well, site)
    drawn = {"size_px": FIELD_PX, "density": CELLS / (FIELD_PX * PIXEL_UM) ** 2, "pixel_size_um": PIXEL_UM}
    maps, canvas = simulate.draw_sample(state, names=names, **drawn)
    stripes = None if study == CLEAN else confounder.stripes_of(name, seed=seed)
    view = imaging.View(STAINS, stripes=stripes, shown_in="stains", strength=STRENGTH)
    lighting = imaging.plate_lighting(STAINS, seed=seed, barcode=plate)
    images = imaging.image_sample(
        maps, canvas, channels=STAINS, pixel_size_um=PIXEL_UM, lighting=lighting, names=names, view=view
    )
    factor, margin = round(PIXEL_UM / canvas.step_um), round(canvas.margin_um / canvas.step_um)
    owner = maps["owner"][margin:-margin, margin:-margin][factor // 2 :: factor, factor // 2 :: factor]
    return np.stack([images[stain] for stain in STAINS])[:, None].astype(np.float32), owner[None] + 1


def write_plate(path: Path, study: str, number: int, seed: int, wells: int, size_px: int) -> None:
    """Write the crops of a plate of so many wells of each treatment."""
    plate, rows, crops, names = path.stem, [], [], list(treatments(seed))
    for place in range(wells * len(names)):
        name = names[(place + number) % len(names)]
        well = f"{'ABCDEFGH'[place // 12]}{place % 12 + 1:02d}"
        for site in range(1, SITES + 1):
            image, labels = field(name, study, plate, well, site, seed)
            for cell, middle in zip(*crop_windows.centres(labels)):
                start = crop_windows.starts(middle, (1, size_px, size_px))
                if crop_windows.reaches_out(start, (1, size_px, size_px), labels.shape) or (labels == cell).sum() < 80:
                    continue
                own = crop_windows.cut_masks(labels, cell, start, (1, size_px, size_px))
                crops.append((crop_windows.cut(image, start, (1, size_px, size_px)), own))
                rows.append({"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": site, "Metadata_Tile": 1,
                             **store.ROW_DEFAULTS, "Metadata_perturbation": name, "Metadata_target": "",
                             "Metadata_control_type": "negcon" if name == names[0] else "", "ObjectNumber": int(cell),
                             "border": 0, "group": f"{plate}/{well}"})  # fmt: skip
    every = np.stack([image for image, _ in crops])
    mean, sd = every.mean(axis=(0, 2, 3, 4), keepdims=True)[0], every.std(axis=(0, 2, 3, 4), keepdims=True)[0]
    store.write_rows(rows, path.with_suffix(".parquet"))
    size = (1, size_px, size_px)
    with store.CropWriter(path, len(rows), STAINS, size, key="bench", meta={"pixel_um": PIXEL_UM}) as writer:
        for row, (image, masks) in enumerate(crops):
            writer.write(row, np.clip((image - mean) / sd, -15, 15), masks)


def plates_of(folder: Path, study: str, seed: int, args: argparse.Namespace) -> list[Path]:
    """Return the crops of a study's two plates, drawn once."""
    paths = [folder / study / f"P{number}.tif" for number in (1, 2)]
    for number, path in enumerate(paths, start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_plate(path, study, number, seed, args.wells, args.size_px)
    return paths


def learn(folder: Path, paths: list[Path], settings: dict, variants: list[str]) -> None:
    """Train the networks of a folder that are not there yet; what a killed training has learnt is gone on from."""
    folder.mkdir(parents=True, exist_ok=True)
    for variant in variants:
        words = ["--settings", json.dumps(settings), "--variant", variant, "--device", "cpu"]
        words += ["--compute", json.dumps({"save_every_s": SAVE_EVERY_S}), "--crops", *paths]
        words += ["--weights", folder / f"{variant}.safetensors", "--history", folder / f"{variant}.jsonl"]
        words += ["--split", folder / "split.tsv"]
        if not (folder / f"{variant}.safetensors").exists():
            train_cellnet.main([str(word) for word in words])


def explain(folder: Path, paths: list[Path], shown: str, layer: int, variants: list[str]) -> dict:
    """Return what `gradcamo` says at a layer of the cells of held-out wells in these files, asked once."""
    stem = f"{shown}.{layer}"
    outputs = {name: folder / f"{stem}.{name}.tsv" for name in ("table", "erased", "verdicts")}
    cells = folder / f"{stem}.cells.parquet"  # written last
    settings = {"label": "perturbation", "layer": layer, "wells": "held_out"}
    words = ["--settings", json.dumps(settings), "--device", "cpu", "--arm", "real", "--variants", *variants]
    words += ["--weights", *(folder / f"{name}.safetensors" for name in variants), "--split", folder / "split.tsv"]
    words += ["--crops", *paths, "--cells", cells, *(word for name in outputs for word in (f"--{name}", outputs[name]))]
    if not cells.exists():
        gradcamo.main([str(word) for word in words])
    return {name: store.read_table(path) for name, path in outputs.items()}


def numbers(said: dict[str, pd.DataFrame]) -> dict:
    """Return what is judged of a network's tables: accuracies, and of each class lift, verdict and whether it is exempt.

    Exempt is the class that is answered for crops with nothing left: its evidence is an absence, and its map may lie anywhere.
    """
    accuracy = said["erased"].query("metric == 'balanced_accuracy'").set_index("shown")["value"].astype(float)
    classes, count = {}, len(said["verdicts"])
    for row in said["verdicts"].itertuples(index=False):
        rest = {key: round(float(getattr(row, key)), 3) for key in ("lift", "lift_low", "lift_high", "told",
                "told_cell_erased", "told_background_erased", "answered_both_erased", "untrained_lift")}  # fmt: skip
        classes[row[1]] = {**rest, "verdict": row.verdict, "exempt": by_default(rest["answered_both_erased"], count)}
    table = said["table"].query("explained == 'own' and variant == 'cells' and `class` == ''").set_index("metric")
    return {
        "accuracy": accuracy.round(3).to_dict(),
        "classes": classes,
        "lift": round(float(table.loc["lift", "value"]), 3),
        "share_nan": round(float(table.loc["share_nan", "value"]), 3),
    }


def judged(lines: list[dict]) -> dict[str, bool | None]:
    """Return {what was to hold: whether it does} of a seed's lines, of the head's layer; None where nothing tests it."""
    of = {(line["arm"], line["shown"]): line for line in lines}

    def told(arm: str) -> bool:
        return of[arm, arm]["accuracy"]["whole"] > LEAST_ACCURACY

    def classes(arm: str, holds) -> bool | None:
        kept = [one for one in of[arm, arm]["classes"].values() if not one["exempt"]]
        return all(map(holds, kept)) if kept else None

    def background_less_cell(arm: str) -> float:
        accuracy = of[arm, arm]["accuracy"]
        return accuracy["cell erased"] - accuracy["background erased"]

    plain, pulled = ((of[arm, arm], of[arm, CLEAN]) for arm in (BOTH, PULLED))
    return {
        "clean: accuracy above 0.9": told(CLEAN),
        "clean: lift above 1.5": classes(CLEAN, lambda one: one["lift"] > LEAST_LIFT),
        "clean: erasure agrees, over all classes": background_less_cell(CLEAN) < 0,
        "clean: erasure agrees, each class": classes(CLEAN, lambda one: one["verdict"] == AT),
        "confounded: accuracy above 0.9": told(CONFOUNDED),
        "confounded: lift below 0.5": classes(CONFOUNDED, lambda one: one["lift"] < MOST_LIFT),
        "confounded: erasure agrees, over all classes": background_less_cell(CONFOUNDED) > 0,
        "confounded: erasure agrees, each class": classes(CONFOUNDED, lambda one: one["verdict"] == AWAY),
        "pulled: lift higher": pulled[0]["lift"] > plain[0]["lift"],
        "pulled: accuracy without stripes higher": pulled[1]["accuracy"]["whole"] > plain[1]["accuracy"]["whole"],
    }


def seed_lines(args: argparse.Namespace, seed: int):
    """Yield a line for each network, layer and what it was shown."""
    folder, variants = args.folder / f"seed{seed}", ["cells", *(["floor"] if args.floor else [])]
    for arm, study in TRAINED.items():
        begun, cpu = time.perf_counter(), time.process_time()
        own, layers = plates_of(folder, study, seed, args), args.layers
        settings = SETTINGS | {"width": args.width, "images": args.images, "seed": seed}
        if arm == PULLED:
            settings |= {"attention_weight": args.weight, "layer": layers[0]}
        home = folder / arm.replace(", ", "_").replace(" ", "_")
        learn(home, own, settings, variants)
        asked = {arm: own, **({CLEAN: plates_of(folder, CLEAN, seed, args)} if study == BOTH else {})}
        for shown, paths in asked.items():
            for layer in layers:
                found = numbers(explain(home, paths, shown.replace(" ", "_"), layer, variants))
                spent = {"wall_s": round(time.perf_counter() - begun, 1), "cpu_s": round(time.process_time() - cpu, 1)}
                yield {"seed": seed, "arm": arm, "shown": shown, "layer": layer, **found, **spent}


def report(lines: list[dict], held: dict[int, dict]) -> str:
    """Return the tables in Markdown, what holds first."""
    words = {True: "holds", False: "**does not hold**", None: "no class to test"}
    rows = [
        "| what was to hold | " + " | ".join(f"seed {seed}" for seed in held) + " |",
        "|---" * (len(held) + 1) + "|",
    ]
    for name in next(iter(held.values())):
        rows.append(f"| {name} | " + " | ".join(words[one[name]] for one in held.values()) + " |")
    rows += ["", "| seed | network, shown | layer | balanced accuracy | cell erased | all but it erased | lift | lift by class "
             "(exempt) | verdicts |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for line in lines:
        accuracy, classes = line["accuracy"], line["classes"]
        lifts = ", ".join(
            f"{one['lift']:.2f}" if not one["exempt"] else f"({one['lift']:.2f})" for one in classes.values()
        )
        verdicts = ", ".join(one["verdict"] for one in classes.values())
        shown = line["arm"] if line["shown"] == line["arm"] else line["arm"] + WITHOUT
        rows.append(
            f"| {line['seed']} | {shown} | {line['layer']} | {accuracy['whole']:.2f} | {accuracy['cell erased']:.2f} | "
            f"{accuracy['background erased']:.2f} | {line['lift']:.2f} | {lifts} | {verdicts} |"
        )
    exempt = sorted({f"{name} (seed {line['seed']}, {line['arm']})" for line in lines if line["shown"] == line["arm"]
                     for name, one in line["classes"].items() if one["exempt"]})  # fmt: skip
    named = f"Exempt, answered for crops with nothing left: {', '.join(exempt)}." if exempt else "No class is exempt."
    return "\n".join([*rows, "", named, ""])


def figure(lines: list[dict]) -> plt.Figure:
    """Draw each seed's lift by class, and accuracies, network by network."""
    names = list(dict.fromkeys((line["arm"], line["shown"]) for line in lines))
    labels = [arm if arm == shown else arm + WITHOUT for arm, shown in names]
    drawn, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.8), sharey=True, layout="constrained")
    for line in lines:
        place = names.index((line["arm"], line["shown"]))
        for one in line["classes"].values():
            left.plot(one["lift"], place, "o", color=LINES[0], mfc="none" if one["exempt"] else LINES[0])
        for number, shown in enumerate(("whole", "cell erased", "background erased")):
            right.plot(line["accuracy"][shown], place + 0.2 * (number - 1), "o", color=LINES[number],
                       label=shown if line is lines[0] else None)  # fmt: skip
    for bound in (MOST_LIFT, 1, LEAST_LIFT):
        left.axvline(bound, color="0.7", lw=0.8, ls="-" if bound == 1 else ":")
    left.set_yticks(range(len(names)), labels)
    left.set_xlabel("lift of each class (hollow: exempt)")
    right.set_xlabel("balanced accuracy, wells held out")
    right.axvline(1 / len(EFFECTS), color="0.7", lw=0.8, ls=":")
    right.legend(frameon=False, fontsize=8)
    left.invert_yaxis()
    return drawn


def main(argv=None) -> None:
    """Measure Grad-CAMO on planted truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--layers", type=int, nargs="+", default=[-1], help="the first is judged")
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--wells", type=int, default=12, help="of each treatment on each of two plates")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--images", type=int, default=40000, help="crops seen by each network")
    parser.add_argument("--weight", type=float, default=1.0, help="by which attention is pulled")
    parser.add_argument("--floor", action="store_true", help="train on erased cells too")
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args(argv)
    check_kept(args.folder, {key: value for key, value in vars(args).items() if key not in ("seeds", "folder")})
    lines, held = [], {}
    for seed in args.seeds:
        own = []
        for line in seed_lines(args, seed):
            own.append(line)
            print(json.dumps(line), flush=True)
        held[seed] = judged([line for line in own if line["layer"] == args.layers[0]])
        lines += own
    (args.folder / "gradcamo.json").write_text(json.dumps({"held": held, "lines": lines}, indent=1))
    (args.folder / "gradcamo.md").write_text(report(lines, held))
    with plt.rc_context(STYLE):
        figure(lines).savefig(args.folder / "gradcamo.png", dpi=120)


if __name__ == "__main__":
    main()
