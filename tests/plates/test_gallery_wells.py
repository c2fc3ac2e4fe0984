"""What wells hold in the gallery's layout: compounds, ORFs and guides, solvents, barcodes, and metadata that lie elsewhere."""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml

from brightpaint.plates import compounds, gallery, index, own_table, platemaps
from brightpaint.study import plate_table
from brightpaint.study.annotations import NOTHING, REQUIRED, plain
from conftest import ROOT, TINY_PLATES, snakemake, write_study
from plates_fixture import (
    COMPOUNDS,
    IMAGES,
    LOAD_DATA,
    PLATE,
    PLATEMAPS,
    WORKSPACE,
    index_settings,
    write_gallery,
)

PLATEMAP, BARCODES = f"{PLATEMAPS}/platemap/map1.txt", f"{PLATEMAPS}/barcode_platemap.csv"
UNLABELLED, ONE_ARM = [{"name": "m", "kind": "mean"}], [{"name": "a", "model": "m", "folds": ["A"]}]
KEPT = (*platemaps.NAMES, "broad_sample")


@pytest.fixture
def mirror(tmp_path):
    return write_gallery(tmp_path / "mirror", sites=1)


@pytest.fixture
def bare(mirror):
    """The plate in a mirror that has no metadata, as cpg0016 was published."""
    (mirror / WORKSPACE / "metadata").rename(mirror.parent / "metadata")
    return mirror


def wells_of(settings: dict) -> pd.DataFrame:
    table, _ = index.index_plate(settings)
    return table.drop_duplicates("Metadata_Well").set_index("Metadata_Well")


def held(settings: dict) -> dict:
    """Return {well: [perturbation, target, control type]}."""
    return {well: list(row) for well, *row in wells_of(settings)[REQUIRED].itertuples()}


def annotated(platemap: dict, *tables: dict, **options) -> dict:
    """Return {well: [perturbation, target, control type]} of a platemap of A01, A02, ... joined with metadata files."""
    size = len(platemap["broad_sample"])
    frame = pd.DataFrame({"well_position": [f"A{n:02d}" for n in range(1, size + 1)], **platemap}, dtype=str)
    known = {f"{n}.tsv": compounds.compound_table(pd.DataFrame(table, dtype=str), f"{n}.tsv", needs_target=False)
             for n, table in enumerate(tables)}  # fmt: skip
    merged = compounds.merge_compounds(known, set(map(platemaps.sample_name, frame["broad_sample"])))
    wells = platemaps.annotate_wells(frame, merged, "map.txt", **options)
    return {well: list(row) for well, *row in wells[["Metadata_Well", *REQUIRED]].itertuples(index=False)}


# --- ORFs and guides ---

ORFS = {"broad_sample": ["O1", "O2", "O3", "O4"], "Symbol": ["CDK9", "LacZ", "eGFP", ""],
        "NCBI Gene ID": ["1025", "LacZ", "eGFP", ""], "control_type": ["", "negcon", "poscon", ""]}  # fmt: skip
DRUGS = {"broad_sample": ["S1", "O4", ""], "target": ["A", "B", ""], "pert_iname": ["x", "y", "DMSO"],
         "control_type": ["", "", "negcon"]}  # fmt: skip


def test_a_plate_of_orfs_has_genes_as_targets_and_its_own_controls():
    expected = {
        "A01": ["O1", "CDK9", ""],
        "A02": ["O2", "LacZ", "negcon"],
        "A03": ["O3", "eGFP", "poscon"],
        "A04": ["", "", ""],
    }
    for tables in ([ORFS], [ORFS, DRUGS], [DRUGS, ORFS]):  # compounds' DMSO row has no say on a plate without compounds
        assert annotated({"broad_sample": ["O1", "O2", "O3", ""]}, *tables) == expected


