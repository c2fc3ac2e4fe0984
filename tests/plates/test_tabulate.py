"""Microscopes' exports as the CSV of layout `table`: names as the instruments write them, and every refusal."""

from __future__ import annotations

import pytest

from brightpaint import store
from brightpaint.plates import index, platemaps, tabulate
from brightpaint.study import schema
from conftest import ROOT
from plates_fixture import SHAPE, index_settings, raw_image

GUID = "2B0D4AC9-0A62-4B5E-9D6C-3E9F6F7B2C11"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BR00117035__2021-05-02T16_02_51-Measurement1/Images/r01c01f01p01-ch7sk1fk1fl1.tiff",
         ("BR00117035", "A01", 1, 7, 1, 1)),
        ("Images/r16c24f09p03-ch10sk2fk1fl1.tiff", ("", "P24", 9, 10, 3, 2)),
        ("My Plate 1/Images/r02c11f03p02-ch01t01.tiff", ("My Plate 1", "B11", 3, 1, 2, 1)),
        ("r32c48f01p01-ch12t03.tif", ("", "AF48", 1, 12, 1, 3)),
        ("r27c01f01p01-ch1sk1fk1fl1.tiff", ("", "AA01", 1, 1, 1, 1)),
        ("1053601756/1053601756_A01_T0001F001L01A06Z01C06.tif", ("1053601756", "A01", 1, 6, 1, 1)),
        ("P1_Aa01_T0001F001L01A06Z01C06.tif", ("P1", "Aa01", 1, 6, 1, 1)),
        ("Plate_Aa01_s1_w1.tif", ("Plate", "Aa01", 1, 1, 1, 1)),
        ("my_plate_2_P24_T0003F012L01A02Z11C03.tif", ("my_plate_2", "P24", 12, 3, 11, 3)),
        (f"Plate_A01_s1_w1{GUID}.tif", ("Plate", "A01", 1, 1, 1, 1)),
        (f"2021/10512/TimePoint_1/ZStep_3/my plate_H12_s4_w2{GUID}.tif", ("my plate", "H12", 4, 2, 3, 1)),
        ("TimePoint_2/Plate_B03_w5.TIF", ("Plate", "B03", 1, 5, 1, 2)),
        ("Plate_B03_s6.tif", ("Plate", "B03", 6, 1, 1, 1)),
        (f"Plate_A01_s1_w1_thumb{GUID}.tif", ("Plate", "A01", 1, 0, 1, 1)),
    ],
)  # fmt: skip
def test_names_of_each_microscope(name, expected):
    found = tabulate.parse(name)
    assert tuple(found[key] for key in ("plate", "well", "site", "channel", "plane", "time")) == expected


@pytest.mark.parametrize(
    "name", ["overview.tif", "Plate_A01.tif", "r1c1.tiff", "IMG_0001.tif", "DC_sCMOS #1_CAM1.tif", "A01_s1_DNA.tif"]
)
def test_other_names_are_no_microscopes(name):
    assert tabulate.parse(name) is None


def test_channels_and_planes_are_named():
    names = tabulate.read_channels("1=DNA, 6z1=Brightfield_L,6z2=Brightfield,7=")
    assert names == {(1, None): "DNA", (6, 1): "Brightfield_L", (6, 2): "Brightfield", (7, None): ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DNA", "expected 1=DNA or 6z1=Brightfield_L, found 'DNA'"),
        ("1=DNA,", "found ''"),
        ("1=D/N", "found '1=D/N'"),
        ("1=DNA,1=ER", "1 occurs twice"),
        ("1=DNA,2=DNA", "the name DNA occurs twice"),
    ],
)
def test_malformed_channels_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        tabulate.read_channels(text)


def phenix(plate="BR1__2021-05-02T16_02_51-Measurement1", planes=(1,), channels=(1, 5), wells=("r01c01", "r02c12")):
    return [
        f"{plate}/Images/{well}f{site:02d}p{plane:02d}-ch{channel}sk1fk1fl1.tiff"
        for well in wells for site in (1, 2) for channel in channels for plane in (planes if channel == 5 else (1,))
    ]  # fmt: skip


