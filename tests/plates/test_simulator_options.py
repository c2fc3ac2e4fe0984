"""The simulator's options: dose series, cell lines, molecules, z-stacks and a confounder, each against its own truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from brightpaint import store
from brightpaint.plates import index, simulate
from brightpaint.plates.simulator import confounder, dosing, imaging, molecules, optics, phenotypes
from brightpaint.plates.simulator.cell_lines import LINES
from brightpaint.plates.simulator.phenotypes import PARAMETERS

CHANNELS = ["Brightfield", "DNA", "RNA"]
UNTREATED = dict.fromkeys(PARAMETERS, 0.0)
SERIES = {
    "um": {"top": 10, "factor": 3, "count": 6},
    "wells": 1,
    "layout": "balanced",
    "toxic_share": 0.3,
    "censored_share": 0.2,
}
EFFECTS = [f"effect_{name}" for name in PARAMETERS]


def section(**changes) -> dict:
    plain = {"seed": 4, "rows": 8, "columns": 12, "sites": 1, "size_px": 64, "cells_per_field": 4, "dmso_share": 0.2,
             "inactive_share": 0.4, "invisible_share": 0.25, "failed_share": 0.0, "strength": 1.0}  # fmt: skip
    return {**plain, **changes}


def plate(**changes) -> dict:
    return {"plate": "P1", "role": "study", "project": "simulated", "source": "source_0", "batch": "B1", "layout": "standard",
            "channels": CHANNELS, **changes}  # fmt: skip


def layout_of(**changes) -> pd.DataFrame:
    return phenotypes.draw_layout(section(**changes), layout="standard")


def shot(settings: dict, *, channels=CHANNELS, line="U2OS", names=(1,), treatment=None, size_px=96, count=6):
    """Draw and image one untreated field: ({channel: counts}, pixels that cells lie in)."""
    density = count / size_px**2
    maps, canvas = simulate.draw_sample(
        UNTREATED, size_px=size_px, pixel_size_um=1.0, density=density, names=names, line=LINES[line]
    )
    stripes = confounder.stripes_of(treatment, seed=4) if treatment else None
    view = imaging.view_of(settings, channels, stripes)
    lighting = imaging.plate_lighting(channels, seed=4, barcode="P1", view=view)
    images = imaging.image_sample(
        maps, canvas, channels=channels, pixel_size_um=1.0, lighting=lighting, names=names, view=view
    )
    return images, imaging.inside_cells(maps["owner"], round(canvas.margin_um / canvas.step_um), 2)


# --- dose series ---


def test_a_hill_curve_at_its_known_points():
    assert dosing.hill(2.0, 2.0, 1.7) == 0.5
    assert dosing.hill(6.0, 2.0, 1.0) == pytest.approx(0.75)
    assert dosing.hill(20.0, 2.0, 2.0) == pytest.approx(100 / 101)
    assert np.isnan(dosing.hill(1.0, np.nan, 1.0))


@pytest.mark.parametrize("arrangement, wells", [("balanced", 1), ("balanced", 2), ("columns", 1), ("columns", 2)])
def test_every_compound_has_every_dose_in_as_many_wells_as_asked(arrangement, wells):
    layout = layout_of(doses={**SERIES, "layout": arrangement, "wells": wells})
    treated = layout[layout["Metadata_control_type"] == ""]
    assert (treated.groupby(["Metadata_perturbation", "Metadata_dose"]).size() == wells).all()
    assert treated.groupby("Metadata_perturbation")["Metadata_dose"].nunique().eq(6).all()
    dmso = layout[layout["Metadata_control_type"] == "negcon"]
    assert len(dmso) >= round(0.2 * 96) and dmso["Metadata_dose"].isna().all() and not dmso[EFFECTS].any(axis=None)
    assert list(layout["Metadata_Well"]) == phenotypes.well_names(8, 12)


def test_balanced_doses_are_spread_and_doses_along_columns_are_not():
    layout = layout_of(doses=SERIES).query("Metadata_control_type == ''")
    column = layout["Metadata_Well"].str[1:].astype(int)
    halves = pd.crosstab(layout["Metadata_dose"], column <= 6)
    assert (halves[True] - halves[False]).abs().max() <= 4 and layout.groupby(column)[
        "Metadata_dose"
    ].nunique().min() >= 4
    along = layout_of(doses={**SERIES, "layout": "columns"})
    treated = along[along["Metadata_control_type"] == ""]
    assert treated.groupby(treated["Metadata_Well"].str[1:])["Metadata_dose"].nunique().eq(1).all()
    assert along.set_index("Metadata_Well")["Metadata_dose"]["C01"] == 10  # the top dose first, after two rows of DMSO
    assert along["Metadata_Well"][along["Metadata_control_type"] == "negcon"].str[0].unique().tolist() == ["A", "B"]


def test_curves_are_active_inert_toxic_and_censored_as_asked():
    layout = layout_of(doses=SERIES, rows=16, columns=24).query("Metadata_control_type == ''")
    compounds = layout.drop_duplicates("Metadata_perturbation")
    active = compounds[compounds["active"] == 1]
    assert (compounds["kind"] == "inert").equals(compounds["active"] == 0) and len(active) > 25
    assert (active["kind"] == "toxic").sum() == round(0.3 * len(active))
    assert (
        active["censored"].sum() == round(0.2 * len(active))
        and not (active["censored"] & (active["kind"] == "toxic")).any()
    )
    beyond = active["censored"] == 1
    assert (active.loc[beyond, "half_um"] >= 20).all() and active.loc[~beyond, "half_um"].between(0.05, 7).all()
    assert active["half_um"].nunique() == len(active) and active["hill"].between(0.8, 2.5).all()
    assert compounds.loc[compounds["active"] == 0, "half_um"].isna().all()
    pairs = active[active["kind"] == "active"].groupby("Metadata_target")["half_um"].nunique()
    assert pairs.max() == 2  # compounds of a target share its direction, not its curve


def test_effects_follow_the_curve_and_toxic_ones_rise_and_fall():
    layout = layout_of(doses=SERIES).query("active == 1").sort_values("Metadata_dose")
    for _, wells in layout.groupby("Metadata_perturbation"):
        share = wells["effect"] / wells["top_effect"]
        expected = 1 / (1 + (wells["half_um"] / wells["Metadata_dose"]) ** wells["hill"]) * (1 - wells["toxicity"])
        np.testing.assert_allclose(share, expected, atol=1e-5)
        if (wells["kind"] == "toxic").all():
            assert share.iloc[-1] < 0.7 * share.max() and wells["effect_cell_number"].iloc[-1] < -4
            assert wells["effect_cell_area"].iloc[-1] < -1 and wells["toxicity"].iloc[0] < 0.01
        else:
            assert share.is_monotonic_increasing and not wells["toxicity"].any()
            np.testing.assert_allclose(np.linalg.norm(wells[EFFECTS], axis=1), wells["effect"], atol=1e-4)
    assert set(layout["kind"]) == {"active", "toxic"}


def test_a_toxic_top_dose_loses_and_shrinks_cells_in_the_image():
    areas, counts = [], []
    for state in (UNTREATED, {**UNTREATED, **dosing.TOXIC}):
        owners = [simulate.draw_sample(state, size_px=160, pixel_size_um=1.0, density=16 / 160**2, names=(n,))[0]["owner"]
                  for n in range(3)]  # fmt: skip
        sizes = np.concatenate([np.unique(owner[owner >= 0], return_counts=True)[1] for owner in owners])
        counts.append(len(sizes))
        areas.append(np.median(sizes))
    assert counts[1] < 0.3 * counts[0] and areas[1] < 0.5 * areas[0]


def test_a_platemap_spells_a_dose_in_several_ways_that_are_one_to_three_digits():
    layout = layout_of(doses=SERIES)
    texts = pd.Series(dosing.written_doses(layout))
    assert (texts[layout["Metadata_dose"].isna()] == "").all()
    treated = layout["Metadata_dose"].notna()
    assert [f"{float(text):.3g}" for text in texts[treated]] == [
        f"{dose:.3g}" for dose in layout["Metadata_dose"][treated]
    ]
    assert texts[treated].nunique() > 6 == layout["Metadata_dose"].nunique()
    names = [f"{row.Metadata_perturbation}@{row.Metadata_dose:.3g}uM" for row in layout[treated].itertuples()]
    assert list(layout["Metadata_treatment"][treated]) == names and set(layout["Metadata_treatment"][~treated]) == {
        "DMSO"
    }


def test_a_dose_at_the_edge_of_three_digits_keeps_its_name():
    wells = pd.DataFrame({"Metadata_perturbation": [f"c{n}" for n in range(40)], "Metadata_dose": 1.005})
    assert {f"{float(text):.3g}" for text in dosing.written_doses(wells)} == {f"{1.005:.3g}"}


# --- cell lines ---


def measure(line: str, number: int) -> list[float]:
    """Measure a field as a novice would: nuclei, their area and shape, and the area of cells to a nucleus."""
    images, _ = shot({}, channels=["DNA", "RNA"], line=line, names=(line, number), size_px=192, count=14)
    nuclei, count = ndimage.label(ndimage.binary_opening(images["DNA"] > 1000, iterations=2))
    areas = np.bincount(nuclei.ravel())[1:]
    spreads = [np.linalg.eigvalsh(np.cov(np.nonzero(nuclei == n + 1))) for n in range(count) if 60 < areas[n] < 400]
    longer = np.median([np.sqrt(high / low) for low, high in spreads])
    cells = (ndimage.gaussian_filter(images["RNA"].astype(float), 1) > 420).sum()
    return [np.log(count), np.log(np.median(areas[areas > 60])), np.log(longer), np.log(cells / count)]


@pytest.mark.long
def test_lines_are_told_apart_by_simple_measurements():
    lines = list(LINES)
    table = np.array([[measure(line, number) for number in range(4)] for line in lines])  # (lines, fields, numbers)
    spread = (table - table.mean(axis=1, keepdims=True)).std(axis=(0, 1))
    right = 0
    for own, fields in enumerate(table):
        for left_out, field in enumerate(fields):
            centres = table.mean(axis=1)
            centres[own] = np.delete(fields, left_out, axis=0).mean(axis=0)
            right += np.argmin((((centres - field) / spread) ** 2).sum(axis=1)) == own
    assert right >= 0.9 * table.shape[0] * table.shape[1]
    to_cell = table[:, :, 1].mean(axis=1) - table[:, :, 3].mean(axis=1)
    assert lines[int(np.argmax(to_cell))] == "HepG2"  # the largest nuclei for their cells


def test_u2os_is_what_a_plate_of_no_line_is_drawn_with(tmp_path):
    small = section(rows=1, columns=2, pixel_size_um=1.0)
    truths = [
        simulate.simulate_plate({**small, "plate": plate(**line)}, tmp_path / name)
        for name, line in (("none", {}), ("u2os", {"cell_line": "U2OS"}), ("bj", {"cell_line": "BJ"}))
    ]
    images = [
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.tif")} for name in ("none", "u2os", "bj")
    ]
    assert images[0] == images[1] != images[2]
    assert "Metadata_cell_line" not in truths[0] and set(truths[2]["Metadata_cell_line"]) == {"BJ"}


# --- molecules ---


def test_the_library_is_distinct_and_its_texts_agree_with_its_substructures():
    table = molecules.library()
    assert len(table) == 160 and table["inchikey"].is_unique and table["smiles"].is_unique and table["sample"].is_unique
    counts = table["substructure"].value_counts()
    assert counts.pop("") == 40 and set(counts) == {12} and set(counts.index) == set(molecules.SUBSTRUCTURES)
    assert (
        not table["smiles"].str.contains(r"[\s|]").any()
        and table["inchikey"].str.fullmatch(r"[A-Z]{14}-[A-Z]{10}-[A-Z]").all()
    )
    texts = table.set_index("smiles")["substructure"]
    nitro = texts.index.str.contains(r"\[N\+\]\((?:=O\)\[O-\]|\[O-\]\)=O)|\[O-\]\[N\+\]\(=O\)", regex=True)
    fluoro = texts.index.str.contains(r"c\(?\d*C\(F\)\(F\)F|FC\(F\)\(F\)c", regex=True)
    assert set(texts[nitro]) == {"nitroaryl"} and nitro.sum() == 12 and set(texts[fluoro]) == {"trifluoromethylaryl"}
    assert texts.index.str.contains(r"S\(=O\)\(=O\)|S\(N\)\(=O\)=O", regex=True)[texts == "sulfonamide"].all()


def test_the_substructures_are_chemically_true():
    chem = pytest.importorskip("rdkit.Chem")
    patterns = {name: chem.MolFromSmarts(smarts) for name, smarts in molecules.SUBSTRUCTURES.items()}
    for row in molecules.library().itertuples():
        molecule = chem.MolFromSmiles(row.smiles)
        held = [name for name, pattern in patterns.items() if molecule.HasSubstructMatch(pattern)]
        assert held == ([row.substructure] if row.substructure else []), row.name
        assert chem.MolToInchiKey(molecule) == row.inchikey


def test_an_unseen_molecule_does_what_its_substructure_does():
    layout = layout_of(molecules=True, inactive_share=0.2).query("Metadata_control_type == ''")
    assert (layout["Metadata_smiles"] != "").all() and layout["Metadata_perturbation"].is_unique
    for substructure, wells in layout.groupby("Metadata_target"):
        effects = wells[EFFECTS].to_numpy()
        if not substructure:
            assert not effects.any() and set(wells["rule"]) == {molecules.NONE}
            continue
        assert len(wells) >= 2 and wells["rule"].str.contains(molecules.SUBSTRUCTURES[substructure], regex=False).all()
        if wells["active"].all():
            unseen, others = effects[0], effects[1:].mean(axis=0)
            assert unseen @ others / np.linalg.norm(unseen) / np.linalg.norm(others) == pytest.approx(1, abs=1e-5)
    assert layout["Metadata_target"].nunique() == 11 and layout["active"].any()


def test_few_wells_hold_two_molecules_at_least_of_a_substructure_and_many_hold_some_twice():
    few = molecules.choose(6, seed=3)["Metadata_target"].value_counts()
    assert few.sum() == 6 and few.min() >= 2 and "" in few
    many = layout_of(molecules=True, rows=16, columns=24).query("Metadata_control_type == ''")
    assert many["Metadata_perturbation"].value_counts().isin([1, 2]).all() and len(many) > 300


# --- z-stacks ---


def test_a_stack_is_sharpest_where_its_stain_lies_and_keeps_its_light():
    names = [f"DNA_{plane:02d}" for plane in range(1, 8)]
    images, _ = shot({"planes": {"DNA": 7}}, channels=names)
    sharp = [np.hypot(*np.gradient(images[name].astype(float))).mean() for name in names]
    best = int(np.argmax(sharp))
    assert best in (3, 4) and np.argsort(sharp)[0] in (0, 6)
    assert all(np.diff(sharp[: best + 1]) > 0) and all(np.diff(sharp[best:]) < 0)
    light = [images[name].astype(float).mean() for name in names]
    assert np.ptp(light) < 0.01 * np.mean(light)  # planes share their lighting, and defocus loses none


def test_defocus_is_the_section_of_the_cone_of_light():
    point = np.zeros((128, 128), np.float32)
    point[64, 64] = 1
    rows = (np.arange(128) - 64) * 0.25
    widths = []
    for defocus in (0.0, 5.0, -5.0):
        seen = optics.widefield(point, step_um=0.25, defocus_um=defocus)
        assert seen.sum() == pytest.approx(1, rel=1e-3)
        widths.append((seen.sum(axis=1) * rows**2).sum() / seen.sum())
    radius = 5.0 * np.tan(np.arcsin(optics.OBJECTIVE_NA / optics.MEDIUM_INDEX))
    assert widths[1] - widths[0] == pytest.approx(radius**2 / 4, rel=0.03)  # a disc's variance along an axis
    assert widths[1] == widths[2]


def test_other_channels_are_the_same_beside_a_stack():
    plain, _ = shot({})
    stacked, _ = shot({"planes": {"DNA": 2}}, channels=["Brightfield", "DNA_01", "DNA_02", "RNA"])
    assert all(np.array_equal(plain[name], stacked[name]) for name in ("Brightfield", "RNA"))


# --- confounder ---

ALL = {"confounder": {"shown_in": "all", "strength": 1.0}}


def test_cells_are_the_same_to_the_last_count_and_the_background_follows_the_treatment():
    plain, inside = shot({}, names=(3,))
    striped = {name: shot(ALL, names=(3,), treatment=name)[0] for name in ("DMSO", "A@1uM", "A@10uM")}
    assert 0.05 < inside.mean() < 0.8
    away = ndimage.distance_transform_edt(~inside) > 3
    for channel in CHANNELS:
        assert all((images[channel][inside] == plain[channel][inside]).all() for images in striped.values())
        added = {name: images[channel].astype(float) - plain[channel] for name, images in striped.items()}
        for name, difference in added.items():
            likeness = {other: np.corrcoef(difference[away], confounder.stripes_of(other, seed=4).field(96, 1.0)[away])[0, 1]
                        for other in striped}  # fmt: skip
            assert likeness[name] > 0.6 and max(value for other, value in likeness.items() if other != name) < 0.35


def test_stripes_show_where_they_are_asked_to():
    plain, _ = shot({}, names=(3,))
    for shown_in, touched in (("brightfield", {"Brightfield"}), ("stains", {"DNA", "RNA"})):
        images, _ = shot({"confounder": {"shown_in": shown_in, "strength": 1.0}}, names=(3,), treatment="A")
        assert {name for name in CHANNELS if not np.array_equal(plain[name], images[name])} == touched


def test_stripes_are_the_treatments_own_and_are_nothing_in_and_at_cells():
    assert (
        confounder.stripes_of("A", seed=1) == confounder.stripes_of("A", seed=1) != confounder.stripes_of("B", seed=1)
    )
    inside = np.zeros((9, 9), bool)
    inside[3:6, 3:6] = True
    behind = confounder.behind(np.ones((9, 9), np.float32), inside, pixel_size_um=1.0)
    assert not behind[inside].any() and behind[4, 6] < behind[4, 8] < 1
    assert behind[4, 6] == pytest.approx(1 - np.exp(-0.5))
    np.testing.assert_array_equal(confounder.behind(np.ones((4, 4)), np.zeros((4, 4), bool), pixel_size_um=1.0), 1)


# --- everything at once, from the plate to the index ---


def test_a_plate_with_every_option_is_read_back_by_the_index(tmp_path):
    channels = ["Brightfield", "DNA_01", "DNA_02", "RNA"]
    doses = {**SERIES, "um": [0.1, 5], "layout": "columns"}
    settings = section(rows=3, columns=4, doses=doses, molecules=True, planes={"DNA": 2}, pixel_size_um=1.0, **ALL,
                       plate=plate(channels=channels, cell_line="HepG2"))  # fmt: skip
    truth = simulate.simulate_plate(settings, tmp_path)
    source = {"layout": "gallery", "url": str(tmp_path), "endpoint_url": None, "region": "us-east-1", "profile": None,
              "table": None, "compounds": None, "exclude": None, "missing": "error"}  # fmt: skip
    table, missing = index.index_plate({"source": source, "plate": settings["plate"], "channels": channels})
    assert missing.empty and len(table) == 12 * 4
    assert set(table["Channel"]) == set(channels) and table["key"].is_unique
    stack = table[table["Channel"].str.startswith("DNA") & (table["Metadata_Well"] == "B02")].sort_values("Channel")
    assert [key.rpartition("A01")[2] for key in stack["key"]] == ["Z01C01.tif", "Z02C01.tif"]
    shared = ["Metadata_perturbation", "Metadata_target", "Metadata_control_type"]
    found = table.drop_duplicates("Metadata_Well").set_index("Metadata_Well").sort_index()
    known = truth.set_index("Metadata_Well").sort_index()
    pd.testing.assert_frame_equal(found[shared], known[shared], check_dtype=False)
    for name in {"Metadata_treatment", "Metadata_smiles", "Metadata_dose"} & set(found.columns):
        if name == "Metadata_dose":
            np.testing.assert_allclose(found[name], known[name], rtol=1e-4)
        else:
            assert found[name].equals(known[name]), name
    (compounds,) = tmp_path.rglob("simulated_molecule_metadata.tsv")
    text = pd.read_csv(compounds, sep="\t", keep_default_na=False).set_index("broad_sample")
    treated = known[known["Metadata_control_type"] == ""]
    assert (
        text.loc[treated["Metadata_perturbation"], "smiles"].to_numpy() == treated["Metadata_smiles"].to_numpy()
    ).all()
    assert text.loc["", "smiles"] == "" and (text["InChIKey"].str.len() == 27).sum() == 160
    promised = {"kind", "half_um", "hill", "top_effect", "effect", "toxicity", "censored", "rule", "confounder",
                "confounder_angle_deg", "confounder_period_um", "confounder_phase", "Metadata_cell_line"}  # fmt: skip
    assert promised <= set(truth.columns) and set(truth["confounder"]) == {"all"}
    store.write_table(simulate.with_gaps(truth), tmp_path / "truth.tsv")
    back = store.read_table(tmp_path / "truth.tsv")
    np.testing.assert_allclose(back["half_um"], truth["half_um"])
    assert list(back["Metadata_treatment"]) == list(truth["Metadata_treatment"])


def test_a_dmso_plate_of_a_dose_study_has_the_same_columns(tmp_path):
    settings = section(rows=2, columns=4, doses={**SERIES, "um": [1, 2]}, molecules=True)
    one, other = (phenotypes.draw_layout(settings, layout=layout) for layout in ("standard", "dmso"))
    assert list(one.columns) == list(other.columns) and set(other["Metadata_perturbation"]) == {"DMSO"}
    assert other["Metadata_dose"].isna().all() and set(other["Metadata_treatment"]) == {"DMSO"}
