"""Hostile wells of axes and classes: the real commands `axis`, `zero_shot`, `axis_doses`, and what asks for them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import test_axis
import test_axis_doses
import test_zero_shot

from brightpaint import store
from brightpaint.profiles import axis, axis_doses, zero_shot
from brightpaint.study.axes import axis_problems
from brightpaint.study.study import Study
from hostile import Case
from hostile_config import CONFIG, PLATES, SCHEMAS

AXIS = test_axis.ENTRY | {"permutations": 2, "bootstrap": 2}
CLASSES = test_zero_shot.ENTRY | {"permutations": 2}
FEW = 16  # numbers of a well


def on_axis(what: str, spoil, *words: str, space: str = "dino", **changes) -> Case:
    """Return a case of wells of one plate, mock, infected and two compounds, changed by `spoil(wells, numbers)`."""

    def prepared(folder):
        wells = test_axis.study(plates=("P1",), width=FEW)
        wells = spoil(wells, test_axis.NUMBERS[:FEW])
        store.write_table(wells, folder / "wells.parquet")
        out = {name: folder / "out" / f"{name}.tsv" for name in ("placed", "treatments", "accuracy")}
        line = ["--space", space, "--settings", json.dumps(AXIS | changes), "--wells", folder / "wells.parquet"]
        return axis.main, [*line, *(word for name in out for word in (f"--{name}", out[name]))], list(out.values())

    return Case("axis", what, prepared, words)


def told_apart(what: str, spoil, *words: str, **changes) -> Case:
    """Return a case of wells of four cell lines on three plates, changed by `spoil(wells, numbers)`."""

    def prepared(folder):
        wells = spoil(test_zero_shot.wells_of(), test_zero_shot.NUMBERS)
        store.write_table(wells, folder / "wells.parquet")
        out = {name: folder / "out" / f"{name}.tsv" for name in ("confusion", "accuracy")}
        line = ["--space", "dino", "--settings", json.dumps(CLASSES | changes), "--wells", folder / "wells.parquet"]
        line += ["--own", folder / "wells.parquet"]
        return zero_shot.main, [*line, *(word for name in out for word in (f"--{name}", out[name]))], list(out.values())

    return Case("zero-shot classes", what, prepared, words)


def curves(what: str, spoil, *words: str) -> Case:
    """Return a case of wells of a compound at eight doses, placed on an axis, changed by `spoil(placed)`."""

    def prepared(folder):
        placed = spoil(test_axis_doses.placed_wells({"cpd": (1, 1, 8)}))
        store.write_table(placed, folder / "placed.tsv")
        out = {name: folder / "out" / f"{name}.tsv" for name in ("table", "means")}
        line = ["--settings", json.dumps(test_axis_doses.SETTINGS), "--placed", folder / "placed.tsv"]
        return (
            axis_doses.main,
            [*line, *(word for name in out for word in (f"--{name}", out[name]))],
            list(out.values()),
        )

    return Case("doses along an axis", what, prepared, words)


def put(name: str, value, of: str | None = None):
    """Return what writes a value into a column (`*`: all numbers) of a class of wells, all wells (""), or the first."""

    def spoil(wells: pd.DataFrame, numbers=()) -> pd.DataFrame:
        wells, columns = wells.copy(), list(numbers) if name == "*" else [name]
        column = "Metadata_perturbation" if of in set(wells["Metadata_perturbation"]) else "Metadata_cell_line"
        rows = wells.index[:1] if of is None else wells.index[wells[column] == of] if of else wells.index
        if isinstance(value, str):
            wells[columns] = wells[columns].astype(object)
        wells.loc[rows, columns] = value
        return wells

    return spoil


def all_but_one(name: str, value: str):
    """Return what leaves one well of a class."""
    return lambda wells, numbers: wells.drop(wells.index[wells[name] == value][1:])


def constant(wells: pd.DataFrame, numbers) -> pd.DataFrame:
    return wells.assign(**dict.fromkeys(numbers, 1.0))


def twice(wells: pd.DataFrame, numbers=()) -> pd.DataFrame:
    return pd.concat([wells, wells.iloc[:1]], ignore_index=True)


def without(name: str):
    return lambda wells, numbers=(): wells.drop(columns=name)


def unchanged(wells: pd.DataFrame, numbers=()) -> pd.DataFrame:
    return wells


def placed_dose(value: float):
    """Return what gives the compound's first well another dose."""

    def spoil(placed: pd.DataFrame) -> pd.DataFrame:
        placed = placed.copy()
        placed.loc[placed.index[placed["Metadata_perturbation"] == "cpd"][0], "Metadata_dose"] = value
        return placed

    return spoil


def planned(what: str, *words: str, **changes) -> Case:
    """Return a case of a config that asks for axes or classes: the plan says what is wrong before any rule runs."""

    def prepared(folder):
        (folder / "plates.tsv").write_text(PLATES)

        def load(_):
            if problems := list(axis_problems(Study.load({**CONFIG, **changes}, SCHEMAS, folder))):
                raise ValueError("\n".join(problems))

        return load, [], []

    return Case("config", what, prepared, words)


