"""Overlap of label images: known answers, a naive reference, chance and floor, joins by key."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.scores.cells import object_overlap as overlap


def discs(centres, radius=5, size=64):
    """Draw labelled discs, numbered from 1."""
    yy, xx = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.uint16)
    for number, (y, x) in enumerate(centres, 1):
        labels[np.hypot(yy - y, xx - x) <= radius] = number
    return labels


def random_discs(seed, count=6):
    places = np.random.default_rng(seed).permutation([(y, x) for y in range(8, 64, 16) for x in range(8, 64, 16)])
    return discs(places[:count])


def naive(real, painted):
    """The same by loops over objects and pixels' sets."""
    sets = [[set(np.flatnonzero(labels == k)) for k in np.unique(labels) if k] for labels in (real, painted)]
    table = [[len(a & b) / len(a | b) for b in sets[1]] for a in sets[0]]
    matches = sum(value > 0.5 for row in table for value in row)
    both = len(set().union(*sets[0]) & set().union(*sets[1]))
    total = sum(map(len, sets[0])) + sum(map(len, sets[1]))
    best = [max(row, default=0) for row in table]
    return {"f1": 2 * matches / (len(sets[0]) + len(sets[1])), "dice": 2 * both / total,
            "iou": sum(best) / len(best) if best else np.nan}  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_overlap_is_what_loops_over_pixels_find(seed):
    real = random_discs(seed)
    painted = np.roll(real, seed, axis=1)  # what wraps round is one object in two pieces
    painted[painted == 3] = 0
    painted[painted == 2] = 900  # numbers may have gaps
    assert overlap.overlap(real, painted) == pytest.approx(naive(real, painted), nan_ok=True)


def test_known_answers():
    real = discs([(10, 10), (40, 40)])
    assert overlap.overlap(real, real) == {"f1": 1, "dice": 1, "iou": 1}
    assert overlap.overlap(real, real * 7 % 5) == {"f1": 1, "dice": 1, "iou": 1}  # other numbers, same objects
    assert overlap.overlap(real, np.where(real == 1, 1, 0)) == pytest.approx({"f1": 2 / 3, "dice": 2 / 3, "iou": 0.5})
    assert overlap.overlap(real, np.zeros_like(real)) == {"f1": 0, "dice": 0, "iou": 0}
    merged = overlap.overlap(real, (real > 0).astype(np.uint16))  # all pixels right, no object
    assert merged["dice"] == 1 and merged["f1"] == 0 and merged["iou"] == pytest.approx(0.5)
    invented = overlap.overlap(np.zeros_like(real), real)
    assert invented["f1"] == 0 and invented["dice"] == 0 and np.isnan(invented["iou"])
    assert all(np.isnan(value) for value in overlap.overlap(np.zeros_like(real), np.zeros_like(real)).values())


def test_an_iou_of_one_half_is_no_match_and_no_object_matches_twice():
    real, halves = np.zeros((4, 8), np.uint16), np.zeros((4, 8), np.uint16)
    real[:], halves[:, :4], halves[:, 4:] = 1, 1, 2
    assert overlap.overlap(real, halves)["f1"] == 0 and overlap.overlap(real, halves)["iou"] == 0.5


@pytest.mark.parametrize("metric", ["f1", "iou", "dice"])
def test_overlap_worsens_with_the_shift(metric):
    real = discs([(16, 16), (16, 48), (48, 16), (48, 48)])
    found = [overlap.overlap(real, np.roll(real, shift, axis=0))[metric] for shift in (0, 2, 4, 8)]
    assert found == sorted(found, reverse=True) and found[0] == 1 and found[-1] < 0.3


def test_images_of_unlike_size_are_refused():
    with pytest.raises(ValueError, match=r"\(8, 8\) and \(8, 9\) pixels"):
        overlap.overlap(np.zeros((8, 8), int), np.zeros((8, 9), int))


def test_partners_lie_in_other_wells():
    wells = np.repeat(["A01", "A02", "A03"], [3, 1, 2])
    drawn = overlap.partners(wells, 50, np.random.default_rng(0))
    assert (wells[drawn] != wells[:, None]).all() and len(np.unique(drawn)) == 6
    assert (overlap.partners(np.array(["A01", "A01"]), 3, np.random.default_rng(0)) == -1).all()


# --- a plate ---


def write(path, fields, nuclei, cells=None):
    pairs = [np.stack([a, b]) for a, b in zip(nuclei, cells or nuclei)]
    shape = pairs[0].shape[1:] if pairs else (1, 1)
    store.write_masks(path, fields, pairs, ("Nuclei", "Cells"), shape)
    return path


