"""A network that tells classes of single cells, in 2D and 3D: EfficientNet's blocks, small, with maps of 8 x 8 or more.

Blocks are those of EfficientNet (Tan & Le 2019): a depthwise convolution between two that mix channels (Sandler et al. 2018),
with squeeze-and-excitation (Hu et al. 2018), SiLU and stochastic depth (Huang et al. 2016). GroupNorm stands in place of
BatchNorm, so that what is said of a cell does not depend on the cells beside it in a batch, in training or after. Crops
are halved only as far as 8 x 8 positions remain (`presets.cell_strides`): Grad-CAM can be taken at every layer.

What such a network finds in one place it says in all: its means over the crop (GroupNorm, squeeze-and-excitation) and the wide
view of its last stages carry evidence from the cell to the background and back, and its maps say little of where evidence
lies. A `local` network keeps each place to itself: weights are standardised in place of activations (Brock et al. 2021), nothing
is excited, and kernels are wider than a pixel only where the crop is halved, so that one place sees a patch of 15 px of a crop
of 64 or 96 px. Behind the mean over all places and one linear layer its logit is the sum of what each patch says, and
Grad-CAM at the head divides it exactly (as in Brendel & Bethge 2019).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.compute import unreduced
from brightpaint.study.presets import CELL_STAGES, EXPANSION, SQUEEZE, cell_strides

GROUP_CHANNELS = 4  # fewest in a group of GroupNorm, at most 8 groups
GAIN = 1.4  # of standardised weights, by which SiLU keeps the s.d. of what goes through it


def norm(channels: int) -> nn.GroupNorm:
    """Return GroupNorm with as many groups as divide the channels, at most 8."""
    most = max(1, min(8, channels // GROUP_CHANNELS))
    return nn.GroupNorm(max(groups for groups in range(1, most + 1) if channels % groups == 0), channels)


def conv(axes: int, inputs: int, outputs: int, kernel: int, stride: tuple[int, ...] | int = 1, groups: int = 1):
    """Return a convolution along two or three axes whose output has ceil(side / stride) positions."""
    made = nn.Conv2d if axes == 2 else nn.Conv3d
    return made(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class StandardisedConv(nn.Module):
    """A convolution by weights that are brought to mean 0 and one s.d. for each output, then a scale and a shift: no statistics."""

    def __init__(
        self, axes: int, inputs: int, outputs: int, kernel: int, stride: tuple[int, ...] | int = 1, groups: int = 1
    ):
        super().__init__()
        self.inner = conv(axes, inputs, outputs, kernel, stride, groups)
        self.scale, self.shift = nn.Parameter(torch.ones(outputs)), nn.Parameter(torch.zeros(outputs))

    @property
    def in_channels(self) -> int:
        return self.inner.in_channels

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        weight = self.inner.weight.flatten(1)  # (O, I * k * ...)
        if weight.shape[1] > 1:
            weight = weight - weight.mean(1, keepdim=True)
        weight = GAIN * weight * torch.rsqrt(weight.square().sum(1, keepdim=True) + 1e-4) * self.scale[:, None]
        inner = self.inner
        apply = F.conv2d if inner.weight.ndim == 4 else F.conv3d
        return apply(
            h, weight.reshape(inner.weight.shape), self.shift, inner.stride, inner.padding, groups=inner.groups
        )


def convolved(
    axes: int, inputs: int, outputs: int, kernel: int, stride=1, groups: int = 1, *, local: bool
) -> list[nn.Module]:
    """Return a convolution and what keeps its output in scale."""
    sizes = axes, inputs, outputs, kernel, stride, groups
    return [StandardisedConv(*sizes)] if local else [conv(*sizes), norm(outputs)]


def over_space(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return (B, C) with as many axes of length 1 behind as `like` (B, C, ...) has."""
    return values.reshape(*values.shape, *[1] * (like.ndim - 2))


class Excitation(nn.Module):
    """Weigh each channel by what all channels are in the mean."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, squeezed), nn.Linear(squeezed, channels)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        weights = self.excite(F.silu(self.squeeze(h.flatten(2).mean(2))))  # (B, C, ...) -> (B, C)
        return h * over_space(torch.sigmoid(weights), h)


class CellBlock(nn.Module):
    """Expand the channels, convolve each by itself, weigh and mix them; added to the input where the shape stays.

    `skipped` is the share of images for which a block that is added is left out of a training step.
    """

    def __init__(
        self, axes: int, inputs: int, outputs: int, stride: tuple[int, ...], skipped: float, local: bool = False
    ):
        super().__init__()
        inner, kernel = EXPANSION * inputs, 1 if local and set(stride) == {1} else 3
        self.added, self.skipped = inputs == outputs and set(stride) == {1}, skipped
        self.expand = nn.Sequential(*convolved(axes, inputs, inner, 1, local=local), nn.SiLU())
        self.depthwise = nn.Sequential(*convolved(axes, inner, inner, kernel, stride, inner, local=local), nn.SiLU())
        self.excitation = nn.Identity() if local else Excitation(inner, max(1, inputs // SQUEEZE))
        self.project = nn.Sequential(*convolved(axes, inner, outputs, 1, local=local))
        if self.added:
            nn.init.zeros_(
                self.project[-1].scale if local else self.project[-1].weight
            )  # an untrained block changes nothing

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        found = self.project(self.excitation(self.depthwise(self.expand(h))))
        if not self.added:
            return found
        if self.training and self.skipped:
            kept = (torch.rand(len(h), 1, device=h.device) >= self.skipped).to(h.dtype) / (1 - self.skipped)
            found = found * over_space(kept, h)
        return h + found


def activation_map(maps: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return channels weighted by the mean of their gradient over all positions, summed, what is negative taken for 0.

    Selvaraju et al. 2017, eq. 1 and 2. `maps`, `gradient` : (B, C, h, w) or (B, C, d, h, w) -> (B, d, h, w) float32, d = 1 in 2D
    """
    weights = gradient.flatten(2).mean(2)  # (B, C, ...) -> (B, C), alpha
    found = torch.einsum("bc,bc...->b...", weights, maps).clamp(min=0).float()
    return found[:, None] if maps.ndim == 4 else found


