"""The index: load_data dialects, platemaps and metadata (real ones where they are there), own CSVs, and every refusal."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.plates import compounds, index, load_data, missing, own_table, platemaps
from brightpaint.plates.folder import FolderSource
from brightpaint.report.tables import missing_table
from brightpaint.study.annotations import NUMBERS, REQUIRED
from plates_fixture import (
    CHANNELS,
    COMPOUNDS,
    IMAGES,
    LOAD_DATA,
    PLATE,
    PLATEMAPS,
    SHAPE,
    WELLS,
    file_name,
    index_settings,
    raw_image,
    write_gallery,
)


@pytest.fixture
def mirror(tmp_path):
    return write_gallery(tmp_path / "mirror", sites=1)


def change_load_data(mirror, change) -> None:
    """Rewrite the plate's load_data through `change(frame)`."""
    frame = pd.read_csv(mirror / LOAD_DATA, dtype=str, keep_default_na=False)
    store.write_table(change(frame), mirror / LOAD_DATA)


def change_column(column: str, row: int, value: str):
    def change(frame):
        frame.loc[row, column] = value
        return frame

    return change


# --- the gallery's layout ---


def test_one_row_a_field_and_channel_in_order(mirror):
    table, lacking = index.index_plate(index_settings(mirror))
    assert len(table) == 4 * 4 and lacking.empty
    assert list(table["Metadata_Well"]) == [well for well in sorted(WELLS) for _ in CHANNELS]
    assert list(table["Channel"]) == CHANNELS * 4
    first = table.iloc[0]
    assert first["key"] == f"{IMAGES}/{file_name('A01', 1, CHANNELS[0])}"
    assert first["file"] == "A01_s1_Brightfield_L.tif" and first["etag"] == ""
    assert first["size"] == (mirror / first["key"]).stat().st_size
    assert (table["Metadata_Plate"] == "P1").all() and (table["Metadata_Source"] == "source_2").all()
    wells = table.drop_duplicates("Metadata_Well").set_index("Metadata_Well")[REQUIRED]
    assert wells.loc["A01"].tolist() == ["BRD-1", "AKT1", ""]
    assert wells.loc["B01"].tolist() == ["DMSO", "", "negcon"]
    assert wells.loc["B02"].tolist() == ["BRD-3", "PLK1", "poscon_cp"]


def test_settings_choose_channels_and_their_order(mirror):
    table, _ = index.index_plate(index_settings(mirror, ["DNA", "Brightfield"]))
    assert list(table["Channel"]) == ["DNA", "Brightfield"] * 4


def test_the_command_writes_the_same_bytes_twice(mirror, tmp_path):
    for name in ("one", "two"):
        index.main(arguments(index_settings(mirror), tmp_path / name))
    one, two = (tmp_path / name / "P1.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in one.parent.iterdir()) == ["P1.parquet", "P1.tsv"]
    assert (one.parent / "P1.tsv").read_text().splitlines() == ["\t".join(missing.MISSING)]
    table = store.read_table(one)
    assert table["Metadata_Site"].dtype == np.int64 and table["size"].dtype == np.int64
    assert not table.drop(columns=NUMBERS).isna().any(axis=None) and (table[NUMBERS].dtypes == np.float64).all()


def as_urls(frame):
    for channel in CHANNELS:
        names = frame.pop(f"FileName_Orig{channel}")
        frame.pop(f"PathName_Orig{channel}")
        frame[f"URL_Orig{channel}"] = f"s3://cellpainting-gallery/{IMAGES}/" + names
    return frame


def as_s3_paths(frame):
    for channel in CHANNELS:
        frame[f"PathName_Orig{channel}"] = f"s3://cellpainting-gallery/{IMAGES}/"
    return frame


def as_own_machine(frame):
    for channel in CHANNELS:
        frame[f"PathName_Orig{channel}"] = "/media/disk/run 7/1053600674"
    return frame


def with_aliases(frame):
    return frame.rename(columns=lambda name: name.replace("Brightfield_L", "LowZBF"))


def with_numbers(frame):
    return frame.assign(Metadata_Well=["a1", "A2", "B1", "b02"], Metadata_Site="1.0")


@pytest.mark.parametrize("dialect", [as_urls, as_s3_paths, as_own_machine, with_aliases, with_numbers])
def test_every_dialect_gives_the_same_index(mirror, dialect):
    expected, _ = index.index_plate(index_settings(mirror))
    change_load_data(mirror, dialect)
    found, _ = index.index_plate(index_settings(mirror))
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("name", ["load_data.csv.gz", "load_data_with_illum.parquet", "load_data.parquet"])
def test_every_form_of_load_data_gives_the_same_index(mirror, name):
    expected, _ = index.index_plate(index_settings(mirror))
    frame = pd.read_csv(mirror / LOAD_DATA, dtype={"Metadata_Plate": str})
    (mirror / LOAD_DATA).unlink()
    path = (mirror / LOAD_DATA).parent / name
    frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)
    found, _ = index.index_plate(index_settings(mirror))
    pd.testing.assert_frame_equal(found, expected)


