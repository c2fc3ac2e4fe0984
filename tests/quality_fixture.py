"""A small plate of made-up cells with its measures of quality, flaws for its images, and the rule `flag` run on it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from brightpaint import store
from brightpaint.plates import flag, quality
from brightpaint.study.schema import validate
from conftest import ROOT, TINY
from plates_fixture import rows_of

PLANES = ["Brightfield_L", "Brightfield", "Brightfield_H"]


STAINS = ["DNA", "RNA", "ER"]


CHANNELS = PLANES + STAINS


KEYS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]


def settings(**changes) -> dict:
    """The config's section `quality` with the schema's defaults, and channels."""
    study = validate(TINY, ROOT / "workflow" / "schemas" / "config.schema.yaml", "config")
    return {**study["quality"], "channels": {"input": PLANES, "target": STAINS, "here": CHANNELS}, **changes}


def field(name: str, side: int = 128) -> dict[str, np.ndarray]:
    """A field of made-up cells: planes that change through focus, DNA in nuclei, RNA and ER in cytoplasm."""
    rng = np.random.default_rng(np.frombuffer(name.encode(), np.uint8))
    nuclei, granules = np.zeros((side, side)), rng.normal(size=(side, side))
    nuclei[tuple(rng.integers(8, side - 8, (2, 14)))] = 1
    nucleus = ndimage.gaussian_filter(nuclei, 3) * 60
    body = ndimage.gaussian_filter(nuclei, 7) * 300
    grain = ndimage.gaussian_filter(granules, 2) * 4
    lens = -ndimage.gaussian_laplace(nuclei, 4) * 800
    noise = rng.normal(0, 1, (6, side, side))
    images = {
        "Brightfield_L": 20000 + 60 * grain + 100 * lens + 8 * noise[0],
        "Brightfield": 20000 + 60 * grain + 8 * noise[1],
        "Brightfield_H": 20000 + 60 * grain - 70 * lens + 8 * noise[2],
        "DNA": 300 + 4000 * nucleus + 8 * noise[3],
        "RNA": 300 + 2000 * body * np.exp(0.4 * grain) * (1 - 0.4 * np.minimum(nucleus, 1)) + 8 * noise[4],
        "ER": 300 + 1500 * body * np.exp(0.5 * grain) * (1 - 0.6 * np.minimum(nucleus, 1)) + 8 * noise[5],
    }
    return {channel: image.clip(0, 65535).astype(np.uint16) for channel, image in images.items()}


def measured(index: pd.DataFrame, folder, channels, **options) -> pd.DataFrame:
    return pd.DataFrame(quality.measure(rows_of(index), folder, channels, **options))


@pytest.fixture(scope="module", name="plate")
def measured_plate(tmp_path_factory):
    """A plate of 12 fields: its folder, index and measures."""
    folder = tmp_path_factory.mktemp("plate")
    rows = []
    for well in [f"{row}{column:02d}" for row in "AB" for column in range(1, 7)]:
        for channel, image in field(well).items():
            store.write_raw(folder / f"{well}_{channel}.tif", image)
            rows.append({"Metadata_Plate": "P1", "Metadata_Well": well, "Metadata_Site": 1, "Channel": channel,
                         "key": f"bucket/{well}_{channel}.tif", "file": f"{well}_{channel}.tif"})  # fmt: skip
    index = pd.DataFrame(rows)
    return folder, index, measured(index, folder, CHANNELS)


def again(measures: pd.DataFrame, well: str, images: dict) -> pd.DataFrame:
    """Return the measures with those of one well taken from other images."""
    one = pd.DataFrame(quality.measure_field(images))
    chosen = measures["Metadata_Well"] == well
    changed = measures.copy()
    columns = [name for name in one.columns if name != "Channel"]
    changed.loc[chosen, columns] = one.set_index("Channel").loc[measures.loc[chosen, "Channel"], columns].to_numpy()
    return changed.infer_objects()


FLAWS = {
    "blank": ("RNA", lambda image: np.full_like(image, 321)),
    "noise": ("RNA", lambda image: np.random.default_rng(0).poisson(300, image.shape).astype(np.uint16)),
    "saturated": ("DNA", lambda image: np.minimum(image, np.uint16(np.percentile(image, 97)))),
    "blurred": ("ER", lambda image: ndimage.gaussian_filter(image, 3)),
    "background": ("RNA", lambda image: image + np.uint16(2000)),
}


def prepared_table(measures: pd.DataFrame, **sd) -> pd.DataFrame:
    """A table as `prepare` writes it: one tile a field."""
    fields = measures[KEYS].drop_duplicates(ignore_index=True).assign(Metadata_Tile=1)
    for channel in CHANNELS:
        fields[f"mean_{channel}"], fields[f"sd_{channel}"] = 100.0, 10.0
    for key, value in sd.items():
        well, channel = key.split("_", 1)
        fields.loc[fields["Metadata_Well"] == well, f"sd_{channel}"] = value
    return fields.assign(stack_row=range(len(fields)))


def run_flag(folder, measures, prepared, **changes) -> tuple[pd.DataFrame, pd.DataFrame]:
    store.write_table(measures, folder / "q.parquet")
    store.write_table(prepared, folder / "prepared.parquet")
    flag.main(["--settings", json.dumps(settings(**changes)), "--quality", str(folder / "q.parquet"), "--prepared",
               str(folder / "prepared.parquet"), "--fields", str(folder / "fields.parquet"),
               "--flags", str(folder / "flags.tsv")])  # fmt: skip
    return store.read_fields(folder / "fields.parquet"), store.read_table(folder / "flags.tsv")


def spoiled(measures: pd.DataFrame) -> pd.DataFrame:
    """B03 with a blank RNA image, A05 with a saturated DNA image."""
    for well, flaw in (("B03", "blank"), ("A05", "saturated")):
        channel, spoil = FLAWS[flaw]
        images = field(well)
        images[channel] = spoil(images[channel])
        measures = again(measures, well, images)
    return measures
