"""Diffusion in latents against diffusion in pixels at equal training time, on the demo's plates.

Both are trained for the same CPU seconds on SIM001 and SIM002 and paint the fields of SIM003 from brightfield by the demo's
sampler, from noise of the same name. The latent model's time holds its codec's own: --codec-share of it trains the codec (preset
`small`, config/latent.yaml), the rest the model that stands on it. Beside them: the codec's own decoded real stains, the
ceiling of what it can paint, and the floor `pixel`, which sees no neighbours.

A JSON line a model: CPU seconds of training (of the codec and of the model), images shown, PCC of each stain, L1 and SSIM, the
distance of CellProfiler features (`feature_distance`, in MADs of the real fields, over all features that vary; by the fast engine,
slim pipeline), nuclei over the real ones, nuclei F1, and the CPU seconds that painting a field took.

    python bench/latent_pixel.py /tmp/latent_pixel --study results/demo --minutes 2

--study is a finished demo's results folder, whose prepared plates are read and nothing else; without it the plates are made. How
many images a training shows is measured once and kept; what is finished (a training, a painted or measured plate) is not made
again, and a training that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from studies import ROOT, check_kept, make
from translated_studies import markdown, rate_of, read_study

from brightpaint import store
from brightpaint.base.intensity import standardise
from brightpaint.features import export, pipeline
from brightpaint.features.cells_part import write_part
from brightpaint.features.engine.measured_part import measure
from brightpaint.features.median import features_of, medians_of_plate
from brightpaint.models import train, train_codec
from brightpaint.models.codecs.codec import codec_of
from brightpaint.models.compute import Compute
from brightpaint.models.data import TrainingImages
from brightpaint.models.objectives.losses import Denoising, build_denoiser
from brightpaint.models.paint import sample
from brightpaint.models.standing import stand
from brightpaint.models.steps import Training
from brightpaint.scores.cells.object_overlap import overlap
from brightpaint.scores.images.pixels import pcc, ssim
from brightpaint.scores.profiles import discrepancy
from brightpaint.scores.profiles.feature_distance import features_of_all
from brightpaint.study import codecs
from brightpaint.study.kinds import CODEC
from brightpaint.study.study import Study

TRAINED, TESTED = ("SIM001", "SIM002"), "SIM003"
PIXELS, LATENTS, CEILING, FLOOR = "pixels", "latents", "codec (real stains decoded)", "pixel (no neighbours)"
MODELS = (PIXELS, LATENTS, CEILING, FLOOR)
REAL = "real"


def slug(name: str) -> str:
    return name.split(" (")[0]


def shipped(name: str) -> Study:
    """Return a shipped study."""
    config = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    return Study.load(config, ROOT / "workflow" / "schemas", ROOT)


class Bench:
    """One folder of trainings, painted plates and their measurements, each of them made once."""

    def __init__(self, args: argparse.Namespace):
        self.folder, self.seed, self.minutes, self.codec_share = args.folder, args.seed, args.minutes, args.codec_share
        self.config = shipped("demo").config
        self.results = args.study or self._made()
        self.plates = [self._plate(name) for name in (*TRAINED, TESTED)]
        self.data = TrainingImages(*zip(*self.plates[:2]), channels=self.config["channels"], label="none")

    def _made(self) -> Path:
        """Make the three plates by the workflow, and return their results folder."""
        study, plates = read_study("demo")
        folder = self.folder / "plates"
        wanted = [f"results/fields/{plate}.parquet" for plate in (*TRAINED, TESTED)]
        if not all((folder / path).exists() for path in wanted):
            make(folder, study, plates, wanted)
        return folder / "results"

    def _plate(self, name: str) -> tuple[Path, Path]:
        found = self.results / "images" / "real" / f"{name}.tif", self.results / "fields" / f"{name}.parquet"
        if lacking := [path for path in found if not path.exists()]:
            raise SystemExit(
                f"{lacking[0]} is not there; give --study the results folder of a finished demo, or leave it out"
            )
        return found

    # --- trainings ---

    def settings(self, kind: str) -> dict:
        """Return the demo's training settings of a kind, for any number of images; a codec's are those of config/latent.yaml."""
        own = {"subset": "all", "held_out": [], "validation_share": 0, "seed": self.seed, "images": 10**6}
        shared = {**self.config["train"], "channels": self.config["channels"], "label": "none", **own}
        if kind == CODEC.name:
            study = shipped("latent")
            entry = study.entry("models", "kl")
            return {**codecs.training(study, entry), **own, "kind": kind, "label": "none",
                    "channels": {**self.config["channels"], "input": []}}  # fmt: skip
        return {"kind": kind, "preset": "fast", "width": None, "objective": "v", "loss": "l2", **shared}

    def rate(self, name: str, build: Callable[[], Training], data: TrainingImages) -> float:
        """Return the images a CPU second of a training, measured once and kept."""
        path = self.folder / "rates.json"
        rates = json.loads(path.read_text()) if path.exists() else {}
        if name not in rates:
            rates[name] = rate_of(build(), data)
            path.write_text(json.dumps(rates))
        return rates[name]

    def codec_rate(self) -> float:
        settings = self.settings(CODEC.name)

        def build() -> Training:
            networks = train_codec.built_networks(settings, settings["channels"], self.data.size)
            return Training(networks, train_codec.objectives(settings, networks["model"])[0], settings, Compute())

        data = TrainingImages(*zip(*self.plates[:2]), channels=settings["channels"], label="none")
        return self.rate("codec", build, data)

    def denoiser_rate(self, name: str, settings: dict) -> float:
        def build() -> Training:
            own, tensors = stand(settings)
            network = build_denoiser(own, own["channels"], 0)
            rule = Denoising(len(own["channels"]["input"]), "v", "l2", own["label_dropout"])
            return Training({"model": network}, rule, own, Compute(), codec=codec_of(own, tensors))

        return self.rate(name, build, self.data)

    def trained(self, name: str, settings: dict, rate: float, seconds: float) -> tuple[Path, dict]:
        """Train for about so many CPU seconds; return the weights and what was spent: `images, cpu_s`."""
        weights, note = (self.folder / "models" / f"{name}.{end}" for end in ("safetensors", "json"))
        weights.parent.mkdir(parents=True, exist_ok=True)
        if not note.exists():
            images = max(1, int(rate * seconds / settings["batch"])) * settings["batch"]
            stacks, tables = zip(*self.plates[:2])
            words = ["--settings", json.dumps({**settings, "images": images}), "--device", "cpu", "--stacks", *stacks]
            words += ["--fields", *tables, "--weights", weights, "--history", weights.with_suffix(".jsonl")]
            start = time.process_time()
            (train_codec if settings["kind"] == CODEC.name else train).main([str(word) for word in words])
            note.write_text(json.dumps({"images": images, "cpu_s": round(time.process_time() - start, 1)}))
        return weights, json.loads(note.read_text())

    # --- painted, measured ---

    def painted(self, name: str, weights: Path) -> tuple[Path, float]:
        """Paint the test plate by the demo's sampler; return the stack and CPU seconds a field."""
        path = self.folder / "painted" / f"{name}.tif"
        seconds = path.with_suffix(".seconds.tsv")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not seconds.exists():
            arm = next(arm for arm in self.config["arms"] if arm["name"] == "unlabelled")
            keys = ("sampler", "steps", "eta", "spacing", "label_scale", "guidance_interval", "guidance_scale")
            settings = {key: arm[key] for key in keys} | {"sampling_label": "own", "seed": self.seed, "subset": "all"}
            settings["batch"] = self.config["sample"]["batch"]
            inputs = store.read_weights(weights, tensors=False)[1]["channels"]["input"]
            if inputs != self.config["channels"]["input"]:  # as the workflow says it of a codec, which sees none
                settings["inputs"] = inputs
            stack, table = self.plates[2]
            words = ["--settings", json.dumps(settings), "--device", "cpu", "--weights", weights, "--stack", stack]
            words += ["--fields", table, "--part", "001", "--parts", "1", "--predicted", path, "--seconds", seconds]
            sample.main([str(word) for word in words])
        cost = store.read_table(seconds).iloc[0]
        return path, float(cost["cpu_s"] / cost["fields"])

    def measured(self, name: str, stack: Path) -> tuple[pd.DataFrame, dict[str, list[np.ndarray]]]:
        """Return the field medians of a stack of the test plate by the fast engine, and its label images, field by field."""
        folder, table = self.folder / "measured" / name, self.plates[2][1]
        fields, cells = store.read_fields(table), folder / "cells.parquet"
        if not cells.exists():
            settings = {"channels": self.config["channels"]["target"], "window": self.config["cellprofiler"]["window"],
                        "pixel_size_um": self.config["pixel_size_um"], "cutoff": self.config["prepare"]["cutoff"]}  # fmt: skip
            if not (folder / "images").exists():
                export.export(settings, arm=name, stack_path=stack, rows_path=table, fields_path=table, part=1, parts=1,
                              folder=folder / "images")  # fmt: skip
            if not (folder / "tables").exists():
                measure(ROOT / "resources" / "cellprofiler" / "slim.cppipe", folder / "images", folder / "tables")
            write_part(folder / "tables", table, cells)
        first = self.config["channels"]["target"][0]
        files = [f"{export.safe_stem(row)}_{first}.tif" for row in fields.to_dict("records")]
        labels = {kind: [store.read_raw(folder / "tables" / pipeline.label_file(file, kind)) for file in files]
                  for kind in pipeline.LABELLED}  # fmt: skip
        return medians_of_plate(cells, fields), labels

    def scores(self, name: str, stack: Path) -> dict:
        """Compare a stack of the test plate with the real one: images, features, nuclei."""
        targets, cutoff = self.config["channels"]["target"], self.config["prepare"]["cutoff"]
        sides = [store.open_stack(path) for path in (self.plates[2][0], stack)]
        places = [side.channel_indices(targets) for side in sides]
        found = {"pcc": [], "ssim": [], "l1": []}
        for row in range(len(sides[0])):
            raw = [np.asarray(side.images[row][own], np.float32) for side, own in zip(sides, places)]
            truth, image = (standardise(each, cutoff) for each in raw)
            found["pcc"].append(pcc(truth, image))
            found["ssim"].append([ssim(*pair, data_range=cutoff) for pair in zip(truth, image)])
            found["l1"].append(np.abs(raw[0] - raw[1]).mean((1, 2)))
        means = {key: np.mean(values, axis=0) for key, values in found.items()}
        (real, labels), (medians, drawn) = self.measured(REAL, self.plates[2][0]), self.measured(name, stack)
        names = [key for key in features_of(list(real)) if key in medians]
        scale = discrepancy.scale_of(real, features_of_all([real], names))
        distance = discrepancy.feature_distance(*(discrepancy.scaled(frame, scale) for frame in (real, medians)))
        f1 = np.nanmean([overlap(*pair)["f1"] for pair in zip(labels["Nuclei"], drawn["Nuclei"])])
        counts = [sum(int(each.max()) for each in side["Nuclei"]) for side in (drawn, labels)]
        return {"mean_pcc": float(means["pcc"].mean()), **dict(zip(targets, map(float, means["pcc"]))),
                "ssim": float(means["ssim"].mean()), "l1": float(means["l1"].mean()),
                "feature_distance": float(distance), "features": len(scale.features),
                "nuclei_over_real": counts[0] / counts[1],
                "nuclei_f1": float(f1)}  # fmt: skip

    def kept(self, name: str, stack: Path) -> dict:
        """Return `scores`, made once."""
        path = self.folder / "scores" / f"{name}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.scores(name, stack)))
        return json.loads(path.read_text())

    # --- the models ---

    def line(self, name: str, weights: Path, spent: Sequence[dict]) -> dict:
        """Return what is said of a model; `spent` is of its own training, then of its codec's."""
        stack, seconds = self.painted(slug(name), weights)
        own, below = [*spent, {"cpu_s": 0.0}][:2]
        trained = {"training_cpu_s": own["cpu_s"] + below["cpu_s"], "of_it_codec_cpu_s": below["cpu_s"],
                   "images": own.get("images", 0)}  # fmt: skip
        tensors, _ = store.read_weights(weights)
        size = sum(value.numel() for value in tensors.values())
        return {"model": name, **trained, "numbers_in_weights": size, **self.kept(slug(name), stack),
                "paint_cpu_s_a_field": seconds}  # fmt: skip

    def lines(self) -> Iterator[dict]:
        """Yield a line a model: what it costs and what it paints."""
        total = 60 * self.minutes
        settings = self.settings("diffusion")
        weights, spent = self.trained(PIXELS, settings, self.denoiser_rate(PIXELS, settings), total)
        yield self.line(PIXELS, weights, [spent])
        codec, below = self.trained("codec", self.settings(CODEC.name), self.codec_rate(), self.codec_share * total)
        standing = {**settings, "stands_on": {"codec": str(codec)}}
        left = (1 - self.codec_share) * total
        weights, spent = self.trained(LATENTS, standing, self.denoiser_rate(LATENTS, standing), left)
        yield self.line(LATENTS, weights, [spent, below])
        yield self.line(CEILING, codec, [below])
        floor = {**settings, "kind": "pixel", "images": 8}
        weights, spent = self.trained("pixel", floor, 1.0, 8)
        yield self.line(FLOOR, weights, [spent])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of what is finished, to write")
    parser.add_argument("--study", type=Path, help="results folder of a finished demo; else the plates are made")
    parser.add_argument("--minutes", type=float, default=2.0, help="of CPU, that each of the two is trained")
    parser.add_argument("--codec-share", type=float, default=1 / 3, help="of the latent model's minutes")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    if not 0 < args.codec_share < 1:
        raise SystemExit(f"--codec-share {args.codec_share:g}: expected a share above 0 and below 1")
    torch.set_num_threads(1)
    check_kept(args.folder, {key: getattr(args, key) for key in ("minutes", "codec_share", "seed")})
    lines = []
    for line in Bench(args).lines():
        lines.append(line)
        print(json.dumps({"bench": "latent_pixel", "seed": args.seed, **line}), flush=True)
    (args.folder / "latent_pixel.json").write_text(json.dumps(lines, indent=1))
    (args.folder / "latent_pixel.md").write_text(markdown(lines))


if __name__ == "__main__":
    main()
