"""Crops of a plate's cells: joined by key, each policy at the border, odd cells and fields, planes, and what is refused."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.features import crops
from conftest import planned, snakemake, write_study
from features_fixture import annotated, rows_of

SETTINGS = {
    "size_um": 12, "size_px": None, "border": "drop", "objects": "cells", "max_per_field": None, "cutoff": 15,
    "renormalise": True, "channels": [["DNA", ["DNA"]], ["RNA", ["RNA"]]], "pixel_size_um": 1.0,
}  # fmt: skip
SIDE = 48


def field(cells: dict[int, tuple], nuclei: dict[int, tuple] | None = None) -> np.ndarray:
    """Label images of nuclei and cells, (2, SIDE, SIDE): {number: (y, x, height, width)}."""
    labels = np.zeros((2, SIDE, SIDE), np.uint16)
    for plane, boxes in ((0, nuclei or cells), (1, cells)):
        for number, (y, x, height, width) in boxes.items():
            labels[plane, y : y + height, x : x + width] = number
    return labels


# A cell in the middle, one at the upper border, one of one pixel, two that touch; numbers in no order of places.
ODD = {5: (20, 20, 6, 6), 2: (0, 30, 5, 5), 1: (44, 10, 1, 1), 7: (30, 24, 4, 4), 3: (30, 28, 4, 4)}


def write_plate(folder, fields, *, channels=("BF", "DNA", "RNA"), parents=None, order=1, wells=None, dtype=np.float16):
    """Write a plate's stack, rows, masks and cell table; masks and cells lie in another order than the rows."""
    folder.mkdir(parents=True, exist_ok=True)
    wells = wells or [f"A{number:02d}" for number in range(1, len(fields) + 1)]
    rows = annotated(rows_of(wells, height=SIDE)).assign(Metadata_dose=np.nan)
    images = np.random.default_rng(0).normal(0, 1, (len(fields), len(channels), SIDE, SIDE)).astype(dtype)
    with store.StackWriter(folder / "stack.tif", images.shape, channels, key="test") as writer:
        for number, image in enumerate(images):
            writer.write(number, image)
    store.write_table(rows, folder / "rows.parquet")
    backwards = range(len(fields) - 1, -1, -1)
    masks = [fields[number] for number in backwards]
    store.write_masks(folder / "masks.tif", rows.iloc[::-1], masks, ["Nuclei", "Cells"], (SIDE, SIDE))
    cells = []
    for number in backwards:
        found = np.setdiff1d(fields[number][1], 0)
        keys = rows.iloc[[number] * len(found)].reset_index(drop=True)
        cells.append(keys.assign(ObjectNumber=found.astype(np.int64), Cells_X=np.float32(1)))
        cells[-1]["Cells_Parent_Nuclei"] = [float((parents or {}).get(one, one)) for one in found]
    store.write_table(pd.concat(cells), folder / "cells.parquet")
    return images, rows


def cut(folder, arm="real", **changes):
    """Run the command on a written plate and open what it wrote."""
    names = {"stack": "stack.tif", "rows": "rows.parquet", "fields": "rows.parquet", "cells": "cells.parquet",
             "masks": "masks.tif", "crops": "crops.tif", "counts": "crops.counts.tsv"}  # fmt: skip
    paths = [word for name, file in names.items() for word in (f"--{name}", str(folder / file))]
    crops.main(["--settings", json.dumps(SETTINGS | changes), "--arm", arm, *paths])
    return store.open_crops(folder / "crops.tif"), store.read_table(folder / "crops.counts.tsv")


def test_crops_show_their_cells_and_are_joined_by_key(tmp_path):
    images, rows = write_plate(tmp_path, [field(ODD), field({9: (10, 10, 4, 8)})])
    found, counts = cut(tmp_path)
    table = found.table()
    assert (
        found.channels == ("DNA", "RNA") and found.images.shape == (4, 2, 1, 12, 12) and found.meta["pixel_um"] == 1.0
    )
    assert list(table.columns[:9]) == [
        *store.CROP_KEYS[:-1],
        "Metadata_Source",
        "Metadata_Batch",
        "Metadata_perturbation",
    ]
    # A field's cells by number; 2 and 1 are at the border. The fields lie as the cell table has them.
    keys = list(zip(table["Metadata_Well"], table["ObjectNumber"]))
    assert keys == [("A02", 9), ("A01", 3), ("A01", 5), ("A01", 7)] and not table["border"].any()
    assert list(table["group"]) == ["P1/A02", "P1/A01", "P1/A01", "P1/A01"] and table["Metadata_dose"].isna().all()
    for number, (well, cell) in enumerate(keys):
        row = list(rows["Metadata_Well"]).index(well)
        y, x = np.argwhere((field(ODD) if row == 0 else field({9: (10, 10, 4, 8)}))[1] == cell).mean(axis=0)
        assert (table["y_px"][number], table["x_px"][number]) == (y, x)
        top, left = int(y + 0.5) - 6, int(x + 0.5) - 6
        assert (found.images[number, :, 0] == images[row, 1:, top : top + 12, left : left + 12]).all()
    joined = table.merge(store.read_table(tmp_path / "cells.parquet"), on=[*store.FIELD_KEYS, "ObjectNumber"])
    assert len(joined) == 4
    assert counts.loc[0, list(crops.COUNTS)].tolist() == [5, 3, 2, 0, 0]


