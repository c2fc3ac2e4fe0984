"""A tiny plate in the gallery's layout, and settings to read it, for the tests of the plates wing."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from conftest import ROOT

PLATE = {
    "plate": "P1", "role": "study", "project": "cpg0016-jump", "source": "source_2", "batch": "20210614_Batch_1",
    "barcode": "1053600674",
}  # fmt: skip
CHANNELS = ["Brightfield_L", "Brightfield", "DNA", "RNA"]
IMAGES = "cpg0016-jump/source_2/images/20210614_Batch_1/images/1053600674"
WORKSPACE = "cpg0016-jump/source_2/workspace"
LOAD_DATA = f"{WORKSPACE}/load_data_csv/20210614_Batch_1/1053600674/load_data.csv"
PLATEMAPS = f"{WORKSPACE}/metadata/platemaps/20210614_Batch_1"
COMPOUNDS = f"{WORKSPACE}/metadata/external_metadata/compounds.tsv"
WELLS = {"A01": "BRD-1", "A02": "BRD-2", "B01": "", "B02": "BRD-3"}
SHAPE = (48, 48)


def raw_image(name: str, shape=SHAPE) -> np.ndarray:
    """A smooth, vignetted, noisy image whose content follows from its name."""
    rng = np.random.default_rng(np.frombuffer(name.encode(), np.uint8))
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = 1 - 0.4 * ((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.5) ** 2)
    blobs = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 30) for cy, cx in rng.uniform(0, shape[0], (4, 2)))
    return (light * (300 + 2000 * blobs) + rng.normal(0, 10, shape)).clip(0, 65535).astype(np.uint16)


def file_name(well: str, site: int, channel: str) -> str:
    return f"1053600674_{well}_T0001F{site:03d}L01A01Z01C{CHANNELS.index(channel) + 1:02d}.tif"


def write_gallery(root: Path, *, sites: int = 2, shape=SHAPE) -> Path:
    """Write the plate below `root`, laid out as the gallery's bucket; return `root`."""
    rows = []
    for well in WELLS:
        for site in range(1, sites + 1):
            row = {"Metadata_Source": "source_2", "Metadata_Batch": "20210614_Batch_1",
                   "Metadata_Plate": "1053600674", "Metadata_Well": well, "Metadata_Site": site}  # fmt: skip
            for channel in CHANNELS:
                name = file_name(well, site, channel)
                store.write_raw(root / IMAGES / name, raw_image(name, shape))
                row[f"FileName_Orig{channel}"] = name
                row[f"PathName_Orig{channel}"] = f"/home/ubuntu/bucket/{IMAGES}/"
            rows.append(row)
    store.write_table(pd.DataFrame(rows), root / LOAD_DATA)
    barcodes = pd.DataFrame({"Assay_Plate_Barcode": ["1053600674"], "Plate_Map_Name": ["map1"]})
    store.write_table(barcodes, root / PLATEMAPS / "barcode_platemap.csv")
    platemap = pd.DataFrame({"well_position": list(WELLS), "broad_sample": list(WELLS.values()), "solvent": "DMSO"})
    (root / PLATEMAPS / "platemap").mkdir(parents=True, exist_ok=True)
    platemap.to_csv(root / PLATEMAPS / "platemap" / "map1.txt", sep="\t", index=False)
    compounds = pd.DataFrame(
        {"broad_sample": ["BRD-1", "BRD-2", "BRD-3", ""], "pert_iname": ["one", "two", "three", "DMSO"],
         "target": ["AKT1", "AKT1", "PLK1", ""], "pert_type": ["trt", "trt", "control", "control"],
         "control_type": ["", "", "poscon_cp", "negcon"]}
    )  # fmt: skip
    store.write_table(compounds, root / COMPOUNDS)
    return root


def rows_of(table: pd.DataFrame) -> list[dict]:
    """Return a table's rows as `store.Rows` yields them."""
    return table.to_dict("records")


def source(url, **changes) -> dict:
    """The config's section `source`, as a rule receives it."""
    base = {"layout": "gallery", "url": str(url), "endpoint_url": None, "region": "us-east-1", "profile": None,
            "table": None, "compounds": None, "exclude": None, "missing": "error", "hash": ["md5"]}  # fmt: skip
    return {**base, **changes}


def index_settings(url, channels=None, plate=None, **changes) -> dict:
    """What the rule index receives."""
    return {"source": source(url, **changes), "plate": plate or PLATE, "channels": channels or CHANNELS}


def write_split(folder: Path) -> None:
    """Write lists of fields as those that config/cpjump1.yaml reads in `folder`: one field of each of 384 wells."""
    with (ROOT / "config" / "cpjump1_plates.tsv").open() as table:
        lists = {row["plate"]: row["fields"] for row in csv.DictReader(table, delimiter="\t") if row["fields"]}
    wells = [(row, column) for row in range(1, 17) for column in range(1, 25)]
    for plate, path in lists.items():
        images = f"{plate}__2020-11-08T19_57_47-Measurement1/Images"
        lines = [f"{images}/r{row:02d}c{column:02d}f{1 + column % 9:02d}p01" for row, column in wells]
        path = Path(path.replace("${BRIGHTPAINT_REAL_DATA}", str(folder)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