def test_the_table_that_has_the_channels_is_taken(mirror):
    """load_data_with_illum often lacks the brightfield planes that load_data has."""
    frame = pd.read_csv(mirror / LOAD_DATA, dtype=str)
    stains = frame.drop(columns=[column for column in frame.columns if "Brightfield" in column])
    store.write_table(stains, (mirror / LOAD_DATA).parent / "load_data_with_illum.csv")
    table, _ = index.index_plate(index_settings(mirror))
    assert set(table["Channel"]) == set(CHANNELS)


# --- refusals ---


def refuses(mirror, message: str, **changes):
    with pytest.raises(ValueError, match=message):
        index.index_plate(index_settings(mirror, **changes))


def test_a_missing_channel_names_the_aliases_and_what_is_there(mirror):
    refuses(
        mirror,
        "channel Brightfield_H is missing; expected one of Brightfield_H, .*HighZBF.*found the channels Brightfield, "
        "Brightfield_L, DNA, RNA. Correct config channels, or add the other name to resources/channels.tsv",
        channels=["Brightfield_H"],
    )


def test_a_missing_file_is_an_error_that_names_everything(mirror):
    (mirror / IMAGES / file_name("A02", 1, "RNA")).unlink()
    refuses(
        mirror,
        rf"plate P1, well A02, site 1, channel RNA: expected .*{file_name('A02', 1, 'RNA')}, but the file is not there "
        r"\(1 of 16 images are missing\); .*source.missing: skip",
    )


def test_an_empty_file_and_an_empty_cell_are_missing(mirror):
    (mirror / IMAGES / file_name("A02", 1, "RNA")).write_bytes(b"")
    refuses(mirror, "well A02, site 1, channel RNA: expected .*, but the file is empty")
    (mirror / IMAGES / file_name("A02", 1, "RNA")).write_bytes(b"x")
    change_load_data(mirror, change_column("FileName_OrigDNA", 0, ""))
    refuses(mirror, "well A01, site 1, channel DNA: expected a file, but no file is named for it")


def arguments(settings: dict, folder) -> list[str]:
    return [
        "--settings",
        json.dumps(settings),
        "--index",
        str(folder / "P1.parquet"),
        "--missing",
        str(folder / "P1.tsv"),
    ]


def test_skip_leaves_the_field_out_and_lists_it(mirror, tmp_path):
    (mirror / IMAGES / file_name("A02", 1, "RNA")).unlink()
    (mirror / IMAGES / file_name("A02", 1, "DNA")).unlink()
    command = arguments(index_settings(mirror, missing="skip"), tmp_path)
    index.main(command)
    assert sorted(set(store.read_table(tmp_path / "P1.parquet")["Metadata_Well"])) == ["A01", "B01", "B02"]
    listed = store.read_table(tmp_path / "P1.tsv")
    assert listed[["Metadata_Well", "Metadata_Site", "Channel"]].values.tolist() == [
        ["A02", 1, "DNA"],
        ["A02", 1, "RNA"],
    ]
    assert set(listed["reason"]) == {"the file is not there"}
    for channel in ("RNA", "DNA"):
        store.write_raw(mirror / IMAGES / file_name("A02", 1, channel), raw_image("x"))
    index.main(command)
    assert store.read_table(tmp_path / "P1.tsv").empty