def plate(n=12):
    wells = [f"A{1 + k // 2:02d}" for k in range(n)]
    keys = pd.DataFrame({"Metadata_Plate": "P1", "Metadata_Well": wells,
                         "Metadata_Site": [1 + k % 2 for k in range(n)], "Metadata_Tile": 1})  # fmt: skip
    return keys.assign(Metadata_perturbation=[f"c{k // 2}" for k in range(n)], Metadata_target="t")


def value(rows, metric, subset="full", column="value"):
    (found,) = [row[column] for row in rows if row["metric"] == metric and row["subset"] == subset]
    return found


def test_a_copy_is_whole_in_any_order_and_swapped_wells_are_at_chance(tmp_path):
    fields = plate()
    labels = [random_discs(seed) for seed in range(len(fields))]
    real = write(tmp_path / "real.tif", fields, labels)
    order = np.random.default_rng(0).permutation(len(fields))
    copy = write(tmp_path / "copy.tif", fields.iloc[order], [labels[k] for k in order])
    rows, by_field = overlap.plate_overlaps("P1", "copy", real, copy, fields, {"c0", "c1"})
    for metric in overlap.names():
        assert value(rows, metric) == value(rows, metric, "active") == 1
        assert value(rows, metric, column="null") < value(rows, metric, column="null_bound") < 0.6
        assert abs(value(rows, metric, column="floor") - value(rows, metric, column="null")) < 0.15
    assert value(rows, "nuclei_f1", column="n") == 12 and value(rows, "nuclei_f1", "active", "n") == 4
    assert len(by_field) == 12 and (by_field["nuclei_dice"] == 1).all()
    swapped = write(tmp_path / "swapped.tif", fields, labels[2:] + labels[:2])
    rows, _ = overlap.plate_overlaps("P1", "swapped", real, swapped, fields, None)
    assert abs(value(rows, "nuclei_f1") - value(rows, "nuclei_f1", column="null")) < 0.15
    again, _ = overlap.plate_overlaps("P1", "swapped", real, swapped, fields, None)
    assert rows == again


def test_intervals_hold_the_value_and_widen_with_the_spread_over_wells(tmp_path):
    fields, labels = plate(), [random_discs(seed) for seed in range(12)]
    painted = [np.roll(image, k // 2, axis=0) for k, image in enumerate(labels)]  # each well shifted further
    real, shifted = write(tmp_path / "r.tif", fields, labels), write(tmp_path / "p.tif", fields, painted)
    rows, _ = overlap.plate_overlaps("P1", "p", real, shifted, fields, None)
    assert (
        value(rows, "nuclei_iou", column="low") < value(rows, "nuclei_iou") < value(rows, "nuclei_iou", column="high")
    )


def test_empty_fields_are_left_out_and_counted_and_one_well_has_no_chance(tmp_path):
    fields, empty = plate(4), np.zeros((64, 64), np.uint16)
    labels = [random_discs(0), empty, random_discs(2), random_discs(3)]
    real, painted = write(tmp_path / "r.tif", fields, labels), write(tmp_path / "p.tif", fields, labels)
    rows, by_field = overlap.plate_overlaps("P1", "p", real, painted, fields, None)
    assert value(rows, "nuclei_f1", column="n") == 3 and by_field["nuclei_f1"].isna().tolist() == [
        False,
        True,
        False,
        False,
    ]
    one = fields.assign(Metadata_Well="A01", Metadata_Site=range(1, 5))
    real, painted = write(tmp_path / "r.tif", one, labels), write(tmp_path / "p.tif", one, labels)
    rows, _ = overlap.plate_overlaps("P1", "p", real, painted, one, None)
    assert value(rows, "nuclei_f1") == 1 and "null" not in rows[0]


def test_foreign_fields_and_other_sizes_are_errors(tmp_path):
    fields, labels = plate(4), [random_discs(seed) for seed in range(4)]
    real = write(tmp_path / "r.tif", fields, labels)
    foreign = write(tmp_path / "f.tif", fields.assign(Metadata_Site=9, Metadata_Tile=range(4)), labels)
    with pytest.raises(ValueError, match="arm, masks: plate P1, well A01, site 9.* is predicted but not among"):
        overlap.plate_overlaps("P1", "arm", real, foreign, fields, None)
    small = write(tmp_path / "s.tif", fields, [image[:32] for image in labels])
    with pytest.raises(ValueError, match=r"labels of \(32, 64\) pixels, expected \(64, 64\)"):
        overlap.plate_overlaps("P1", "arm", real, small, fields, None)
