"""Objects of a label image: their pixels, boxes and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from brightpaint.features.engine.objects import Objects


def test_pixels_and_boxes_are_those_of_a_plain_loop():
    labels = np.random.default_rng(0).integers(0, 9, (23, 31)).astype(np.int32)
    labels[labels == 4] = 0  # an object without a pixel
    objects = Objects(labels, 10)
    for number in range(1, 11):
        rows, columns = np.nonzero(labels == number)
        found = objects.pixels[objects.starts[number - 1] : objects.starts[number]]
        assert list(found) == list(rows * 31 + columns)
        expected = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1] if len(rows) else [0, 0, 0, 0]
        assert list(objects.boxes[number - 1]) == expected
    assert list(objects.areas) == [int((labels == number).sum()) for number in range(1, 11)]


def test_no_object_is_no_error():
    objects = Objects(np.zeros((4, 5), np.int32), 0)
    assert objects.pixels.size == 0 and list(objects.starts) == [0] and objects.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("labels", "count", "said"),
    [
        (np.zeros((4, 5), np.uint16), 0, r"expected labels of \(H, W\) int32, found \(4, 5\) uint16"),
        (np.full((4, 5), 3, np.int32), 2, "expected labels from 0 to 2, found 3 to 3"),
        (np.full((4, 5), -1, np.int32), 2, "expected labels from 0 to 2, found -1 to -1"),
    ],
)
def test_other_labels_are_refused(labels, count, said):
    with pytest.raises(ValueError, match=said):
        Objects(labels, count)
