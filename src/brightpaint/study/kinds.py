"""The kinds of model: what each is, what it takes and what it costs. Nothing else compares the name of a kind.

A kind is an entry here and the module that it names, which says how it is trained and how it paints (`models.kinds`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from brightpaint.study.presets import CODEC_PRESETS, GAN_PRESETS, PRESETS
from brightpaint.study.samplers import evaluations


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
    noise : paints from noise, so that samplers, samples, means of them and guidance apply
    brightfield : paints from nothing but brightfield, and needs a plane of it at least
    varied : paints other fields differently: an embedding and a gallery of its worst fields tell something
    cells : paints cells, which can be measured
    delivered : paints what a user takes away: plates of role predict are delivered, and their wells judged
    stains : is shown a field's own stains in place of brightfield, and paints them again: no plate of role predict
    latent : its network may see the latents of a codec in place of pixels
    bears : a model that tells it of brightfield may stand on it
    based : stands on such a model, its `base`, whose label, network and codec it takes
    section : of the config, which lists the models of this kind
    passes : evaluations of its network that painting one field takes, by an entry of `arms`
    needed : {setting: its choices} without which its weights cannot be read
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
    brightfield: bool = False
    varied: bool = True
    cells: bool = True
    delivered: bool = False
    stains: bool = False
    latent: bool = False
    bears: bool = False
    based: bool = False
    section: str = "models"
    passes: Callable[[dict], int] = lambda arm: 0
    needed: dict[str, tuple[str, ...]] = field(default_factory=dict)


MODULES = "brightpaint.models.kinds"
NETWORK = {"stepwise": True, "gpu": True, "labels": True, "delivered": True, "latent": True}
UNET = {"preset": tuple(PRESETS)}
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
            **NETWORK, noise=True, translates=True, bears=True, passes=evaluations, needed={**UNET, "objective": ("eps", "v")},
        ),
        Kind(
            "controlnet", "ControlNet: a frozen diffusion model, told of brightfield by a copy", f"{MODULES}.control", "network",
            **{**NETWORK, "latent": False}, noise=True, translates=True, brightfield=True, based=True, passes=evaluations,
            needed={**UNET, "objective": ("eps", "v")},
        ),
        Kind(
            "regression", "the same U-Net without noise, in one pass", f"{MODULES}.regression", "regression",
            **NETWORK, brightfield=True, passes=lambda arm: 1, needed=UNET,
        ),
        Kind("mean", "mean training image", f"{MODULES}.mean", "mean", varied=False, cells=False),
        Kind("pixel", "ridge regression on each pixel", f"{MODULES}.pixel", "pixel", brightfield=True),
        CODEC,
    )
}  # fmt: skip
# It guides and does not paint: no kind of `models`, but weights may hold it.
CLASSIFIER = Kind(
    "classifier", "classifier of noised images", "brightpaint.models.train_classifier", "classifier",
    stepwise=True, gpu=True, labels=True, varied=False, cells=False,
)  # fmt: skip
# It tells single cells apart, for profiles.
CELLNET = Kind(
    "cellnet", "classifier of single cells", "brightpaint.models.train_cellnet", "cellnet",
    stepwise=True, gpu=True, labels=True, varied=False, cells=False,
)  # fmt: skip
# It learns images without labels, for the numbers of its critic.
GAN = Kind(
    "gan", "generator and critic, learnt without labels", "brightpaint.models.train_gan", "gan",
    stepwise=True, gpu=True, varied=False, cells=False, needed={"preset": tuple(GAN_PRESETS)},
)  # fmt: skip
TRAINED = {**KINDS, CLASSIFIER.name: CLASSIFIER, CELLNET.name: CELLNET, GAN.name: GAN}
