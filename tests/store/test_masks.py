"""Label images pass from CellProfiler's parts to one file a plate, joined by what the file says of itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.features import cells, cells_part
from features_fixture import annotated, rows_of, write_tables


def part(folder, name, counts, wells=None):
    rows = write_tables(folder / name, counts, wells=wells, plate="007")
    rows = (
        rows if len(rows) else annotated(rows_of(["A01"], plate="007"))
    )  # the plate's rows; the part has none of them
    store.write_table(rows, folder / f"{name}.rows.parquet")
    words = ["--tables", folder / name, "--rows", folder / f"{name}.rows.parquet"]
    words += ["--cells", folder / f"{name}.parquet", "--masks", folder / f"{name}.tif"]
    cells_part.main([str(word) for word in words])
    return folder / f"{name}.parquet", folder / f"{name}.tif"


def gather(folder, *parts):
    words = ["--parts", *[tables for tables, _ in parts], "--cells", folder / "cells.parquet"]
    words += ["--part-masks", *[label_images for _, label_images in parts], "--masks", folder / "masks.tif"]
    cells.main([str(word) for word in words])
    return folder / "masks.tif"


def test_a_plates_label_images_are_those_of_its_parts_and_know_their_fields(tmp_path):
    parts = [part(tmp_path, "a", [3, 0], ["A01", "A02"]), part(tmp_path, "none", []), part(tmp_path, "b", [5], ["B07"])]
    path = gather(tmp_path, *parts)
    with store.open_masks(path) as label_images:
        assert len(label_images) == 3 and label_images.shape == (8, 64) and label_images.objects == ("Nuclei", "Cells")
        assert label_images.fields["Metadata_Well"].tolist() == ["A01", "A02", "B07"]
        assert set(label_images.fields["Metadata_Plate"]) == {"007"}
        assert [label_images.read(row, "Nuclei").max() for row in range(3)] == [3, 0, 5]
        assert (label_images.read(2, "Cells") > 0).sum() == 25 and (label_images.read(2, "Nuclei") > 0).sum() == 15
        with pytest.raises(ValueError, match="no Cytoplasm; it holds .'Nuclei', 'Cells'"):
            label_images.read(0, "Cytoplasm")
    assert gather(tmp_path, *parts).read_bytes() == path.read_bytes()


def test_parts_without_any_field_make_a_file_without_fields(tmp_path):
    with store.open_masks(gather(tmp_path, part(tmp_path, "none", []))) as label_images:
        assert len(label_images) == 0 and list(label_images.fields) == store.FIELD_KEYS


def test_a_label_image_with_objects_that_were_not_measured_is_refused(tmp_path):
    rows = write_tables(tmp_path / "t", [2, 2])
    labels = np.zeros((8, 64), np.uint16)
    labels[0, :3] = 1, 2, 9
    store.write_raw(tmp_path / "t" / "labels" / "A02_s1_t1_DNA_Cells.tiff", labels)
    store.write_table(rows, tmp_path / "rows.parquet")
    words = ["--tables", tmp_path / "t", "--rows", tmp_path / "rows.parquet", "--cells", tmp_path / "c.parquet"]
    with pytest.raises(ValueError, match=r"plate P1, well A02.*objects \[9\], which are not in the table of 2"):
        cells_part.main([str(word) for word in [*words, "--masks", tmp_path / "m.tif"]])


def test_parts_of_unlike_size_and_broken_files_are_refused(tmp_path):
    fields = pd.DataFrame([["P1", "A01", 1, 1]], columns=store.FIELD_KEYS)
    for name, shape in (("a", (4, 4)), ("b", (5, 4))):
        store.write_masks(
            tmp_path / f"{name}.tif", fields, [np.zeros((2, *shape), np.uint16)], ("Nuclei", "Cells"), shape
        )
    with pytest.raises(ValueError, match=r"unlike size: \(4, 4\) in .*a.tif, \(5, 4\) in"):
        from brightpaint.features import label_images

        label_images.gather([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "c.tif")
    with pytest.raises(ValueError, match="expected 1"):
        store.write_masks(tmp_path / "c.tif", fields, [], ("Nuclei", "Cells"), (4, 4))
    with pytest.raises(ValueError, match="uint16"):
        store.write_masks(tmp_path / "c.tif", fields, [np.zeros((2, 4, 4), int)], ("Nuclei", "Cells"), (4, 4))
    assert not (tmp_path / "c.tif").exists()
    (tmp_path / "a.tif").write_bytes((tmp_path / "b.tif").read_bytes()[:100])
    for name, message in (("a", "not a file of label images"), ("z", "is missing; rerun")):
        with pytest.raises(ValueError, match=message), store.open_masks(tmp_path / f"{name}.tif"):
            pass
