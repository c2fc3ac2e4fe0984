"""Hostile output of CellProfiler, cells, medians, selections and profiles, by the real commands that read them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from test_cellprofiler import SLIM, fake
from test_lookup import profiles
from test_select import medians

from brightpaint import store
from brightpaint.features import cellprofiler, cells_part
from brightpaint.features.engine import __main__ as engine
from brightpaint.profiles import active, lookup, profile, select
from brightpaint.report.figures import loss
from brightpaint.scores.images import score_images
from brightpaint.scores.profiles import score_profiles
from features_fixture import write_images, write_relabelling_pipeline, write_tables
from hostile import Case, copied
from scores_fixture import Folder

OPEN = "Open the pipeline in CellProfiler"


def measured(what: str, fault: str, *words: str, spoil=lambda images: None) -> Case:
    """A case in which CellProfiler's stand-in does `fault`, or the exported part is spoilt before it runs."""

    def prepared(folder):
        images = write_images(folder / "images", np.zeros((2, 5, 16, 16)))
        spoil(images)
        out = folder / "out" / "tables"
        return cellprofiler.main, ["--command", fake(folder, fault), "--pipeline", SLIM, "--images", images,
                                   "--tables", out], [out]  # fmt: skip

    return Case("CellProfiler", what, prepared, words)


def own(what: str, change, *words: str) -> Case:
    """A case of a pipeline of one's own: `change(text)` of one that filters and renumbers its objects."""

    def prepared(folder):
        images = write_images(folder / "images", np.zeros((1, 5, 16, 16)))
        path, out = folder / "own.cppipe", folder / "out" / "tables"
        path.write_text(change(write_relabelling_pipeline(path)))
        return cellprofiler.main, ["--command", fake(folder, ""), "--pipeline", path, "--images", images,
                                   "--tables", out], [out]  # fmt: skip

    return Case("CellProfiler", what, prepared, ("own.cppipe", *words, "Mend it in CellProfiler"))


def by_engine(what: str, change, *words: str, spoil=lambda images: None) -> Case:
    """A case of the fast engine: `change(text)` of the slim pipeline, or the exported part is spoilt before it runs."""

    def prepared(folder):
        images = write_images(folder / "images", np.zeros((2, 5, 16, 16)))
        spoil(images)
        path, out = folder / "own.cppipe", folder / "out" / "tables"
        path.write_text(change(SLIM.read_text()))
        return engine.main, ["--pipeline", path, "--images", images, "--tables", out], [out]

    return Case("fast engine", what, prepared, words)


def mixed_engines(folder):
    """Profile a plate of the fast engine's beside a real one of CellProfiler's."""
    frame = medians(n=2)
    for name, who in (("real", "cellprofiler"), ("painted", "fast")):
        store.write_measured(frame, folder / f"{name}.parquet", who)
    out = [folder / "wells.parquet", folder / "perturbations.parquet"]
    words = ["--space", "cellprofiler", "--tables", folder / "painted.parquet", "--reference", folder / "real.parquet"]
    return profile.main, [*words, "--wells", out[0], "--perturbations", out[1]], out


def load_data(change):
    def spoil(images):
        path = images / "load_data.csv"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


