"""Cells with their maps: best, typical and worst of each class by their lift, found by key; the histogram's line is the area."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brightpaint import store
from brightpaint.report.figures import gradcamo_figure
from cells_fixture import learnt


def cells_of(trained) -> pd.DataFrame:
    tables = [store.open_crops(path).table() for path in sorted(trained.glob("P?.tif"))]
    cells = pd.concat(tables, ignore_index=True).assign(tested=1)
    rng = np.random.default_rng(0)
    cells = cells.assign(
        **{"class": cells["Metadata_perturbation"], "area": 0.25, "camo": rng.uniform(0, 1, len(cells))}
    )
    return cells.assign(lift=cells["camo"] / 0.25)


def test_the_best_the_typical_and_the_worst_of_each_class_are_shown():
    cells = pd.DataFrame(
        {"class": list("aaaaabbb"), "lift": [3, 1, 5, 2, 4, 0.5, np.nan, np.nan], "camo": 0.1, "area": 0.2}
    )
    picked = gradcamo_figure.pick_cells(cells).set_index(["class", "place"])["lift"]
    assert picked["a"].to_dict() == {"best": 5, "typical": 3, "worst": 1} and set(picked["b"]) == {0.5}
    many = pd.DataFrame({"class": [f"c{n:02d}" for n in range(30)], "lift": np.arange(30.0)})
    assert gradcamo_figure.shown_classes(many)[0] == "c00" and gradcamo_figure.shown_classes(many)[-1] == "c29"
    assert len(gradcamo_figure.shown_classes(many)) == 8
    figure = gradcamo_figure.scores_figure(cells, "real")
    line = figure.axes[0].lines[0]
    assert line.get_xdata()[0] == pytest.approx(0.2) and "25% without a map" not in figure.axes[0].get_title()
    assert "47% of profiles" in figure.get_suptitle() and "30% by more than half" in figure.get_suptitle()


def test_the_command_draws_both_figures_twice_the_same(tmp_path):
    trained = learnt()
    store.write_table(cells_of(trained).sample(frac=1, random_state=1), tmp_path / "cells.parquet")
    words = ["--settings", json.dumps({"dpi": 60, "layer": 1}), "--device", "cpu", "--arm", "real"]
    words += ["--crops", *map(str, sorted(trained.glob("P?.tif"))), "--weights", str(trained / "weights.safetensors")]
    words += ["--scores", str(tmp_path / "cells.parquet")]
    made = []
    for number in (1, 2):
        paths = [tmp_path / f"{number}.{name}.png" for name in ("cells", "scores")]
        gradcamo_figure.main([*words, "--cells", str(paths[0]), "--histogram", str(paths[1])])
        made.append([path.read_bytes() for path in paths])
        assert all(np.asarray(Image.open(path).convert("L")).std() > 5 for path in paths)
    assert made[0] == made[1]


def test_where_no_cell_has_a_map_the_figures_say_so(tmp_path):
    trained = learnt()
    cells = cells_of(trained).assign(camo=np.nan, lift=np.nan)
    store.write_table(cells, tmp_path / "cells.parquet")
    words = ["--settings", json.dumps({"dpi": 60, "layer": 1}), "--device", "cpu", "--arm", "real", "--crops"]
    words += [*map(str, trained.glob("P?.tif")), "--weights", str(trained / "weights.safetensors"), "--scores"]
    gradcamo_figure.main([*words, str(tmp_path / "cells.parquet"), "--cells", str(tmp_path / "c.png"), "--histogram",
                          str(tmp_path / "h.png")])  # fmt: skip
    assert (tmp_path / "c.png").stat().st_size > 0
    figure = gradcamo_figure.scores_figure(cells, "real")
    assert "no map, 100% without a map" in figure.axes[0].get_title()


def test_a_score_without_its_crop_is_refused():
    cells = cells_of(learnt()).iloc[:3]
    keys = cells_of(learnt()).iloc[1:]
    with pytest.raises(
        ValueError, match="plate P1, well A01.* has a score and no crop; delete the scores and rerun gradcamo"
    ):
        gradcamo_figure.numbers_of(cells, keys)
    assert gradcamo_figure.numbers_of(cells.iloc[[2, 1]], keys).tolist() == [1, 0]
