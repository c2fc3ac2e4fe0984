"""The strip of cells by the command, and which classes and cells it shows."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint.report.figures import translation_strip
from translated_images_fixture import CHANNELS, translated_folder  # noqa: F401


def words(folder, out, masks=True, **settings):
    chosen = {"label": "treatment", "channels": CHANNELS, "fields": 2, "dpi": 60, "pixel_size_um": 2.0, **settings}
    files = {"real": "images/real/P.tif", "fields": "fields/P.parquet", "translated": "images/arm/P.tif",
             "rows": "images/arm/P.parquet", **({"masks": "masks/real/P.tif"} if masks else {})}  # fmt: skip
    named = [word for name, path in files.items() for word in (f"--{name}", str(folder / path))]
    return ["--settings", json.dumps(chosen), *named, "--figure", str(out)]


def test_the_command_draws_three_rows_a_cell(folder, tmp_path):
    translation_strip.main(words(folder, tmp_path / "two.png"))
    translation_strip.main(words(folder, tmp_path / "one.png", fields=1, masks=False))
    two, one = (plt.imread(tmp_path / f"{name}.png") for name in ("two", "one"))
    assert two.shape[1] == one.shape[1] and two.shape[0] > 1.7 * one.shape[0]
    assert len(np.unique(two.reshape(-1, two.shape[-1]), axis=0)) > 100


def known(*names):
    rows = [(name, name.partition("@")[0], float(name.partition("@")[2].removesuffix("uM") or "nan")) for name in names]
    return pd.DataFrame(rows, columns=["class", "Metadata_perturbation", "Metadata_dose"])


def test_the_doses_of_one_compound_are_shown_lowest_first():
    names = ["a@3uM", "b@10uM", "b@1uM", "b@2uM", "DMSO_twin", "c"]
    assert translation_strip.shown_targets(names, known(*names)) == ["b@1uM", "b@2uM", "b@10uM"]
    assert translation_strip.shown_targets(["x", "y"], known("x", "y")) == ["x", "y"]
    many = [f"a@{dose}uM" for dose in range(1, 21)]
    chosen = translation_strip.shown_targets(many, known(*many))
    assert len(chosen) == 8 and chosen[0] == "a@1uM" and chosen[-1] == "a@20uM"


def test_the_cell_nearest_to_the_middle_lies_wholly_in_the_field():
    labels = np.zeros((40, 60), np.uint16)
    labels[0:4, 0:4], labels[30:36, 40:46] = 1, 7
    images = np.zeros((2, 40, 60))
    assert translation_strip.cell_corner(images, labels, 20) == (20, 32)
    images[:, 5:15, 5:15] = 1
    assert translation_strip.cell_corner(images, None, 10) == (5, 5)
    assert translation_strip.cell_corner(images, np.zeros_like(labels), 10) == (5, 5)
