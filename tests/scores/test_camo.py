"""Grad-CAMO: known maps on known masks, at a border, of a pixel, in 3D; means by class, with empty maps counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint.scores.cells.camo import camo_scores, camo_table


def disc(size=(1, 9, 9), radius=3.0, middle=None):
    z, y, x = np.indices(size)
    middle = middle or [(side - 1) / 2 for side in size]
    return (((z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2) <= radius**2).astype(np.uint8)


def scored(maps, masks):
    return camo_scores(np.asarray(maps, np.float32)[None], np.asarray(masks)[None]).iloc[0]


MASKS = {
    "2d": disc(),
    "3d": disc((5, 9, 9)),
    "at a border": disc(middle=(0, 0, 8)),  # the cell reaches beyond the field: what lies outside is no mask
    "one pixel": disc(radius=0.0),
    "everything": np.ones((1, 4, 4), np.uint8),
}


@pytest.mark.parametrize("name", MASKS)
def test_known_maps_have_known_scores(name):
    mask = MASKS[name]
    own, even, none = (
        scored(mask * 0.2, mask),
        scored(np.full(mask.shape, 7.0), mask),
        scored(np.zeros(mask.shape), mask),
    )
    assert own["camo"] == pytest.approx(1) and own["lift"] == pytest.approx(1 / mask.mean())
    assert even["camo"] == pytest.approx(mask.mean()) == even["area"] and even["lift"] == pytest.approx(1)
    assert np.isnan(none["camo"]) and np.isnan(none["lift"]) and none["area"] == pytest.approx(mask.mean())
    if name != "everything":
        outside = scored(1 - mask, mask)
        assert outside["camo"] == 0 == outside["lift"]


def test_what_is_negative_is_no_attention_and_no_scale_changes_a_score():
    mask, rng = disc(), np.random.default_rng(0)
    maps = rng.normal(0, 1, mask.shape)
    naive = sum(max(v, 0) * m for v, m in zip(maps.ravel(), mask.ravel())) / sum(max(v, 0) for v in maps.ravel())
    assert scored(maps, mask)["camo"] == pytest.approx(naive, rel=1e-5) == scored(1e-6 * maps, mask)["camo"]
    shifted = scored(np.maximum(maps, 0) + 1, mask)["camo"]  # so that scaling to 0 to 1, which shifts, would be seen
    assert shifted != pytest.approx(naive, rel=0.05)


def test_an_empty_mask_has_no_lift_and_a_network_that_answers_nan_is_refused():
    nothing = scored(np.ones((1, 4, 4)), np.zeros((1, 4, 4)))
    assert nothing["camo"] == 0 and nothing["area"] == 0 and np.isnan(nothing["lift"])
    maps = np.ones((3, 1, 4, 4))
    maps[1, 0, 2, 2] = np.nan
    with pytest.raises(ValueError, match="the map of crop 1 is not finite"):
        camo_scores(maps, np.ones(maps.shape))
    with pytest.raises(ValueError, match=r"maps of \(3, 1, 4, 4\) on masks of \(3, 1, 4, 5\)"):
        camo_scores(maps, np.ones((3, 1, 4, 5)))
    assert len(camo_scores(np.zeros((0, 1, 4, 4)), np.zeros((0, 1, 4, 4)))) == 0


def test_means_by_class_count_what_has_no_map():
    scores = pd.DataFrame({"camo": [0.8, 0.6, np.nan, 0.1, 0.3], "area": [0.2, 0.2, 0.4, 0.2, 0.2]})
    scores["lift"] = scores["camo"] / scores["area"]
    classes, wells = ["a", "a", "a", "b", "b"], ["A01", "A02", "A02", "B01", "B01"]
    table = pd.DataFrame(camo_table(scores, classes, wells, "test")).set_index(["class", "metric"])
    value = table["value"]
    assert value["a", "camo"] == pytest.approx(0.7) and value["a", "share_nan"] == pytest.approx(1 / 3)
    assert value["a", "area"] == pytest.approx(0.8 / 3) and value["a", "lift"] == pytest.approx(3.5)
    assert value["a", "above_half"] == 1 and value["b", "above_half"] == 0 and value["", "above_half"] == 0.5
    assert value["", "camo"] == pytest.approx(0.45) and value["", "share_nan"] == 0.2
    assert table.loc[("a", "camo"), ["cells", "wells"]].tolist() == [3, 2]
    assert table.loc[("a", "camo"), "low"] == pytest.approx(0.6) and table.loc[("a", "camo"), "high"] == pytest.approx(
        0.8
    )
    assert np.isnan(table.loc[("b", "camo"), "low"])  # one well says nothing of others
    empty = pd.DataFrame(camo_table(scores.iloc[[2]], ["a"], ["A02"])).set_index(["class", "metric"])
    assert np.isnan(empty.loc[("a", "camo"), "value"]) and empty.loc[("a", "share_nan"), "value"] == 1
    with pytest.raises(ValueError, match="5 scores, 4 classes and 5 wells"):
        list(camo_table(scores, classes[:4], wells))
