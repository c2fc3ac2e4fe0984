"""Crops of one's own become a store: keys, labels, groups, masks and scale are theirs; wrong tables are refused by row."""

from __future__ import annotations

import csv
import tracemalloc

import numpy as np
import pytest
import tifffile

from brightpaint import store
from brightpaint.features import own_crops
from conftest import snakemake, write_study


def write(folder, rows, **files):
    for name, images in files.items():
        tifffile.imwrite(folder / f"{name}.tif", images, photometric="minisblack")
    with open(folder / "cells.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def run(folder, *more, channels="DNA"):
    own_crops.main([str(folder), "--table", str(folder / "cells.csv"), "--channels", channels, "--crops",
                    str(folder / "c.tif"), *more])  # fmt: skip
    return store.open_crops(folder / "c.tif")


def test_a_row_is_a_crop_wherever_it_lies_and_all_share_one_scale(tmp_path):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 255, (3, 8, 8)).astype(np.uint8), rng.integers(100, 255, (2, 8, 8)).astype(np.uint8)
    rows = [
        {"file": "b.tif", "index": 1, "label": "mitosis", "group": "movie 2"},
        {"file": "a.tif", "index": 2, "label": "rest", "group": "movie 1"},
        {"file": "a.tif", "index": 0, "label": "rest", "group": "movie 1"},
    ]
    write(tmp_path, rows, a=first, b=second)
    crops = run(tmp_path)
    raw = np.stack([second[1], first[2], first[0]]).astype(float)
    assert np.allclose(crops.images[:, 0, 0], (raw - raw.mean()) / raw.std(), atol=2e-3)
    assert crops.masks.all() and crops.meta == {"masks": False, "pixel_um": None}
    table = crops.table()
    assert list(table["Metadata_label"]) == ["mitosis", "rest", "rest"] and list(table["ObjectNumber"]) == [1, 2, 3]
    assert list(table["group"]) == ["movie 2", "movie 1", "movie 1"] and set(table["Metadata_Plate"]) == {"cells"}
    each = run(tmp_path, "--normalise", "crop").images.astype(float)
    assert np.allclose(each.mean(axis=(1, 2, 3, 4)), 0, atol=1e-3) and np.allclose(
        each.std(axis=(1, 2, 3, 4)), 1, atol=1e-3
    )


def test_channels_planes_and_masks_lie_page_by_page(tmp_path):
    pages = np.arange(2 * 2 * 3)[:, None, None] + np.zeros((12, 6, 6))
    masks = np.zeros((2, 6, 6), np.uint8)
    masks[0, 2:5, 2:5], masks[0, 0, 0], masks[1, 3, 3] = 4, 7, 1
    rows = [{"file": "a.tif", "n": n, "m": "m.tif"} for n in (0, 1)]
    write(tmp_path, rows, a=pages.astype(np.uint16), m=masks)
    more = ("--index", "{n}", "--label", "x", "--group", "g{n}", "--mask", "{m}", "--planes", "3")
    crops = run(tmp_path, *more, channels="DNA,RNA")
    assert crops.images.shape == (2, 2, 3, 6, 6) and list(crops.table()["group"]) == ["g0", "g1"]
    scaled = [(value - mean) / sd for mean, sd in ((4, np.std([0, 1, 2, 6, 7, 8])), (7, np.std([3, 4, 5, 9, 10, 11])))
              for value in ([0, 1, 2] if mean == 4 else [3, 4, 5])]  # fmt: skip
    assert np.allclose(crops.images[0, :, :, 0, 0].ravel(), scaled, atol=2e-3)
    assert crops.masks[0, 0].sum() == 27 and crops.masks[0, 1].sum() == 30 and crops.masks[1].sum() == 6


