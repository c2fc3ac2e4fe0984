"""Weights: safetensors with one metadata key of sorted JSON; no pickle is ever loaded."""

from __future__ import annotations

import json
from pathlib import Path

from brightpaint.base.atomic import atomic


def write_weights(path: str | Path, tensors: dict, meta: dict) -> None:
    """Write torch tensors as safetensors with one metadata key of sorted JSON (several are written in random order)."""
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
        save_file(plain, str(temporary), metadata={"brightpaint": json.dumps(meta, sort_keys=True)})


def read_weights(path: str | Path, *, tensors: bool = True) -> tuple[dict, dict]:
    """Read `(tensors, meta)`; a file that brightpaint did not write is an error (no pickle is ever loaded).

    What the tensors and `meta` must hold is for their reader to check (`models.weights`). Without `tensors` only the
    head of the file is read, and there are none.
    """
    from safetensors import safe_open

    try:
        with safe_open(str(path), framework="pt" if tensors else "np") as handle:  # the head needs no torch
            meta = json.loads((handle.metadata() or {}).get("brightpaint", "null"))
            if not isinstance(meta, dict):
                raise ValueError("its metadata lack brightpaint's entry")
            found = {name: handle.get_tensor(name) for name in handle.keys()} if tensors else {}
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: there is no such weights file; train the model, or correct models.weights"
        ) from None
    except Exception as error:
        raise ValueError(
            f"{path}: not a brightpaint weights file ({error}); expected safetensors: delete it and train again, or "
            "correct models.weights"
        ) from error
    return found, meta


def read_tensors(path: str | Path, what: str) -> dict:
    """Read torch tensors that others published, safetensors alone: a .pth is a pickle, and none is ever loaded.

    Raises
    ------
    ValueError
        naming `what`, the setting that names the file
    """
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise ValueError(f"{what}: there is no file {path}; correct its path in the config")
    try:
        return load_file(str(path))
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{what}: {path}: expected safetensors, found something else ({reason}); "
            "config/README.md says how to convert a .pth that you trust"
        ) from error