def test_wells_and_sites_that_load_data_lacks_are_missing(mirror, tmp_path):
    """As source_10's load_data lacks wells: the platemap and the other wells say what there should be."""
    write_gallery(mirror, sites=2)
    change_load_data(
        mirror,
        lambda f: f[(f["Metadata_Well"] != "A02") & ~((f["Metadata_Well"] == "B01") & (f["Metadata_Site"] == "2"))],
    )
    refuses(mirror, r"plate P1, well A02, site 1, channel Brightfield_L: expected a file, but the field is not listed "
            r"\(12 of 32 images are missing\)")  # fmt: skip
    table, lacking = index.index_plate(index_settings(mirror, missing="skip"))
    assert lacking[["Metadata_Well", "Metadata_Site"]].drop_duplicates().values.tolist() == [
        ["A02", 1],
        ["A02", 2],
        ["B01", 2],
    ]
    assert len(table) == 5 * 4


def test_an_empty_well_without_images_is_not_missing(mirror, tmp_path):
    (tmp_path / "mine.tsv").write_text("broad_sample\ttarget\nBRD-1\tA\n")
    path = mirror / PLATEMAPS / "platemap" / "map1.txt"
    path.write_text(path.read_text() + "C01\t\t\n")
    table, lacking = index.index_plate(index_settings(mirror, compounds=str(tmp_path / "mine.tsv")))
    assert len(table) == 16 and lacking.empty


def test_a_refusal_lists_what_is_missing_in_the_log(mirror, caplog):
    for channel in ("RNA", "DNA"):
        (mirror / IMAGES / file_name("A02", 1, channel)).unlink()
    refuses(mirror, "2 of 16 images are missing")
    assert [record.message.partition("channel ")[2][:3] for record in caplog.records] == ["DNA", "RNA"]
    assert "missing: plate P1, well A02, site 1, channel DNA: the file is not there" in caplog.text


# --- part of a plate ---


def some(**chosen) -> dict:
    return {**PLATE, **chosen}


def test_a_plate_row_names_wells_and_sites(mirror):
    write_gallery(mirror, sites=2)
    table, lacking = index.index_plate(index_settings(mirror, plate=some(wells="A01,A02:B02", sites="2")))
    assert sorted(set(table["Metadata_Well"])) == ["A01", "A02", "B02"] and set(table["Metadata_Site"]) == {2}
    assert lacking.empty  # what was not asked for is not missing
    refuses(mirror, "plate P1: well C01 of the plate table is not on the platemap .1 such wells.; correct its column",
            plate=some(wells="A01:C01"))  # fmt: skip
    refuses(mirror, "plate P1, well A01, site 3, channel .*: expected a file, but the field is not listed",
            plate=some(sites="1,3"))  # fmt: skip
    refuses(
        mirror,
        "plate P1: no images are left; correct wells, sites and fields in the plate table",
        plate=some(sites="9"),
    )


def test_a_plate_row_lists_its_fields(mirror, tmp_path):
    """One field a well by a list: the others are neither fetched nor missing, and those that are not there are."""
    write_gallery(mirror, sites=2)
    path = tmp_path / "list.txt"
    path.write_text("1053600674/A01/2\nP1/B01/1\n1053600674__day-Measurement1/Images/r02c02f01p01\nP2/A02/1\n")
    table, lacking = index.index_plate(index_settings(mirror, plate=some(fields=str(path))))
    fields = set(zip(table["Metadata_Well"], table["Metadata_Site"]))
    assert fields == {("A01", 2), ("B01", 1), ("B02", 1)} and lacking.empty
    path.write_text("P1/A01/2\nP1/B01/3\n")
    refuses(mirror, "plate P1, well B01, site 3, channel .*: expected a file, but the field is not listed",
            plate=some(fields=str(path)))  # fmt: skip
    table, lacking = index.index_plate(index_settings(mirror, plate=some(fields=str(path)), missing="skip"))
    assert len(table) == 4 and set(lacking["Metadata_Well"]) == {"B01"} and len(lacking) == 4
    path.write_text("P1/A01/2\nP1/C01/1\n")
    refuses(mirror, "plate P1: well C01 of the plate table is not on the platemap .*; correct its column fields, .*list.txt",
            plate=some(fields=str(path)))  # fmt: skip


def test_the_exclusion_file_may_name_fields(mirror, tmp_path):
    """The way past a file that is broken at its source."""
    write_gallery(mirror, sites=2)
    path = tmp_path / "exclude.txt"
    path.write_text("P1/A01/2  # blurred\n1053600674/A02/1\nother/B01/1\n")
    table, lacking = index.index_plate(index_settings(mirror, exclude=str(path)))
    assert len(table) == 6 * 4
    assert set(lacking["reason"]) == {"left out by source.exclude"} and len(lacking) == 8
    assert set(zip(lacking["Metadata_Well"], lacking["Metadata_Site"])) == {("A01", 2), ("A02", 1)}


