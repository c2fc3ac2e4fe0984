"""Fields of drawn cells with known outlines, and a small cellpose model trained on some of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from scipy import ndimage

from brightpaint.base import intensity

# Runs in cellpose's environment. One network learns nuclei (DNA alone) and cells (body, DNA), rescaled to 15 px an object,
# half of cellpose's own size, for a quarter of the time.
TRAIN = """
import sys
import numpy as np
import torch
torch.set_num_threads(1)
torch.manual_seed(0)
from cellpose import models, train
data = np.load(sys.argv[1])
model = models.CellposeModel(pretrained_model=False, device=torch.device("cpu"), diam_mean=15.0)
train.train_seg(model.net, list(data["images"]), list(data["labels"]), channels=None, channel_axis=0, normalize=True,
                batch_size=8, n_epochs=int(sys.argv[3]), learning_rate=0.005, bsize=64, min_train_masks=1,
                save_path=sys.argv[2], model_name="small")
"""


def cell_field(seed: int, size=192, count=14) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a field of cells that touch here and there.

    Returns
    -------
    planes : (2, size, size) float32, body and DNA
    nuclei, cells : (size, size) int, the truth; nuclei lie clear of the edge
    """
    generator = np.random.default_rng(seed)
    centres = []
    while len(centres) < count:
        centre = generator.uniform(16, size - 16, 2)
        if all(np.hypot(*(centre - other)) > 28 for other in centres):
            centres.append(centre)
    yy, xx = np.mgrid[:size, :size]
    distances = np.array([np.hypot(yy - y, (xx - x) * generator.uniform(0.85, 1.15)) for y, x in centres])
    nearest, owner = distances.min(axis=0), distances.argmin(axis=0) + 1
    nuclei, cells = (np.where(nearest < radius, owner, 0) for radius in (7.5, 17))
    edges = ndimage.grey_dilation(cells, 3) != ndimage.grey_erosion(cells, 3)
    body = 0.6 * (cells > 0) - 0.35 * (edges & (cells > 0)) + 0.3 * (nearest < 11)
    planes = ndimage.gaussian_filter(np.array([body, 1.0 * (nuclei > 0)]), (0, 0.8, 0.8))
    return (planes + generator.normal(0, 0.05, planes.shape)).astype(np.float32), nuclei, cells


def training_data(fields: int) -> dict[str, np.ndarray]:
    """Return images (2 n, 2, H, W) and labels (2 n, H, W): each field once for its cells and once for its nuclei."""
    images, labels = [], []
    for seed in range(fields):
        planes, nuclei, cells = cell_field(seed)
        images += [planes, np.array([planes[1], 0 * planes[1]])]
        labels += [cells, nuclei]
    return {"images": np.array(images), "labels": np.array(labels)}


def train_model(python: str, folder: Path, *, fields=4, epochs=104) -> Path:
    """Train a small model for some seconds and return its file."""
    np.savez(folder / "data.npz", **training_data(fields))
    command = [python, "-c", TRAIN, str(folder / "data.npz"), str(folder), str(epochs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "models" / "small"


def stains(planes: np.ndarray) -> np.ndarray:
    """Return a drawn field as five stains, (5, H, W) z-scores: DNA, RNA, ER, AGP, Mito."""
    body, dna = planes
    return intensity.standardise(np.array([dna, body, body, body, body]), 15)
