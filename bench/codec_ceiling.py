"""What is left of real stains that a codec has encoded and decoded: the ceiling of everything that is painted in its latents.

The two real fields with all five stains (PCCMA and JUMP source 1, at 512 px) are seen in halves, 32 px between them left out.
Each preset is trained on crops of 64 px and paints what it did not see, in two cases: `other half`, trained on the left halves of
both fields, paints the right ones (other cells of the same images); `other field`, trained on PCCMA alone, paints JUMP source 1
(another laboratory's plate).

A JSON line a codec, case and field: L1 in z-scores, SSIM and PCC of each stain; the KL divergence per latent element and the share
of active latents, of windows of 128 px; nuclei and cells found by the fast engine over the real ones, their F1; and of cells that
are found in both (IoU above one half) what their profiles keep: the median over CellProfiler's features of the correlation over
cells (of a feature that no longer varies 0), of the shift of the median in s.d. of the real cells, the share of features that
correlate above 0.8, and how often a real cell is the nearest one to its own decoded profile (`cells_found`; a cell that is not
found counts as missed). Beside them what costs nothing: identity, the stains themselves; and their means over 4 x 4 or 8 x 8 px,
drawn large again.

    BRIGHTPAINT_REAL_DATA=... python bench/codec_ceiling.py /tmp/codec_ceiling --minutes 12

--minutes are CPU-minutes of all; three quarters are training, shared alike by the presets and cases. What is finished is kept in
the folder and not made again, a training that was stopped goes on. `latent_64` and `latent_128`, the published latents, are as
narrow as `small` here (--width): their own width of 128 has some sixty times the arithmetic.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import yaml
from engine import FIVE, REAL, SIZE, UM, real_field, write_part
from studies import ROOT, check_kept
from translated_studies import markdown, rate_of

from brightpaint import store
from brightpaint.base.intensity import CUTOFF, standardise
from brightpaint.features import pipeline
from brightpaint.features.cells_part import cells_of_part, read_load_data, read_tables
from brightpaint.features.engine.measured_part import measure
from brightpaint.features.median import features_of
from brightpaint.models import train_codec
from brightpaint.models.codecs.codec import Autoencoded
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.networks.unet import parameter_count
from brightpaint.models.steps import Training
from brightpaint.models.trained import load_module, read_model
from brightpaint.profiles.feature_parts import cell_group
from brightpaint.report.style import STYLE, save
from brightpaint.scores.cells.object_overlap import MATCH_IOU, ious, overlap
from brightpaint.scores.images.field_scores import compare
from brightpaint.scores.images.score_codec import ACTIVE, Variance, encoded
from brightpaint.study import codecs
from brightpaint.study.kinds import CODEC
from brightpaint.study.presets import codec_spec
from brightpaint.study.study import Study

PRESETS = ("small", "latent_64", "latent_128")
FIELDS = ("PCCMA", "JUMP source 1")
SIDES = {"left": slice(0, 256), "right": slice(256, SIZE)}
GAP_PX = 16  # of each half beside the middle is not trained on
WINDOW_PX = 128
POOLED = (4, 8)
KEPT_R = 0.8  # a feature that correlates above it is called kept
TRAINED = 0.75  # share of the minutes that are training
LATENTS = ("kl_element", "latents_active", "channels_active")
FOUND = ("features_r", "features_shift", "features_kept", "cells_found")
# case: (halves trained on, halves painted)
CASES = {
    "other half": ([(field, "left") for field in FIELDS], [(field, "right") for field in FIELDS]),
    "other field": ([(FIELDS[0], side) for side in SIDES], [(FIELDS[1], side) for side in SIDES]),
}


def slug(*words: str) -> str:
    return "_".join(words).replace(" ", "_")


# --- fields and trainings ---


def area_of(case: str, field: str) -> slice | None:
    """Return the columns of a field that a case paints, if any."""
    sides = [SIDES[side] for own, side in CASES[case][1] if own == field]
    return slice(sides[0].start, sides[-1].stop) if sides else None


def areas(args: argparse.Namespace) -> Iterator[tuple[str, str, slice]]:
    """Yield case, field and columns of all that is painted."""
    for case in args.cases:
        for field in FIELDS:
            if columns := area_of(case, field):
                yield case, field, columns


def plate_of(folder: Path, stains: np.ndarray, field: str, side: str) -> tuple[Path, Path]:
    """Write one half of a field as a plate of one field; return its stack and table."""
    stack, table = (folder / "plates" / f"{slug(field, side)}.{kind}" for kind in ("tif", "parquet"))
    columns = SIDES[side]
    inside = slice(columns.start, columns.stop - GAP_PX) if side == "left" else slice(columns.start + GAP_PX, None)
    if not table.exists():
        stack.parent.mkdir(parents=True, exist_ok=True)
        half = stains[:, :, inside]
        with store.StackWriter(stack, (1, *half.shape), FIVE, key=store.digest(half.sum(dtype=float))) as writer:
            writer.write(0, half)
        named = {"Metadata_Plate": slug(field, side), "Metadata_Well": "A01", "Metadata_Site": 1, "Metadata_Tile": 1}
        rows = pd.DataFrame([{**named, "Metadata_perturbation": "none", "Metadata_Source": field}])
        store.write_table(rows, table)
    return stack, table


def settings_of(preset: str, width: int) -> dict:
    """Return the settings of a training of a codec of this preset: those of config/latent.yaml, all fields trained on."""
    study = Study.load(
        yaml.safe_load((ROOT / "config" / "latent.yaml").read_text()), ROOT / "workflow" / "schemas", ROOT
    )
    entry = {**study.entry("models", "kl"), "preset": preset, "width": width}
    own = {"kind": CODEC.name, "label": "none", "subset": "all", "held_out": [], "validation_share": 0}
    return {**codecs.training(study, entry), **own, "channels": {"input": [], "target": FIVE}}


def images_of(preset: str, args: argparse.Namespace, plates: Sequence[tuple[Path, Path]]) -> int:
    """Return how many images a training of a preset shows, measured once and kept in the folder."""
    path = args.folder / "rates.json"
    rates = json.loads(path.read_text()) if path.exists() else {}
    if preset not in rates:
        settings = settings_of(preset, args.width)
        networks = train_codec.built_networks(settings, settings["channels"], (SIZE, SIZE // 2))
        objective, _ = train_codec.objectives(settings, networks["model"])
        data = TrainingImages(*zip(*plates), channels=settings["channels"], label="none")
        rates[preset] = rate_of(Training(networks, objective, {**settings, "images": 10**6}, Compute()), data)
        path.write_text(json.dumps(rates))
    seconds = 60 * args.minutes * TRAINED / len(args.presets) / len(args.cases)
    batch = settings_of(preset, args.width)["batch"]
    return int(rates[preset] * seconds / batch) * batch


def train(folder: Path, settings: dict, plates: Sequence[tuple[Path, Path]]) -> Path:
    """Train a codec, or go on with one; return its weights."""
    weights, (stacks, tables) = folder / "weights.safetensors", zip(*plates)
    folder.mkdir(parents=True, exist_ok=True)
    words = ["--settings", json.dumps(settings), "--stacks", *stacks, "--fields", *tables, "--device", "cpu"]
    words += ["--weights", weights, "--history", folder / "history.jsonl"]
    train_codec.main([str(word) for word in words])
    return weights


def decoder(weights: Path) -> tuple[Callable, object]:
    """Return `decoded(stains)`, (C, H, W) z-scores within the cut-off of ones that are encoded, and the network."""
    tensors, meta = read_model(weights, (CODEC.name,))
    network = load_module(
        weights, train_codec.build_codec(meta["settings"], meta["channels"]), tensors, torch.device("cpu")
    )
    codec = Autoencoded(network.eval())

    @torch.no_grad()
    def decoded(stains: np.ndarray) -> np.ndarray:
        return codec.decode(codec.encode(torch.from_numpy(stains)[None])).clamp(-CUTOFF, CUTOFF)[0].numpy()

    return decoded, network


def latents_of(network, stains: np.ndarray, side: str) -> list[tuple[np.ndarray, float]]:
    """Return posterior means and KL divergence per element of the windows of one half of a field."""
    columns = range(SIDES[side].start, SIDES[side].stop, WINDOW_PX)
    corners = [(row, column) for row in range(0, SIZE, WINDOW_PX) for column in columns]
    windows = [np.ascontiguousarray(stains[:, y : y + WINDOW_PX, x : x + WINDOW_PX]) for y, x in corners]
    return [encoded(network, window, Compute()) for window in windows]


# --- what is left ---


def pooled(stains: np.ndarray, side_px: int) -> np.ndarray:
    """Return the means of blocks of `side_px` by `side_px`, drawn large again by bilinear interpolation: (C, H, W)."""
    small = F.avg_pool2d(torch.from_numpy(stains)[None], side_px)
    return F.interpolate(small, stains.shape[-2:], mode="bilinear", align_corners=False)[0].numpy()


def measured(folder: Path, stains: np.ndarray) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return one row a cell of a field as the fast engine measures it by the full pipeline, and the label images."""
    tables = folder / "tables"
    if not tables.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped here
        part = write_part(
            folder / "images", standardise(stains, CUTOFF), FIVE, UM
        )  # as `export` does with painted ones
        measure(ROOT / "resources" / "cellprofiler" / "full.cppipe", part, tables)
    keys, objects = read_tables(tables)
    cells = cells_of_part(keys, objects, keys.drop(columns="ImageNumber"))
    (first,) = [name for name in read_load_data(tables)[f"FileName_Orig{FIVE[0]}"]]
    return cells, {name: store.read_raw(tables / pipeline.label_file(first, name)) for name in pipeline.LABELLED}