def test_a_plate_of_compounds_beside_a_table_of_orfs_keeps_its_dmso_and_targets():
    orfs = {
        **ORFS,
        "control_type": ["", "negcon", "poscon", "poscon"],
    }  # O4: a compound that the ORFs' table lists as a control
    expected = {"A01": ["S1", "A", ""], "A02": ["O4", "B", ""], "A03": ["DMSO", "", "negcon"]}
    for tables in ([orfs, DRUGS], [DRUGS, orfs]):
        assert annotated({"broad_sample": ["S1", "O4", ""]}, *tables) == expected


def test_control_types_are_believed_from_a_file_without_targets():
    controls = {"broad_sample": ["S1"], "pert_type": ["poscon"]}
    targets = {"broad_sample": ["S1", "S2"], "target": ["A", "B"]}
    assert annotated({"broad_sample": ["S1"]}, controls, targets) == {"A01": ["S1", "A", "poscon"]}


@pytest.mark.parametrize(
    "word", ["non-targeting", "Non-Targeting_12", "no-guide", "NO_SITE", "nontargeting control", "NTC", "scrambled"]
)
def test_guides_that_cut_nothing_are_negative_controls_under_their_own_names(word):
    guides = {"Metadata_JCP2022": ["J1", "J2"], "Metadata_NCBI_Gene_ID": ["", "9"], "Metadata_Symbol": [word, "NAT1"]}
    expected = {"A01": ["J1", "", "negcon"], "A02": ["J2", "NAT1", ""], "A03": ["", "", ""]}
    assert annotated({"broad_sample": ["J1", "J2", ""]}, guides) == expected


def test_guides_may_be_known_by_the_number_of_their_gene_and_a_control_needs_no_gene():
    guides = {"broad_sample": ["G1", "G2"], "NCBI_Gene_ID": ["1025", ""], "control_type": ["", "negcon"]}
    assert annotated({"broad_sample": ["G1", "G2"]}, guides) == {"A01": ["G1", "1025", ""], "A02": ["G2", "", "negcon"]}


def test_a_gene_that_merely_sounds_like_a_control_is_none():
    genes = {"broad_sample": ["G1", "G2", "G3"], "gene": ["NTCP", "NONO", "SITE1"]}
    assert {row[2] for row in annotated({"broad_sample": ["G1", "G2", "G3"]}, genes).values()} == {""}


def test_the_real_orf_plate(real_data, tmp_path):
    """384 wells: 366 with an ORF, 16 of them negative controls and 8 positive ones, 18 with nothing."""
    folder = real_data / "metadata" / "cpg0016_orf"
    platemap, table = (platemaps.read_text_table((folder / name).read_bytes(), name, kept=KEPT)
                       for name in ("OAA01.02.03.04.A.txt", "orf_metadata.tsv"))  # fmt: skip
    orfs = compounds.compound_table(table, "orf_metadata.tsv")
    wells = platemaps.annotate_wells(platemap, orfs, "map")
    assert wells["Metadata_control_type"].value_counts().to_dict() == {"": 360, "negcon": 16, "poscon": 8}
    assert (wells["Metadata_perturbation"] == "").sum() == 18 and "DMSO" not in set(wells["Metadata_perturbation"])
    assert set(wells.loc[wells["Metadata_control_type"] == "negcon", "Metadata_target"]) == {
        "BFP",
        "HcRed",
        "LUCIFERASE",
        "LacZ",
    }
    assert (wells["Metadata_target"] != "").sum() == 365 and wells["Metadata_target"][
        0
    ] == "CDK9"  # one is a BAD CONSTRUCT
    target2 = real_data / "metadata" / "JUMP-Target-2_compound_metadata_2024-11_2da0551.tsv"
    drugs = own_table.own_compounds(str(target2))
    both, samples = {"a": drugs, "b": orfs}, set(platemap["broad_sample"])
    pd.testing.assert_frame_equal(
        platemaps.annotate_wells(platemap, compounds.merge_compounds(both, samples), "map"), wells
    )


