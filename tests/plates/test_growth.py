"""Rule index, and the reading of what it writes, take the same memory for a small plate and for a full one (no images)."""

from __future__ import annotations

import json
import tracemalloc

import pandas as pd
import pyarrow.parquet as pq
import pytest

from brightpaint import store
from brightpaint.plates import fetch, index, own_table, sources
from brightpaint.plates.folder import FolderSource
from brightpaint.plates.keys import Entry
from brightpaint.study import choice
from conftest import swept
from plates_fixture import COMPOUNDS, IMAGES, LOAD_DATA, PLATE, PLATEMAPS, index_settings

CHANNELS = ["Brightfield_L", "Brightfield", "Brightfield_H", "DNA", "RNA", "ER", "AGP", "Mito"]
SITES, FEW, MANY = 3, 32, 384  # wells: 96 and 1,152 fields
# 0.08 to 0.14 was measured, 0.44 of one's own table; the names of the 9,216 files in a list alone take 0.6.
BOUND_MB = 0.55


class Promised(FolderSource):
    """A folder that tells of every image that a plate of its wells has, though none is there."""

    wells: list[str]

    def find(self, keys):
        return ((key, Entry(2_000_000, "0" * 32)) for key in keys)

    def walk(self, prefix):
        if not prefix.startswith(IMAGES):
            return super().walk(prefix)
        rows = ((well, site, channel) for well in self.wells for site in range(SITES) for channel in CHANNELS)
        return ((f"{IMAGES}/Images/{image_name(*row)}", Entry(2_000_000)) for row in rows)


def image_name(well: str, site: int, channel: str) -> str:
    return f"1053600674_{well}_T0001F{site:03d}L01A01Z01C{CHANNELS.index(channel) + 1:02d}.tif"


def load_data_of(wells: list[str], path: str) -> pd.DataFrame:
    """Return a load_data table whose images lie in `path`."""
    rows = []
    for well in wells:
        for site in range(SITES):
            row = {"Metadata_Plate": PLATE["barcode"], "Metadata_Well": well, "Metadata_Site": site + 1}
            for channel in CHANNELS:
                row |= {f"FileName_Orig{channel}": image_name(well, site, channel), f"PathName_Orig{channel}": path}
            rows.append(row)
    return pd.DataFrame(rows)


def own_of(wells: list[str]) -> pd.DataFrame:
    """Return the same as a CSV of one's own images."""
    rows = [[PLATE["barcode"], well, site + 1, channel, f"P/{image_name(well, site, channel)}"]
            for well in wells for site in range(SITES) for channel in CHANNELS]  # fmt: skip
    return pd.DataFrame(rows, columns=own_table.TABLE_COLUMNS)


def write_plate(root, kind: str, wells: list[str]) -> dict:
    """Write the tables of a plate without images; return the settings of rule index."""
    if kind == "own table":
        store.write_table(own_of(wells), root / "own.csv")
        return index_settings(root, CHANNELS, layout="table", table=str(root / "own.csv"))
    if kind == "looked up by name":
        store.write_table(load_data_of(wells, "/media/disk/Images"), root / LOAD_DATA)
    else:
        path = (root / LOAD_DATA).with_name(kind)
        path.parent.mkdir(parents=True)
        frame = load_data_of(wells, f"/home/ubuntu/bucket/{IMAGES}/")
        frame.to_parquet(path) if kind.endswith("parquet") else frame.to_csv(path, index=False)
    store.write_table(pd.DataFrame({"Assay_Plate_Barcode": [PLATE["barcode"]], "Plate_Map_Name": ["map1"]}),
                      root / PLATEMAPS / "barcode_platemap.csv")  # fmt: skip
    (root / PLATEMAPS / "platemap").mkdir(parents=True, exist_ok=True)
    platemap = pd.DataFrame({"well_position": wells, "broad_sample": [f"BRD-{n % 300}" for n in range(len(wells))]})
    platemap.to_csv(root / PLATEMAPS / "platemap" / "map1.txt", sep="\t", index=False)
    store.write_table(pd.DataFrame({"broad_sample": ["BRD-1"], "target": ["AKT1"]}), root / COMPOUNDS)
    return index_settings(root, CHANNELS)


def peak_mb(root, kind: str, count: int, monkeypatch) -> float:
    """Return the most that Python's objects take while a plate of `count` wells is listed and its index is gone through."""
    wells = [f"{choice.row_letters(n // 24 + 1)}{n % 24 + 1:02d}" for n in range(count)]
    settings, source = write_plate(root, kind, wells), Promised(root)
    source.wells = wells
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: source)
    tracemalloc.start()
    try:
        index.main(
            ["--settings", json.dumps(settings), "--index", str(root / "i.parquet"), "--missing", str(root / "m.tsv")]
        )
        names = fetch.check_names(store.Rows(root / "i.parquet", fetch.COLUMNS))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(names) == count * SITES * len(CHANNELS)
    return peak / 1e6


KINDS = ["load_data.csv", "load_data.csv.gz", "load_data.parquet", "looked up by name", "own table"]


@pytest.mark.parametrize("kind", swept(KINDS, ["looked up by name", "own table"]))
def test_memory_does_not_grow_with_the_plate(tmp_path, kind, monkeypatch):
    few, many = (peak_mb(tmp_path / str(count), kind, count, monkeypatch) for count in (FEW, MANY))
    assert many - few < BOUND_MB
    file = pq.read_metadata(tmp_path / str(MANY) / "i.parquet")
    sizes = [file.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert max(sizes) <= store.BATCH_ROWS  # or each reader decodes the whole of it
