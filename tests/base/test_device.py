"""The device of a torch job: auto, cpu, cuda, and one GPU a process."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from brightpaint.base.device import pick_device


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs, as torch would say."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_missing_gpu_is_one_clear_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="compute.device"):
        pick_device("cuda")


def test_each_process_of_a_training_has_its_own_gpu(gpus, monkeypatch):
    assert pick_device("cpu") == torch.device("cpu") and pick_device("auto") == torch.device("cuda")
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device("cuda") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="process 3 of this job has no GPU: torch sees 2; lower compute.gpus"):
        pick_device("auto")


def test_torch_is_not_loaded_before_a_device_is_asked_for():
    code = "import sys, brightpaint.base.device; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
