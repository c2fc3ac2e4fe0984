# The study, what its paths are made of, and functions that say what they return. No rules.
import json
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.current_basedir).parent.parent
sys.path.insert(0, str(ROOT / "src"))

from brightpaint.config import NETWORKS, Study
from brightpaint.features import loaded_objects, own_pipeline
from brightpaint.features.pipeline import read as read_pipeline
from brightpaint.sweep_config import POINT, base_arm, reference

try:
    STUDY = Study.load(config, ROOT / "workflow" / "schemas")
except ValueError as error:
    raise WorkflowError(str(error)) from None
CONFIG = STUDY.config
NO_IMAGES = ("real", "lookup", "brightfield")  # arms that paint nothing
config.update(CONFIG)  # the report fills its texts from `config`: give it the defaults too
RESOURCES = CONFIG["pathvars"]["resources"]
SWEPT = [point["name"] for point in STUDY.sweep_points]
PAINTED = "|".join(STUDY.arms + SWEPT)


def computing():
    """JSON of how a training is computed, for the shell prefix, which Snakemake formats: braces are doubled."""
    keys = ("precision", "compile", "prefetch", "save_every_s")
    chosen = json.dumps({key: CONFIG["compute"][key] for key in keys}, sort_keys=True)
    return shlex.quote(chosen).replace("{", "{{").replace("}", "}}")


# PYTHONPATH, not PATH: an environment that Snakemake activates must keep its own python.
shell.executable("bash")
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(ROOT / 'src'))}; "
    f"export OMP_NUM_THREADS={CONFIG['compute']['torch_threads']}; "
    # Not params: what changes no result must rerun nothing.
    f"export BRIGHTPAINT_DEVICE={CONFIG['compute']['device']} BRIGHTPAINT_WORKERS={CONFIG['source']['workers']}; "
    f"export BRIGHTPAINT_COMPUTE={computing()}; "
    # What starts a training: python, or torchrun with one process a GPU.
    'launch() ( if [ "$1" -gt 1 ]; then echo "python -m torch.distributed.run --standalone --nproc-per-node $1 -m"; '
    'else echo "python -m"; fi ); '
)

# glibc gives every large tensor's memory back and asks for it again, a quarter of the CPU of sampling; this keeps it.
KEEP_MEMORY = "MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 "


wildcard_constraints:
    plate="|".join(STUDY.plates),
    arm="|".join(["real"] + STUDY.arms + SWEPT),
    space="cellprofiler|dino",
    network="embed|fid",
    model="|".join(model["name"] for model in CONFIG["models"]),
    classifier="|".join([entry["name"] for entry in CONFIG["classifiers"]] + ["none"]),
    fold="|".join(fold["name"] for fold in CONFIG["folds"]),
    part=r"\d{3}",


def settings(stage, name=None, fold=None):
    """Sorted JSON of exactly what changes the result of `stage`, so that reruns are right."""
    held_out = {"held_out": STUDY.entry("folds", fold)["held_out"]} if fold else {}
    return json.dumps({**stage_settings(stage, name), **held_out}, sort_keys=True)


def pick(section, *keys):
    """The named keys of one config section."""
    return {key: CONFIG[section][key] for key in keys}


