# The study, its settings, and what every wing needs of it. No rules.
import json
import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

ROOT = Path(workflow.current_basedir).parent.parent
sys.path.insert(0, str(ROOT / "src"))

from brightpaint.plan.run_log import RunLog
from brightpaint.study import simulation, subjects, told_molecules
from brightpaint.study.annotations import GIVEN
from brightpaint.study.erased import erased_arms, erased_problems
from brightpaint.study.kinds import KINDS
from brightpaint.study.spaces import (
    MAIN,
    SPACES,
    dosed_profiles,
    is_sphered,
    mapped_spaces,
    painted_arms,
    profiled_arms,
    sphering_of,
    sphering_problems,
    subset_arms,
)
from brightpaint.study.study import Study
from brightpaint.study.sweep_points import POINT, base_arm, reference

try:
    STUDY = Study.load(config, ROOT / "workflow" / "schemas")
except ValueError as error:
    raise WorkflowError(str(error)) from None
CONFIG = STUDY.config
NO_IMAGES = ("real", "lookup", "brightfield")  # arms that paint nothing
config.update(CONFIG)  # the report fills its texts from `config`: give it the defaults too
RESOURCES = CONFIG["pathvars"]["resources"]
SWEPT = [point["name"] for point in STUDY.sweep_points]


def either(names):
    """Regular expression of one of these names; of none, one that nothing matches (an empty one would match all)."""
    return "|".join(names) or "(?!)"


GIVEN_ARMS = [arm for arm in STUDY.arms if STUDY.kind_of(arm).given]  # painted elsewhere
OWN_ARMS = [arm for arm in STUDY.arms if arm not in GIVEN_ARMS]
PAINTED = either(OWN_ARMS + SWEPT + STUDY.translations + STUDY.generations + STUDY.drawn)


def for_prefix(chosen):
    """JSON for the shell prefix, which Snakemake formats: braces are doubled."""
    return shlex.quote(json.dumps(chosen, sort_keys=True)).replace("{", "{{").replace("}", "}}")


def computing():
    """How networks are computed."""
    return {key: CONFIG["compute"][key] for key in ("precision", "compile", "prefetch", "save_every_s")}


def cutting():
    """How fields will be cut, so that `index` can say that images do not fit: {plate: um} where it is not the study's ("")."""
    pixels = {name: float(row["pixel_size_um"]) for name, row in STUDY.plates.items() if "pixel_size_um" in row}
    return {key: CONFIG["prepare"][key] for key in ("grid", "size_px", "pixel_size_um")} | {
        "raw_pixel_um": {"": CONFIG["pixel_size_um"], **pixels}
    }


# PYTHONPATH, not PATH: an environment that Snakemake activates must keep its own python.
shell.executable("bash")
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(ROOT / 'src'))}; "
    f"export OMP_NUM_THREADS={CONFIG['compute']['torch_threads']}; "
    # Not params: what changes no result must rerun nothing.
    f"export BRIGHTPAINT_DEVICE={CONFIG['compute']['device']} BRIGHTPAINT_WORKERS={CONFIG['source']['workers']}; "
    f"export BRIGHTPAINT_COMPUTE={for_prefix(computing())} BRIGHTPAINT_PREPARE={for_prefix(cutting())}; "
    # What starts a training: python, or torchrun with one process a GPU. Rules `exec` it: a shell in between dies of SIGTERM
    # at once, its job counts as ended, and SLURM kills what is left of it before the training has saved itself.
    'launch() ( if [ "$1" -gt 1 ]; then echo "python -m torch.distributed.run --standalone --nproc-per-node $1 -m"; '
    'else echo "python -m"; fi ); '
    # glibc gives every large tensor's memory back and asks for it again, a quarter of the CPU of sampling; this keeps it.
    'keep_memory() ( export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592; exec "$@" ); '
)


wildcard_constraints:
    plate=either(STUDY.plates),
    arm="|".join(["real"] + STUDY.arms + SWEPT + STUDY.translations + STUDY.generations + STUDY.drawn),
    space="|".join(SPACES),
    network="embed|fid",
    model=either(model["name"] for model in CONFIG["models"]),
    classifier="|".join([entry["name"] for entry in CONFIG["classifiers"]] + ["none"]),
    fold=either(fold["name"] for fold in CONFIG["folds"]),
    part=r"\d{3}",
    own=either(entry["name"] for entry in CONFIG["own_crops"]),
    effect=either(entry["name"] for entry in CONFIG["effects"]),
    axis=either(entry["name"] for entry in CONFIG["axes"] + CONFIG["zero_shot"]),


