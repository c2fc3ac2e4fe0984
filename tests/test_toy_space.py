"""The acceptance test of spaces: a new one is a module, an entry in the registry and a rule, and everything serves it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from brightpaint import store
from conftest import ROOT, planned, snakemake

MODULE = '''"""Four quantiles of a field's stains."""
import json
import numpy as np
import pandas as pd
from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.features.embedders import vectors

def main(argv=None):
    args = vectors.parser(__doc__).parse_args(argv)
    stack, rows = vectors.open_rows(args.stack, args.rows)
    see = lambda images: np.quantile(images, [0.1, 0.5, 0.9, 0.99], axis=(1, 2)).T.astype(np.float32)
    found = vectors.plate_vectors(stack, rows, see, 4, args.table, arm=args.arm, settings=args.settings, made_from=[])
    values = pd.DataFrame(found.mean(axis=1), columns=[f"Toy_{n}" for n in range(4)])
    store.write_table(pd.concat([vectors.metadata_of(rows), values], axis=1), args.table)

if __name__ == "__main__":
    run(main)
'''
ENTRY = """
        Space(
            name="toy",
            short="Toy",
            title="four numbers",
            rule="toy",
            table="<results>/toy/{arm}/{plate}.parquet",
            prefixes=("Toy_",),
            arms=measured_arms,
            plates=Study.profile_plates,
            settings=lambda config: {"normalise": "plate"},
            seed="/toy",
            apart="By four numbers",
        ),
    )
}
MAIN ="""
RULE = '''

rule toy:
    """Take four quantiles of every field's stains."""
    input:
        stack=seen_stack,
        rows=seen_rows,
    output:
        "<results>/toy/{arm}/{plate}.parquet",
    log:
        "<logs>/toy/{arm}/{plate}.log",
    params:
        settings=json.dumps({"channels": CONFIG["channels"], "cutoff": 15, "renormalise": True}, sort_keys=True),
    shell:
        "python -m brightpaint.features.embedders.toy --settings {params.settings:q} --arm {wildcards.arm}"
        " --stack {input.stack:q} --rows {input.rows:q} --table {output:q} 2> {log:q}"
'''


def repository_with_toy(folder: Path) -> Path:
    """Copy the code and add the toy space to it: returns the new root."""
    for name in ("src", "workflow", "resources", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder / "Snakefile")
    (folder / "src/brightpaint/features/embedders/toy.py").write_text(MODULE)
    registry, rules = folder / "src/brightpaint/study/spaces.py", folder / "workflow/rules/embedders.smk"
    text = registry.read_text()
    assert text.count("\n    )\n}\nMAIN =") == 1
    registry.write_text(text.replace("\n    )\n}\nMAIN =", ENTRY))
    rules.write_text(rules.read_text() + RULE)
    return folder


@pytest.mark.long
@pytest.mark.slow
def test_a_toy_space_is_a_module_an_entry_and_a_rule(finished_study, tmp_path):
    root, study = repository_with_toy(tmp_path / "repository"), tmp_path / "study"
    shutil.copytree(finished_study, study, symlinks=True, ignore=shutil.ignore_patterns("locks"))
    wanted = [f"results/{name}" for name in ("tables/metrics.html", "figures/tsne/toy.png", "figures/overlap/full.png")]
    wanted += [f"results/scores/profiles/toy/{arm}.parquet" for arm in ("real", "pert", "lookup")]
    jobs = planned(snakemake(study, "-n", *wanted, root=root).stdout)
    assert jobs["toy"] == 3 and jobs["profile"] == 2 and jobs["lookup"] == jobs["tsne"] == jobs["overlap"] == 1
    assert jobs["score_profiles"] == 3 and jobs["score_distances"] == 1 and jobs["metrics"] == 3
    assert not {"train", "sample", "engine", "dino", "score_images", "score_objects"} & set(jobs)
    snakemake(study, "--cores", "2", *wanted, root=root)
    results = study / "results"
    own = store.read_table(results / "metrics" / "pert.parquet").query("space == 'toy'")
    assert {"nn", "top5", "map_target", "embedding_r", "embedding_distance", "embedding_mmd2"} <= set(own["metric"])
    shared = store.read_table(results / "tables" / "overlap_full.tsv")
    assert {("real", "toy"), ("pert", "toy"), ("lookup", "toy")} <= set(zip(shared["row"], shared["row_space"]))
    page = (results / "tables" / "metrics.html").read_text()
    assert "By four numbers" in page and "Toy distance" in page
    assert (results / "figures" / "tsne" / "toy.png").read_bytes()[:4] == b"\x89PNG"
