"""How exactly images come back from an inversion, and for how many network evaluations: ours beside PhenDiff's, one denoiser.

    python bench/translate.py                                            # exact denoisers of Gaussian classes
    python bench/translate.py --study out/seed_1 --reference ~/PhenDiff  # and a trained one, with PhenDiff's own function

--study is a folder that bench/dose_translations.py has made: its weights, and crops of its held-out DMSO fields. The peer is
diffusers' DDIMInverseScheduler upwards and DDIMScheduler downwards on our noise levels, as PhenDiff calls them (by diffusers
0.18.2; later ones ask the denoiser elsewhere): it clips the clean images that the denoiser implies to the range of the images
(+-1 of an 8-bit image there) and iterates nothing. With --reference, a checkout of github.com/thethomasboyer/PhenDiff, its own
`_inversion` walks upwards; nothing of it is kept here. Where diffusers can't be imported (`pip install diffusers==0.18.2`, in an
environment of its own) a line says so and the peer's lines are missing.

A JSON line a denoiser, way and number of steps:
round_trip, round_trip_most      root mean square and largest difference of images and reconstructions, in s.d. of the images
evaluations                      of the network, of all images at once: up (until the last of them rests), and down once
latent_sd, latent_neighbour_r    of the latents: 1 and 0 for white noise
latent_off, translation_off      largest distance from the exact flow's latent and from the exact translation (exact denoisers)
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from brightpaint import store
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.objectives.losses import build_denoiser
from brightpaint.models.paint.invert import invert, latent_moments
from brightpaint.models.paint.walk import walk
from brightpaint.models.schedule import Schedule, schedule_of
from brightpaint.models.trained import load_module, read_model
from brightpaint.study.annotations import DMSO

MU, S = torch.tensor([0.0, -1.0, 1.5], dtype=torch.float64), torch.tensor([1.0, 0.5, 0.8], dtype=torch.float64)
SOURCE, TARGET = 1, 2
STEPS, INNER, REST = (25, 50, 100), (0, 2, 5), 200  # REST iterations: until every step's update is small


class Counted:
    """A denoiser that counts how often it is asked, and can be asked at any level."""

    def __init__(self, eps: Callable):
        self.eps, self.count = eps, 0

    def __call__(self, x, y, gamma, condition):
        self.count += 1
        return self.eps(y, gamma, condition)


def gaussian(y: torch.Tensor, gamma: float, condition: Condition) -> torch.Tensor:
    """Return the exact eps where images of class k are N(mu_k, s_k^2)."""
    mu, s = (values[condition.labels][:, None, None, None] for values in (MU, S))
    return math.sqrt(1 - gamma) * (y - math.sqrt(gamma) * mu) / (gamma * s**2 + 1 - gamma)


def exact() -> dict:
    """Return what is inverted with the exact denoiser: 41 images of one pixel from -2 to 2 s.d. of their class."""
    z = torch.linspace(-2, 2, 41, dtype=torch.float64).reshape(-1, 1, 1, 1)
    first, (images, translated) = Schedule().path(1)[0], (MU[k] + S[k] * z for k in (SOURCE, TARGET))
    both = torch.stack([images, translated])
    return {"eps": gaussian, "images": images, "labels": (SOURCE, TARGET), "schedule": Schedule(), "translated": translated,
            "range": (float(both.min()), float(both.max())), "tolerance": 1e-6,
            "latents": math.sqrt(first) * MU[SOURCE] + torch.sqrt(first * S[SOURCE] ** 2 + 1 - first) * z}  # fmt: skip


def trained(study: Path, plate: str, fields: int, crop_px: int) -> dict:
    """Return what is inverted with a study's trained denoiser: the middles of held-out DMSO fields."""
    (weights,) = (study / "results" / "models").glob("*/*/weights.safetensors")
    tensors, meta = read_model(weights)
    labels = meta["label_map"]
    network = load_module(
        weights, build_denoiser(meta["settings"], meta["channels"], len(labels)), tensors, torch.device("cpu")
    )
    network = Compute(torch.device("cpu"), precision="float32").painting(network)
    real = study / "results" / "images" / "real" / f"{plate}.tif"
    rows = store.read_fields(study / "results" / "fields" / f"{plate}.parquet")
    stack = store.open_stack(real).select(rows)
    places = np.flatnonzero(rows["Metadata_perturbation"] == DMSO)[:fields]
    start = (stack.images.shape[-1] - crop_px) // 2
    chosen = stack.channel_indices(meta["channels"]["target"])
    window = (chosen, slice(start, start + crop_px), slice(start, start + crop_px))
    whole = np.stack([stack.images[row][window] for row in range(len(rows))]).astype(np.float32)
    images = torch.from_numpy(whole[places])

    def eps(y, gamma, condition):
        with torch.no_grad():
            return network(y[:, :0], y, torch.full((len(y),), gamma, dtype=torch.float64), condition)

    other = max(number for name, number in labels.items() if name != DMSO)
    return {"eps": eps, "images": images, "labels": (labels[DMSO], other), "schedule": schedule_of(meta["settings"]),
            "range": (float(whole.min()), float(whole.max())), "tolerance": 1e-4}  # float32: less is rounding  # fmt: skip


