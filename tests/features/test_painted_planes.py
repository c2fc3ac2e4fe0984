"""Painted planes of one stain keep their brightness to one another, in CellProfiler's TIFFs, deliveries and embeddings."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from brightpaint import store
from brightpaint.base.intensity import rescaled
from brightpaint.features import deliver, export
from brightpaint.features.embedders import vectors
from features_fixture import rows_of

STAINS, PLANES = ["RNA", "DNA_1", "DNA_2", "DNA_3"], ["DNA_1", "DNA_2", "DNA_3"]
TIFFS = {"window": [-5, 15], "channels": STAINS, "pixel_size_um": 1.0, "cutoff": 15, "inputs": ["BF_1", "BF_2"]}
SEEN = {"cutoff": 15, "renormalise": True, "channels": {"input": ["BF_1", "BF_2"], "target": STAINS}}


@pytest.fixture
def painted(tmp_path):
    """A painted field whose DNA is brightest in the middle plane: (4, 32, 32) float32, and what it should become."""
    raw = np.random.default_rng(0).normal(0, 1, (4, 32, 32)) * [[[2]], [[1]], [[4]], [[0.5]]] + [
        [[1]],
        [[0]],
        [[3]],
        [[0]],
    ]
    raw = raw.astype(np.float16).astype(np.float32)
    with store.StackWriter(tmp_path / "stack.tif", (1, 4, 32, 32), STAINS, key="test") as writer:
        writer.write(0, raw)
    store.write_table(rows_of(["A01"], height=32), tmp_path / "rows.parquet")
    wanted = np.stack([(raw[0] - raw[0].mean()) / raw[0].std(), *((raw[1:] - raw[1:].mean()) / raw[1:].std())])
    return raw, wanted


def run(module, folder, settings, *more):
    files = {"stack": "stack.tif", "rows": "rows.parquet", "fields": "rows.parquet", "folder": "out"}
    words = [word for name, file in files.items() for word in (f"--{name}", str(folder / file))]
    module.main(["--settings", json.dumps(settings), *words, *more])


@pytest.mark.parametrize("module, more, end", [(export, ("--arm", "pert", "--part", "1", "--parts", "1"), "tif"),
                                               (deliver, (), "ome.tif")])  # fmt: skip
def test_tiffs_of_painted_planes_share_mean_and_sd(tmp_path, painted, module, more, end):
    raw, wanted = painted
    run(module, tmp_path, TIFFS | {"planes": [PLANES]}, *more)
    shown = [
        export.from_counts(tifffile.imread(tmp_path / "out" / f"A01_s1_t1_{name}.{end}"), (-5, 15)) for name in STAINS
    ]
    assert np.allclose(shown, wanted, atol=2e-3)
    if module is deliver:
        assert (
            "of its image, where the planes of a stain are one image (mean 0"
            in (tmp_path / "out" / "README.txt").read_text()
        )


def test_embeddings_see_planes_on_one_scale_painted_or_brightfield(tmp_path, painted):
    _, wanted = painted
    channels = SEEN["channels"] | {"planes": {"DNA": PLANES, "BF": ["BF_1", "BF_2"]}}
    seen = vectors.z_scores(store.open_stack(tmp_path / "stack.tif"), 0, STAINS, SEEN | {"channels": channels})
    assert np.allclose(seen, wanted, atol=1e-4)
    lone = vectors.z_scores(store.open_stack(tmp_path / "stack.tif"), 0, STAINS, SEEN)
    assert np.allclose(lone.std(axis=(1, 2)), 1, atol=1e-3)
    bright = np.random.default_rng(1).normal(0, 1, (1, 2, 16, 16)) * [[[1]], [[3]]]
    with store.StackWriter(tmp_path / "real.tif", bright.shape, ["BF_1", "BF_2"], key="test") as writer:
        writer.write(0, bright[0])
    stack = store.open_stack(tmp_path / "real.tif")
    shown = vectors.z_scores(stack, 0, ["BF_1", "BF_2"], SEEN | {"channels": channels})
    assert shown[1].std() / shown[0].std() == pytest.approx(3, rel=0.2) and shown.std() == pytest.approx(1, abs=1e-3)


def test_a_group_of_constant_planes_is_zero_and_a_plate_scale_is_left_alone():
    flat = np.full((3, 4, 4), 2.0)
    assert not rescaled(flat, cutoff=15, renormalise=True, groups=[[1, 2]]).any()
    assert (rescaled(flat * 10, cutoff=15, renormalise=False, groups=[[1, 2]]) == 15).all()