def test_of_two_cells_that_touch_each_has_its_own_mask(tmp_path):
    write_plate(tmp_path, [field(ODD)])
    found, _ = cut(tmp_path)
    table = found.table()
    masks = found.masks[list(table["ObjectNumber"]).index(7), :, 0]
    assert masks[0].sum() == 16 and masks[1].sum() > masks[0].sum() and (masks[1] >= masks[0]).all()
    assert (masks[0, 4:8, 4:8] == 1).all() and (masks[1, 4:8, 8:12] == 1).all() and not masks[0, :, 8:].any()


@pytest.mark.parametrize("border, numbers", [("drop", [3, 5, 7]), ("pad", [1, 2, 3, 5, 7]), ("shift", [1, 2, 3, 5, 7])])
def test_a_cell_at_the_border_by_each_policy(tmp_path, border, numbers):
    images, _ = write_plate(tmp_path, [field(ODD)])
    found, _ = cut(tmp_path, border=border)
    table = found.table().set_index("ObjectNumber")
    assert list(table.index) == numbers and list(table["border"]) == [int(number in (1, 2)) for number in numbers]
    if border == "drop":
        return
    image, masks = found.images[1, 0, 0], found.masks[1, :, 0]  # cell 2: middle at y 2, x 32
    if border == "pad":
        assert not image[:4].any() and not masks[:, :4].any()
        assert (image[4:] == images[0, 1, :8, 26:38]).all() and (masks[0, 4:9, 4:9] == 1).all()
    else:
        assert (image == images[0, 1, :12, 26:38]).all() and (masks[0, :5, 4:9] == 1).all()
    assert found.masks[0, 0].sum() == 1  # the cell of one pixel


def test_a_crop_about_the_nucleus_bears_the_number_and_the_mask_of_its_cell(tmp_path):
    cells, nuclei = {1: (10, 10, 10, 10), 2: (24, 24, 10, 10)}, {1: (25, 26, 2, 2), 2: (12, 11, 2, 2)}
    write_plate(tmp_path, [field(cells, nuclei)], parents={1: 2, 2: 1})
    found, counts = cut(tmp_path, objects="nuclei")
    table = found.table()
    assert list(table["ObjectNumber"]) == [1, 2] and list(table["y_px"]) == [12.5, 25.5]
    assert found.masks[0, 0, 0, 3:, 4:].all() and found.masks[0, 0].sum() == 9 * 8 and counts["crops"][0] == 2


def test_a_field_without_cells_has_none_and_a_plate_without_cells_a_file_of_none(tmp_path):
    nothing = field({})
    write_plate(tmp_path / "some", [nothing, field(ODD), nothing])
    found, counts = cut(tmp_path / "some")
    assert len(found) == 3 and list(counts["crops"]) == [0, 3, 0] and list(counts["cells"]) == [0, 5, 0]
    write_plate(tmp_path / "none", [nothing])
    found, counts = cut(tmp_path / "none")
    assert len(found) == 0 and found.images.shape == (0, 2, 1, 12, 12) and list(counts["cells"]) == [0]
    assert list(found.table().columns) == list(store.open_crops(tmp_path / "some" / "crops.tif").table().columns)


def test_a_cell_without_a_pixel_is_counted_and_left_out(tmp_path):
    images, rows = write_plate(tmp_path, [field(ODD)])
    cells = store.read_table(tmp_path / "cells.parquet")
    store.write_table(pd.concat([cells, cells.iloc[:1].assign(ObjectNumber=99)]), tmp_path / "cells.parquet")
    _, counts = cut(tmp_path)
    assert counts.loc[0, list(crops.COUNTS)].tolist() == [6, 3, 2, 1, 0]