LINES = [{"name": "lines", "annotation": "cell_line", "spaces": ["cellprofiler"], "groups": "Plate"}]


def an_axis(**changes) -> dict:
    asked = {"name": "effect", "positive": ["DMSO"], "negative": ["cpd"], "spaces": ["cellprofiler"], **changes}
    return {"axes": [asked]}


CASES = [
    on_axis("a class of one well", all_but_one("Metadata_perturbation", "mock"), "axes.effect: class + (mock) has one well",
            "expected two or more", "add wells, or name more values"),
    on_axis("a class that is not there", unchanged, "axes.effect: no well has perturbation moc", "found: inert, infected, mock",
            positive=["moc"]),
    on_axis("labels all the same", put("Metadata_perturbation", "mock", ""), "axes.effect: no well has perturbation infected",
            "found: mock"),
    on_axis("a class without a number", put("*", np.nan, "mock"), "axes.effect: 12 of 34 wells have no number in this space",
            "plate P1, well A01", "no well has perturbation mock", "look at their images"),
    on_axis("no number in any well", put("*", np.nan, ""), "axes.effect: 34 of 34 wells have no number in this space",
            "plate P1, well A01", "look at their images"),
    on_axis("numbers that never change", constant, "axes.effect: none of 16 numbers differs between 24 control wells",
            "look at their images"),
    on_axis("infinity", put("DINO_003", np.inf), "wells.parquet: DINO_003 is infinite (plate P1, well A01)", "rerun profile"),
    on_axis("words for numbers", put("DINO_003", "x", ""), "wells.parquet: DINO_003 holds words, expected numbers",
            "rerun profile"),
    on_axis("another space's numbers", unchanged, "wells.parquet: no column Critic_*", "rerun profile", space="critic"),
    on_axis("a well twice", twice, "wells.parquet: plate P1, well A01 occurs twice", "rerun profile"),
    on_axis("no plates", without("Metadata_Plate"), "wells.parquet: columns ['Metadata_Plate'] are missing", "rerun"),
    on_axis("groups of an annotation that is not there", unchanged, "Batch: the wells have no such annotation",
            "expected the column Metadata_Batch",
            groups="Batch"),
    on_axis("strict where every plate was seen", unchanged, "axes.effect: protocol strict leaves class - 0", "set protocol: seen",
            protocol="strict", seen={"training": ["P1"]}),
    told_apart("a class of one well", all_but_one("Metadata_cell_line", "RPE"), "zero_shot.lines: class RPE (RPE) has one well",
               "expected two or more"),
    told_apart("labels all the same", put("Metadata_cell_line", "RPE", ""),
               "zero_shot.lines: cell_line has 1 values among the wells (RPE), expected two or more"),
    told_apart("a class of which no well has a number", put("*", np.nan, "RPE"),
               "zero_shot.lines: 12 of 48 wells have no number in this space", "no well has cell_line RPE"),
    told_apart("numbers that never change", constant, "zero_shot.lines: none of 40 numbers differs"),
    told_apart("a well twice", twice, "wells.parquet: plate P0, well A01 occurs twice", "rerun profile"),
    told_apart("no wells", lambda wells, numbers: wells.iloc[:0], "zero_shot.lines: there are no wells", "rerun profile"),
    told_apart("plates held out, each normalised by its own wells", unchanged, "zero_shot.lines: plate P",
               "0 wells that are not held out",
               "set normalise: none", groups="Plate"),
    curves("no score", without("on"), "placed.tsv: columns ['on'] are missing", "rerun"),
    curves("words for scores", put("on", "x", ""), "placed.tsv: on holds words, expected numbers", "rerun axis"),
    curves("an infinite score", put("on", np.inf), "placed.tsv: on is infinite (plate P1, well A01)", "rerun axis"),
    curves("an infinite dose", placed_dose(np.inf), "placed.tsv: plate P1, well", "dose of inf uM", "above 0 or none"),
    curves("a dose below 0", placed_dose(-1.0), "placed.tsv: plate P1, well", "dose of -1 uM", "above 0 or none"),
    curves("one control well", lambda placed: placed.drop(placed.index[2:24]), "placed.tsv: 1 wells of class - are placed",
           "expected two or more", "rerun axis"),
    planned("an axis from a class to itself", "axes.effect: DMSO is in both classes, expected in one",
            **an_axis(negative=["DMSO"])),
    planned("an axis with an empty class", "axes.0.negative", "should be non-empty", **an_axis(negative=[])),
    planned("an axis in a space that the study does not make", "axes.effect: the study does not plan critic",
            **an_axis(spaces=["critic"])),
    planned("zero-shot plates held out and each normalised by its own wells", "zero_shot.lines: groups Plate and normalise plate",
           "set normalise: none", zero_shot=LINES),
    planned("doses along an axis that there is not", "doses.axes: no axis is called health; there are: none",
            doses={"axes": ["health"]}),
]  # fmt: skip
