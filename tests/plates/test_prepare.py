"""Prepare: tiles, resize, normalisation and its inverse, the command, its errors, and a run that was killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.base import intensity
from brightpaint.plates import fetch, illumination, index, prepare
from brightpaint.plates.fields import fields_of
from brightpaint.scores.images.pixels import local_sd
from brightpaint.study.annotations import ANNOTATIONS, REQUIRED
from conftest import ROOT
from plates_fixture import CHANNELS, WELLS, index_settings, raw_image, rows_of, source, write_gallery

SETTINGS = {"size_px": 32, "grid": [1, 1], "cutoff": 15, "region": None, "channels": CHANNELS,
            "pixel_size_um": None, "normalise": "image"}  # fmt: skip


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    """A plate of 8 fields, fetched, with its illumination functions: a folder with index, raw and light."""
    folder = tmp_path_factory.mktemp("plate")
    write_gallery(folder / "mirror")
    table, _ = index.index_plate(index_settings(folder / "mirror"))
    store.write_table(table, folder / "index.parquet")
    fetch.fetch(rows_of(table), source(folder / "mirror"), folder / "raw", workers=2)
    illumination.main(
        ["--settings", json.dumps({"method": "median", "size_px": 20, "channels": CHANNELS}),
         "--index", str(folder / "index.parquet"), "--raw", str(folder / "raw"),
         "--illumination", str(folder / "light.tif")]
    )  # fmt: skip
    return folder


def arguments(plate, out, **changes) -> list[str]:
    return [
        "--settings", json.dumps({**SETTINGS, **changes}), "--index", str(plate / "index.parquet"),
        "--raw", str(plate / "raw"), "--illumination", str(plate / "light.tif"),
        "--stack", str(out / "P1.tif"), "--fields", str(out / "P1.parquet"),
    ]  # fmt: skip


# --- pure functions ---


def test_tiles_are_equal_and_leave_the_remainder_out():
    boxes = [prepare.tile_box((101, 99), [2, 2], tile) for tile in (1, 2, 3, 4)]
    assert boxes == [(0, 0, 50, 49), (0, 49, 50, 49), (50, 0, 50, 49), (50, 49, 50, 49)]
    assert prepare.tile_box((101, 99), [1, 1], 1) == (0, 0, 101, 99)
    with pytest.raises(ValueError, match="tile 5: a field of 101 x 99 px has no such tile of 2 x 2"):
        prepare.tile_box((101, 99), [2, 2], 5)


def test_resize_keeps_a_ramp_a_constant_and_the_same_size():
    y, x = np.mgrid[:64, :64].astype(float)
    small = prepare.resize(3 * x + y, 32)
    rows, columns = np.mgrid[:32, :32] * 2 + 0.5  # pixel centres
    np.testing.assert_allclose(small[4:-4, 4:-4], (3 * columns + rows)[4:-4, 4:-4], rtol=1e-6)
    np.testing.assert_allclose(prepare.resize(np.full((50, 50), 7.0), 33), 7, rtol=1e-6)
    np.testing.assert_array_equal(prepare.resize(x, 64), x)
    assert prepare.resize(x, 96).shape == (96, 96)


def test_resize_does_not_alias():
    """Stripes finer than the small image can show must fade, not turn into broad false ones."""
    x = np.arange(96)
    stripes = np.tile(np.where(x % 2, 100.0, 0.0), (96, 1))
    assert prepare.resize(stripes, 36)[:, 3:-3].std() < 10  # without anti-aliasing: 37
    truth = np.tile(np.sin(x / 8), (96, 1))
    coarse = np.tile(np.sin(((np.arange(36) + 0.5) * 96 / 36 - 0.5) / 8), (36, 1))
    assert np.corrcoef(prepare.resize(truth, 36).ravel(), coarse.ravel())[0, 1] > 0.999


def test_resize_of_a_real_field_against_area_means(real_data):
    """Halving a real image agrees with the mean of each 2 x 2 block, the least aliased answer, in place and scale."""
    image = store.read_raw(real_data / "images/pccma_BR00143976_C03_s3/r03c03f03p01-ch5sk1fk1fl1.tiff")
    small = prepare.resize(image, 540)
    blocks = image.reshape(540, 2, 540, 2).mean((1, 3))
    assert small.shape == (540, 540) and np.corrcoef(small.ravel(), blocks.ravel())[0, 1] > 0.9995
    shifted = np.corrcoef(small[:, 1:].ravel(), blocks[:, :-1].ravel())[0, 1]
    assert shifted < np.corrcoef(small.ravel(), blocks.ravel())[0, 1] - 0.001
    assert small.mean() == pytest.approx(image.mean(), rel=1e-4)


def test_normalise_gives_mean_0_sd_1_and_is_undone():
    image = raw_image("x").astype(float)
    mean, sd = intensity.moments(image)
    z = intensity.normalise(image, mean, sd, cutoff=15)
    assert abs(z.mean()) < 1e-12 and z.std() == pytest.approx(1)
    np.testing.assert_allclose(intensity.denormalise(z, mean, sd), image)


FIELD = {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": 1, "Metadata_Tile": 1}


def one_image(image: np.ndarray, **changes) -> tuple[np.ndarray, dict]:
    """Prepare a field of one channel under a flat illumination function."""
    settings = {**SETTINGS, "size_px": image.shape[0], "channels": ["DNA"], **changes}
    return prepare.prepare_field(FIELD, {"DNA": image}, 1, {"DNA": np.ones(image.shape, np.float32)}, settings)


def test_the_cutoff_clips_and_is_counted():
    image = raw_image("x").astype(np.uint16)
    image[3, 4] = 65535  # a hot pixel
    stacked, row = one_image(image)
    z = stacked[0]
    assert z.max() == 15 and z.dtype == np.float16 and row["clipped_DNA"] == 1 / 48**2
    near = intensity.denormalise(z.astype(float), row["mean_DNA"], row["sd_DNA"])
    kept = z < 15
    np.testing.assert_allclose(near[kept], image[kept], atol=row["sd_DNA"] * 2**-8)  # float16 holds z to 3 digits


def test_a_constant_image_is_0_and_says_so_even_after_division():
    function = 1 + np.random.default_rng(0).random((48, 48), np.float32)
    image = np.full((48, 48), 100, np.uint16)
    settings = {**SETTINGS, "channels": ["DNA"]}
    stacked, row = prepare.prepare_field(FIELD, {"DNA": image}, 1, {"DNA": function}, settings)
    assert (stacked == 0).all() and row["mean_DNA"] == 100 and row["sd_DNA"] == 0 and row["clipped_DNA"] == 0
    assert intensity.moments(np.full((4, 4), 5.0)) == (5, 0)


def test_pooled_moments_are_those_of_all_pixels_in_any_order():
    rng = np.random.default_rng(0)
    images = [rng.normal(10 * n, 1 + n, (16, 16)) for n in range(9)]
    means, sds = zip(*map(intensity.moments, images))
    mean, sd = intensity.pooled_moments(means, sds)
    assert mean == pytest.approx(np.mean(images), rel=1e-12) and sd == pytest.approx(np.std(images), rel=1e-12)
    assert intensity.pooled_moments(means[::-1], sds[::-1]) == (mean, sd)


# --- one pixel size for all sources ---


def test_two_pixel_sizes_end_at_one():
    """The same scene seen at 0.598 and at 0.65 um a pixel is the same image at 1.3 um."""

    def scene(pixel_um, side):
        y, x = (np.mgrid[:side, :side] - (side - 1) / 2) * pixel_um
        return (1000 + 400 * np.sin(x / 6) * np.cos(y / 9)).astype(np.uint16)

    small = [
        one_image(scene(um, side), size_px=32, pixel_size_um=1.3, raw_pixel_um=um)
        for um, side in ((0.598, 80), (0.65, 75))
    ]
    difference = small[0][0].astype(float) - small[1][0].astype(float)
    assert np.abs(difference).max() < 0.03  # s.d.; whole counts of a sine of 400, sampled at other places
    assert small[0][1]["height_px"] == pytest.approx(32 * 1.3 / 0.598) and small[1][1]["height_px"] == 64
    assert small[1][1]["y_px"] == 5.5


def test_a_field_too_small_for_the_pixel_size_is_refused():
    settings = {**SETTINGS, "size_px": 64, "pixel_size_um": 1.3, "raw_pixel_um": 0.65}
    message = r"tiles of 100 x 90 px of 0.65 um are too small: expected at least 128 px .* set prepare.size_px to 40 or"
    with pytest.raises(ValueError, match=message):
        prepare.check_size((100, 90), settings)
    prepare.check_size((128, 200), settings)


@pytest.mark.parametrize(
    ("shape", "grid"), [((520, 696), [3, 4]), ((2160, 2560), [5, 6]), ((1040, 1392), [3, 4]), ((696, 520), [4, 3])]
)
def test_images_that_are_not_square_are_refused_with_a_grid_and_a_pixel_size_that_fit(shape, grid):
    settings = {**SETTINGS, "size_px": 256, "grid": [1, 1], "pixel_size_um": None, "raw_pixel_um": 0.65}
    with pytest.raises(
        ValueError, match=r"raw images are .*; expected square ones: set prepare.grid .*, or prepare.pixel"
    ) as refused:
        prepare.check_size(shape, settings)
    assert f"(rows, columns) {grid} (" in str(refused.value)
    prepare.check_size(shape, {**settings, "grid": grid})
    um = float(re.search(r"prepare.pixel_size_um ([0-9.]+) or less", str(refused.value))[1])
    prepare.check_size(shape, {**settings, "pixel_size_um": um})
    with pytest.raises(ValueError, match=rf"are too small: .* or prepare.pixel_size_um to {um} or less"):
        prepare.check_size(shape, {**settings, "pixel_size_um": um * 1.01})


# --- the command ---


def test_the_stack_and_the_field_table_agree(plate, tmp_path):
    prepare.main(arguments(plate, tmp_path))
    stack, fields = store.open_stack(tmp_path / "P1.tif"), store.read_fields(tmp_path / "P1.parquet")
    assert stack.images.shape == (8, 4, 32, 32) and stack.images.dtype == np.float16
    assert stack.channels == tuple(CHANNELS)
    assert list(zip(fields["Metadata_Well"], fields["Metadata_Site"])) == [
        (w, s) for w in sorted(WELLS) for s in (1, 2)
    ]
    assert (fields["Metadata_Plate"] == "P1").all() and (fields["Metadata_Tile"] == 1).all()
    assert fields[["y_px", "x_px", "height_px", "width_px"]].drop_duplicates().values.tolist() == [[0, 0, 48, 48]]
    dmso = fields[fields["Metadata_control_type"] == "negcon"]
    assert list(dmso["Metadata_perturbation"]) == ["DMSO", "DMSO"] and set(dmso["Metadata_Well"]) == {"B01"}

    light = store.open_stack(plate / "light.tif")
    for n in range(8):
        for c, channel in enumerate(CHANNELS):
            row = fields.iloc[n]
            raw = store.read_raw(plate / "raw" / f"{row['Metadata_Well']}_s{row['Metadata_Site']}_{channel}.tif")
            corrected = prepare.resize(raw / light.images[0, c], 32)
            undone = intensity.denormalise(
                stack.images[n, c].astype(float), row[f"mean_{channel}"], row[f"sd_{channel}"]
            )
            np.testing.assert_allclose(undone, corrected, atol=row[f"sd_{channel}"] * 2**-7)
            assert row[f"clipped_{channel}"] == 0
            assert stack.images[n, c].astype(float).std() == pytest.approx(1, abs=1e-3)


def test_the_same_bytes_twice(plate, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        prepare.main(arguments(plate, tmp_path / name))
    for name in ("P1.tif", "P1.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["P1.parquet", "P1.tif"]


def test_a_grid_and_a_region_give_tiles_of_their_own(plate, tmp_path):
    prepare.main(arguments(plate, tmp_path, grid=[2, 2], region="1,4"))
    stack, fields = store.open_stack(tmp_path / "P1.tif"), store.read_fields(tmp_path / "P1.parquet")
    assert len(stack) == len(fields) == 16
    assert fields["Metadata_Tile"].tolist() == [1, 4] * 8
    assert fields[["y_px", "x_px", "height_px", "width_px"]].values[:2].tolist() == [[0, 0, 24, 24], [24, 24, 24, 24]]
    light = store.open_stack(plate / "light.tif").images[0, 2]
    raw = store.read_raw(plate / "raw" / "A01_s1_DNA.tif")
    small = prepare.resize(raw[24:, 24:] / light[24:, 24:], 32)
    mean, sd = intensity.moments(small)
    expected = intensity.normalise(small, mean, sd, cutoff=15).astype(np.float16)
    np.testing.assert_array_equal(stack.images[1, 2], expected)
    assert fields["mean_DNA"][1] == mean


KILLED = """
import os, sys
sys.path[:0] = [{src!r}]
from brightpaint import store
from brightpaint.plates import prepare
write, journal = store.StackWriter.write, store.Journal.add
def stop(self, *args):
    return {when}
