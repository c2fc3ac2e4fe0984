"""Quality: each measure's known answer, and a stack of which only the kept fields are shown."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from brightpaint import store
from brightpaint.plates import quality
from plates_fixture import raw_image
from quality_fixture import CHANNELS, measured, measured_plate  # noqa: F401


def test_counts_measures_equal_naive_ones():
    image = raw_image("a")
    found = quality.counts_measures(image)
    assert found["lowest"] == image.min() and found["highest"] == image.max()
    assert found["mean"] == pytest.approx(image.mean()) and found["sd"] == pytest.approx(image.std())
    assert found["background"] == np.sort(image, axis=None)[int(np.ceil(0.05 * image.size)) - 1]
    assert found["maximal"] == (image == image.max()).mean()


def test_the_slope_is_0_for_white_noise_and_minus_2_for_noise_of_that_spectrum():
    rng = np.random.default_rng(0)
    white = rng.normal(1000, 50, (256, 250))
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(250)[None])
    frequency[0, 0] = 1
    pink = np.fft.irfft2(np.fft.rfft2(white - 1000) / frequency, s=(256, 250))
    assert quality.spectral_slope(white) == pytest.approx(0, abs=0.05)
    assert quality.spectral_slope(pink) == pytest.approx(-2, abs=0.05)
    assert np.isnan(quality.spectral_slope(np.full((64, 64), 5)))


def test_blur_makes_the_slope_steeper():
    image = raw_image("a", (128, 128)).astype(float)
    slopes = [quality.spectral_slope(ndimage.gaussian_filter(image, sd)) for sd in (0, 1, 2)]
    assert slopes[0] > slopes[1] + 0.5 and slopes[1] > slopes[2] + 0.5


def test_neighbours_of_noise_are_unrelated():
    rng = np.random.default_rng(0)
    assert abs(quality.neighbour_correlation(rng.poisson(100, (256, 256)))) < 0.02
    assert quality.neighbour_correlation(raw_image("a")) > 0.5
    assert np.isnan(quality.neighbour_correlation(np.full((9, 9), 7)))


def test_the_digest_is_of_pixels_not_of_files(tmp_path):
    image = raw_image("a")
    tifffile.imwrite(tmp_path / "plain.tif", image)
    tifffile.imwrite(tmp_path / "packed.tif", image, compression="zlib", description="another file")
    digests = {quality.pixel_digest(store.read_raw(tmp_path / name)) for name in ("plain.tif", "packed.tif")}
    assert len(digests) == 1 and quality.pixel_digest(image.reshape(24, 96)) not in digests


def test_workers_change_nothing_and_the_command_writes_the_same(plate, tmp_path):
    folder, index, measures = plate
    pd.testing.assert_frame_equal(measured(index, folder, CHANNELS, workers=3), measures)
    store.write_table(index, tmp_path / "index.parquet")
    quality.main(["--settings", json.dumps({"channels": CHANNELS}), "--workers", "2", "--index",
                  str(tmp_path / "index.parquet"), "--raw", str(folder), "--quality", str(tmp_path / "q.parquet")])  # fmt: skip
    pd.testing.assert_frame_equal(store.read_table(tmp_path / "q.parquet"), measures)


def test_a_truncated_image_and_a_missing_channel_are_named(plate, tmp_path):
    folder, index, _ = plate
    for name in index["file"]:
        (tmp_path / name).symlink_to(folder / name)
    bad = tmp_path / "B02_RNA.tif"
    data = bad.read_bytes()[:900]
    bad.unlink()
    bad.write_bytes(data)
    with pytest.raises(
        ValueError, match=r"B02_RNA.tif \(plate P1, well B02, site 1, channel RNA\): .*truncated at 900"
    ):
        measured(index, tmp_path, CHANNELS)
    with pytest.raises(
        ValueError, match="plate P1, well A01, site 1: channel Mito is missing; run the rule index again"
    ):
        measured(index, folder, [*CHANNELS, "Mito"])


def test_a_selected_stack_shows_the_kept_fields_in_their_order(tmp_path):
    images = np.arange(5 * 2 * 4 * 4).reshape(5, 2, 4, 4).astype(np.float16)
    with store.StackWriter(tmp_path / "s.tif", images.shape, ["DNA", "RNA"], key="k") as writer:
        for n, image in enumerate(images):
            writer.write(n, image)
    whole = store.open_stack(tmp_path / "s.tif")
    chosen = whole.select(pd.DataFrame({"stack_row": [0, 3, 4]}))
    assert len(chosen) == 3 and chosen.images.shape == (3, 2, 4, 4) and chosen.channels == whole.channels
    np.testing.assert_array_equal(chosen.images[1], images[3])
    np.testing.assert_array_equal(chosen.images[2, 1][1:, 2:], images[4, 1, 1:, 2:])
    np.testing.assert_array_equal(np.stack(list(chosen.images)), images[[0, 3, 4]])
    assert whole.select(pd.DataFrame({"stack_row": range(5)})) is whole
    assert whole.select(pd.DataFrame({"Metadata_Well": ["A01"]})) is whole
    with pytest.raises(ValueError, match="5 fields, but the field table names row 7 .*; delete both and rerun"):
        whole.select(pd.DataFrame({"stack_row": [0, 7]}))
