"""To add a kind of model: a module and a registry entry. In a copy of the code, such a kind goes through every rule."""

import shutil

import pytest
import yaml

from brightpaint import store
from conftest import ROOT, snakemake

MODULE = '''"""A toy: the local mean of what brightfield departs from its mean, times a factor for each stain."""

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from brightpaint.models.kinds import floors


def local_mean(x):
    """Return (H, W) from brightfield (C_input, H, W)."""
    return uniform_filter(np.abs(x).mean(axis=0), 9)


def fit(data):
    pairs = [(local_mean(x), stains) for x, stains in floors.fields(data)]
    power = sum((mean**2).sum() for mean, _ in pairs)
    factors = sum((stains * mean).sum(axis=(1, 2)) for mean, stains in pairs) / power
    return {"factors": torch.from_numpy(factors)}, floors.history(data, float("nan") if power == 0 else power)


def tensor_problems(tensors, channels):
    wanted = (len(channels["target"]),)
    yield from floors.tensor_problems(tensors, "factors", floors.shape_of(tensors, "factors") == wanted, str(wanted))


def train(args, data):
    floors.write(args, data, fit)


def painter(args, tensors, meta, fields, how):
    factors = tensors["factors"].numpy()[:, None, None]
    return floors.painter(lambda x: (factors * local_mean(x)).astype(np.float32))
'''
ENTRY = '        Kind("toy", "toy", "brightpaint.models.kinds.toy", "toy", brightfield=True),\n'


@pytest.mark.long
@pytest.mark.slow
def test_a_kind_is_a_module_and_an_entry_of_the_registry(tmp_path, finished_study):
    code, study = tmp_path / "code", tmp_path / "study"
    shutil.copytree(finished_study, study, symlinks=True, ignore=shutil.ignore_patterns("locks"))
    for name in ("src", "workflow", "resources", "envs"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "Snakefile", code)
    (code / "src" / "brightpaint" / "models" / "kinds" / "toy.py").write_text(MODULE)
    registry = code / "src" / "brightpaint" / "study" / "kinds.py"
    registry.write_text(registry.read_text().replace("    for kind in (\n", f"    for kind in (\n{ENTRY}"))
    config = yaml.safe_load((study / "config.yaml").read_text())
    config["models"].append({"name": "toy", "kind": "toy"})
    config["arms"] = [config["arms"][0], {"name": "toy", "model": "toy", "folds": ["A"]}]
    config["sweep"]["points"] = []
    (study / "config.yaml").write_text(yaml.safe_dump(config))
    reached = ["tables/metrics.tsv", "figures/tsne/cellprofiler.png", "figures/tsne/dino.png", "figures/worst/toy.jpg"]
    targets = [f"results/{name}" for name in reached]
    snakemake(study, "--cores", "2", *targets, "--show-failed-logs", root=code)
    for space in ("cellprofiler", "dino"):
        assert len(store.read_table(study / "results" / "profiles" / "toy" / space / "perturbations.parquet"))
    metrics = store.read_table(study / "results" / "tables" / "metrics.tsv")
    assert {"pcc", "ssim", "nn", "map_target", "cpcor"} <= set(metrics.loc[metrics["arm"] == "toy", "metric"])
    assert all((study / target).stat().st_size for target in targets)