store.{target} = stop
prepare.main(sys.argv[1:])
"""
MOMENTS = {
    "before a row is journalled": ("Journal.add", "os._exit(9) if args[0]['row'] == 3 else journal(self, *args)"),
    "after the fifth row": ("StackWriter.write", "(write(self, *args), args[0] == 4 and os._exit(9))"),
    "in the middle of a line": (
        "Journal.add",
        "(journal(self, *args), args[0]['row'] == 5 and (self._handle.truncate(self._end - 7), os._exit(9)))[0]",
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_is_continued_to_the_same_bytes(plate, tmp_path, moment, monkeypatch):
    target, when = MOMENTS[moment]
    script = KILLED.format(src=str(ROOT / "src"), target=target, when=when)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir(), whole.mkdir()
    done = subprocess.run([sys.executable, "-c", script, *arguments(plate, killed)], capture_output=True)
    assert done.returncode == 9, done.stderr
    assert not (killed / "P1.tif").exists()
    prepare.main(arguments(plate, whole))
    again = []
    real = prepare.prepare_field
    monkeypatch.setattr(prepare, "prepare_field", lambda *args: again.append(args) or real(*args))
    prepare.main(arguments(plate, killed))
    assert 0 < len(again) < 8
    for name in ("P1.tif", "P1.parquet"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert sorted(os.listdir(killed)) == ["P1.parquet", "P1.tif"]


def test_unfinished_work_of_other_settings_is_not_mixed_in(plate, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir(), whole.mkdir()
    target, when = MOMENTS["after the fifth row"]
    script = KILLED.format(src=str(ROOT / "src"), target=target, when=when)
    subprocess.run([sys.executable, "-c", script, *arguments(plate, killed, cutoff=1)], capture_output=True)
    assert (killed / "P1.tif.partial").exists()
    prepare.main(arguments(plate, killed))
    prepare.main(arguments(plate, whole))
    for name in ("P1.tif", "P1.parquet"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def copy_with(plate, tmp_path, name: str, image: np.ndarray):
    """A copy of the plate whose file `name` is another image."""
    copy = tmp_path / "copy"
    (copy / "raw").mkdir(parents=True)
    for path in (plate / "raw").iterdir():
        os.link(path, copy / "raw" / path.name)
    for path in ("index.parquet", "light.tif"):
        os.link(plate / path, copy / path)
    (copy / "raw" / name).unlink()
    store.write_raw(copy / "raw" / name, image)
    return copy


def test_a_blank_image_is_prepared_as_0_for_flag_to_leave_out(plate, tmp_path):
    copy = copy_with(plate, tmp_path, "B01_s2_RNA.tif", np.full((48, 48), 321, np.uint16))
    prepare.main(arguments(copy, tmp_path))
    fields = store.read_fields(tmp_path / "P1.parquet")
    row = fields[(fields["Metadata_Well"] == "B01") & (fields["Metadata_Site"] == 2)].iloc[0]
    assert row["sd_RNA"] == 0 and row["mean_RNA"] == 321 and (fields["sd_RNA"] == 0).sum() == 1
    assert list(fields["stack_row"]) == list(range(8))


@pytest.mark.parametrize("normalise", ["image", "plate"])
def test_workers_change_no_byte(plate, tmp_path, normalise):
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        folder.mkdir()
        prepare.main([*arguments(plate, folder, normalise=normalise, grid=[2, 2]), "--workers", str(workers)])
    for name in ("P1.tif", "P1.parquet"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
    assert sorted(os.listdir(tmp_path / "3")) == ["P1.parquet", "P1.tif"]


def test_normalised_over_the_plate_brightness_stays_and_is_undone(plate, tmp_path):
    dim = raw_image("1053600674_B01_T0001F002L01A01Z01C03.tif") // 2
    copy = copy_with(plate, tmp_path, "B01_s2_DNA.tif", dim)
    for name in ("image", "plate"):
        (tmp_path / name).mkdir()
        prepare.main(arguments(copy, tmp_path / name, normalise=name))
    by_image, by_plate = (store.open_stack(tmp_path / name / "P1.tif").images for name in ("image", "plate"))
    tables = [store.read_fields(tmp_path / name / "P1.parquet") for name in ("image", "plate")]
    assert tables[1]["sd_DNA"].nunique() == 1 and tables[0]["sd_DNA"].nunique() == 8
    n = int(np.flatnonzero((tables[1]["Metadata_Well"] == "B01") & (tables[1]["Metadata_Site"] == 2))[0])
    values = by_plate[:, 2].astype(float)
    assert values.mean() == pytest.approx(0, abs=1e-3) and values.std() == pytest.approx(1, abs=1e-3)
    assert values[n].std() < 0.75 * values.std() and by_image[n, 2].astype(float).std() == pytest.approx(1, abs=1e-3)
    undone = [
        intensity.denormalise(stack[n, 2].astype(float), table["mean_DNA"][n], table["sd_DNA"][n])
        for stack, table in zip((by_image, by_plate), tables)
    ]
    np.testing.assert_allclose(*undone, atol=2**-8 * tables[1]["sd_DNA"][n])


BAD = {
    "8-bit": (np.zeros((48, 48), np.uint8), {}, r"type uint8; export the images as 16-bit greyscale"),
    "float": (np.full((48, 48), np.nan, np.float32), {}, r"type float32; export the images as 16-bit greyscale"),
    "RGB": (
        np.zeros((48, 48, 3), np.uint16),
        {"photometric": "rgb"},
        r"shape \(48, 48, 3\) .* split its 3 channels into files",
    ),
    "two pages": (np.zeros((2, 48, 48), np.uint16), {"photometric": "minisblack"}, r"found 2 page\(s\)"),
}


@pytest.mark.parametrize("scale", ["image", "plate"])
def test_planes_of_a_stain_share_mean_and_sd_and_the_others_keep_their_bytes(plate, tmp_path, scale):
    (tmp_path / "alone").mkdir(), (tmp_path / "planes").mkdir()
    groups = {"planes": [["DNA", "RNA"]]}
    prepare.main(arguments(plate, tmp_path / "alone", normalise=scale))
    prepare.main(arguments(plate, tmp_path / "planes", normalise=scale, **groups))
    alone, planes = (store.open_stack(tmp_path / name / "P1.tif").images for name in ("alone", "planes"))
    own, shared = (store.read_fields(tmp_path / name / "P1.parquet") for name in ("alone", "planes"))
    assert (alone[:, :2] == planes[:, :2]).all() and planes.shape == alone.shape
    assert (own["sd_Brightfield"] == shared["sd_Brightfield"]).all()
    for name in ("mean", "sd"):
        assert (shared[f"{name}_DNA"] == shared[f"{name}_RNA"]).all()
    # What undoes it gives the same raw counts, and both planes together have mean 0 and s.d. 1.
    for channel, place in (("DNA", 2), ("RNA", 3)):
        raw = [
            images[:, place].astype(float) * table[f"sd_{channel}"].to_numpy()[:, None, None]
            + table[f"mean_{channel}"].to_numpy()[:, None, None]
            for images, table in ((alone, own), (planes, shared))
        ]
        np.testing.assert_allclose(raw[0], raw[1], atol=2**-7 * shared[f"sd_{channel}"].max())
    groups = planes[:, 2:].astype(float)
    groups = groups.reshape(len(groups), -1) if scale == "image" else groups.reshape(1, -1)
    np.testing.assert_allclose(groups.mean(axis=1), 0, atol=2e-3)
    np.testing.assert_allclose(groups.std(axis=1), 1, atol=2e-3)


def test_a_plane_of_one_value_is_0_and_leaves_the_scale_to_the_others():
    images = {name: raw_image(name) for name in CHANNELS} | {"RNA": np.full((48, 48), 7, np.uint16)}
    functions = dict.fromkeys(CHANNELS, np.ones((48, 48), np.float32))
    stacked, row = prepare.prepare_field({}, images, 1, functions, {**SETTINGS, "planes": [["DNA", "RNA"]]})
    own, alone = prepare.prepare_field({}, images, 1, functions, SETTINGS)
    assert not stacked[3].any() and row["sd_RNA"] == 0 and row["mean_RNA"] == 7
    np.testing.assert_allclose(row["sd_DNA"], alone["sd_DNA"])
    np.testing.assert_allclose(stacked[2].astype(float), own[2].astype(float), atol=2e-3)


@pytest.mark.parametrize("kind", BAD)
def test_other_images_are_refused_and_what_was_prepared_is_kept(plate, tmp_path, kind):
    image, keywords, message = BAD[kind]
    copy = copy_with(plate, tmp_path, "B02_s2_RNA.tif", raw_image("x"))
    good = (copy / "raw" / "B02_s2_RNA.tif").read_bytes()
    tifffile.imwrite(copy / "raw" / "B02_s2_RNA.tif", image, **keywords)
    place = r"B02_s2_RNA.tif \(plate P1, well B02, site 2, channel RNA\): expected one 16-bit greyscale page"
    with pytest.raises(ValueError, match=place + ".*" + message):
        prepare.main(arguments(copy, tmp_path))
    sums = np.frombuffer((tmp_path / "P1.tif.partial.done").read_bytes()[64:], "<u4")
    assert np.count_nonzero(sums) == 7  # every field before the bad one
    (copy / "raw" / "B02_s2_RNA.tif").write_bytes(good)
    prepare.main(arguments(copy, tmp_path))
    assert len(store.open_stack(tmp_path / "P1.tif")) == 8


def test_a_truncated_image_names_file_plate_well_site_and_channel(plate, tmp_path):
    copy = copy_with(plate, tmp_path, "B02_s2_RNA.tif", raw_image("x"))
    path = copy / "raw" / "B02_s2_RNA.tif"
    path.write_bytes(path.read_bytes()[:2000])
    message = r"B02_s2_RNA.tif \(plate P1, well B02, .* channel RNA\): expected a whole TIFF of .* truncated at 2000"
    with pytest.raises(ValueError, match=message):
        prepare.main(arguments(copy, tmp_path))


def test_a_wrong_size_names_file_plate_well_site_and_channel(plate, tmp_path):
    copy = copy_with(plate, tmp_path, "B01_s2_RNA.tif", raw_image("x", (48, 50)))
    message = r"B01_s2_RNA.tif \(plate P1, well B01, site 2, channel RNA\): expected 48 x 48 px .* found 48 x 50"
    with pytest.raises(ValueError, match=message):
        prepare.main(arguments(copy, tmp_path))


def test_tiles_that_are_not_square_are_refused(plate, tmp_path):
    with pytest.raises(ValueError, match=r"tiles of prepare.grid \[1, 2\] are 48 x 24 px; expected square ones"):
        prepare.main(arguments(plate, tmp_path, grid=[1, 2]))


def test_an_index_that_lacks_a_channel_is_refused(plate, tmp_path):
    table = pd.read_parquet(plate / "index.parquet")
    with pytest.raises(ValueError, match="well A01, site 1: channel Mito is missing; run the rule index again"):
        list(fields_of(rows_of(table), [*CHANNELS, "Mito"]))
    with pytest.raises(ValueError, match="a channel occurs twice"):
        list(fields_of(rows_of(pd.concat([table[:1], table])), CHANNELS))


def test_an_index_that_is_not_sorted_is_refused(plate):
    rows = rows_of(pd.read_parquet(plate / "index.parquet"))
    assert [list(field) for field in fields_of(rows, CHANNELS[::-1])] == [CHANNELS[::-1]] * 8
    message = (
        "index: plate P1, well A01, site 1: expected rows sorted by well and site, found it after well B02, site 2"
    )
    with pytest.raises(ValueError, match=message):
        list(fields_of(rows + rows[:4], CHANNELS))


def test_annotations_go_from_the_index_into_the_fields_and_older_indices_have_fewer(plate, tmp_path):
    """The stack keeps its bytes: annotations are no part of an image."""
    table = store.read_table(plate / "index.parquet")
    dosed = table.assign(Metadata_dose=np.where(table["Metadata_Well"] == "B02", 0.37, np.nan), Metadata_smiles="CCO")
    listed = {"new": dosed, "old": table[[name for name in table if name not in {*ANNOTATIONS} - {*REQUIRED}]]}
    for name, frame in listed.items():
        (tmp_path / name).mkdir()
        store.write_table(frame, tmp_path / name / "index.parquet")
        words = arguments(plate, tmp_path / name)
        words[words.index("--index") + 1] = str(tmp_path / name / "index.parquet")
        prepare.main(words)
    new, old = (store.read_fields(tmp_path / name / "P1.parquet") for name in listed)
    assert (new["Metadata_smiles"] == "CCO").all()
    assert set(new.loc[new["Metadata_dose"] == 0.37, "Metadata_Well"]) == {"B02"}
    assert old["Metadata_dose"].isna().all() and (old["Metadata_treatment"] == old["Metadata_perturbation"]).all()
    assert list(new.columns) == list(old.columns) and (new.dtypes == old.dtypes).all()
    assert (tmp_path / "new" / "P1.tif").read_bytes() == (tmp_path / "old" / "P1.tif").read_bytes()


@pytest.mark.parametrize(("method", "least"), [("none", 0.5), ("median", 0.3), ("jump", 0.15)])
def test_a_real_field_keeps_its_registration(real_data, tmp_path, method, least):
    """Brightfield texture lies where DNA is: the raw images' PCC is 0.507, and shifts of 8 px of a prepared field lower it.

    A function estimated from this one field is the field's own blur, which dims nuclei: hence the lower `least`.
    """
    names = {"Brightfield": 1, "DNA": 5}
    rows = [
        {"Metadata_Plate": "P1", "Metadata_Well": "C03", "Metadata_Site": 3, **dict.fromkeys([*prepare.ORIGIN, *REQUIRED], ""),
         "Channel": channel, "key": channel, "file": f"r03c03f03p01-ch{n}sk1fk1fl1.tiff"}
        for channel, n in names.items()
    ]  # fmt: skip
    raw = str(real_data / "images" / "pccma_BR00143976_C03_s3")
    store.write_table(pd.DataFrame(rows), tmp_path / "index.parquet")
    common = ["--index", str(tmp_path / "index.parquet"), "--raw", raw, "--illumination", str(tmp_path / "light.tif")]
    illumination.main(["--settings", json.dumps({"method": method, "size_px": 249, "channels": list(names)}), *common])
    prepare.main(["--settings", json.dumps({**SETTINGS, "size_px": 536, "channels": list(names)}), *common,
                  "--stack", str(tmp_path / "P1.tif"), "--fields", str(tmp_path / "P1.parquet")])  # fmt: skip
    brightfield, dna = store.open_stack(tmp_path / "P1.tif").images[0].astype(np.float32)
    texture = local_sd(brightfield[None])[0]
    shifts = [(0, 0), *((y, x) for side in (8, 24) for y, x in ((side, 0), (-side, 0), (0, side), (0, -side)))]
    found = {shift: np.corrcoef(np.roll(texture, shift, (0, 1)).ravel(), dna.ravel())[0, 1] for shift in shifts}
    assert max(found, key=found.get) == (0, 0) and found[0, 0] > least, found
    assert max(value for shift, value in found.items() if 24 in map(abs, shift)) < 0.6 * found[0, 0], found
