# What the features wing asks of the study: input functions, settings, its pipeline. No rules.
from brightpaint.features import loaded_objects, own_pipeline
from brightpaint.features.engine.pipeline_steps import read_steps
from brightpaint.features.pipeline import check_names
from brightpaint.features.pipeline import read as read_pipeline
from brightpaint.study.cell_engines import FAST
from brightpaint.study.object_stains import named_stains
from brightpaint.study.planes import cropped_channels, plane_groups


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
    try:
        if fast() and STUDY.profiled("real"):
            stains = named_stains(CONFIG["cellprofiler"])
            read_steps(
                shipped if shipped.exists() else Path(name),
                CONFIG["channels"]["target"],
                1.0,
                stains,
                loaded=segmented(),
            )
        if shipped.exists():
            check_names(CONFIG["channels"]["target"] if STUDY.profiled("real") else [])
            return str(shipped)
        own_pipeline.check(read_pipeline(Path(name)), CONFIG["channels"]["target"], Path(name))
        if segmented():
            loaded_objects.adapt(read_pipeline(Path(name)), Path(name))
    except ValueError as error:
        raise WorkflowError(f"config: cellprofiler.pipeline: {error}") from None
    return name


def segmented():
    """Whether Cellpose finds nuclei and cells, and CellProfiler only measures them."""
    return CONFIG["cellprofiler"]["segmentation"] == "cellpose"


def fast():
    """Whether brightpaint's own engine measures cells in CellProfiler's place."""
    return CONFIG["cellprofiler"]["engine"] == FAST


def engine_record():
    """Params that rules of cells have beside none: the engine, where it is not CellProfiler, so that a change reruns them."""
    return {"engine": CONFIG["cellprofiler"]["engine"]} if fast() else {}


def cellpose_models():
    """Files of the models that the section cellpose names by path; none where cellpose fetches its own."""
    named = [CONFIG["cellpose"][key] for key in ("nuclei", "cells")]
    return [model for model in dict.fromkeys(named) if segmented() and Path(model).is_file()]


def measured(*patterns, **wildcards):
    """These files of every arm's plates whose cells are measured to be scored, the sweep's points among them.

    Where no arm is measured, real cells are all the same if something else asks for them, and there are perturbations; where
    nothing is painted, always.
    """
    arms = measured_to_score()
    unasked = not real_profiled() or (STUDY.arms and not finds_actives() and len(arms) <= 1)
    if unasked and not translated_pairs():
        return []
    pairs = [(arm, plate) for arm in arms for plate in STUDY.profile_plates(arm)]
    pairs += translated_pairs()
    pairs += [(arm, plate) for arm in STUDY.drawn if STUDY.profiled(arm) for plate in STUDY.test_plates(arm)]
    pairs += [(point, STUDY.sweep_plate) for point in (SWEPT if sweep_measured() else [])]
    return [file for arm, plate in pairs for file in expand(patterns, arm=arm, plate=plate, **wildcards)]


def translated_pairs():
    """Measured translations and generations with their plates; the real cells that they are held to are measured too."""
    arms = [arm for arm in STUDY.translations + STUDY.generations if STUDY.profiled(arm)]
    return [(arm, plate) for arm in arms for plate in STUDY.test_plates(arm)]


# How a painted plate is delivered: {as the config says it: its path}.
DELIVERED = {"ome-tiff": "<results>/predicted/{arm}/{plate}", "ome-zarr": "<results>/predicted/{arm}/{plate}.ome.zarr"}


def delivered():
    """Plates of role predict that a network paints, in each way that the config asks for."""
    painted = [arm for arm in STUDY.arms if STUDY.kind_of(arm).delivered]
    pairs = [(arm, plate) for arm in painted for plate in STUDY.predict_plates(arm)]
    return [DELIVERED[way].format(arm=arm, plate=plate) for way in CONFIG["deliver"] for arm, plate in pairs]


def grey_levels(plate):
    """How stains become grey levels."""
    return {
        "window": CONFIG["cellprofiler"]["window"],
        "channels": CONFIG["channels"]["target"],
        "pixel_size_um": STUDY.pixel_size_um(plate),
        **scale_of_stains(),
        **painted_planes(),
    }


def painted_planes():
    """{"planes": groups of stains that are planes of one}, by which predicted ones are brought to scale; {} without any."""
    groups = plane_groups(CONFIG["channels"], CONFIG["channels"]["target"])
    return {"planes": groups} if groups else {}


def scale_of_tiffs(wildcards):
    """JSON of how stains become the grey levels of TIFFs."""
    return as_json(grey_levels(wildcards.plate))


def delivered_plate(wildcards):
    """JSON of the same, and of what the model saw and was told (what weights that are given were told, they say themselves)."""
    model, arm = STUDY.model_of(wildcards.arm), STUDY.entry("arms", wildcards.arm)
    words = {"own": "{}", "swapped": "{} wrongly on purpose, that of another field"}
    told = words.get(arm["sampling_label"]) if model["label"] != "none" and not model["weights"] else None
    label = {"label": told.format(model["label"])} if told else {}
    return as_json({**grey_levels(wildcards.plate), "inputs": STUDY.inputs(model), **label})


def export_settings(wildcards):
    """JSON of the TIFFs that are measured: their scale, and the stains that objects are found in, where they are named."""
    return as_json({**json.loads(scale_of_tiffs(wildcards)), **named_stains(CONFIG["cellprofiler"])})


def crop_settings(wildcards):
    """JSON of how crops are cut: of which size and channels, about what, and on which scale predicted stains are."""
    keys = ("size_um", "size_px", "border", "objects", "max_per_field")
    pixel_um = STUDY.pixel_size_um(wildcards.plate)
    return as_json(
        {
            **pick("crops", *keys),
            **scale_of_stains(),
            **painted_planes(),
            "channels": cropped_channels(CONFIG),
            "pixel_size_um": pixel_um,
        }
    )


def cropped():
    """Crops of the plates on which the cells of an arm are measured, of the arms that are asked for."""
    arms = CONFIG["crops"]["arms"] if CONFIG["crops"]["size_um"] else []
    ends = (".tif", ".masks.tif", ".parquet", ".counts.tsv")
    return [
        f"<results>/crops/{arm}/{plate}{end}" for arm in arms for plate in STUDY.profile_plates(arm) for end in ends
    ]


def own_crops_of(key):
    """Params function: what the config says under `key` of crops of one's own."""
    return lambda wildcards: STUDY.entry("own_crops", wildcards.own)[key]


def own_crops_options(wildcards):
    """Words of the command line that say how crops of one's own are read."""
    entry = STUDY.entry("own_crops", wildcards.own)
    keys = ("file", "index", "label", "group", "mask", "planes", "normalise", "size_px", "pixel_um")
    keys += ("plate", "threshold", "threshold_channel")
    options = {key.replace("_", "-"): entry[key] for key in keys if entry[key] not in (None, "")}
    options["channels"] = ",".join(entry["channels"])
    return [f"--{key}={value}" for key, value in options.items()]
