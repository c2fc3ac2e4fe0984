"""What an arm, or a point of a sweep, asks of the way from noise to stains that its model's kind doesn't have. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator

from brightpaint.study.kinds import KINDS, Kind


def problems(arm: dict, model: dict) -> Iterator[str]:
    """Say which sampler or guidance would be swallowed: of a model that paints without noise, by no classifier, off a schedule."""
    kind = KINDS[model["kind"]]
    if kind.walks:
        yield from (f"arm {arm['name']}: {said}" for said in walk_problems(arm, kind))
        if arm["guidance_scale"] != 1 and not arm["classifier"]:
            scale = arm["guidance_scale"]
            yield f"arm {arm['name']}: guidance_scale {scale} guides by a classifier, and none is named; name one, or leave it out"
        return
    noisy = " or ".join(kind.name for kind in KINDS.values() if kind.walks)
    how = "draws its noise at once, and guidance acts on the way from noise to image"
    how = how if kind.noise else "paints without noise, which is what guidance acts on"
    for key, nothing in {"classifier": None, "label_scale": 1, "guidance_scale": 1, "guidance_interval": None}.items():
        if arm[key] != nothing:
            yield (
                f"arm {arm['name']}: {key} {arm[key]}, but model {model['name']} of kind {model['kind']} {how}; "
                f"leave {key} out, or name a model of kind {noisy}"
            )


def walk_problems(arm: dict, kind: Kind) -> Iterator[str]:
    """Say what is asked of a kind that walks and can't do so, in words that follow the name of an arm or a point."""
    if arm["sampler"] not in kind.samplers:
        able = " or ".join(kind.samplers)
        yield f"sampler {arm['sampler']}, but kind {kind.name} walks by {able}; set sampler: {kind.samplers[0]}"
    for key, nothing in {"spacing": "level", "eta": 0, "guidance_interval": None}.items() if not kind.spaced else ():
        if arm[key] != nothing:
            yield f"{key} {arm[key]}, but kind {kind.name} walks in even steps, along no noise schedule; leave {key} out"
    if not kind.classified and arm["classifier"]:
        yield (
            f"classifier {arm['classifier']} tells labels of noised stains, and kind {kind.name} walks along what its base leaves "
            "open; leave classifier out"
        )
