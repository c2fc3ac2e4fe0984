"""What a model stands on: a base model of the same fold, read before it is trained and kept in its weights.

So weights can be used by themselves, and nothing that was trained again since can slip in under them. Their settings hold the
digest of the file that they were trained on.
"""

from __future__ import annotations

from pathlib import Path

import torch

from brightpaint.models import certain_base


def stand(settings: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read what training settings stand on.

    Parameters
    ----------
    settings : `stands_on` is {what: path of its weights}; without it the model stands by itself

    Returns
    -------
    settings : with what was read described in place of the paths
    tensors : to be kept in the model's weights
    """
    paths = settings.get("stands_on", {})
    own = {key: value for key, value in settings.items() if key != "stands_on"}
    if "base" not in paths:
        return own, {}
    described, tensors = certain_base.read_base(Path(paths["base"]), settings)
    return {**own, "base": described}, tensors
