"""The kinds of model: what each is, what it takes and what it costs. Nothing else compares the name of a kind.

A kind is an entry here and the module that it names, which says how it is trained and how it paints (`models.kinds`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from brightpaint.study.presets import CODEC_PRESETS, GAN_PRESETS, PRESETS
from brightpaint.study.samplers import SAMPLERS, evaluations


@dataclass(frozen=True)
class Kind:
    """What the study, its plan and its report must know of a kind of model.

    Attributes
    ----------
    name : as the config says it
    title : what it is, in a few words
    module : dotted path of what trains it and paints by it; imported in `models` alone
    role : what the report calls an arm's model where it compares them
    stepwise : trained step by step, with a history to draw and a state to go on from; else in closed form, in one go
    gpu : trains and paints on a GPU, where there is one
    labels : can be told the label of a field
    translates : its way from noise can be walked back, so that it shows a real image as another class
    noise : paints from noise, so that samples and means of them apply
    walks : walks from noise to stains step by step, so that samplers and guidance apply
    samplers : by which it walks
    spaced : walks along the levels of a noise schedule, which can be spaced, and of which some can be guided alone
    classified : what it walks along are noised stains, of which a classifier tells labels
    planes : how many planes its network sees beside what it walks or paints, of so many brightfield planes and stains
    sure : paints one certain image of a field, without noise, so that a model of its error can stand on it
    local : of those, paints a square of a field as it paints the field, but for its border: crops of it can be trained on
    given : is painted by another program, whose images are read: nothing is trained, and there are no weights
    noises : stands on such a model of the same fold, its `base`, and adds what that one's image leaves open
    brightfield : paints from nothing but brightfield, and needs a plane of it at least
    varied : paints other fields differently: an embedding and a gallery of its worst fields tell something
    cells : paints cells, which can be measured
    paints : makes images at all; else it names labels or turns images into numbers
    delivered : paints what a user takes away: plates of role predict are delivered, and their wells judged
    reference : under which word of `study.calibration.REFERENCES` other arms are compared with it as distributions; "" for none
    stains : is shown a field's own stains in place of brightfield, and paints them again: no plate of role predict
    latent : its network may see the latents of a codec in place of pixels
    bears : a model that tells it of brightfield may stand on it
    based : stands on such a model, its `base`, whose label, network and codec it takes
    outlined : is told of a field by the field's own stains, blurred; it translates, and predicts no field
    styled : stands on the study's own generator (section `gan`), and moves its styles; it translates, and predicts no field
    section : of the config, which lists the models of this kind
    passes : evaluations of its network that painting one field takes, by an entry of `arms`
    needed : {setting: its choices} without which its weights cannot be read
    encoder : dotted path of what builds it as an encoder of images (`models.image_encoders`); "" where it is none
    """

    name: str
    title: str
    module: str
    role: str
    stepwise: bool = False
    gpu: bool = False
    labels: bool = False
    translates: bool = False
    noise: bool = False
    walks: bool = False
    samplers: tuple[str, ...] = ()
    spaced: bool = False
    classified: bool = False
    planes: Callable[[int, int], int] = lambda inputs, targets: inputs
    sure: bool = False
    local: bool = False
    noises: bool = False
    given: bool = False
    brightfield: bool = False
    varied: bool = True
    cells: bool = True
    paints: bool = True
    delivered: bool = False
    reference: str = ""
    stains: bool = False
    latent: bool = False
    bears: bool = False
    based: bool = False
    outlined: bool = False
    styled: bool = False
    section: str = "models"
    passes: Callable[[dict], int] = lambda arm: 0
    needed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    encoder: str = ""


MODULES = "brightpaint.models.kinds"
NETWORK = {"stepwise": True, "gpu": True, "labels": True, "delivered": True, "latent": True}
UNET = {"preset": tuple(PRESETS)}
WALK = {"noise": True, "walks": True, "passes": evaluations}
STAIN_WALK = {**WALK, "samplers": SAMPLERS, "spaced": True, "classified": True}
# Of a network that learns what its base leaves open, and sees what that one paints beside brightfield.
ON_BASE = {**NETWORK, **WALK, "latent": False, "brightfield": True, "noises": True}
BESIDE_BASE = {**ON_BASE, "planes": lambda inputs, targets: inputs + targets}
# It paints a field's stains from their own latents: the ceiling of what is painted by way of them.
CODEC = Kind(
    "codec", "autoencoder of the stains", "brightpaint.models.train_codec", "codec",
    stepwise=True, gpu=True, stains=True, section="codecs", passes=lambda arm: 1, needed={"preset": tuple(CODEC_PRESETS)},
)  # fmt: skip
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "diffusion", "U-Net that walks from noise to stains", f"{MODULES}.diffusion", "network",
            **NETWORK, **STAIN_WALK, translates=True, bears=True,
            needed={**UNET, "objective": ("eps", "v")},
        ),
        Kind(
            "controlnet", "ControlNet: a frozen diffusion model, told of brightfield by a copy", f"{MODULES}.control", "network",
            **{**NETWORK, "latent": False}, **STAIN_WALK, translates=True, brightfield=True, based=True,
            needed={**UNET, "objective": ("eps", "v")},
        ),
        Kind(
            "stain_controlnet", "ControlNet on a field's own blurred stains", f"{MODULES}.control",
            "network", **{**NETWORK, "latent": False, "delivered": False}, **STAIN_WALK, translates=True, based=True,
            outlined=True, planes=lambda inputs, targets: targets, needed={**UNET, "objective": ("eps", "v")},
        ),
        Kind(
            "regression", "the same U-Net without noise, in one pass", f"{MODULES}.regression", "regression",
            **NETWORK, brightfield=True, sure=True, local=True, reference="regression", passes=lambda arm: 1, needed=UNET,
        ),
        Kind("mean", "mean training image", f"{MODULES}.mean", "mean", varied=False, cells=False, sure=True),
        Kind("pixel", "ridge regression on each pixel", f"{MODULES}.pixel", "pixel", brightfield=True, sure=True, local=True),
        Kind(
            "residual_noise", "a base model's image with noise of its own error", f"{MODULES}.residual_noise", "noise",
            gpu=True, labels=True, noise=True, noises=True, delivered=True, reference="floor",
            passes=lambda arm: arm["mean_of"],
        ),
        Kind(
            "whitened_residual", "diffusion of a base model's error, whitened", f"{MODULES}.whitened_residual", "network",
            **BESIDE_BASE, samplers=SAMPLERS, spaced=True, needed={**UNET, "objective": ("eps", "v")},
        ),
        Kind(
            "posterior_flow", "flow from a base model's image to stains", f"{MODULES}.posterior_flow", "network",
            **{**ON_BASE, "planes": lambda inputs, targets: 0}, samplers=("ddim", "heun"), needed=UNET,
        ),
        Kind(
            "bridge", "Schroedinger bridge from a base model's image to stains", f"{MODULES}.bridge", "network",
            **BESIDE_BASE, samplers=("ddpm",), needed=UNET,
        ),
        Kind(
            "style_direction", "class directions among the styles of the study's own StyleGAN2", f"{MODULES}.style_direction",
            "styles", gpu=True, labels=True, translates=True, styled=True,
        ),
        Kind("given", "images that another program painted", "brightpaint.models.paint.given", "network", given=True),
        CODEC,
    )
}  # fmt: skip
# It guides and does not paint: no kind of `models`, but weights may hold it.
CLASSIFIER = Kind(
    "classifier", "classifier of noised images", "brightpaint.models.train_classifier", "classifier",
    stepwise=True, gpu=True, labels=True, varied=False, cells=False, paints=False,
)  # fmt: skip
# It tells single cells apart, for profiles.
CELLNET = Kind(
    "cellnet", "classifier of single cells", "brightpaint.models.train_cellnet", "cellnet",
    stepwise=True, gpu=True, labels=True, varied=False, cells=False, paints=False,
)  # fmt: skip
# It learns images without labels, for the numbers of its critic.
GAN = Kind(
    "gan", "generator and critic, learnt without labels", "brightpaint.models.train_gan", "gan",
    stepwise=True, gpu=True, varied=False, cells=False, needed={"preset": tuple(GAN_PRESETS)},
    encoder="brightpaint.models.see_critic",
)  # fmt: skip
# What a critic must beat: encoders of images, learnt without labels or elsewhere.
AUTOENCODER = Kind(
    "autoencoder", "convolutional autoencoder", "brightpaint.models.train_autoencoder", "autoencoder",
    stepwise=True, gpu=True, varied=False, cells=False, paints=False, needed={"preset": tuple(GAN_PRESETS)},
    encoder="brightpaint.models.train_autoencoder",
)  # fmt: skip
POOLED = Kind(
    "pooled", "principal components of pooled pixels", "brightpaint.models.fit_pixels", "pooled",
    stepwise=True, varied=False, cells=False, paints=False, encoder="brightpaint.models.fit_pixels",
)  # fmt: skip
IMAGENET = Kind(
    "imagenet", "features of a network trained on ImageNet", "brightpaint.models.fit_imagenet", "imagenet",
    stepwise=True, gpu=True, varied=False, cells=False, paints=False, encoder="brightpaint.models.fit_imagenet",
)  # fmt: skip
TRAINED = {**KINDS, **{kind.name: kind for kind in (CLASSIFIER, CELLNET, GAN, AUTOENCODER, POOLED, IMAGENET)}}
ENCODER_KINDS = tuple(kind.name for kind in TRAINED.values() if kind.encoder)
