"""A benchmark that does not run measures nothing: those of seconds are run, at the least size."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
