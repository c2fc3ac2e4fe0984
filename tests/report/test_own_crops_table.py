"""Crops of one's own, counted: by class, by group, groups of one class alone, cells beside the middle."""

from __future__ import annotations

import numpy as np

from brightpaint import store
from brightpaint.report.tables import own_crops_table

SAID = [("01", "m1", 1), ("01", "m1", 0), ("01", "m2", 1), ("rest", "m2", 1), ("rest", "m3", 1)]


def write(path, said, masks=True):
    rows = [
        {"Metadata_Plate": "P", "Metadata_Well": group, "Metadata_Site": 1, "Metadata_Tile": 1, **store.ROW_DEFAULTS,
         "Metadata_label": label, "ObjectNumber": number, "group": group}
        for number, (label, group, _) in enumerate(said, 1)
    ]  # fmt: skip
    store.write_rows(rows, path.with_suffix(".parquet"))
    with store.CropWriter(path, len(said), ["DNA"], (1, 6, 6), key="k", meta={"masks": masks}) as writer:
        for number, (_, _, middle) in enumerate(said):
            mask = np.zeros((2, 1, 6, 6), np.uint8)
            mask[:, 0, 3, 3 if middle else 4] = 1
            writer.write(number, np.zeros((1, 1, 6, 6)), mask)


def run(folder):
    own_crops_table.main(
        ["--crops", str(folder / "mine.tif"), "--tsv", str(folder / "t.tsv"), "--html", str(folder / "t.html")]
    )
    return store.read_table(folder / "t.tsv"), (folder / "t.html").read_text()


def test_classes_groups_and_middles_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(own_crops_table, "AT_ONCE", 2)
    write(tmp_path / "mine.tif", SAID)
    table, page = run(tmp_path)
    assert table.to_dict("list") == {
        "class": ["all", "01", "rest"], "crops": [5, 3, 2], "share": [1.0, 0.6, 0.4], "groups": [3, 2, 2],
        "groups_alone": [2, 1, 1], "off_the_middle": [1, 1, 0], "off_share": [0.2, 0.333333, 0.0],
    }  # fmt: skip
    assert "5 crops of 2 classes in 3 groups, 2 of which show one class alone" in page
    assert "the middle pixel of 1 crops (20.0%) lies beside the mask of their cell" in page


def test_without_masks_nothing_is_said_of_the_middle(tmp_path):
    write(tmp_path / "mine.tif", SAID, masks=False)
    assert "no masks were given, so that each crop counts as cell throughout" in run(tmp_path)[1]
