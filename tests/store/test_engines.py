"""Who measured a table stays with it, and what two engines measured is never compared."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from brightpaint import store
from brightpaint.features import cells
from conftest import ROOT
from features_fixture import rows_of

# Tables of whole images; label images of real cells alone; scores, whose own command asked for one engine.
NO_CELLS = {"score_frechet", "translation_strip", "generation_table", "generated_images"}


def table_of(well="A01") -> pd.DataFrame:
    return rows_of([well])[store.FIELD_KEYS].assign(Cells_AreaShape_Area=np.float32(7))


def written(folder, engine: str, name: str = ""):
    store.write_measured(table_of(), path := folder / f"{name or engine}.parquet", engine)
    return path


def test_what_cellprofiler_measured_bears_no_record_and_keeps_its_bytes(tmp_path):
    store.write_table(table_of(), plain := tmp_path / "plain.parquet")
    assert written(tmp_path, "cellprofiler").read_bytes() == plain.read_bytes()
    assert store.engine_of(plain) == "cellprofiler" and store.engine_record("cellprofiler") is None


def test_what_the_fast_engine_measured_says_so_and_reads_the_same(tmp_path):
    path = written(tmp_path, "fast")
    assert store.engine_of(path) == "fast"
    pd.testing.assert_frame_equal(store.read_fields(path), table_of())


def test_a_part_and_label_images_say_it_too(tmp_path):
    (part := tmp_path / "001").mkdir()
    assert store.engine_of(part) == "cellprofiler"
    store.write_part_engine(part, "fast")
    assert store.engine_of(part) == "fast"
    for engine in ("cellprofiler", "fast"):
        store.write_masks(
            path := tmp_path / "x.tif", table_of(), [np.zeros((1, 8, 8), np.uint16)], ["Nuclei"], (8, 8), engine
        )
        assert store.engine_of(path) == engine
    (part / "engine.json").write_text("{}")
    with pytest.raises(ValueError, match="engine.json: not the name of an engine"):
        store.engine_of(part)


def test_two_engines_are_refused_by_both_names_with_the_next_command(tmp_path):
    mixed = [written(tmp_path, "cellprofiler", "real"), written(tmp_path, "fast", "painted")]
    assert store.one_engine([]) == store.one_engine(mixed[:1]) == "cellprofiler"
    assert store.one_engine(mixed[1:] * 2) == "fast"
    with pytest.raises(ValueError, match=r"real.parquet was measured by CellProfiler, .*painted.parquet was measured by the "
                       r"fast engine: .*cellprofiler.engine.*snakemake --forcerun cells"):  # fmt: skip
        store.one_engine(mixed)


def test_an_engine_of_a_later_version_is_refused(tmp_path):
    schema = pa.Schema.from_pandas(table_of(), preserve_index=False).with_metadata({b"brightpaint.engine": b"quick"})
    pq.write_table(pa.Table.from_pandas(table_of(), schema=schema), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="by the engine 'quick', expected cellprofiler or fast"):
        store.engine_of(tmp_path / "x.parquet")


def test_parts_of_two_engines_are_no_plate_and_parts_of_one_hand_their_record_on(tmp_path):
    parts = [
        written(tmp_path, "fast", "001"),
        written(tmp_path, "fast", "002"),
        written(tmp_path, "cellprofiler", "003"),
    ]
    cells.gather(parts[:2], tmp_path / "cells.parquet")
    assert store.engine_of(tmp_path / "cells.parquet") == "fast"
    with pytest.raises(
        ValueError, match="002|001.parquet was measured by the fast engine, .*003.parquet .*CellProfiler"
    ):
        cells.gather(parts, tmp_path / "mixed.parquet")
    assert not (tmp_path / "mixed.parquet").exists()


def test_every_command_that_reads_cells_of_several_arms_or_plates_asks_for_one_engine():
    """Its options say so: medians, profiles, label images or tables, of real and painted cells or of many plates."""
    asked = set()
    for path in sorted((ROOT / "src" / "brightpaint").rglob("*.py")):
        source = path.read_text()
        takes = re.search(r'add_argument\(\s*"--(medians|profiles|masks|tables|painted)"[^)]*nargs="[+*]"', source)
        takes = takes or re.search(r'add_argument\("--real"[^)]*(profiles|tables)', source)
        if takes and "type=Path" in takes[0] + source and path.stem not in NO_CELLS:
            assert "one_engine(" in source, path
            asked.add(path.stem)
    assert {"select", "profile", "active", "score_profiles", "score_distances", "score_objects", "cell_table"} <= asked