def stage_settings(stage, name):
    channels = CONFIG["channels"]
    if stage == "simulate":
        plate = {**STUDY.plates[name], "channels": channels["input"] + channels["target"]}
        plate.pop("pixel_size_um", None)
        return {**CONFIG["simulate"], "pixel_size_um": STUDY.pixel_size_um(name), "plate": plate}
    if stage == "index":
        source = pick(
            "source", "layout", "url", "endpoint_url", "region", "profile", "table", "compounds", "exclude", "missing"
        )
        if source["layout"] == "simulated":
            source.update(layout="gallery", url=mirror())
        plate = {key: value for key, value in STUDY.plates[name].items() if key != "pixel_size_um"}
        return {"source": source, "plate": plate, "channels": STUDY.channels(name)}
    if stage == "fetch":
        source = pick("source", "url", "endpoint_url", "region", "profile", "hash")
        return {"source": {**source, "url": mirror()} if simulated() else source}
    if stage == "fetch_illumination":
        source = pick("source", "url", "endpoint_url", "region", "profile")
        own = ("plate", "project", "source", "batch", "barcode")
        plate = {key: value for key, value in STUDY.plates[name].items() if key in own}
        return {"source": source, "plate": plate, "channels": STUDY.channels(name)}
    if stage == "illumination":
        return {**CONFIG["illumination"], "channels": STUDY.channels(name)}
    if stage == "prepare":
        own = {"region": STUDY.plates[name].get("region"), "channels": STUDY.channels(name)}
        if CONFIG["prepare"]["pixel_size_um"]:
            own["raw_pixel_um"] = STUDY.pixel_size_um(name)
        return {**CONFIG["prepare"], **own}
    if stage == "quality":
        return {"channels": STUDY.channels(name)}
    if stage == "flag":
        return {**CONFIG["quality"], "channels": {**channels, "here": STUDY.channels(name)}}
    if stage == "train":
        model = STUDY.entry("models", name)
        chosen = {key: model[key] for key in ("kind", "label", "preset", "width", "objective", "loss", "subset")}
        return {**chosen, **CONFIG["train"], "channels": channels}
    if stage == "train_classifier":
        entry = STUDY.entry("classifiers", name)
        chosen = {key: entry[key] for key in ("label", "width", "subset")}
        return {**chosen, **CONFIG["train"], "channels": channels}
    if stage == "sample":
        arm = STUDY.entry("arms", name)
        keys = ("sampler", "steps", "spacing", "eta", "sampling_label", "label_scale", "guidance_scale", "seed")
        chosen = {key: arm[key] for key in (*keys, "guidance_interval")}
        return {**chosen, "batch": CONFIG["sample"]["batch"], "subset": STUDY.model_of(name)["subset"]}
    if stage == "uncertainty":
        return {**stage_settings("sample", name), "samples": STUDY.entry("arms", name)["samples"]}
    if stage == "sweep":
        points = [{key: point[key] for key in ("name", *POINT)} for point in STUDY.sweep_points]
        chosen = {"channels": channels, "cutoff": CONFIG["prepare"]["cutoff"]}
        return {**chosen, "points": points, "reference": reference(CONFIG)}
    if stage in ("export", "deliver"):
        return {
            "window": CONFIG["cellprofiler"]["window"],
            "channels": channels["target"],
            "pixel_size_um": STUDY.pixel_size_um(name),
            "cutoff": CONFIG["prepare"]["cutoff"],
            "renormalise": CONFIG["prepare"]["normalise"] == "image",
        }
    if stage == "cellpose":
        return CONFIG["cellpose"]
    if stage == "lookup":
        return {"plates": STUDY.lookup_plates()}
    if stage in ("embed", "fid"):
        seen = {key: CONFIG[stage][key] for key in ("weights", "window", "brightfield_window")}
        scale = {"cutoff": CONFIG["prepare"]["cutoff"], "renormalise": CONFIG["prepare"]["normalise"] == "image"}
        return {**seen, **scale, "channels": channels}
    if stage == "profile_embeddings":
        return pick("embed", "normalise")
    if stage == "attention":
        return {**stage_settings("embed", None), **CONFIG["figures"]}
    if stage == "tsne":
        return pick("figures", "dpi")
    if stage == "score":
        failing = {"training": STUDY.lookup_plates()} if compounds_fail() else {}
        return {"channels": channels, "cutoff": CONFIG["prepare"]["cutoff"], **failing}
    if stage == "paper_table":
        return {"arms": paper_arms(), "number": int(name)}
    if stage in ("select", "active"):
        return {**CONFIG[stage], **CONFIG["profile"]}
    if stage == "montage":
        return {**CONFIG["figures"], "channels": channels, "pixel_size_um": STUDY.pixel_size_um(name)}
    if stage == "feature_figure":
        return {"channels": channels, "dpi": CONFIG["figures"]["dpi"]}
    if stage == "worst":
        sizes = {plate: STUDY.pixel_size_um(plate) for plate in STUDY.test_plates(name)}
        return {**CONFIG["figures"], "channels": channels, "pixel_size_um": sizes}
    if stage == "quality_figure":
        return {**CONFIG["quality"], "channels": STUDY.channels(name), "dpi": CONFIG["figures"]["dpi"]}
    return CONFIG[stage]


def simulated():
    """Whether the plates are brightpaint's own."""
    return CONFIG["source"]["layout"] == "simulated"


