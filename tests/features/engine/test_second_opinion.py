"""The engine's numbers beside those of cp_measure, which others wrote from CellProfiler's source."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from brightpaint.features.engine import (
    colocalization,
    granularity,
    intensity_zernike,
    object_intensity,
    radial,
    shape,
    texture,
)
from brightpaint.features.engine.objects import Objects
from conftest import ROOT
from features_fixture import blobs

PACKAGES = ROOT / ".envs" / "oracle"


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """cp_measure's numbers of nine drawn cells and two stains, and the engine's, by cp_measure's names."""
    if not PACKAGES.exists():
        pytest.skip("cp_measure is not there: envs/build.sh oracle")
    stains = (np.clip((blobs()[0][[1, 3]] + 5) / 20, 0, 1) * 65535).astype(np.uint16).astype(np.float32) / 65535
    labels, count = ndimage.label(ndimage.gaussian_filter(stains[0], 1) > 0.3)
    folder = tmp_path_factory.mktemp("cp_measure")
    np.savez(folder / "asked.npz", labels=labels, first=stains[0], second=stains[1])
    script = Path(__file__).with_name("cp_measure_answers.py")
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    subprocess.run(
        [sys.executable, script, folder / "asked.npz", folder / "said.npz"], check=True, env=environment, timeout=300
    )
    return dict(np.load(folder / "said.npz")), engine(Objects(labels.astype(np.int32), count), dict(zip("AB", stains)))


def engine(objects: Objects, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    one = {"A": images["A"]}
    grains = granularity.measure(
        {"Cells": objects}, one, subsampling=0.25, background_subsampling=0.25, radius=10, spectrum=16
    )["Cells"]
    pairs = colocalization.measure(
        objects, images, threshold_percent=15.0, correlation=True, manders=True, rank_weighted=True, overlap=False,
        costes=True, costes_method="Faster",
    )  # fmt: skip
    found = {
        **object_intensity.measure(objects, one),
        **radial.measure(objects, one),
        **intensity_zernike.measure(objects, one),
        **texture.measure(objects, one, scales=[3]),
        **grains,
    }
    plain = {name.removeprefix("Texture_").replace("_A", "", 1): values for name, values in found.items()}
    plain |= {
        name.removeprefix("AreaShape_"): values
        for name, values in shape.measure(objects, zernike=True, advanced=True).items()
    }
    ends = {
        "Correlation_A_B": "Pearson",
        "Manders_A_B": "Manders_1",
        "Manders_B_A": "Manders_2",
        "RWC_A_B": "RWC_1",
        "RWC_B_A": "RWC_2",
        "Costes_A_B": "Costes_1",
        "Costes_B_A": "Costes_2",
    }
    return plain | {f"Correlation_{short}": pairs[f"Correlation_{name}"] for name, short in ends.items()}


# cp_measure takes Costes' thresholds and the ranks within each object, CellProfiler over the image; of equally bright
# pixels each takes another; cp_measure's distances from the centre are float64, CellProfiler's sums float32.
OTHERWISE = re.compile(r"Correlation_(Costes|RWC)_|Location_MaxIntensity|CentralMoment_(0_1|1_0)$")
ROUNDED = re.compile(r"RadialDistribution_(FracAtD|MeanFrac|RadialCV)")


def test_cp_measure_agrees_on_all_columns_that_both_have(answers):
    said, found = answers
    assert set(found) <= set(said)
    assert set(said) - set(found) == {
        "Correlation_Slope",
        "FilledArea",
        "PerimeterCrofton",
    }  # in none of CellProfiler's tables
    unlike = {}
    for name in found:
        if OTHERWISE.search(name):
            continue
        tolerance = (1e-4 if ROUNDED.search(name) else 1e-7) * max(np.nanmax(np.abs(said[name]), initial=0), 1e-6)
        if not np.allclose(said[name], found[name], rtol=0, atol=tolerance, equal_nan=True):
            unlike[name] = said[name][:3], found[name][:3]
    assert unlike == {} and len(found) > 240


def test_what_is_defined_otherwise_is_still_near(answers):
    said, found = answers
    for name in ("Correlation_Costes_1", "Correlation_RWC_1", "Correlation_RWC_2"):
        assert np.abs(said[name] - found[name]).max() < 0.1, name
    assert np.abs(found["CentralMoment_0_1"]).max() < 1e-9