def test_the_real_target2_plate_is_the_same_beside_the_table_of_orfs(real_data):
    """The batch of that ORF plate has TARGET2 plates too, and the two tables differ on four compounds."""
    folder = real_data / "metadata"
    name = "JUMP-Target-2_compound_platemap.tsv"
    platemap = platemaps.read_text_table((folder / name).read_bytes(), name, kept=KEPT)
    tables = {path: own_table.own_compounds(str(folder / path)) for path in
              ("JUMP-Target-2_compound_metadata_2021-05-03_1affbe8.tsv", "cpg0016_orf/orf_metadata.tsv")}  # fmt: skip
    samples = set(platemap["broad_sample"])
    alone = compounds.merge_compounds(dict([next(iter(tables.items()))]), samples)
    both = compounds.merge_compounds(tables, samples)
    one, other = (platemaps.annotate_wells(platemap, known, "map") for known in (alone, both))
    pd.testing.assert_frame_equal(one, other)
    assert (one["Metadata_perturbation"] == "DMSO").sum() == 64


def test_a_file_without_targets_is_read_for_its_controls_and_named(mirror, caplog):
    (mirror / COMPOUNDS).with_name("moa.tsv").write_text("broad_sample\tmoa\tcontrol_type\nBRD-1\tinhibitor\tposcon\n")
    (mirror / COMPOUNDS).write_text("broad_sample\ttarget\nBRD-1\tAKT1\n\t\n")
    assert held(index_settings(mirror))["A01"] == ["BRD-1", "AKT1", "poscon"]
    assert re.search(r"moa.tsv has broad_sample, moa, control_type: no column of targets", caplog.text)
    assert "2 of 3 samples are in no metadata (BRD-2)" in caplog.text


# --- wells without a sample ---


@pytest.mark.parametrize(
    ("platemap", "table", "perturbations"),
    [
        ({"broad_sample": ["", "", "S1"], "solvent": ["DMSO", "NA", "DMSO"]}, DRUGS, ["DMSO", "", "S1"]),
        ({"broad_sample": ["", "", ""], "solvent": ["0.5% DMSO", "water", "empty"]}, DRUGS, ["DMSO", "", ""]),
        ({"broad_sample": ["", "", "S1"], "Solvent": ["", "", ""]}, DRUGS, ["", "", "S1"]),
        ({"broad_sample": ["", "EMPTY", "unknown"]}, DRUGS, ["DMSO", "", ""]),
        ({"broad_sample": ["NA", "empty", "S1"], "solvent": ["DMSO", "DMSO", "DMSO"]}, DRUGS, ["DMSO", "", "S1"]),
        ({"broad_sample": ["", "dmso", "S1"]}, {"broad_sample": ["S1", ""], "target": ["A", ""]}, ["", "DMSO", "S1"]),
        ({"broad_sample": ["", "S1"]}, {"broad_sample": ["S1"], "target": ["A"]}, ["DMSO", "S1"]),  # the gallery's custom
        (
            {"broad_sample": ["JCP2022_033924", "JCP2022_999999", "JCP2022_UNKNOWN", "J1"]},
            {"JCP2022": ["J1"], "target": ["A"]},
            ["DMSO", "", "", "J1"],
        ),
        (
            {"broad_sample": ["S1", "S2"]},
            {"broad_sample": ["S1", "S2"], "target": ["", "A"], "InChIKey": ["IAZDPXIOMUYVGZ-UHFFFAOYSA-N", ""]},
            ["DMSO", "S2"],
        ),
    ],
)  # fmt: skip
def test_the_solvent_decides_what_a_well_without_a_sample_holds(platemap, table, perturbations):
    wells = annotated(platemap, table)
    assert [row[0] for row in wells.values()] == perturbations
    assert all(row[2] == ("negcon" if row[0] == "DMSO" else "") for row in wells.values())


# --- words for nothing, and separators ---


