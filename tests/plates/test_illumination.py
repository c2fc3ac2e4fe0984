"""Illumination: known answers, a naive median filter, and CellProfiler's own module on the same images."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.plates import illumination, prepare
from plates_fixture import CHANNELS, raw_image, rows_of

SETTINGS = {"method": "median", "size_px": 12, "channels": ["DNA"]}


def write_plate(folder: Path, images: list[np.ndarray], channel: str = "DNA") -> pd.DataFrame:
    """Write images as the fields of a plate; return its index."""
    rows = []
    for site, image in enumerate(images, start=1):
        name = f"A01_s{site}_{channel}.tif"
        store.write_raw(folder / name, image)
        rows.append(
            {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": site, "Channel": channel, "file": name}
        )
    return pd.DataFrame(rows)


def naive_median(counts: np.ndarray, radius: int) -> np.ndarray:
    """Rank median over a disk, the slow way: of an even number of pixels the upper middle one."""
    height, width = counts.shape
    y, x = np.mgrid[:height, :width]
    result = np.empty_like(counts)
    for i in range(height):
        for j in range(width):
            inside = np.sort(counts[(y - i) ** 2 + (x - j) ** 2 <= radius**2])
            result[i, j] = inside[len(inside) // 2]
    return result


def test_size_249_is_a_disk_of_radius_106():
    assert [illumination.filter_radius_px(size) for size in (249, 20, 64, 2)] == [106, 9, 27, 1]


def test_median_filter_equals_a_naive_one_borders_included():
    rng = np.random.default_rng(0)
    mean = rng.uniform(300, 900, (23, 31))
    np.testing.assert_array_equal(illumination.median_filter(mean, 4), naive_median(mean.astype(np.uint16), 4))


def test_median_filter_keeps_the_largest_counts():
    counts = np.full((9, 9), 65535.0)
    counts[:, :4] = 65000
    smooth = illumination.median_filter(counts, 1)
    assert smooth.dtype == np.uint16 and smooth.max() == 65535 and smooth.min() == 65000


def test_rescale_divides_by_the_second_percentile():
    counts = np.arange(1, 101, dtype=np.uint16).reshape(10, 10)
    function = illumination.rescale(counts)
    assert function.min() == 1 and function.dtype == np.float32
    assert function.max() == pytest.approx(100 / 3)  # sorted[int(100 * 0.02)] = 3


def test_rescale_ignores_black_when_it_looks_for_the_minimum():
    counts = np.zeros((10, 10), np.uint16)
    counts[5:] = 200
    np.testing.assert_array_equal(illumination.rescale(counts), 1)


def test_the_mean_is_exact_and_does_not_depend_on_order():
    images = [raw_image(str(n)) for n in range(7)]
    expected = np.sum(images, axis=0, dtype=np.int64) / 7
    np.testing.assert_array_equal(illumination.mean_image(images), expected)
    np.testing.assert_array_equal(illumination.mean_image(images[::-1]), expected)
    with pytest.raises(ValueError, match="no images"):
        illumination.mean_image([])


def test_a_flat_plate_with_vignetting_is_made_flat(tmp_path):
    y, x = np.mgrid[:64, :64]
    light = 1 - 0.5 * (((y - 31.5) / 64) ** 2 + ((x - 31.5) / 64) ** 2)
    rng = np.random.default_rng(1)
    images = [(4000 * light + rng.normal(0, 40, light.shape)).astype(np.uint16) for _ in range(16)]
    functions = illumination.illumination(rows_of(write_plate(tmp_path, images)), tmp_path, SETTINGS)
    corrected = np.mean(images, axis=0) / functions[0]
    before, after = np.mean(images, axis=0).std() / 4000, corrected.std() / corrected.mean()
    assert before > 0.03 and after < 0.01  # 10 counts of noise remain, and the border's median


def test_method_none_is_one_everywhere_at_the_raw_size(tmp_path):
    index = write_plate(tmp_path, [raw_image("a", (20, 30))])
    functions = illumination.illumination(rows_of(index), tmp_path, {**SETTINGS, "method": "none"})
    assert functions.shape == (1, 20, 30) and (functions == 1).all()


def test_jump_comes_back_to_the_exact_raw_size_at_least_1(tmp_path):
    index = write_plate(tmp_path, [raw_image(name, (99, 83)) for name in "abc"])
    (function,) = illumination.illumination(rows_of(index), tmp_path, {**SETTINGS, "method": "jump"})
    assert function.shape == (99, 83) and function.dtype == np.float32
    assert function.min() == 1 and 1.05 < function.max() < 20


def test_the_coarse_step_of_the_median_changes_nothing():
    rng = np.random.default_rng(0)
    mean = np.exp(rng.uniform(np.log(200), np.log(60000), (25, 33)))
    assert np.ptp(mean) > illumination.COARSE_COUNTS
    np.testing.assert_array_equal(illumination.median_filter(mean, 4), naive_median(mean.astype(np.uint16), 4))


def test_workers_change_no_byte(tmp_path):
    frames = [write_plate(tmp_path, [raw_image(f"{n}/{c}") for n in range(3)], c) for c in CHANNELS]
    settings = {**SETTINGS, "channels": CHANNELS}
    one, three = (illumination.illumination(rows_of(pd.concat(frames)), tmp_path, settings, workers=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def publish(folder: Path, function) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "DNA.npy", function)
    return folder


def test_published_functions_are_taken_as_they_are(tmp_path):
    function = 1 + np.random.default_rng(0).random((48, 48))
    index = write_plate(tmp_path, [raw_image("a")])
    store.write_table(index, tmp_path / "index.parquet")
    settings = json.dumps({**SETTINGS, "method": "published"})
    command = ["--settings", settings, "--index", str(tmp_path / "index.parquet"), "--raw", str(tmp_path),
               "--illumination", str(tmp_path / "light.tif")]  # fmt: skip
    with pytest.raises(ValueError, match="method published needs --published"):
        illumination.main(command)
    illumination.main([*command, "--published", str(publish(tmp_path / "illum", function))])
    np.testing.assert_array_equal(store.open_stack(tmp_path / "light.tif").images[0, 0], function.astype(np.float32))


PUBLISHED = {
    "another size": (np.ones((50, 48)), "expected 48 x 48 px as in the raw images, found 50 x 48"),
    "counts": (np.ones((48, 48), np.int32), "expected finite floating-point values, found int32"),
    "NaN": (np.full((48, 48), np.nan), "expected finite floating-point values, found values that are not finite"),
    "too small": (np.full((48, 48), 0.5), "expected values of at least 1, found 0.5"),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_an_unfit_published_function_names_file_plate_and_channel(tmp_path, kind):
    function, message = PUBLISHED[kind]
    folder = publish(tmp_path / "illum", function)
    message = rf"DNA.npy \(plate P1, channel DNA\): {message}; set illumination.method to median or jump"
    with pytest.raises(ValueError, match=message):
        illumination.published(folder, "P1", (48, 48), ["DNA"])


def test_a_published_function_that_is_absent_or_cut_short_is_named(tmp_path):
    folder = publish(tmp_path / "illum", np.ones((48, 48)))
    with pytest.raises(ValueError, match=r"RNA.npy \(plate P1, channel RNA\): expected a published illumination"):
        illumination.published(folder, "P1", (48, 48), ["RNA"])
    (folder / "DNA.npy").write_bytes((folder / "DNA.npy").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"DNA.npy \(plate P1, channel DNA\): expected a published illumination"):
        illumination.published(folder, "P1", (48, 48), ["DNA"])


def test_a_wrong_size_names_the_image(tmp_path):
    index = write_plate(tmp_path, [raw_image("a"), raw_image("b", (48, 40))])
    message = r"A01_s2_DNA.tif \(plate P1, well A01, site 2, channel DNA\): expected 48 x 48 px .* found 48 x 40; leave"
    with pytest.raises(ValueError, match=message):
        illumination.illumination(rows_of(index), tmp_path, SETTINGS)


def test_a_black_channel_names_plate_and_channel(tmp_path):
    index = write_plate(tmp_path, [np.zeros((48, 48), np.uint16)])
    with pytest.raises(
        ValueError, match="plate P1, channel DNA: the smoothed mean image is black; its images hold no light"
    ):
        illumination.illumination(rows_of(index), tmp_path, SETTINGS)


def test_a_channel_without_images_and_an_empty_index_are_errors(tmp_path):
    index = write_plate(tmp_path, [raw_image("a")])
    with pytest.raises(ValueError, match="no image of channel RNA"):
        illumination.illumination(rows_of(index), tmp_path, {**SETTINGS, "channels": ["RNA"]})
    with pytest.raises(ValueError, match="no rows"):
        illumination.illumination(rows_of(index[:0]), tmp_path, SETTINGS)


def test_a_truncated_image_is_an_error(tmp_path):
    index = write_plate(tmp_path, [raw_image("a")])
    path = tmp_path / index["file"][0]
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="truncated"):
        illumination.illumination(rows_of(index), tmp_path, SETTINGS)


def test_the_command_writes_a_stack_of_one_row_the_same_bytes_twice(tmp_path):
    frames = [write_plate(tmp_path, [raw_image(f"{n}/{c}") for n in range(3)], c) for c in CHANNELS]
    store.write_table(pd.concat(frames), tmp_path / "index.parquet")
    settings = json.dumps({"method": "median", "size_px": 12, "channels": CHANNELS})
    for name in ("one.tif", "two.tif"):
        illumination.main(["--settings", settings, "--index", str(tmp_path / "index.parquet"),
                           "--raw", str(tmp_path), "--illumination", str(tmp_path / name)])  # fmt: skip
    stack = store.open_stack(tmp_path / "one.tif")
    assert stack.images.shape == (1, 4, 48, 48) and stack.images.dtype == np.float32
    assert stack.channels == tuple(CHANNELS) and stack.meta["method"] == "median"
    assert stack.images.min() == 1 and stack.images.max() < 9
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "two.tif").read_bytes()


@pytest.fixture(scope="module")
def by_cellprofiler(tmp_path_factory, cellprofiler):
    """Five images, and what CellProfiler's CorrectIlluminationCalculate (size 64) and Resize (to 100 px) make of them."""
    folder = tmp_path_factory.mktemp("cellprofiler")
    images = [raw_image(f"field {n}", (250, 240)) for n in range(5)]
    index = write_plate(folder, images)
    rows = [f"{name},{folder},P1,A01,{site}" for site, name in enumerate(index["file"], start=1)]
    header = "FileName_OrigDNA,PathName_OrigDNA,Metadata_Plate,Metadata_Well,Metadata_Site"
    (folder / "load_data.csv").write_text("\n".join([header, *rows]) + "\n")
    pipeline = Path(__file__).parents[1] / "illumination.cppipe"
    command = [cellprofiler, "-c", "-r", "-p", pipeline, "--data-file", folder / "load_data.csv", "-o", folder / "out"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    resized = [folder / "out" / f"{Path(name).stem}_resized.npy" for name in index["file"]]
    assert done.returncode == 0 and all(path.exists() for path in resized), done.stderr[-3000:]
    return folder, index, images, np.load(folder / "out" / "IllumDNA.npy"), [np.load(path) for path in resized]


def largest_and_mean(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return the largest and the mean absolute difference, and print them for the record (pytest -s)."""
    difference = np.abs(ours - theirs)
    print(f"largest difference {difference.max():.3g}, mean {difference.mean():.3g}, of values up to {ours.max():.3g}")
    return float(difference.max()), float(difference.mean())


@pytest.mark.cellprofiler
@pytest.mark.slow
def test_illumination_is_cellprofilers(by_cellprofiler):
    folder, index, _, theirs, _ = by_cellprofiler
    ours = illumination.illumination(rows_of(index), folder, {**SETTINGS, "size_px": 64})[0]
    assert theirs.min() == 1 and theirs.shape == ours.shape
    smallest = illumination.median_filter(illumination.mean_image(by_cellprofiler[2]), 27).min()
    # CellProfiler's single-precision mean can fall one count lower; the robust minimum moves with it
    largest, mean = largest_and_mean(ours, theirs)
    assert largest <= 2 * ours.max() / smallest and mean < 0.5 * ours.max() / smallest


@pytest.mark.cellprofiler
@pytest.mark.slow
def test_resize_is_cellprofilers(by_cellprofiler):
    *_, images, _, resized = by_cellprofiler
    for image, theirs in zip(images, resized):
        ours = prepare.resize(image, 100)
        np.testing.assert_allclose(ours, theirs * 65535.0, rtol=1e-5, atol=0.01)


@pytest.mark.cellprofiler
@pytest.mark.slow
def test_method_jump_is_cellprofilers(by_cellprofiler):
    """Resize by 0.2, CorrectIlluminationCalculate of size 20, Resize by 5, on a size that 5 divides."""
    folder, index, images, *_ = by_cellprofiler
    theirs = np.load(folder / "out" / "JumpIllum.npy")
    ours = illumination.illumination(rows_of(index), folder, {**SETTINGS, "method": "jump"})[0]
    assert theirs.shape == ours.shape == (250, 240)
    small = illumination.median_filter(prepare.resize(illumination.mean_image(images), (50, 48)), 9)
    largest, mean = largest_and_mean(ours, theirs)
    # CellProfiler's single-precision mean can fall one count lower, as in method median
    assert largest <= 2 * ours.max() / small.min() and mean < 0.5 * ours.max() / small.min()


@pytest.mark.cellprofiler
@pytest.mark.slow
def test_a_pixel_size_is_the_middle_of_cellprofilers_resize(by_cellprofiler):
    """At 2.5 raw pixels a pixel, the 100 x 96 px that CellProfiler's Resize would give, less the border."""
    *_, images, _, resized = by_cellprofiler
    ours = prepare.resize(images[0], 100, factor=2.5)
    whole = prepare.resize(images[0], (100, 96))
    np.testing.assert_allclose(ours[:, 2:98], whole, atol=0.01)
    np.testing.assert_allclose(prepare.resize(images[0][:, :240], 100), resized[0] * 65535.0, rtol=1e-5, atol=0.01)
