"""Hostile stacks, field tables, weights and unfinished trainings, by the real commands `sample` and `train`."""

from __future__ import annotations

import io
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import torch

from brightpaint import store
from brightpaint.features import export
from brightpaint.models import fit, train
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from brightpaint.models.paint import sample
from brightpaint.models.steps import Training
from brightpaint.models.train_classifier import build_classifier
from hostile import Case, copied
from hostile_images import Malicious
from models_fixture import CHANNELS, INPUTS, SETTINGS, TARGETS, make_plate, sample_arguments, train_arguments

FIELDS = 3
AGAIN = "train it again, or set models.weights"


def plate_and_weights(folder: Path) -> None:
    """Write a plate P1 of three fields, and untrained weights of a denoiser and a classifier with two labels."""
    make_plate(folder, "P1", FIELDS)
    settings, labels = {**SETTINGS, "label": "perturbation"}, {"DMSO": 1, "cpd1": 2}
    tensors = build_denoiser(settings, CHANNELS, 2).state_dict()
    store.write_weights(folder / "weights.safetensors", tensors, fit.describe(settings, labels))
    settings["kind"] = "classifier"
    tensors = build_classifier(settings, CHANNELS, 2).state_dict()
    store.write_weights(folder / "classifier.safetensors", tensors, fit.describe(settings, labels))


def sampling(folder: Path, classifier: bool = False):
    out, plate = folder / "out" / "001.tif", (folder / "P1.tif", folder / "P1.parquet")
    guides = [folder / "classifier.safetensors"] if classifier else []
    return sample.main, sample_arguments(folder / "weights.safetensors", plate, out, classifier=guides), [out]


def stack(what: str, spoil, *words: str, command=sampling) -> Case:
    def prepared(folder):
        copied(plate_and_weights, folder)
        spoil(folder)
        return command(folder)

    return Case("stack", what, prepared, words)


def exporting(folder: Path):
    settings = {"window": [-5, 15], "channels": TARGETS, "pixel_size_um": 1.0, "cutoff": 15}
    words = ["--settings", json.dumps(settings), "--arm", "real", "--stack", folder / "P1.tif", "--rows"]
    words += [folder / "P1.parquet", "--part", "1", "--parts", "1", "--folder", folder / "out" / "001"]
    return export.main, words, [folder / "out" / "001"]


def write_stack(folder: Path, images: np.ndarray, **description) -> None:
    """Write P1.tif as brightpaint does, but whatever its type and description."""
    described = {"axes": "QCYX", "channels": [*INPUTS, *TARGETS], "fields": len(images), **description}
    tifffile.imwrite(folder / "P1.tif", images, photometric="minisblack", metadata=described)


def change_fields(folder: Path, **columns) -> None:
    path = folder / "P1.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def one_nan(folder: Path) -> None:
    images = np.array(store.open_stack(folder / "P1.tif").images)
    images[1, 0, 5, 5] = np.nan
    write_stack(folder, images)


def shortened(folder: Path, name: str, share: float) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


