"""Counts of cells by the command, against the real ones."""

from __future__ import annotations

import pytest

from brightpaint import store
from scores_fixture import field_table, scored_folder, value  # noqa: F401


def test_counts_are_scored_where_cells_were_measured(folder):
    folder.predict("copy", lambda images: images)
    medians = field_table("P1").assign(Metadata_cells=range(12))
    paths = {name: folder.root / f"medians/{name}/P1.parquet" for name in ("real", "copy")}
    store.write_table(medians, paths["real"])
    store.write_table(medians.assign(Metadata_cells=range(0, 24, 2)), paths["copy"])
    frame = folder.score("copy", counts={"real": paths["real"], "medians": paths["copy"]})
    assert value(frame, "cell_count") == pytest.approx(1) and value(frame, "cell_count_r") == pytest.approx(1)
    assert value(frame, "cell_count", subset="active", column="n") == 6
    with pytest.raises(
        ValueError, match="expected one table of field medians of plate P9, arm real, found .*P1.parquet"
    ):
        folder.score("copy", plates=["P9"], images=False, counts={"real": paths["real"], "medians": paths["copy"]})
