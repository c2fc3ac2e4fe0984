# What the models wing asks of the study: input functions, settings, limits. No rules.
import math

from brightpaint.base.intensity import CUTOFF
from brightpaint.plan import limits
from brightpaint.plan.painting import latent_share, read_rates
from brightpaint.study import codecs, conditions, style_directions
from brightpaint.study.kinds import CLASSIFIER, KINDS
from brightpaint.study.samplers import walked_share

RATES = read_rates(ROOT / "resources" / "rates.tsv")


def on_crops(wildcards):
    """Whether a training is one of single cells."""
    return hasattr(wildcards, "model") and STUDY.entry("models", wildcards.model)["examples"] == "crops"


def training_stacks(wildcards):
    """Real stacks of the plates that a fold trains on, or their crops of single cells."""
    if on_crops(wildcards):
        return expand("<results>/crops/real/{plate}.tif", plate=STUDY.training_plates(wildcards.fold))
    return expand("<results>/images/real/{plate}.tif", plate=STUDY.training_plates(wildcards.fold))


def training_fields(wildcards):
    """Field tables of the plates that a fold trains on, or the tables of their crops."""
    if on_crops(wildcards):
        return expand("<results>/crops/real/{plate}.parquet", plate=STUDY.training_plates(wildcards.fold))
    return expand("<results>/fields/{plate}.parquet", plate=STUDY.training_plates(wildcards.fold))


def active_of(section, key):
    """Input function: the table of actives where the named model trains on the active subset."""

    def active(wildcards):
        subset = STUDY.entry(section, wildcards[key])["subset"]
        return "<results>/active/perturbations.tsv" if subset == "active" else []

    return active


def weights_of(wildcards):
    """Weights from which an arm predicts a plate: trained here, or given by path."""
    model = STUDY.model_of(wildcards.arm)
    fold = STUDY.fold_of(wildcards.arm, wildcards.plate)
    return model["weights"] or f"<results>/models/{model['name']}/{fold}/weights.safetensors"


def trained_by(section):
    """Names of the models of kinds that a section of the config lists: each has a rule that trains it."""
    return [model["name"] for model in CONFIG["models"] if KINDS[model["kind"]].section == section]


def standing_on(what):
    """Input function: weights of the codec or the base that a model is trained on, of its own fold or given by path, or as base the
    study's generator; or none."""

    def weights(wildcards):
        if what == "base" and style_directions.stands_on_generator(STUDY.entry("models", wildcards.model)):
            return "<results>/gan/weights.safetensors"
        entry = codecs.stood_on(STUDY, STUDY.entry("models", wildcards.model)).get(what)
        made = f"<results>/models/{entry['name']}/{wildcards.fold}/weights.safetensors" if entry else []
        return (entry["weights"] or made) if entry else []

    return weights


def standing(wildcards):
    """Paths of the codec and the base that a model is trained on, as its command names them."""
    found = {what: standing_on(what)(wildcards) for what in ("base", "codec")}
    return {what: with_pathvars(path) for what, path in found.items() if path}


def codec_training(wildcards):
    """Params function: JSON of how and on what a codec is trained."""
    fold = STUDY.entry("folds", wildcards.fold)
    chosen = codecs.training(STUDY, STUDY.entry("models", wildcards.model))
    return as_json({**chosen, "held_out": held_out_of(fold), **cutoff_unless_default()})


def training_minutes(wildcards):
    """Time limit of a model's training."""
    if style_directions.stands_on_generator(STUDY.entry("models", wildcards.model)):
        return limits.projecting_minutes(STUDY, STUDY.entry("models", wildcards.model), RATES)
    share = latent_share(STUDY, STUDY.entry("models", wildcards.model))
    return limits.training_minutes(CONFIG, share)


def training_mb(wildcards):
    """Memory of a model's training."""
    model = STUDY.entry("models", wildcards.model)
    if style_directions.stands_on_generator(model):
        return limits.projecting_mb(STUDY)
    return limits.training_mb(CONFIG, codecs.stride_px(STUDY, model), STUDY.training_of(model)["batch"])


def codec_minutes(wildcards):
    """Time limit of a codec's training."""
    return limits.codec_minutes(STUDY, STUDY.entry("models", wildcards.model), RATES)


def codec_mb(wildcards):
    """Memory of a codec's training."""
    return limits.codec_mb(STUDY, STUDY.entry("models", wildcards.model))


def classifier_of(wildcards):
    """Classifier weights that guide an arm, if any."""
    name = STUDY.entry("arms", wildcards.arm)["classifier"]
    fold = STUDY.fold_of(wildcards.arm, wildcards.plate)
    return f"<results>/classifiers/{name}/{fold}/weights.safetensors" if name else []