def test_skip_with_nothing_left_is_an_error(mirror):
    for well in WELLS:
        (mirror / IMAGES / file_name(well, 1, "RNA")).unlink()
    refuses(mirror, "plate P1: every field lacks a file", missing="skip")


def test_a_field_listed_twice_is_refused(mirror):
    change_load_data(mirror, lambda frame: pd.concat([frame, frame[:1]]))
    refuses(mirror, "well A01, site 1, channel Brightfield_L: expected one row, found it listed twice, again as")


def test_one_file_for_two_channels_is_refused(mirror):
    change_load_data(mirror, change_column("FileName_OrigDNA", 0, file_name("A01", 1, "RNA")))
    refuses(
        mirror, "found it named for both plate P1, well A01, site 1, channel DNA and .* channel RNA; correct the table"
    )


def test_a_well_that_the_platemap_does_not_list_is_one_of_nothing_and_counted(mirror, caplog):
    path = mirror / PLATEMAPS / "platemap" / "map1.txt"
    path.write_text(path.read_text().replace("A02\tBRD-2\tDMSO\n", ""))
    table, lacking = index.index_plate(index_settings(mirror))
    assert len(table) == 4 * 4 and lacking.empty
    held = table[table["Metadata_Well"] == "A02"].iloc[0]
    assert (held[REQUIRED] == "").all() and held["Metadata_treatment"] == "" and np.isnan(held["Metadata_dose"])
    assert "plate P1: 1 wells with images are not on the platemap: wells of nothing (A02)" in caplog.text
    assert missing_table.count_missing("P1", table, lacking)["wells of nothing known"] == 1
    named, _ = index.index_plate(index_settings(mirror, plate=some(wells="A02:B02")))  # such a well can be chosen
    assert sorted(set(named["Metadata_Well"])) == ["A02", "B02"]


def test_a_platemap_that_lists_few_of_the_wells_is_another_plates(mirror):
    path = mirror / PLATEMAPS / "platemap" / "map1.txt"
    path.write_text("well_position\tbroad_sample\nA01\tBRD-1\nP01\tBRD-2\nP02\tBRD-3\n")
    refuses(
        mirror,
        "plate P1, well A02, site 1, .*: expected a well of the platemap, found .* not on the platemap .3 such wells of 4.*"
        "check that the plate's platemap is the right one",
    )


@pytest.mark.parametrize("well", ["", "A00", "1A", "A1; rm -rf x", "../x", "AAA1"])
def test_malformed_wells_are_refused(mirror, well):
    change_load_data(mirror, change_column("Metadata_Well", 0, well))
    refuses(mirror, "expected a well such as A01, found")


@pytest.mark.parametrize("site", ["0", "x", "", "1.5", "-1"])
def test_malformed_sites_are_refused(mirror, site):
    change_load_data(mirror, change_column("Metadata_Site", 0, site))
    refuses(mirror, "well A01: expected a site number from 1, found")


def test_a_file_that_would_leave_the_folder_is_refused(mirror):
    change_load_data(mirror, change_column("FileName_OrigDNA", 0, "../../../../../../etc/passwd"))
    refuses(mirror, "plate P1, well A01, site 1, channel DNA.* would leave its folder")


def test_a_plate_that_load_data_does_not_hold_is_refused(mirror):
    change_load_data(mirror, lambda frame: frame.assign(Metadata_Plate="other"))
    refuses(mirror, "no row of plate 1053600674; found other; set barcode")


def test_platemap_faults_are_named(mirror):
    path = mirror / PLATEMAPS / "platemap" / "map1.txt"
    whole = path.read_text()
    path.write_text(whole.replace("broad_sample", "sample"))
    refuses(mirror, r"map1.txt \(plate P1\): expected the columns broad_sample, found well_position, sample, solvent")
    path.write_text(whole + "A01\tBRD-9\tDMSO\n")
    refuses(mirror, "expected one row a well, found well A01 twice")
    path.unlink()
    refuses(mirror, "map1.txt: there is no such file")
    store.write_table(
        pd.DataFrame({"Assay_Plate_Barcode": ["x"], "Plate_Map_Name": ["m"]}),
        mirror / PLATEMAPS / "barcode_platemap.csv",
    )
    refuses(mirror, r"barcode_platemap.csv \(plate P1\): expected one platemap of plate 1053600674, found none")


