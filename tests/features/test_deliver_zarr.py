"""A predicted plate as OME-Zarr: a whole plate by the format's own models, with the pixels of the OME-TIFFs."""

from __future__ import annotations

import functools
import importlib
import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from brightpaint import store
from brightpaint.base.colours import stain_colours
from brightpaint.features import deliver, deliver_zarr
from brightpaint.features.export import to_counts
from brightpaint.store.plate_zarr import FieldPlace, ShownChannel, area_means, resolutions, write_plate_zarr
from features_fixture import FIVE, rows_of, write_prediction

SETTINGS = {
    "window": [-5, 15],
    "channels": FIVE,
    "pixel_size_um": 0.5,
    "cutoff": 15,
    "inputs": ["Phase"],
    "label": "target",
}


@pytest.fixture(scope="module")
def ngio():
    """The package, loaded where it is used: each worker of the tests reads this file, and it takes two CPU-seconds."""
    return importlib.import_module("ngio")


@functools.cache
def hcs():
    """Return the format's own model of a plate."""
    import pydantic_zarr.v2
    from ome_zarr_models.v04 import hcs, image, well

    for model in (
        image.Image,
        well.Well,
        hcs.HCS,
    ):  # pydantic 2.14 no longer finds by itself what their annotations name
        model.model_rebuild(_types_namespace=vars(pydantic_zarr.v2))
    return hcs.HCS


def validated(folder):
    """Read a plate by the format's own models: plate, wells and images, all that OME-NGFF 0.4 asks of them."""
    import zarr

    return hcs().from_zarr(zarr.open_group(folder, mode="r"))


def run(folder, module=deliver_zarr, out="P1.ome.zarr", option="zarr", settings=SETTINGS):
    words = ["--settings", json.dumps(settings), f"--{option}", str(folder / out)]
    for name, file in (("stack", "stack.tif"), ("rows", "rows.parquet"), ("fields", "fields.parquet")):
        words += [f"--{name}", str(folder / file)]
    module.main(words)
    return folder / out


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def plate(tmp_path):
    write_prediction(tmp_path)
    return run(tmp_path)


def test_the_plate_is_valid_and_holds_the_pixels_of_the_ome_tiffs(tmp_path, plate, ngio):
    whole = validated(plate)
    assert [well.path for well in whole.attributes.plate.wells] == ["A/01", "B/02"]
    assert len(list(whole.well_groups)) == 2 and whole.attributes.plate.field_count == 1
    opened = ngio.open_ome_zarr_plate(plate, mode="r")
    tiffs = run(tmp_path, deliver, "predicted", "folder")
    listed = pd.read_csv(tiffs / "load_data.csv").set_index("Metadata_Well")
    for row, column, well in (("A", 1, "A01"), ("B", 2, "B02")):
        image = opened.get_image(row, column, "0")
        counts = image.get_image(path="0").zarr_array[:]
        assert image.channel_labels == FIVE and counts.dtype == np.uint16
        for channel, plane in zip(FIVE, counts):
            np.testing.assert_array_equal(plane, tifffile.imread(tiffs / listed.loc[well, f"FileName_Orig{channel}"]))
        size = image.get_image(path="0").pixel_size
        assert (size.x, size.y, str(image.space_unit)) == (1.0, 1.0, "micrometer")  # 0.5 um * 256 / 128 px


def test_the_check_of_a_plate_can_fail(plate):
    path = plate / "B" / "02" / "0" / ".zattrs"
    path.write_text(path.read_text().replace('"space"', '"length"'))
    with pytest.raises(ValueError, match="axes"):
        validated(plate)


def test_what_a_viewer_needs_stands_in_the_metadata(plate):
    described = json.loads((plate / "A" / "01" / "0" / ".zattrs").read_text())
    assert described["multiscales"][0]["name"] == "A01_s1_t1" and described["multiscales"][0]["version"] == "0.4"
    shown = described["omero"]["channels"]
    assert [(channel["label"], f"#{channel['color']}") for channel in shown] == list(stain_colours(FIVE).items())
    assert [shown[0]["window"][key] for key in ("start", "end", "max")] == [11469, 36044, 65535]  # z of -1.5 and 6
    told = json.loads((plate / ".zattrs").read_text())["brightpaint"]
    assert "painted by a model from the channel Phase" in told["readme"] and "load_data" not in told["readme"]
    assert told["window"] == [-5, 15] and told["inputs"] == ["Phase"]


