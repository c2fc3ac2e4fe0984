"""Grad-CAMO on planted truth: the simulator's cells with treatments that change them, and with stripes behind them alone.

Three classes of simulated cells, cropped by the simulator's own outlines: `clean`, whose treatments change the stains of the
cells; `confounded`, whose treatments do nothing to them, while each has stripes of its own in the background. Each is learnt by
`train_cellnet` and explained by `gradcamo` at the layers named. Prints one JSON line a seed, study and layer: accuracy on
held-out wells, lift by class, accuracy with the cell and with all else erased, and the verdicts.

    python bench/gradcamo.py --seeds 0 1 2 --folder /tmp/bench_gradcamo
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.features import crop_windows
from brightpaint.models import train_cellnet
from brightpaint.plates import simulate
from brightpaint.plates.simulator import confounder, imaging, phenotypes
from brightpaint.scores.cells import gradcamo

STAINS = ["DNA", "AGP", "Mito"]
EFFECTS = [
    {},
    {"mito_potential": 8.0},
    {"actin_fibres": 8.0},
]  # scores of a cell, by class; an untreated one has 0 in each
PERIODS_UM = [8.5, 13.0, 19.0]  # of the classes' stripes: the names are chosen by what the simulator draws for them
PIXEL_UM, FIELD_PX, CELLS, SITES = 1.5, 192, 9, 2
SETTINGS = {
    "label": "perturbation", "test_share": 0.25, "test_plates": [], "validation_share": 0.15, "masked": False,
    "brightness": 0.0, "class_weights": "balanced", "blocks": 1, "dropout": 0.1, "batch": 32, "learning_rate": 4e-3,
    "warmup_images": 320, "decay": "cosine", "clip_norm": 1.0, "ema_images": 300, "validate_every_images": 2000, "local": True,
}  # fmt: skip


def treatments(seed: int) -> dict[str, dict[str, float]]:
    """Return {name: scores of its cells}: of a hundred names those whose stripes come nearest to the periods."""
    drawn = {f"SIM-{number:03d}": confounder.stripes_of(f"SIM-{number:03d}", seed=seed) for number in range(1, 101)}
    names = [min(drawn, key=lambda name: abs(drawn[name].period_um - period)) for period in PERIODS_UM]
    return dict(zip(names, EFFECTS))


def field(name: str, study: str, plate: str, well: str, site: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the stains of a field, (C, 1, H, W), and its label image, (1, H, W)."""
    effects = treatments(seed)[name] if study == "clean" else {}
    state = {key: float(effects.get(key, 0)) for key in phenotypes.PARAMETERS}
    names = (seed, plate, well, site)
    drawn = {"size_px": FIELD_PX, "density": CELLS / (FIELD_PX * PIXEL_UM) ** 2, "pixel_size_um": PIXEL_UM}
    maps, canvas = simulate.draw_sample(state, names=names, **drawn)
    stripes = confounder.stripes_of(name, seed=seed) if study == "confounded" else None
    view = imaging.View(STAINS, stripes=stripes, shown_in="stains", strength=2.0)
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


def learn(folder: Path, args: argparse.Namespace, seed: int) -> None:
    """Train the network of a folder's crops, and the one on erased cells where it is asked for."""
    settings = SETTINGS | {"width": args.width, "images": args.images, "seed": seed}
    for variant in ["cells", *(["floor"] if args.floor else [])]:
        words = ["--settings", json.dumps(settings), "--variant", variant, "--device", "cpu", "--compute", "{}"]
        words += ["--crops", *sorted(folder.glob("P?.tif")), "--weights", folder / f"{variant}.safetensors"]
        words += ["--history", folder / f"{variant}.jsonl", "--split", folder / "split.tsv"]
        if not (folder / f"{variant}.safetensors").exists():
            train_cellnet.main([str(word) for word in words])


def explained(folder: Path, layer: int, variants: list[str]) -> dict:
    """Return what `gradcamo` says of a folder's crops at a layer."""
    outputs = {name: folder / f"{layer}.{name}.tsv" for name in ("table", "erased", "verdicts")}
    words = [
        "--settings",
        json.dumps({"label": "perturbation", "layer": layer, "wells": "held_out"}),
        "--device",
        "cpu",
    ]
    words += [
        "--arm",
        "real",
        "--variants",
        *variants,
        "--weights",
        *(folder / f"{name}.safetensors" for name in variants),
    ]
    words += [
        "--split",
        folder / "split.tsv",
        "--crops",
        *sorted(folder.glob("P?.tif")),
        "--cells",
        folder / f"{layer}.parquet",
    ]
    gradcamo.main(
        [str(word) for word in [*words, *(word for name in outputs for word in (f"--{name}", outputs[name]))]]
    )
    table, erased, said = (pd.read_csv(path, sep="\t", keep_default_na=False) for path in outputs.values())
    own = table.query("explained == 'own' and metric == 'lift'")
    found = {f"lift_{row.variant}": {} for row in own.itertuples()}
    for row in own.itertuples():
        found[f"lift_{row.variant}"][row[4] or "all"] = round(float(row.value), 2)
    whole = erased.query("metric == 'balanced_accuracy'").set_index("shown")["value"].astype(float).round(3)
    nan = table.query("explained == 'own' and variant == 'cells' and metric == 'share_nan'").set_index("class")["value"]
    return {
        "accuracy": whole.to_dict(),
        **found,
        "nan": nan.to_dict(),
        "verdicts": dict(zip(said["class"], said["verdict"])),
    }


def main() -> None:
    """Measure Grad-CAMO on planted truth."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--layers", type=int, nargs="+", default=[-1])
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--wells", type=int, default=8, help="of each treatment on each of two plates")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--images", type=int, default=14000)
    parser.add_argument("--floor", action="store_true", help="train on erased cells too")
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    for seed in args.seeds:
        for study in ("clean", "confounded"):
            folder, begun = args.folder / f"{study}{seed}", time.perf_counter()
            folder.mkdir(parents=True, exist_ok=True)
            for number in (1, 2):
                if not (folder / f"P{number}.tif").exists():
                    write_plate(folder / f"P{number}.tif", study, number, seed, args.wells, args.size_px)
            made = time.perf_counter()
            learn(folder, args, seed)
            for layer in args.layers:
                variants = ["cells", *(["floor"] if args.floor else [])]
                found = explained(folder, layer, variants)
                spent = {"drawn_s": round(made - begun, 1), "all_s": round(time.perf_counter() - begun, 1)}
                print(json.dumps({"seed": seed, "study": study, "layer": layer, **found, **spent}), flush=True)


if __name__ == "__main__":
    main()
