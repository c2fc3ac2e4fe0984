"""What each metric sees: known faults at three severities, and what every metric says of them.

Images are drawn (perturbations differ in the size, brightness and grain of their cells) and measured by simple features in
CellProfiler's place (levels, contrast at four scales, correlations of stains); bench/faults.py does the same with CellProfiler.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from brightpaint.base.intensity import standardise
from brightpaint.scores.images import pixels
from brightpaint.scores.images.field_scores import score_field
from brightpaint.scores.profiles import matching, retrieval
from conftest import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import faults  # noqa: E402

WELLS, SIZE, CHANNELS = 24, 64, 5
BETTER = {"pcc": 1, "ssim": 1, "mse": -1, "mae": -1, "mse_raw": -1, "nn": 1, "top5": 1, "map_target": 1, "map_replicate": 1,
          "mtdist": -1, "cpcor": 1}  # fmt: skip
# What is blind to what: the table of docs/performance.md and the report's caption. Everything else worsens step by step.
BLIND = {
    "nn": {"noise", "channels"},
    "top5": {"noise", "channels"},
    "map_target": {"noise", "channels"},
    "map_replicate": {"noise"},
    "mtdist": {"channels"},
}


def draw(seed):
    """Draw one plate: (WELLS, CHANNELS, SIZE, SIZE) stains; wells 2 n and 2 n + 1 share a target."""
    rng = np.random.default_rng(seed)
    images = []
    for well in range(WELLS):
        own = np.random.default_rng([7, well // 2])
        radius, gains, grain = own.uniform(3, 7), own.uniform(0.5, 3, CHANNELS), own.uniform(0.2, 1.5, CHANNELS)
        yy, xx = np.mgrid[:SIZE, :SIZE]
        centres = rng.uniform(4, SIZE - 4, (10, 2))
        distance = np.min([np.hypot(yy - y, xx - x) for y, x in centres], axis=0)
        shared = gaussian_filter(rng.normal(size=(SIZE, SIZE)), 1)
        planes = [gains[c] / (1 + np.exp((distance - radius * (0.6 + 0.2 * c)) / 0.8)) for c in range(CHANNELS)]
        texture = [
            grain[c] * plane * (3 * shared + gaussian_filter(rng.normal(size=(SIZE, SIZE)), 1 + 0.5 * c))
            for c, plane in enumerate(planes)
        ]
        images.append(np.array(planes) + np.array(texture) + 0.05 * rng.normal(size=(CHANNELS, SIZE, SIZE)))
    return standardise(np.array(images))


def measured(images, plate):
    """Return profiles by perturbation: simple features, standardised over the plate."""
    images, columns = standardise(images), {}
    for c in range(CHANNELS):
        for level in (1, 10, 25, 50, 75, 90, 99):
            columns[f"Cells_Intensity_{level}_{c}"] = np.percentile(images[:, c], level, axis=(1, 2))
        smooth = [images[:, c]] + [gaussian_filter(images[:, c], (0, sd, sd)) for sd in (1, 2, 4, 8)]
        for scale, (fine, coarse) in enumerate(zip(smooth, smooth[1:])):
            columns[f"Cells_Granularity_{scale}_{c}"] = np.log((fine - coarse).std(axis=(1, 2)) + 1e-9)
        for other in range(c):
            columns[f"Cells_Correlation_{c}_{other}"] = pixels.pcc(images[:, c], images[:, other])
    frame = pd.DataFrame(columns, index=[f"c{well:02d}" for well in range(WELLS)])
    frame = (frame - frame.mean()) / frame.std()
    return frame.assign(Metadata_target=[f"T{well // 2}" for well in range(WELLS)], Metadata_Plate=plate)


@pytest.fixture(scope="module")
def found():
    """{fault: one {metric: value} a severity, the faultless copy first}."""
    real, wells = draw(0), np.array([f"{'ABCD'[n // 6]}{n % 6 + 1:02d}" for n in range(WELLS)])
    truth = measured(real, "P")
    replicates = [measured(draw(seed), f"Q{seed}") for seed in (1, 2)]
    fields = pd.DataFrame({"Metadata_Well": wells, "Metadata_perturbation": truth.index})
    table = {}
    for kind, severities in faults.SEVERITIES.items():
        for severity in (None, *severities):
            images = real if severity is None else faults.faulty(real, wells, kind, severity)
            fields_scores = [score_field(real[n], images[n], real[(n + 2) % WELLS], cutoff=15) for n in range(WELLS)]
            values = {
                name: np.mean([each[name] for each in fields_scores])
                for name in ("pcc", "ssim", "mse", "mae", "mse_raw")
            }
            profiles = measured(images, "P")
            rows = [*matching.match_rows(profiles, fields, "s"), *matching.distance_rows(profiles, "s"),
                    retrieval.retrieval_row(profiles, fields, "s"),
                    retrieval.replicate_map_row(profiles, replicates, fields, "s")]  # fmt: skip
            values.update({row["metric"]: float(row["value"]) for row in rows if row["metric"] in BETTER})
            values["cpcor"] = float(matching.cpcor(truth, profiles)[0])
            table.setdefault(kind, []).append(values)
    for kind, values in table.items():
        print(kind, pd.DataFrame(values).round(3).to_string(), sep="\n")
    return table


@pytest.mark.parametrize("kind", list(faults.SEVERITIES))
@pytest.mark.parametrize("metric", list(BETTER))
def test_a_metric_worsens_with_the_fault_or_is_listed_as_blind_to_it(found, kind, metric):
    values = BETTER[metric] * np.array([each[metric] for each in found[kind]])
    if kind in BLIND.get(metric, ()):
        assert abs(values[2] - values[0]) <= 0.02 * abs(values[0]), "it sees the fault: strike it from the list"
        return
    assert values[-1] < values[0] - 1e-6, values
    assert (np.diff(values) <= 0.02 * np.ptp(values) + 1e-9).all(), values


def test_a_copy_is_perfect_and_every_well_in_a_wrong_place_is_at_chance(found):
    copy, wrong = found["wells"][0], found["wells"][-1]
    assert copy["pcc"] == pytest.approx(1) and copy["cpcor"] == pytest.approx(1) and copy["mse"] == pytest.approx(0)
    assert abs(wrong["cpcor"]) < 0.25 and wrong["map_replicate"] < 0.5 * copy["map_replicate"]


def test_wells_change_places_in_a_circle_and_no_field_is_lost():
    wells = np.repeat([f"A{n:02d}" for n in range(1, 10)], 2)
    for share, moved in ((1 / 3, 3), (2 / 3, 6), (1, 9)):
        order = faults.exchanged(wells, share)
        assert sorted(order) == list(range(18)) and (wells[order] != wells).sum() == 2 * moved