def test_a_field_without_label_image_is_an_error_that_names_it(tmp_path):
    _, rows = write_plate(tmp_path, [field(ODD), field(ODD)])
    store.write_masks(tmp_path / "masks.tif", rows[:1], [field(ODD)], ["Nuclei", "Cells"], (SIDE, SIDE))
    expected = (
        r"masks.tif: no label image of plate P1, well A02, site 1, tile 1 .*\(1 of 2 fields have none\); delete it"
    )
    with pytest.raises(ValueError, match=expected):
        cut(tmp_path)


def test_label_images_of_another_size_and_cells_of_another_field_are_refused(tmp_path):
    _, rows = write_plate(tmp_path, [field(ODD)])
    cells = store.read_table(tmp_path / "cells.parquet")
    store.write_table(cells.assign(Metadata_Well="H12"), tmp_path / "cells.parquet")
    with pytest.raises(
        ValueError, match="cells of plate P1, well H12, site 1, tile 1, which is not among the plate's rows"
    ):
        cut(tmp_path)
    store.write_table(cells, tmp_path / "cells.parquet")
    store.write_masks(tmp_path / "masks.tif", rows, [field(ODD)[:, :40]], ["Nuclei", "Cells"], (40, SIDE))
    with pytest.raises(
        ValueError, match=r"well A01.*: a label image of \(40, 48\) px, expected \(48, 48\) as .*stack.tif"
    ):
        cut(tmp_path)
    with pytest.raises(ValueError, match=r"crops.size_um 100 is 100 pixels of 1 um, expected 1 to 48; choose another"):
        cut(tmp_path, size_um=100)


def test_at_most_so_many_crops_a_field_are_drawn_by_its_name(tmp_path):
    grid = {4 * row + column + 1: (8 + 8 * row, 8 + 8 * column, 3, 3) for row in range(4) for column in range(4)}
    write_plate(tmp_path, [field(grid), field(grid)])
    found, counts = cut(tmp_path, max_per_field=5)
    drawn = found.table().groupby("Metadata_Well")["ObjectNumber"].apply(list)
    assert [len(numbers) for numbers in drawn] == [5, 5] and drawn["A01"] != drawn["A02"]
    assert all(numbers == sorted(numbers) for numbers in drawn) and list(counts["beyond_most"]) == [11, 11]
    write_plate(tmp_path / "alone", [field(grid)])
    again = cut(tmp_path / "alone", max_per_field=5)[0].table()
    assert list(again["ObjectNumber"]) == drawn["A01"]


def test_a_crop_is_as_wide_in_micrometres_whatever_its_pixels(tmp_path):
    write_plate(tmp_path, [field(ODD)])
    found, _ = cut(tmp_path, pixel_size_um=0.5)
    assert found.images.shape[-2:] == (24, 24)
    found, _ = cut(tmp_path, pixel_size_um=0.5, size_px=32, border="pad")
    assert found.images.shape[-2:] == (32, 32) and found.meta["pixel_um"] == 0.375
    assert set(np.unique(found.masks)) == {0, 1}


def test_planes_become_depth_and_flat_masks_are_repeated(tmp_path):
    images, _ = write_plate(tmp_path, [field(ODD)], channels=("A_2", "A_1", "B_1", "B_2"))
    found, _ = cut(tmp_path, channels=[["A", ["A_1", "A_2"]], ["B", ["B_1", "B_2"]]])
    assert found.images.shape == (3, 2, 2, 12, 12) and found.meta["planes"] == {
        "A": ["A_1", "A_2"],
        "B": ["B_1", "B_2"],
    }
    five = list(found.table()["ObjectNumber"]).index(5)
    window = images[0, :, 17:29, 17:29]
    assert (found.images[five] == window[[1, 0, 2, 3]].reshape(2, 2, 12, 12)).all()
    assert (found.masks[:, :, 0] == found.masks[:, :, 1]).all()