def as_json(chosen):
    """Sorted JSON of what changes the result of a rule, no more and no less, so that reruns are right."""
    return json.dumps(chosen, sort_keys=True)


def scale_of_stains():
    """On what scale predicted stains are: their cut-off, and whether each is brought to s.d. 1 again."""
    return {"cutoff": CONFIG["prepare"]["cutoff"], "renormalise": CONFIG["prepare"]["normalise"] == "image"}


def pick(section, *keys):
    """The named keys of one config section."""
    return {key: CONFIG[section][key] for key in keys}


# What the study asks for: {wing: functions that list files}. Each stands beside the rule that makes them.
SHOWN, KEPT = {}, {}


def show(wing, files):
    """Ask for what a user reads: `files()` lists them."""
    SHOWN.setdefault(wing, []).append(files)


def keep(wing, files):
    """Ask for files that are kept on the way: `files()` lists them."""
    KEPT.setdefault(wing, []).append(files)


def listed(registry, wings):
    """Files that a registry names for these wings, each once."""
    return list(dict.fromkeys(file for wing in wings for files in registry.get(wing, []) for file in files()))


def wing_results(wing):
    """Everything that the study asks of one wing, there or not; jobs, none of which stops at a wing, are spared it."""
    return listed(SHOWN, [wing]) + listed(KEPT, [wing]) if workflow.is_main_process else []


def study_results():
    """What a user reads, and of the files on the way to it those that are not there.

    Snakemake takes away what a failed job had made, and does not miss a file that only stands between others, so that
    old tables would pass for new ones. Files that are there are reached through what follows from them; named here,
    each would be one more line to `all` in the report's picture of the workflow. Jobs, which read the workflow again, are
    spared the look at the disk: none of them makes `all`. A list, no input function: the paths of one that another
    workflow takes from `rules.brightpaint_all.input` would be looked for in that workflow's folders.
    """
    shown = listed(SHOWN, SHOWN)
    if not workflow.is_main_process:
        return shown
    return list(dict.fromkeys(shown + [file for file in listed(KEPT, KEPT) if not is_there(file)]))


def refuse(problems):
    """End with what is wrong with the config, a line each, if anything is."""
    if found := [f"config: {problem}" for problem in problems]:
        raise WorkflowError("\n".join(found))


def with_pathvars(file):
    """A path with its folder in place of a path variable."""
    for name in ("results", "resources"):
        file = file.replace(f"<{name}>", CONFIG["pathvars"][name])
    return file


def is_there(file):
    """Whether a file of the study exists; its folder may be a path variable."""
    return Path(with_pathvars(file)).exists()


def is_root():
    """Whether this is the workflow that was asked for, and no module or part of another's."""
    return Path(str(workflow.main_snakefile)).resolve() in (ROOT / "Snakefile", ROOT / "workflow" / "Snakefile")


def planned_seconds(jobs):
    """What the plan says a job takes: {rule: seconds}, from {rule: jobs of the whole study}. It loads pandas."""
    from brightpaint.plan.costs import job_seconds

    return job_seconds(STUDY, jobs, ROOT)


def report_command():
    """What to type for the report; make types it itself."""
    if "MAKELEVEL" in os.environ:
        return ""
    named = " ".join(shlex.quote(str(path)) for path in workflow.configfiles)
    return f"snakemake --configfile {named} --report report.html" if named else "snakemake --report report.html"


def simulated():
    """Whether the plates are brightpaint's own."""
    return CONFIG["source"]["layout"] == "simulated"


def parts(section):
    """Part numbers of a plate's jobs: 001, 002, ..."""
    return [f"{part:03d}" for part in range(1, CONFIG[section]["parts"] + 1)]


def trained():
    """(model, fold) pairs that the arms need trained here."""
    pairs = [
        (model, fold)
        for arm in STUDY.arm_names
        for fold in STUDY.entry("arms", arm)["folds"]
        for model in STUDY.trained_for(arm)
    ]
    pairs = [(model["name"], fold) for model, fold in pairs if KINDS[model["kind"]].stepwise]
    return list(dict.fromkeys(pairs))


def by_attempt(amount):
    """Resource function: `amount`, or what it says of the wildcards, and as much again with every retry (the profile's)."""
    return lambda wildcards, attempt: attempt * (amount(wildcards) if callable(amount) else amount)


def histories(wildcards):
    """Training histories of every network."""
    return [f"<results>/models/{model}/{fold}/history.jsonl" for model, fold in trained()]


def local_weights(section):
    """Files of the weights that `section` names by path; none where they come from the hub."""
    path = Path(CONFIG[section]["weights"] or "none")
    return [str(path / name) for name in ("config.json", "model.safetensors")] if path.is_dir() else []
