"""Flags: each on an image made to have it, on a good plate none, and what is left out for them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.plates import flag, quality
from quality_fixture import (  # noqa: F401
    FLAWS,
    PLANES,
    STAINS,
    again,
    field,
    measured_plate,
    prepared_table,
    run_flag,
    settings,
    spoiled,
)


def flags_of(measures: pd.DataFrame, **changes) -> list[tuple]:
    found = flag.flag_images(measures, settings(**changes))
    return list(zip(found["Metadata_Well"], found["Channel"], found["flag"]))


def test_a_good_plate_has_no_flags(plate):
    assert flags_of(plate[2]) == []


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flawed_image_is_flagged_and_nothing_else(plate, flaw):
    channel, spoil = FLAWS[flaw]
    images = field("B03")
    images[channel] = spoil(images[channel])
    found = flags_of(again(plate[2], "B03", images))
    assert found == [("B03", channel, flaw)]


def test_a_duplicate_is_flagged_in_both_places_and_says_where(plate):
    images = {**field("B03"), "DNA": field("A02")["DNA"]}
    found = flag.flag_images(again(plate[2], "B03", images), settings())
    assert list(zip(found["Metadata_Well"], found["Channel"], found["flag"])) == [
        ("A02", "DNA", "duplicate"), ("B03", "DNA", "duplicate"),
    ]  # fmt: skip
    assert list(found["detail"]) == [f"the same pixels as bucket/{well}_DNA.tif" for well in ("B03", "A02")]


@pytest.mark.parametrize("pair", list(itertools.combinations(PLANES, 2)))
def test_exchanged_planes_of_one_field_are_found(plate, pair):
    images = field("B03")
    images[pair[0]], images[pair[1]] = images[pair[1]], images[pair[0]]
    found = flags_of(again(plate[2], "B03", images))
    assert [(well, name) for well, _, name in found] == [("B03", "planes")]


@pytest.mark.parametrize("pair", [("DNA", "RNA"), ("DNA", "ER"), ("Brightfield", "DNA"), ("Brightfield_H", "ER")])
def test_a_plate_with_exchanged_channels_is_found(plate, pair):
    swap = dict(zip(pair, pair[::-1]))
    measures = plate[2].assign(Channel=plate[2]["Channel"].replace(swap))
    measures = measures.rename(columns={f"r_{old}": f"r_{new}" for old, new in swap.items()})
    names = {name for *_, name in flags_of(measures)}
    assert "channels" in names and names <= {"channels", "planes"}


def test_a_plate_of_few_images_is_not_compared_with_itself(plate):
    few = plate[2][plate[2]["Metadata_Well"].isin(["A01", "A02", "B03"])]
    images = field("B03")
    images["RNA"] = images["RNA"] + np.uint16(2000)
    assert flags_of(again(few.reset_index(drop=True), "B03", images)) == []


def test_a_predict_plate_has_brightfield_alone(plate):
    measures = plate[2][plate[2]["Channel"].isin(PLANES)].drop(columns=[f"r_{name}" for name in STAINS])
    chosen = settings(channels={"input": PLANES, "target": STAINS, "here": PLANES})
    assert flag.flag_images(measures, chosen).empty


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [(["blank"], ["B03"]), (True, ["A05", "B03"]), (["blank", "saturated"], ["A05", "B03"])],
)
def test_flags_leave_out_what_the_config_says_and_rows_point_into_the_stack(plate, tmp_path, exclude, gone):
    measures = spoiled(plate[2])
    fields, flags = run_flag(tmp_path, measures, prepared_table(measures, B03_RNA=0), exclude=exclude)
    wells = sorted(measures["Metadata_Well"].unique())
    assert list(fields["Metadata_Well"]) == [well for well in wells if well not in gone]
    assert list(fields["stack_row"]) == [n for n, well in enumerate(wells) if well not in gone]
    assert sorted(flags["flag"]) == ["blank", "saturated"]
    assert sorted(flags.loc[flags["excluded"] == 1, "Metadata_Well"]) == gone


def test_a_blank_image_that_would_stay_is_an_error(plate, tmp_path):
    measures = spoiled(plate[2])
    message = (
        "plate P1, well B03, site 1, tile 1, channel RNA: expected an image, but every pixel is 100 .* "
        r"set quality.exclude: \[blank\] to leave such fields out, or leave the channel out"
    )
    with pytest.raises(ValueError, match=message):
        run_flag(tmp_path, measures, prepared_table(measures, B03_RNA=0), exclude=False)
    assert not (tmp_path / "fields.parquet").exists()


def test_a_tile_that_is_blank_leaves_its_field_out(plate, tmp_path):
    fields, flags = run_flag(tmp_path, plate[2], prepared_table(plate[2], B03_ER=0))
    assert "B03" not in set(fields["Metadata_Well"]) and list(flags["detail"]) == ["every pixel of tile 1 is 100"]


def test_a_plate_of_which_nothing_is_left_is_an_error(plate, tmp_path):
    swap = {"DNA": "RNA", "RNA": "DNA"}
    measures = plate[2].assign(Channel=plate[2]["Channel"].replace(swap))
    measures = measures.rename(columns={f"r_{old}": f"r_{new}" for old, new in swap.items()})
    message = r"plate P1: every field would be left out \(images by flag: channels 12; first: looks like RNA: DNA goes"
    with pytest.raises(ValueError, match=message):
        run_flag(tmp_path, measures, prepared_table(measures), exclude=True)


def real_field(folder, files: dict[str, str]) -> dict[str, np.ndarray]:
    return {channel: store.read_raw(folder / name) for channel, name in files.items()}


def test_the_planes_of_a_real_field_are_in_order_and_an_exchange_is_found(real_data):
    folder = real_data / "images" / "jump_BR00116991_A01_s1_bf3z_crop512"
    names = dict(zip(PLANES, [f"brightfield_{name}.tiff" for name in ("under", "focus", "over")]))
    images = real_field(folder, names)
    keys = {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": 1, "key": ""}

    def found(order) -> list[str]:
        shown = {name: images[PLANES[number]] for name, number in zip(PLANES, order)}
        rows = [{**keys, **row} for row in quality.measure_field(shown)]
        chosen = settings(channels={"input": PLANES, "target": STAINS, "here": PLANES})
        return list(flag.flag_images(pd.DataFrame(rows), chosen)["flag"])

    assert found((0, 1, 2)) == [] and found((2, 1, 0)) == []  # one field alone cannot tell which end is up
    for order in ((1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)):
        assert found(order) == ["planes"], order


def test_a_real_field_is_not_flagged_but_a_saturated_or_blank_channel_of_it_is(real_data):
    folder = real_data / "images" / "pccma_BR00143976_C03_s3"
    files = {"Brightfield": 1, "DNA": 5, "RNA": 6, "ER": 2, "AGP": 3, "Mito": 4}
    images = real_field(folder, {channel: f"r03c03f03p01-ch{n}sk1fk1fl1.tiff" for channel, n in files.items()})
    keys = {"Metadata_Plate": "P1", "Metadata_Well": "C03", "Metadata_Site": 3}

    def found(**changes) -> list[tuple]:
        rows = [{**keys, "key": row["Channel"], **row} for row in quality.measure_field({**images, **changes})]
        channels = {"input": ["Brightfield"], "target": list(files)[1:], "here": list(files)}
        flags = flag.flag_images(pd.DataFrame(rows), settings(channels=channels))
        return list(zip(flags["Channel"], flags["flag"]))

    assert found() == []
    assert found(DNA=np.minimum(images["DNA"], 4095)) == [("DNA", "saturated")]
    assert found(ER=np.full_like(images["ER"], 150)) == [("ER", "blank")]
    dark = np.random.default_rng(0).poisson(150, images["ER"].shape).astype(np.uint16)
    assert ("ER", "noise") in found(ER=dark)
    assert {name for _, name in found(DNA=images["RNA"], RNA=images["DNA"])} == {"channels"}