def told(label: int, count: int) -> Condition:
    return Condition.of_labels(torch.full((count,), label, dtype=torch.int64))


def ours(case: dict, steps: int, inner: int) -> tuple:
    """Return latents, reconstructions, translations, and evaluations an image of the first two."""
    denoise, images, path = Counted(case["eps"]), case["images"], case["schedule"].path(steps)
    nothing, (source, target) = images[:, :0], case["labels"]
    found = invert(
        denoise, images, nothing, told(source, len(images)), path[::-1], inner=inner, tolerance=case["tolerance"]
    )
    back = walk(denoise, found.latents, nothing, told(source, len(images)), path, sampler="ddim")
    count = denoise.count
    return (
        found.latents,
        back,
        walk(denoise, found.latents, nothing, told(target, len(images)), path, sampler="ddim"),
        count,
    )


def diffusers_schedulers():
    """Import diffusers' schedulers without transformers, which they do not need and whose release must fit another."""
    before = sys.modules.get("transformers")
    sys.modules["transformers"] = None
    try:
        return importlib.import_module("diffusers.schedulers")
    finally:
        del sys.modules["transformers"]
        if before:
            sys.modules["transformers"] = before


def inversion_of(folder: Path, schedulers) -> Callable:
    """Return PhenDiff's own `_inversion`, taken out of its file by name; its module imports much that the function does not use."""
    path = folder / "src" / "utils_Img2Img.py"
    if not path.exists():
        raise SystemExit(f"{path} is missing; give a checkout of github.com/thethomasboyer/PhenDiff")
    tree = ast.parse("from __future__ import annotations\n" + path.read_text())
    own = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "_inversion"]
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"][:1]
    names = {"torch": torch, "tqdm": lambda steps, **_: steps, "DDIMInverseScheduler": schedulers.DDIMInverseScheduler}
    exec(compile(ast.Module(future + own, []), str(path), "exec"), names)
    return names["_inversion"]


def upwards(pipe: SimpleNamespace, images: torch.Tensor, labels: torch.Tensor, steps: int, schedulers) -> torch.Tensor:
    """Invert as PhenDiff does, where no checkout of it is given."""
    scheduler = schedulers.DDIMInverseScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        images = scheduler.step(pipe.unet(images, t, labels).sample, t, images).prev_sample
    return images


