"""Encoders of molecules side by side: what each foretells, beyond chance or not, and what could not be asked."""

from __future__ import annotations

import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.tables import molecules_table
from brightpaint.scores.profiles.from_molecules import COLUMNS


def scored(value, low, bound, gain_low=None, why=""):
    """Return the scores of a space: Morgan's ridge by correlation, a second encoder's, the mean, and a split not made."""
    one = {"split": "scaffold", "baseline": "ridge", "metric": "correlation", "shuffled": 0.01, "shuffled_bound": bound,
           "treatments": 40, "groups": 20}  # fmt: skip
    rows = [{**one, "encoder": "morgan", "value": 0.1, "low": 0.0, "high": 0.2},
            {**one, "encoder": "descriptors", "value": value, "low": low, "high": value + 0.1, "encoder_gain": value - 0.1,
             "encoder_gain_low": gain_low, "encoder_gain_high": 0.9},
            {**one, "encoder": "morgan", "baseline": "mean", "value": 0.0, "low": 0.0, "high": 0.0, "shuffled": None},
            {"split": "dose", "why": why or "split dose: the treatments have 1 doses"}]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=COLUMNS).assign(features=12)


def made(folder, **spaces):
    """Run the command on scores of these spaces; return its page and table."""
    paths = [folder / f"{space}.tsv" for space in spaces]
    for path, frame in zip(paths, spaces.values()):
        store.write_table(store.as_text(frame), path)
    words = ["--scores", *map(str, paths), "--tsv", str(folder / "t.tsv"), "--html", str(folder / "t.html")]
    molecules_table.main(words)
    return (folder / "t.html").read_text(), store.read_table(folder / "t.tsv")


def test_the_page_names_the_best_encoder_of_each_space_and_whether_it_is_beyond_chance(tmp_path):
    page, table = made(tmp_path, dino=scored(0.5, 0.4, 0.1, 0.2), cellprofiler=scored(0.15, 0.05, 0.1, -0.1))
    assert list(dict.fromkeys(table["space"])) == ["cellprofiler", "dino"]  # the order of the registry
    best = "descriptors by ridge, 0.50 (0.40 to 0.60), more than shuffled molecules (0.01, 95% below 0.10), and above the first"
    assert f"DINO: the most is foretold by {best} encoder." in page
    assert (
        "CellProfiler: the most is foretold by descriptors by ridge, 0.15 (0.05 to 0.25), no more than shuffled" in page
    )
    assert "not surely above the first encoder" in page
    assert page.count("not made; split dose: the treatments have 1 doses.") == 2
    assert len(table) == 8 and (table["why"].fillna("") != "").sum() == 2


def test_a_space_of_which_nothing_can_be_foretold_says_why(tmp_path):
    none = pd.DataFrame([{"split": "scaffold", "why": "profiles: 0 treatments of known molecules; expected 4 or more"}])
    page, table = made(tmp_path, cellprofiler=none.reindex(columns=COLUMNS).assign(features=3))
    assert "the most is foretold" not in page
    assert "held-out scaffolds: not made; profiles: 0 treatments of known molecules; expected 4 or more." in page
    assert len(table) == 1


def test_a_table_without_its_columns_is_refused(tmp_path):
    store.write_table(pd.DataFrame([{"split": "scaffold"}]), tmp_path / "cellprofiler.tsv")
    with pytest.raises(ValueError, match="value"):
        molecules_table.main(["--scores", str(tmp_path / "cellprofiler.tsv"), "--tsv", "t.tsv", "--html", "t.html"])
