"""The page of verdicts: how many classes, each in words, attention beside its nulls, erasure beside the floor."""

from __future__ import annotations

import pandas as pd

from brightpaint import store
from brightpaint.report.tables import gradcamo_table
from brightpaint.scores.cells import verdicts


def tables():
    rows = [(variant, metric, name, value) for name in ("", "1") for variant in ("cells", "uniform")
            for metric, value in (("camo", 0.5), ("lift", 2.0 if variant == "cells" else 1.0))]  # fmt: skip
    table = pd.DataFrame(rows, columns=["variant", "metric", "class", "value"]).assign(arm="real", explained="own")
    erased = pd.DataFrame({"shown": ["whole", "trained on erased cells"], "metric": "balanced_accuracy", "class": "",
                           "value": [0.9, 0.4], "arm": "real"})  # fmt: skip
    said = {name: 0.5 for name in verdicts.COLUMNS} | {
        "arm": "real",
        "class": "1",
        "verdict": verdicts.AT,
        "why": "<b>both</b>",
    }
    return table, erased, pd.DataFrame([said, {**said, "class": "2", "verdict": verdicts.OPEN}])


def test_the_page_says_in_words_where_the_classifier_looks(tmp_path):
    for name, frame in zip(("table", "erased", "verdicts"), tables()):
        store.write_table(frame, tmp_path / f"{name}.tsv")
    words = [part for name in ("table", "erased", "verdicts") for part in (f"--{name}", str(tmp_path / f"{name}.tsv"))]
    gradcamo_table.main(["--arm", "real", *words, "--html", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "Of 2 classes: of 1 it looks at the cell, of 0 elsewhere, and of 1 it can&#39;t be said." in page
    assert "&lt;b&gt;both" in page and "<b>both" not in page
    assert "trained on erased cells" in page and "uniform" in page and "47% of profiles overlap" in page
    wide = gradcamo_table.wide(tables()[0], ["variant", "explained"], ["camo", "lift"])
    assert wide.set_index("variant")["lift"].to_dict() == {"cells": 2.0, "uniform": 1.0}
    without = gradcamo_table.page("real", tables()[0], tables()[1].iloc[:1], tables()[2])
    assert "a network that never saw a cell" not in without and "a network that never saw a cell" in page
