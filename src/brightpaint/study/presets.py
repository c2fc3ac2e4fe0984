"""The shapes of the networks: `paper`, `phendiff` and `gandl` as published, `fast` and `small` brightpaint's own, and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Spec:
    """What a preset sets.

    Attributes
    ----------
    width : channels of the first level
    multipliers : channels of each level, in widths
    blocks : residual blocks a level in the encoder
    patch_px : side of the pixel blocks folded into channels before the first level
    residual_resampling : resample inside residual blocks, with a skip connection from every block (as
        published); else by plain pooling and repetition, with one skip connection a level
    group_channels : fewest channels in a group of GroupNorm (at most 32 groups)
    head_channels : channels of each attention head
    dropout : share of activations dropped in each residual block
    noise_input : what the network is told of the noise level, `gamma` or `log_snr`
    label_sd : s.d. of the untrained label embeddings
    objective : what a network of this preset is trained on, where the config does not say: `eps` or `v` (`diffusion.loss`)
    attention : whether every block of the deepest level is followed by self-attention; else the middle alone has it
    """

    width: int
    multipliers: tuple[int, ...]
    blocks: int
    patch_px: int
    residual_resampling: bool
    group_channels: int
    head_channels: int
    dropout: float
    noise_input: str
    label_sd: float
    objective: str
    attention: bool = False

    @property
    def embedding(self) -> int:
        """Width of the noise-level and label embeddings."""
        return 4 * self.width

    @property
    def stride_px(self) -> int:
        """Height and width must be multiples of this inside the network."""
        return self.patch_px * 2 ** (len(self.multipliers) - 1)


PRESETS = {
    "paper": Spec(64, (1, 2, 4, 8), 2, 1, True, 2, 32, 0.2, "gamma", 1.0, "eps"),
    "phendiff": Spec(128, (1, 2, 4), 2, 1, True, 4, 8, 0.0, "log_snr", 1.0, "eps", attention=True),
    "fast": Spec(32, (1, 2, 4, 4), 1, 2, False, 8, 32, 0.0, "log_snr", 0.0, "v"),
}


# How a preset is trained where a study names none of these keys of `train`: they go together, so that one named leaves all
# others as the schema has them, the paper's. `fast` by the settings it was measured with (docs/performance.md, bench/presets.py).
TRAINED_BY = {
    "fast": {
        "batch": 8,
        "learning_rate": 1.0e-3,
        "warmup_images": 2000,
        "decay": "cosine",
        "clip_norm": 1.0,
        "ema_images": 2000,
    }
}
WARMUP_SHARE = 0.04  # of a training's images, at most


# What the public code of paper 000 trains by where the paper does not say so: no null label, an odd quarter turn in a quarter
# of the images.
AS_CODED = {"label_dropout": 0.0, "turned_share": 0.25}


def trained_by(preset: str, given: Mapping) -> dict:
    """Return the keys of `train` that are a preset's own where the section `given` of a config names none of them."""
    own = TRAINED_BY.get(preset, {})
    if own.keys() & given.keys():
        return {}
    images = (
        {"warmup_images": min(own["warmup_images"], int(WARMUP_SHARE * given["images"]))}
        if own and "images" in given
        else {}
    )
    return own | images


def spec_of(preset: str, width: int | None = None) -> Spec:
    """Return a preset's Spec, with another first-level width if one is given."""
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r}: expected one of {sorted(PRESETS)}")
    return replace(PRESETS[preset], width=width) if width else PRESETS[preset]


# Of a classifier: the published width; log-SNR in place of gamma, as in `fast`.
CLASSIFIER = replace(PRESETS["paper"], width=128, noise_input="log_snr")


def classifier_spec(width: int | None) -> Spec:
    """Return the classifier's Spec, with another first-level width if one is given."""
    return replace(CLASSIFIER, width=width) if width else CLASSIFIER


LATENT = 512  # numbers of z, and of a style w
IMAGENET_FEATURES = 1280  # of the network trained on photographs
PICTURE_PX = (112, 224)  # least and largest side of what it is shown
CRITIC_FEATURES = 512  # of the critic's layer before its last
FIRST_SIDE = 4  # of a generator's first maps, and of a critic's last


