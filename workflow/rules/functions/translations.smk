# Which translations are scored and shown, the files that is done from, and the settings that change it. No rules.
TRANSLATED = subjects.translated_arms(STUDY)
TRANSLATION_TABLES = ["images", "areas", "objects", "counts"]
SHIFT_TABLES = ["classes", "changes", "correlations", "wells"]


def companion_files(pattern):
    """Input function: files of a translation's companion from fresh noise on the scored plates; none without one."""
    return lambda wildcards: [
        file for arm in subjects.companion_of(STUDY, wildcards.arm) for file in scored_files(pattern, arm)(wildcards)
    ]


def where_measured(files):
    """Input function: `files` where the arm's cells are measured, none otherwise."""
    return lambda wildcards: files(wildcards) if STUDY.profiled(wildcards.arm) else []


def companion_tables(wildcards):
    """The space's tables of a translation's companion; none without one."""
    arms = subjects.companion_of(STUDY, wildcards.arm)
    return [table for arm in arms for table in SPACES[wildcards.space].tables(arm, scored_plates(wildcards))]


def trained_plates(arm):
    """{scored plate: plates that the model of its fold was trained on}; with weights given, the fold's all the same."""
    return {plate: STUDY.training_plates(STUDY.fold_of(arm, plate)) for plate in STUDY.test_plates(arm)}


def compared_plates(arm):
    """Plates whose real fields a translation is held to: those of its sources, and those of its training."""
    trained = trained_plates(arm)
    known = {*trained, *(plate for plates in trained.values() for plate in plates)}
    return [plate for plate in STUDY.plates if plate in known]


def translation_truth(wildcards):
    """Truth of the scored plates, where they are simulated."""
    return expand("<resources>/truth/{plate}.tsv", plate=scored_plates(wildcards)) if simulated() else []


def translation_settings(wildcards):
    """JSON: what changes the scores of a translation's images."""
    return as_json(
        {"label": STUDY.model_of(wildcards.arm)["label"], "channels": CONFIG["channels"], **scale_of_stains()}
    )


def shift_settings(wildcards):
    """JSON: what changes the scores of a translation in a space."""
    model, trained = STUDY.model_of(wildcards.arm), trained_plates(wildcards.arm)
    folds = {plate: STUDY.entry("folds", STUDY.fold_of(wildcards.arm, plate)) for plate in trained}
    held_out = {plate: held_out_of(fold) for plate, fold in folds.items() if fold["held_out"]}
    chosen = {"label": model["label"], "training": trained, "validation_share": CONFIG["train"]["validation_share"]}
    twin = {"twin": True} if model["twin"] else {}
    return as_json({**chosen, **twin, **({"held_out": held_out} if held_out else {})})


def shifted_held(wildcards):
    """Tables of what the folds of a translation hold out, where their trainings read such."""
    folds = [STUDY.entry("folds", name) for name in STUDY.entry("arms", wildcards.arm)["folds"]]
    return [f"<results>/held_out/{fold['name']}.tsv" for fold in folds if tabled(fold["held_out"])]


def translation_spaces(arm):
    """Names of the spaces in which a translation is scored."""
    return [space.name for space in SPACES.values() if arm in subjects.shifted_arms(STUDY, space)]


def translation_strips():
    """Strips of cells of every translation, one a plate."""
    shown = [(arm, plate) for arm in TRANSLATED for plate in STUDY.test_plates(arm)]
    return [f"<results>/figures/translation_strip/{arm}/{plate}.png" for arm, plate in shown]


def translation_plots(kind):
    """Figures of one kind of every translation, one a space."""
    pairs = [(arm, space) for arm in TRANSLATED for space in translation_spaces(arm)]
    return [f"<results>/figures/{kind}/{space}/{arm}.png" for arm, space in pairs]


def translation_metrics(wildcards):
    """Scores that the page of a translation in a space lists: of its images, of the space, FID and KID where there are any."""
    scored = ["translation", f"shifts/{wildcards.space}", *(["class_frechet"] if CONFIG["fid"]["weights"] else [])]
    return [f"<results>/scores/{subject}/{wildcards.arm}.parquet" for subject in scored]


def translation_pages():
    """Pages of every translation, one a space."""
    pairs = [(arm, space) for arm in TRANSLATED for space in translation_spaces(arm)]
    return [f"<results>/tables/translations/{space}/{arm}.html" for arm, space in pairs]


def strip_settings(wildcards):
    """JSON: what changes the strips of cells of a plate."""
    chosen = {
        "label": STUDY.model_of(wildcards.arm)["label"],
        "channels": CONFIG["channels"],
        **pick("figures", "fields", "dpi"),
    }
    return as_json({**chosen, "pixel_size_um": STUDY.pixel_size_um(wildcards.plate)})


def kept_translation_scores():
    """Scores of every translation, subject by subject and joined."""
    kept = expand("<results>/metrics/{arm}{end}.parquet", arm=TRANSLATED, end=["", ".fields"])
    kept += expand("<results>/scores/translation/{arm}.{table}.parquet", arm=TRANSLATED, table=TRANSLATION_TABLES)
    if CONFIG["fid"]["weights"]:
        kept += expand("<results>/scores/class_frechet/{arm}.classes.parquet", arm=TRANSLATED)
    for arm in TRANSLATED:
        shifts = expand("<results>/scores/shifts/{space}/{{arm}}.{{table}}.parquet", space=translation_spaces(arm))
        kept += expand(shifts, arm=arm, table=SHIFT_TABLES)
        kept += subjects.score_tables(STUDY, arm)
    return kept
