"""The loss on wells that are not trained on: the same images, noise and noise levels at every call.

Windows, noise and levels are drawn on the CPU from the names of the fields, so that losses along a training, between
trainings of other seeds and between devices differ by the weights alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.data import TrainingImages

IMAGES = 128  # a validation; fewer fields are shown several times, of more fields some


def shown(fields: int) -> np.ndarray:
    """Return which validation images are shown, see `TrainingImages.fixed`: spread evenly where there are too many."""
    return np.arange(IMAGES) if fields <= IMAGES else np.linspace(0, fields - 1, IMAGES).astype(int)


class Validation:
    """The images that validate a training.

    Parameters
    ----------
    data : fields of the wells that validate
    objective : as in training, but without label dropout
    settings : the `train` settings
    how : on what it is computed
    """

    def __init__(self, data: TrainingImages, objective, settings: dict, how: compute.Compute):
        self.data, self.objective, self.settings, self.how = data, objective, settings, how

    def loss(self, call: Callable) -> float:
        """Return the mean loss of `call`, a network for inference; every process must ask at the same time."""
        numbers = shown(len(self.data))[compute.rank() :: compute.world()]
        batch, spent = self.settings["batch"], 0.0
        for start in range(0, len(numbers), batch):
            chosen = numbers[start : start + batch]
            spent += len(chosen) * self._batch_loss(call, [int(number) for number in chosen])
        return compute.total(spent)[0] / IMAGES

    def _batch_loss(self, call: Callable, numbers: list[int]) -> float:
        names, images, labels = zip(*(self.data.fixed(number, self.settings["crop_px"]) for number in numbers))
        images = torch.from_numpy(np.stack(images))
        shape = (1, images.shape[1] - self.data.inputs, *images.shape[2:])
        drawn = [self.objective.draw(shape, torch.Generator().manual_seed(seed_of("noise", name))) for name in names]
        drawn = [torch.cat(parts).to(self.how.device) for parts in zip(*drawn)]
        with torch.no_grad(), self.how.autocast():
            labels = torch.tensor(labels, device=self.how.device)
            return float(self.objective.loss(call, self.how.send(images), labels, *drawn))