@dataclass(frozen=True)
class GanSpec:
    """What a preset of a generator and its critic sets (StyleGAN2).

    Attributes
    ----------
    width : most channels of a layer
    finest : channels times pixels along a side, which a layer has where that is less than `width`
    mapping : layers from z to w
    residual : whether the generator adds features, as published for GAN-DL; else what each size adds to the image
    """

    width: int
    finest: int
    mapping: int
    residual: bool

    def channels(self, side: int) -> int:
        """Return the channels of layers whose maps are `side` by `side`."""
        return max(1, min(self.width, self.finest // side))


GAN_PRESETS = {"gandl": GanSpec(512, 32768, 3, True), "small": GanSpec(64, 2048, 3, False)}


def gan_spec(preset: str, width: int | None = None) -> GanSpec:
    """Return a preset's GanSpec, with another largest width, the finest layers in proportion, if one is given."""
    if preset not in GAN_PRESETS:
        raise ValueError(f"preset {preset!r}: expected one of {sorted(GAN_PRESETS)}")
    spec = GAN_PRESETS[preset]
    return replace(spec, width=width, finest=spec.finest * width // spec.width) if width else spec


def gan_sides(size_px: int) -> list[int]:
    """Return the sides of a generator's maps, from 4 to that of its images."""
    if size_px < 2 * FIRST_SIDE or size_px & (size_px - 1):
        raise ValueError(
            f"images of {size_px} px: expected a power of two from {2 * FIRST_SIDE}, since sizes are doubled from 4"
        )
    return [FIRST_SIDE << level for level in range(size_px.bit_length() - FIRST_SIDE.bit_length() + 1)]


@dataclass(frozen=True)
class CodecSpec:
    """What a preset of a codec sets: a variational autoencoder of stains (Kingma & Welling 2014; Rombach et al. 2022).

    Attributes
    ----------
    width : channels of the first level, at the pixels' own size
    multipliers : channels of each level, in widths; each further one halves height and width
    blocks : residual blocks a level in the encoder; the decoder has one more
    latents : channels of the latent
    attention : whether the deepest level is followed by self-attention
    """

    width: int
    multipliers: tuple[int, ...]
    blocks: int
    latents: int
    attention: bool

    @property
    def stride_px(self) -> int:
        """Pixels along a side that become one latent."""
        return 2 ** (len(self.multipliers) - 1)


# The latents of paper 002 at 512 px, 8 x 64 x 64 and 1 x 128 x 128; it says nothing of widths, which are those of Rombach et
# al. 2022. At 128 x 128 attention would look at 16,384 positions, so there is none.
CODEC_PRESETS = {
    "latent_64": CodecSpec(128, (1, 2, 4, 4), 2, 8, True),
    "latent_128": CodecSpec(128, (1, 2, 4), 2, 1, False),
    "small": CodecSpec(16, (1, 2, 2), 1, 4, False),
}


def codec_spec(preset: str, width: int | None = None, latents: int | None = None) -> CodecSpec:
    """Return a preset's CodecSpec, with another first-level width or number of latent channels if one is given."""
    if preset not in CODEC_PRESETS:
        raise ValueError(f"preset {preset!r}: expected one of {sorted(CODEC_PRESETS)}")
    spec = CODEC_PRESETS[preset]
    return replace(spec, width=width or spec.width, latents=latents or spec.latents)


LEAST_MAP = (4, 8, 8)  # positions along depth, height and width below which a network of cells halves no further
CELL_STAGES = (1, 2, 4, 8)  # channels of each stage, in widths
EXPANSION = 4  # of channels inside a block
SQUEEZE = 4  # channels of a block over those that its squeeze-and-excitation keeps


def cell_strides(size: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Return by how much the stem and each stage of a network of cells halve depth, height and width of crops of this size.

    Where cells are 96 px wide, EfficientNet's last map has 3 x 3 positions, too few to say where it looks: here a map keeps
    8 x 8 at least.
    """
    strides, sides = [], list(size)
    for _ in range(1 + len(CELL_STAGES)):
        step = tuple(2 if -(-side // 2) >= least else 1 for side, least in zip(sides, LEAST_MAP))
        sides = [-(-side // by) for side, by in zip(sides, step)]
        strides.append(step)
    return strides