@pytest.mark.parametrize("renormalise", [True, False])
def test_predicted_stains_are_brought_to_the_scale_of_the_prepared_ones(tmp_path, renormalise):
    images, _ = write_plate(tmp_path, [field(ODD)], channels=("DNA", "RNA"))
    found, _ = cut(tmp_path, arm="pert", renormalise=renormalise)
    five = list(found.table()["ObjectNumber"]).index(5)
    expected = (standardise(images[0], 15) if renormalise else images[0])[:, 17:29, 17:29]
    assert np.allclose(found.images[five, :, 0], expected, atol=2e-3)
    depth, _ = cut(tmp_path, arm="pert", channels=[["A", ["DNA", "RNA"]]], planes=[["DNA", "RNA"]])
    both = standardise(images[0].reshape(1, -1, SIDE), 15).reshape(2, SIDE, SIDE)  # planes: one mean and s.d.
    assert np.allclose(depth.images[five, 0], both[:, 17:29, 17:29], atol=2e-3)
    alone, _ = cut(tmp_path, arm="pert", channels=[["RNA", ["RNA"]]], planes=[["DNA", "RNA"]])
    assert np.allclose(alone.images[five, 0], both[1:, 17:29, 17:29], atol=2e-3)


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    write_plate(tmp_path, [field(ODD), field(ODD)])
    cut(tmp_path)
    whole = [(tmp_path / name).read_bytes() for name in ("crops.tif", "crops.masks.tif")]
    for name in ("crops.tif", "crops.masks.tif"):
        (tmp_path / name).unlink()
    write, written = store.CropWriter.write, []

    def killed(self, number, *crop):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(number)
        write(self, number, *crop)

    monkeypatch.setattr(store.CropWriter, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        cut(tmp_path)
    written[:], first = [], list(written)
    cut(tmp_path)
    assert first == [0, 1, 2, 3] and written == [4, 5]
    assert [(tmp_path / name).read_bytes() for name in ("crops.tif", "crops.masks.tif")] == whole


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_the_cells(tmp_path):
    """What a plate holds of each field (its keys, counts, places in the files) stays; of its cells, a field's at a time."""
    grid = {4 * row + column + 1: (8 + 8 * row, 8 + 8 * column, 3, 3) for row in range(4) for column in range(4)}

    def peak(fields: int, cells: int) -> int:
        folder = tmp_path / f"{fields}_{cells}_{len(list(tmp_path.iterdir()))}"
        write_plate(folder, [field({number: grid[number] for number in range(1, cells + 1)})] * fields)
        tracemalloc.start()
        found, _ = cut(folder, size_um=40, border="pad")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found) == fields * cells
        return most

    peak(2, 2)  # imports
    # The lesser of two: what else the process does in the meantime (a late import) is no memory of cells.
    grown = [peak(8, 2) - peak(2, 2), min(peak(8, 16), peak(8, 16)) - peak(2, 16)]
    assert (grown[1] - grown[0]) / (6 * 14) < 1000  # bytes a cell; a crop holds 9,600


def test_crops_are_planned_where_they_are_asked_for_alone(tmp_path):
    plain, asked = tmp_path / "plain", tmp_path / "asked"
    write_study(plain, {"source": {"layout": "simulated"}})
    jobs = planned(snakemake(plain, "-n", "--quiet", "rules").stdout)
    write_study(asked, {"source": {"layout": "simulated"}, "crops": {"size_um": 40, "arms": ["real", "pert"]}})
    assert planned(snakemake(asked, "-n", "--quiet", "rules").stdout) == {**jobs, "crops": 3}
    assert planned(snakemake(asked, "-n", "--quiet", "rules", "--cores", "1", "features").stdout)["crops"] == 3


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.cellprofiler
def test_cells_that_cellprofiler_measured_are_cropped_end_to_end(tmp_path, cellprofiler):
    """From a simulated plate to crops: one file a plate, joined to the cell table, and nothing that was not asked for."""
    planes = {"planes": {"BF": ["Brightfield_L", "Brightfield", "Brightfield_H"]}}
    asked = {"size_um": 24, "border": "pad", "objects": "nuclei", "channels": ["BF"]}
    simulate = {"seed": 7, "rows": 2, "columns": 2, "size_px": 128, "cells_per_field": 8}
    write_study(tmp_path, {"source": {"layout": "simulated"}, "simulate": simulate, "channels": planes, "crops": asked})
    snakemake(tmp_path, "--cores", "1", "--show-failed-logs", "results/crops/real/T2.tif")
    found = store.open_crops(tmp_path / "results" / "crops" / "real" / "T2.tif")
    cells = store.read_table(tmp_path / "results" / "cells" / "real" / "T2.parquet")
    table = found.table()
    assert len(found) == len(cells) > 8 and found.channels == ("BF",) and found.images.shape[2:] == (3, 24, 24)
    assert len(table.merge(cells, on=[*store.FIELD_KEYS, "ObjectNumber"], validate="one_to_one")) == len(cells)
    areas = table[store.CROP_KEYS].merge(cells, on=[*store.FIELD_KEYS, "ObjectNumber"])["Cells_AreaShape_Area"]
    whole = table["border"].to_numpy() == 0
    assert (found.masks[:, 0, 0].sum(axis=(1, 2)) <= areas + 0.5).all() and found.masks[:, 0].any(axis=(1, 2, 3)).all()
    middle = found.masks[whole][:, 0, 0, 12, 12]
    assert middle.mean() > 0.9  # the middle of the nucleus lies in the cell
    assert not (tmp_path / "results" / "images" / "pert").exists()
