"""The plates of a seed keep their bytes: digests of images, tables and truth, recorded before the options came."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import fft

from brightpaint import store
from brightpaint.plates import simulate
from brightpaint.plates.simulator.stains import STAINS

CHANNELS = ["Brightfield_L", "Brightfield", "Brightfield_H", *STAINS]
PLATE = {"plate": "P1", "role": "study", "project": "simulated", "source": "source_0", "batch": "B1"}
COMMON = {"sites": 1, "size_px": 64, "cells_per_field": 4, "pixel_size_um": 1.0, "dmso_share": 0.25, "strength": 1.0,
          "inactive_share": 0.45, "invisible_share": 0.25, "failed_share": 0.0}  # fmt: skip
CASES = {
    "standard": {"seed": 1, "rows": 2, "columns": 3, "plate": {**PLATE, "channels": CHANNELS}},
    "failed": {"seed": 2, "rows": 2, "columns": 2, "failed_share": 0.5, "size_px": 96, "pixel_size_um": 0.65,
               "plate": {**PLATE, "plate": "left", "barcode": "P7", "role": "predict", "channels": CHANNELS}},
    "dmso": {"seed": 5, "rows": 1, "columns": 2, "sites": 2, "plate": {**PLATE, "layout": "dmso", "channels": ["BF", "RNA"]}},
}  # fmt: skip
# Pixels may differ in the last count on a CPU whose float32 arithmetic differs: there only the means are compared.
ARITHMETIC = "55c14b2e952700e9"
RECORDED = {
    "standard": {
        "tables": "80d2f48e8ab5caa8",
        "truth": "a792939e32da0ec5",
        "images": "0432e7c98d7e5a08",
        "mean": 7852.82,
    },
    "failed": {
        "tables": "a4aea47d659182dd",
        "truth": "560d07124af102ce",
        "images": "243b36b06754b032",
        "mean": 19885.17,
    },
    "dmso": {"tables": "33c010d05191a9cb", "truth": "5e07dfdb55ebb61b", "images": "43d2aa4f7b5f43c0", "mean": 10813.93},
}


def sha(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def arithmetic() -> str:
    """Return a digest of what this CPU makes of the functions that the simulator draws with."""
    values = np.random.default_rng(1).uniform(0.1, 3, (96, 96)).astype(np.float32)
    made = [function(values) for function in (np.exp, np.sin, np.cos, np.sqrt, np.log, fft.rfft2, fft.fft2)]
    made += [np.hypot(values, values.T), np.arctan2(values, values.T), np.exp(values.astype(float))]
    return sha(*(array.tobytes() for array in made))


def record(settings: dict, mirror) -> dict:
    """Return the digests of one plate, and the mean counts of its images by channel."""
    truth = simulate.simulate_plate({**COMMON, **settings}, mirror)
    tables = [path for path in sorted(mirror.rglob("*")) if path.is_file() and path.suffix in (".csv", ".tsv", ".txt")]
    images = {path.name: store.read_raw(path) for path in sorted(mirror.rglob("*.tif"))}
    text = [str(path.relative_to(mirror)).encode() + path.read_bytes() for path in tables]
    return {
        "tables": sha(*text),
        "truth": sha(truth.to_csv(sep="\t", index=False).encode()),
        "images": sha(*(name.encode() + image.tobytes() for name, image in images.items())),
        "mean": round(float(np.mean([image.mean() for image in images.values()])), 2),
    }


@pytest.mark.parametrize("case", CASES)
def test_a_seed_keeps_its_plate(case, tmp_path):
    found, recorded = record(CASES[case], tmp_path), RECORDED[case]
    assert (found["tables"], found["truth"]) == (recorded["tables"], recorded["truth"])
    assert found["mean"] == pytest.approx(recorded["mean"], rel=1e-4)
    if arithmetic() == ARITHMETIC:
        assert found["images"] == recorded["images"]
