"""Inception's features: the published network, a plate's table by the command, weights that are none."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_frechet import features

from brightpaint import store
from brightpaint.features.embedders import inception
from brightpaint.features.embedders.inception_network import Inception
from brightpaint.scores.images import frechet


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The whole network with random weights, as the published file holds them: with a classifier head."""
    torch.manual_seed(0)
    tensors = {name: value for name, value in Inception().state_dict().items() if "num_batches" not in name}
    tensors.update({"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)})
    path = tmp_path_factory.mktemp("inception") / "pt_inception.safetensors"
    save_file(tensors, path)
    return path


def test_the_network_has_the_published_parameters():
    tensors = Inception().state_dict()
    count = sum(value.numel() for name, value in tensors.items() if "running" not in name and "num_batches" not in name)
    assert count == 21_785_568  # Inception v3 without its classifier and auxiliary heads
    assert tensors["Mixed_6c.branch7x7dbl_4.conv.weight"].shape == (160, 160, 7, 1)
    assert tensors["Mixed_7c.branch3x3dbl_3b.bn.running_var"].shape == (384,)


@pytest.mark.slow
def test_a_plate_ends_as_a_table_of_features_and_copies_are_at_no_distance(weights, tmp_path):
    channels = {"input": ["BF"], "target": ["DNA"]}
    rows = features(wells=2, channels=("DNA",)).filter(like="Metadata_")
    images = np.random.default_rng(0).normal(size=(4, 2, 32, 32)).astype(np.float16)
    with store.StackWriter(tmp_path / "P.tif", images.shape, ["BF", "DNA"], key="x") as writer:
        for row, image in enumerate(images):
            writer.write(row, image)
    store.write_table(rows, tmp_path / "P.parquet")
    settings = {"weights": "w", "window": [-1.5, 6], "brightfield_window": [-5, 5], "cutoff": 15, "renormalise": True}
    inception.main(
        ["--settings", json.dumps({**settings, "channels": channels}), "--weights", str(weights), "--device", "cpu"]
        + ["--arm", "real", "--stack", str(tmp_path / "P.tif"), "--rows", str(tmp_path / "P.parquet")]
        + ["--table", str(tmp_path / "out.parquet")]
    )
    table = store.read_table(tmp_path / "out.parquet")
    assert table.shape == (4, 5 + 1 + 2048) and table["Channel"].eq("DNA").all()
    values = table[inception.NAMES].to_numpy()
    assert (values >= 0).all() and values.std(axis=0).max() > 0
    assert frechet.frechet_distance(values, values) == pytest.approx(0, abs=1e-6)


def test_a_file_of_another_network_and_a_pickle_are_refused(weights, tmp_path):
    device = torch.device("cpu")
    tensors = load_file(weights)
    del tensors["Mixed_5b.branch1x1.conv.weight"]
    save_file({**tensors, "odd": torch.zeros(1)}, tmp_path / "wrong.safetensors")
    with pytest.raises(
        ValueError, match="1 parameters are missing or of another shape .Mixed_5b.branch1x1.conv.weight., 1 are"
    ):
        inception.load_network(tmp_path / "wrong.safetensors", device)
    with pytest.raises(ValueError, match="fid.weights: there is no file"):
        inception.load_network(tmp_path / "none.safetensors", device)
    torch.save(tensors, tmp_path / "pickled.pth")
    with pytest.raises(ValueError, match="expected safetensors, found something else .* how to convert a .pth"):
        inception.load_network(tmp_path / "pickled.pth", device)
