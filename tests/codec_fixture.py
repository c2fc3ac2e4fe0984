"""Small plates of blobs, and a codec small enough to be trained on them in a second or two."""

from __future__ import annotations

import functools
from pathlib import Path

from brightpaint import store
from brightpaint.models import train, train_codec
from models_fixture import CHANNELS, TARGETS, made, make_plate, train_arguments
from models_fixture import SETTINGS as MODEL

SETTINGS = {
    "preset": "small", "width": 8, "latents": 4, "kl_weight": 1e-3, "adversarial": 0.0, "images": 320, "batch": 8, "crop_px": 16,
    "learning_rate": 1e-2, "warmup_images": 0, "decay": "constant", "clip_norm": 1.0, "ema_images": 20, "validation_share": 0.2,
    "validate_every_images": 160, "held_out": [], "seed": 0, "channels": {"input": [], "target": TARGETS},
}  # fmt: skip
CRITIC = {"adversarial": 0.1, "critic": "small", "windows": [[-3, 3], [-3, 3]], "r1": 1.0}


def plates(folder: Path, fields: int = 8) -> list[tuple[Path, Path]]:
    """Write two training plates of fields of 32 px, and one that tests."""
    return [make_plate(folder, name, fields, seed=number) for number, name in enumerate(("P1", "P2", "P3"))]


def arguments(folder: Path, made_of: list, name: str = "codec", **changes) -> list[str]:
    """Return the command line of train_codec."""
    return train_arguments(folder, made_of, {**SETTINGS, **changes}, name)


def trained() -> Path:
    """Return a folder with three plates, and `codec.safetensors` that was trained on two of them a little."""
    return made("codec", lambda folder: train_codec.main(arguments(folder, plates(folder)[:2])))


def plate(name: str = "P3") -> tuple[Path, Path]:
    """Return one of its plates; P3 is the one that it was not trained on."""
    return trained() / f"{name}.tif", trained() / f"{name}.parquet"


def of_kind(kind: str, path: Path, weights: Path) -> Path:
    """Write weights again at `path` as if they were of another kind, and return it."""
    tensors, meta = store.read_weights(weights)
    settings = {**meta["settings"], "kind": kind, "preset": "fast", "objective": "v"}
    store.write_weights(path, tensors, {**meta, "settings": settings})
    return path


def standing_on(codec: Path, **changes) -> dict:
    """Return the settings of a small training on a codec's latents."""
    latent = {"label": "perturbation", "images": 16, "crop_px": None, "stands_on": {"codec": str(codec)}}
    return {**MODEL, **latent, **changes}


@functools.cache
def latent_weights(kind: str = "diffusion", inputs: int = 2) -> Path:
    """Return the weights of a model that was trained on the codec's latents, a little, with so many brightfield planes."""
    channels = {**CHANNELS, "input": CHANNELS["input"][:inputs]}
    settings = standing_on(trained() / "codec.safetensors", kind=kind, channels=channels)
    plates = [plate("P1"), plate("P2")]
    folder = made(f"latent_{kind}_{inputs}", lambda folder: train.main(train_arguments(folder, plates, settings)))
    return folder / "weights.safetensors"
