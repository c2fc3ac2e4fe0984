"""Stains become 16-bit TIFFs by one fixed map, in parts of whole wells."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.base import intensity
from brightpaint.features import export
from features_fixture import rows_of, write_plate

CHANNELS = ["DNA", "RNA"]
SETTINGS = {"window": [-5, 15], "channels": CHANNELS, "pixel_size_um": 0.5, "cutoff": 15}


def run(folder, part=1, parts=1, arm="real", out="part", settings=SETTINGS, extra=()):
    arguments = ["--settings", json.dumps(settings), "--arm", arm, "--stack", folder / "stack.tif"]
    arguments += [
        "--rows",
        folder / "rows.parquet",
        "--part",
        f"{part:03d}",
        "--parts",
        parts,
        "--folder",
        folder / out,
    ]
    export.main([str(word) for word in [*arguments, *extra]])
    return folder / out


def test_known_counts_of_the_map():
    scores = np.array([-6, -5, 0, 5, 15, 16], np.float32)
    assert export.to_counts(scores, (-5, 15)).tolist() == [0, 0, 16384, 32768, 65535, 65535]


def test_the_map_is_undone_to_half_a_step():
    scores = np.random.default_rng(1).uniform(-5, 15, 10_000)
    back = export.from_counts(export.to_counts(scores, (-5, 15)), (-5, 15))
    assert np.abs(back - scores).max() <= 20 / 65535 / 2 + 1e-12


def test_a_window_upside_down_is_refused():
    with pytest.raises(ValueError, match=r"cellprofiler.window is \[15, -5\]"):
        export.to_counts(np.zeros(3), (15, -5))


def test_standardise_gives_mean_0_sd_1_and_cuts_off():
    images = np.random.default_rng(2).normal(3, 7, (2, 3, 40, 40))
    images[0, 0, 0, 0] = 1e4
    scores = intensity.standardise(images, 15)
    assert np.allclose(scores[1].mean(axis=(1, 2)), 0, atol=1e-6) and np.allclose(
        scores[1].std(axis=(1, 2)), 1, atol=1e-6
    )
    assert scores.max() == 15
    assert np.array_equal(intensity.standardise(np.full((1, 4, 4), 0.3), 15), np.zeros((1, 4, 4), np.float32))


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 40])
def test_parts_are_whole_contiguous_wells_that_cover_every_field_once(parts):
    generator = np.random.default_rng(3)
    wells = np.repeat([f"{row}{column:02d}" for row in "ABC" for column in range(1, 8)], generator.integers(1, 7, 21))
    found = [export.rows_of_part(wells, part, parts) for part in range(1, parts + 1)]
    assert np.array_equal(np.concatenate(found), np.arange(len(wells)))
    for first, other in zip(found, found[1:]):
        assert not set(wells[first]) & set(wells[other])
    sizes = [len(rows) for rows in found]
    assert max(sizes) <= len(wells) / parts + 6  # no part exceeds its share by more than a well


def test_few_wells_leave_empty_parts_and_an_empty_plate_has_only_those():
    sizes = [len(export.rows_of_part(np.array(["A01", "A01"]), part, 3)) for part in (1, 2, 3)]
    assert sorted(sizes) == [0, 0, 2]
    assert len(export.rows_of_part(np.array([]), 1, 2)) == 0
    with pytest.raises(ValueError, match="part 4 of 3"):
        export.rows_of_part(np.array(["A01"]), 4, 3)


def test_real_images_are_written_as_they_are_and_listed(tmp_path):
    images = write_plate(tmp_path, ["A01", "A01", "B02"])
    folder = run(tmp_path)
    listed = pd.read_csv(folder / "load_data.csv")
    assert list(listed.columns) == [
        "FileName_OrigDNA", "FileName_OrigRNA", "PathName_OrigDNA", "PathName_OrigRNA", *store.FIELD_KEYS,
    ]  # fmt: skip
    assert listed["Metadata_Well"].tolist() == ["A01", "A01", "B02"]
    assert set(listed["PathName_OrigRNA"]) == {str(folder.resolve())}
    written = tifffile.imread(folder / listed["FileName_OrigRNA"][1])
    assert np.array_equal(written, export.to_counts(images[1, 2], (-5, 15)))
    with tifffile.TiffFile(folder / listed["FileName_OrigRNA"][1]) as tif:
        assert tif.pages[0].compression == tifffile.COMPRESSION.NONE
    described = json.loads((folder / "export.json").read_text())
    assert described["window"] == [-5, 15] and described["fields"] == 3 and not described["renormalised"]
    assert described["pixel_size_um"] == 0.5 * 64 / 32


def test_predicted_images_are_standardised_and_need_the_field_table_for_their_pixel_size(tmp_path):
    images = write_plate(tmp_path, ["A01", "B02"], channels=("RNA", "DNA"))
    rows = store.read_table(tmp_path / "rows.parquet")
    store.write_table(rows, tmp_path / "fields.parquet")
    store.write_table(rows[store.FIELD_KEYS], tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="pass --fields"):
        run(tmp_path, arm="pert")
    folder = run(tmp_path, arm="pert", extra=["--fields", tmp_path / "fields.parquet"])
    expected = export.to_counts(intensity.standardise(images[0, 1].astype(np.float32), 15), (-5, 15))
    assert np.array_equal(tifffile.imread(folder / "A01_s1_t1_DNA.tif"), expected)
    assert json.loads((folder / "export.json").read_text())["pixel_size_um"] == 1.0


def test_any_split_writes_the_same_bytes(tmp_path):
    write_plate(tmp_path, ["A01", "A01", "B02", "C03"])
    whole = run(tmp_path, out="whole")
    split = {path.name: path for part in (1, 2) for path in run(tmp_path, part, 2, out=f"half{part}").glob("*.tif")}
    assert sorted(split) == sorted(path.name for path in whole.glob("*.tif"))
    assert all(path.read_bytes() == (whole / name).read_bytes() for name, path in split.items())
    again = run(tmp_path, out="whole")
    assert (again / "load_data.csv").read_bytes() == (whole / "load_data.csv").read_bytes()


def test_an_empty_part_is_a_table_without_rows(tmp_path):
    write_plate(tmp_path, ["A01"])
    folders = [run(tmp_path, part, 2, out=f"part{part}") for part in (1, 2)]
    rows = [len(pd.read_csv(folder / "load_data.csv")) for folder in folders]
    assert sorted(rows) == [0, 1]


@pytest.mark.parametrize("changes", [{"plate": "P1; rm -rf x"}, {"plate": "../../x"}])
def test_a_plate_name_that_could_leave_its_folder_is_refused(tmp_path, changes):
    write_plate(tmp_path, ["A01"], **changes)
    with pytest.raises(ValueError, match="expected letters, digits, - and _ in plate"):
        run(tmp_path)
    assert not (tmp_path / "part").exists()


def test_a_well_name_that_could_leave_its_folder_is_refused(tmp_path):
    write_plate(tmp_path, ["../A01"])
    with pytest.raises(ValueError, match="in well"):
        run(tmp_path)


def test_a_stack_that_does_not_fit_its_rows_or_lacks_a_stain_is_refused(tmp_path):
    write_plate(tmp_path, ["A01", "B02"])
    with pytest.raises(ValueError, match=r"channels \['Mito'\] are missing"):
        run(tmp_path, settings={**SETTINGS, "channels": ["DNA", "Mito"]})
    store.write_table(rows_of(["A01"]), tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="1 rows, but .* holds 2 fields"):
        run(tmp_path)


def test_one_plate_has_one_pixel_size():
    rows = rows_of(["A01", "B02"])
    rows.loc[1, "height_px"] = 100
    with pytest.raises(ValueError, match=r"\[64, 100\] raw pixels"):
        export.prepared_pixel_um(rows, None, 0.5, 32)
    assert export.prepared_pixel_um(rows.iloc[:0], None, 0.5, 32) is None


def test_predictions_keep_their_brightness_where_plates_are_normalised_as_a_whole():
    images = np.random.default_rng(2).normal(3, 7, (2, 40, 40))
    kept = intensity.rescaled(images, cutoff=15, renormalise=False)
    np.testing.assert_allclose(kept, np.clip(images, -15, 15), rtol=1e-6)
    np.testing.assert_array_equal(
        intensity.rescaled(images, cutoff=15, renormalise=True), intensity.standardise(images, 15)
    )