def test_a_platemap_name_cannot_leave_its_folder(mirror):
    frame = pd.DataFrame({"Assay_Plate_Barcode": ["1053600674"], "Plate_Map_Name": ["../../../secret"]})
    store.write_table(frame, mirror / PLATEMAPS / "barcode_platemap.csv")
    refuses(mirror, "would leave its folder")


def test_broken_tables_are_named(mirror):
    (mirror / LOAD_DATA).write_bytes(b"")
    refuses(mirror, "load_data.csv: not a readable table")
    for name, kind in (("load_data.parquet", "parquet"), ("load_data_with_illum.csv.gz", "gzip")):
        (mirror / LOAD_DATA).with_name(name).write_bytes(b"broken")
        refuses(mirror, f"{name}: not a .*{kind} file")


def test_without_metadata_the_next_step_is_said(mirror):
    (mirror / COMPOUNDS).unlink()
    refuses(
        mirror, "external_metadata/: no .tsv with the columns broad_sample and target or target_list; set source.comp"
    )


# --- compounds, exclusions ---


def test_compounds_of_ones_own_override_the_gallery(mirror, tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("broad_sample\ttarget_list\tcontrol_type\nBRD-1\tB|A|B\tNA\nBRD-2\tNA\tNA\nBRD-3\tC\tNA\n")
    table, _ = index.index_plate(index_settings(mirror, compounds=str(path)))
    wells = table.drop_duplicates("Metadata_Well").set_index("Metadata_Well")[REQUIRED]
    assert wells.loc["A01"].tolist() == ["BRD-1", "A|B", ""]
    assert wells.loc["A02"].tolist() == ["BRD-2", "", ""]
    assert wells.loc["B01"].tolist() == ["DMSO", "", "negcon"]
    refuses(mirror, "source.compounds: cannot read /none.tsv .No such file", compounds="/none.tsv")


def test_metadata_of_other_samples_are_refused(mirror, tmp_path):
    path = tmp_path / "other.tsv"
    path.write_text("broad_sample\ttarget\nX-1\tA\n")
    refuses(
        mirror, "none of its 3 samples .such as BRD-1. is in the compound metadata .such as X-1.", compounds=str(path)
    )


def test_files_that_disagree_ask_for_one(mirror):
    other = mirror / COMPOUNDS.replace("compounds", "targets")
    other.write_text("broad_sample\ttarget_list\tcontrol_type\tpert_iname\nBRD-1\tAKT1|AKT2\t\tone\n")
    refuses(
        mirror,
        "compounds.tsv and .*targets.tsv disagree on BRD-1: 'AKT1', '' and 'AKT1|AKT2', ''; set source.compounds",
    )


def test_excluded_perturbations_lose_their_wells(mirror, tmp_path):
    path = tmp_path / "exclude.txt"
    path.write_text("# toxic\nBRD-2\nBRD-3  # and dead\n\n")
    table, _ = index.index_plate(index_settings(mirror, exclude=str(path)))
    assert sorted(set(table["Metadata_Well"])) == ["A01", "B01"]
    path.write_text("\n".join(["DMSO", "BRD-1", "BRD-2", "BRD-3"]))
    refuses(mirror, "exclude.txt: excludes every well with images", exclude=str(path))


def test_what_counts_as_dmso():
    known = compounds.compound_table(
        pd.DataFrame(
            {"broad_sample": ["", "S1", "S2", "S3", "S4"], "target": ["", "T", "", "", "U"],
             "control_type": ["negcon", "", "negcon", "negcon", "poscon"], "pert_iname": ["DMSO", "x", "DMSO", "LacZ", "y"]}
        ), "c.tsv",
    )  # fmt: skip
    platemap = pd.DataFrame(
        {"well_position": ["A1", "A2", "A3", "A4", "A5", "A6"], "broad_sample": ["", "S1", "S2", "S3", "S4", "S9"]}
    )
    wells = platemaps.annotate_wells(platemap, known, "map").set_index("Metadata_Well")[REQUIRED]
    assert wells.loc["A01"].tolist() == wells.loc["A03"].tolist() == ["DMSO", "", "negcon"]
    assert wells.loc["A02"].tolist() == ["S1", "T", ""]
    assert wells.loc["A04"].tolist() == ["S3", "", "negcon"]  # a negative control that is not DMSO keeps its name
    assert wells.loc["A05"].tolist() == ["S4", "U", "poscon"]
    assert wells.loc["A06"].tolist() == ["S9", "", ""]  # not in the metadata


def test_a_blank_well_without_dmso_is_empty():
    nothing = compounds.merge_compounds({}, set())
    platemap = pd.DataFrame({"well_position": ["A1", "A2"], "broad_sample": ["", ""], "solvent": ["DMSO", ""]})
    wells = platemaps.annotate_wells(platemap, nothing, "map")
    assert wells["Metadata_perturbation"].tolist() == ["DMSO", ""]
    assert wells["Metadata_control_type"].tolist() == ["negcon", ""]


def test_a_sample_with_two_control_types_is_refused():
    frame = pd.DataFrame({"broad_sample": ["S", "S"], "target": ["A", "B"], "control_type": ["negcon", "poscon"]})
    with pytest.raises(ValueError, match="c.tsv: S has the control types negcon, poscon; keep one"):
        compounds.compound_table(frame, "c.tsv")
    merged = compounds.compound_table(frame.assign(control_type=""), "c.tsv")
    assert merged["target"].tolist() == ["A|B"]


# --- the user's own CSV ---


@pytest.fixture
def own(tmp_path):
    """A folder of TIFFs in no one's layout, and a CSV that names them."""
    rows = []
    for well, perturbation in {"A1": "drug", "A2": "DMSO", "B1": ""}.items():
        for channel in ("BF", "DNA"):
            name = f"images/{well} {channel}.tiff"
            store.write_raw(tmp_path / name, raw_image(name, SHAPE))
            target = "KRAS|AKT1" if perturbation == "drug" else ""
            rows.append(["mine", well, 1, channel, name, perturbation, target])
    frame = pd.DataFrame(rows, columns=[*own_table.TABLE_COLUMNS, "perturbation", "target"])
    store.write_table(frame, tmp_path / "images.csv")
    return tmp_path, frame


def own_settings(folder, channels=("Brightfield", "DNA"), **changes):
    table = {"layout": "table", "table": str(folder / "images.csv"), **changes}
    return index_settings(folder, list(channels), {"plate": "mine", "role": "study"}, **table)


def test_ones_own_images_make_an_index(own):
    folder, _ = own
    table, lacking = index.index_plate(own_settings(folder))
    assert lacking.empty and list(table["Channel"]) == ["Brightfield", "DNA"] * 3  # BF is an alias
    assert table["key"][0] == "images/A1 BF.tiff" and table["file"][0] == "A01_s1_Brightfield.tif"
    wells = table.drop_duplicates("Metadata_Well").set_index("Metadata_Well")[REQUIRED]
    assert wells.loc["A01"].tolist() == ["drug", "AKT1|KRAS", ""]
    assert wells.loc["A02"].tolist() == ["DMSO", "", "negcon"]
    assert wells.loc["B01"].tolist() == ["", "", ""]  # not said, so not DMSO
    assert (table["Metadata_Source"] == "").all()


def test_two_rows_of_the_study_can_share_a_barcode(own):
    folder, _ = own
    settings = own_settings(folder)
    settings["plate"] = {"plate": "half", "barcode": "mine", "role": "study", "region": "1"}
    table, _ = index.index_plate(settings)
    assert (table["Metadata_Plate"] == "half").all() and len(table) == 6


def test_perturbations_are_optional(own):
    folder, frame = own
    store.write_table(frame[own_table.TABLE_COLUMNS], folder / "images.csv")
    table, _ = index.index_plate(own_settings(folder))
    assert (table[REQUIRED] == "").all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="site"), "expected the columns site, found plate, well"),
        (lambda f: f.rename(columns={"perturbation": "perturbaton"}), "unknown column perturbaton; did you mean pert"),
        (lambda f: f.assign(plate="other"), "no row of plate mine; found other"),
        (
            lambda f: f.assign(file="../x.tif"),
            "plate mine, well A01, site 1, channel Brightfield.* would leave its folder",
        ),
        (lambda f: f.assign(file="/etc/x.tif"), "would leave its folder"),
        (
            lambda f: pd.concat([f, f[:1]]),
            "well A01, site 1, channel Brightfield: expected one row, found it listed",
        ),
        (lambda f: f.assign(target=[*"abcdef"]), "the rows of well A01 disagree on perturbation, target"),
        (lambda f: f[f["channel"] != "DNA"], "channel DNA is missing; expected one of DNA, .*; found the channels BF"),
        (lambda f: f[1:], "well A01, site 1, channel Brightfield: expected a file, but no file is named for it"),
        (lambda f: f.assign(file=f["file"].str.replace("A1", "A9")), "A9 BF.tiff, but the file is not there"),
    ],
)
def test_faults_of_ones_own_table_are_named(own, change, message):
    folder, frame = own
    store.write_table(change(frame.copy()), folder / "images.csv")
    with pytest.raises(ValueError, match=message):
        index.index_plate(own_settings(folder))


