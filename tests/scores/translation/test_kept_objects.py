"""Nuclei kept, lost and new, and cells of a class beside the source's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.translation import kept_objects


def labels(*boxes, side=20):
    image = np.zeros((side, side), np.uint16)
    for number, (y, x, size) in enumerate(boxes, start=1):
        image[y : y + size, x : x + size] = number
    return image


def test_nuclei_are_kept_lost_or_new():
    source = labels((0, 0, 4), (10, 10, 4), (0, 14, 4))
    image = labels((0, 1, 4), (15, 0, 4))  # the first moved by a pixel (IoU 0.6), two are gone, one came
    assert kept_objects.kept_objects(source, image) == {"kept": 1, "lost": 2, "new": 1}
    assert kept_objects.kept_objects(source, labels()) == {"kept": 0, "lost": 3, "new": 0}
    assert kept_objects.kept_objects(labels(), labels()) == {"kept": 0, "lost": 0, "new": 0}
    assert kept_objects.pair_scores(source, source)["f1"] == 1


def fields(**columns):
    count = len(columns["kept"])
    rest = {name: [0.5] * count for name in ("f1", "dice", "iou")}
    return pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": ["A01", "A01", "A02"][:count], **columns, **rest})


def test_shares_are_of_all_source_nuclei_with_intervals_by_well():
    found = kept_objects.object_summary(fields(kept=[2, 0, 6], lost=[0, 2, 0], new=[1, 0, 0]), "seed")
    assert (found["kept"], found["lost"], found["new"]) == (0.8, 0.2, 0.1) and found["fields"] == 3
    assert found["kept_low"] == 0.5 and found["kept_high"] == 1 and found["f1"] == 0.5
    one = kept_objects.object_summary(fields(kept=[1], lost=[1], new=[0]), "seed")
    assert one["kept"] == 0.5 and np.isnan(one["kept_low"])
    none = kept_objects.object_summary(fields(kept=[0], lost=[0], new=[3]), "seed")
    assert np.isnan(none["kept"]) and np.isnan(none["new"])


def test_cells_of_a_class_are_a_share_of_the_sources():
    cells = lambda *counts: pd.DataFrame({"Metadata_Well": [f"A{n:02d}" for n in range(len(counts))],  # noqa: E731
                                          "Metadata_cells": counts})  # fmt: skip
    found = kept_objects.count_ratio(cells(2, 4), cells(12, 8, 10), "seed")
    assert found["ratio"] == pytest.approx(0.3) and found["low"] < 0.3 < found["high"]
    assert np.isnan(kept_objects.count_ratio(cells(2), cells(0), "seed")["ratio"])
    assert np.isnan(kept_objects.count_ratio(cells(), cells(3), "seed")["ratio"])
