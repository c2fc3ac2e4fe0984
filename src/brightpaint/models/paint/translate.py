"""Show the source fields of one part of a plate as other classes: invert each once, and paint its latent as every class.

The source class among them is the reconstruction. Parts are whole fields; a field that was done before a kill stays, with what
was noted of its inversion. Batches always have the same shape and each image is iterated by itself, so that neither parts nor
neighbours change a bit. Precision `auto` is float32 here, on a GPU too: bfloat16 rounds away what an inversion is to find.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.models import kinds
from brightpaint.models.compute import Compute, overlapped
from brightpaint.models.conditions.shown import check_conditions
from brightpaint.models.data import check_rows
from brightpaint.models.paint.parts import fields_of_part, rows_digest
from brightpaint.models.paint.sample import check_channels
from brightpaint.models.paint.source_fields import TRANSLATING
from brightpaint.models.trained import check_cutoff, read_model

log = logging.getLogger(__name__)


def computing(args: argparse.Namespace) -> Compute:
    """Return how a translation is computed: as the command line says, `auto` in float32."""
    chosen = dict(args.compute)
    if chosen.get("precision", "auto") == "auto":
        chosen["precision"] = "float32"
    return Compute(pick_device(args.device), **chosen)


def finite(image: np.ndarray, path: Path, row: pd.Series) -> np.ndarray:
    """Return a field's image as float32; raise ValueError where it is not finite."""
    if not np.isfinite(image).all():
        where = store.describe_field({key: row[key] for key in store.FIELD_KEYS})
        raise ValueError(f"{path}: {where} holds values that are not finite; delete the stack and rerun prepare")
    return image.astype(np.float32)


def note_of(
    row: pd.Series, report: dict, place: int, source: np.ndarray, back: np.ndarray, stains: Sequence[str]
) -> dict:
    """Return what is kept of a field's inversion: see docs/contracts.md.

    Parameters
    ----------
    report : of the batch, {name: (B,)}; `place` is the field's in it
    source, back : (C, H, W) its stains and their reconstruction
    """
    note = {key: (str if key in store.FIELD_KEYS[:2] else int)(row[key]) for key in store.FIELD_KEYS}
    note |= {"class": row["Metadata_painted_as"], **{name: float(values[place]) for name, values in report.items()}}
    for name, own, again in zip(stains, source.astype(np.float64), back.astype(np.float64)):
        note[f"round_trip_{name}"] = float(np.sqrt(np.mean((again - own) ** 2)))
        note[f"largest_round_trip_{name}"] = float(np.abs(again - own).max())
    return note


def translate_fields(
    translator, stack: store.Stack, channels: dict, rows: pd.DataFrame, writer: store.StackWriter, journal: store.Journal,
    batch: int,
) -> dict[str, float]:  # fmt: skip
    """Translate those fields of a part whose rows the writer lacks, or of which the journal holds no note.

    Parameters
    ----------
    translator : `shown(x, y)` -> x, of brightfield and stains what it is told of fields; `up(x, y, labels, rows)` -> (latents,
        report) and `down(x, latents, labels, rows)` -> (B, C_target, H, W)
    rows : of the part, in whole fields

    A batch's classes are painted one after the other, each read, worked on and written as `overlapped` does: the same bytes in the
    same order as without, and no more than two classes' images wait.

    Returns
    -------
    what it took, without start-up: `fields` (the repeated ones too), `wall_s` and the process's `cpu_s` while it inverts and paints
    """
    inputs, targets = (stack.channel_indices(channels[key]) for key in ("input", "target"))
    shown = list(dict.fromkeys(rows["Metadata_painted_as"]))
    noted = {line["place"] for _, line in journal.lines()}
    firsts = range(0, len(rows), max(1, len(shown)))
    left = [first for first in firsts if first not in noted or not writer.done[first : first + len(shown)].all()]
    batches = [left[n : n + batch] for n in range(0, len(left), batch)]
    cost, inverted, last = {"fields": 0, "wall_s": 0.0, "cpu_s": 0.0}, (), len(shown) - 1
    notes: dict[int, dict] = {}

    def read(item: tuple[list[int], int]) -> tuple:
        places, number = item
        full = places + places[-1:] * (batch - len(places))  # a network's last bits depend on the shape of a batch
        if number:
            return number, full, None, None
        images = [finite(stack.images[first], stack.path, rows.iloc[first]) for first in full]
        return number, full, *(np.stack([image[planes] for image in images]) for planes in (inputs, targets))

    def work(number: int, full: list[int], x: np.ndarray | None, y: np.ndarray | None) -> tuple:
        nonlocal inverted
        wall, cpu = time.perf_counter(), time.process_time()
        if number == 0:
            x = translator.shown(x, y)
            inverted = (x, *translator.up(x, y, shown[0], rows.iloc[full]))
            cost["fields"] += len(full)
        x, latents, report = inverted
        painted = translator.down(x, latents, shown[number], rows.iloc[full])
        cost["wall_s"] += time.perf_counter() - wall
        cost["cpu_s"] += time.process_time() - cpu
        return painted, report, y

    def write(item: tuple[list[int], int], done: tuple) -> None:
        (places, number), (painted, report, y) = item, done
        for place, first in enumerate(places):
            writer.write(first + number, painted[place])
            if number == 0:
                notes[first] = note_of(rows.iloc[first], report, place, y[place], painted[place], channels["target"])
        for first in places if number == last else ():
            note = notes.pop(first)
            if first not in noted:
                journal.add({"place": first, **note})

    with tqdm(total=len(firsts), initial=len(firsts) - len(left), disable=None, unit="field") as bar:
        items = [(places, number) for places in batches for number in range(len(shown))]
        for places, number in overlapped(items, read, work, write):
            bar.update(len(places) if number == last else 0)
    return cost


