"""A benchmark that does not run measures nothing: those of seconds are run, at the least size, of others what keeps their work."""

import argparse
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from brightpaint.models.compute import Compute
from brightpaint.models.objectives import Denoising, build_denoiser

ROOT = Path(__file__).parent.parent


def lines(*command: str) -> list[dict]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_models_prints_a_line_for_the_network_and_two_for_its_training():
    found = lines(
        "bench/models.py", "--width", "8", "--size", "32", "--steps", "2", "--repeats", "1", "--device", "cpu"
    )
    network, *trainings = found
    assert {line["preset"] for line in found} == {"fast"} and {line["device"] for line in found} == {"cpu"}
    figures = ("forward_s", "train_step_s", "paint_2_steps_s", "forward_share_of_matmul")
    assert all(0 < network[name] < 60 for name in figures)
    assert [line["prefetch"] for line in trainings] == [0, 2]
    assert all(line["training_images_per_s"] > 0 for line in trainings)


def test_presets_goes_on_with_a_kept_training_and_refuses_other_marks(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import presets

    args = argparse.Namespace(width=8, fields=None, steps=2, train={}, device="cpu", marks=[1.0, 2.0], folder=tmp_path)

    def begin():
        torch.manual_seed(1)
        model = build_denoiser({"preset": "fast", "width": 8, "objective": "v"}, presets.CHANNELS, 0)
        return presets.Recorded(model, Denoising(3, "v", "l2", 0.0), {**presets.TRAIN, "seed": 1}, Compute())

    def step(training):
        training.step(
            torch.linspace(-1, 1, 2 * 8 * 16 * 16).reshape(2, 8, 16, 16), torch.zeros(2, dtype=torch.int64), 2
        )
        training.losses = []

    first = begin()
    kept = presets.Kept(first, "fast", 1, args)
    assert kept.lines == [] and kept.spent == 0
    step(first)
    kept.save(1.25, {"seconds": 1.0, "fall": None})
    again = begin()
    kept = presets.Kept(again, "fast", 1, args)
    assert kept.lines == [{"seconds": 1.0, "fall": None}] and kept.spent == 1.25 and again.seen == 2
    step(first)
    step(again)
    assert all(torch.equal(value, again.mean[name]) for name, value in first.mean.items())
    args.marks = [1.5, 2.0]
    with pytest.raises(SystemExit, match=r"expected marks \[1.5, 2.0\], found \[1.0\]; delete it to begin anew"):
        presets.Kept(begin(), "fast", 1, args)


class Fields:
    """Made-up fields in place of a plate's, to train on and to validate."""

    inputs = 3

    def __len__(self):
        return 4

    def batch(self, seed, first, count, crop_px, mine):
        return np.zeros((count, 8, 16, 16), np.float32), np.zeros(count, np.int64)

    def fixed(self, number, crop_px):
        return str(number), np.zeros((8, 16, 16), np.float32), 0


def test_presets_extends_a_training_that_is_faster_than_before(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import presets

    monkeypatch.setattr(presets, "images_of", lambda *_: Fields())
    monkeypatch.setattr(presets, "CALIBRATED_S", 0)
    plate = argparse.Namespace(score=lambda *_: {})

    def images_by_mark(step_s, marks):
        clock = itertools.count(0, step_s)
        monkeypatch.setattr(presets.time, "process_time", lambda: next(clock))
        args = argparse.Namespace(width=8, fields=None, steps=2, train={"batch": 2}, device="cpu", marks=marks)
        args.folder, args.prefetch, args.flat = tmp_path, 0, None
        return [(line["seconds"], line["images"]) for line in presets.train("fast", 1, tmp_path, plate, args)]

    assert images_by_mark(1.0, [2.0]) == [(2.0, 4)]
    assert images_by_mark(0.5, [2.0, 4.0]) == [(2.0, 4), (4.0, 12)]