def table(files, channels, **options):
    return tabulate.tabulate(files, tabulate.read_channels(channels), **options)


def test_a_table_has_one_row_a_field_and_channel():
    found = table(phenix(planes=(1, 2)), "1=DNA,5z1=Brightfield_L,5z2=Brightfield")
    assert list(found.columns) == ["plate", "well", "site", "channel", "file"] and len(found) == 2 * 2 * 3
    assert found.iloc[0].tolist() == ["BR1", "A01", 1, "Brightfield", phenix()[0].replace("p01-ch1", "p02-ch5")]
    assert set(found["well"]) == {"A01", "B12"}


def test_a_plane_or_channel_can_be_left_out():
    found = table(phenix(planes=(1, 2, 3)), "1=,5z1=,5z2=Brightfield,5z3=")
    assert set(found["channel"]) == {"Brightfield"} and found["file"].str.contains("p02-ch5").all()


def test_thumbnails_are_no_images():
    files = [f"TimePoint_1/P_A01_s1_w{channel}{thumb}{GUID}.tif" for channel in (1, 2) for thumb in ("", "_thumb")]
    found = table(files, "1=DNA,2=ER")
    assert len(found) == 2 and not found["file"].str.contains("thumb").any()


@pytest.mark.parametrize(
    ("files", "channels", "options", "message"),
    [
        (phenix(), "1=DNA", {}, r"channel 5 is not named \(4 images of channel 5\); add 5=NAME, or 5= to leave it out"),
        (phenix(planes=(1, 2)), "1=DNA,5=BF", {}, r"channel 5 has the planes \[1, 2\]; name each: 5z1=NAME,5z2=NAME"),
        (phenix(planes=(1, 2)), "1=DNA,5z1=BF", {}, "channel 5z2 is not named .*add 5z2=NAME"),
        (phenix(), "1=DNA,5=BF,6=ER", {}, r"there is no channel 6, plane any; found channels 1 with planes \[1\], 5 with"),
        (phenix(), "1=DNA,5z4=BF,5z1=", {}, "there is no channel 5, plane 4"),
        ([*phenix(), "x.tif"], "1=DNA,5=BF", {}, r"1 TIFFs, first x.tif: expected names of a Phenix .*or --skip-others"),
        (["x.tif"], "1=DNA", {"skip_others": True}, "1 TIFFs, first x.tif: expected names"),
        ([], "1=DNA", {}, "0 TIFFs: expected names of a Phenix"),
        (phenix() + phenix("BR1__2021-05-03T10_00_00-Measurement2"), "1=DNA,5=BF", {},
         "plate BR1, well A01, site 1, channel BF: both BR1__2021-05-02.*and BR1__2021-05-03.*; give the folder of one"),
        (["r01c01f01p01-ch1sk1fk1fl1.tiff"], "1=DNA", {}, "no folder tells its plate; give --plate NAME"),
        (["P_A01_T0001F001L01A01Z01C01.tif", "P_A01_T0002F001L01A01Z01C01.tif"], "1=DNA", {},
         r"there are the time points \[1, 2\]; choose one: --time 1"),
        (["P_A01_T0001F001L01A01Z01C01.tif"], "1=DNA", {"time": 3}, r"--time 3: there are the time points \[1\]"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused(files, channels, options, message):
    with pytest.raises(ValueError, match=message):
        table(files, channels, **options)


def test_options_settle_it():
    assert len(table([*phenix(), "x.tif"], "1=DNA,5=BF", skip_others=True)) == 8
    assert set(table(["r01c01f01p01-ch1sk1fk1fl1.tiff"], "1=DNA", plate="mine")["plate"]) == {"mine"}
    times = [f"P_A01_T000{time}F001L01A01Z01C01.tif" for time in (1, 2)]
    assert list(table(times, "1=DNA", time=2)["file"]) == times[1:]


def test_the_command_makes_a_table_that_the_index_reads(tmp_path):
    """A CV8000's export: two stains, one brightfield action of three planes."""
    names = {(1, 1): "DNA", (2, 1): "ER", (6, 1): "Brightfield_L", (6, 2): "Brightfield", (6, 3): "Brightfield_H"}
    for well in ("A01", "P24"):
        for channel, plane in names:
            name = f"P1_{well}_T0001F001L01A{channel:02d}Z{plane:02d}C{channel:02d}.tif"
            store.write_raw(tmp_path / "export" / "P1" / name, raw_image(name, SHAPE))
    text = ",".join(f"{channel}z{plane}={name}" for (channel, plane), name in names.items())
    tabulate.main([str(tmp_path / "export"), "--channels", text, "--table", str(tmp_path / "images.csv")])
    settings = index_settings(
        tmp_path / "export", list(names.values()), {"plate": "P1", "role": "study"}, layout="table",
        table=str(tmp_path / "images.csv"),
    )  # fmt: skip
    found, lacking = index.index_plate(settings)
    assert len(found) == 10 and lacking.empty
    assert found["key"][0] == "P1/P1_A01_T0001F001L01A01Z01C01.tif" and found["Channel"][0] == "DNA"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="none: there is no such folder; expected one with a microscope's TIFFs"):
        tabulate.main([str(tmp_path / "none"), "--channels", "1=DNA", "--table", str(tmp_path / "x.csv")])


def test_linked_plate_folders_are_listed(tmp_path):
    """Two plates of an export that lie on other disks: 4 of 4 TIFFs were listed, and these two plates were gone."""
    for n, plate in enumerate(("BR1", "BR2", "BR3", "BR4")):
        folder = tmp_path / ("export" if n < 2 else "disk 2") / f"{plate}__2021-05-02-Measurement1"
        for name in phenix(planes=(1,), channels=(1,), wells=("r01c01",)):
            file = folder / "Images" / name.rpartition("/")[2]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        if n >= 2:
            (tmp_path / "export" / folder.name).symlink_to(folder)
    assert len(tabulate.list_files(tmp_path / "export")[0]) == 8
    assert set(table(tabulate.list_files(tmp_path / "export")[0], "1=DNA")["plate"]) == {"BR1", "BR2", "BR3", "BR4"}
    (tmp_path / "export" / "BR5").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match="export/BR5: a link to .*gone, where nothing is; mend the link, or remove it"):
        tabulate.list_files(tmp_path / "export")[0]


def test_a_plate_with_blanks_in_its_name_gets_one_that_the_plate_table_can_hold(tmp_path):
    files = [file.replace("BR1__", "My Plate 1 (new)__") for file in phenix()]
    found = table(files, "1=DNA,5=BF")
    assert set(found["plate"]) == {"My_Plate_1_new_"} and found["file"].str.startswith("My Plate 1 (new)__").all()
    row = {"plate": "My_Plate_1_new_", "role": "study"}
    assert schema.validate(row, ROOT / "workflow/schemas/plates.schema.yaml", "plates.tsv") == row
    assert set(table(files, "1=DNA,5=BF", plate="Ma plaque n. 2")["plate"]) == {"Ma_plaque_n_2"}
    other = [file.replace("BR1__", "My.Plate.1 (new)__") for file in phenix(wells=("r03c03",))]
    with pytest.raises(
        ValueError, match=r"plates 'My Plate 1 \(new\)', 'My.Plate.1 \(new\)' can't be told apart .*--plate NAME"
    ):
        table(files + other, "1=DNA,5=BF")
    for plate in ("My Plate 1", "My_Plate_1"):  # as tabulate has it, or written by hand
        store.write_raw(tmp_path / "a.tif", raw_image("a.tif", SHAPE))
        (tmp_path / "images.csv").write_text(f"plate,well,site,channel,file\n{plate},A01,1,DNA,a.tif\n")
        settings = index_settings(
            tmp_path,
            ["DNA"],
            {"plate": "My_Plate_1", "role": "study"},
            layout="table",
            table=str(tmp_path / "images.csv"),
        )
        assert index.index_plate(settings)[0]["Metadata_Plate"].tolist() == ["My_Plate_1"]


def image_of(channel: int, plane: int, more: str) -> str:
    return (
        f"<Image Version='1'><id>x</id><State>Ok</State><URL>r01c01f01p{plane:02d}-ch{channel}sk1fk1fl1.tiff</URL><Row>1</Row>"
        f"<PlaneID>{plane}</PlaneID><ChannelID>{channel}</ChannelID><PositionZ Unit='m'>{(2 - plane) * 6e-6}</PositionZ>{more}"
        "</Image>"
    )


OLD = "<ChannelName>BF</ChannelName><ImageResolutionX Unit='m'>5.9797E-07</ImageResolutionX>"
ONCE = f"<Maps><Map><Entry ChannelID='5'>{OLD}<CameraType>x</CameraType></Entry></Map></Maps>"


@pytest.mark.parametrize(("name", "once", "each"), [("Index.xml", "", OLD), ("Index.idx.xml", ONCE, "")])
def test_an_index_beside_the_images_of_a_phenix_tells_pixels_and_planes(tmp_path, caplog, name, once, each):
    folder = tmp_path / "BR1__2021" / "Images"
    folder.mkdir(parents=True)
    images = "".join(image_of(5, plane, each) for plane in (1, 2, 3))
    text = f"<EvaluationInputData xmlns='http://www.perkinelmer.com/PEHH/HarmonyV5'>{once}<Images>{images}</Images></EvaluationInputData>"
    (folder / name).write_text(text)
    for plane in (1, 2):
        (folder / f"r01c01f01p{plane:02d}-ch5sk1fk1fl1.tiff").touch()
    words = [str(tmp_path), "--channels", "5z1=Brightfield_H,5z2=Brightfield", "--table", str(tmp_path / "images.csv")]
    with caplog.at_level("INFO"):
        tabulate.main(words)
    assert f"BR1__2021/Images/{name}: a pixel is 0.598 um: set pixel_size_um to it" in caplog.text
    assert "channel 5 (BF): planes from the lowest: 3 (-6 um), 2 (+0 um), 1 (+6 um)" in caplog.text
    assert "1 of its 3 images are not there, first r01c01f01p03-ch5sk1fk1fl1.tiff" in caplog.text
    (folder / name).write_text(text[:400])
    with pytest.raises(
        ValueError, match=rf"{name}: expected the index of a Harmony export, found one .*; copy it again, or take"
    ):
        tabulate.main(words)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*{well}_s{site}.tif", "img_AA01_s12.tif", {"well": "AA01", "site": 12}),
        ("*{well}_*{site}.tif", "img_Aa01_s12.tif", {"well": "Aa01", "site": 12}),
        ("{plate}{well}_{site}.tif", "P1Aa01_3.tif", {"plate": "P1", "well": "Aa01", "site": 3}),
        ("img{well}.tif", "imgA01.tif", {"well": "A01"}),
        ("*_{site}z{plane}.tif", "x_10z11.tif", {"site": 10, "plane": 11}),
    ],
)
def test_what_stands_before_takes_nothing_of_a_well_or_number(pattern, name, expected):
    """`*` took the first letter of row AA, so that row 27 was row 1, and the first digits of a site."""
    assert tabulate.pattern_parser(pattern)(name) == expected


def test_wells_of_1536_are_read_and_quarters_refused_with_what_is_read():
    files = [f"P_{well}_s1_w1.tif" for well in ("Aa01", "AB2", "AF48")]
    found = tabulate.tabulate(files, {(1, None): "DNA"}, parser=tabulate.pattern_parser("{plate}_{well}_s{site}_*.tif"))
    assert list(found["well"]) == ["AA01", "AB02", "AF48"]
    with pytest.raises(
        ValueError, match="well such as A01, found 'A01.a1'; .*Aa1 or AA01 as row 27.*A01.a1 is not read: give row"
    ):
        platemaps.normal_well("A01.a1", "x.csv")