@pytest.mark.parametrize(
    "word",
    ["#N/A", "n/a", "null", "NULL", "<NA>", "unknown", "NaN", "None", "-", "#REF!", "#value!", " Not available "],
)
def test_a_word_for_nothing_is_no_target_no_structure_and_no_cell_line(word, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(f"broad_sample,target,smiles,control_type\nS1,{word},{word},{word}\nS2,{word} ; A,CCO,\n")
    known = own_table.own_compounds(str(path)).set_index("broad_sample")
    assert known.loc["S1", ["target", "smiles", "control_type"]].tolist() == ["", "", ""]
    assert known.loc["S2", "target"] == "A"
    rows = (
        f"plate,well,site,channel,file,perturbation,target,cell_line,dose_um\nP,A1,1,DNA,x.tif,d,{word},{word},{word}\n"
    )
    path.write_text(rows)
    settings = index_settings(tmp_path, ["DNA"], {"plate": "P"}, layout="table", table=str(path))
    _, wells, _ = index.list_named(settings, None)
    assert wells[["Metadata_target", "Metadata_cell_line", "Metadata_treatment"]].values.tolist() == [["", "", "d"]]
    (tmp_path / "plates.csv").write_text(f"plate,role,cell_line\nP1,study,{word}\n")
    plates = plate_table.read_plates(tmp_path / "plates.csv", ROOT / "workflow/schemas/plates.schema.yaml")
    assert plates == {"P1": {"plate": "P1", "role": "study"}}


def test_a_plate_or_channel_may_be_called_by_such_a_word(tmp_path):
    path = tmp_path / "images.csv"
    path.write_text("plate,well,site,channel,file\nunknown,A1,1,NA,x.tif\n")
    settings = index_settings(tmp_path, ["NA"], {"plate": "unknown"}, layout="table", table=str(path))
    files, _, _ = index.list_named(settings, None)
    assert files.fields() == [("A01", 1)]


def test_there_is_one_list_of_words():
    assert (
        all(plain(word.upper()) == "" for word in NOTHING)
        and plain(" NAT1 ") == "NAT1"
        and plain("none of these") != ""
    )
    assert compounds.join_targets(["B; A,C", "A|n/a", "#N/A"]) == "A|B|C"


# --- barcodes ---


def rename(mirror, *, folder: str = "", listed: str = "", mapped: str = "") -> None:
    """Give the plate another name as its folders, in load_data and in the barcode map."""
    old = PLATE["barcode"]
    if listed:
        path = mirror / LOAD_DATA
        path.write_text(path.read_text().replace(f",{old},", f",{listed},"))
    if mapped:
        (mirror / BARCODES).write_text(f"Assay_Plate_Barcode,Plate_Map_Name\n{mapped}\n")
    if folder:
        (mirror / LOAD_DATA).parent.rename((mirror / LOAD_DATA).parent.with_name(folder))


@pytest.mark.parametrize(
    "names",
    [
        {"mapped": "1053600674real,map1"},
        {"mapped": "1053600674__2021-05-02T16_02_51-Measurement1,map1"},
        {"mapped": "1053600674.0,map1"},
        {"folder": "1053600674real"},
        {
            "folder": "1053600674__2021-05-02T16_02_51-Measurement1",
            "listed": "1053600674__2021-05-02T16_02_51-Measurement1",
        },
        {"listed": "1053600674-Measurement 1", "mapped": "1053600674real,map1\n1053600674_2021-05-02,map1\nother,map2"},
    ],
)
def test_a_name_that_is_obviously_the_plates_is_found(mirror, names):
    expected = held(index_settings(mirror))
    rename(mirror, **names)
    assert held(index_settings(mirror)) == expected


def test_a_barcode_of_the_map_finds_the_folder_and_the_folders_name_the_map(mirror):
    """Each message used to send to the other."""
    expected = held(index_settings(mirror))
    rename(mirror, mapped="1053600674real,map1")
    for barcode in ("1053600674", "1053600674real"):
        assert held(index_settings(mirror, plate={**PLATE, "barcode": barcode})) == expected


def test_the_whole_name_serves_as_barcode_too(mirror):
    expected = held(index_settings(mirror))
    assert (
        held(index_settings(mirror, plate={**PLATE, "barcode": "1053600674__2021-05-02T16_02_51-Measurement1"}))
        == expected
    )


@pytest.mark.parametrize(
    "mapped", ["10536006740,map1", "1053600674B,map1", "1053600674_rep2,map1", "105360067,map1", "x,map1"]
)
def test_a_name_that_may_be_another_plates_is_not_taken_and_one_key_settles_it(mirror, mapped):
    rename(mirror, mapped=mapped)
    name = re.escape(mapped.partition(",")[0])
    message = f"found none .it lists {name}.; name the plate's platemap in the column platemap of the plate table"
    with pytest.raises(ValueError, match=f"expected one platemap of plate 1053600674, {message}"):
        index.index_plate(index_settings(mirror))
    assert held(index_settings(mirror, plate={**PLATE, "platemap": "map1"}))["A01"] == ["BRD-1", "AKT1", ""]
    with pytest.raises(
        ValueError, match="map2.txt: there is no such file, so nothing says what the wells of plate P1 hold"
    ):
        index.index_plate(index_settings(mirror, plate={**PLATE, "platemap": "map2"}))


def test_a_name_that_is_another_plates_folder_is_that_plates(mirror):
    rename(mirror, mapped="1053600674real,map1")
    (mirror / LOAD_DATA).parent.with_name("1053600674real").mkdir()
    with pytest.raises(ValueError, match="expected one platemap of plate 1053600674, found none"):
        index.index_plate(index_settings(mirror))


def test_two_names_in_load_data_that_could_be_the_plates_are_refused(mirror):
    path = mirror / LOAD_DATA
    path.write_text(path.read_text().replace(",1053600674,B", ",1053600674real,B"))
    with pytest.raises(
        ValueError, match="rows of one plate 1053600674, found 1053600674 and 1053600674real; set barcode"
    ):
        index.index_plate(index_settings(mirror))


def test_same_plate():
    long = "BR00117035__2021-05-02T16_02_51-Measurement1"
    assert gallery.same_plate(long, "BR00117035") and gallery.same_plate("EC000157", "ec000157REAL")
    assert not gallery.same_plate("EC000157", "EC0001570real") and not gallery.same_plate("P1", "P1real")
    assert not gallery.same_plate(long, "BR0011703")


# --- metadata that lie elsewhere ---


def test_without_metadata_a_study_of_perturbations_is_told_what_to_give(bare):
    message = (
        "barcode_platemap.csv: there is no such file, so nothing says what the wells of plate P1 hold; give a table of wells as "
        "source.wells, .*source.metadata .config/README.md.*perturbations: false"
    )
    with pytest.raises(ValueError, match=message):
        index.index_plate(index_settings(bare))


def test_without_perturbations_none_is_needed_and_one_that_is_there_is_read(mirror, tmp_path):
    without = {"perturbations": False}
    assert held({**index_settings(mirror), **without}) == held(index_settings(mirror))
    for change in ("compounds", "map", "barcode", "all"):
        if change == "compounds":
            (mirror / COMPOUNDS).unlink()
        elif change == "map":
            (mirror / PLATEMAP).unlink()
        elif change == "barcode":
            (mirror / BARCODES).write_text("Assay_Plate_Barcode,Plate_Map_Name\nother,map1\n")
        else:
            (mirror / WORKSPACE / "metadata").rename(tmp_path / "gone")
        found = held({**index_settings(mirror), **without})
        assert len(found) == 4 and {row[1] for row in found.values()} == {""}
        assert found["A01"][0] == ("BRD-1" if change == "compounds" else "")


@pytest.mark.parametrize("inner", ["", "metadata", WORKSPACE + "/metadata"])
def test_a_folder_laid_out_as_the_gallerys_metadata_stands_in_for_it(bare, tmp_path, inner):
    (tmp_path / "own" / inner).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "metadata").rename(tmp_path / "own" / inner)
    found = held(index_settings(bare, metadata=str(tmp_path / "own")))
    assert found == {"A01": ["BRD-1", "AKT1", ""], "A02": ["BRD-2", "AKT1", ""], "B01": ["DMSO", "", "negcon"],
                     "B02": ["BRD-3", "PLK1", "poscon_cp"]}  # fmt: skip
    with pytest.raises(ValueError, match="source.metadata: there is no folder .*none; create it or correct"):
        index.index_plate(index_settings(bare, metadata=str(tmp_path / "none")))


