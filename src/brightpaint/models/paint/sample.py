"""Paint the stains of one part of a plate's fields from trained weights (paper 000, Algorithm 2).

The noise of a field is drawn from its name, and batches always have the same shape, so that neither the split
into parts nor the other fields of a batch change a pixel. A part that was killed goes on with its next field.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.models import kinds
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.labels import active_rows
from brightpaint.models.conditions.shown import check_conditions
from brightpaint.models.data import check_rows
from brightpaint.models.paint.parts import fields_of_part, rows_digest
from brightpaint.models.trained import check_cutoff, read_model
from brightpaint.study.kinds import KINDS

log = logging.getLogger(__name__)


def computing(args: argparse.Namespace, kind: str) -> Compute:
    """Return how a kind of model paints on this command line: the closed-form floors need no GPU."""
    return Compute(pick_device(args.device), **args.compute) if KINDS[kind].gpu else Compute()


def selected_fields(fields: pd.DataFrame, actives: list[Path], subset: str) -> np.ndarray:
    """Return the rows to predict: all, or those whose perturbation is active."""
    if subset == "active" and len(actives) != 1:
        raise ValueError(f"subset active needs one table of actives, found {len(actives)}; give it with --active")
    return active_rows(fields, store.read_actives(actives[0]) if subset == "active" else None)


def check_channels(channels: dict, stack: store.Stack, path: Path, shown: list[str] | None = None) -> None:
    """Raise ValueError unless the stack has the channels that the weights were trained on, and no other.

    `shown` are the stack's brightfield channels that the model is meant to see, where it does not see all.
    """
    found, inputs = set(stack.channels), set(channels["input"])
    if shown is not None:
        found &= {*shown, *channels["target"]}
    if found in (inputs, inputs | set(channels["target"])):
        return
    missing, extra = sorted(inputs - found), sorted(found - inputs - set(channels["target"]))
    lacking = sorted(set(channels["target"]) - found)
    raise ValueError(
        f"{path} was trained to paint {channels['target']} from {channels['input']}, but {stack.path} holds "
        f"{[name for name in stack.channels if name in found]}: missing {missing or lacking}, unknown to the weights {extra}; "
        "set channels in the config to the weights', or train on these channels"
    )


def painter(args: argparse.Namespace, tensors: dict, meta: dict, fields: pd.DataFrame, how: Compute) -> Callable:
    """Return `paint(x, rows, sample=0)` of a model, as its kind paints."""
    kind, settings = meta["settings"]["kind"], args.settings
    guided = args.classifier or settings["label_scale"] != 1 or settings["guidance_interval"]
    if guided and not KINDS[kind].walks:
        how = "draws its noise at once" if KINDS[kind].noise else "paints without noise"
        raise ValueError(
            f"{args.weights} is of kind {kind}, which {how}: nothing can guide it; leave classifier, label_scale "
            "and guidance_interval out of its arm"
        )
    return kinds.of(kind).painter(args, tensors, meta, fields, how)


def paint_rows(
    paint: Callable, stack: store.Stack, inputs: list[str], rows: np.ndarray, writer: store.StackWriter, batch: int
) -> dict[str, float]:
    """Paint those rows of the stack that the writer lacks, in batches that are always full.

    The last batch repeats its last field, since a network's last bits depend on the shape of a batch.

    Returns
    -------
    what the painting took, start-up and reading excluded: `fields` painted (the repeated ones too), `wall_s`, `cpu_s`
    """
    planes = stack.channel_indices(inputs)  # of brightfield, or for a codec of the stains
    left = [place for place in range(len(rows)) if not writer.done[place]]
    cost = {"fields": 0, "wall_s": 0.0, "cpu_s": 0.0}
    with tqdm(total=len(rows), initial=len(rows) - len(left), disable=None, unit="field") as bar:
        for start in range(0, len(left), batch):
            places = left[start : start + batch]
            full = [int(rows[place]) for place in places + places[-1:] * (batch - len(places))]
            x = np.stack([stack.images[row][planes].astype(np.float32) for row in full])
            for row, image in zip(full, x):
                if not np.isfinite(image).all():
                    raise ValueError(
                        f"{stack.path}: field {row} of the field table holds values that are not finite; delete the stack "
                        "and rerun prepare"
                    )
            wall, cpu = time.perf_counter(), time.process_time()
            images = paint(x, full)
            cost["fields"] += len(full)
            cost["wall_s"] += time.perf_counter() - wall
            cost["cpu_s"] += time.process_time() - cpu
            for place, painted in zip(places, images):
                writer.write(place, painted)
            bar.update(len(places))
    return cost


def parser(description: str) -> argparse.ArgumentParser:
    """Return the command line that `sample` and `uncertainty` share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compute", type=json.loads, default={}, help="JSON: precision, compile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--classifier", type=Path, nargs="*", default=[])
    parser.add_argument("--stack", type=Path, required=True)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--active", type=Path, nargs="*", default=[])
    parser.add_argument("--part", type=int, required=True)
    parser.add_argument("--parts", type=int, required=True)
    parser.add_argument("--predicted", type=Path, required=True, help="the part to write")
    parser.add_argument("--seconds", type=Path, required=True, help="table of what the painting took, to write")
    return parser


