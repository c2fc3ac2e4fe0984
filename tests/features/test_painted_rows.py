"""Several images of one field, each shown as another class, go through TIFFs, cells, label images, medians and crops apart."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.features import cells, cells_part, crops, export, median
from features_fixture import annotated, read, rows_of, write_tables

SHOWN = ["DMSO", "taxol@0.3uM", "taxol@0,3uM", "a|b ä/../*"]  # of which two are alike but for a sign
WELLS = ["A01", "B02"]
COUNTS = [3, 2, 0, 5, 4, 1, 2, 0]
SETTINGS = {"window": [-5, 15], "channels": ["DNA"], "pixel_size_um": 1.0, "cutoff": 15}


def painted_rows():
    fields = annotated(rows_of(WELLS, height=8))
    rows = fields.loc[fields.index.repeat(len(SHOWN))].reset_index(drop=True)
    return fields, rows.assign(Metadata_painted_as=SHOWN * len(WELLS), Metadata_draw=0)


@pytest.fixture
def measured(tmp_path):
    """A measured part of two fields shown as four classes each: image n has COUNTS[n] cells."""
    fields, rows = painted_rows()
    images = np.random.default_rng(0).normal(size=(len(rows), 1, 8, 64)).astype(np.float16)
    with store.StackWriter(tmp_path / "stack.tif", images.shape, ["DNA"], key="test") as writer:
        for number, image in enumerate(images):
            writer.write(number, image)
    store.write_table(rows, tmp_path / "rows.parquet")
    store.write_table(fields, tmp_path / "fields.parquet")
    files = {"stack": "stack.tif", "rows": "rows.parquet", "fields": "fields.parquet", "folder": "tiffs"}
    words = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / file))]
    export.main(["--settings", json.dumps(SETTINGS), *words, "--arm", "doses", "--part", "1", "--parts", "1"])
    write_tables(tmp_path / "part", COUNTS)
    exported = pd.read_csv(tmp_path / "tiffs" / "load_data.csv", dtype=str)
    measured = pd.read_csv(tmp_path / "part" / "load_data.csv")["FileName_OrigDNA"]
    exported.assign(FileName_OrigDNA=measured).to_csv(tmp_path / "part" / "load_data.csv", index=False)
    words = ["--tables", tmp_path / "part", "--rows", tmp_path / "rows.parquet", "--cells", tmp_path / "part.parquet"]
    cells_part.main([str(word) for word in [*words, "--masks", tmp_path / "part.tif"]])
    words = [
        "--parts",
        tmp_path / "part.parquet",
        "--cells",
        tmp_path / "cells.parquet",
        "--part-masks",
        tmp_path / "part.tif",
    ]
    cells.main([str(word) for word in [*words, "--masks", tmp_path / "masks.tif"]])
    return rows


def test_tiffs_are_named_by_what_they_show_in_plain_signs_and_listed_under_all_keys(tmp_path, measured):
    lines = read(tmp_path / "tiffs" / "load_data.csv")
    names = [line["FileName_OrigDNA"] for line in lines]
    assert len(set(names)) == 8 and names[1].startswith("A01_s1_t1_as_taxol-0-3uM-") and names[1].endswith("_DNA.tif")
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") for name in names)
    assert [line["Metadata_painted_as"] for line in lines] == SHOWN * 2 and {
        line["Metadata_draw"] for line in lines
    } == {"0"}
    plain = {key: value for key, value in measured.iloc[0].items() if key not in store.ROW_DEFAULTS}
    assert export.safe_stem(plain) == "A01_s1_t1" and export.safe_stem({**plain, "Metadata_draw": 2}) == "A01_s1_t1_d2"
    assert len(export.safe_stem({**plain, "Metadata_painted_as": "x" * 500})) < 100


def test_cells_label_images_and_medians_are_those_of_each_image(tmp_path, measured):
    found = store.read_table(tmp_path / "cells.parquet")
    counted = found.groupby(["Metadata_Well", "Metadata_painted_as"]).size().to_dict()
    expected = {
        (row.Metadata_Well, row.Metadata_painted_as): count
        for row, count in zip(measured.itertuples(), COUNTS)
        if count
    }
    assert counted == expected and found["Metadata_draw"].dtype == np.int64
    image = found["Nuclei_Intensity_F0_DNA"] // 100  # the number of its image
    assert [measured["Metadata_painted_as"].iloc[int(number) - 1] for number in image] == found[
        "Metadata_painted_as"
    ].tolist()
    with store.open_masks(tmp_path / "masks.tif") as masks:
        assert masks.fields[store.ROW_KEYS].values.tolist() == measured[store.ROW_KEYS].values.tolist()
        assert [masks.read(row, "Cells").max() for row in range(8)] == COUNTS
    words = [
        "--cells",
        tmp_path / "cells.parquet",
        "--rows",
        tmp_path / "rows.parquet",
        "--medians",
        tmp_path / "medians.parquet",
    ]
    median.main([str(word) for word in words])
    medians = median.read_medians(tmp_path / "medians.parquet")
    assert medians["Metadata_cells"].tolist() == COUNTS
    assert medians[store.ROW_KEYS].values.tolist() == measured[store.ROW_KEYS].values.tolist()
    assert (medians["Metadata_perturbation"] == "DMSO").all()  # the source's
    numbers = medians["Nuclei_Intensity_F0_DNA"] // 100
    assert [n for n in numbers if not np.isnan(n)] == [n for n, count in enumerate(COUNTS, start=1) if count]


def test_crops_are_cut_from_the_image_that_shows_the_class(tmp_path, measured):
    settings = {"size_um": 3, "size_px": None, "border": "pad", "objects": "cells", "max_per_field": None, "cutoff": 15,
                "renormalise": False, "channels": [["DNA", ["DNA"]]], "pixel_size_um": 1.0}  # fmt: skip
    files = {"stack": "stack.tif", "rows": "rows.parquet", "fields": "fields.parquet", "cells": "cells.parquet",
             "masks": "masks.tif", "crops": "crops.tif", "counts": "counts.tsv"}  # fmt: skip
    words = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / file))]
    crops.main(["--settings", json.dumps(settings), "--arm", "doses", *words])
    found = store.open_crops(tmp_path / "crops.tif")
    table, images = found.table(), store.open_stack(tmp_path / "stack.tif").images
    assert len(found) == sum(COUNTS) and table["Metadata_painted_as"].nunique() == 4
    for number, row in table.iterrows():
        image = images[store.place_of(row, measured)]
        y, x = int(row["y_px"]), int(row["x_px"])
        assert found.images[number, 0, 0, 1, 1] == image[0, y, x]
    counts = store.read_table(tmp_path / "counts.tsv")
    assert counts["crops"].tolist() == COUNTS and counts["Metadata_draw"].tolist() == [0] * 8
