"""The loss on wells that are not trained on: the same images, noise and noise levels at every call.

Windows, noise and levels are drawn on the CPU from the names of the fields, so that losses along a training, between
trainings of other seeds and between devices differ by the weights alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from brightpaint.base.seeds import seed_of
from brightpaint.models import compute
from brightpaint.models.codecs.codec import Codec, Identity
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.data import TrainingImages

IMAGES = 128  # a validation; fewer fields are shown several times, of more fields some


def shown(fields: int, images: int = IMAGES) -> np.ndarray:
    """Return which validation images are shown, see `TrainingImages.fixed`: spread evenly where there are too many."""
    return np.arange(images) if fields <= images else np.linspace(0, fields - 1, images).astype(int)


class Validation:
    """The images that validate a training.

    Parameters
    ----------
    data : fields of the wells that validate
    objective : as in training, but without dropout of the condition
    settings : the `train` settings
    how : on what it is computed
    codec : as in training
    images : how many are shown
    """

    def __init__(
        self,
        data: TrainingImages,
        objective,
        settings: dict,
        how: compute.Compute,
        codec: Codec | None = None,
        images: int = IMAGES,
    ):
        self.data, self.objective, self.settings, self.how = data, objective, settings, how
        self.codec, self.images = how.place(codec or Identity()), images

    def loss(self, networks: Mapping[str, Callable]) -> float:
        """Return the mean loss of networks by name, for inference; every process must ask at the same time."""
        numbers = shown(len(self.data), self.images)[compute.rank() :: compute.world()]
        batch, spent = self.settings["batch"], 0.0
        for start in range(0, len(numbers), batch):
            chosen = numbers[start : start + batch]
            spent += len(chosen) * self._batch_loss(networks, [int(number) for number in chosen])
        return compute.total(spent)[0] / self.images

    def _batch_loss(self, networks: Mapping[str, Callable], numbers: list[int]) -> float:
        names, images, conditions = zip(*(self.data.fixed(number, self.settings["crop_px"]) for number in numbers))
        images, condition = self.how.send(torch.from_numpy(np.stack(images))), Condition.join(conditions)
        x, y = self.how.coded(self.codec.split, images, self.objective.inputs)
        sources = [torch.Generator().manual_seed(seed_of("noise", name)) for name in names]
        drawn = [self.objective.draw((1, *y.shape[1:]), source) for source in sources]
        drawn = [torch.cat(parts).to(self.how.device) for parts in zip(*drawn)]
        update = self.objective.updates[0]
        with torch.no_grad(), self.how.autocast():
            return float(update.whole(update.terms(networks, x, y, condition.to(self.how.device), *drawn)))
