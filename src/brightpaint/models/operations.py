"""Floating-point operations of the networks, counted from their Spec: what a plan and a cluster's limits are made of.

Torch could count them by itself, but loading it takes over a second, and every job of a cluster reads the Snakefile again.
So this follows `network.py`, `classifier.py` and `cell_network.py` layer by layer; a test holds it to torch's own count. A
multiply-add is two operations, and nothing but convolutions, linear layers and attention counts, as in torch's counter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from brightpaint.study.presets import (
    CELL_STAGES,
    CRITIC_FEATURES,
    EXPANSION,
    LATENT,
    SQUEEZE,
    CodecSpec,
    GanSpec,
    Spec,
    cell_strides,
    gan_sides,
)


def conv(inputs: int, outputs: int, side: int, kernel: int = 3) -> int:
    """Operations of a convolution whose output is `side` by `side`."""
    return 2 * inputs * outputs * kernel**2 * side**2


def block(spec: Spec, inputs: int, outputs: int, side: int) -> int:
    """Operations of a residual block whose output is `side` by `side`."""
    skip = conv(inputs, outputs, side, 1) if inputs != outputs else 0
    condition = 2 * spec.embedding * 2 * outputs
    return conv(inputs, outputs, side) + condition + conv(outputs, outputs, side) + skip


def attention(channels: int, side: int) -> int:
    """Operations of self-attention over all positions, with its projections."""
    return 2 * channels * 4 * channels * side**2 + 4 * channels * side**4


def inner_side(spec: Spec, size_px: int) -> int:
    """Side of the first level: the image padded to the network's stride, in blocks of pixels."""
    return -(-size_px // spec.stride_px) * spec.stride_px // spec.patch_px


def encoder_stages(spec: Spec, images: int, size_px: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (operations, channels out, whether the upward half takes it) of each stage of `Encoder`, the middle apart."""
    side, every, deepest = inner_side(spec, size_px), spec.residual_resampling, len(spec.multipliers) - 1
    channels = spec.width * spec.multipliers[0]
    yield conv(images * spec.patch_px**2, channels, side), channels, every
    for level, multiplier in enumerate(spec.multipliers):
        for number in range(spec.blocks):
            wide, last = spec.width * multiplier, number == spec.blocks - 1
            attended = attention(wide, side) if spec.attention and level == deepest else 0
            yield block(spec, channels, wide, side) + attended, wide, every or (last and level < deepest)
            channels = wide
        if level < deepest:
            side //= 2
            yield block(spec, channels, channels, side) if every else 0, channels, every


def encoder_flop(spec: Spec, images: int, size_px: int) -> tuple[int, list[int], int, int]:
    """Return the operations of `Encoder`, the channels of its skips, and channels and side of its output.

    Parameters
    ----------
    images : channels of its input, brightfield and stains
    """
    stages = list(encoder_stages(spec, images, size_px))
    channels, side = stages[-1][1], inner_side(spec, size_px) // 2 ** (len(spec.multipliers) - 1)
    noise = 2 * spec.width * spec.embedding + 2 * spec.embedding**2
    middle = 2 * block(spec, channels, channels, side) + attention(channels, side)
    skips = [wide for _, wide, kept in stages if kept]
    return noise + sum(flop for flop, _, _ in stages) + middle, skips, channels, side


def unet_flop(spec: Spec, inputs: int, targets: int, size_px: int) -> int:
    """Return the operations of one forward pass of the U-Net on one image of `size_px` by `size_px`."""
    total, skips, channels, side = encoder_flop(spec, inputs + targets, size_px)
    every = spec.residual_resampling
    for level in reversed(range(len(spec.multipliers))):
        wide, top = spec.width * spec.multipliers[level], level == len(spec.multipliers) - 1
        for number in range(spec.blocks + 1 if every else (0 if top else spec.blocks)):
            joined = skips.pop() if every or number == 0 else 0
            total += block(spec, channels + joined, wide, side) + (
                attention(wide, side) if spec.attention and top else 0
            )
            channels = wide
        if level:
            side *= 2
            total += block(spec, channels, channels, side) if every else 0
    return total + conv(channels, targets * spec.patch_px**2, side)


def classifier_flop(spec: Spec, inputs: int, targets: int, classes: int, size_px: int) -> int:
    """Return the operations of one forward pass of the classifier on one image: the encoder, then attention pooling."""
    total, _, channels, side = encoder_flop(spec, inputs + targets, size_px)
    tokens = side**2 + 1
    return total + 2 * tokens * channels * 3 * channels + 4 * channels * tokens + 2 * channels * classes


def blurred(channels: int, height: int, width: int) -> int:
    """Operations of the filter [1, 3, 3, 1] along both sides, of which `height` and `width` remain, three more before."""
    return 2 * 4 * channels * (height + 3) * width + 2 * 4 * channels * height * width


def generator_flop(spec: GanSpec, channels: int, size_px: int) -> int:
    """Return the operations of one image through the generator, its two styles included."""
    sides = gan_sides(size_px)
    widths = [spec.channels(side) for side in sides]

    def styled(inputs: int, outputs: int, side: int, kernel: int = 3) -> int:
        norm = 2 * inputs * outputs if kernel == 3 else 0
        return conv(inputs, outputs, side, kernel) + 2 * LATENT * inputs + norm

    total = 2 * spec.mapping * 2 * LATENT**2 + styled(widths[0], widths[0], sides[0])
    total += 0 if spec.residual else styled(widths[0], channels, sides[0], 1)
    for inputs, outputs, side in zip(widths[:-1], widths[1:], sides[1:]):
        total += styled(inputs, outputs, side // 2) + blurred(outputs, side, side) + styled(outputs, outputs, side)
        if spec.residual:
            total += conv(inputs, outputs, side // 2, 1) + blurred(outputs, side, side)
        else:
            total += blurred(channels, side, side) + styled(outputs, channels, side, 1)
    return total + (styled(widths[-1], channels, sides[-1], 1) if spec.residual else 0)


def critic_flop(spec: GanSpec, channels: int, size_px: int) -> int:
    """Return the operations of one image through the critic."""
    sides = gan_sides(size_px)[::-1]
    widths = [spec.channels(side) for side in sides]
    total = conv(channels, widths[0], sides[0], 1)
    for inputs, outputs, side in zip(widths[:-1], widths[1:], sides[:-1]):
        total += conv(inputs, inputs, side) + blurred(inputs, side + 1, side + 1) + conv(inputs, outputs, side // 2)
        total += blurred(inputs, side - 1, side - 1) + conv(inputs, outputs, side // 2, 1)
    maps = widths[-1] * sides[-1] ** 2
    return total + conv(widths[-1] + 1, widths[-1], sides[-1]) + 2 * CRITIC_FEATURES * (maps + 1)


def autoencoder_flop(spec: GanSpec, channels: int, size_px: int) -> int:
    """Return the operations of one image through the autoencoder: the critic's blocks, the code, and blocks up again."""
    sides = gan_sides(size_px)
    widths = [spec.channels(side) for side in sides]
    maps = widths[0] * sides[0] ** 2
    total = critic_flop(spec, channels, size_px) - conv(widths[0] + 1, widths[0], sides[0]) - 2 * CRITIC_FEATURES
    total += 2 * CRITIC_FEATURES * maps + conv(widths[-1], channels, sides[-1], 1)
    return total + sum(conv(inputs, outputs, side) for inputs, outputs, side in zip(widths[:-1], widths[1:], sides[1:]))


LITE_FLOP, LITE_PX = 0.8e9, 224  # of EfficientNet-Lite0, as published (407 million multiplications)


def lite_flop(size_px: int) -> float:
    """Return the operations of one picture through EfficientNet-Lite0."""
    return LITE_FLOP * (size_px / LITE_PX) ** 2


# A step of an image: the critic sees a real and a painted one (forward and twice that backward), the generator paints for it;
# then it paints again, is judged, and both pass backward. R1 of every 16th and path length of every 4th step, on half a batch,
# take a backward pass of a backward pass each.
CRITIC_PASSES = 2 * 3 + 2 + 5 / 16
GENERATOR_PASSES = 1 + 3 + 5 / 8
# Of a codec's: it judges what was decoded, forward and back to the image, then a real and a decoded one; R1 as above. The codec
# decodes once more for it.
CODEC_CRITIC_PASSES = 3 + 2 * 3 + 5 / 16


def gan_training_flop(spec: GanSpec, channels: int, size_px: int) -> float:
    """Return the operations of training on one image, generator and critic together."""
    critic, generator = critic_flop(spec, channels, size_px), generator_flop(spec, channels, size_px)
    return CRITIC_PASSES * critic + GENERATOR_PASSES * generator


def control_flop(spec: Spec, inputs: int, targets: int, size_px: int) -> int:
    """Return the operations of one image through a ControlNet: its base without brightfield, and the copy that sees it."""
    flop, skips, channels, side = encoder_flop(spec, targets, size_px)
    first, full = spec.width * spec.multipliers[0], inner_side(spec, size_px)
    hint = conv(inputs * spec.patch_px**2, first, full) + conv(first, first, full)
    sides = [round(full / 2**level) for level in skip_levels(spec)]
    zeros = sum(conv(wide, wide, at, 1) for wide, at in zip(skips, sides)) + conv(channels, channels, side, 1)
    return unet_flop(spec, 0, targets, size_px) + flop + hint + zeros


def skip_levels(spec: Spec) -> list[int]:
    """Return at which level each activation lies that the encoder hands to the upward half, in their order."""
    every, deepest = spec.residual_resampling, len(spec.multipliers) - 1
    levels = [0] if every else []
    for level in range(deepest + 1):
        levels += [level] * spec.blocks if every else [level] * (level < deepest)
        levels += [level + 1] if every and level < deepest else []
    return levels


def codec_flop(spec: CodecSpec, channels: int, size_px: int) -> tuple[int, int]:
    """Return the operations to encode one image of `size_px` by `size_px`, and to decode its latents."""
    widths = [spec.width * multiplier for multiplier in spec.multipliers]
    least = size_px // spec.stride_px

    def block(inputs: int, outputs: int, side: int) -> int:
        skip = conv(inputs, outputs, side, 1) if inputs != outputs else 0
        return conv(inputs, outputs, side) + conv(outputs, outputs, side) + skip

    def levels(widths: list[int], blocks: int, side: int, down: bool) -> int:
        total, inputs = 0, widths[0]
        for place, width in enumerate(widths):
            total += block(inputs, width, side) + (blocks - 1) * block(width, width, side)
            inputs = width
            if place < len(widths) - 1:
                side = side // 2 if down else 2 * side
                total += conv(width, width, side)
        return total

    deep = 2 * block(widths[-1], widths[-1], least) + (attention(widths[-1], least) if spec.attention else 0)
    encode = conv(channels, widths[0], size_px) + levels(widths, spec.blocks, size_px, True) + deep
    decode = conv(spec.latents, widths[-1], least) + deep + levels(widths[::-1], spec.blocks + 1, least, False)
    return encode + conv(widths[-1], 2 * spec.latents, least), decode + conv(widths[0], channels, size_px)


def cell_flop(
    channels: int, size: tuple[int, int, int], classes: int, width: int, blocks: int, local: bool = False
) -> int:
    """Return the operations of one forward pass of the network of cells (`cell_network.py`) on one crop of (D, H, W)."""
    axes = 2 if size[0] == 1 else 3
    sides, strides = list(size), cell_strides(size)

    def mixed(inputs: int, outputs: int, kernel: int) -> int:
        return 2 * inputs * outputs * kernel**axes * math.prod(sides)

    def halved(step: tuple[int, ...]) -> None:
        sides[:] = [-(-side // by) for side, by in zip(sides, step)]

    halved(strides[0])
    total, inputs = mixed(channels, width, 3), width
    for multiplier, stride in zip(CELL_STAGES, strides[1:]):
        for place in range(blocks):
            step = stride if place == 0 else (1, 1, 1)
            inner, outputs = EXPANSION * inputs, multiplier * width
            total += mixed(inputs, inner, 1)
            halved(step)
            total += mixed(1, inner, 1 if local and set(step[-axes:]) == {1} else 3)
            total += 0 if local else 4 * inner * max(1, inputs // SQUEEZE)
            total += mixed(inner, outputs, 1)
            inputs = outputs
    features = CELL_STAGES[-1] * width
    return total + mixed(inputs, features, 1) + 2 * features * classes