def test_lower_resolutions_are_means(tmp_path, plate, ngio):
    image = np.arange(2 * 300 * 260, dtype=np.uint16).reshape(2, 300, 260)
    channels = [ShownChannel("DNA", "#0080ff", 0, 9), ShownChannel("ER", "#00ff00", 0, 9)]
    write_plate_zarr(
        tmp_path / "large.zarr", "P", [FieldPlace("A", 1, 0, "x")], [image], channels, pixel_um=0.5, made={}
    )
    opened = ngio.open_ome_zarr_container(tmp_path / "large.zarr" / "A" / "01" / "0", mode="r")
    assert resolutions(300, 260) == len(opened.level_paths) == 2
    lower = opened.get_image(path="1")
    blocks = image.reshape(2, 150, 2, 130, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(lower.zarr_array[:], blocks, atol=0.5)
    assert (lower.pixel_size.x, lower.zarr_array.chunks) == (1.0, (1, 150, 130))
    odd = area_means(np.arange(35.0).reshape(7, 5), (3, 2))  # each covers 2 1/3 rows and 2 1/2 columns
    assert odd.mean() == pytest.approx(17.0) and odd[0, 0] == pytest.approx(
        (0 + 1 + 2 / 2 + 5 + 6 + 7 / 2 + (10 + 11 + 12 / 2) / 3) / (7 / 3 * 2.5)
    )
    assert [resolutions(*shape) for shape in ((512, 512), (96, 96), (256, 256), (2160, 2560), (4000, 1))] == [
        3,
        1,
        2,
        5,
        1,
    ]


def test_rows_and_sites_lie_in_the_order_of_the_plate(tmp_path, ngio):
    rows = rows_of(["AA02", "Z11", "B01", "B01"]).assign(Metadata_Site=[3, 1, 1, 3])
    found = deliver_zarr.places(rows)
    assert found[0] == ("AA", 2, 1, "AA02_s3_t1") and [place.field for place in found] == [1, 0, 0, 1]
    images = [np.full((1, 32, 32), number, np.uint16) for number in range(4)]
    made = {"pixel_um": 1.0, "made": {}}
    write_plate_zarr(tmp_path / "p.zarr", "P", found, images, [ShownChannel("DNA", "#0080ff", 0, 9)], **made)
    plate = validated(tmp_path / "p.zarr").attributes.plate
    assert [row.name for row in plate.rows] == ["B", "Z", "AA"] and plate.field_count == 2
    assert all(plate.rows[well.rowIndex].name == well.path.split("/")[0] for well in plate.wells)
    opened = ngio.open_ome_zarr_plate(tmp_path / "p.zarr", mode="r")
    values = {
        path: opened.get_image(*path.split("/")).get_image(path="0").zarr_array[0, 0, 0]
        for path in opened.images_paths(max_workers=1)
    }
    assert values == {"AA/02/1": 0, "Z/11/0": 1, "B/01/0": 2, "B/01/1": 3}
    with pytest.raises(ValueError, match="well MIX, .*expected a well such as A01"):
        deliver_zarr.places(rows_of(["MIX"]))


def test_the_same_plate_gives_the_same_bytes_and_a_second_run_replaces_it_whole(tmp_path, plate):
    first = files_of(plate)
    (plate / "stray").write_text("left over")
    assert files_of(run(tmp_path)) == first and "A/01/0/0/4/0/0" in first
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_plate_that_fails_midway_leaves_nothing(tmp_path):
    def images():
        yield np.zeros((1, 32, 32), np.uint16)
        raise OSError("the disk is full")

    places = [FieldPlace("A", 1, 0, "a"), FieldPlace("A", 2, 0, "b")]
    with pytest.raises(OSError, match="disk is full"):
        write_plate_zarr(
            tmp_path / "p.zarr", "P", places, images(), [ShownChannel("DNA", "#0080ff", 0, 9)], pixel_um=1.0, made={}
        )
    with pytest.raises(ValueError, match="p.zarr: expected at least one image, and one a place; found 2 places"):
        write_plate_zarr(tmp_path / "p.zarr", "P", places[:1] * 2, [], [], pixel_um=1.0, made={})
    assert list(tmp_path.iterdir()) == []
    write_prediction(tmp_path)
    store.write_table(rows_of(["A01"])[store.FIELD_KEYS], tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="1 rows, but .* holds 2 fields"):
        run(tmp_path)


def test_a_plate_is_never_in_memory(tmp_path):
    """A field is asked for when the one before lies on the disk, in a folder that does not bear the plate's name yet."""
    places, on_disk = [FieldPlace("A", number + 1, 0, str(number)) for number in range(4)], []

    def images():
        for number in range(4):
            on_disk.append(sorted(path.parts[-6] for path in tmp_path.glob(".p.zarr.*/A/*/0/0/0/0/0")))
            yield np.full((1, 32, 32), number + 1, np.uint16)

    write_plate_zarr(
        tmp_path / "p.zarr", "P", places, images(), [ShownChannel("DNA", "#0080ff", 0, 9)], pixel_um=1.0, made={}
    )
    assert on_disk == [[], ["01"], ["01", "02"], ["01", "02", "03"]]


def test_a_window_that_is_narrow_still_shows_something():
    shown = deliver_zarr.shown_channels({**SETTINGS, "window": [6, 9]})
    assert all(channel.black < channel.white for channel in shown)
    assert int(to_counts(6.0, (-5, 15))) == deliver_zarr.shown_channels(SETTINGS)[0].white
