"""Overlap of nuclei and cells by the command, with its table of single fields."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint import store
from scores_fixture import field_table, scored_folder, value  # noqa: F401


def test_overlap_is_scored_where_there_are_masks_and_stands_with_the_single_fields(folder):
    folder.predict("copy", lambda images: images)
    fields = field_table("P1")
    labels = np.zeros((len(fields), 2, 16, 16), np.uint16)
    for n, image in enumerate(labels):
        image[:, n : n + 4, 2:9] = 1
    for name in ("real", "painted"):
        store.write_masks(folder.root / f"{name}_masks.tif", fields, labels, ("Nuclei", "Cells"), (16, 16))
    given = {"real": folder.root / "real_masks.tif", "masks": folder.root / "painted_masks.tif"}
    given["fields"] = folder.root / "fields/P1.parquet"
    frame = folder.score("copy", objects=given)
    assert value(frame, "nuclei_f1") == value(frame, "cells_f1") == 1
    assert value(frame, "nuclei_f1", column="null") < value(frame, "nuclei_f1", column="null_bound") < 1
    single = store.read_table(folder.root / "metrics/copy.fields.parquet")
    assert (single["nuclei_dice"] == 1).all() and len(single) == 2 * len(fields)
    with pytest.raises(ValueError, match="--plates, --real, --masks and --fields must name as many plates each"):
        folder.score("copy", objects={**given, "real": [given["real"]] * 2})