def test_a_plain_csv_of_wells_stands_in_for_platemaps(bare, tmp_path):
    path = tmp_path / "wells.csv"
    path.write_text(
        "plate,well,perturbation,target,control_type,dose_um,smiles,cell_line,time_h\n"
        "P1,a1,drug,\"B; A\",,0.5,CCO,U2OS,48\nP1,B2,DMSO,,,,,U2OS,48\nP1,A2,,,,,,,\nother,A1,x,,,,,,\n"
    )  # fmt: skip
    wells = wells_of(index_settings(bare, wells=str(path)))
    assert wells.loc["A01", [*REQUIRED, "Metadata_treatment", "Metadata_smiles"]].tolist() == [
        "drug", "A|B", "", "drug@0.5uM", "CCO",
    ]  # fmt: skip
    assert wells.loc["A01", ["Metadata_cell_line", "Metadata_time_h"]].tolist() == ["U2OS", 48.0]
    assert wells.loc["B02", REQUIRED].tolist() == ["DMSO", "", "negcon"]
    assert (wells.loc[["A02", "B01"], REQUIRED] == "").all(axis=None)  # blank, and not listed
    (tmp_path / "c.tsv").write_text("broad_sample\ttarget\tcontrol_type\ndrug\tC\tposcon\n")
    assert held(index_settings(bare, wells=str(path), compounds=str(tmp_path / "c.tsv")))["A01"] == [
        "drug",
        "C",
        "poscon",
    ]