RUNS = [
    measured("another exit code", "exit", "exit code 3", "expected 0 and 'Complete'", "well A01", "disk caught fire", OPEN),
    measured("a done file that says Failure", "done", "said 'Failure'", OPEN),
    measured("no done file", "no_done", "said 'nothing'", OPEN),
    measured("a pipeline that loads only part-way", "pipeline", "slim.cppipe did not load whole", OPEN),
    measured("a table is missing", "table", "Cytoplasm.csv were not written", OPEN),
    measured("fewer rows", "row", "Image.csv has 1 rows, expected 2", OPEN),
    measured("a module that failed", "module", "well A01", "is '1', expected 0", OPEN),
    measured("a blank ModuleError", "blank", "well A01", "is '', expected 0", OPEN),
    measured("an image that was not given", "other_file", "'B99.tif'", "which load_data.csv does not", OPEN),
    measured("an object table cut short", "cut", "Cells.csv has 3 whole or cut rows, expected 4", OPEN),
    measured("half a row", "half_row", "Cells.csv has 4 whole or cut rows", OPEN),
    measured("a blank count", "count", "well A01", "Count_Nuclei is ''", "expected a count", OPEN),
    own("cells that nothing joins to a nucleus", lambda text: text.replace("smaller identified objects:Nuclei",
        "smaller identified objects:Other"), "its Cells cannot be joined to Nuclei", "no Parent column", "RelateObjects"),
    own("a choice of measurements", lambda text: text.replace("the measurements to export:No", "the measurements to export:Yes"),
        "'Select the measurements to export' set to No"),
    measured("a row that is too long", "long_row", "Image.csv: row 1 has 8 cells, expected 7"),
    measured("an image cut short before it runs", "", "plate P1, well A02, site 1, tile 1, channel RNA", "truncated",
             "rerun export", spoil=lambda images: shorten(images / "A02_s1_t1_RNA.tif")),
    measured("an exported part without columns of files", "", "load_data.csv: expected columns FileName_Orig", "rerun export",
             spoil=load_data(lambda data: data.replace(b"FileName_", b"File_"))),
    measured("an exported part that is no text", "", "load_data.csv: not a readable CSV", "rerun",
             spoil=load_data(lambda data: data.replace(b"A01", b"\xff\xfe"))),
    measured("an exported part with a row cut short", "", "load_data.csv: row 2 has", "delete it and rerun",
             spoil=load_data(lambda data: data[:-30])),
    by_engine("a module that it does not know", lambda text: text.replace("MeasureGranularity:[", "MeasureImageQuality:["),
              "own.cppipe: module 16, MeasureImageQuality", "the fast engine does not know it", "set cellprofiler.engine to cell"),
    by_engine("a setting that it does not honour", lambda text: text.replace("strategy:Global", "strategy:Adaptive", 1),
              "own.cppipe: module 9, IdentifyPrimaryObjects", "'Threshold strategy' is 'Adaptive'", "knows 'Global' alone",
              "set cellprofiler.engine to cellprofiler"),
    by_engine("an image cut short", str, "well A02, site 1, tile 1, channel RNA", "truncated", "rerun export",
              spoil=lambda images: shorten(images / "A02_s1_t1_RNA.tif")),
    Case("fast engine", "cells that CellProfiler measured beside its own", mixed_engines,
         ("painted.parquet was measured by the fast engine", "real.parquet was measured by CellProfiler",
          "cellprofiler.engine", "snakemake --forcerun cells")),
]  # fmt: skip


def joined(what: str, spoil, *words: str) -> Case:
    """A case on the tables that CellProfiler wrote, read by cells_part."""

    def prepared(folder):
        rows = write_tables(folder / "tables", [2, 2])
        store.write_table(rows, folder / "rows.parquet")
        spoil(folder / "tables")
        out = folder / "out" / "001.parquet"
        return (
            cells_part.main,
            ["--tables", folder / "tables", "--rows", folder / "rows.parquet", "--cells", out],
            [out],
        )

    return Case("cells", what, prepared, words)


def table(name: str, change):
    """Return a spoiler that rewrites one CSV through `change(frame)`."""

    def spoil(folder):
        frame = pd.read_csv(folder / f"{name}.csv")
        change(frame).to_csv(folder / f"{name}.csv", index=False)

    return spoil


def every(names: tuple[str, ...], change):
    """Return a spoiler that rewrites several CSVs through `change(frame)`."""

    def spoil(folder):
        for name in names:
            table(name, change)(folder)

    return spoil


