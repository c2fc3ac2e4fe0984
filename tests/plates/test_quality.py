"""Quality: each measure's known answer, each flag on an image made to have it, and what is left out for it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from brightpaint import store
from brightpaint.plates import flag, quality
from brightpaint.study.schema import validate
from conftest import ROOT, TINY
from plates_fixture import raw_image, rows_of

PLANES = ["Brightfield_L", "Brightfield", "Brightfield_H"]
STAINS = ["DNA", "RNA", "ER"]
CHANNELS = PLANES + STAINS
KEYS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]


def settings(**changes) -> dict:
    """The config's section `quality` with the schema's defaults, and channels."""
    study = validate(TINY, ROOT / "workflow" / "schemas" / "config.schema.yaml", "config")
    return {**study["quality"], "channels": {"input": PLANES, "target": STAINS, "here": CHANNELS}, **changes}


def field(name: str, side: int = 128) -> dict[str, np.ndarray]:
    """A field of made-up cells: planes that change through focus, DNA in nuclei, RNA and ER in cytoplasm."""
    rng = np.random.default_rng(np.frombuffer(name.encode(), np.uint8))
    nuclei, granules = np.zeros((side, side)), rng.normal(size=(side, side))
    nuclei[tuple(rng.integers(8, side - 8, (2, 14)))] = 1
    nucleus = ndimage.gaussian_filter(nuclei, 3) * 60
    body = ndimage.gaussian_filter(nuclei, 7) * 300
    grain = ndimage.gaussian_filter(granules, 2) * 4
    lens = -ndimage.gaussian_laplace(nuclei, 4) * 800
    noise = rng.normal(0, 1, (6, side, side))
    images = {
        "Brightfield_L": 20000 + 60 * grain + 100 * lens + 8 * noise[0],
        "Brightfield": 20000 + 60 * grain + 8 * noise[1],
        "Brightfield_H": 20000 + 60 * grain - 70 * lens + 8 * noise[2],
        "DNA": 300 + 4000 * nucleus + 8 * noise[3],
        "RNA": 300 + 2000 * body * np.exp(0.4 * grain) * (1 - 0.4 * np.minimum(nucleus, 1)) + 8 * noise[4],
        "ER": 300 + 1500 * body * np.exp(0.5 * grain) * (1 - 0.6 * np.minimum(nucleus, 1)) + 8 * noise[5],
    }
    return {channel: image.clip(0, 65535).astype(np.uint16) for channel, image in images.items()}


def measured(index: pd.DataFrame, folder, channels, **options) -> pd.DataFrame:
    return pd.DataFrame(quality.measure(rows_of(index), folder, channels, **options))


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    """A plate of 12 fields: its folder, index and measures."""
    folder = tmp_path_factory.mktemp("plate")
    rows = []
    for well in [f"{row}{column:02d}" for row in "AB" for column in range(1, 7)]:
        for channel, image in field(well).items():
            store.write_raw(folder / f"{well}_{channel}.tif", image)
            rows.append({"Metadata_Plate": "P1", "Metadata_Well": well, "Metadata_Site": 1, "Channel": channel,
                         "key": f"bucket/{well}_{channel}.tif", "file": f"{well}_{channel}.tif"})  # fmt: skip
    index = pd.DataFrame(rows)
    return folder, index, measured(index, folder, CHANNELS)


def again(measures: pd.DataFrame, well: str, images: dict) -> pd.DataFrame:
    """Return the measures with those of one well taken from other images."""
    one = pd.DataFrame(quality.measure_field(images))
    chosen = measures["Metadata_Well"] == well
    changed = measures.copy()
    columns = [name for name in one.columns if name != "Channel"]
    changed.loc[chosen, columns] = one.set_index("Channel").loc[measures.loc[chosen, "Channel"], columns].to_numpy()
    return changed.infer_objects()


def flags_of(measures: pd.DataFrame, **changes) -> list[tuple]:
    found = flag.flag_images(measures, settings(**changes))
    return list(zip(found["Metadata_Well"], found["Channel"], found["flag"]))


# --- measures ---


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


# --- flags ---


def test_a_good_plate_has_no_flags(plate):
    assert flags_of(plate[2]) == []


FLAWS = {
    "blank": ("RNA", lambda image: np.full_like(image, 321)),
    "noise": ("RNA", lambda image: np.random.default_rng(0).poisson(300, image.shape).astype(np.uint16)),
    "saturated": ("DNA", lambda image: np.minimum(image, np.uint16(np.percentile(image, 97)))),
    "blurred": ("ER", lambda image: ndimage.gaussian_filter(image, 3)),
    "background": ("RNA", lambda image: image + np.uint16(2000)),
}


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


# --- what is left out ---


def prepared_table(measures: pd.DataFrame, **sd) -> pd.DataFrame:
    """A table as `prepare` writes it: one tile a field."""
    fields = measures[KEYS].drop_duplicates(ignore_index=True).assign(Metadata_Tile=1)
    for channel in CHANNELS:
        fields[f"mean_{channel}"], fields[f"sd_{channel}"] = 100.0, 10.0
    for key, value in sd.items():
        well, channel = key.split("_", 1)
        fields.loc[fields["Metadata_Well"] == well, f"sd_{channel}"] = value
    return fields.assign(stack_row=range(len(fields)))


def run_flag(folder, measures, prepared, **changes) -> tuple[pd.DataFrame, pd.DataFrame]:
    store.write_table(measures, folder / "q.parquet")
    store.write_table(prepared, folder / "prepared.parquet")
    flag.main(["--settings", json.dumps(settings(**changes)), "--quality", str(folder / "q.parquet"), "--prepared",
               str(folder / "prepared.parquet"), "--fields", str(folder / "fields.parquet"),
               "--flags", str(folder / "flags.tsv")])  # fmt: skip
    return store.read_fields(folder / "fields.parquet"), store.read_table(folder / "flags.tsv")


def spoiled(measures: pd.DataFrame) -> pd.DataFrame:
    """B03 with a blank RNA image, A05 with a saturated DNA image."""
    for well, flaw in (("B03", "blank"), ("A05", "saturated")):
        channel, spoil = FLAWS[flaw]
        images = field(well)
        images[channel] = spoil(images[channel])
        measures = again(measures, well, images)
    return measures


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


# --- real fields ---


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
