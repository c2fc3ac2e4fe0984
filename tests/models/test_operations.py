"""Operations counted from the presets are torch's own count, and counting them loads no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from brightpaint import store
from brightpaint.models import operations
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.cell_network import CellNetwork
from brightpaint.models.networks.noise_classifier import Classifier
from brightpaint.models.networks.unet import UNet
from brightpaint.study.presets import classifier_spec, spec_of


def counted(network, inputs, targets, size_px, *more):
    """Torch's count of a forward pass of one image, without computing it."""
    with torch.device("meta"):
        x, y = torch.empty(1, inputs, size_px, size_px), torch.empty(1, targets, size_px, size_px)
        gamma = torch.empty(1, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x, y, gamma, *more)
    return counter.get_total_flops()


@pytest.mark.parametrize("preset", ["paper", "phendiff", "fast"])
@pytest.mark.parametrize(("width", "inputs", "targets", "size_px"), [(None, 3, 5, 512), (8, 1, 1, 40), (48, 13, 6, 96)])
def test_the_u_nets_operations_are_torchs_own_count(preset, width, inputs, targets, size_px):
    spec = spec_of(preset, width)
    with torch.device("meta"):
        network, told = UNet(spec, inputs, targets, 3).eval(), Condition.of_labels(torch.zeros(1, dtype=torch.int64))
    assert operations.unet_flop(spec, inputs, targets, size_px) == counted(network, inputs, targets, size_px, told)


@pytest.mark.parametrize(
    ("width", "inputs", "targets", "classes", "size_px"), [(None, 3, 5, 290, 512), (32, 1, 2, 2, 40)]
)
def test_the_classifiers_operations_are_torchs_own_count(width, inputs, targets, classes, size_px):
    spec = classifier_spec(width)
    with torch.device("meta"):
        network = Classifier(spec, inputs, targets, classes).eval()
    found = operations.classifier_flop(spec, inputs, targets, classes, size_px)
    assert found == counted(network, inputs, targets, size_px)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize(("size", "width", "blocks"), [((1, 96, 96), 16, 2), ((1, 33, 33), 4, 1), ((6, 24, 24), 4, 2)])
def test_the_operations_of_the_network_of_cells_are_torchs_own_count(size, width, blocks, local):
    with torch.device("meta"):
        shape = {"width": width, "blocks": blocks, "dropout": 0.1, "local": local}
        network = CellNetwork(5, size, 7, **shape).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 5, *size))
    assert operations.cell_flop(5, size, 7, width, blocks, local) == counter.get_total_flops()


def test_a_plan_loads_no_torch_even_for_given_weights(tmp_path):
    """The Snakefile is read again in every job of a cluster."""
    path = tmp_path / "w.safetensors"
    store.write_weights(path, {"a": torch.zeros(2)}, {"settings": {"kind": "diffusion", "preset": "paper", "width": 8}})
    script = f"""
import sys
from brightpaint.plan import costs, limits, painting
found = painting.network_of({{"weights": {str(path)!r}}})
assert found == {{"kind": "diffusion", "preset": "paper", "width": 8, "codec": "identity", "latents": None}}, found
assert "torch" not in sys.modules"""
    subprocess.run([sys.executable, "-c", script], check=True)