ZEROS = np.zeros((FIELDS, 4, 32, 32), np.float16)
STACKS = [
    stack("other channels", lambda folder: write_stack(folder, ZEROS, channels=["BF_L", "BF", "DNA", "RNA"]), "P1.tif",
          "unknown to the weights ['RNA']", "set channels in the config"),
    stack("fewer names than channels", lambda folder: write_stack(folder, ZEROS, channels=["BF_L"]), "P1.tif",
          "not a plate stack", "delete it and rerun"),
    stack("whole numbers for z-scores", lambda folder: write_stack(folder, ZEROS.astype(np.uint8)), "P1.tif",
          "expected float16 or float32 pixels, found uint8", "delete it and rerun"),
    stack("more fields announced than are there", lambda folder: write_stack(folder, ZEROS, fields=9), "P1.tif", "9 fields",
          "delete it and rerun"),
    stack("fewer fields than the table", lambda folder: write_stack(folder, ZEROS[:2]), "P1.tif holds 2 fields",
          "P1.parquet has 3 rows", "rerun `prepare`"),
    stack("cut short", lambda folder: shortened(folder, "P1.tif", 0.8), "P1.tif: truncated", "delete it and rerun"),
    stack("a foreign TIFF", lambda folder: tifffile.imwrite(folder / "P1.tif", ZEROS[0]), "P1.tif: not a plate stack"),
    stack("not there", lambda folder: (folder / "P1.tif").unlink(), "P1.tif: there is no such plate stack", "run the rule"),
    stack("nan in a field", one_nan, "P1.tif: field 1", "not finite", "rerun prepare"),
    stack("to export: a stain is missing", lambda folder: write_stack(folder, ZEROS, channels=["BF_L", "BF", "DNA", "RNA"]),
          "P1.tif: channels ['ER'] are missing", command=exporting),
    stack("rows outside the stack", lambda folder: change_fields(folder, stack_row=[0, 1, 7]), "P1.tif: 3 fields",
          "names row 7 (plate P1, well A03", "delete both and rerun"),
    stack("rows before the stack", lambda folder: change_fields(folder, stack_row=[0, -1, 2]), "names row -1"),
    stack("rows that are nan", lambda folder: change_fields(folder, stack_row=[0, np.nan, 2]), "names row nan", "well A02"),
    stack("a field twice", lambda folder: change_fields(folder, Metadata_Well="A01"), "P1.parquet: plate P1, well A01",
          "occurs twice", "delete it and rerun"),
    stack("a field without a well", lambda folder: change_fields(folder, Metadata_Well=["A01", None, "A03"]),
          "P1.parquet: Metadata_Well holds", "expected names", "delete it and rerun"),
    stack("sites in words", lambda folder: change_fields(folder, Metadata_Site="one"), "P1.parquet: Metadata_Site holds",
          "numbers of sites"),
    stack("a field table without keys", lambda folder: pd.DataFrame({"a": [1]}).to_parquet(folder / "P1.parquet"),
          "P1.parquet: field keys", "are missing", "delete it and rerun"),
    stack("a field table that is a CSV", lambda folder: (folder / "P1.parquet").write_text("a,b\n"),
          "P1.parquet: not a readable parquet file", "delete it and rerun"),
]  # fmt: skip


def changed(folder: Path, change, name: str = "weights") -> None:
    """Rewrite a weights file through `change(tensors, meta)`."""
    tensors, meta = store.read_weights(folder / f"{name}.safetensors")
    change(tensors, meta)
    store.write_weights(folder / f"{name}.safetensors", tensors, meta)


def checkpoint(what: str, spoil, *words: str, name: str = "weights") -> Case:
    def prepared(folder):
        copied(plate_and_weights, folder)
        spoil(folder)
        return sampling(folder, classifier=name == "classifier")

    return Case(name, what, prepared, (f"{name}.safetensors", *words))


def rewritten(what: str, change, *words: str, name: str = "weights") -> Case:
    return checkpoint(what, lambda folder: changed(folder, change, name), *words, name=name)


def said(**changes):
    """Return a change of what weights say of their settings."""
    return lambda tensors, meta: meta["settings"].update(changes)


