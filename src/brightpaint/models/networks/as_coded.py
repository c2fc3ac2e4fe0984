"""What the public code of paper 000 does and the paper does not say, for a model with `as_coded`.

Each is a choice of ours elsewhere (docs/decisions.md). Label dropout and quarter turns are settings of training
(`study.presets.AS_CODED`), the variance of an ancestral step is the sampler's (`models.kinds.diffusion`).
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from brightpaint.study.presets import Spec


def spec_as_coded(spec: Spec) -> Spec:
    """Return a spec with 32 groups in every GroupNorm, however few channels a group has; at the published width nothing changes."""
    return replace(spec, group_channels=1)


def initialise(network: nn.Module) -> nn.Module:
    """Draw every convolution and linear layer anew, N(0, 2 / inputs) with biases of 0 (He et al. 2015), and return the network.

    The last layer of each block, of attention and of the network are built as zeros, and drawn too: an untrained block is then
    no identity, and an untrained network paints noise.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=0, mode="fan_in")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
