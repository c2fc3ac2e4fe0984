"""What plates lack, counted for the report."""

from __future__ import annotations

import pandas as pd

from brightpaint import store
from brightpaint.plates.missing import MISSING
from brightpaint.report.tables import missing_table


def test_each_plate_has_a_row_with_its_reasons(tmp_path):
    for plate, wells, lacking in (
        ("P1", ["A01", "A02"], []),
        ("0002", ["A01"], [["A02", 1, "DNA", "the file is empty"], ["A01", 2, "DNA", "the field is not listed"]]),
    ):
        index = pd.DataFrame([[well, 1, channel] for well in wells for channel in ("DNA", "ER")])
        store.write_table(
            index.set_axis(["Metadata_Well", "Metadata_Site", "Channel"], axis=1), tmp_path / f"{plate}.parquet"
        )
        rows = [[plate, well, site, channel, "", reason] for well, site, channel, reason in lacking]
        store.write_table(pd.DataFrame(rows, columns=MISSING), tmp_path / f"{plate}.tsv")
    paths = [[str(tmp_path / f"{plate}.{kind}") for plate in ("P1", "0002")] for kind in ("parquet", "tsv")]
    missing_table.main(["--indices", *paths[0], "--missing", *paths[1], "--tsv", str(tmp_path / "all.tsv"),
                  "--html", str(tmp_path / "all.html")])  # fmt: skip
    found = pd.read_csv(tmp_path / "all.tsv", sep="\t", dtype={"plate": str})
    assert found.to_dict("records") == [
        {"plate": "P1", "wells": 2, "fields": 2, "fields left out": 0, "wells left out": 0, "images missing": 0,
         "the file is empty": 0, "the field is not listed": 0},
        {"plate": "0002", "wells": 1, "fields": 1, "fields left out": 2, "wells left out": 1, "images missing": 2,
         "the file is empty": 1, "the field is not listed": 1},
    ]  # fmt: skip
    assert "<td>0002</td>" in (tmp_path / "all.html").read_text()
