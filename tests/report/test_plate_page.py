"""A plate's page: every arm on any set of wells, and gaps stay gaps."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.report.figures import plate_page

STAINS = ["DNA", "ER"]


def field_rows(wells, plate="P"):
    return pd.DataFrame(
        [{"Metadata_Plate": plate, "Metadata_Well": well, "Metadata_Site": site, "Metadata_Tile": 1,
          "Metadata_perturbation": "", "Metadata_control_type": "negcon" if well == "A01" else "", "Metadata_cells": 5}
         for well in wells for site in (1, 2)]
    )  # fmt: skip


def scores(wells, plate="P"):
    table = pd.concat([field_rows(wells, plate).assign(Channel=channel) for channel in STAINS], ignore_index=True)
    return table.assign(pcc=np.linspace(0.1, 0.9, len(table)))


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("wells", [["A01", "A02", "C05"], ["P24", "A01"], ["C03"], ["odd"]])
def test_a_plate_page_draws_every_arm_on_any_set_of_wells(wells, measured):
    counts = {"real": field_rows(wells), "one": field_rows(wells[:1])} if measured else {}
    arms = {"one": scores(wells[:1]), "unmeasured": scores(wells)}
    figure = plate_page.plate_page(arms, counts, field_rows(wells))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert sum(title.startswith("unmeasured: PCC") for title in titles) == 1
    assert (f"real: {10 * len(wells)} cells" in titles) == measured and ("one: 10 cells" in titles) == measured
    plt.close(figure)


def test_the_command_draws_the_same_bytes_every_time(tmp_path):
    both = pd.concat([scores(["A01", "B02"]), scores(["A01"], "Q")])
    store.write_table(both, tmp_path / "one.fields.parquet")
    for arm in ("real", "one"):
        store.write_table(field_rows(["A01", "B02"]), tmp_path / arm / "P.parquet")
    path = lambda name: str(tmp_path / name)  # noqa: E731
    words = ["--settings", '{"dpi": 40}', "--plate", "P", "--fields", path("real/P.parquet"), "--arms", "one"]
    words += ["--scores", path("one.fields.parquet"), "--medians", path("real/P.parquet"), path("one/P.parquet")]
    for name in ("first.png", "second.png"):
        plate_page.main([*words, "--figure", path(name)])
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
