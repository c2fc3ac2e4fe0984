"""Take the Inception features of every field and channel, in which FID and KID are defined.

FID is defined on 8-bit colour pictures. A stain is neither: each channel by itself becomes a grey picture by one fixed
line from z-scores to 0..255 (`fid.window`), the same for real and painted images, and is shown as red, green and
blue alike. Another line gives another FID: only numbers of one window can be compared.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.base.device import pick_device
from brightpaint.base.intensity import eight_bit
from brightpaint.features.embedders import vectors
from brightpaint.features.embedders.inception_network import FEATURES, Inception

NAMES = [f"Inception_{number:04d}" for number in range(FEATURES)]
log = logging.getLogger(__name__)


def load_network(path: str | Path, device: torch.device) -> Inception:
    """Load the weights of `pt_inception-2015-12-05`, as safetensors.

    Raises
    ------
    ValueError
        naming the parameters that the file lacks or has in another shape; the classifier head (`fc`) may be there
    """
    network, tensors = Inception(), store.read_tensors(path, "fid.weights")
    own = network.state_dict()
    counters = [name for name in own if name.endswith("num_batches_tracked")]  # of training; converted files lack them
    tensors = {**{name: own[name] for name in counters}, **tensors}
    wrong = [name for name in own if name not in tensors or tensors[name].shape != own[name].shape]
    strange = [name for name in tensors if name not in own and not name.startswith(("fc.", "AuxLogits."))]
    if wrong or strange:
        raise ValueError(
            f"fid.weights: {path} is not pt_inception-2015-12-05: {len(wrong)} parameters are missing or of another shape "
            f"({', '.join(wrong[:3]) or 'none'}), {len(strange)} are unknown ({', '.join(strange[:3]) or 'none'})"
        )
    network.load_state_dict({name: tensors[name] for name in own})
    return network.to(device).eval().requires_grad_(False)


def viewer(network: Inception, window) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of one field, (C, H, W) float32 z-scores -> (C, 2048) features."""
    device = next(network.parameters()).device

    def see(images: np.ndarray) -> np.ndarray:
        grey = torch.from_numpy(eight_bit(images, window)).to(device).float()[:, None] / 255
        with torch.inference_mode():
            return network(grey.expand(-1, 3, -1, -1)).cpu().numpy()

    return see


def feature_table(rows: pd.DataFrame, found: np.ndarray, channels: list[str]) -> pd.DataFrame:
    """Lay features out, one row a field and channel: keys, annotations, `Channel`, `Inception_{number}`."""
    described = vectors.metadata_of(rows)
    described = described.loc[described.index.repeat(len(channels))].reset_index(drop=True)
    described["Channel"] = np.tile(np.array(channels, dtype=object), len(rows))
    return pd.concat([described, pd.DataFrame(found.reshape(-1, found.shape[2]), columns=NAMES)], axis=1)


def main(argv=None) -> None:
    """Take the Inception features of every field and channel of a plate."""
    parser = vectors.parser(main.__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    stack, rows = vectors.open_rows(args.stack, args.rows)
    see = viewer(load_network(args.weights, pick_device(args.device)), vectors.window_of(args.arm, args.settings))
    made_from = [store.fingerprint(args.stack), store.file_digest(args.weights), args.arm]
    log.info("%s: %d fields", args.arm, len(rows))
    found = vectors.plate_vectors(
        stack, rows, see, FEATURES, args.table, arm=args.arm, settings=args.settings, made_from=made_from
    )
    store.write_table(
        feature_table(rows, found, vectors.shown_channels(args.arm, args.settings["channels"])), args.table
    )


if __name__ == "__main__":
    run(main)
