"""Hostile tables and images of translations, by the real commands `score_shifts` and `score_translation`."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.scores.translation import score_shifts, score_translation
from hostile import Case, copied, home
from translated_images_fixture import SETTINGS, write_plate
from translation_fixture import Plates

SHOWN = "Metadata_painted_as"


def shift_tables(folder: Path) -> None:
    """Write tables of a tiny translation, and the words of the command that scores them."""
    words = Plates(5, by_name=True, features=6, doses=[1.0]).write(folder)
    (folder / "words.json").write_text(json.dumps(words))


def shifts(what: str, spoil, *words: str, table: str = "arm/P") -> Case:
    """A case of `score_shifts`; `spoil` changes one of its tables."""

    def prepared(folder):
        copied(shift_tables, folder)
        made = home(shift_tables)
        argv = [word.replace(str(made), str(folder)) for word in json.loads((folder / "words.json").read_text())]
        path = folder / f"{table}.parquet"
        changed, argv = spoil(store.read_table(path), argv)
        store.write_table(changed, path)
        outputs = [folder / "scores/arm.parquet", folder / "scores/arm.classes.parquet"]
        return score_shifts.main, argv, outputs

    return Case("scores of a translation", what, prepared, words)


def images(what: str, spoil, *words: str) -> Case:
    """A case of `score_translation`; `spoil` changes the rows of the translated stack."""

    def prepared(folder):
        copied(write_plate, folder)
        path = folder / "images/arm/P.parquet"
        store.write_table(spoil(store.read_table(path)), path)
        argv = ["--settings", json.dumps(SETTINGS), "--arm", "arm", "--plates", "P"]
        argv += ["--real", folder / "images/real/P.tif", "--fields", folder / "fields/P.parquet"]
        argv += ["--translated", folder / "images/arm/P.tif", "--fresh", folder / "images/fresh_arm/P.tif"]
        argv += ["--table", folder / "scores/arm.parquet"]
        outputs = [folder / "scores/arm.parquet", folder / "scores/arm.images.parquet"]
        return score_translation.main, [str(word) for word in argv], outputs

    return Case("scores of a translation", what, prepared, words)


def table(change):
    """Return what spoils a table alone."""
    return lambda frame, argv: (change(frame), argv)


def mixed_sources(frame: pd.DataFrame) -> pd.DataFrame:
    names = ["DMSO"] * (len(frame) - 1) + ["drug"]
    return frame.assign(Metadata_perturbation=names, Metadata_treatment=names)


def other_source(frame: pd.DataFrame, argv: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Let the plate's drug wells be the source, with a model that has a twin of DMSO."""
    shown = frame[SHOWN].replace({"DMSO": "inert@1uM", "inert@1uM": "DMSO"})
    own = {"Metadata_perturbation": "inert", "Metadata_treatment": "inert@1uM", "Metadata_control_type": ""}
    return frame.assign(**{SHOWN: shown}, **own), argv


CASES = [
    shifts("rows that do not say which class they show", table(lambda rows: rows[rows[SHOWN] == "DMSO"].drop(columns=SHOWN)),
           "arm arm, plate P: rows do not say which class they show", "delete it and rerun translate"),
    shifts("a field shown twice as one class", table(lambda rows: pd.concat([rows, rows.head(1)])),
           "plate P, well A01", "painted as DMSO occurs twice"),
    shifts("a field that lacks a class", table(lambda rows: rows.drop(index=1)),
           "plate P, well A01, site 2, tile 1 is shown as 3 of 4 classes", "delete it and rerun translate"),
    shifts("no reconstruction", table(lambda rows: rows[rows[SHOWN] != "DMSO"]),
           "expected one source class, shown too", "the reconstruction", "delete it and rerun translate"),
    shifts("source fields of two classes", table(mixed_sources),
           "source fields of classes ['DMSO', 'drug", "expected one source class"),
    shifts("a source that is not the class whose twin was trained", other_source,
           "the model has a twin of DMSO, but inert@1uM is translated", "translate DMSO"),
    shifts("no number that both sides measure", table(lambda rows: rows[[name for name in rows if name.startswith("Metadata_")]]),
           "no number of the space is measured both in real and in translated fields", "delete the tables and rerun"),
    shifts("a source field that is not among the real ones", table(lambda rows: rows[rows["Metadata_Well"] != "A01"]),
           "real fields of plate P: plate P, well A01, site 1, tile 1 is not in it", "delete it and rerun", table="real/P"),
    images("images that do not say which class they show", lambda rows: rows.replace({SHOWN: {"weak@1uM": ""}}),
           "rows do not say which class they show", "delete it and rerun translate"),
    images("images of a field that is not real", lambda rows: rows.replace({"Metadata_Well": {"A02": "H12"}}),
           "real fields of plate P: plate P, well H12, site 1, tile 1 is not in it", "delete it and rerun"),
    images("images without their reconstruction", lambda rows: rows.replace({SHOWN: {"DMSO": "other@1uM"}}),
           "source fields of classes ['DMSO'], shown as", "expected one source class, shown too"),
]  # fmt: skip
