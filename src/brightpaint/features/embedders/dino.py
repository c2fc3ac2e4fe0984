"""Embed every field by a vision transformer trained without labels on photographs: DINO ViT-S/8 (paper, section 4.5).

Of each channel the middle 448 x 448 px are cut into four crops of 224, each shown as a grey picture; the median of
the four class tokens is the channel's embedding (384 numbers). A field's channels stand side by side (five
stains: 1920; three brightfield planes: 1152) and are brought to length 1. No cell is segmented.

A field under 448 px a side is first brought to 512, the paper's size, so that the crops cover the share of it that they
covered there. Weights are safetensors in the form of `transformers`, from a local folder or the Hugging Face hub.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.intensity import in_window
from brightpaint.features.embedders import vectors
from brightpaint.features.embedders.seer import Seer

CROP_PX = 224
PAPER_PX = 512  # side of the paper's fields, of which the crops cover the middle 448
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])  # mean and s.d. of the pictures that DINO was trained on
HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+(@[\w.-]+)?$")
log = logging.getLogger(__name__)


def load_network(weights: str, device: torch.device, *, attention: bool = False) -> torch.nn.Module:
    """Load a vision transformer, ready to look.

    Parameters
    ----------
    weights : a folder that holds config.json and model.safetensors, or a model of the hub, `owner/name` or
        `owner/name@revision`
    attention : whether its attention will be asked for

    Raises
    ------
    ValueError
        for what is neither, for weights that are not safetensors (no pickle is ever loaded), and for a model that has
        parts the file lacks
    """
    from transformers import ViTModel  # here: it takes seconds, and only this stage needs it

    folder = Path(weights).is_dir()
    if not folder and not HUB_NAME.fullmatch(weights):
        raise ValueError(
            f"embed.weights: {weights} is no folder and no owner/name of the hub; correct it in the config"
        )
    name, _, revision = (weights, "", "") if folder else weights.partition("@")
    chosen = {"revision": revision} if revision else {}
    try:
        network, loaded = ViTModel.from_pretrained(
            name, add_pooling_layer=False, use_safetensors=True, output_loading_info=True, local_files_only=folder,
            attn_implementation="eager" if attention else "sdpa", **chosen,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise ValueError(
            f"embed.weights: cannot load {weights} ({str(error).splitlines()[0]}); expected config.json and "
            "model.safetensors of a ViTModel"
        ) from error
    if loaded["missing_keys"]:
        missing = sorted(loaded["missing_keys"])[:3]
        raise ValueError(f"embed.weights: {weights} lacks {missing}; expected the weights of a whole ViTModel")
    return network.to(device).eval().requires_grad_(False)


def middle(images: torch.Tensor) -> torch.Tensor:
    """Return the middle 448 px of images, after those of under 448 px a side were brought to 512.

    Parameters
    ----------
    images : (C, H, W) float32 z-scores

    Returns
    -------
    (C, 448, 448)
    """
    side = 2 * CROP_PX
    if min(images.shape[1:]) < side:
        images = F.interpolate(images[None], size=(PAPER_PX, PAPER_PX), mode="bicubic", align_corners=False)[0]
    top, left = ((length - side) // 2 for length in images.shape[1:])
    return images[:, top : top + side, left : left + side]


def four_crops(images: torch.Tensor) -> torch.Tensor:
    """Cut (C, 448, 448) into its quarters, row by row: (4, C, 224, 224)."""
    halves = [part.split(CROP_PX, dim=2) for part in images.split(CROP_PX, dim=1)]
    return torch.stack([crop for row in halves for crop in row])


def pictures(crops: torch.Tensor, window) -> torch.Tensor:
    """Show z-scores as grey pictures on the scale that DINO was trained on: (n, C, H, W) -> (n * C, 3, H, W).

    `window` becomes 0 and 1 (intensity.in_window); then ImageNet's mean is taken off and its s.d. divided by.
    """
    grey = torch.from_numpy(in_window(crops.cpu().numpy(), window)).flatten(0, 1)[:, None]
    mean, sd = (torch.tensor(values)[None, :, None, None] for values in IMAGENET)
    return (grey - mean) / sd  # (n * C, 1, H, W) - (1, 3, 1, 1) -> (n * C, 3, H, W)


def embedder(network: torch.nn.Module, window) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of one field, (C, H, W) float32 z-scores -> (C, F): the median over its crops."""
    device = next(network.parameters()).device

    def see(images: np.ndarray) -> np.ndarray:
        crops = four_crops(middle(torch.from_numpy(np.ascontiguousarray(images, np.float32))))
        with torch.inference_mode():
            tokens = network(pixel_values=pictures(crops, window).to(device)).last_hidden_state[:, 0]
        said = tokens.float().cpu().numpy().reshape(4, len(images), -1)  # (4 * C, F) -> (4, C, F)
        return np.median(said, axis=0)

    return see


def of_length_1(found: np.ndarray) -> np.ndarray:
    """Lay the embeddings of a field's channels side by side, each row brought to length 1: (N, C, F) -> (N, C * F) float32."""
    flat = found.reshape(len(found), -1).astype(np.float64)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return (flat / np.where(length > 0, length, 1)).astype(np.float32)


def seer(weights: str, settings: dict, device: torch.device) -> Seer:
    """Return DINO as what makes its space of the stains of fields."""
    see, channels = embedder(load_network(str(weights), device), settings["window"]), settings["channels"]["target"]

    def numbers(images: np.ndarray) -> np.ndarray:
        return of_length_1(np.stack([see(image[:, 0]) for image in images]))

    return Seer(channels, numbers, each=True)


def embedding_table(rows: pd.DataFrame, found: np.ndarray, channels: list[str]) -> pd.DataFrame:
    """Lay embeddings out, one row a field: keys, annotations, `DINO_{channel}_{number}`, each row of length 1.

    Parameters
    ----------
    found : (N, C, F), the embedding of each channel
    """
    names = [f"DINO_{channel}_{number:03d}" for channel in channels for number in range(found.shape[2])]
    values = pd.DataFrame(of_length_1(found), columns=names)
    return pd.concat([vectors.metadata_of(rows), values], axis=1)


def weights_mark(weights: str) -> str:
    """Return what tells one set of weights from another: a local file's digest, a hub model's name."""
    return store.file_digest(Path(weights) / "model.safetensors") if Path(weights).is_dir() else weights


def main(argv=None) -> None:
    """Embed every field of a plate."""
    args = vectors.parser(main.__doc__).parse_args(argv)
    torch.set_num_threads(args.threads)
    settings = args.settings
    stack, rows = vectors.open_rows(args.stack, args.rows)
    network = load_network(settings["weights"], pick_device(args.device))
    see = embedder(network, vectors.window_of(args.arm, settings))
    made_from = [store.fingerprint(args.stack), weights_mark(settings["weights"]), args.arm]
    width = network.config.hidden_size
    log.info("%s: %d fields, %d numbers a channel", args.arm, len(rows), width)
    found = vectors.plate_vectors(
        stack, rows, see, width, args.table, arm=args.arm, settings=settings, made_from=made_from
    )
    channels = vectors.shown_channels(args.arm, settings["channels"])
    store.write_table(embedding_table(rows, found, channels), args.table)


if __name__ == "__main__":
    run(main)
