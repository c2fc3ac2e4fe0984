"""Random batches of crops: each crop once an epoch, the same whatever the batch, all eight orientations, as a naive way gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_crop_stacks import write

from brightpaint import store


def source_of(folder, counts=(7, 5), size=(2, 6, 6), channels=("DNA", "RNA"), **options):
    folder.mkdir(exist_ok=True)
    rng, crops = np.random.default_rng(1), []
    for number, count in enumerate(counts):
        images = rng.normal(0, 1, (count, len(channels), *size)).astype(np.float16)
        masks = rng.integers(0, 2, (count, 2, *size)).astype(np.uint8)
        crops.append(store.open_crops(write(folder / f"P{number}.tif", images, masks, channels)))
    return store.CropBatches(crops, **options), crops


def naive(image: np.ndarray) -> list[bytes]:
    """The eight orientations of a crop as bytes, by NumPy's own flips and turns."""
    turned = [np.rot90(image, quarter, axes=(-2, -1)) for quarter in range(4)]
    return [one.astype(np.float32).tobytes() for one in turned + [np.flip(each, -1) for each in turned]]


def test_every_crop_comes_once_an_epoch_with_its_own_masks(tmp_path):
    source, crops = source_of(tmp_path)
    images, masks, numbers = source.batch(3, 0, 24)
    assert images.dtype == masks.dtype == np.float32 and images.shape == (24, 2, 2, 6, 6)
    assert sorted(numbers[:12]) == sorted(numbers[12:]) == list(range(12)) and list(numbers[:12]) != list(range(12))
    stored = [np.concatenate([one.images for one in crops]), np.concatenate([one.masks for one in crops])]
    for image, mask, number in zip(images, masks, numbers):
        assert naive(stored[0][number]).index(image.tobytes()) == naive(stored[1][number]).index(mask.tobytes())


def test_all_eight_orientations_come_alike_often(tmp_path):
    source, crops = source_of(tmp_path, counts=(1,))
    images, _, _ = source.batch(0, 0, 800)
    seen = [naive(crops[0].images[0]).index(image.tobytes()) for image in images]
    counts = np.bincount(seen, minlength=8)
    assert counts.min() > 70 and counts.max() < 135  # 100 each, 9.4 s.d.


def test_neither_batch_size_nor_share_changes_a_crop(tmp_path):
    source, _ = source_of(tmp_path, brightness=0.3)
    whole = source.batch(5, 0, 30)
    for first, count in itertools.pairwise((0, 1, 8, 20, 30)):
        for some, all_ in zip(source.batch(5, first, count - first), whole):
            assert (some == all_[first:count]).all()
    for some, all_ in zip(source.batch(5, 0, 30, slice(1, 30, 2)), whole):
        assert (some == all_[1::2]).all()
    assert (source.batch(6, 0, 30)[2] != whole[2]).any()


def test_brightness_changes_each_channel_by_a_line_within_its_bounds(tmp_path):
    plain, _ = source_of(tmp_path / "a", augment=False)
    bright, _ = source_of(tmp_path / "a", augment=False, brightness=0.25)
    for before, after in zip(plain.batch(0, 0, 12)[0].reshape(24, -1), bright.batch(0, 0, 12)[0].reshape(24, -1)):
        gain, shift = np.polyfit(before, after, 1)
        assert abs(gain - 1) < 0.2501 and abs(shift) < 0.2501 and np.allclose(gain * before + shift, after, atol=1e-5)


def test_channels_are_taken_by_name_and_rows_by_number(tmp_path):
    source, crops = source_of(tmp_path, augment=False, channels=("DNA", "RNA"), rows=[8, 2])
    images, _, numbers = source.batch(0, 0, 2)
    assert sorted(numbers) == [2, 8] and len(source) == 2
    chosen = store.CropBatches(crops, channels=["RNA"], rows=[8], augment=False).batch(0, 0, 1)[0]
    assert (chosen[0, 0] == crops[1].images[1, 1]).all()


def test_crops_that_are_not_square_are_flipped_and_not_turned(tmp_path):
    source, crops = source_of(tmp_path, counts=(1,), size=(1, 4, 6))
    images, _, _ = source.batch(0, 0, 64)
    image = crops[0].images[0].astype(np.float32)
    flips = {np.flip(image, axes).tobytes() for axes in ((), (-1,), (-2,), (-1, -2))}
    assert {one.tobytes() for one in images} == flips


def test_crops_that_are_not_alike_and_no_crops_are_refused(tmp_path):
    _, crops = source_of(tmp_path / "a")
    _, others = source_of(tmp_path / "b", size=(2, 8, 8))
    with pytest.raises(ValueError, match=r"b/P0.tif: crops of \(2, 8, 8\) where .*a/P0.tif has \(2, 6, 6\) \(D"):
        store.CropBatches([*crops, *others])
    with pytest.raises(ValueError, match=r"P0.tif: channels \['ER'\] are missing; it holds \['DNA', 'RNA'\]"):
        store.CropBatches(crops, channels=["ER"])
    with pytest.raises(ValueError, match="there are no crops to draw from"):
        store.CropBatches(crops, rows=[])
    with pytest.raises(ValueError, match="rows 3 to 12 of 12 crops"):
        store.CropBatches(crops, rows=[3, 12])
