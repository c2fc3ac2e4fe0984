"""Grad-CAM (Selvaraju et al. 2017): where in its crop a network of cells finds the evidence of a class.

Each crop is explained by a class of its own: one target for a whole batch would explain its first crop and lie about the
others. The network normalises no crop by another, so that the gradient of the sum of the targets' logits holds each crop's.
"""

from __future__ import annotations

import torch

from brightpaint.models.networks.cell_network import CellNetwork, activation_map

LEAST_PX = 8  # positions of a map along height and width, below which it says too little of where


def layer_number(network: CellNetwork, layer: int) -> int:
    """Return the number of a layer from 0, -1 the last.

    Raises
    ------
    ValueError
        for one that there is not, or whose map is too coarse
    """
    count = len(network.layers)
    if not -count <= layer < count:
        raise ValueError(
            f"layer {layer}: the network has {count}, 0 to {count - 1}, or -1 for the last; choose one of them"
        )
    number = layer % count
    device = next(network.parameters()).device
    with torch.no_grad():
        channels = network.layers[0][0].in_channels
        sides = network.maps(torch.zeros(1, channels, *network.size, device=device), number).shape[-2:]
    if min(sides) < LEAST_PX:
        raise ValueError(
            f"layer {layer}: its map has {sides[0]} x {sides[1]} positions, expected {LEAST_PX} x {LEAST_PX} at least; choose "
            "an earlier layer, or larger crops"
        )
    return number


def class_maps(network: CellNetwork, crops: torch.Tensor, classes: torch.Tensor, layer: int = -1) -> torch.Tensor:
    """Return the class activation map of each crop for its own class, at the layer's resolution (see `activation_map`).

    Parameters
    ----------
    crops : (B, C, D, H, W) z-scores
    classes : (B,) int64 from 0, the class by which each crop is explained
    layer : of the network, as `CellNetwork.maps` counts

    Returns
    -------
    (B, d, h, w) float32, at least 0; d is 1 in 2D
    """
    if len(classes) != len(crops):
        raise ValueError(f"{len(crops)} crops and {len(classes)} classes; expected a class for each crop")
    with torch.no_grad():
        maps = network.maps(crops, layer)
    maps = maps.detach().requires_grad_()
    classes = torch.as_tensor(classes, device=crops.device)
    with torch.enable_grad():
        logits = network.after(maps, layer)
        (gradient,) = torch.autograd.grad(logits[torch.arange(len(crops)), classes].sum(), maps)
    return activation_map(maps.detach(), gradient)


def along(positions: int, stride: int, side: int) -> torch.Tensor:
    """Return (side, positions), what each pixel takes of each position: linear between positions, whose middles are `stride` apart.

    A convolution that halves looks about every other pixel from the first on, so that position i lies at pixel i * stride;
    taken for the middle of a block of pixels, it would lie up to half a stride further.
    """
    at = (torch.arange(side, dtype=torch.float32) / stride).clamp(max=positions - 1)[:, None]
    return (1 - (at - torch.arange(positions, dtype=torch.float32)).abs()).clamp(min=0)


def upsampled(maps: torch.Tensor, size: tuple[int, int, int], strides: tuple[int, int, int]) -> torch.Tensor:
    """Bring maps to the size of the crops by (tri)linear interpolation, never scaled: (B, d, h, w) -> (B, D, H, W).

    Parameters
    ----------
    strides : pixels from one position to the next along depth, height and width, `CellNetwork.strides_of` of the layer
    """
    for axis, (stride, side) in enumerate(zip(strides, size), start=1):
        weights = along(maps.shape[axis], stride, side).to(maps)
        maps = torch.tensordot(maps.movedim(axis, -1), weights, dims=([-1], [1])).movedim(-1, axis)
    return maps
