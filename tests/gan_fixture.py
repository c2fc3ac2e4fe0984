"""Small plates of blobs, and a generator and critic small enough to be trained on them in a second."""

from __future__ import annotations

import json
from pathlib import Path

from brightpaint.models import train_gan
from models_fixture import TARGETS, made, make_plate

SIZE = 16
SETTINGS = {
    "preset": "small", "width": 4, "size_px": SIZE, "examples": "fields", "r1": 1.0, "path_length": 2.0, "mixing": 0.9,
    "images": 48, "batch": 4, "learning_rate": 2e-3, "clip_norm": None, "ema_images": 20, "validate_every_images": 24, "seed": 0,
    "channels": {"input": [], "target": TARGETS}, "windows": [[-3, 3], [-3, 3]],
}  # fmt: skip


def plates(folder: Path, fields: int = 6) -> list[tuple[Path, Path]]:
    """Write two plates of fields of 32 px."""
    return [make_plate(folder, name, fields, seed=number) for number, name in enumerate(("P1", "P2"))]


def arguments(
    folder: Path, plates: list[tuple[Path, Path]], name: str = "weights", how: dict | None = None, **changes
) -> list[str]:
    """Return the command line of train_gan; its files lie in a folder `name`."""
    stacks, tables = zip(*plates)
    words = ["--settings", json.dumps({**SETTINGS, **changes}), "--device", "cpu", "--compute", json.dumps(how or {})]
    words += ["--stacks", *stacks, "--fields", *tables]
    for word, file in (
        ("weights", "weights.safetensors"),
        ("untrained", "untrained.safetensors"),
        ("history", "history.jsonl"),
    ):
        words += [f"--{word}", folder / name / file]
    (folder / name).mkdir(exist_ok=True)
    return [str(word) for word in [*words, "--picture", folder / name / "samples.png"]]


def words_of(plates: list[tuple[Path, Path]], **changes) -> list[str]:
    """Return what every command line of an encoder of these images begins with."""
    seen = {key: SETTINGS[key] for key in ("size_px", "examples", "channels", "windows")}
    stacks, tables = zip(*plates)
    words = ["--settings", json.dumps({**seen, **changes}), "--device", "cpu", "--stacks", *stacks, "--fields", *tables]
    return [str(word) for word in words]


def trained() -> Path:
    """Return a folder with two plates and the weights that were trained on them a little, in `weights`."""
    return made("gan", lambda folder: train_gan.main(arguments(folder, plates(folder))))
