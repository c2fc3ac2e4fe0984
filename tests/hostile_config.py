"""Hostile configs and plate tables."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from brightpaint.study.study import Study
from hostile import Case

SCHEMAS = Path(__file__).parent.parent / "workflow" / "schemas"
PLATES = "plate\trole\tbatch\nP1\tstudy\tB1\nP2\tstudy\tB2\nP3\tstudy\tB3\nQ1\tpredict\tB4\n"
CONFIG = {
    "plates": "plates.tsv",
    "folds": [{"name": "A", "test": ["P3"], "predict": ["Q1"]}],
    "models": [{"name": "pert", "label": "perturbation"}, {"name": "mean", "kind": "mean"}],
    "arms": [{"name": "pert", "model": "pert", "folds": ["A"]}],
}
NAMED = "does not match"


def loading(folder: Path, config, table: str | bytes = PLATES):
    """Write the plate table and return the command that loads the study."""
    data = table.encode() if isinstance(table, str) else table
    (folder / "plates.tsv").write_bytes(data)
    return lambda _: Study.load(config, SCHEMAS, folder), [], []


def config(what: str, *words: str, spoil=None, **changes) -> Case:
    """A case in which keys of the config are changed; `spoil(folder)` makes files that it names."""

    def prepare(folder):
        if spoil:
            spoil(folder)
        return loading(folder, {**json.loads(json.dumps(CONFIG)), **changes})

    return Case("config", what, prepare, ("config", *words))


def whole_config(what: str, given, *words: str) -> Case:
    return Case("config", what, lambda folder: loading(folder, given), ("config", *words))


def arm(name) -> list[dict]:
    return [{"name": name, "model": "pert", "folds": ["A"]}]


def plates(what: str, table: str | bytes, *words: str) -> Case:
    return Case("plate table", what, lambda folder: loading(folder, CONFIG, table), words)


def renamed(name: str) -> str:
    return PLATES.replace("P1", name)


def listing(path: str) -> str:
    """The plate table, P1 with a list of its fields."""
    return "plate\trole\tfields\n" + f"P1\tstudy\t{path}\n" + "P2\tstudy\t\nP3\tstudy\t\nQ1\tpredict\t\n"


CONFIGS = [
    whole_config("a list in place of keys", [1, 2], "the top level", "not of type 'object'"),
    whole_config("nothing at all", {}, "'plates' is a required property"),
    whole_config("a key that is no text", {**CONFIG, 1: 2}, "the top level", "key 1 is no text", "in quotes"),
    config("neither plates nor crops of one's own", "plates: null", "no own_crops", "arms: plates is null", plates=None),
    config("a mask and a threshold", "own_crops.mine: mask and threshold both say what the cell is", "leave one out",
           own_crops=[{"name": "mine", "folder": ".", "table": "cells.csv", "channels": ["DNA"], "mask": "m.tif",
                       "threshold": "otsu"}]),
    config("an unknown key", "unknown key trian", "did you mean train?", trian={}),
    config("nan", "pixel_size_um: nan", "expected a finite one", pixel_size_um=float("nan")),
    config("infinity", "train.learning_rate: inf", "expected a finite one", train={"learning_rate": float("inf")}),
    config("nan in a list", "cellprofiler.window.1: nan", cellprofiler={"window": [-5, float("nan")]}),
    config("stains that nuclei are not found in", "cellprofiler.nuclear_stain: slim finds nuclei in DNA",
           "channels.target is DAPI, RNA", "name the stain of the nuclei",
           channels={"target": ["DAPI", "RNA"]}, cellprofiler={"pipeline": "slim"}),
    config("stains that cells are not grown over", "cellprofiler.cell_stains: slim grows cells over AGP and RNA",
           "channels.target is DNA, MAP2", "profile: false in every arm", channels={"target": ["DNA", "MAP2"]},
           cellprofiler={"pipeline": "slim"}),
    config("a nuclear stain that there is not", "cellprofiler.nuclear_stain: there is no stain DAPI", "channels.target has DNA",
           cellprofiler={"nuclear_stain": "DAPI"}),
    config("a limit of lift without Grad-CAMO", "cellnet.least_lift", "cellnet.gradcamo asks for", "set that to true",
           crops={"size_um": 40}, cellnet={"label": "treatment", "least_lift": 1.2}),
    config("attention pulled onto cells without masks", "cellnet.attention_weight: movies of own_crops has no masks",
           "give own_crops.mask or own_crops.threshold", cellnet={"label": "label", "own_crops": ["movies"], "attention_weight": 1},
           own_crops=[{"name": "movies", "folder": ".", "table": "cells.csv", "channels": ["DNA"]}]),
    config("Grad-CAMO of a network that sees cells alone", "cellnet.gradcamo", "cellnet.masked", "can look nowhere else",
           crops={"size_um": 40}, cellnet={"label": "treatment", "gradcamo": True, "masked": True}),
    config("a layer that no network of cells has", "cellnet.layer: 6 is greater than the maximum of 5",
           cellnet={"label": "treatment", "gradcamo": True, "layer": 6}),
    config("a date where a name stands", "folds.0.name", "a date", "in quotes",
           folds=[{"name": datetime.date(2021, 6, 1)}]),
    config("a number that YAML reads as text", "train.learning_rate: '8e-5'", "write 8.0e-05 without quotes",
           train={"learning_rate": "8e-5"}),
    config("a barcode without quotes", "folds.0.test.0", "1053597936", "in quotes",
           folds=[{"name": "A", "test": [1053597936]}]),
    config("a whole number with a dot", "train.batch: 2.0 is not of type 'integer'", train={"batch": 2.0}),
    config("a truth value for a number", "sample.parts: True is not of type 'integer'", sample={"parts": True}),
    config("a name that ends in a newline", "arms.0.name", NAMED, arms=arm("pert\n")),
    config("a name with a command", "arms.0.name: '$(touch x)'", NAMED, arms=arm("$(touch x)")),
    config("a name with backticks", "arms.0.name: '`touch x`'", NAMED, arms=arm("`touch x`")),
    config("a name that leaves its folder", "arms.0.name: '../x'", NAMED, arms=arm("../x")),
    config("a name of 300 letters", "arms.0.name", "is too long", arms=arm("x" * 300)),
    config("a name with Cyrillic letters", "arms.0.name", NAMED, arms=arm("реrt")),
    config("two names that differ in case alone", "arms: pert and Pert differ in case alone",
           arms=[*arm("pert"), *arm("Pert")]),
    config("braces in a path", "pathvars.results: '{plate}'", NAMED, pathvars={"results": "{plate}"}),
    config("a command in a path", "pathvars.logs: '$(touch x)'", NAMED, pathvars={"logs": "$(touch x)"}),
    config("an empty source.url", "source.url", "should be non-empty", source={"url": ""}),
    config("an unset variable", "source.url: the environment variable BRIGHTPAINT_NOWHERE is not set", "export",
           source={"url": "$BRIGHTPAINT_NOWHERE/x"}),
    config("a window upside down", "cellprofiler: window [15, -5] is empty", "lower end",
           cellprofiler={"window": [15, -5]}),
    config("a network of 10^9 channels", "models.0.width", "greater than the maximum of 1024",
           models=[{"name": "pert", "width": 10**9}]),
    config("10^12 tiles", "prepare.grid.0", "greater than the maximum of 64", prepare={"grid": [10**6, 10**6]}),
    config("a sampler that a bridge does not walk by", "arm pert: sampler ddim, but kind bridge walks by ddpm; set sampler: ddpm",
           models=[{"name": "unet", "kind": "regression"}, {"name": "pert", "kind": "bridge", "base": "unet"}]),
    config("a bridge from an image that knows no crops", "model pert: base blank is of kind mean, which paints a whole field alone",
           "it stands on a model that paints without noise: add one to models",
           models=[{"name": "blank", "kind": "mean"}, {"name": "pert", "kind": "bridge", "base": "blank"}]),
    config("a folder as plate table", "there is no such plate table", "set `plates`", plates="."),
    config("a plate table that is not there", "none.tsv: there is no such plate table", plates="none.tsv"),
    config("held-out names in a binary file", "folds.A.held_out", "held.txt is not a text file", "save it as UTF-8",
           spoil=lambda folder: (folder / "held.txt").write_bytes(b"\xff\xfe\x00"),
           folds=[{"name": "A", "test": ["P3"], "predict": ["Q1"], "held_out": "held.txt"}]),
    config("held-out names in a folder", "folds.A.held_out: there is no file", "correct its path",
           folds=[{"name": "A", "test": ["P3"], "held_out": "."}]),
]  # fmt: skip

TABLES = [
    plates("a letter that is not UTF-8", PLATES.replace("B1", "Bö").encode("latin-1"), "plates.tsv", "save it as UTF-8"),
    plates("UTF-16", PLATES.encode("utf-16"), "plates.tsv", "save it as UTF-8"),
    plates("a NUL byte", PLATES.replace("P1", "P1\0"), "plates.tsv, row 1", NAMED),
    plates("a missing quote", PLATES + '"P4\tstudy\tB5\n', "plates.tsv", "not a readable plate table"),
    plates("a column twice", PLATES.replace("batch", "plate"), "the column plate occurs twice", "keep one"),
    plates("a name with a semicolon", renamed("P1; rm -rf x"), "row 1", "'P1; rm -rf x'", NAMED),
    plates("a name with a command", renamed("$(touch x)"), "row 1", "'$(touch x)'", NAMED),
    plates("a name with backticks", renamed("`touch x`"), "row 1", NAMED),
    plates("a name that leaves its folder", renamed("../P1"), "row 1", "'../P1'", NAMED),
    plates("a name with encoded dots", renamed("%2e%2e"), "row 1", NAMED),
    plates("an absolute path", renamed("/etc/passwd"), "row 1", NAMED),
    plates("a space in a name", renamed("P 1"), "row 1", NAMED),
    plates("a Cyrillic letter", renamed("Р1"), "row 1", NAMED),
    plates("a name of 300 letters", renamed("P" * 300), "row 1", "is too long"),
    plates("names that differ in case alone", PLATES + "p1\tstudy\tB9\n", "plates: P1 and p1 differ in case alone"),
    plates("a plate twice", PLATES + "P1\tstudy\tB9\n", "row 5: plate P1 occurs twice", "a name of its own"),
    plates("a row that is too long", PLATES + "P4\tstudy\tB5\tx\n", "row 5: expected as many cells", "mend the row"),
    plates("a row that is too short", PLATES + "P4\n", "row 5: expected as many cells", "mend the row"),
    plates("no rows", "plate\trole\n", "no plates", "a header and one row a plate"),
    plates("an unknown role", PLATES.replace("predict", "Predict"), "row 4 (plate 'Q1')", "role: 'Predict' is not one of"),
    plates("well A0", "plate\trole\twells\nP1\tstudy\t\nP2\tstudy\tA0\nP3\tstudy\t\nQ1\tpredict\t\n",
           "plate P2: wells: expected wells such as A01", "found 'A0'"),
    plates("site 0", "plate\trole\tsites\nP1\tstudy\t0\n", "row 1 (plate 'P1')", "sites: '0'", NAMED),
    plates("a list of fields that is not there", listing("none.txt"),
           "plate P1: fields", "none.txt can't be read", "one field a line"),
    plates("a list of fields that is another table", listing("plates.tsv"),
           "plate P1: fields", "plates.tsv, line 1", "expected a field such as P1/A01/3", "found 'plate"),
    plates("a list of fields in a folder that no variable names", listing("${NOWHERE_AT_ALL}/f.txt"),
           "plate P1: fields", "the environment variable NOWHERE_AT_ALL is not set"),
    plates("a pixel size of inf", "plate\trole\tpixel_size_um\nP1\tstudy\tinf\n", "pixel_size_um: 'inf'", NAMED),
    plates("one barcode, overlapping wells", "plate\trole\tbarcode\twells\nP1\tstudy\tX\tA01:B02\nP2\tstudy\tX\tB02\n"
           "P3\tstudy\tY\t\nQ1\tpredict\tZ\t\n", "plates P1 and P2: tile 1 of X is in both regions"),
    plates("a tile outside the grid", "plate\trole\tregion\nP1\tstudy\t5\nP2\tstudy\t1\nP3\tstudy\t1\nQ1\tpredict\t1\n",
           "plate P1: region 5 is outside the 1 x 1 tiles of prepare.grid"),
]  # fmt: skip

CASES = CONFIGS + TABLES