def fields_of(wildcards):
    """Table of the fields that an arm is to paint: a plate's, those drawn for the sweep, or rows of its own."""
    if wildcards.arm in STUDY.translations:
        return "<results>/sources/{arm}/{plate}.parquet"
    if wildcards.arm in STUDY.generations:
        return "<results>/generated/{arm}/{plate}.parquet"
    if wildcards.arm in STUDY.drawn:
        return "<results>/draws/{arm}/{plate}.parquet"
    drawn = "<results>/sweep/fields/{plate}.parquet"
    return drawn if wildcards.arm in SWEPT else "<results>/fields/{plate}.parquet"


def active_of_arm(wildcards):
    """The table of actives where the arm predicts the active subset only; rows of its own are chosen already."""
    own = STUDY.translations + STUDY.generations + STUDY.drawn
    return [] if wildcards.arm in own else active_of_drawn(wildcards)


def active_of_drawn(wildcards):
    """The table of actives where the arm's model is of the active subset."""
    subset = STUDY.model_of(wildcards.arm)["subset"]
    return "<results>/active/perturbations.tsv" if subset == "active" else []


def sweep_active(wildcards):
    """The table of actives where the sweep's arm predicts the active subset only."""
    subset = STUDY.model_of(base_arm(CONFIG)["name"])["subset"]
    return "<results>/active/perturbations.tsv" if subset == "active" else []


def sampling_parts(arm):
    """Part numbers of an arm's painting jobs on a plate; where few fields are drawn, no more jobs than full batches."""
    drawn = CONFIG["sweep"]["fields"] * CONFIG["sweep"]["samples"] if arm in SWEPT else None
    drawn = CONFIG["calibration"]["fields"] * CONFIG["calibration"]["samples"] if arm in STUDY.drawn else drawn
    if arm in STUDY.translations:
        drawn = STUDY.entry("arms", arm)["translate"]["fields"]
    if not isinstance(drawn, int):
        return parts("sample")
    batches = math.ceil(drawn / CONFIG["sample"]["batch"])
    return parts("sample")[:batches]


def parts_to_gather(suffix):
    """Input function: the files of a plate's sampled parts that end so."""

    def files(wildcards):
        pattern = f"<results>/parts/{{kind}}/{{arm}}/{{plate}}/{{part}}{suffix}"
        return expand(pattern, **dict(wildcards), part=sampling_parts(wildcards.arm))

    return files


def gpus(wildcards):
    """GPUs of a training or sampling job: the closed-form baselines need none."""
    if hasattr(wildcards, "arm"):
        return int(STUDY.kind_of(wildcards.arm).gpu)
    kind = KINDS[STUDY.entry("models", wildcards.model)["kind"]] if hasattr(wildcards, "model") else CLASSIFIER
    most = 1 if kind.styled else CONFIG["compute"]["gpus"]  # styles are projected by one process
    return min(most, CONFIG["compute"]["gpus"]) if kind.gpu else 0


def painting_minutes(wildcards, samples=1):
    """Time limit of one part of an arm's painting."""
    count = len(sampling_parts(wildcards.arm))
    return limits.painting_minutes(STUDY, wildcards.arm, RATES, plate=wildcards.plate, parts=count, samples=samples)


def painting_mb(wildcards):
    """Memory of one part of an arm's painting."""
    if STUDY.kind_of(wildcards.arm).styled:
        return limits.projecting_mb(STUDY)
    return limits.painting_mb(
        CONFIG, STUDY.entry("arms", wildcards.arm), codecs.stride_px(STUDY, STUDY.model_of(wildcards.arm))
    )


def spread_minutes(wildcards):
    """Time limit of one part of an arm's further samples."""
    return painting_minutes(wildcards, STUDY.entry("arms", wildcards.arm)["samples"] - 1)


def given_table(wildcards):
    """The CSV that lists a plate's images of an arm that was painted elsewhere."""
    return str(given_images.table_of(STUDY.model_of(wildcards.arm)["given"], wildcards.plate))


def given_settings(wildcards):
    """JSON of how such images become z-scores."""
    entry = STUDY.model_of(wildcards.arm)["given"]
    chosen = {"pixels": entry["pixels"], "window": entry["window"] or CONFIG["cellprofiler"]["window"]}
    return as_json({**chosen, "channels": CONFIG["channels"]["target"], "cutoff": CONFIG["prepare"]["cutoff"]})


def trained_files(section, key):
    """Weights and histories of the entries of `section` that arms name by `key` and that are trained here."""
    made = []
    for arm in [arm for arm in STUDY.every_arm if arm[key]]:
        entries = STUDY.trained_for(arm["name"]) if section == "models" else [STUDY.entry(section, arm[key])]
        made += [f"{section}/{entry['name']}/{fold}" for fold in arm["folds"] for entry in entries]
    return expand(
        "<results>/{made}/{file}", made=list(dict.fromkeys(made)), file=["weights.safetensors", "history.jsonl"]
    )