def test_two_aliases_of_one_channel_are_refused(own):
    folder, frame = own
    store.write_table(
        pd.concat([frame, frame[frame["channel"] == "BF"].assign(channel="MidZBF")]), folder / "images.csv"
    )
    with pytest.raises(ValueError, match=r"channel Brightfield is there under 2 names \(BF, MidZBF\)"):
        index.index_plate(own_settings(folder))


def test_layout_table_needs_a_table(own):
    with pytest.raises(ValueError, match="source.table: layout table needs a CSV with the columns plate, well"):
        index.index_plate(own_settings(own[0], table=None))


# --- pure look-ups ---


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"URL_OrigX": "s3://bucket/a/b c.tif"}, "a/b c.tif"),
        ({"URL_OrigX": "https://bucket.s3.amazonaws.com/a/b%20c.tif"}, "a/b c.tif"),
        ({"URL_OrigX": "https://s3.us-east-1.amazonaws.com/bucket/a/b.tif"}, "a/b.tif"),
        ({"PathName_OrigX": "s3://bucket/a/", "FileName_OrigX": "b.tif"}, "a/b.tif"),
        ({"PathName_OrigX": "/home/ubuntu/bucket/cpg/s/images/p", "FileName_OrigX": "b.tif"}, "cpg/s/images/p/b.tif"),
        ({"PathName_OrigX": "/elsewhere/p", "FileName_OrigX": "b.tif"}, None),
    ],
)
def test_keys_from_rows(row, expected):
    assert load_data.key_of(row, "X", "cpg") == expected


