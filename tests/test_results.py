"""Every file that is kept is asked for by name: one that a failed job took away is missed, whatever stands after it."""

from __future__ import annotations

import re

import pytest

from conftest import ROOT, copy_of, planned, snakemake, swept, write_study

FLEETING = re.compile(r"^(results/parts|resources/raw)/")
ARMS = [
    {"name": "pert", "model": "pert", "folds": ["A"], "steps": 3, "samples": 2},
    {"name": "guided", "model": "pert", "folds": ["A"], "steps": 3, "classifier": "guide"},
    {"name": "mean", "model": "mean", "folds": ["A"]},
    {"name": "pixel", "model": "pixel", "folds": ["A"], "profile": False},
]
EVERYTHING = {
    "arms": ARMS,
    "classifiers": [{"name": "guide", "label": "target", "width": 8}],
    "sweep": {"fields": 3, "points": [{"sampler": "ddim", "steps": 2}]},
    "embed": {"weights": "facebook/dino-vits8"},
    "fid": {"weights": "inception.pth"},
    "cellprofiler": {"pipeline": "slim", "parts": 2, "segmentation": "cellpose"},
    "crops": {"size_um": 30, "arms": ["real", "guided"]},
    "profiles": ["parquet", "h5ad"],
    "deliver": ["ome-tiff", "ome-zarr"],
}
GIVEN = {
    "folds": [{"name": "given", "predict": ["T3"]}],
    "models": [{"name": "pert", "label": "perturbation", "weights": "given.safetensors"}],
    "arms": [{"name": "pert", "model": "pert", "folds": ["given"], "samples": 2}],
}
UNLABELLED = {
    "perturbations": False,
    "models": [{"name": "pert"}, {"name": "mean", "kind": "mean"}, {"name": "pixel", "kind": "pixel"}],
}
UNMEASURED = {
    "models": [{"name": "pixel", "kind": "pixel"}],
    "arms": [{"name": "pixel", "model": "pixel", "folds": ["A"], "profile": False}],
}

# Where a study can be told to stop: rules of the wing that must be planned, among others.
STOPS = {
    "plates": {"quality", "flag"},
    "models": {"train", "gather"},
    "features": {"median", "deliver"},
    "profiles": {"select", "profile", "active", "lookup"},
    "scores": set(),
}


def rules_of(wing: str) -> set[str]:
    """Return the rules that run a module of one wing, and the name under which the study stops there."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").rglob("*.smk")))
    parts = re.split(r"^(?:use )?rule (\w+)\b", text, flags=re.MULTILINE)
    return {wing} | {name for name, body in zip(parts[1::2], parts[2::2]) if f" brightpaint.{wing}." in body}


def jobs_of(plan: str) -> list[tuple[str, list[str], list[str]]]:
    """Return (rule, inputs, outputs) of each job of a dry run."""
    found = []
    for text in re.split(r"^(?:local)?rule ", plan, flags=re.MULTILINE)[1:]:
        listed = {key: re.search(rf"^    {key}: (.*)$", text, re.MULTILINE) for key in ("input", "output")}
        found.append((text.split(":")[0], *(line[1].split(", ") if line else [] for line in listed.values())))
    return found


@pytest.mark.parametrize(
    "changes",
    swept([{}, EVERYTHING, GIVEN, UNLABELLED, UNMEASURED], [EVERYTHING, GIVEN]),
    ids=["tiny", "all stages", "predict", "no labels", "real cells alone"],
)
def test_no_job_is_needed_only_by_what_follows_it(tmp_path, changes):
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}, **changes})
    for name in ("given.safetensors", "inception.pth"):
        (folder / name).touch()
    jobs = jobs_of(snakemake(folder, "-n").stdout)
    asked = set(next(inputs for rule, inputs, _ in jobs if rule == "all"))
    overlooked = [
        (rule, kept)
        for rule, _, outputs in jobs
        if (kept := [name for name in outputs if not FLEETING.match(name)]) and not asked & set(kept)
    ]
    assert not overlooked


@pytest.mark.parametrize(
    "changes", [EVERYTHING, {**UNMEASURED, "perturbations": False}], ids=["all stages", "no cells"]
)
def test_what_is_asked_for_adds_no_job(tmp_path, changes):
    """The files that are kept lie on the way to what a user reads: naming them plans nothing more."""
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}, **changes})
    (folder / "inception.pth").touch()
    jobs = jobs_of(snakemake(folder, "-n").stdout)
    needed, read = (
        {name for rule, inputs, _ in jobs if rule != "all" for name in inputs},
        ("figures/", "tables/", "predicted/", "crops/"),
    )
    ends = [outputs for rule, _, outputs in jobs if rule != "all" and not set(outputs) & needed]
    ends = [outputs for outputs in ends if not outputs[0].endswith(".h5ad")]  # asked for in so many words
    assert all(any(f"results/{kind}" in name for kind in read for name in outputs) for outputs in ends), ends


def test_a_finished_study_is_asked_for_by_what_is_read_alone(finished_study):
    """Every kept file named is a line from its rule to `all` in the picture that opens the report."""
    jobs = jobs_of(snakemake(finished_study, "-n", "--forceall").stdout)
    asked = next(inputs for rule, inputs, _ in jobs if rule == "all")
    assert len(asked) > 20 and all(re.match(r"results/(figures|tables|predicted)/", name) for name in asked)


def test_a_file_that_a_failed_job_took_away_is_made_again_though_the_tables_stand(finished_study, tmp_path):
    folder = copy_of(finished_study, tmp_path / "study")
    for name in ("mean.parquet", "mean.fields.parquet"):
        (folder / "results" / "metrics" / name).unlink()
    jobs = planned(snakemake(folder, "-n").stdout)
    assert (
        jobs["metrics"] == 1
        and "score_images" not in jobs
        and {"metrics_table", "paper_table", "plate_page"} <= set(jobs)
    )
    assert not {"sample", "train", "engine", "prepare"} & set(jobs)


@pytest.mark.parametrize("wing", STOPS)
def test_a_study_stops_at_the_end_of_a_wing(tmp_path, wing):
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}})
    jobs = set(planned(snakemake(folder, "-n", wing).stdout))
    wings = list(STOPS)[: list(STOPS).index(wing) + 1]
    assert STOPS[wing] | {wing} <= jobs <= set().union(*map(rules_of, wings))
    assert jobs & rules_of(wing) - {wing}
    assert not jobs & (set(STOPS) - {wing})


def test_every_wing_is_asked_for_what_it_keeps(tmp_path):
    """All that a study with every stage plans on the way to its figures and tables is planned to one of the stops."""
    folder = write_study(tmp_path, {"source": {"layout": "simulated"}, **EVERYTHING})
    (folder / "inception.pth").touch()
    whole, stopped = (planned(snakemake(folder, "-n", *wings).stdout) for wings in ([], STOPS))
    drawn = rules_of("report") | {"noise"}
    assert {rule: count for rule, count in stopped.items() if rule not in STOPS} == {
        rule: count for rule, count in whole.items() if rule not in drawn
    }