def test_a_platemap_may_be_the_table_of_wells_and_jumps_table_too(bare, tmp_path):
    (tmp_path / "map.tsv").write_text((tmp_path / "metadata/platemaps/20210614_Batch_1/platemap/map1.txt").read_text())
    (tmp_path / "c.tsv").write_text((tmp_path / "metadata/external_metadata/compounds.tsv").read_text())
    settings = index_settings(bare, wells=str(tmp_path / "map.tsv"), compounds=str(tmp_path / "c.tsv"))
    assert held(settings)["B01"] == ["DMSO", "", "negcon"] and held(settings)["A01"] == ["BRD-1", "AKT1", ""]
    with pytest.raises(ValueError, match="external_metadata/: no .tsv with the columns broad_sample and target"):
        index.index_plate(index_settings(bare, wells=str(tmp_path / "map.tsv")))
    with gzip.open(tmp_path / "well.csv.gz", "wt") as handle:
        handle.write(
            "Metadata_Source,Metadata_Plate,Metadata_Well,Metadata_JCP2022\nsource_2,1053600674,A01,JCP2022_1\n"
            "source_2,1053600674,B01,JCP2022_033924\nsource_2,1053600674,B02,JCP2022_999999\nsource_9,1053600674,A02,JCP2022_2\n"
        )
    (tmp_path / "g.csv").write_text("Metadata_JCP2022,Metadata_Symbol\nJCP2022_1,CDK9\n")
    found = held(index_settings(bare, wells=str(tmp_path / "well.csv.gz"), compounds=str(tmp_path / "g.csv")))
    nothing = ["", "", ""]
    assert found == {"A01": ["JCP2022_1", "CDK9", ""], "A02": nothing, "B01": ["DMSO", "", "negcon"], "B02": nothing}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "plate,well,perturbation\nX,A1,d\n",
            "source.wells: .*w.csv has no row for plate 1053600674; correct its column plate",
        ),
        ("well,drug\nA1,d\n", "w.csv: expected the columns well and perturbation .*found well, drug"),
        ("well,perturbation\nA1,d\na01,e\n", "expected one row a well, found well A01 twice"),
        ("well,perturbation,dose\nA1,d,3\n", "holds doses of no known unit; set source.dose_unit"),
        ("well,perturbation\nP1,d\n", "expected a well of the platemap, found .*4 such wells of 4"),
    ],
)
def test_a_table_of_wells_that_cannot_be_right_is_refused(bare, tmp_path, text, message):
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        index.index_plate(index_settings(bare, wells=str(tmp_path / "w.csv")))