def published(case: dict, steps: int, schedulers, *, clip: bool, reference: Path | None) -> tuple:
    """Return what `ours` does, by diffusers' schedulers on the same noise levels.

    They clip at +- a number: where they do, the images are moved so that their range is as far above 0 as below, and the
    denoiser with them.
    """
    schedule, denoise = case["schedule"], Counted(case["eps"])
    gammas, images, (source, target) = schedule.gammas, case["images"], case["labels"]
    low, high = case["range"]  # of the images of all classes
    middle = (low + high) / 2 if clip else 0.0
    scheduler = schedulers.DDIMScheduler(
        num_train_timesteps=schedule.levels, trained_betas=1 - gammas[1:] / gammas[:-1], prediction_type="epsilon",
        timestep_spacing="trailing", clip_sample=clip, clip_sample_range=(high - low) / 2,
    )  # fmt: skip

    def unet(y, t, labels):
        gamma = float(gammas[int(t) + 1])
        return SimpleNamespace(
            sample=denoise(y[:, :0], y + math.sqrt(gamma) * middle, gamma, Condition.of_labels(labels))
        )

    pipe = SimpleNamespace(scheduler=scheduler, unet=unet)
    labels = [torch.full((len(images),), label, dtype=torch.int64) for label in (source, target)]
    invert_by = inversion_of(reference, schedulers) if reference else upwards
    latents = invert_by(pipe, images - middle, labels[0], steps, None if reference else schedulers)

    def downwards(shown):
        y = latents
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            y = scheduler.step(unet(y, t, shown).sample, t, y, eta=0.0).prev_sample
        return y + middle

    back, count = downwards(labels[0]), denoise.count
    return latents, back, downwards(labels[1]), count


def line_of(case: dict, latents, back, translated, evaluations: int) -> dict:
    """Sum one inversion up."""
    images = case["images"]
    gap, sd = (back - images).double() / images.double().std(), latent_moments(latents)
    line = {
        "round_trip": float((gap**2).mean().sqrt()),
        "round_trip_most": float(gap.abs().max()),
        "evaluations": evaluations,
    }
    if images[0].numel() > 1:
        line |= {"latent_sd": float(sd[1].mean()), "latent_neighbour_r": float(sd[2].mean())}
    else:
        line |= {"latent_off": float((latents - case["latents"]).abs().max()),
                 "translation_off": float((translated - case["translated"]).abs().max())}  # fmt: skip
    return line


def measured(case: dict, steps: int, schedulers, reference: Path | None) -> Iterator[dict]:
    """Yield a line a way."""
    for inner in (*INNER, REST):
        name = (
            "ours, iterated until it rests"
            if inner == REST
            else f"ours, {inner} iterations"
            if inner
            else "ours, plain"
        )
        yield {"way": name, **line_of(case, *ours(case, steps, inner))}
    for clip in (True, False) if schedulers else ():
        by = "PhenDiff's own function" if reference else "as PhenDiff calls diffusers"
        name = f"{by}, {'clipped' if clip else 'unclipped'}"
        yield {"way": name, **line_of(case, *published(case, steps, schedulers, clip=clip, reference=reference))}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="made by bench/dose_translations.py")
    parser.add_argument("--plate", default="DOSE004")
    parser.add_argument("--fields", type=int, default=4)
    parser.add_argument("--crop-px", type=int, default=96)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--reference", type=Path, help="checkout of thethomasboyer/PhenDiff")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        schedulers = diffusers_schedulers()
        print(json.dumps({"diffusers": importlib.import_module("diffusers").__version__}), flush=True)
    except ImportError as error:
        schedulers = None
        print(json.dumps({"diffusers": f"not measured beside it: {error}"}), flush=True)
    cases = {"exact": exact()}
    if args.study:
        cases["trained"] = trained(args.study, args.plate, args.fields, args.crop_px)
    for name, case in cases.items():
        for steps in args.steps:
            for line in measured(case, steps, schedulers, args.reference):
                print(json.dumps({"denoiser": name, "steps": steps, **line}), flush=True)


if __name__ == "__main__":
    main()