def test_crops_of_unlike_size_are_cut_or_filled_about_their_middle(tmp_path):
    rows = [{"file": "a.tif", "index": 0}, {"file": "b.tif", "index": 0}]
    write(tmp_path, rows, a=np.arange(36, dtype=np.uint8).reshape(1, 6, 6), b=np.full((1, 2, 2), 9, np.uint8))
    more = ("--label", "", "--group", "g")
    with pytest.raises(
        ValueError, match=r"cells.csv: row 3: b.tif has crops of \(2, 2\) px, those before \(6, 6\); give --si"
    ):
        run(tmp_path, *more)
    crops = run(tmp_path, *more, "--size-px", "4")
    assert (
        np.argsort(crops.images[0, 0, 0], axis=None)[0] == 0
        and (np.diff(crops.images[0, 0, 0, 0].astype(float)) > 0).all()
    )
    assert crops.masks[1, 0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_where_no_mask_is_given_the_bright_component_in_the_middle_is_the_cell(tmp_path):
    images = np.full((4, 9, 9), 10, np.uint8)
    images[0, 3:6, 3:6], images[0, 0, :3] = 200, 180  # a cell in the middle, a neighbour in the corner
    images[1, 1:3, 4], images[1, 7:9, 0:2] = 200, 200  # the middle is dark: the nearer one
    images[2, 4, 4], images[2, 5, 5] = 200, 200  # pixels that touch at a corner are one; image 3 has nothing
    write(tmp_path, [{"index": n, "plate": f"P{n % 2}"} for n in range(4)], a=images)
    said = ("--file", "a.tif", "--label", "x", "--group", "{plate}/g")
    assert run(tmp_path, *said).masks.all()
    crops = run(tmp_path, *said, "--threshold", "otsu", "--plate", "{plate}")
    assert (crops.masks[:, 1, 0] == (images > 100)).all() and crops.meta["masks"] is True
    own = crops.masks[:, 0, 0]
    assert own.sum(axis=(1, 2)).tolist() == [9, 2, 2, 0] and own[0, 4, 4] and own[1, 2, 4] and own[2, 5, 5]
    assert list(crops.table()["Metadata_Plate"]) == ["P0", "P1", "P0", "P1"] and crops.table()["group"][1] == "P1/g"


def test_a_threshold_is_taken_in_the_channel_and_the_whole_stack_that_it_is_asked_of(tmp_path):
    pages = np.zeros((6, 7, 7), np.uint16)  # a crop of two channels of three planes
    pages[0:3, 2:] = 70
    pages[3, 3, 3], pages[4, 3, 3], pages[5, 0, 0] = 900, 900, 900
    write(tmp_path, [{"index": 0}], a=pages)
    said = ("--file", "a.tif", "--label", "x", "--group", "g", "--planes", "3", "--threshold", "otsu")
    crops = run(tmp_path, *said, "--threshold-channel", "RNA", channels="DNA,RNA")
    assert crops.masks[0, 0, :, 3, 3].tolist() == [1, 1, 0] and crops.masks[0].sum(axis=(1, 2, 3)).tolist() == [2, 3]
    first = run(tmp_path, *said, channels="DNA,RNA")
    assert (first.masks[0, 1] == (pages[:3] > 0)).all()


def test_masks_are_said_in_one_way(tmp_path):
    write(tmp_path, [{"index": 0}], a=np.ones((1, 6, 6), np.uint8))
    said = ("--file", "a.tif", "--label", "x", "--group", "g", "--threshold", "otsu")
    with pytest.raises(ValueError, match="--mask m.tif and --threshold otsu: both say what the cell is; leave one out"):
        run(tmp_path, *said, "--mask", "m.tif")
    with pytest.raises(ValueError, match="--threshold-channel ER: expected one of DNA"):
        run(tmp_path, *said, "--threshold-channel", "ER")


WRONG = {
    "column": (
        {},
        ("--label", "{phase}"),
        "there is no column 'phase'; found file, index, label, group; say in braces",
    ),
    "file": ({"file": "x.tif"}, (), "x.tif: there is no such file"),
    "index": (
        {"index": 3},
        (),
        r"row 2: there is no crop 3 in .*a.tif, whose 3 pages are 3 crops of 1; correct --index",
    ),
    "word": ({"index": "two"}, (), "row 2: expected a whole number as index, found 'two'"),
    "negative": ({"index": -1}, (), "there is no crop -1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_table_is_refused_by_row(tmp_path, name):
    row, more, said = WRONG[name]
    rows = [{"file": "a.tif", "index": 0, "label": "", "group": "g"} | row]
    write(tmp_path, rows, a=np.ones((3, 6, 6), np.uint8))
    with pytest.raises(ValueError, match=said):
        run(tmp_path, *more)
    assert not (tmp_path / "c.tif").exists()


def test_a_table_without_rows_and_channels_of_one_name_are_refused(tmp_path):
    write(tmp_path, [{"file": "a.tif", "index": 0, "label": "", "group": "g"}], a=np.ones((2, 6, 6), np.uint8))
    for more in (("--planes", "0"), ("--size-px", "0"), ("--channels", "DNA,DNA"), ("--channels", "DNA,")):
        with pytest.raises(ValueError, match="expected distinct names, and 1 or more"):
            run(tmp_path, *more)
    (tmp_path / "cells.csv").write_text("file,index,label,group\n")
    with pytest.raises(ValueError, match="cells.csv: it has no rows under its header; expected one a crop"):
        run(tmp_path)


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_the_crops(tmp_path):
    peaks = []
    for count in (8, 40, 400, 400):
        folder = tmp_path / str(len(peaks))
        folder.mkdir()
        rows = [{"file": "a.tif", "index": n, "label": "", "group": "g"} for n in range(count)]
        write(folder, rows, a=np.random.default_rng(0).integers(0, 99, (count, 32, 32)).astype(np.uint8))
        tracemalloc.start()
        run(folder)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The lesser of two: what else the process does in the meantime (a late import) is no memory of crops.
    assert (
        min(peaks[2:]) - peaks[1]
    ) / 360 < 1200  # bytes a crop, of which tifffile keeps its page; a crop holds 4,096


@pytest.mark.slow
def test_a_study_brings_them_in_by_a_rule_and_says_what_is_wrong_before_it_runs(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (4, 8, 8)).astype(np.uint8)
    data = tmp_path / "my cells"
    data.mkdir()
    write(data, [{"n": n, "phase": f"phase {n}", "dish": "d1"} for n in (3, 0)], Phases=images)
    entry = {"name": "mine", "folder": "my cells", "table": "my cells/cells.csv", "channels": ["DNA", "ER"], "size_px": 6,
             "file": "Phases.tif", "index": "{n}", "label": "{phase}", "group": "{dish}", "pixel_um": 0.5}  # fmt: skip
    write_study(tmp_path, {"own_crops": [entry]})
    refused = snakemake(tmp_path, "--cores", "1", "results/own_crops/mine.tif", "--show-failed-logs", check=False)
    assert "row 2: there is no crop 3 in" in refused.stdout and "whose 4 pages are 2 crops of 2" in refused.stdout
    write_study(tmp_path, {"own_crops": [entry | {"channels": ["DNA"]}]})
    snakemake(tmp_path, "--cores", "1", "results/own_crops/mine.tif")
    crops = store.open_crops(tmp_path / "results" / "own_crops" / "mine.tif")
    raw = images[[3, 0]].astype(float)
    assert np.allclose(crops.images[:, 0, 0], ((raw - raw.mean()) / raw.std())[:, 1:7, 1:7], atol=2e-3)
    assert list(crops.table()["Metadata_label"]) == ["phase 3", "phase 0"] and crops.meta["pixel_um"] == 0.5
    write_study(tmp_path, {"own_crops": [entry, entry | {"folder": str(tmp_path / "gone")}]})
    wrong = snakemake(tmp_path, "-n", check=False).stdout
    assert "own_crops: the name mine occurs twice" in wrong and "own_crops.mine.folder: there is no folder" in wrong


def test_the_real_crops_of_mitocheck_come_in_by_phenotype_and_movie(real_data, tmp_path):
    """One phenotype in four of the 3,277 crops, for the time that it takes."""
    folder = real_data / "images" / "mitocheck_cells"
    with open(folder / "cells.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["phenotype"] in ("Metaphase", "Folded", "Large", "ADCCM")]
    write(tmp_path, rows)
    said = ["--file", "{phenotype}.tif", "--label", "{phenotype}", "--group", "{plate}/{position}"]
    own_crops.main([str(folder), "--table", str(tmp_path / "cells.csv"), *said, "--channels", "DNA", "--crops",
                    str(tmp_path / "c.tif")])  # fmt: skip
    crops, number = store.open_crops(tmp_path / "c.tif"), 37
    assert crops.images.shape == (len(rows), 1, 1, 64, 64)
    table, row = crops.table(), rows[number]
    assert table["Metadata_label"].value_counts()["Folded"] == 58 and table["group"].nunique() > 20
    assert table["group"][number] == f"{row['plate']}/{row['position']}"
    raw = tifffile.imread(folder / f"{row['phenotype']}.tif")[int(row["index"])].astype(float)
    assert np.corrcoef(raw.ravel(), crops.images[number].astype(float).ravel())[0, 1] > 0.99999
    images, masks, numbers = store.CropBatches([crops]).batch(0, 0, 32)
    assert images.shape == (32, 1, 1, 64, 64) and masks.all() and len(set(numbers)) == 32