def paint_part(args: argparse.Namespace, wrap: Callable | None = None, made_of: Sequence[object] = ()) -> None:
    """Write one part of a plate: what the model paints, or what `wrap(paint, fields)` makes of it.

    Parameters
    ----------
    args : from `parser`
    wrap : (paint, fields) -> paint; None paints sample 0
    made_of : JSON-serialisable words on which the result depends beside settings, weights and images
    """
    torch.set_num_threads(args.threads)
    settings, fields = args.settings, store.read_fields(args.fields)
    stack = store.open_stack(args.stack).select(fields)
    check_rows(stack, fields, args.fields)
    tensors, meta = read_model(args.weights)
    check_channels(meta["channels"], stack, args.weights, settings.get("inputs"))
    check_cutoff(meta["settings"], settings, args.weights)
    check_conditions(meta, settings, args.weights)
    how = computing(args, meta["settings"]["kind"])
    chosen = selected_fields(fields, args.active, settings["subset"])
    rows = chosen[fields_of_part(fields.iloc[chosen], args.part, args.parts)]  # whole fields, as `gather` takes them
    targets, keys = meta["channels"]["target"], rows_digest(fields.iloc[rows])
    made_from = [store.fingerprint(path) for path in (args.weights, *args.classifier, args.stack)]
    shape = (len(rows), len(targets), *stack.images.shape[-2:])
    key = store.digest(settings, made_from, keys, str(how), *made_of)  # a part is painted in one precision
    shown = {"shown": settings["conditions"]} if settings.get("conditions") else {}
    with store.StackWriter(args.predicted, shape, targets, key=key, meta={"rows": keys, **shown}) as writer:
        paint = painter(args, tensors, meta, fields, how)
        log.info("%d of %d fields", len(rows), len(chosen))
        paint = wrap(paint, fields) if wrap else paint
        shown = meta["channels"]["target" if KINDS[meta["settings"]["kind"]].stains else "input"]
        cost = paint_rows(paint, stack, shown, rows, writer, settings["batch"])
        store.write_table(pd.DataFrame([{"part": args.part, **cost, "computed": str(how)}]), args.seconds)


def mean_painter(paint: Callable, samples: int) -> Callable:
    """Return `paint(x, rows)` that gives the mean of samples 0 to `samples` - 1: nearer the real stains, and blurred."""

    def painted(x: np.ndarray, rows: list[int]) -> np.ndarray:
        total = paint(x, rows)
        for sample in range(1, samples):
            total = total + paint(x, rows, sample)
        return total / samples

    return painted


def main(argv=None) -> None:
    """Paint one part of a plate."""
    args = parser(main.__doc__).parse_args(argv)
    samples = args.settings.get("mean_of", 1)
    paint_part(args, (lambda paint, _: mean_painter(paint, samples)) if samples > 1 else None)


if __name__ == "__main__":
    run(main)