def matched(real: np.ndarray, painted: np.ndarray) -> dict[int, int]:
    """Return {number of a real object: that of the painted one which is on it}, of an IoU above one half."""
    table, _, _ = ious(real, painted)
    names = [np.unique(labels[labels > 0]) for labels in (real, painted)]
    return {int(names[0][row]): int(names[1][column]) for row, column in np.argwhere(table > MATCH_IOU)}


def correlations(real: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """Return each feature's correlation over cells, (n, D) and (n, D) -> (D,): 0 where it does not vary among the painted."""
    left, right = (side - np.nanmean(side, axis=0) for side in (real, painted))
    both = np.isfinite(left) & np.isfinite(right)
    left, right = (np.where(both, side, 0.0) for side in (left, right))
    norms = np.sqrt((left**2).sum(axis=0) * (right**2).sum(axis=0))
    return np.divide((left * right).sum(axis=0), norms, out=np.zeros(left.shape[1]), where=norms > 1e-12)


def kept(real: pd.DataFrame, painted: pd.DataFrame, pairs: dict[int, int]) -> tuple[dict, dict]:
    """Return what the profiles of cells keep: FOUND, and the median correlation of each group of features.

    Parameters
    ----------
    real, painted : one row a cell, with ObjectNumber
    pairs : of `matched`
    """
    names = [name for name in features_of(list(real)) if name in painted]
    truth = real.set_index("ObjectNumber")[names].astype(np.float64)
    usable = np.isfinite(truth).all() & (truth.std() > 1e-9 * (1 + truth.abs().max()))
    truth = truth.loc[:, usable]
    image = painted.set_index("ObjectNumber")[list(truth)].astype(np.float64)
    pairs = {one: other for one, other in pairs.items() if one in truth.index and other in image.index}
    own, shown = truth.loc[list(pairs)].to_numpy(), image.loc[list(pairs.values())].to_numpy()
    if len(pairs) < 3:
        return {**dict.fromkeys(FOUND, np.nan), "cells_matched": len(pairs)}, {}
    r = correlations(own, shown)
    sd = truth.std().to_numpy()
    shift = np.abs(np.nanmedian(image.to_numpy(), axis=0) - truth.median().to_numpy()) / sd
    scaled, asked = ((side - truth.mean().to_numpy()) / sd for side in (truth.to_numpy(), shown))
    alike = np.corrcoef(np.nan_to_num(asked), scaled)[: len(asked), len(asked) :]
    right = truth.index.to_numpy()[alike.argmax(axis=1)] == np.array(list(pairs))
    groups = pd.Series(r, index=truth.columns).groupby(cell_group).median()
    found = {"features_r": np.median(r), "features_shift": np.nanmedian(shift), "features_kept": np.mean(r > KEPT_R),
             "cells_found": right.sum() / len(truth)}  # fmt: skip
    return {**{name: float(value) for name, value in found.items()}, "cells_matched": len(pairs)}, groups.to_dict()


def line_of(folder: Path, case: str, field: str, real: np.ndarray, painted: np.ndarray) -> dict:
    """Return what is left of what a case paints of a field: images by stain, objects, profiles."""
    sides = [standardise(stains, CUTOFF) for stains in (real, painted)]
    scores = compare(*sides, real, painted, CUTOFF) | {"l1": np.abs(painted - real).mean((1, 2))}
    images = {name: {"all": float(scores[name].mean()), **dict(zip(FIVE, map(float, scores[name])))}
              for name in ("l1", "ssim", "pcc")}  # fmt: skip
    truth, labels = measured(folder.parent / slug("real", case, field), real)
    cells, drawn = measured(folder / slug(case, field), painted)
    profiles, groups = kept(truth, cells, matched(labels["Cells"], drawn["Cells"]))
    counts = {f"{name.lower()}_over_real": float(drawn[name].max() / labels[name].max()) for name in pipeline.LABELLED}
    f1 = {f"{name.lower()}_f1": overlap(labels[name], drawn[name])["f1"] for name in pipeline.LABELLED}
    return {**images, **counts, **f1, "cells": len(truth), **profiles, "groups": groups}


def share_of(preset: str, width: int) -> float:
    """Return the numbers of a preset's latents over those of the stains."""
    spec = codec_spec(preset, width)
    return spec.latents / spec.stride_px**2 / len(FIVE)


def free_lines(args: argparse.Namespace, fields: dict) -> Iterator[dict]:
    """Yield the lines of what costs nothing."""
    ways = {"identity": (1.0, lambda stains: stains)}
    for side in POOLED:
        ways[f"means of {side} x {side} px"] = (1 / side**2, partial(pooled, side_px=side))
    for name, (share, way) in ways.items():
        for case, field, columns in areas(args):
            real, at = np.ascontiguousarray(fields[field][:, :, columns]), args.folder / "measured" / slug(name)
            line = piece(args, slug(name, case, field), line_of, at, case, field, real, way(real))
            yield {"codec": name, "case": case, "field": field, "share": share, **line}


def piece(args: argparse.Namespace, name: str, make: Callable[..., dict], *what) -> dict:
    """Return a finished piece, `make(*what)`, made once, with the CPU seconds that it took."""
    path = args.folder / "pieces" / f"{name}.json"
    if not path.exists():
        start = time.process_time()
        found = make(*what)
        path.parent.mkdir(parents=True, exist_ok=True)
        with store.atomic(path) as temporary:
            temporary.write_text(json.dumps({**found, "cpu_s": round(time.process_time() - start, 1)}))
    return json.loads(path.read_text())


def painted_by(args: argparse.Namespace, preset: str, case: str, fields: dict, plates: dict) -> dict:
    """Train a preset for a case and paint what it did not see; keep that and say what its latents hold."""
    trained, shown = CASES[case]
    folder = args.folder / "models" / slug(preset, case)
    images = images_of(preset, args, list(plates.values()))
    weights = train(folder, {**settings_of(preset, args.width), "images": images}, [plates[half] for half in trained])
    decoded, network = decoder(weights)
    means, divergence = Variance(), []
    for field, side in shown:
        for mean, kl in latents_of(network, fields[field], side):
            means.add(mean)
            divergence.append(kl)
    for field in FIELDS:
        if columns := area_of(
            case, field
        ):  # the whole field is decoded, so that a half has no border of zeros in its middle
            np.save(folder / f"{slug(field)}.npy", decoded(fields[field])[:, :, columns].astype(np.float16))
    active = {"latents_active": float((means.value() > ACTIVE).mean()),
              "channels_active": int((means.of_channels() > ACTIVE).sum())}  # fmt: skip
    return {
        "images": images,
        "parameters": parameter_count(network),
        "kl_element": float(np.mean(divergence)),
        **active,
    }


def painted_stains(args: argparse.Namespace, preset: str, case: str, field: str) -> np.ndarray:
    """Return what a preset has painted of a field in a case, (C, H, w) float32."""
    return np.load(args.folder / "models" / slug(preset, case) / f"{slug(field)}.npy").astype(np.float32)


def codec_lines(args: argparse.Namespace, preset: str, fields: dict, plates: dict) -> Iterator[dict]:
    """Yield a line a case and field of a preset; each training is one piece."""
    shape = codec_spec(preset, args.width)
    size = f"{shape.latents} x {SIZE // shape.stride_px} x {SIZE // shape.stride_px}"
    for case, field, columns in areas(args):
        about = piece(args, slug(preset, case), painted_by, args, preset, case, fields, plates)
        real, at = np.ascontiguousarray(fields[field][:, :, columns]), args.folder / "measured" / slug(preset)
        painted = painted_stains(args, preset, case, field)
        line = piece(args, slug(preset, case, field), line_of, at, case, field, real, painted)
        spent = {key if key != "cpu_s" else "training_cpu_s": value for key, value in about.items()}
        yield {"codec": preset, "case": case, "field": field, "latents": size, "share": share_of(preset, args.width),
               **spent, **line}  # fmt: skip


# --- report ---


def report(lines: Sequence[dict]) -> str:
    """Return what was measured as Markdown: all stains together, by stain, by group of features."""
    heads = [{"codec": line["codec"], "case": line["case"], "field": line["field"]} for line in lines]
    keys = ("nuclei_over_real", "nuclei_f1", "cells_f1", *FOUND)
    whole = [{**head, "latents": line.get("latents", ""), "share": line["share"],
              **{name: line[name]["all"] for name in ("l1", "ssim", "pcc")},
              **{key: line.get(key, "") for key in LATENTS},
              **{key: line[key] for key in keys}} for head, line in zip(heads, lines)]  # fmt: skip
    stains = [{**head, **{f"{stain} {name}": line[name][stain] for name in ("pcc", "ssim", "l1") for stain in FIVE}}
              for head, line in zip(heads, lines)]  # fmt: skip
    groups = [{**head, **line["groups"]} for head, line in zip(heads, lines)]
    return "\n".join(markdown(rows) for rows in (whole, stains, groups))


def shown(args: argparse.Namespace, fields: dict, side_px: int = 192) -> plt.Figure:
    """Draw a square of each area that was painted, real and as each codec decodes it; rows are codecs."""
    rows = []
    for case, field, columns in areas(args):
        real = fields[field][:, :, columns]
        rows.append((f"{field}\nreal", real, real))
        rows += [(f"{preset}\n{case}", painted_stains(args, preset, case, field), real) for preset in args.presets]
    figure, axes = plt.subplots(len(rows), len(FIVE), figsize=(1.9 * len(FIVE), 1.95 * len(rows)), layout="constrained")
    for number, (line, (name, stains, real)) in enumerate(zip(axes, rows)):
        place = tuple(slice((side - side_px) // 2, (side + side_px) // 2) for side in real.shape[1:])
        for axis, stain, plane, truth in zip(line, FIVE, stains, real):
            low, high = np.quantile(truth[place], [0.01, 0.998])
            axis.imshow(plane[place], cmap="gray", vmin=low, vmax=high)
            axis.set(xticks=[], yticks=[])
            axis.set_title(stain if number == 0 else "", fontsize=8)
        line[0].set_ylabel(name, fontsize=8)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of what is finished, to write")
    parser.add_argument("--minutes", type=float, default=12.0, help="of CPU, of all trainings and measurements")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--width", type=int, default=16, help="channels of the first level")
    args = parser.parse_args(argv)
    data = os.environ.get("BRIGHTPAINT_REAL_DATA")
    if not data:
        raise SystemExit("BRIGHTPAINT_REAL_DATA is not set; name the folder that holds images/ of the real fields")
    torch.set_num_threads(1)
    check_kept(args.folder, {key: getattr(args, key) for key in ("minutes", "presets", "cases", "width")})
    fields = {name: real_field(Path(data) / "images" / REAL[name][0], REAL[name][2]) for name in FIELDS}
    plates = {(name, side): plate_of(args.folder, fields[name], name, side) for name in FIELDS for side in SIDES}
    lines = []
    for found in (free_lines(args, fields), *(codec_lines(args, preset, fields, plates) for preset in args.presets)):
        for line in found:
            lines.append(line)
            print(json.dumps({"bench": "codec_ceiling", **line}), flush=True)
    total = sum(json.loads(path.read_text())["cpu_s"] for path in (args.folder / "pieces").glob("*.json"))
    (args.folder / "codec_ceiling.json").write_text(json.dumps({"cpu_minutes": total / 60, "lines": lines}, indent=1))
    (args.folder / "codec_ceiling.md").write_text(report(lines))
    with plt.rc_context(STYLE):
        save(shown(args, fields), args.folder / "codec_ceiling.png", 110)
    print(json.dumps({"bench": "codec_ceiling", "cpu_minutes": round(total / 60, 2)}))


if __name__ == "__main__":
    main()
