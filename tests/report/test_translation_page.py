"""The page of a translation by the command: controls first, references beside each class, every change in its table."""

from __future__ import annotations

import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.tables import translation_page
from translated_images_fixture import score, translated_folder  # noqa: F401
from translation_fixture import scored_translation  # noqa: F401


@pytest.fixture
def words(shifts, folder, tmp_path):
    score(folder, tmp_path)
    beside = [(name, tmp_path / f"arm.{name}.parquet") for name in ("areas", "objects", "counts")]
    beside += [(name, shifts / f"arm.{name}.parquet") for name in ("classes", "changes")]
    files = [word for name, path in beside for word in (f"--{name}", str(path))]
    return ["--arm", "moved", "--space", "cellprofiler", "--metrics", str(tmp_path / "arm.parquet"), str(shifts / "arm.parquet"),
            *files, "--html", str(tmp_path / "a.html"), "--tsv", str(tmp_path / "a.tsv")]  # fmt: skip


def test_the_command_writes_the_page_and_every_change(words, shifts, tmp_path):
    translation_page.main(words)
    page, table = (tmp_path / "a.html").read_text(), store.read_table(tmp_path / "a.tsv")
    assert len(table) == len(store.read_table(shifts / "arm.changes.parquet"))
    assert "In the A/A control (half of the source" in page and "as promised" in page
    for words_ in (
        "found in real cells",
        "dose correlation, real changes",
        "distance: fresh noise",
        "drug@30uM",
        "Methods",
        "Quoted from the paper, not run here",
        "StarGAN",
        "14.26",
    ):
        assert words_ in page
    assert page.count("<tr") > 100


def classes(**more):
    base = {"plate": "P", "class": "x", "control": "", "tested": 100, "found": 0.5, "real_found": 0.4}
    return pd.DataFrame([base, {**base, "class": "y", **more}])


def test_a_control_in_which_too_much_is_found_is_said_loudly():
    (sentence,) = translation_page.control_sentences(classes(control="A/A", found=0.3, real_found=0.02))
    assert "30.0% of the numbers are found to change, in real wells 2.0%" in sentence
    assert "MORE THAN PROMISED: do not believe" in sentence
    (fine,) = translation_page.control_sentences(classes(control="inert", found=0.01))
    assert "compounds known to do nothing, 1.0%" in fine and "as promised" in fine
    (none,) = translation_page.control_sentences(classes())
    assert "twin: true" in none
    (untested,) = translation_page.control_sentences(classes(control="A/A", tested=0))
    assert "twin: true" in untested