def painted_files():
    """Painted stacks of every arm and of the sweep's points, and the uncertainty of arms that paint several samples."""
    arms = [(arm, plate) for arm in STUDY.arms for plate in STUDY.test_plates(arm) + STUDY.predict_plates(arm)]
    made = [f"images/{arm}/{plate}" for arm, plate in arms]
    made += [f"uncertainty/{arm}/{plate}" for arm, plate in arms if STUDY.entry("arms", arm)["samples"] > 1]
    made += [f"images/{point}/{STUDY.sweep_plate}" for point in SWEPT]
    apart = STUDY.translations + STUDY.generations + STUDY.drawn
    made += [f"images/{arm}/{plate}" for arm in apart for plate in STUDY.test_plates(arm)]
    return expand("<results>/{made}{end}", made=made, end=[".tif", ".parquet", ".seconds.tsv"])


def cutoff_unless_default():
    """The images' cut-off where it is not CUTOFF, which is what settings and weights mean that name none."""
    cutoff = CONFIG["prepare"]["cutoff"]
    return {} if cutoff == CUTOFF else {"cutoff": cutoff}


def special(entry):
    """What a model is trained with beyond the ordinary; nothing of what is not asked for, so that old studies' params stay."""
    usual = {
        "terminal_snr": "small",
        "examples": "fields",
        "twin": False,
        "conditions": {},
        "projection": None,
        "blur_px": None,
        "as_coded": False,
    }
    return {key: entry[key] for key, value in usual.items() if entry.get(key, value) != value}


def trained_vectors(wildcards):
    """The table of molecules' vectors that a model reads, where it is told any by such a table."""
    return vectors_of(STUDY.entry("models", wildcards.model)) or []


def painted_vectors(wildcards):
    """The same of the model that paints an arm."""
    return vectors_of(STUDY.model_of(wildcards.arm)) or []


def vectors_of(model):
    """Path of the molecules' vectors of a model's config, if any."""
    return model["conditions"].get("molecule", {}).get("vectors")


def environment_of(model):
    """The list of packages that a model is trained and painted with: RDKit is in it where it is told molecules."""
    return f"../../envs/{'molecules' if conditions.needs_rdkit(model) else 'brightpaint'}.yaml"


def training_environment(wildcards):
    """The environment of a model's training."""
    return environment_of(STUDY.entry("models", wildcards.model))


def painting_environment(wildcards):
    """The environment in which an arm is painted."""
    return environment_of(STUDY.model_of(wildcards.arm))


def told(arm):
    """What an arm sets and amplifies of its model's conditions; nothing of what is not asked for."""
    entry, model = STUDY.entry("arms", arm), STUDY.model_of(arm)
    chosen = {key: entry[key] for key in ("conditions", "condition_scales")}
    chosen["vectors"] = vectors_of(model)
    chosen["model_conditions"] = model["conditions"] if model["weights"] else {}
    return {key: value for key, value in chosen.items() if value}


def training(section, key, *own):
    """Params function: JSON of these keys of an entry of `section`, and of how and on what it is trained."""

    def chosen(wildcards):  # not of its input: what depends on that, Snakemake leaves out of what it compares
        entry, fold = STUDY.entry(section, wildcards[key]), STUDY.entry("folds", wildcards.fold)
        channels = {**CONFIG["channels"], "input": STUDY.inputs(entry)}
        shared = {**STUDY.training_of(entry), "channels": channels, "held_out": held_out_of(fold)}
        clipped = cutoff_unless_default() if section == "models" else {}  # a classifier clips nothing
        chosen = {name: entry[name] for name in own} | special(entry)
        if stands_on := standing(wildcards) if section == "models" else {}:
            chosen["stands_on"] = stands_on
        return as_json(chosen | shared | clipped)

    return chosen


def sampling(arm):
    """How an arm paints."""
    keys = ("sampler", "steps", "spacing", "eta", "sampling_label", "label_scale", "guidance_scale", "seed")
    entry = STUDY.entry("arms", arm)
    chosen = {key: entry[key] for key in (*keys, "guidance_interval")}
    chosen |= {"mean_of": entry["mean_of"]} if entry["mean_of"] > 1 else {}
    inputs = STUDY.inputs(STUDY.model_of(arm))
    chosen |= {"inputs": inputs} if inputs != CONFIG["channels"]["input"] else {}
    chosen |= told(arm)
    subset = (
        "all" if arm in STUDY.drawn + STUDY.generations else STUDY.model_of(arm)["subset"]
    )  # samples are listed already
    chosen |= {**cutoff_unless_default(), "subset": subset}
    return {**chosen, "batch": CONFIG["sample"]["batch"]}


def several_samples(wildcards):
    """JSON of how an arm paints, and how many samples of a field."""
    return as_json({**sampling(wildcards.arm), "samples": STUDY.entry("arms", wildcards.arm)["samples"]})