CELLS = [
    joined("a table is missing", lambda folder: (folder / "Cells.csv").unlink(), "Cells.csv is missing", "rerun cellprofiler"),
    joined("an empty file", lambda folder: (folder / "Nuclei.csv").write_text(""), "Nuclei.csv: not a readable CSV"),
    joined("a binary file", lambda folder: (folder / "Cytoplasm.csv").write_bytes(bytes(range(256))), "Cytoplasm.csv: not a"),
    joined("features in words", table("Cells", lambda frame: frame.assign(Intensity_F0_DNA="bright")),
           "Cells.csv: columns ['Intensity_F0_DNA'] hold words", "switch off"),
    joined("a nucleus twice", table("Nuclei", lambda frame: pd.concat([frame, frame[:1]])), "Nuclei.csv: object 1.0 of image 1.0",
           "occurs twice", "rerun cellprofiler"),
    joined("an object without a number", table("Nuclei", lambda frame: frame.assign(ObjectNumber=[1, None, 1, 2])),
           "Nuclei.csv: object nan", "rerun cellprofiler"),
    joined("no numbers of objects", table("Cells", lambda frame: frame.drop(columns="ObjectNumber")),
           "Cells.csv: columns ['ObjectNumber'] are missing"),
    joined("two cells of one nucleus", table("Cells", lambda frame: frame.assign(Parent_Nuclei=1)), "Cells.csv",
           "has two Cells, expected one"),
    joined("cells without parents", every(("Cells", "Cytoplasm"), lambda frame: frame.drop(columns="Parent_Nuclei")),
           "Cells.csv has no column Parent_Nuclei", "mend it"),
    joined("images that were not exported", table("Image", lambda frame: frame[:1]), "Image.csv has 1 images",
           "load_data.csv's 2", "rerun cellprofiler"),
    joined("images without names", table("Image", lambda frame: frame.drop(columns="FileName_OrigDNA")),
           "Image.csv: columns ['FileName_OrigDNA'] are missing"),
]  # fmt: skip


def profiled(what: str, spoil, *words: str, rule: str = "profile") -> Case:
    """A case on field medians and a selection, read by select, profile or active."""

    def prepared(folder):
        store.write_table(medians(n=8), folder / "P1.parquet")
        kept = pd.DataFrame(
            {"feature": ["Nuclei_Intensity_A", "Cells_Intensity_B"], "kept": [1, 1], "reason": ["", ""]}
        )
        store.write_table(kept, folder / "kept.tsv")
        spoil(folder)
        out, words = folder / "out", ["--space", "cellprofiler", "--tables", folder / "P1.parquet"]
        if rule == "select":
            return (
                select.main,
                [*words, "--settings", '{"correlation": 0.9}', "--selection", out / "x.tsv"],
                [out / "x.tsv"],
            )
        words += ["--selection", folder / "kept.tsv"]
        if rule == "active":
            settings = json.dumps({"components": 2, "permutations": 10, "alpha": 0.05})
            words = ["--medians", *words[3:]]
            return active.main, [*words, "--settings", settings, "--active", out / "x.tsv"], [out / "x.tsv"]
        outputs = [out / "wells.parquet", out / "perturbations.parquet"]
        return profile.main, [*words, "--wells", outputs[0], "--perturbations", outputs[1]], outputs

    return Case("profiles", what, prepared, words)


def parquet(**columns):
    """Return a spoiler that sets columns of the medians."""

    def spoil(folder):
        frame = store.read_table(folder / "P1.parquet")
        store.write_table(frame.assign(**columns), folder / "P1.parquet")

    return spoil


def selection(text: str):
    return lambda folder: (folder / "kept.tsv").write_text(text)


def without(*names: str):
    def spoil(folder):
        store.write_table(store.read_table(folder / "P1.parquet").drop(columns=list(names)), folder / "P1.parquet")

    return spoil


HEAD = "feature\tkept\treason\n"
PROFILES = [
    *(profiled(f"an infinite median ({rule})", parquet(Cells_Intensity_B=[1.0, np.inf] * 4),
               "P1.parquet: feature Cells_Intensity_B is infinite (plate P1, well A02", "rerun median", rule=rule)
      for rule in ("select", "profile", "active")),
    profiled("medians in words", parquet(Cells_Intensity_B="bright"), "feature Cells_Intensity_B holds words", "rerun median"),
    profiled("medians without counts", without("Metadata_cells"), "expected counts of cells", "rerun median"),
    profiled("less than no cells", parquet(Metadata_cells=-1), "expected counts of cells", "rerun median"),
    profiled("a selection that keeps nothing", selection(HEAD + "Cells_Intensity_B\t0\tblocklist\n"),
             "kept.tsv: 0 features are kept", "rerun select"),
    profiled("a selection that keeps a feature twice", selection(HEAD + "Cells_Intensity_B\t1\t\n" * 2),
             "kept.tsv: 2 features are kept, 1 of them different", "rerun select"),
    profiled("a selection that says yes", selection(HEAD + "Cells_Intensity_B\tyes\t\n"), "kept.tsv: the column kept",
             "rerun select"),
    profiled("an empty selection", selection(""), "kept.tsv: not a readable table", "rerun", rule="active"),
    profiled("a selection without its columns", selection("a\tb\n1\t2\n"), "kept.tsv: columns ['feature', 'kept'] are missing"),
    profiled("a selected feature that was not measured", selection(HEAD + "Cells_Texture_X\t1\t\n"),
             "plate P1: selected features ['Cells_Texture_X'] were not measured", "rerun select and medians"),
    profiled("a plate without DMSO", parquet(Metadata_control_type="", Metadata_perturbation="cpd"),
             "plate P1 has no DMSO well", "check the platemap", rule="active"),
    profiled("a plate without a cell", parquet(Metadata_cells=0), "plate P1: CellProfiler found no cell",
             "leave the plate out", rule="select"),
]  # fmt: skip


