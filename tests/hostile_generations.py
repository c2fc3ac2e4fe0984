"""Hostile generations and splits: in the config, and by the real commands `hold_out` and `generated_rows`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.models import hold_out
from brightpaint.models.paint import generated_rows
from hostile import Case
from hostile_config import config

MODEL = {"name": "told", "inputs": [], "conditions": {"molecule": {}, "dose": {}}}
ARM = {"name": "made", "model": "told", "folds": ["A"]}
FOLD = {"name": "A", "test": ["P3"]}


def asked(what: str, *words: str, model=None, arm=None, held_out=(), **chosen) -> Case:
    """A case in which the config asks for a generation."""
    arms = [{**ARM, **(arm or {}), "generate": chosen}]
    folds = [{**FOLD, "held_out": held_out if isinstance(held_out, dict) else list(held_out)}]
    case = config(what, *words, models=[{**MODEL, **(model or {})}], arms=arms, folds=folds)
    return Case("generation", case.what, case.prepare, case.words)


def fields(plate: str = "P1") -> pd.DataFrame:
    """Return the wells of two compounds at three doses, and DMSO."""
    rows = [
        (name, dose, smiles) for name, smiles in (("a", "Oc1ccccc1"), ("b", "CC(O)=O")) for dose in (0.1, 1.0, 10.0)
    ]
    table = pd.DataFrame(
        [*rows, ("DMSO", np.nan, "")], columns=["Metadata_perturbation", "Metadata_dose", "Metadata_smiles"]
    )
    names = [
        name if np.isnan(dose) else f"{name}@{dose:.3g}uM"
        for name, dose in zip(*(table[key] for key in table.columns[:2]))
    ]
    return table.assign(Metadata_treatment=names, Metadata_Plate=plate, Metadata_Site=1, Metadata_Tile=1, Metadata_cell_line="U2OS",
                        Metadata_Well=[f"A{number + 1:02d}" for number in range(len(table))])  # fmt: skip


def parted(what: str, held_out, *words: str, spoil=lambda table: table) -> Case:
    """A case of `hold_out` on one training plate."""

    def prepared(folder: Path):
        store.write_table(spoil(fields()), folder / "P1.parquet")
        out = folder / "out" / "A.tsv"
        words = ["--settings", json.dumps({"held_out": held_out}), "--training", folder / "P1.parquet", "--table", out]
        return hold_out.main, [str(word) for word in words], [out]

    return Case("held out", what, prepared, words)


def listed(what: str, treatments, *words: str, spoil=lambda table: table) -> Case:
    """A case of `generated_rows` on one plate whose fold holds b out."""

    def prepared(folder: Path):
        store.write_table(store.as_text(hold_out.hold_out(fields(), fields(), ["b"])), folder / "A.tsv")
        store.write_table(spoil(fields()), folder / "P1.parquet")
        out = folder / "out" / "rows.parquet"
        words = [
            "--settings",
            json.dumps({"fields": 2, "treatments": treatments}),
            "--arm",
            "made",
            "--fields",
            folder / "P1.parquet",
        ]
        return (
            generated_rows.main,
            [str(word) for word in [*words, "--held-out", folder / "A.tsv", "--rows", out]],
            [out],
        )

    return Case("generation", what, prepared, words)


def given(what: str, text: str, key: str, *words: str) -> Case:
    """A case of `hold_out` by a table of parts."""

    def prepared(folder: Path):
        (folder / "split.tsv").write_text(text)
        held = {"by": "file", "path": str(folder / "split.tsv"), "key": key}
        return parted(what, held).prepare(folder)

    return Case("held out", what, prepared, words)


SCAFFOLDS, BATCH = {"by": "scaffold", "share": 0.5}, {"conditions": {"batch": {}}}
CASES = [
    asked("a model that sees brightfield", "generate paints without an image", "inputs: []", model={"inputs": None}),
    asked("a model that is told nothing of treatments", "told nothing of what a well was given", model=BATCH),
    asked("held-out treatments of a fold that holds none out", "fold A holds none out", treatments="held_out"),
    asked("held-out scaffolds by a model that is told names", "a name that it was not trained on", "molecule", held_out=SCAFFOLDS,
          model={"label": "perturbation", "conditions": {}}, treatments="held_out"),
    asked("a molecule for all treatments", "in place of conditions.molecule", arm={"conditions": {"molecule": "CCO"}}),
    asked("a split by neither share nor names", "fold A", "takes a share or names", held_out={"by": "scaffold"}),
    asked("a split by plates", "folds.0.held_out.by", "'plate' is not one of", held_out={"by": "plate", "share": 0.5}),
    parted("a SMILES that is none", SCAFFOLDS, "plate P1, well A01, a", "'C1CC' is no SMILES",
           spoil=lambda table: table.assign(Metadata_smiles="C1CC")),
    parted("the largest dose", {"by": "dose", "names": [10]}, "10 uM is the largest dose", "name some of 1"),
    parted("a compound that no plate has", {"by": "scaffold", "names": ["c"]}, "c is none of the perturbations", "a, b"),
    parted("all doses", {"by": "dose", "share": 0.9}, "a share of 0.9 of 1 doses", "give another share"),
    parted("a cell line that no plate has", {"by": "combination", "names": [["a", "HeLa"]]}, "('a', 'HeLa') is none"),
    asked("a split by a table without its key", "fold A", "takes the path of a table and its key",
          held_out={"by": "file", "path": "x"}),
    given("a table of parts without parts", "smiles\nCC(O)=O\n", "smiles", "split.tsv has no column part", "found smiles"),
    given("a part of another name", "smiles\tpart\nCC(O)=O\tvalid\n", "smiles", "row 1", "'valid'", "expected train or test"),
    given("a molecule in both parts", "smiles\tpart\nCC(O)=O\ttest\nOC(C)=O\ttrain\n", "smiles", "row 2",
          "OC(C)=O is in part train", "row 1, written CC(O)=O"),
    given("a molecule that no plate has", "smiles\tpart\nCCO\ttest\n", "smiles", "row 1", "no plate that the fold trains on",
          "CCO"),
    given("a test part without rows", "perturbation\tpart\na\ttrain\n", "perturbation", "no row is in part test"),
    given("a table's row of no molecule", "smiles\tpart\nC1CC\ttest\n", "smiles", "split.tsv: row 1", "'C1CC' is no SMILES"),
    listed("a treatment that the plate has not", ["c"], "arm made, plate P1", "none of c", "a@0.1uM", "generate.treatments"),
    listed("a plate without DMSO", "all", "arm made, plate P1", "no well of DMSO", spoil=lambda table: table.iloc[:-1]),
    listed("a plate that holds nothing out", "held_out", "no treatment that its fold holds out",
           spoil=lambda table: table.drop(range(3, 6))),
]  # fmt: skip
