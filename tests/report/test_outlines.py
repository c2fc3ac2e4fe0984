"""Outlines are drawn where the objects are, on the right field, and say how many there are."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from test_montage import CHANNELS, SETTINGS, field_table, write

from brightpaint import store
from brightpaint.report.figures import outlines


def write_masks(folder, name, rows=None):
    """Field n (by its well) has n nuclei in a row, each 4 px wide, in cells of 6 px."""
    table = field_table() if rows is None else field_table().iloc[rows]
    images = []
    for well in table["Metadata_Well"]:
        labels = np.zeros((2, 32, 32), np.uint16)
        for number in range(1, int(well[1:]) + 1):
            labels[0, 10:14, 5 * number - 4 : 5 * number] = number
            labels[1, 9:15, 5 * number - 5 : 5 * number] = number
        images.append(labels)
    store.write_masks(folder / f"{name}.masks.tif", table, images, ("Nuclei", "Cells"), (32, 32))


def draw(folder, name="o.png", settings=SETTINGS):
    words = ["--settings", json.dumps(settings), "--real", folder / "real.tif", "--fields", folder / "real.parquet"]
    words += ["--real-masks", folder / "real.masks.tif", "--arms", "one", "--predicted", folder / "one.tif"]
    outlines.main([str(word) for word in [*words, "--masks", folder / "one.masks.tif", "--figure", folder / name]])
    return folder / name


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "real", CHANNELS["input"] + CHANNELS["target"])
    write(tmp_path, "one", CHANNELS["target"], rows=[4, 2, 1, 0], seed=1)
    write_masks(tmp_path, "real")
    write_masks(tmp_path, "one", rows=[0, 4, 1, 2])
    return tmp_path


def test_an_outline_is_the_rim_of_its_object_in_its_colour():
    labels = np.zeros((9, 9), np.uint16)
    labels[2:7, 2:7] = 3
    painted = outlines.outlined(np.full((9, 9), 5.0), (0, 10), {"Nuclei": labels})
    assert np.allclose(painted[4, 4], 0.5) and np.allclose(painted[0, 0], 0.5)
    assert np.allclose(painted[2, 2], painted[6, 4]) and not np.allclose(painted[2, 2], 0.5)
    rim = (painted != 0.5).any(axis=2)
    assert rim.sum() == 16 and (labels[rim] == 3).all()


def test_the_middle_of_a_large_field_is_shown():
    image = np.arange(400 * 500).reshape(400, 500)
    assert outlines.middle(image).shape == (320, 320) and outlines.middle(image)[0, 0] == image[40, 90]
    assert outlines.middle(image, 600) is not image and outlines.middle(image, 600).shape == (400, 500)


def test_the_note_counts_nuclei_and_compares_with_the_real_ones():
    labels = np.zeros((9, 9), np.uint16)
    labels[2:5, 2:5] = 1
    one = {"Nuclei": labels}
    assert outlines.panel_note(one, None) == "1 nucleus" and outlines.panel_note(one, one) == "1 nucleus, F1 1.00"
    assert outlines.panel_note({"Nuclei": labels * 0}, one) == "0 nuclei, F1 0.00"


def test_cells_are_drawn_over_agp_else_rna_else_not_at_all():
    assert outlines.stains_shown(["RNA", "AGP", "DNA"]) == ["DNA", "AGP"]
    assert outlines.stains_shown(["DNA", "RNA"]) == ["DNA", "RNA"] and outlines.stains_shown(["X"]) == ["X"]


def test_fields_are_found_by_key_in_stacks_and_masks(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(outlines, "outline_figure", lambda fields, stains, dpi: seen.extend(fields) or plt.figure())
    draw(folder)
    assert [field["heading"].split(",")[0] for field in seen] == ["A02", "A05"]
    for field, wanted in zip(seen, (2, 5)):
        assert [source["labels"]["Nuclei"].max() for source in field["sources"].values()] == [wanted, wanted]


def test_the_figure_is_the_same_every_time_and_names_what_it_shows(folder):
    path = draw(folder)
    assert draw(folder, "again.png").read_bytes() == path.read_bytes()
    assert plt.imread(path).shape[0] > 300


def test_masks_without_a_shown_field_are_refused(folder):
    write_masks(folder, "one", rows=[0])
    with pytest.raises(ValueError, match="one.masks.tif: plate P, well A02.* is not in it"):
        draw(folder)