def inversion_table(journal: store.Journal, stains: Sequence[str]) -> pd.DataFrame:
    """Return what was noted of each source field, in the order of the rows."""
    lines = sorted((line for _, line in journal.lines()), key=lambda line: line["place"])
    stain_words = [f"{word}_{name}" for name in stains for word in ("round_trip", "largest_round_trip")]
    moments = ["latent_mean", "latent_sd", "latent_neighbour_r"]
    counts = ["steps", "iterations", "unsettled_steps"]
    names = [*store.FIELD_KEYS, "class", *counts, "largest_update", *moments, *stain_words]
    frame = pd.DataFrame([{name: line.get(name, np.nan) for name in names} for line in lines], columns=names)
    return frame.astype({**dict.fromkeys(counts, "int64"), **{key: "int64" for key in store.FIELD_KEYS[2:]}})


def translate_part(args: argparse.Namespace) -> None:
    """Write one part of a translated plate and what is to be known of its inversion."""
    torch.set_num_threads(args.threads)
    settings, rows, how = args.settings, store.read_fields(args.rows), computing(args)
    tensors, meta = read_model(args.weights, TRANSLATING)
    rows = rows.iloc[fields_of_part(rows, args.part, args.parts)].reset_index(drop=True)
    stack = store.open_stack(args.stack).select(rows)
    check_rows(stack, rows, args.rows)
    if meta["channels"]["input"] and not settings["brightfield"]:
        raise ValueError(
            f"{args.weights} was trained with brightfield ({', '.join(meta['channels']['input'])}), and the translation gives it "
            "none; set translate.brightfield: true"
        )
    check_channels(meta["channels"], stack, args.weights, settings.get("inputs"))
    check_cutoff(meta["settings"], settings, args.weights)
    check_conditions(meta, settings, args.weights)
    targets, keys = meta["channels"]["target"], rows_digest(rows)
    made_from = [store.fingerprint(path) for path in (args.weights, args.stack)]
    key = store.digest(settings, made_from, keys, str(how))
    shape = (len(rows), len(targets), *stack.images.shape[-2:])
    with store.StackWriter(args.predicted, shape, targets, key=key, meta={"rows": keys}) as writer:
        # Nothing noted before a kill is of another making: the journal begins anew where the writer does.
        journal = store.Journal(args.inversion.with_name(args.inversion.name + ".partial.jsonl"), key)
        translator = kinds.of(meta["settings"]["kind"]).translator(args, tensors, meta, how)
        log.info("%d rows, %d of them there already", len(rows), int(writer.done.sum()))
        cost = translate_fields(translator, stack, meta["channels"], rows, writer, journal, settings["batch"])
        table = inversion_table(journal, targets)
        say(table, settings)
        store.write_table(store.as_text(table), args.inversion)
        store.write_table(pd.DataFrame([{"part": args.part, **cost, "computed": str(how)}]), args.seconds)
    journal.remove()


def say(table: pd.DataFrame, settings: dict) -> None:
    """Say how many fields have steps that did not come to rest, and by how much, where steps were to be solved."""
    if not len(table) or settings["from_noise"] or "inner" not in settings:
        return
    restless = table[table["unsettled_steps"] > 0]
    if not settings["inner"]:
        log.info(
            "plain inversion (translate.inner: 0): no step was iterated, so reconstructions are as good as the steps are small"
        )
    elif len(restless):
        log.info(
            "%d of %d fields have steps of inversion, %d at most, that did not settle to %g in %d iterations (last update up to "
            "%.2g s.d.): their reconstruction is not exact; raise translate.inner or steps",
            len(restless), len(table), restless["unsettled_steps"].max(), settings["tolerance"], settings["inner"],
            restless["largest_update"].max(),
        )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Translate one part of a plate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compute", type=json.loads, default={}, help="JSON: precision, compile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--stack", type=Path, required=True, help="the real images")
    parser.add_argument("--rows", type=Path, required=True, help="the translation's rows, from source_fields")
    parser.add_argument("--part", type=int, required=True)
    parser.add_argument("--parts", type=int, required=True)
    parser.add_argument("--predicted", type=Path, required=True, help="the part to write")
    parser.add_argument("--seconds", type=Path, required=True, help="table of what it took, to write")
    parser.add_argument(
        "--inversion", type=Path, required=True, help="table of how well fields were inverted, to write"
    )
    translate_part(parser.parse_args(argv))


if __name__ == "__main__":
    run(main)
