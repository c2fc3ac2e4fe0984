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
from brightpaint.models.compute import Compute, overlapped
from brightpaint.models.conditions.labels import active_rows
from brightpaint.models.conditions.shown import check_conditions
from brightpaint.models.data import check_rows
from brightpaint.models.paint.parts import fields_of_part, rows_digest
from brightpaint.models.paint.samples import Mean, Samples
from brightpaint.models.trained import check_cutoff, read_model
from brightpaint.study.kinds import KINDS
from brightpaint.study.walking import walk_problems

log = logging.getLogger(__name__)
ONE = Samples()  # one sample a field, which is written as it is


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
    """Return `paint(x, rows)` of a model, as its kind paints."""
    kind, settings = meta["settings"]["kind"], args.settings
    guided = args.classifier or settings["label_scale"] != 1 or settings["guidance_interval"]
    if guided and not KINDS[kind].walks:
        how = "draws its noise at once" if KINDS[kind].noise else "paints without noise"
        raise ValueError(
            f"{args.weights} is of kind {kind}, which {how}: nothing can guide it; leave classifier, label_scale "
            "and guidance_interval out of its arm"
        )
    if KINDS[kind].walks:
        asked = {**settings, "classifier": str(args.classifier[0]) if args.classifier else None}
        for said in walk_problems(asked, KINDS[kind]):
            raise ValueError(f"{args.weights}: {said}")
    return kinds.of(kind).painter(args, tensors, meta, fields, how)


def paint_rows(
    paint: Callable, stack: store.Stack, inputs: list[str], rows: np.ndarray, writer: store.StackWriter, batch: int,
    samples: Samples = ONE,
) -> dict[str, float]:  # fmt: skip
    """Paint those rows of the stack that the writer lacks, in batches that are always full; see `samples`.

    The last batch repeats its last image, since a network's last bits depend on the shape of a batch. A thread reads the next
    batch and another writes the last while one is painted: the same bytes in the same order as one after the other.

    Parameters
    ----------
    paint : `paint(x, rows)` of rows of `samples.table`

    Returns
    -------
    what the painting took, without start-up: `fields` painted (what was repeated too), `wall_s` and the process's `cpu_s` meanwhile
    """
    planes = stack.channel_indices(inputs)  # of brightfield, or for a codec of the stains
    last = len(samples.numbers) - 1
    left = [(place, number) for place in range(len(rows)) if not writer.done[place] for number in range(last + 1)]
    cost, begun = {"fields": 0, "wall_s": 0.0, "cpu_s": 0.0}, {}

    def read(items: list[tuple[int, int]]) -> tuple[np.ndarray, list[int]]:
        full = items + items[-1:] * (batch - len(items))
        fields = [int(rows[place]) for place, _ in full]
        return finite_images(stack, fields, planes), [samples.row(field, item[1]) for field, item in zip(fields, full)]

    def work(x: np.ndarray, asked: list[int]) -> np.ndarray:
        wall, cpu = time.perf_counter(), time.process_time()
        images = paint(x, asked)
        cost["fields"] += len(x)
        cost["wall_s"] += time.perf_counter() - wall
        cost["cpu_s"] += time.process_time() - cpu
        return images

    def write(items: list[tuple[int, int]], images: np.ndarray) -> None:
        for (place, number), image in zip(items, images):
            if number == 0:
                begun[place] = samples.begin(int(rows[place]))
            begun[place].add(image)
            if number == last:
                writer.write(place, begun.pop(place).image())

    with tqdm(total=len(rows), initial=int(writer.done.sum()), disable=None, unit="field") as bar:
        for items in overlapped([left[n : n + batch] for n in range(0, len(left), batch)], read, work, write):
            bar.update(sum(number == last for _, number in items))
    return {**cost, "fields": -(-cost["fields"] // (last + 1))}


def finite_images(stack: store.Stack, fields: Sequence[int], planes: Sequence[int]) -> np.ndarray:
    """Return these planes of these fields of a stack, (B, C, H, W) float32; ValueError for values that are not finite."""
    x = np.stack([stack.images[field][planes].astype(np.float32) for field in fields])
    for field, image in zip(fields, x):
        if not np.isfinite(image).all():
            raise ValueError(
                f"{stack.path}: field {field} of the field table holds values that are not finite; delete the stack "
                "and rerun prepare"
            )
    return x


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


def paint_part(
    args: argparse.Namespace,
    taken: Callable[[pd.DataFrame], Samples] = lambda fields: ONE,
    made_of: Sequence[object] = (),
) -> None:
    """Write one part of a plate: what the model paints, or what becomes of several samples of each field.

    Parameters
    ----------
    args : from `parser`
    taken : (the plate's field table) -> which samples are painted of each field
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
    rows = chosen  # in one part in any order; in several by whole fields, as `gather` takes them
    if args.parts > 1:
        rows = chosen[fields_of_part(fields.iloc[chosen], args.part, args.parts)]
    targets, keys = meta["channels"]["target"], rows_digest(fields.iloc[rows])
    made_from = [store.fingerprint(path) for path in (args.weights, *args.classifier, args.stack)]
    shape = (len(rows), len(targets), *stack.images.shape[-2:])
    key = store.digest(settings, made_from, keys, str(how), *made_of)  # a part is painted in one precision
    shown = {"shown": settings["conditions"]} if settings.get("conditions") else {}
    with store.StackWriter(args.predicted, shape, targets, key=key, meta={"rows": keys, **shown}) as writer:
        samples = taken(fields)
        paint = painter(args, tensors, meta, samples.table(fields), how)
        log.info("%d of %d fields", len(rows), len(chosen))
        shown = meta["channels"]["target" if KINDS[meta["settings"]["kind"]].stains else "input"]
        cost = paint_rows(paint, stack, shown, rows, writer, settings["batch"], samples)
        store.write_table(pd.DataFrame([{"part": args.part, **cost, "computed": str(how)}]), args.seconds)


def main(argv=None) -> None:
    """Paint one part of a plate."""
    args = parser(main.__doc__).parse_args(argv)
    of = args.settings.get("mean_of", 1)
    paint_part(args, lambda _: Samples(range(of), Mean) if of > 1 else ONE)


if __name__ == "__main__":
    run(main)
