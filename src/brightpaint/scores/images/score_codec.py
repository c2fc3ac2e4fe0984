"""Score a codec on images that it was not trained on: what it loses of each stain, and what its latents hold.

The L1 of its training, in z-scores; the KL divergence per latent element; and which latents are active, by the rule of Burda et
al. 2016 (section 5.3): the variance over images of the posterior's mean is above 0.01, where the prior's is 1. An element is one
channel at one place of the latent; a channel is active by the variance over images and places. SSIM, PCC, cells and profiles are
those of every arm: a codec's images go the way of any.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.models.compute import Compute
from brightpaint.models.networks.autoencoder import Autoencoder
from brightpaint.models.train_codec import build_codec
from brightpaint.models.trained import load_module, read_model
from brightpaint.scores.images.field_scores import OTHER_WELL, summarise_fields
from brightpaint.scores.pairing import covered, join_rows, other_well
from brightpaint.scores.rows import parser, read_active, write_rows
from brightpaint.study.kinds import CODEC

ACTIVE = 0.01  # variance over images of a posterior mean above which a latent is active
LEAST = 2  # images of which there is a variance


class Variance:
    """Running sums of arrays of one shape, for their variance over all that came."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        """Take one more array."""
        values = values.astype(np.float64)
        self.count, self.total, self.squares = self.count + 1, self.total + values, self.squares + values**2

    def value(self) -> np.ndarray:
        """Return the variance of each element, with `count` in the denominator."""
        return self.squares / self.count - (self.total / self.count) ** 2

    def of_channels(self) -> np.ndarray:
        """Return the variance of each first axis over all that came and all places: (C,)."""
        axes = tuple(range(1, np.ndim(self.total)))
        mean = (self.total / self.count).mean(axes)
        return (self.squares / self.count).mean(axes) - mean**2


def encoded(network: Autoencoder, stains: np.ndarray, how: Compute) -> tuple[np.ndarray, float]:
    """Return the posterior means (latents, h, w) of one field's stains (C, H, W), and its KL divergence per element."""
    mean, log_variance = how.coded(network.posterior, how.send(torch.from_numpy(stains)[None]))
    kl = 0.5 * (mean.double() ** 2 + log_variance.double().exp() - 1 - log_variance.double()).mean()
    return mean[0].cpu().numpy(), float(kl)


def latent_rows(means: Variance, divergence: np.ndarray, wells: np.ndarray, seed: str) -> Iterator[dict]:
    """Yield what the latents of some fields hold: `kl_element`, `latents_active` (a share) and `channels_active` (a count)."""
    count = len(divergence)
    low, high = resampling.bootstrap_ratio(divergence, np.ones(count), wells, resampling.seeded(seed, "kl_element"))
    yield {"metric": "kl_element", "value": divergence.mean(), "low": low, "high": high, "n": count}
    if count >= LEAST:
        yield {"metric": "latents_active", "value": float((means.value() > ACTIVE).mean()), "n": count}
        yield {"metric": "channels_active", "value": float((means.of_channels() > ACTIVE).sum()), "n": count}


def plate_rows(args: argparse.Namespace, place: int, active: set | None, how: Compute) -> Iterator[dict]:
    """Yield the rows of one plate, without `arm`."""
    plate, targets = args.plates[place], args.settings["channels"]["target"]
    fields = store.read_fields(args.fields[place])
    real, (painted, table) = (
        store.open_stack(args.real[place]).select(fields),
        store.open_gathered(args.predicted[place]),
    )
    joined = join_rows(fields, table, str(args.predicted[place]))
    tensors, meta = read_model(args.weights[place], (CODEC.name,))
    network = load_module(args.weights[place], build_codec(meta["settings"], meta["channels"]), tensors, how.device)
    planes, own = real.channel_indices(targets), painted.channel_indices(targets)
    subsets = covered(fields, joined, active, plate)
    sums = {subset: Variance() for subset in subsets}
    losses, chance, divergence = [], [], []
    others = joined["real_row"].to_numpy()[other_well(joined["Metadata_Well"])]
    pairs = zip(joined["real_row"], joined["predicted_row"], others)
    for number, (row, again, other) in enumerate(tqdm(pairs, total=len(joined), unit="field", disable=None)):
        truth, image = (np.asarray(part, np.float32) for part in (real.images[row][planes], painted.images[again][own]))
        losses.append(np.abs(image - truth).mean((1, 2)))
        chance.append(np.abs(image - real.images[other][planes].astype(np.float32)).mean((1, 2)))
        means, kl = encoded(network, truth, how)
        divergence.append(kl)
        for subset, chosen in subsets.items():
            if chosen[number]:
                sums[subset].add(means)
    for subset, chosen in subsets.items():
        if not chosen.any():
            continue
        wells, seed = joined.loc[chosen, "Metadata_Well"].to_numpy(), f"{plate}/{subset}"
        scores = {"l1": np.stack(losses)[chosen], f"l1{OTHER_WELL}": np.stack(chance)[chosen]}
        place_of = {"plate": plate, "subset": subset, "space": "images"}
        for row in summarise_fields(scores, wells, targets, seed):
            yield {**row, **place_of}
        for row in latent_rows(sums[subset], np.array(divergence)[chosen], wells, seed):
            yield {**row, **place_of, "channel": "all"}


def main(argv: Sequence[str] | None = None) -> None:
    """Score a codec's arm."""
    line = parser(__doc__)
    line.add_argument("--settings", type=json.loads, required=True, help="JSON: channels")
    line.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    line.add_argument("--threads", type=int, default=1)
    line.add_argument("--weights", type=Path, nargs="+", required=True, help="the codec's weights, one file a plate")
    line.add_argument("--real", type=Path, nargs="+", required=True, help="real stacks, one a plate")
    line.add_argument("--predicted", type=Path, nargs="+", required=True, help="what it painted, one stack a plate")
    line.add_argument("--fields", type=Path, nargs="+", required=True)
    args = line.parse_args(argv)
    torch.set_num_threads(args.threads)
    if len({len(part) for part in (args.plates, args.weights, args.real, args.predicted, args.fields)}) != 1:
        raise ValueError(
            "score_codec: --plates, --weights, --real, --predicted and --fields must name as many plates each"
        )
    active, how = read_active(args.active), Compute(pick_device(args.device), precision="float32")
    rows = [row for place in range(len(args.plates)) for row in plate_rows(args, place, active, how)]
    write_rows(rows, args.arm, args.table)


if __name__ == "__main__":
    run(main)
