"""Hostile translations: in the config, and by the real commands `source_fields` and `translate`."""

from __future__ import annotations

import json
from pathlib import Path

from brightpaint import store
from brightpaint.models import fit
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.paint import source_fields, translate
from hostile import Case, copied
from hostile_config import config
from models_fixture import CHANNELS, SAMPLING, SETTINGS, make_plate

MODEL = {"name": "phen", "label": "treatment", "inputs": []}
ARM = {"name": "doses", "model": "phen", "folds": ["A"]}


def asked(what: str, *words: str, model=None, arm=None, **chosen) -> Case:
    """A case in which the config asks for a translation."""
    arms = [{**ARM, **(arm or {}), "translate": chosen}]
    case = config(what, "arm doses", *words, models=[{**MODEL, **(model or {})}], arms=arms)
    return Case("translation", case.what, case.prepare, case.words)


def stained(what: str, *words: str, model=None, arm=None) -> Case:
    """A case in which the config asks for a ControlNet that is told of a field's own stains."""
    models = [MODEL, {"name": "led", "kind": "stain_controlnet", "base": "phen", "inputs": [], **(model or {})}]
    arms = [{**ARM, "model": "led", **({"translate": {}} if arm is None else arm)}]
    case = config(what, *words, models=models, arms=arms)
    return Case("translation", case.what, case.prepare, case.words)


def plate_and_weights(folder: Path) -> None:
    """Write a plate of DMSO and cpd1, and untrained weights that see no brightfield and know both."""
    make_plate(folder, "P1", 4, size_px=16)
    settings = {**SETTINGS, "label": "perturbation", "channels": {**CHANNELS, "input": []}}
    tensors = build_denoiser(settings, settings["channels"], 2).state_dict()
    store.write_weights(folder / "weights.safetensors", tensors, fit.describe(settings, {"DMSO": 1, "cpd1": 2}))


def rows_of(folder: Path, **chosen):
    settings = {"source": None, "targets": "all", "fields": None, **chosen}
    words = ["--settings", json.dumps(settings), "--arm", "doses", "--weights", folder / "weights.safetensors"]
    return [
        str(word) for word in [*words, "--fields", folder / "P1.parquet", "--rows", folder / "out" / "rows.parquet"]
    ]


def drawn(what: str, *words: str, spoil=lambda folder: None, **chosen) -> Case:
    """A case of `source_fields` on a plate."""

    def prepared(folder):
        copied(plate_and_weights, folder)
        spoil(folder)
        return source_fields.main, rows_of(folder, **chosen), [folder / "out" / "rows.parquet"]

    return Case("translation", what, prepared, words)


def translated(what: str, spoil, *words: str) -> Case:
    """A case of `translate` on rows that were drawn well."""

    def prepared(folder):
        copied(plate_and_weights, folder)
        source_fields.main(rows_of(folder))
        spoil(folder)
        settings = {
            **SAMPLING,
            "inner": 1,
            "tolerance": 1e-4,
            "from_noise": False,
            "brightfield": False,
            "walked": 3,
            "inputs": [],
        }
        argv = ["--settings", json.dumps(settings), "--device", "cpu", "--weights", folder / "weights.safetensors"]
        argv += ["--stack", folder / "P1.tif", "--rows", folder / "out" / "rows.parquet", "--part", "1", "--parts", "1"]
        outputs = [folder / "out" / name for name in ("001.tif", "001.tsv", "001.inversion.tsv")]
        for name, path in zip(("predicted", "seconds", "inversion"), outputs):
            argv += [f"--{name}", path]
        return translate.main, [str(word) for word in argv], outputs

    return Case("translation", what, prepared, words)


def relabelled(folder: Path, names) -> None:
    path = folder / "P1.parquet"
    store.write_table(store.read_fields(path).assign(Metadata_perturbation=names, Metadata_control_type=""), path)


def with_brightfield(folder: Path) -> None:
    settings = {**SETTINGS, "label": "perturbation"}
    tensors = build_denoiser(settings, CHANNELS, 2).state_dict()
    store.write_weights(folder / "weights.safetensors", tensors, fit.describe(settings, {"DMSO": 1, "cpd1": 2}))


def torn_apart(folder: Path) -> None:
    rows = store.read_fields(folder / "out" / "rows.parquet")
    store.write_table(rows.iloc[[0, 2, 1, 3]], folder / "out" / "rows.parquet")


CASES = [
    stained("an arm that would predict the stains that it is told of", "is told of a field's own stains", "predicts none",
            arm={}),
    stained("a ControlNet of stains that is given brightfield", "sees no brightfield", "inputs: []", model={"inputs": None}),
    asked("a model that is told nothing", "told no class to translate between", "give it a label", model={"label": "none"}),
    asked("a model with brightfield, and none given", "trained with brightfield (Brightfield)", "gives it none",
          "translate.brightfield: true", model={"inputs": ["Brightfield"]}),
    asked("a floor", "kind mean, whose way can't be walked back", "one of kind diffusion",
          model={"kind": "mean", "label": "none", "inputs": None}),
    asked("a sampler that puts noise back", "can't be inverted", "ddim or heun", arm={"sampler": "ddpm"}),
    asked("a dose that is no number", "'high' is no dose", "expected numbers above 0",
          targets={"compound": "taxol", "um": ["high"]}),
    asked("doses of a model that pools them", "told perturbation, which pools them", "set its label to treatment",
          model={"label": "perturbation"}, targets={"compound": "taxol"}),
    asked("the source class alone", "names DMSO alone", "nothing to translate to", targets=["DMSO"]),
    drawn("a target class that was not trained on", "not trained on cpd9", "it knows DMSO, cpd1", targets=["cpd9"]),
    drawn("a source well of another class", "well A02 is of class cpd1, expected DMSO", "wells of DMSO: A01, A03",
          fields="A01:A02"),
    drawn("a plate without DMSO", "no well of the source class DMSO", "trained on: cpd1", "name one in translate.source",
          spoil=lambda folder: relabelled(folder, "cpd1")),
    drawn("doses of a compound without any", "cpd1 has no dose that is a number", targets={"compound": "cpd1"}),
    translated("weights with brightfield where none is given", with_brightfield, "trained with brightfield (BF_L, BF)",
               "set translate.brightfield: true"),
    translated("rows of a field apart", torn_apart, "do not follow one another", "delete the table and rerun"),
]  # fmt: skip
