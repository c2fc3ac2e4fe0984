"""EfficientNet-Lite0 (Tan & Le 2019, as TensorFlow's lite variant has it): no squeeze-and-excitation, ReLU6; its features alone.

Names of tensors are those of the public weights without their underscores (`published`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.study.presets import IMAGENET_FEATURES

STEM = 32
# kernel, stride, expansion, outputs, blocks of each stage (Tan & Le 2019, table 1)
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
EPSILON = 1e-3  # of the batch norms
HEAD = "fc."  # the classifier of ImageNet's classes, which has no part here


def published(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the public weights by the names that they have here, without the classifier."""
    named = {".".join(part.removeprefix("_") for part in name.split(".")): value for name, value in tensors.items()}
    return {name: value for name, value in named.items() if not name.startswith(HEAD)}


class SameConv(nn.Conv2d):
    """A convolution whose maps have ceil(side / stride) positions, as TensorFlow pads: an odd zero lies behind."""

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in h.shape[2:])
        return super().forward(F.pad(h, (width // 2, width - width // 2, height // 2, height - height // 2)))


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> SameConv:
    return SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)


class Block(nn.Module):
    """An inverted bottleneck: widened, filtered channel by channel, narrowed; added to its input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        self.expanded, self.added = expansion != 1, stride == 1 and inputs == outputs
        if self.expanded:
            self.expand_conv, self.bn0 = conv(inputs, wide), nn.BatchNorm2d(wide, EPSILON)
        self.depthwise_conv, self.bn1 = conv(wide, wide, kernel, stride, wide), nn.BatchNorm2d(wide, EPSILON)
        self.project_conv, self.bn2 = conv(wide, outputs), nn.BatchNorm2d(outputs, EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu6(self.bn0(self.expand_conv(x))) if self.expanded else x
        h = self.bn2(self.project_conv(F.relu6(self.bn1(self.depthwise_conv(h)))))
        return h + x if self.added else h


class EfficientNetLite0(nn.Module):
    """(B, 3, H, W), (x - 127) / 128 of pixels from 0 to 255 -> (B, 1280), the mean of the last maps."""

    def __init__(self):
        super().__init__()
        self.conv_stem, self.bn0 = conv(3, STEM, 3, 2), nn.BatchNorm2d(STEM, EPSILON)
        blocks, inputs = [], STEM
        for kernel, stride, expansion, outputs, count in STAGES:
            for place in range(count):
                blocks.append(Block(inputs, outputs, kernel, stride if place == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.conv_head, self.bn1 = conv(inputs, IMAGENET_FEATURES), nn.BatchNorm2d(IMAGENET_FEATURES, EPSILON)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        h = self.blocks(F.relu6(self.bn0(self.conv_stem(images))))
        return F.relu6(self.bn1(self.conv_head(h))).mean((2, 3))