def safetensors(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def write_pickle(path: Path) -> None:
    """Write a pickle that makes the file PWNED where it is loaded, as torch.save would."""
    file = io.BytesIO()
    torch.save({"state_dict": Malicious(path.parent / "PWNED")}, file)
    path.write_bytes(file.getvalue())


def first_key(tensors: dict) -> str:
    return next(name for name in sorted(tensors) if tensors[name].ndim == 4)


WEIGHTS = [
    checkpoint("a pickle that runs code", lambda folder: write_pickle(folder / "weights.safetensors"),
               "expected safetensors", "train again"),
    checkpoint("a plain pickle", lambda folder: (folder / "weights.safetensors").write_bytes(
        pickle.dumps(Malicious(folder / "PWNED"))), "expected safetensors"),
    checkpoint("cut short", lambda folder: shortened(folder, "weights.safetensors", 0.7), "not a brightpaint weights file"),
    checkpoint("not there", lambda folder: (folder / "weights.safetensors").unlink(), "no such weights file", "train the model"),
    checkpoint("a header that is no JSON", lambda folder: (folder / "weights.safetensors").write_bytes(safetensors(b"{nope")),
               "not a brightpaint weights file"),
    checkpoint("somebody else's, without metadata", lambda folder: (folder / "weights.safetensors").write_bytes(
        safetensors(b"{}")), "its metadata lack brightpaint's entry", "train again"),
    checkpoint("metadata that are no JSON", lambda folder: (folder / "weights.safetensors").write_bytes(
        safetensors(b'{"__metadata__":{"brightpaint":"nope"}}')), "not a brightpaint weights file"),
    rewritten("metadata of something else", lambda _, meta: meta.clear(), "expected settings, channels and label_map", AGAIN),
    rewritten("a tensor is missing", lambda tensors, _: tensors.pop(first_key(tensors)), "do not fit its own settings"),
    rewritten("a tensor too many", lambda tensors, _: tensors.update(more=torch.ones(2)), "do not fit its own settings"),
    rewritten("a tensor of another shape", lambda tensors, _: tensors.update({first_key(tensors): torch.ones(2, 2)}),
              "do not fit its own settings"),
    rewritten("nan", lambda tensors, _: tensors[first_key(tensors)].fill_(float("nan")), "not finite", AGAIN),
    rewritten("other channels", lambda _, meta: meta["channels"].update(input=["BF", "Phase"]), "P1.tif holds",
              "missing ['Phase']", "set channels in the config"),
    rewritten("channels that are no names", lambda _, meta: meta["channels"].update(input=3), "its input channels are 3", AGAIN),
    rewritten("two labels of one number", lambda _, meta: meta.update(label_map={"DMSO": 1, "cpd1": 1}), "label_map",
              "expected 1 to n, each once", AGAIN),
    rewritten("a label beyond the last", lambda _, meta: meta.update(label_map={"DMSO": 1, "cpd1": 7}), "label_map", AGAIN),
    rewritten("an unknown objective", said(objective="score"), "its objective is 'score'; expected one of eps, v", AGAIN),
    rewritten("an unknown preset", said(preset="huge"), "its preset is 'huge'", AGAIN),
    rewritten("an unknown kind", said(kind="gan"), "a model of kind gan; expected diffusion", AGAIN),
    rewritten("a label that names nothing", said(label="a batch"), "its label is 'a batch'", AGAIN),
    rewritten("10^9 channels", said(width=10**9), "its width is 1000000000", "from 1 to 1024", AGAIN),
    rewritten("a mean image that is not there", said(kind="mean"), "expected the one tensor mean", AGAIN),
    rewritten("a denoiser in place of a classifier", said(kind="diffusion"), "a model of kind diffusion; expected classifier",
              name="classifier"),
    rewritten("other channels", lambda _, meta: meta["channels"].update(target=["DNA", "RNA"]), "was trained on channels",
              "train both on the same", name="classifier"),
    rewritten("nan", lambda tensors, _: tensors[first_key(tensors)].fill_(float("nan")), "not finite", name="classifier"),
    rewritten("a label map that is none", lambda _, meta: meta.update(label_map=[1, 2]), "expected settings", name="classifier"),
]  # fmt: skip


def unfinished(what: str, change, *words: str) -> Case:
    """A case on the state of an unfinished training: `change(tensors, meta)`, or `change(path)` of its file."""

    def prepared(folder):
        plate = make_plate(folder, "P1", FIELDS)
        (folder / "out").mkdir()
        argv = train_arguments(folder / "out", [plate], SETTINGS)
        partial = folder / "out" / "weights.safetensors.partial"
        args = train.parse("", argv)
        data = fit.open_data(args)
        training = Training({"model": build_denoiser(SETTINGS, CHANNELS, 0)}, Denoising(2, "v", "l2", 0.1), SETTINGS)
        tensors, meta = training.state()
        meta["made_from"] = json.loads(json.dumps(fit.made_of(SETTINGS, data)))
        if callable(change):
            change(tensors, meta)
        store.write_weights(partial, tensors, meta)
        if isinstance(change, tuple):
            change[0](partial)
        return train.main, argv, [folder / "out" / "weights.safetensors", folder / "out" / "weights.jsonl"]

    return Case("unfinished training", what, prepared, ("weights.safetensors.partial", *words))


ANEW = "delete it to begin this training anew"


def last(tensors: dict) -> str:
    return sorted(name for name in tensors if name.startswith("mean."))[-1]


PARTIALS = [
    unfinished("a pickle that runs code", (write_pickle,), "expected safetensors", "delete it"),
    unfinished("cut short", (lambda path: path.write_bytes(path.read_bytes()[:5000]),), "expected safetensors", "delete it"),
    unfinished("a tensor is missing", lambda tensors, _: tensors.pop(last(tensors)), "is missing", ANEW),
    unfinished("a tensor of another shape", lambda tensors, _: tensors.update({last(tensors): torch.ones(9, 9)}),
               "of shape (9, 9): expected finite", ANEW),
    unfinished("nan", lambda tensors, _: tensors[last(tensors)].fill_(float("nan")), "expected finite", ANEW),
    unfinished("a tensor of no name that is known", lambda tensors, _: tensors.update(more=torch.ones(2)), ANEW),
    unfinished("more images than are asked for", lambda _, meta: meta.update(seen=10**6), "seen 1000000 images of 24", ANEW),
    unfinished("without its history", lambda _, meta: meta.pop("history"), "history", ANEW),
]  # fmt: skip

CASES = STACKS + WEIGHTS + PARTIALS
