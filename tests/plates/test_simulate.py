"""Simulated plates: layout, truth, phenotypes that move what they name, and optics against known answers."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats

from brightpaint import store
from brightpaint.plates import index, simulate
from brightpaint.plates.simulator import imaging, optics, phenotypes, population, stains, textures
from brightpaint.plates.simulator.phenotypes import INVISIBLE, PARAMETERS, VISIBLE
from conftest import swept

PLANES = ["Brightfield_L", "Brightfield", "Brightfield_H"]
CHANNELS = PLANES + list(stains.STAINS)
DRAW = {"dmso_share": 0.25, "inactive_share": 0.45, "invisible_share": 0.4, "strength": 1.0}
UNTREATED = dict.fromkeys(PARAMETERS, 0.0)


def settings(**changes) -> dict:
    """Settings of a plate of 2 x 3 wells and 64 px; keys of the plate row are changed by `plate={...}`."""
    plate = {
        "plate": "P1", "role": "study", "project": "simulated", "source": "source_0", "batch": "B1",
        "channels": CHANNELS, **changes.pop("plate", {}),
    }  # fmt: skip
    small = {"seed": 3, "rows": 2, "columns": 3, "sites": 1, "size_px": 64, "cells_per_field": 4, "pixel_size_um": 1.0}
    return {**small, **DRAW, "failed_share": 0.0, **changes, "plate": plate}


def draw(state: dict, seed: object = 1, *, size_px: int = 128, pixel: float = 1.0, count: float = 8):
    density = count / (size_px * pixel) ** 2
    return simulate.draw_sample(state, size_px=size_px, pixel_size_um=pixel, density=density, names=(seed,))


@functools.cache
def untreated(seed: object = 1, size_px: int = 128, count: float = 8):
    """Draw as `draw` does what nothing was done to, once for all tests: read it alone."""
    return draw(UNTREATED, seed, size_px=size_px, count=count)


def files_of(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def layout_of(**changes) -> pd.DataFrame:
    layout = changes.pop("layout", "standard")
    return phenotypes.draw_layout({"rows": 8, "columns": 12, "seed": 5, **DRAW, **changes}, layout=layout)


def effects_of(table: pd.DataFrame, names=PARAMETERS) -> np.ndarray:
    return table[[f"effect_{name}" for name in names]].to_numpy()


# --- who does what ---


def test_pairs_share_a_target_and_a_direction_with_strengths_of_their_own():
    layout = layout_of()
    treated = layout[layout["Metadata_target"] != ""]
    assert len(treated) == 72 and (layout["Metadata_control_type"] == "negcon").sum() == 24
    for _, pair in treated.groupby("Metadata_target"):
        assert len(pair) == 2 and pair["direction"].nunique() == 1 and pair["Metadata_perturbation"].nunique() == 2
        first, second = effects_of(pair)
        if pair["active"].all():
            cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
            assert cosine == pytest.approx(1, abs=1e-5) and not np.allclose(first, second)
        else:
            assert not first.any() and not second.any()


def test_shares_of_inactive_and_invisible_targets_are_as_asked():
    targets = layout_of().drop_duplicates("Metadata_target").query("Metadata_target != ''")
    assert len(targets) == 36 and targets["active"].sum() == 36 - round(0.45 * 36) == 20
    assert (targets["active"] - targets["visible"]).sum() == round(0.4 * 20)
    assert not layout_of(inactive_share=1.0)["active"].any()
    assert not effects_of(layout_of(strength=0.0)).any()


def test_active_targets_have_distinct_directions():
    active = layout_of().query("active == 1").drop_duplicates("Metadata_target")
    directions = effects_of(active)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    alike = directions @ directions.T - np.eye(len(directions))
    assert alike.max() < 0.95
    assert len({words.split()[0].strip("+-") for words in active["direction"]}) >= 8


def test_an_invisible_target_has_no_effect_that_brightfield_could_see():
    invisible = layout_of().query("active == 1 and visible == 0")
    assert len(invisible) and not effects_of(invisible, VISIBLE).any() and effects_of(invisible, INVISIBLE).any()


def test_the_layout_follows_from_the_seed_alone():
    pd.testing.assert_frame_equal(layout_of(), layout_of())
    assert not layout_of()["Metadata_perturbation"].equals(layout_of(seed=6)["Metadata_perturbation"])


def test_a_plate_of_dmso_alone():
    layout = layout_of(layout="dmso")
    assert (layout["Metadata_perturbation"] == "DMSO").all() and not effects_of(layout).any()
    assert list(layout["Metadata_Well"][:2]) == ["A01", "A02"] and layout["Metadata_Well"].iloc[-1] == "H12"


def test_failed_wells_are_drawn_per_plate_and_keep_their_label():
    layout = layout_of(inactive_share=0.0)
    one, two = (phenotypes.fail_wells(layout, seed=5, barcode=name, failed_share=0.25) for name in ("P1", "P2"))
    assert one["failed"].sum() == 18 and not one["failed"].equals(two["failed"])
    assert one["Metadata_perturbation"].equals(layout["Metadata_perturbation"])
    assert not effects_of(one[one["failed"] == 1]).any() and effects_of(one[one["failed"] == 0]).any()
    assert not one.loc[one["Metadata_control_type"] == "negcon", "failed"].any()


def test_an_inactive_well_is_drawn_exactly_as_dmso_would_be():
    layout = layout_of()
    inactive = layout.query("active == 0 and Metadata_target != ''").iloc[0]
    dmso = layout.query("Metadata_target == ''").iloc[0].copy()
    dmso["Metadata_Well"] = inactive["Metadata_Well"]
    state = phenotypes.well_state(inactive, seed=5, barcode="P1")
    assert state == phenotypes.well_state(dmso, seed=5, barcode="P1")
    scores = pd.DataFrame(
        [phenotypes.well_state(well, seed=5, barcode=f"P{n}") for n in range(40) for _, well in layout.iterrows()]
    )
    which = pd.concat([layout] * 40, ignore_index=True)
    control, idle = which["Metadata_target"] == "", (which["active"] == 0) & (which["Metadata_target"] != "")
    for name in PARAMETERS:
        assert stats.ks_2samp(scores.loc[control, name], scores.loc[idle, name]).pvalue > 1e-4


def test_too_many_targets_are_refused():
    with pytest.raises(ValueError, match="targets, but the library has 192"):
        phenotypes.draw_layout({"rows": 30, "columns": 30, "seed": 1, **DRAW}, layout="standard")


# --- what brightfield sees ---


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_invisible_parameters_leave_brightfield_unchanged_and_change_a_stain(parameter):
    lighting = simulate.plate_lighting(CHANNELS, seed=1, barcode="P1")
    images = [
        simulate.image_sample(*sample, channels=CHANNELS, pixel_size_um=1.0, lighting=lighting, names=(1,))
        for sample in (untreated(size_px=64, count=4), draw({**UNTREATED, parameter: 2.0}, size_px=64, count=4))
    ]
    same = {name: np.array_equal(images[0][name], images[1][name]) for name in CHANNELS}
    assert all(same[name] for name in PLANES) == (parameter in INVISIBLE)
    assert not all(same[name] for name in stains.STAINS)


# --- every parameter moves what it names ---


def cell_areas(maps, canvas) -> np.ndarray:
    return np.bincount(maps["owner"][maps["owner"] >= 0]) * canvas.step_um**2


def nuclear(maps) -> np.ndarray:
    return (maps["DNA"] > 0.3) & (maps["owner"] >= 0)


def stretch(maps, canvas) -> float:
    ratios = []
    for number in np.unique(maps["owner"][maps["owner"] >= 0]):
        values = np.linalg.eigvalsh(np.cov(np.nonzero(maps["owner"] == number)))
        ratios.append(np.sqrt(values[1] / max(values[0], 1e-9)))
    return float(np.median(ratios))


def roughness(image, mask, width) -> float:
    return float((np.abs(image - ndimage.gaussian_filter(image, width))[mask]).mean() / image[mask].mean())


def cytoplasm(maps) -> np.ndarray:
    return (maps["owner"] >= 0) & ~nuclear(maps)


def bright_share(image, mask) -> float:
    return float(np.percentile(image[mask], 99) / image[mask].mean())


QUANTITIES = {
    "cell_number": lambda maps, canvas: len(np.unique(maps["owner"])),
    "nuclear_size": lambda maps, canvas: nuclear(maps).sum() / len(np.unique(maps["owner"])),
    "nucleolar_size": lambda maps, canvas: bright_share(maps["path"], nuclear(maps)),
    "cell_area": lambda maps, canvas: np.median(cell_areas(maps, canvas)),
    "elongation": stretch,
    "mito_fragments": lambda maps, canvas: roughness(maps["Mito"], cytoplasm(maps), 3),
    "vacuoles": lambda maps, canvas: (
        (maps["RNA"] < 0.6 * ndimage.median_filter(maps["RNA"], 15)) & (maps["RNA"] > 0)
    ).sum(),
    "er_intensity": lambda maps, canvas: maps["ER"].mean(),
    "golgi_spread": lambda maps, canvas: -bright_share(ndimage.gaussian_filter(maps["AGP"], 4), cytoplasm(maps)),
    "actin_fibres": lambda maps, canvas: roughness(maps["AGP"], cytoplasm(maps), 4),
    "mito_potential": lambda maps, canvas: maps["Mito"].mean(),
    "nucleolar_rna": lambda maps, canvas: bright_share(maps["RNA"], nuclear(maps)),
    "chromatin": lambda maps, canvas: roughness(maps["DNA"], ndimage.binary_erosion(nuclear(maps), iterations=4), 3),
    "rna": lambda maps, canvas: maps["RNA"][cytoplasm(maps)].mean(),
}


@pytest.mark.parametrize("parameter", swept(PARAMETERS, PARAMETERS[1::2]))
def test_each_parameter_moves_its_quantity_in_grades(parameter):
    scores = (0.0, 1.5, 3.0) if phenotypes.ONE_SIDED.get(parameter) == 1 else (-2.5, 0.0, 2.5)
    measured = [
        np.mean(
            [
                QUANTITIES[parameter](*(draw({**UNTREATED, parameter: score}, seed) if score else untreated(seed)))
                for seed in range(3)
            ]
        )
        for score in scores
    ]
    assert measured[0] < measured[1] < measured[2]


# --- a field ---


def test_a_field_is_the_same_each_time_and_others_differ():
    first, again, other = draw(UNTREATED, "a")[0], draw(UNTREATED, "a")[0], draw(UNTREATED, "b")[0]
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["DNA"], other["DNA"])


def test_cells_are_as_large_in_um_whatever_the_pixel():
    areas = []
    for size_px, pixel in ((128, 1.0), (256, 0.5), (64, 2.0)):
        maps, canvas = draw(UNTREATED, 4, size_px=size_px, pixel=pixel)
        areas.append([nuclear(maps).sum() * canvas.step_um**2, (maps["owner"] >= 0).sum() * canvas.step_um**2])
        assert canvas.step_um == pytest.approx(0.5)
    fine, canvas = draw(UNTREATED, 4, size_px=197, pixel=0.65)
    areas.append([nuclear(fine).sum() * canvas.step_um**2, (fine["owner"] >= 0).sum() * canvas.step_um**2])
    np.testing.assert_allclose(areas, np.broadcast_to(areas[0], (4, 2)), rtol=0.04)


def test_nuclei_are_of_the_size_of_u2os_nuclei():
    maps, canvas = draw(UNTREATED, 2, size_px=256, count=25)
    labels, count = ndimage.label(ndimage.binary_opening(nuclear(maps)))
    areas = np.bincount(labels.ravel())[1:] * canvas.step_um**2
    diameter = np.median(2 * np.sqrt(areas[areas > 40] / np.pi))
    assert 12 < diameter < 18


def test_a_field_without_cells_is_empty_and_still_an_image():
    maps, canvas = draw(UNTREATED, count=1e-6)
    assert (maps["owner"] == -1).all() and not maps["ER"].any()
    lighting = simulate.plate_lighting(CHANNELS, seed=1, barcode="P1")
    images = simulate.image_sample(
        maps, canvas, channels=CHANNELS, pixel_size_um=1.0, lighting=lighting, names=("empty",)
    )
    assert all(image.shape == (128, 128) and image.dtype == np.uint16 for image in images.values())


def test_partition_gives_a_lone_cell_its_outline_and_touching_cells_one_owner():
    maps, canvas = draw(UNTREATED, 5)
    to_border, to_free = population.edge_distance(maps["owner"], canvas.step_um)
    # naive: nearest pixel that has a neighbour of another owner
    owner = maps["owner"][100:140, 100:140]
    naive_border, naive_free = population.edge_distance(owner, 1.0)
    rows, columns = np.indices(owner.shape)
    edge = np.zeros(owner.shape, bool)
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        inside = np.pad(owner, 1, mode="edge")[1 + dy : 41 + dy, 1 + dx : 41 + dx]
        edge |= inside != owner
    for distance, mask in ((naive_border, edge), (naive_free, owner < 0)):
        if mask.any():
            y, x = np.nonzero(mask)
            expected = np.sqrt((rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2).min(axis=-1)
            np.testing.assert_allclose(distance, expected, rtol=1e-6)
    assert to_border.max() > 5 and (to_free[maps["owner"] < 0] == 0).all()


def test_textures_are_periodic_and_about_one():
    for name, texture in textures.bank().items():
        assert texture.mean() == pytest.approx(1, abs=1e-3) and texture.min() >= 0
        at = np.array([3.1, 70.2]), np.array([9.7, 101.4])
        shifted = textures.look_up(name, at[0] + textures.PERIOD_UM, at[1] - textures.PERIOD_UM)
        np.testing.assert_array_equal(textures.look_up(name, *at), shifted)


# --- optics ---


def test_planes_of_nothing_are_one_and_planes_are_spread_evenly():
    nothing = np.zeros((32, 32), np.float32)
    planes = optics.brightfield(nothing, nothing, step_um=0.5, z_um=[-4.0, 0.0, 4.0])
    np.testing.assert_allclose(planes, 1, atol=1e-5)
    np.testing.assert_allclose(optics.brightfield(nothing, nothing + 0.3, step_um=0.5, z_um=[2.0]), np.exp(-0.3), 1e-5)
    assert optics.focal_positions(1) == [0.0] and optics.focal_positions(5) == [-4.0, -2.0, 0.0, 2.0, 4.0]


def test_a_weak_phase_grating_images_as_theory_says():
    """Abbe: each illumination angle gives three orders; their phases after z follow from the angular spectrum."""
    size, step, phase = 64, 0.5, 0.002
    frequency = 4 / (size * step)
    x = (np.arange(size)) * step
    grating = phase * np.cos(2 * np.pi * frequency * x) * optics.WAVELENGTH_UM / (2 * np.pi)
    path = np.broadcast_to(grating.astype(np.float32), (size, size))
    for z in (-4.0, 0.0, 3.0):
        expected = np.zeros(size)
        for fx, fy, weight in optics.illumination_angles():
            axial = [
                np.sqrt(1 / optics.WAVELENGTH_UM**2 - (fx + order * frequency) ** 2 - fy**2) for order in (-1, 0, 1)
            ]
            wave = sum(
                (1 if order == 0 else 0.5j * phase)
                * np.exp(2j * np.pi * (order * frequency * x + z * (axial[order + 1] - axial[1])))
                for order in (-1, 0, 1)
            )
            expected += weight * np.abs(wave) ** 2
        seen = optics.brightfield(path, np.zeros_like(path), step_um=step, z_um=[z])[0, 5]
        np.testing.assert_allclose(seen, expected, atol=8e-6)  # second-order terms are phase^2


def test_a_thick_spot_gathers_light_above_itself_and_spreads_it_below():
    axis = (np.arange(96) - 48) * 0.5
    spot = (0.1 * np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 1.5**2))).astype(np.float32)
    below, focus, above = optics.brightfield(spot, np.zeros_like(spot), step_um=0.5, z_um=[-4.0, 0.0, 4.0])[:, 48, 48]
    assert above > 1.05 and below < 0.95 and abs(focus - 1) < 0.5 * min(above - 1, 1 - below)


def test_blur_keeps_the_light_and_has_core_and_halo():
    point = np.zeros((128, 128), np.float32)
    point[64, 64] = 1
    blurred = optics.widefield(point, step_um=0.25)
    assert blurred.sum() == pytest.approx(1, rel=1e-3)
    square = (np.indices(point.shape) - 64) ** 2 * 0.25**2
    variance = (blurred * square[0]).sum() / blurred.sum()
    share = optics.HALO_SHARE
    assert variance == pytest.approx((1 - share) * optics.PSF_CORE_UM**2 + share * optics.PSF_HALO_UM**2, rel=0.02)


def test_camera_adds_shot_noise_read_noise_offset_and_saturates():
    raw = optics.camera(np.full((400, 400), 900.0), np.random.default_rng(1)).astype(float)
    assert raw.mean() == pytest.approx(900 + optics.OFFSET, abs=0.5)
    assert raw.var() == pytest.approx(900 + optics.READ_NOISE**2, rel=0.03)
    assert (optics.camera(np.full((4, 4), 1e6), np.random.default_rng(1)) == 65535).all()


def test_binning_averages_and_lighting_falls_off():
    np.testing.assert_array_equal(optics.bin_pixels(np.arange(16.0).reshape(4, 4), 2), [[2.5, 4.5], [10.5, 12.5]])
    light = optics.Lighting(1.2, (0.5, 0.5), 0.3).field(101)
    assert light[50, 50] == pytest.approx(1.2) and light[0, 0] == pytest.approx(1.2 * 0.7, rel=0.02)


def planes_of(channels: list[str]) -> dict[str, float]:
    return imaging.View(channels).brightfield_planes()


def test_any_channel_that_is_no_stain_is_a_brightfield_plane():
    assert planes_of(CHANNELS) == {"Brightfield_L": -4.0, "Brightfield": 0.0, "Brightfield_H": 4.0}
    shuffled = ["Brightfield", "Brightfield_H", "DNA", "Brightfield_L"]
    assert planes_of(shuffled) == planes_of(CHANNELS)
    assert planes_of(["BF", "RNA"]) == {"BF": 0.0}
    assert list(planes_of([f"Z{n}" for n in range(5)]).values()) == [-4.0, -2.0, 0.0, 2.0, 4.0]


# --- a plate ---


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    mirror = tmp_path_factory.mktemp("mirror")
    return mirror, simulate.simulate_plate(settings(), mirror)


def test_files_lie_as_in_the_gallery(plate):
    mirror, truth = plate
    root = mirror / "simulated" / "source_0"
    names = sorted(path.name for path in (root / "images" / "B1" / "images" / "P1").iterdir())
    assert len(names) == 6 * 8
    assert names[:8] == [
        "P1_A01_T0001F001L01A01Z01C01.tif", "P1_A01_T0001F001L01A02Z01C02.tif", "P1_A01_T0001F001L01A03Z01C03.tif",
        "P1_A01_T0001F001L01A04Z01C04.tif", "P1_A01_T0001F001L01A05Z01C05.tif", "P1_A01_T0001F001L01A06Z01C06.tif",
        "P1_A01_T0001F001L01A06Z02C06.tif", "P1_A01_T0001F001L01A06Z03C06.tif",
    ]  # fmt: skip
    image = store.read_raw(root / "images" / "B1" / "images" / "P1" / names[0])
    assert image.shape == (64, 64) and image.dtype == np.uint16
    table = pd.read_csv(root / "workspace" / "load_data_csv" / "B1" / "P1" / "load_data.csv")
    assert len(table) == 6 and list(table.columns[:5]) == [
        "Metadata_Source", "Metadata_Batch", "Metadata_Plate", "Metadata_Well", "Metadata_Site",
    ]  # fmt: skip
    assert set(table.columns[5:]) == {f"{kind}Name_Orig{name}" for kind in ("File", "Path") for name in CHANNELS}
    assert set(table["PathName_OrigDNA"]) == {"/home/ubuntu/bucket/simulated/source_0/images/B1/images/P1/"}
    assert table["FileName_OrigBrightfield"][0] == "P1_A01_T0001F001L01A06Z02C06.tif"


def test_platemap_leaves_dmso_wells_empty_and_metadata_knows_every_sample(plate):
    mirror, truth = plate
    metadata = mirror / "simulated" / "source_0" / "workspace" / "metadata"
    barcodes = pd.read_csv(metadata / "platemaps" / "B1" / "barcode_platemap.csv", dtype=str)
    assert list(barcodes["Assay_Plate_Barcode"]) == ["P1"]
    name = barcodes["Plate_Map_Name"][0]
    table = pd.read_csv(metadata / "platemaps" / "B1" / "platemap" / f"{name}.txt", sep="\t", keep_default_na=False)
    assert list(table.columns) == ["well_position", "broad_sample", "solvent"]
    dmso = truth["Metadata_perturbation"] == "DMSO"
    assert (table.loc[dmso, "broad_sample"] == "").all() and (table.loc[~dmso, "broad_sample"] != "").all()
    (path,) = (metadata / "external_metadata").glob("*.tsv")
    known = pd.read_csv(path, sep="\t", keep_default_na=False).set_index("broad_sample")
    assert set(table["broad_sample"]) <= set(known.index)
    assert known.loc["", ["pert_iname", "control_type", "pert_type"]].tolist() == ["DMSO", "negcon", "control"]
    assert known.loc["SIM-001-A", "target"] == known.loc["SIM-001-B", "target"] == "SIMT001"


def test_the_index_reads_the_plate_back_as_the_truth_says(plate):
    mirror, truth = plate
    source = {"layout": "gallery", "url": str(mirror), "endpoint_url": None, "region": "us-east-1", "profile": None,
              "table": None, "compounds": None, "exclude": None, "missing": "error"}  # fmt: skip
    table, missing = index.index_plate(
        {"source": source, "plate": {**settings()["plate"], "layout": "standard"}, "channels": CHANNELS}
    )
    assert missing.empty and len(table) == 6 * 8
    columns = ["Metadata_perturbation", "Metadata_target", "Metadata_control_type", "Metadata_Batch", "Metadata_Source"]
    found = table.drop_duplicates("Metadata_Well").set_index("Metadata_Well")[columns].sort_index()
    pd.testing.assert_frame_equal(found, truth.set_index("Metadata_Well")[columns].sort_index(), check_dtype=False)


def test_a_plate_is_the_same_each_time_and_a_field_does_not_depend_on_others(plate, tmp_path):
    mirror, truth = plate
    again = simulate.simulate_plate(settings(), tmp_path / "again")
    pd.testing.assert_frame_equal(truth, again)
    assert files_of(mirror) == files_of(tmp_path / "again")
    simulate.simulate_plate(settings(sites=2, columns=3), tmp_path / "more")
    more = files_of(tmp_path / "more")
    images = {name: data for name, data in files_of(mirror).items() if name.endswith(".tif")}
    assert all(more[name] == data for name, data in images.items()) and len(more) > len(images) + 40


def test_two_plates_of_a_batch_share_metadata_and_layout_but_no_cells(plate, tmp_path):
    mirror, truth = plate
    other = simulate.simulate_plate(settings(plate={"plate": "P0"}), tmp_path)
    simulate.simulate_plate(settings(), tmp_path)
    maps = tmp_path / "simulated" / "source_0" / "workspace" / "metadata" / "platemaps" / "B1"
    barcodes = pd.read_csv(maps / "barcode_platemap.csv", dtype=str)
    assert list(barcodes["Assay_Plate_Barcode"]) == ["P0", "P1"] and barcodes["Plate_Map_Name"].nunique() == 1
    assert other["Metadata_perturbation"].equals(truth["Metadata_perturbation"])
    assert not other["score_cell_area"].equals(truth["score_cell_area"])
    images = tmp_path / "simulated" / "source_0" / "images" / "B1" / "images"
    one, two = (store.read_raw(images / name / f"{name}_A01_T0001F001L01A01Z01C01.tif") for name in ("P0", "P1"))
    assert not np.array_equal(one, two)


def test_barcodes_of_a_batch_stay_as_they_are(tmp_path):
    columns = ["Metadata_Well", "Metadata_perturbation", "Metadata_control_type"]
    layout = pd.DataFrame([["A01", "DMSO", "negcon"], ["A02", "0012", ""]], columns=columns)
    for barcode in ("NA", "001"):
        simulate.write_metadata(tmp_path, {"batch": "B1", "barcode": barcode, "layout": "standard"}, layout)
    lines = (tmp_path / "metadata/platemaps/B1/barcode_platemap.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["Assay_Plate_Barcode", "001", "NA"]


def test_a_predict_plate_has_brightfield_alone_and_the_same_as_with_stains(plate, tmp_path):
    mirror, truth = plate
    again = simulate.simulate_plate(settings(plate={"role": "predict"}), tmp_path)
    pd.testing.assert_frame_equal(truth, again)
    images, whole = files_of(tmp_path / "simulated/source_0/images"), files_of(mirror / "simulated/source_0/images")
    assert len(images) == 6 * 3 and all(whole[name] == data for name, data in images.items())
    (path,) = tmp_path.rglob("load_data.csv")
    columns = pd.read_csv(path).columns
    assert {name.removeprefix("FileName_Orig") for name in columns if name.startswith("FileName")} == set(PLANES)


def test_a_barcode_names_files_and_seeds_cells_while_the_truth_keeps_the_plates_name(plate, tmp_path):
    mirror, _ = plate
    truth = simulate.simulate_plate(settings(plate={"plate": "left", "barcode": "P1"}), tmp_path)
    assert set(truth["Metadata_Plate"]) == {"left"}
    assert files_of(tmp_path / "simulated/source_0/images") == files_of(mirror / "simulated/source_0/images")


def test_the_truth_has_the_columns_of_the_contract(plate):
    _, truth = plate
    promised = ["Metadata_Plate", "Metadata_Well", "Metadata_Source", "Metadata_Batch", "Metadata_perturbation",
                "Metadata_target", "Metadata_control_type", "active", "visible", "failed", "direction"]  # fmt: skip
    assert set(promised) <= set(truth.columns) and not truth.isna().any().any()
    assert set(truth["active"]) | set(truth["visible"]) | set(truth["failed"]) <= {0, 1}


# --- refusals ---


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"plate": {"batch": ""}}, "plate P1: the plate table has no batch for it; expected e.g."),
        ({"size_px": 32}, "plate P1: a field of 32 px at 1.0 um a pixel is smaller than a cell; set simulate.size_px"),
    ],
)
def test_bad_settings_are_one_line_that_says_what_to_do(changes, message, tmp_path):
    command = [sys.executable, "-m", "brightpaint.plates.simulate", "--settings", json.dumps(settings(**changes))]
    command += ["--mirror", str(tmp_path / "mirror"), "--truth", str(tmp_path / "truth.tsv")]
    environment = {**os.environ, "PYTHONPATH": str(Path(simulate.__file__).parents[2])}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 1 and ended.stderr.startswith(f"error: {message}")
    assert ended.stderr.count("\n") == 1 and not (tmp_path / "truth.tsv").exists()