class CellNetwork(nn.Module):
    """Tell the class of a cell from its crop.

    Parameters
    ----------
    channels : C of a crop
    size : its (D, H, W); where D is 1 the network is of two axes
    classes : K
    width : channels of the first stage
    blocks : of each stage
    dropout : share of the last activations that are dropped in training, and of images for which the last block is skipped
        (earlier ones less often)
    local : whether each place of a map is kept to itself

    Attributes
    ----------
    layers : the parts one after the other, whose outputs are maps: the stem, the stages, the head
    features : F, how many numbers the last activations are
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int, int],
        classes: int,
        *,
        width: int,
        blocks: int,
        dropout: float,
        local: bool = False,
    ):
        super().__init__()
        self.size, self.axes, self.features = tuple(size), 2 if size[0] == 1 else 3, CELL_STAGES[-1] * width
        strides = [step[-self.axes :] for step in cell_strides(self.size)]
        parts = [nn.Sequential(*convolved(self.axes, channels, width, 3, strides[0], local=local), nn.SiLU())]
        total, number, inputs = blocks * len(CELL_STAGES), 0, width
        for multiplier, stride in zip(CELL_STAGES, strides[1:]):
            stage = []
            for place in range(blocks):
                number += 1
                step = stride if place == 0 else (1,) * self.axes
                stage.append(CellBlock(self.axes, inputs, multiplier * width, step, dropout * number / total, local))
                inputs = multiplier * width
            parts.append(nn.Sequential(*stage))
        parts.append(nn.Sequential(*convolved(self.axes, inputs, self.features, 1, local=local), nn.SiLU()))
        self.layers = nn.ModuleList(parts)
        self.dropout, self.out = nn.Dropout(dropout), nn.Linear(self.features, classes)

    def maps(self, crops: torch.Tensor, layer: int = -1) -> torch.Tensor:
        """Return what a layer answers, (B, C_layer, h, w) or (B, C_layer, d, h, w), for crops (B, C, D, H, W)."""
        h = crops[:, :, 0] if self.axes == 2 else crops
        for part in self.layers[: range(len(self.layers))[layer] + 1]:
            h = part(h)
        return h

    def strides_of(self, layer: int = -1) -> tuple[int, int, int]:
        """Return by how many pixels of the crop neighbouring places of a layer's map lie apart, along depth, height and width."""
        number = min(range(len(self.layers))[layer], len(self.layers) - 2)  # the head halves nothing
        return tuple(math.prod(steps) for steps in zip(*cell_strides(self.size)[: number + 1]))

    def pooled_after(self, h: torch.Tensor, layer: int = -1) -> torch.Tensor:
        """Return the last activations, (B, F) float32, from what `maps` returns for the same layer."""
        for part in self.layers[range(len(self.layers))[layer] + 1 :]:
            h = part(h)
        return self.pooled(h)

    def after(self, h: torch.Tensor, layer: int = -1) -> torch.Tensor:
        """Return (B, K) logits, float32, from what `maps` returns for the same layer."""
        return self.logits(self.pooled_after(h, layer))

    def pooled(self, h: torch.Tensor) -> torch.Tensor:
        """Return the last activations, (B, F) float32: the mean of the head's map over all positions."""
        return h.float().flatten(2).mean(2)

    def logits(self, activations: torch.Tensor) -> torch.Tensor:
        """Return (B, K) logits, float32, from the last activations."""
        with unreduced(activations):
            return self.out(self.dropout(activations))

    def explained(self, crops: torch.Tensor, classes: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits, (B, K), and each crop's map for its own class at a layer, (B, d, h, w), in one pass.

        In training the map can be differentiated once more. The logit that it explains is taken without dropout of the last
        activations, so that what is dropped does not change where a network is said to look.
        """
        further = torch.is_grad_enabled()
        with torch.enable_grad():
            maps = self.maps(crops, layer)
            maps = maps if maps.requires_grad else maps.requires_grad_()
            activations = self.pooled_after(maps, layer)
            with unreduced(activations):
                chosen = self.out(activations).gather(1, classes[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, maps, create_graph=further, retain_graph=True)
            found = activation_map(maps, gradient)
        return self.logits(activations), found if further else found.detach()

    def forward(self, crops: torch.Tensor, classes: torch.Tensor | None = None, layer: int = -1):
        """Return (B, K) logits, float32, for crops (B, C, D, H, W) of z-scores; with `classes`, (B,) from 0, as `explained`."""
        return self.after(self.maps(crops)) if classes is None else self.explained(crops, classes, layer)


def build_cell_network(settings: dict, channels: dict, classes: int) -> CellNetwork:
    """Build the network that training settings describe, for these channels of a crop and this many classes."""
    shape = {key: settings[key] for key in ("width", "blocks", "dropout")} | {"local": settings.get("local", False)}
    return CellNetwork(len(channels["target"]), tuple(settings["size"]), classes, **shape)