def test_look_up_prefers_the_folder_that_the_path_ends_in():
    keys = ["root/P__Measurement1/Images/f.tif", "root/P__Measurement2/Images/f.tif"]
    path = "/disk/P__Measurement2/Images/"
    assert load_data.look_up(path, "f.tif", keys, "x") == "root/P__Measurement2/Images/f.tif"
    assert load_data.look_up(path, "g.tif", [], "x") is None
    with pytest.raises(ValueError, match="x: f.tif is there twice, as root/P__Measurement1"):
        load_data.look_up("/disk/Images", "f.tif", keys, "x")


# --- real tables ---

REAL = {
    "DCP_example_cpg0016_BR00117035_load_data.csv.gz": ("BR00117035", "cpg0016-jump", ["AGP", "DNA", "ER", "Mito", "RNA"]),
    "test_BR00126114_load_data_with_illum.parquet": ("BR00126114", "cpg0016-jump", ["AGP", "DNA", "ER", "Mito", "RNA"]),
    "cpg0014_BR00135669_load_data_with_illum.csv.gz": (
        "BR00135669", "cpg0014-jump-adipocyte",
        ["AGP", "Brightfield", "Brightfield_H", "Brightfield_L", "DNA", "ER", "Mito", "RNA"],
    ),
    "PCCMA_BR00143976_load_data_with_illum.head20.csv": (
        "BR00143976", "none", ["AGP", "Brightfield", "DNA", "ER", "Mito", "RNA"],
    ),
    "Stain3_BR00115134_load_data.head20.csv": ("BR00115134", "none", ["AGP", "Brightfield", "DNA", "ER", "Mito", "RNA"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_load_data(real_data, name, tmp_path):
    """Each real table yields a key per field and channel that lies where its plate lies (or is looked up by name)."""
    barcode, project, channels = REAL[name]
    data = (real_data / "load_data" / name).read_bytes()
    table, count = load_data.read(io.BytesIO(data), name), len(list(load_data.read(io.BytesIO(data), name).rows))
    assert load_data.image_columns(table.columns) == channels
    chosen = load_data.match_channels(channels, channels, load_data.read_aliases(), name)
    batch = {"cpg0016-jump": None}.get(project, "b")
    plate = {"plate": "P", "barcode": barcode, "project": project, "source": "s", "batch": batch or "b"}
    found = load_data.image_files(table, chosen, plate, FolderSource(tmp_path), name)
    files = pd.DataFrame(found, columns=["Metadata_Well", "Metadata_Site", "Channel", "key"])
    assert len(files) == count * len(channels) > 0
    assert not files.duplicated(["Metadata_Well", "Metadata_Site", "Channel"]).any() and files["key"].is_unique
    start = "none/s/images/b/images/" if project == "none" else f"{project}/"
    assert files["key"].str.startswith(start).all() and files["key"].str.endswith(".tiff").all()
    if name.startswith("DCP"):
        assert files["key"][0] == (
            "cpg0016-jump/source_4/images/2021_04_26_Batch1/images/BR00117035__2021-05-02T16_02_51-Measurement1/Images/"
            "r01c01f01p01-ch2sk1fk1fl1.tiff"
        )


def real_wells(real_data, metadata: str) -> pd.DataFrame:
    folder = real_data / "metadata"
    platemap = platemaps.read_text_table((folder / "JUMP-Target-2_compound_platemap.tsv").read_bytes(), "platemap")
    known = compounds.compound_table(platemaps.read_text_table((folder / metadata).read_bytes(), metadata), metadata)
    return platemaps.annotate_wells(platemap, known, "platemap")


def test_the_papers_290_perturbations_in_145_pairs(real_data):
    wells = real_wells(real_data, "JUMP-Target-2_compound_metadata_2021-05-03_1affbe8.tsv")
    assert len(wells) == 384 and (wells["Metadata_perturbation"] == "DMSO").sum() == 64
    assert set(wells.loc[wells["Metadata_control_type"] == "negcon", "Metadata_perturbation"]) == {"DMSO"}
    excluded = platemaps.read_exclusions((real_data / "metadata/paper_excluded_samples.txt").read_bytes(), "excluded")
    assert len(excluded) == 16
    kept = wells[~wells["Metadata_perturbation"].isin(excluded) & (wells["Metadata_perturbation"] != "DMSO")]
    assert kept["Metadata_perturbation"].nunique() == len(kept) == 290
    pairs = kept.groupby("Metadata_target")["Metadata_perturbation"].nunique()
    assert len(pairs) == 145 and (pairs == 2).all() and "" not in pairs.index
    active = set((real_data / "metadata/paper_active_targets.txt").read_text().split())
    assert len(active) == 70
    assert (pairs.index.isin(active).sum(), kept["Metadata_target"].isin(active).sum()) == (59, 118)


def test_todays_metadata_have_many_targets_a_sample(real_data):
    wells = real_wells(real_data, "JUMP-Target-2_compound_metadata_2024-11_2da0551.tsv")
    assert len(wells) == 384 and (wells["Metadata_perturbation"] == "DMSO").sum() == 64
    many = wells[wells["Metadata_target"].str.contains("|", regex=False)]
    assert len(many) > 100 and all(text == "|".join(sorted(set(text.split("|")))) for text in many["Metadata_target"])
    assert not wells.isin(["NA", "nan"]).any(axis=None)
    kinds = wells["Metadata_control_type"].value_counts().to_dict()
    assert kinds == {"": 260, "negcon": 64, "poscon_diverse": 28, "poscon_cp": 26, "poscon_orf": 6}


# --- images that will not fit ---


def test_images_that_prepare_could_not_cut_are_told_by_the_index(tmp_path, monkeypatch):
    mirror, out = write_gallery(tmp_path / "mirror", sites=1, shape=(52, 69)), tmp_path / "P1.parquet"
    words = [
        "--settings",
        json.dumps(index_settings(mirror)),
        "--index",
        str(out),
        "--missing",
        str(tmp_path / "P1.tsv"),
    ]
    cutting = {"grid": [1, 1], "size_px": 32, "pixel_size_um": None, "raw_pixel_um": {"": 0.65, "P1": 0.598}}
    monkeypatch.setenv("BRIGHTPAINT_PREPARE", json.dumps(cutting))
    with pytest.raises(
        ValueError, match=r"plate P1, .*\.tif: raw images are 52 x 69 px.* set prepare.pixel_size_um 0.971 or less"
    ):
        index.main(words)
    assert not out.exists()
    monkeypatch.setenv("BRIGHTPAINT_PREPARE", json.dumps({**cutting, "pixel_size_um": 0.971}))
    index.main(words)
    assert out.exists()