def looking_up(what: str, plates: dict, spoil, *words: str) -> Case:
    def prepared(folder):
        store.write_table(spoil(profiles()), folder / "profiles.parquet")
        out = folder / "out" / "x.parquet"
        settings = json.dumps({"plates": plates})
        return (
            lookup.main,
            ["--settings", settings, "--profiles", folder / "profiles.parquet", "--perturbations", out],
            [out],
        )

    return Case("profiles", what, prepared, words)


def small_study(folder: Path) -> None:
    study = Folder(folder)
    study.predict("pert", lambda images: images)


def scored(what: str, spoil, *words: str, images: bool = False) -> Case:
    """A case on what an arm's profiles, or its images, are scored with."""

    def prepared(folder):
        copied(small_study, folder)
        spoil(folder)
        output = folder / "out" / "pert.parquet"
        argv = ["--arm", "pert", "--plates", "P1", "--fields", folder / "fields/P1.parquet"]
        if images:
            settings = {"channels": {"input": ["BF_low", "BF"], "target": ["DNA", "ER"]}, "cutoff": 15}
            argv += ["--settings", json.dumps(settings), "--real", folder / "images/real/P1.tif"]
            argv += ["--predicted", folder / "images/pert/P1.tif", "--table", output]
            beside = output.with_suffix(".fields.parquet")
            return score_images.main, [*argv, "--by-field", beside], [output, beside]
        argv += ["--space", "cellprofiler"]
        argv += ["--real", folder / "profiles/real.parquet", "--profiles", folder / "profiles/real.parquet"]
        return score_profiles.main, [*argv, "--active", folder / "active.tsv", "--table", output], [output]

    return Case("scores", what, prepared, words)


def only_p0(folder: Path) -> None:
    frame = store.read_table(folder / "profiles/real.parquet")
    store.write_table(frame[frame["Metadata_Plate"] == "P0"], folder / "profiles/real.parquet")


def drawn_loss(folder: Path):
    (folder / "history.jsonl").write_text('{"images": 1, "loss": 2.0, "learning_rate": 1.0}\n{"images": 2, "lo')
    out = folder / "out" / "loss.png"
    words = ["--settings", '{"dpi": 60}', "--histories", folder / "history.jsonl", "--figure", out]
    return loss.main, words, [out]


SCORES = [
    looking_up("a look-up on a plate without profiles", {"P3": ["P1", "P9"]}, lambda frame: frame, "P9"),
    looking_up("profiles without plates", {"P3": ["P1"]}, lambda frame: frame.drop(columns="Metadata_Plate"),
               "profiles.parquet: columns ['Metadata_Plate'] are missing", "rerun"),
    scored("profiles that lack the plate", only_p0, "plate P1 has no profiles in arm real", "delete its profiles and rerun"),
    scored("profiles without names", lambda folder: pd.DataFrame({"a": [1]}).to_parquet(folder / "profiles/real.parquet"),
           "real.parquet: columns", "are missing", "rerun"),
    scored("actives that say yes", lambda folder: (folder / "active.tsv").write_text("Metadata_perturbation\tactive\na\tyes\n"),
           "active.tsv: expected 0 or 1 in the column active, found 'yes'", "rerun active"),
    scored("a real stack that is gone", lambda folder: (folder / "images/real/P1.tif").unlink(), "P1.tif: there is no such",
           images=True),
    Case("history", "a line cut short", drawn_loss, ("history.jsonl: expected one JSON object a line", "delete it and rerun")),
]  # fmt: skip

CASES = RUNS + CELLS + PROFILES + SCORES