def test_rows_of_one_well_that_are_alike_are_one(bare, tmp_path):
    (tmp_path / "w.csv").write_text("well,perturbation\n" + "A1,d\n" * 2)
    assert held(index_settings(bare, wells=str(tmp_path / "w.csv")))["A01"] == ["d", "", ""]


@pytest.mark.parametrize("name", ["config", "pilot"])
def test_the_papers_study_and_the_pilot_run_with_target2s_public_metadata(real_data, bare, tmp_path, name):
    """As config/README.md says: two files of JUMP-Target, and the two lines that the config has as comments."""
    text = (ROOT / "config" / f"{name}.yaml").read_text()
    lines = re.findall(r"(?m)^  # (wells: \S+|compounds: \S+)$", text)
    given = yaml.safe_load("\n".join(lines))
    assert set(given) == {"wells", "compounds"}
    readme = (ROOT / "config" / "README.md").read_text()
    assert all(path.rpartition("/")[2] in readme for path in given.values())
    assert "1affbe8f36e9e98f82f4b3250f147709cdaf05bd" in readme and "016e865fa0691244e0860943e41c7d6a88ed2580" in readme
    real = {
        "wells": "JUMP-Target-2_compound_platemap.tsv",
        "compounds": "JUMP-Target-2_compound_metadata_2021-05-03_1affbe8.tsv",
    }
    settings = index_settings(
        bare, **{key: str(real_data / "metadata" / file) for key, file in real.items()}, missing="skip"
    )
    table, lacking = index.index_plate(settings)
    assert table["Metadata_Well"].nunique() == 4 and lacking["Metadata_Well"].nunique() == 380
    wells = table.drop_duplicates("Metadata_Well").set_index("Metadata_Well")
    assert wells.loc["A01", REQUIRED].tolist() == ["BRD-K09338665-001-07-1", "GJB4", ""]
    assert np.isnan(wells["Metadata_dose"]).all() and IMAGES in wells["key"].iloc[0]


def test_the_rule_index_is_told_of_them_and_only_where_they_are_set(tmp_path):
    """No new words in the command of a study that sets none of them: it would list its plates again."""
    images = {"layout": "gallery", "url": str(tmp_path)}
    (tmp_path / "wells.csv").touch()

    def told(name: str, changes: dict) -> dict:
        folder = write_study(tmp_path / name, changes, TINY_PLATES)
        said = snakemake(folder, "-n", "-p", "resources/index/T1.parquet").stdout
        return json.loads(re.search(r"plates.index --settings '(.*?)' --index", said)[1])

    plain_study = told("a", {"source": images})
    assert not {"wells", "metadata", "dose_unit"} & set(plain_study["source"]) and "perturbations" not in plain_study
    wells = str(tmp_path / "wells.csv")
    other = told(
        "b", {"source": {**images, "wells": wells}, "perturbations": False, "models": UNLABELLED, "arms": ONE_ARM}
    )
    assert other == {**plain_study, "source": {**plain_study["source"], "wells": wells}, "perturbations": False}
