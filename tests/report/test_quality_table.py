"""Quality over plates: exchanged channels, images in two plates, and the counts of flags."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.report.tables import quality_table
from quality_fixture import CHANNELS, measured_plate, prepared_table, run_flag, spoiled  # noqa: F401


def three_plates(measures: pd.DataFrame) -> dict[str, pd.DataFrame]:
    plates = {}
    for number in (1, 2, 3):
        rng = np.random.default_rng(number)
        own = measures.assign(Metadata_Plate=f"P{number}", key=f"P{number}/" + measures["key"],
                              digest=[f"{number}{digest}" for digest in measures["digest"]])  # fmt: skip
        own["slope"] += rng.normal(0, 0.01, len(own))
        plates[f"P{number}"] = own
    return plates


def test_a_plate_unlike_the_others_is_named_with_its_channels(plate):
    plates = three_plates(plate[2])
    assert quality_table.compare_plates(plates) == []
    swap = {"Brightfield_L": "Brightfield_H", "Brightfield_H": "Brightfield_L"}
    odd = plates["P2"].assign(Channel=plates["P2"]["Channel"].replace(swap))
    odd = odd.rename(columns={f"r_{old}": f"r_{new}" for old, new in swap.items()})
    plates["P2"] = odd.iloc[np.argsort([CHANNELS.index(name) for name in odd["Channel"]], kind="stable")]
    assert quality_table.compare_plates(plates) == [
        "Plate P2 is like the other plates only once Brightfield_L and Brightfield_H are exchanged."
    ]
    assert quality_table.compare_plates({name: plates[name] for name in ("P1", "P2")}) == []


def test_images_shared_by_two_plates_are_counted_but_not_one_file_in_two_rows(plate):
    plates = three_plates(plate[2])
    assert quality_table.shared_images(plates) == []
    for column in ("digest", "key"):
        plates["P3"].loc[plates["P3"].index[:2], column] = plates["P1"][column].iloc[:2].to_numpy()
    assert quality_table.shared_images(plates) == []  # the same files: two rows of one barcode
    plates["P3"].loc[plates["P3"].index[:2], "key"] = ["other/1.tif", "other/2.tif"]
    (sentence,) = quality_table.shared_images(plates)
    assert sentence.startswith("Plates P1 and P3 hold 2 images with the same pixels under different names, first ")


def test_the_table_shows_the_counts_the_same_bytes_twice(plate, tmp_path):
    measures = spoiled(plate[2])
    run_flag(tmp_path, measures, prepared_table(measures, B03_RNA=0))
    for name in ("one", "two"):
        quality_table.main(["--measures", str(tmp_path / "q.parquet"), "--flags", str(tmp_path / "flags.tsv"),
                             "--html", str(tmp_path / f"{name}.html"), "--tsv", str(tmp_path / "t.tsv")])  # fmt: skip
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    (row,) = store.read_table(tmp_path / "t.tsv").to_dict("records")
    assert (row["fields"], row["blank"], row["saturated"], row["left_out"], row["kept"]) == (12, 1, 1, 1, 11)
    assert "every pixel is 321" in (tmp_path / "one.html").read_text()
