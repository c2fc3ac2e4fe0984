"""How many fields a GPU paints at once: what a network holds in its memory, and the `sample.batch` that fits.

A network is walked through without pixels or weights, on torch's meta device, and what lives at once is added up, as float32: in
bfloat16 a little over half of it is needed. Attention counts as its fused kernels need it: they hold no table of all pairs.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.autoencoder import Autoencoder
from brightpaint.models.networks.control_net import ControlNet
from brightpaint.models.networks.noise_classifier import Classifier
from brightpaint.models.networks.unet import UNet
from brightpaint.plan.painting import codec_seen, network_of
from brightpaint.study import certain_bases, codecs
from brightpaint.study.kinds import KINDS
from brightpaint.study.presets import classifier_spec, spec_of
from brightpaint.study.samplers import asked_at_once
from brightpaint.study.study import Study

FILLED = 0.7  # of a card, by what is counted: cuDNN's workspaces and the gaps between tensors take the rest
META = torch.device("meta")


class Living(TorchDispatchMode):
    """Add up the bytes of the tensors that live at once: `most` of them."""

    def __init__(self):
        super().__init__()
        self._now, self._known, self.most = 0, set(), 0

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in self._known:
                self._known.add(storage._cdata)
                self._now += storage.nbytes()
                weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())
        self.most = max(self.most, self._now)
        return made


class FusedAttention(TorchFunctionMode):
    """Let attention make nothing but its result."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return function(*args, **(kwargs or {}))


def most_bytes(work: Callable[[], object]) -> int:
    """Return the bytes of tensors that `work`, on the meta device, makes and holds at once at most."""
    with FusedAttention(), Living() as living:
        work()
    return living.most


def weight_bytes(network: torch.nn.Module) -> int:
    """Return the bytes of a network's weights."""
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


def unet_bytes(study: Study, arm: dict, model: dict) -> tuple[int, int]:
    """Return bytes of the weights, and of painting one field, of an arm of a U-Net, with what guides it and decodes its latents."""
    channels, size_px = study.config["channels"], study.config["prepare"]["size_px"]
    inputs, targets, codec = len(study.inputs(model)), len(channels["target"]), codec_seen(study, model)
    decoded = (0, 0)
    if codec:
        decoder = Autoencoder(codec, targets)
        side = -(-size_px // codec.stride_px)
        latents = torch.empty(1, codec.latents, side, side)
        with torch.no_grad():
            decoded = weight_bytes(decoder), most_bytes(lambda: decoder.decode(latents))
        inputs, targets, size_px = inputs * codec.stride_px**2, codec.latents, side
    inputs = targets if KINDS[model["kind"]].outlined else inputs
    images = asked_at_once(arm)
    x, y = (torch.empty(images, count, size_px, size_px) for count in (inputs, targets))
    told = torch.empty(images, dtype=torch.float64), Condition.of_labels(torch.zeros(images, dtype=torch.int64))
    spec = spec_of(model["preset"], model["width"])
    network = (
        ControlNet(UNet(spec, 0, targets, 1), inputs, model["blur_px"] or 0)
        if KINDS[model["kind"]].based
        else UNet(spec, inputs, targets, 1)
    )
    with torch.no_grad():
        walked = most_bytes(lambda: network.eval()(x, y, *told))
    held = x.nbytes + 5 * y.nbytes  # the stains, eps and what a step makes of them
    weights, one = weight_bytes(network) + decoded[0], max(walked + held, decoded[1])
    if arm.get("classifier") and arm["guidance_scale"]:
        entry = study.entry("classifiers", arm["classifier"])
        judge = Classifier(classifier_spec(entry["width"]), inputs, targets, 2).requires_grad_(False)
        noisy = y[:1].requires_grad_()
        judged = most_bytes(lambda: judge.eval()(x[:1], noisy, told[0][:1]))  # with what its gradient needs
        weights, one = weights + weight_bytes(judge), max(one, judged + held)
    return weights, one


def painting_bytes(study: Study, name: str) -> tuple[int, int] | None:
    """Return (bytes of the weights, bytes of painting one field) of an arm's network; None of what needs no GPU."""
    arm, model = study.entry("arms", name), study.model_of(name)
    model = certain_bases.base_of(study.config, model) or model
    if not KINDS[model["kind"]].gpu:
        return None
    model, size_px = {**model, **network_of(model)}, study.config["prepare"]["size_px"]
    with META:
        if not KINDS[model["kind"]].stains:
            return unet_bytes(study, arm, model)
        codec = Autoencoder(codecs.spec_of(model), len(study.config["channels"]["target"]))
        y = torch.empty(1, codec.channels, size_px, size_px)
        with torch.no_grad():
            return weight_bytes(codec), most_bytes(lambda: codec.decode(codec.posterior(y)[0]))


def fitting(weights: int, one: int, card_bytes: float, fields: int) -> int:
    """Return the largest power of two of fields that fits beside the weights, no more than `fields` need; 0 if none does."""
    count = int((FILLED * card_bytes - weights) // one)
    most = 1 << max(0, (fields - 1).bit_length())
    return min(1 << (count.bit_length() - 1), most) if count > 0 else 0


def batch_said(study: Study, fields: int, card_bytes: float) -> list[str]:
    """Say what `sample.batch` takes of a card of so many bytes, and which would fit; nothing of a study that paints on no GPU.

    Parameters
    ----------
    fields : that one part of sampling paints, at most
    """
    held, walked = {}, {}
    for name in study.arms:
        arm, model = study.entry("arms", name), study.model_of(name)
        alike = json.dumps([{**model, "name": ""}, asked_at_once(arm), arm["classifier"], arm["guidance_scale"]])
        walked[alike] = walked[alike] if alike in walked else painting_bytes(study, name)
        held |= {name: walked[alike]} if walked[alike] else {}
    if not held:
        return []
    name = min(held, key=lambda arm: (card_bytes - held[arm][0]) / held[arm][1])
    (weights, one), batch = held[name], study.config["sample"]["batch"]
    taken, best = weights + batch * one, fitting(*held[name], card_bytes, fields)
    line = f"sample.batch: {batch} takes {taken / 1e9:,.1f} of {card_bytes / 1e9:,.0f} GB at most (arm {name})"
    if best == 0:
        return [line + "; not even 1 fits: take a larger card, or a smaller prepare.size_px"]
    if best != batch:
        enough = best < batch and taken <= FILLED * card_bytes
        line += f"; {best} " + (f"is enough for the {fields} fields of a part" if enough else "would fit")
    return [line + " (--gpu-gb sets your card's memory)"]