def mirror():
    """Folder of the simulated plates, laid out as the gallery's bucket."""
    return f"{RESOURCES}/simulated"


def truth_of(wildcards):
    """Truth table of a simulated plate: its presence says that the plate has been made."""
    return f"<resources>/truth/{wildcards.plate}.tsv" if simulated() else []


def published_of(wildcards):
    """The gallery's own illumination functions of a plate, where they are used."""
    return "<resources>/illum/{plate}" if CONFIG["illumination"]["method"] == "published" else []


def parts(section):
    """Part numbers of a plate's jobs: 001, 002, ..."""
    return [f"{part:03d}" for part in range(1, CONFIG[section]["parts"] + 1)]


def sampling_parts(arm):
    """Part numbers of an arm's sampling jobs on a plate; a sweep has few fields, and no more jobs than full batches."""
    if arm not in SWEPT:
        return parts("sample")
    batches = -(-CONFIG["sweep"]["fields"] // CONFIG["sample"]["batch"])
    return parts("sample")[:batches]


def parts_to_gather(suffix):
    """Input function: the files of a plate's sampled parts that end so."""

    def files(wildcards):
        pattern = "<results>/parts/{kind}/{arm}/{plate}/{part}" + suffix
        return expand(pattern, **dict(wildcards), part=sampling_parts(wildcards.arm))

    return files


def fields_of(wildcards):
    """Table of the fields that an arm is to paint: a plate's, or those drawn for the sweep."""
    drawn = "<results>/sweep/fields/{plate}.parquet"
    return drawn if wildcards.arm in SWEPT else "<results>/fields/{plate}.parquet"


def sweep_active(wildcards):
    """The table of actives where the sweep's arm predicts the active subset only."""
    subset = STUDY.model_of(base_arm(CONFIG)["name"])["subset"]
    return "<results>/active/perturbations.tsv" if subset == "active" else []


def training_stacks(wildcards):
    """Real stacks of the plates that a fold trains on."""
    return expand("<results>/images/real/{plate}.tif", plate=STUDY.training_plates(wildcards.fold))


def training_fields(wildcards):
    """Field tables of the plates that a fold trains on."""
    return expand("<results>/fields/{plate}.parquet", plate=STUDY.training_plates(wildcards.fold))


def active_of(section, key):
    """Input function: the table of actives where the named model trains on the active subset."""

    def active(wildcards):
        subset = STUDY.entry(section, wildcards[key])["subset"]
        return "<results>/active/perturbations.tsv" if subset == "active" else []

    return active


def active_of_arm(wildcards):
    """The table of actives where the arm predicts the active subset only."""
    subset = STUDY.model_of(wildcards.arm)["subset"]
    return "<results>/active/perturbations.tsv" if subset == "active" else []


def weights_of(wildcards):
    """Weights from which an arm predicts a plate: trained here, or given by path."""
    model = STUDY.model_of(wildcards.arm)
    fold = STUDY.fold_of(wildcards.arm, wildcards.plate)
    return model["weights"] or f"<results>/models/{model['name']}/{fold}/weights.safetensors"


def classifier_of(wildcards):
    """Classifier weights that guide an arm, if any."""
    name = STUDY.entry("arms", wildcards.arm)["classifier"]
    fold = STUDY.fold_of(wildcards.arm, wildcards.plate)
    return f"<results>/classifiers/{name}/{fold}/weights.safetensors" if name else []


def rows_of(wildcards):
    """Table that names the rows of an arm's stack: every field, or the predicted ones."""
    real = wildcards.arm == "real"
    return "<results>/fields/{plate}.parquet" if real else "<results>/images/{arm}/{plate}.parquet"


def pipeline_file():
    """The CellProfiler pipeline: one of ours by name, or a path."""
    name = CONFIG["cellprofiler"]["pipeline"]
    shipped = ROOT / "resources" / "cellprofiler" / f"{name}.cppipe"
    if not (shipped.exists() or Path(name).exists()):
        known = sorted(path.stem for path in shipped.parent.glob("*.cppipe"))
        raise WorkflowError(f"config: cellprofiler.pipeline: {name} is neither a file nor one of {', '.join(known)}")
    if shipped.exists():
        return str(shipped)
    try:
        own_pipeline.check(read_pipeline(Path(name)), CONFIG["channels"]["target"], Path(name))
        if segmented():
            loaded_objects.adapt(read_pipeline(Path(name)), Path(name))
    except ValueError as error:
        raise WorkflowError(f"config: cellprofiler.pipeline: {error}") from None
    return name


def segmented():
    """Whether Cellpose finds nuclei and cells, and CellProfiler only measures them."""
    return CONFIG["cellprofiler"]["segmentation"] == "cellpose"


def cellpose_models():
    """Files of the models that the section cellpose names by path; none where cellpose fetches its own."""
    named = [CONFIG["cellpose"][key] for key in ("nuclei", "cells")]
    return [model for model in dict.fromkeys(named) if segmented() and Path(model).is_file()]


def real_medians(section):
    """Field medians of the real plates on which `section` is fitted."""
    return expand("<results>/medians/real/{plate}.parquet", plate=STUDY.fitted_on(section))


def medians_of(wildcards):
    """Field medians of every plate of an arm."""
    return expand(
        "<results>/medians/{arm}/{plate}.parquet", arm=wildcards.arm, plate=STUDY.profile_plates(wildcards.arm)
    )


def sphering_medians(wildcards):
    """Field medians of the real plates on whose DMSO wells sphering is fitted, where the recipe spheres."""
    return real_medians("select") if CONFIG["profile"]["recipe"] == "standard" else []


def seen_stack(wildcards):
    """Stack that a network of photographs looks at: brightfield lies in the real one."""
    arm = "real" if wildcards.arm == "brightfield" else wildcards.arm
    return f"<results>/images/{arm}/{wildcards.plate}.tif"


def seen_rows(wildcards):
    """Table that names the rows of that stack."""
    real = wildcards.arm in ("real", "brightfield")
    return "<results>/fields/{plate}.parquet" if real else "<results>/images/{arm}/{plate}.parquet"


def local_weights(section):
    """Files of the weights that `section` names by path; none where they come from the hub."""
    path = Path(CONFIG[section]["weights"] or "none")
    return [str(path / name) for name in ("config.json", "model.safetensors")] if path.is_dir() else []


def embeddings_of(wildcards):
    """Embeddings of every plate of an arm."""
    return expand(
        "<results>/embeddings/{arm}/{plate}.parquet", arm=wildcards.arm, plate=STUDY.seen_plates(wildcards.arm)
    )


def embedded_to_score(wildcards):
    """Real and predicted profiles in the space of the embedder, where it is on; brightfield has its own alone."""
    seen = STUDY.seen_arms("embed")
    if not (seen and CONFIG["perturbations"]) or wildcards.arm not in [*seen, "lookup"]:
        return []
    arms = ["brightfield"] if wildcards.arm == "brightfield" else dict.fromkeys(["real", wildcards.arm])
    return expand("<results>/profiles/{arm}/dino/perturbations.parquet", arm=arms)


def inception_to_score(arm=None):
    """Input function: Inception features of `arm`, or the scored one, on its plates; none where FID is off."""

    def tables(wildcards):
        seen = [name for name in STUDY.seen_arms("fid") if name != "brightfield"]
        if wildcards.arm not in seen or (wildcards.arm == "real" and arm != "real"):
            return []
        plates = scored_plates(wildcards)
        return expand("<results>/inception/{arm}/{plate}.parquet", arm=arm or wildcards.arm, plate=plates)

    return tables


def scored_plates(wildcards):
    """Plates on which an arm is scored."""
    if wildcards.arm == "lookup":
        return list(STUDY.lookup_plates())
    real = wildcards.arm in ("real", "brightfield")
    return STUDY.profile_plates("real") if real else STUDY.test_plates(wildcards.arm)


def stacks_to_score(wildcards):
    """An arm's stacks of the plates on which it is scored; arms without images name the real ones."""
    arm = "real" if wildcards.arm in ("lookup", "brightfield") else wildcards.arm
    return expand("<results>/images/{arm}/{plate}.tif", arm=arm, plate=scored_plates(wildcards))


def profiles_to_score(wildcards):
    """Real and predicted profiles, where there are perturbations and the arm is measured."""
    measured = wildcards.arm == "lookup" or (wildcards.arm != "brightfield" and STUDY.profiled(wildcards.arm))
    if not (CONFIG["perturbations"] and measured):
        return []
    arms = dict.fromkeys(["real", wildcards.arm])
    return expand("<results>/profiles/{arm}/cellprofiler/perturbations.parquet", arm=arms)


def medians_to_score(arm=None):
    """Input function: field medians of `arm`, or the scored one, on its plates; none where its cells are not measured."""

    def medians(wildcards):
        if wildcards.arm in NO_IMAGES or not STUDY.profiled(wildcards.arm):
            return []
        return expand(
            "<results>/medians/{arm}/{plate}.parquet", arm=arm or wildcards.arm, plate=scored_plates(wildcards)
        )

    return medians


def selection_to_score(wildcards):
    """The selected features, where an arm's cells are measured and there are perturbations to select by."""
    measured = CONFIG["perturbations"] and medians_to_score()(wildcards)
    return "<results>/selection/cellprofiler.tsv" if measured else []


def replicates_to_score(wildcards):
    """Real field medians of every measured plate: what another plate's distance from the scored one is taken from."""
    if not selection_to_score(wildcards):
        return []
    return expand("<results>/medians/real/{plate}.parquet", plate=STUDY.profile_plates("real"))


def uncertainty_to_score(wildcards):
    """Uncertainty stacks of the plates on which an arm is scored, where it paints several samples a field."""
    if wildcards.arm in NO_IMAGES or STUDY.entry("arms", wildcards.arm)["samples"] == 1:
        return []
    return expand("<results>/uncertainty/{arm}/{plate}.tif", arm=wildcards.arm, plate=scored_plates(wildcards))


def sweep_measured():
    """Whether CellProfiler measures the sweep's points: their arm is, and there are perturbations to select features by."""
    return bool(CONFIG["perturbations"] and SWEPT and STUDY.profiled(base_arm(CONFIG)["name"]))


def sweep_medians(wildcards):
    """Field medians of every point of the sweep, where its cells are measured."""
    measured = SWEPT if sweep_measured() else []
    return expand("<results>/medians/{point}/{plate}.parquet", point=measured, plate=wildcards.plate)


def sweep_real_medians(wildcards):
    """The real field medians of the sweep's plate, where cells are measured."""
    return "<results>/medians/real/{plate}.parquet" if sweep_measured() else []


def sweep_selection(wildcards):
    """The selected features, where the sweep's cells are measured."""
    return "<results>/selection/cellprofiler.tsv" if sweep_measured() else []


def masks_to_score(arm=None):
    """Input function: label images of `arm`, or the scored one, on its plates; none where its cells are not measured."""

    def masks(wildcards):
        if wildcards.arm in NO_IMAGES or not STUDY.profiled(wildcards.arm):
            return []
        return expand("<results>/masks/{arm}/{plate}.tif", arm=arm or wildcards.arm, plate=scored_plates(wildcards))

    return masks


def compounds_fail():
    """Whether the plates are simulated with wells whose compound failed, and their profiles are taken."""
    return simulated() and CONFIG["simulate"]["failed_share"] > 0 and bool(STUDY.lookup_plates())


def truth_to_score(wildcards):
    """Truth of the scored plates and of those they are compared with, where compounds fail and the arm is measured."""
    if not (compounds_fail() and profiles_to_score(wildcards)):
        return []
    looked_up = STUDY.lookup_plates()
    plates = [name for plate, training in looked_up.items() for name in (plate, *training)]
    return expand("<resources>/truth/{plate}.tsv", plate=list(dict.fromkeys(plates)))


def wells_to_score(wildcards):
    """Real and predicted well profiles, where it is known which compounds failed; a look-up has perturbations alone."""
    if not truth_to_score(wildcards):
        return []
    table = "perturbations" if wildcards.arm == "lookup" else "wells"
    return ["<results>/profiles/real/cellprofiler/wells.parquet"] + (
        [] if wildcards.arm == "real" else [f"<results>/profiles/{wildcards.arm}/cellprofiler/{table}.parquet"]
    )


def active_table(wildcards):
    """The table of actives, where there are perturbations."""
    return "<results>/active/perturbations.tsv" if CONFIG["perturbations"] else []


def scored_arms():
    """Arms with plates to score: `real` first, then brightfield where it is embedded, what can be looked up, the predicted."""
    looked_up = ["lookup"] if STUDY.lookup_plates() else []
    embedded = ["brightfield"] if CONFIG["perturbations"] and STUDY.seen_arms("embed") else []
    return ["real"] + embedded + looked_up + [arm for arm in STUDY.arms if STUDY.test_plates(arm)]


def arms_testing(plate):
    """Arms that are scored on `plate`."""
    return [arm for arm in STUDY.arms if plate in STUDY.test_plates(arm)]


def measured_arms(plate):
    """Arms that are scored on `plate` and whose cells are measured."""
    return [arm for arm in arms_testing(plate) if STUDY.profiled(arm)]


def medians_of_plate(wildcards):
    """Field medians of a plate: the real ones, then those of every measured arm that is scored on it."""
    measured = measured_arms(wildcards.plate)
    return expand(
        "<results>/medians/{arm}/{plate}.parquet", arm=["real"] + measured if measured else [], plate=wildcards.plate
    )


def feature_arms(subset):
    """Measured arms with profiles of `subset`, what can be looked up last; none without perturbations."""
    measured = [arm for arm in STUDY.arms if STUDY.test_plates(arm) and STUDY.profiled(arm)]
    if subset == "full":  # an arm on the active subset has no profiles of the others
        measured = [arm for arm in measured if STUDY.model_of(arm)["subset"] != "active"]
    looked_up = ["lookup"] if STUDY.lookup_plates() else []
    return measured + looked_up if CONFIG["perturbations"] and measured else []


def tsne_arms(space):
    """Arms whose wells have profiles in `space` beside the real ones."""
    if space == "dino":
        return STUDY.seen_arms("embed")[2:]
    return [arm for arm in feature_arms("active") if arm != "lookup"]


def leaking_arms():
    """Arms that are shown the target in sampling, by their label (a wrong one too) or by a classifier."""
    labels = {entry["name"]: entry["label"] for entry in CONFIG["classifiers"]}
    told = []
    for arm in CONFIG["arms"]:
        labelled = STUDY.model_of(arm["name"])["label"] == "target" and arm["sampling_label"] != "none"
        guided = labels.get(arm["classifier"]) == "target" and arm["guidance_scale"] > 0
        told += [arm["name"]] if labelled or guided else []
    return told


def label_roles():
    """JSON: what each measured diffusion arm is shown of the perturbation, in the config's order; one thing at most."""
    roles = {}
    for arm in CONFIG["arms"]:
        model, shown = STUDY.model_of(arm["name"]), arm["sampling_label"]
        if model["kind"] != "diffusion" or not STUDY.profiled(arm["name"]) or arm["name"] in leaking_arms():
            continue
        label = "none" if model["label"] == "none" or shown == "none" else shown
        if arm["classifier"] and arm["guidance_scale"] > 0:
            roles.update({arm["name"]: "guided"} if label == "none" else {})
        elif model["label"] == "none" or label != "none":
            roles[arm["name"]] = {"none": "unlabelled", "own": "labelled", "swapped": "swapped"}[label]
    return json.dumps(roles)


def paper_arms():
    """Arms as the paper's tables need them: labels, guidance, and {test plate: fold}."""
    labels = {entry["name"]: entry["label"] for entry in CONFIG["classifiers"]}
    told, described = leaking_arms(), []
    for arm in CONFIG["arms"]:
        model = STUDY.model_of(arm["name"])
        guided = labels.get(arm["classifier"]) if arm["guidance_scale"] > 0 else None
        folds = {plate: STUDY.fold_of(arm["name"], plate) for plate in STUDY.test_plates(arm["name"])}
        described.append(
            {
                "name": arm["name"],
                "kind": model["kind"],
                "label": model["label"],
                "subset": model["subset"],
                "sampling_label": arm["sampling_label"],
                "classifier": guided,
                "folds": folds,
                "leaking": arm["name"] in told,
            }
        )
    return [arm for arm in described if arm["folds"]]


def measured_medians():
    """Field medians of every measured arm: the real plates, then the arms' test plates."""
    measured = [arm for arm in scored_arms() if arm not in ("lookup", "brightfield") and STUDY.profiled(arm)]
    pairs = [(arm, plate) for arm in measured for plate in STUDY.profile_plates(arm)] if len(measured) > 1 else []
    return [f"<results>/medians/{arm}/{plate}.parquet" for arm, plate in pairs]


def paper_tables():
    """Numbers of the paper's tables that the study has: 2 needs perturbations."""
    return [1, 2] if CONFIG["perturbations"] else [1]


def montage_stacks(wildcards):
    """Predicted stacks of a plate, one an arm, in the config's order."""
    return expand("<results>/images/{arm}/{plate}.tif", arm=STUDY.arms_of(wildcards.plate), plate=wildcards.plate)


def trained():
    """(model, fold) pairs that the arms need trained here."""
    pairs = [(STUDY.model_of(arm), fold) for arm in STUDY.arms for fold in STUDY.entry("arms", arm)["folds"]]
    pairs = [(model["name"], fold) for model, fold in pairs if model["kind"] in NETWORKS and not model["weights"]]
    return list(dict.fromkeys(pairs))


def gpus(wildcards):
    """GPUs of a training or sampling job: the closed-form baselines need none."""
    if hasattr(wildcards, "arm"):
        return int(STUDY.model_of(wildcards.arm)["kind"] in NETWORKS)
    floor = hasattr(wildcards, "model") and STUDY.entry("models", wildcards.model)["kind"] not in NETWORKS
    return 0 if floor else CONFIG["compute"]["gpus"]


def by_attempt(amount):
    """Resource function: `amount`, and as much again with every retry (retries stand in the profile)."""
    return lambda wildcards, attempt: amount * attempt


def histories(wildcards):
    """Training histories of every network."""
    return [f"<results>/models/{model}/{fold}/history.jsonl" for model, fold in trained()]


def study_results():
    """Everything that the configuration asks for."""
    shown = [plate for plate in STUDY.plates if STUDY.arms_of(plate)]
    results = expand("<results>/figures/montage/{plate}.png", plate=shown) + ["<results>/tables/missing.html"]
    results += expand("<results>/figures/closeup/{plate}.jpg", plate=shown)
    results += expand("<results>/figures/quality/{plate}.png", plate=STUDY.used_plates())
    results += ["<results>/tables/quality.html"]
    painted = [arm for arm in STUDY.arms if STUDY.model_of(arm)["kind"] in NETWORKS]
    results += [f"<results>/predicted/{arm}/{plate}" for arm in painted for plate in STUDY.predict_plates(arm)]
    several = [arm["name"] for arm in CONFIG["arms"] if arm["samples"] > 1]
    results += [f"<results>/uncertainty/{arm}/{plate}.tif" for arm in several for plate in STUDY.predict_plates(arm)]
    results += [f"<results>/figures/uncertainty/{arm}.png" for arm in several if STUDY.test_plates(arm)]
    if SWEPT:
        results += [f"<results>/figures/sweep/{STUDY.sweep_plate}.png"]
    if trained():
        results += ["<results>/figures/loss.png"]
    if len(scored_arms()) > 1:
        results += ["<results>/tables/metrics.html"]
        results += expand("<results>/tables/table_{number}.html", number=paper_tables())
        tested = [plate for plate in STUDY.plates if arms_testing(plate)]
        results += expand("<results>/figures/plates/{plate}.png", plate=tested)
        outlined = [plate for plate in tested if measured_arms(plate)]
        results += expand("<results>/figures/outlines/{plate}.jpg", plate=outlined)
        shown = [arm for arm in STUDY.arms if STUDY.test_plates(arm) and STUDY.model_of(arm)["kind"] != "mean"]
        results += expand("<results>/figures/worst/{arm}.jpg", arm=shown)
        subsets = [subset for subset in ("full", "active") if feature_arms(subset)]
        results += expand("<results>/figures/features/{subset}.png", subset=subsets)
        results += expand("<results>/figures/overlap/{subset}.png", subset=subsets)
        measured = [arm for arm in scored_arms() if arm not in ("lookup", "brightfield") and STUDY.profiled(arm)]
        results += [f"<results>/cells/{arm}/{plate}.parquet" for arm in measured for plate in STUDY.profile_plates(arm)]
        results += ["<results>/tables/cells.html"] if measured_medians() else []
        if CONFIG["perturbations"]:
            results += ["<results>/figures/active.png"]
        results += expand(
            "<results>/figures/tsne/{space}.png", space=[s for s in ("cellprofiler", "dino") if tsne_arms(s)]
        )
        seen = STUDY.seen_arms("embed")
        results += [f"<results>/embeddings/{arm}/{plate}.parquet" for arm in seen for plate in STUDY.seen_plates(arm)]
        results += expand("<results>/figures/attention/{plate}.jpg", plate=tested if seen else [])
    return results
