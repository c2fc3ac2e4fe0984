"""The confusion matrices of zero-shot classes: one panel a classifier, true classes in rows."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.profiles import zero_shot
from brightpaint.report.figures import zero_shot_figure


def test_each_classifier_has_a_matrix_whose_rows_are_the_true_classes(tmp_path):
    labels = np.array([0, 0, 0, 1])
    tables = [
        zero_shot.confusion(labels, np.array([0, 0, 1, 1]), ["10", "2"], name)
        for name in (zero_shot.SVM, zero_shot.NEIGHBOUR)
    ]
    row = {"metric": "balanced_accuracy", "value": 0.83, "low": 0.5, "high": 0.9, "null": 0.5, "p": 0.1, "wells": 4,
           "protocol": "strict", "seen_by": ""}  # fmt: skip
    told = pd.DataFrame([{**row, "classifier": name} for name in (zero_shot.SVM, zero_shot.NEIGHBOUR)])
    figure = zero_shot_figure.zero_shot_figure(pd.concat(tables), told, arm="real", space="x", name="lines")
    first = figure.axes[0]
    assert np.allclose(first.images[0].get_array(), [[2 / 3, 1 / 3], [0, 1]])
    assert [label.get_text() for label in first.get_yticklabels()] == ["10", "2"]
    assert first.get_title() == "linear SVM: balanced accuracy 0.83\n(0.50 to 0.90; shuffled 0.50, p 0.1)"
    store.write_table(store.as_text(pd.concat(tables)), tmp_path / "c.tsv")  # classes that look like numbers stay names
    store.write_table(store.as_text(told), tmp_path / "a.tsv")
    zero_shot_figure.main(["--settings", json.dumps({"dpi": 50}), "--name", "lines", "--space", "dino", "--arm", "real",
                           "--confusion", str(tmp_path / "c.tsv"), "--accuracy", str(tmp_path / "a.tsv"), "--figure",
                           str(tmp_path / "x.png")])  # fmt: skip
    assert (tmp_path / "x.png").stat().st_size > 1000
